"""What a session has to be, whoever began it, so that it computes what DuckDB would and sees the tables of one run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from slipway.engines.spark.spark_versions import (
    ICEBERG,
    RUNTIME,
    S3_BUNDLE,
    SCALA,
    check_spark,
)
from slipway.errors import ConfigError
from slipway.run_catalog.rest_server import Served

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
_ANSI, _ZONE, _CASE = "spark.sql.ansi.enabled", "spark.sql.session.timeZone", "spark.sql.caseSensitive"
_EXTENSIONS = "spark.sql.extensions"
DEFAULT_CATALOG = "spark.sql.defaultCatalog"
"""Where a table is looked for whose catalog is not named."""

CATALOGS = "spark.sql.catalog."
"""What the settings of catalogs begin with; a token is among them."""

SEMANTICS = {_ANSI: "true", _ZONE: "UTC", _CASE: "false"}
"""Without these, Spark computes something else than DuckDB: overflow and bad casts become NULL, days begin at another time, names differ by case."""

REQUIRED = {_EXTENSIONS: EXTENSIONS, **SEMANTICS}
"""Settings with which a session is begun."""

_VERSIONS = "select reflect('scala.util.Properties', 'versionNumberString'), reflect('org.apache.iceberg.IcebergBuild', 'version')"
_S3 = "select reflect('software.amazon.awssdk.services.s3.S3Client', 'serviceMetadata')"
_UNUSABLE = "The session of Spark cannot be used"


def catalog_properties(name: str, served: Served, store: Mapping[str, str] | None = None) -> dict[str, str]:
    """Settings by which a session sees the tables of a run.

    Args:
        name: what they are found under, the environment's.
        served: the run's catalog, which says how files are reached.
        store: what is to hold for this session besides, as properties of Iceberg's catalogs for Spark, for example ``s3.staging-dir``.
    """
    given = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "rest",
        ".uri": served.uri,
        ".token": served.token,
        ".cache-enabled": "false",  # a table that DuckDB stages meanwhile is to be seen
        **{f".{key}": value for key, value in (store or {}).items()},
    }
    return {f"{CATALOGS}{name}{key}": value for key, value in given.items()}


def functions_of(spark: SparkSession) -> Any:
    """pyspark's functions for a session: it has one set for sessions in this process, and one for those on a Spark Connect server."""
    return import_module(f"{'pyspark.sql.connect' if is_remote(spark) else 'pyspark.sql'}.functions")


def is_remote(spark: SparkSession) -> bool:
    """Whether a session is one on a Spark Connect server."""
    return "connect" in type(spark).__module__


def make_active(spark: SparkSession) -> None:
    """Have pyspark take a session on a server for the one of this thread.

    Without it, Spark Connect gives a checkpoint of one session to whichever was begun first (``proto_to_remote_cached_dataframe`` of pyspark 4.1).
    Frames of a session in this process know their own.
    """
    if is_remote(spark):
        type(spark)._active_session.session = spark


def check_session(spark: SparkSession, *, on_s3: bool = False) -> None:
    """Refuse a session, of whoever began it, that would compute something else or cannot write Iceberg.

    Args:
        spark: the session.
        on_s3: whether it has to reach tables on S3.

    Raises:
        ConfigError: its version, settings or jars are not those that are tested.
    """
    check_spark(spark.version)
    for key, wanted in SEMANTICS.items():
        if (found := str(spark.conf.get(key))).lower() != wanted.lower():
            raise ConfigError(
                _UNUSABLE,
                f"{key} is {found}, so it computes something else than DuckDB",
                f"Set it to {wanted}",
            )
    if EXTENSIONS not in str(spark.conf.get(_EXTENSIONS, "")):
        raise ConfigError(
            _UNUSABLE,
            "it began without Iceberg's extensions, and they cannot be added later",
            f"Begin it with {_EXTENSIONS}={EXTENSIONS}",
        )
    _check_jars(spark, on_s3=on_s3)


def _check_jars(spark: SparkSession, *, on_s3: bool) -> None:
    """Refuse a session without its jars, or with others. Spark is asked by SQL, because a session of Spark Connect has no Java here."""
    try:
        ((scala, iceberg),) = spark.sql(_VERSIONS).collect()
    except Exception as error:  # whatever pyspark raises where a class is not there
        raise ConfigError(
            _UNUSABLE, "it does not have the jar of Iceberg", f"Begin it with {RUNTIME}"
        ) from error
    if not scala.startswith(f"{SCALA}.") or iceberg != ICEBERG:
        raise ConfigError(
            _UNUSABLE,
            f"its jars are Iceberg {iceberg} and Scala {scala}, and {ICEBERG} with {SCALA} is tested",
            f"Begin it with {RUNTIME}",
        )
    if not on_s3:
        return
    try:
        spark.sql(_S3).collect()
    except Exception as error:  # same
        raise ConfigError(
            _UNUSABLE,
            "tables are on S3, and it does not have Iceberg's jar for it",
            f"Begin it with {S3_BUNDLE}",
        ) from error
