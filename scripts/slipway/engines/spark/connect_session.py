"""A session on a Spark Connect server, which others use as well: it sees the tables of one run, and nothing else of the server is touched.

Source: Apache Spark 4.1, "Spark Connect Overview", and "Connecting to Spark Connect using Clients" for the connection string.
"""

from __future__ import annotations

import ipaddress
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from slipway.counts import plural
from slipway.engines.spark.session_settings import (
    DEFAULT_CATALOG,
    SEMANTICS,
    catalog_properties,
    check_session,
)
from slipway.engines.spark.spark_versions import check_same, package_version
from slipway.errors import ConfigError, first_line
from slipway.processes import temporary
from slipway.run_catalog.rest_server import Served
from slipway.secrets import remember
from slipway.settings import Settings, variable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PORT = 15002
_ANSWERS_WITHIN = 30
"""Seconds for a server to take a connection; pyspark itself would try for ten minutes."""
_SETTING = variable("spark_remote")
UNUSABLE = "The Spark Connect server cannot be used"


@dataclass(frozen=True)
class Remote:
    """Where a Spark Connect server is.

    Args:
        uri: its connection string, which may hold a token.
        host: of the server.
        port: of the server.
    """

    uri: str
    host: str
    port: int

    @classmethod
    def of(cls, settings: Settings) -> Remote | None:
        """What the settings say; None for a session on this machine.

        Raises:
            ConfigError: it is no connection string, or would send the token of the run's catalog over a network as plain text.
        """
        uri = settings.spark_remote
        if uri is None:
            return None
        parameters = dict(part.partition("=")[::2] for part in uri.split(";")[1:])
        token = unquote(parameters.get("token", ""))
        remember([token] if token else [])
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname or "", parts.port or _PORT
        except ValueError:
            host, port = "", 0
        if not uri.startswith("sc://") or not host or any(not key for key in parameters):
            raise ConfigError(
                f"{_SETTING} cannot be used",
                "it is no connection string of Spark Connect",
                "Give one such as sc://spark.example.org:15002/;use_ssl=true",
            )
        found = cls(uri, host, port)
        if not (found.is_here or token or "use_ssl" in parameters):
            raise ConfigError(
                f"{_SETTING} names {host}",
                "it is another machine, and the token of the run's catalog would be sent to it as plain text",
                "Add /;use_ssl=true, or /;use_ssl=false if something else encrypts the connection",
            )
        return found

    @property
    def is_here(self) -> bool:
        """Whether the server has an address of this machine that no other can reach."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def check_client() -> None:
    """Refuse an installation that cannot talk to a Spark Connect server; it needs no Java.

    Raises:
        ConfigError: pyspark or what it needs for that is missing, or has another version.
    """
    package_version()
    if any(find_spec(name) is None for name in ("grpc", "grpc_status")):
        raise ConfigError(
            UNUSABLE,
            "the packages grpcio and grpcio-status are not installed",
            "Install Slipway with its extra: pip install 'dbt-slipway[spark]'",
        )


@contextmanager
def connect_session(
    remote: Remote,
    name: str,
    served: Served,
    *,
    on_s3: bool = False,
    modules: Mapping[str, str] | None = None,
) -> Iterator[SparkSession]:
    """Begin a session on a server, and end it with the block; the server and other sessions go on.

    Args:
        remote: the server.
        name: what the tables are found under.
        served: the run's catalog.
        on_s3: whether a table that it reads or writes is on S3.
        modules: source of Python modules that functions of the session import, by file; only this session finds them.

    Raises:
        ConfigError: the server cannot be reached, cannot reach the run's catalog, or computes something else.
    """
    check_client()
    from pyspark.sql.connect.session import SparkSession as RemoteSession

    _wait_for(remote)
    try:
        spark = RemoteSession.builder.remote(remote.uri).create()
    except Exception as error:  # whatever pyspark and gRPC raise
        raise _unusable(remote, error) from error
    try:
        try:
            check_same(spark.version)
            for key, value in {
                **SEMANTICS,
                DEFAULT_CATALOG: name,
                **catalog_properties(name, served),
            }.items():
                with suppress(Exception):  # what cannot be set is refused below, by what it is
                    spark.conf.set(key, value)
            check_session(spark, on_s3=on_s3)
            if modules:
                _send(spark, modules)
        except ConfigError:
            raise
        except Exception as error:
            raise _unusable(remote, error) from error
        _check_catalog(spark, name, served)
        yield spark
    finally:
        with suppress(Exception):  # the server may have died
            spark.interruptAll()
        spark.stop()


def _wait_for(remote: Remote) -> None:
    """Refuse a server that takes no connection; pyspark itself would try for ten minutes."""
    import grpc
    from pyspark.sql.connect.client import DefaultChannelBuilder

    try:
        channel = DefaultChannelBuilder(remote.uri).toChannel()
    except Exception as error:  # PySparkValueError
        raise ConfigError(
            f"{_SETTING} cannot be used",
            first_line(error),
            "Give a connection string such as sc://spark.example.org:15002/;use_ssl=true",
        ) from error
    try:
        grpc.channel_ready_future(channel).result(_ANSWERS_WITHIN)
    except grpc.FutureTimeoutError:
        raise ConfigError(
            UNUSABLE,
            f"{remote.host}:{remote.port} took no connection within {plural(_ANSWERS_WITHIN, 'second')}",
            f"Start it, or correct {_SETTING}; use_ssl has to be what the server speaks",
        ) from None
    finally:
        channel.close()


def _send(spark: SparkSession, modules: Mapping[str, str]) -> None:
    """Send Python modules to a server, for functions of this session."""
    with temporary("modules") as folder:
        archive = folder / "modules.zip"
        with zipfile.ZipFile(archive, "w") as opened:
            for file, source in modules.items():
                opened.writestr(file, source)
        before = list(sys.path)
        try:
            spark.addArtifacts(str(archive), pyfile=True)
        finally:
            sys.path[:] = before  # pyspark adds the archive, and here the modules are where they were


def _check_catalog(spark: SparkSession, name: str, served: Served) -> None:
    """Refuse a server whose driver does not reach the run's catalog."""
    try:
        spark.sql(f"show namespaces in `{name}`").collect()
    except Exception as error:  # whatever pyspark raises
        raise ConfigError(
            "The Spark Connect server does not reach the run's catalog",
            f"it was given {served.uri}, and says: {first_line(error)}",
            f"Set {variable('run_catalog_listen')} and {variable('run_catalog_uri')} to an address that it can reach",
        ) from error


def _unusable(remote: Remote, error: Exception) -> ConfigError:
    return ConfigError(
        UNUSABLE,
        f"{remote.host}:{remote.port} says: {first_line(error)}",
        f"Look at its log, or correct {_SETTING}",
    )
