"""A session of Spark in this process, on all cores of this machine, which sees the tables of one run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.engines.spark.session_settings import (
    CATALOGS,
    DEFAULT_CATALOG,
    REQUIRED,
    catalog_properties,
    check_session,
)
from slipway.engines.spark.spark_versions import CANNOT_COMPUTE, fetching, installed, jars
from slipway.errors import ConfigError, first_line
from slipway.processes import remove_left_over, temporary
from slipway.run_catalog.rest_server import Served

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FOLDER = "spark"
"""Purpose of the temporary folder of a session, a part of its name."""


@contextmanager
def local_session(
    name: str, served: Served, *, on_s3: bool = False, packages: Sequence[str] | None = None
) -> Iterator[SparkSession]:
    """Begin a session in this process, and end it with the block.

    Args:
        name: what the tables are found under.
        served: the run's catalog.
        on_s3: whether a table that it reads or writes is on S3.
        packages: Maven coordinates of its jars, in place of those that are tested; Spark takes them from the local Maven repository, or fetches them.

    Raises:
        ConfigError: pyspark, Java or a jar is missing or has another version, or another session is active.
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
    packages = jars(on_s3=on_s3) if packages is None else packages
    with temporary(_FOLDER) as folder:
        builder = SparkSession.builder.master("local[*]").appName("slipway")
        settings = {
            "spark.jars.packages": ",".join(packages),
            "spark.pyspark.python": sys.executable,
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
            "spark.sql.warehouse.dir": f"file://{folder}",
            "spark.local.dir": str(folder),
            **REQUIRED,
            DEFAULT_CATALOG: name,
            # where a file is before it is sent to S3
            **catalog_properties(name, served, {"s3.staging-dir": str(folder)} if on_s3 else None),
        }
        for key, value in settings.items():
            builder = builder.config(key, value)
        try:
            _start_java(settings, folder / "log")
            spark = builder.getOrCreate()
        except Exception as error:  # whatever pyspark and Py4J raise
            _end(None)
            raise _not_started(error, packages) from error
        # functions of a project are to be found by the processes that run them for Spark, too
        spark.sparkContext.environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        try:
            check_session(spark, on_s3=on_s3)
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
        if not key.startswith(CATALOGS):
            conf.set(key, value)
    with log.open("wb") as output:
        gateway = launch_gateway(conf, {"stdout": output, "stderr": output})
    SparkContext._gateway, SparkContext._jvm = gateway, gateway.jvm


def _not_started(error: Exception, packages: Sequence[str]) -> ConfigError:
    """Why no session began: most often the jar, about which Spark's own log says more."""
    why = first_line(error)
    if "JAVA_GATEWAY_EXITED" in str(error) or "UNRESOLVED" in str(error).upper():
        why = f"Java ended before the session began; most often {' or '.join(packages)} cannot be found or fetched"
    return ConfigError(CANNOT_COMPUTE, why, f"Fetch the jar once: {' && '.join(map(fetching, packages))}")


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
