"""A session of Spark in this process, on all cores of this machine, which sees the tables of one run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.engines.spark.spark_versions import (
    CANNOT_COMPUTE,
    ICEBERG,
    RUNTIME,
    SCALA,
    check_spark,
    installed,
)
from slipway.errors import ConfigError, first_line
from slipway.processes import remove_left_over, temporary
from slipway.run_catalog.rest_server import Served

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
_ANSI, _ZONE, _CASE = "spark.sql.ansi.enabled", "spark.sql.session.timeZone", "spark.sql.caseSensitive"
_EXTENSIONS = "spark.sql.extensions"
_CATALOGS = "spark.sql.catalog."
_FOLDER = "spark"
"""Purpose of the temporary folder of a session, a part of its name."""

SEMANTICS = {_ANSI: "true", _ZONE: "UTC", _CASE: "false"}
"""Without these, Spark computes something else than DuckDB: overflow and bad casts become NULL, days begin at another time, names differ by case."""


def catalog_properties(name: str, served: Served, store: Mapping[str, str] | None = None) -> dict[str, str]:
    """Settings by which a session sees the tables of a run.

    Args:
        name: what they are found under, the environment's.
        served: the run's catalog.
        store: how files are reached, as properties of Iceberg's catalogs for Spark, for example ``s3.endpoint``.
    """
    given = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "rest",
        ".uri": served.uri,
        ".token": served.token,
        ".cache-enabled": "false",  # a table that DuckDB stages meanwhile is to be seen
        **{f".{key}": value for key, value in (store or {}).items()},
    }
    return {f"{_CATALOGS}{name}{key}": value for key, value in given.items()}


@contextmanager
def local_session(
    name: str, served: Served, store: Mapping[str, str] | None = None, *, jar: str | None = None
) -> Iterator[SparkSession]:
    """Begin a session in this process, and end it with the block.

    Args:
        name: what the tables are found under.
        served: the run's catalog.
        store: how files are reached.
        jar: file of Iceberg's runtime; without it Spark takes it from the local Maven repository, or fetches it.

    Raises:
        ConfigError: pyspark, Java or the jar is missing or has another version, or another session is active.
    """
    installed()
    from pyspark.sql import SparkSession

    if SparkSession.getActiveSession() is not None:
        raise ConfigError(
            CANNOT_COMPUTE,
            "this process has a session of another program",
            "End that one, or use another process",
        )
    # Spark asks for the name of the machine's address, and waits where nobody knows it
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("SPARK_LOCAL_HOSTNAME", "localhost")
    remove_left_over(_FOLDER)  # of processes that were killed
    with temporary(_FOLDER) as folder:
        builder = SparkSession.builder.master("local[*]").appName("slipway")
        settings = {
            "spark.jars" if jar else "spark.jars.packages": jar or RUNTIME,
            "spark.pyspark.python": sys.executable,
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
            "spark.sql.warehouse.dir": f"file://{folder}",
            "spark.local.dir": str(folder),
            _EXTENSIONS: EXTENSIONS,
            "spark.sql.defaultCatalog": name,
            **SEMANTICS,
            **catalog_properties(name, served, store),
        }
        for key, value in settings.items():
            builder = builder.config(key, value)
        try:
            _start_java(settings, folder / "log")
            spark = builder.getOrCreate()
        except Exception as error:  # whatever pyspark and Py4J raise
            _end(None)
            raise _not_started(error, jar) from error
        try:
            check_session(spark)
            yield spark
        finally:
            _end(spark)


def _start_java(settings: Mapping[str, str], log: Path) -> None:
    """Start the Java of the session, which writes into a file what it would print: stdout and stderr are the command's own.

    pyspark takes the gateway that is there. Java ends by itself when its standard input does, which is a pipe from this process: so nothing is
    left of it when this process is killed.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    conf = SparkConf(loadDefaults=False)
    for key, value in settings.items():
        # a token of the run is among those of catalogs, and everybody on the machine can read a command line
        if not key.startswith(_CATALOGS):
            conf.set(key, value)
    with log.open("wb") as output:
        gateway = launch_gateway(conf, {"stdout": output, "stderr": output})
    SparkContext._gateway, SparkContext._jvm = gateway, gateway.jvm


def _not_started(error: Exception, jar: str | None) -> ConfigError:
    """Why no session began: most often the jar, about which Spark's own log says more."""
    why = first_line(error)
    if "JAVA_GATEWAY_EXITED" in str(error) or "UNRESOLVED" in str(error).upper():
        why = f"Java ended before the session began; most often {jar or RUNTIME} cannot be found or fetched"
    return ConfigError(CANNOT_COMPUTE, why, f"Fetch the jar once: mvn dependency:get -Dartifact={RUNTIME}")


def _end(spark: SparkSession | None) -> None:
    """End a session and its Java, so that nothing of it is left and the next one starts with its own jars."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if spark is not None:
        with suppress(Exception):  # it may have died
            spark.stop()
    if gateway is not None:
        with suppress(Exception):
            gateway.shutdown()
        process = getattr(gateway, "proc", None)
        if process is not None:
            with suppress(Exception):
                process.stdin.close()  # by which it notices that nobody needs it
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    SparkContext._gateway = None
    SparkContext._jvm = None


def check_session(spark: SparkSession) -> None:
    """Refuse a session, of whoever began it, that would compute something else or cannot write Iceberg.

    Raises:
        ConfigError: its version, settings or jars are not those that are tested.
    """
    check_spark(spark.version)
    for key, wanted in SEMANTICS.items():
        if (found := str(spark.conf.get(key))).lower() != wanted.lower():
            raise ConfigError(
                "The session of Spark cannot be used",
                f"{key} is {found}, so it computes something else than DuckDB",
                f"Set it to {wanted}",
            )
    if EXTENSIONS not in str(spark.conf.get(_EXTENSIONS, "")):
        raise ConfigError(
            "The session of Spark cannot be used",
            "it began without Iceberg's extensions, and they cannot be added later",
            f"Begin it with {_EXTENSIONS}={EXTENSIONS}",
        )
    _check_jar(spark)


def _check_jar(spark: Any) -> None:
    """Refuse a session without the jar, or with another one; a session of Spark Connect has no Java here to ask."""
    java = getattr(spark, "_jvm", None)
    if java is None:
        return
    try:
        scala = str(java.scala.util.Properties.versionNumberString())
        iceberg = str(java.org.apache.iceberg.IcebergBuild.version())
    except Exception as error:
        raise ConfigError(
            "The session of Spark cannot be used",
            "it does not have the jar of Iceberg",
            f"Begin it with {RUNTIME}",
        ) from error
    if not scala.startswith(f"{SCALA}.") or iceberg != ICEBERG:
        raise ConfigError(
            "The session of Spark cannot be used",
            f"its jars are Iceberg {iceberg} and Scala {scala}, and {ICEBERG} with {SCALA} is tested",
            f"Begin it with {RUNTIME}",
        )
