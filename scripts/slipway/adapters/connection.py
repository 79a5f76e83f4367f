"""How other engines open an environment's catalog: its pyiceberg properties in their words.

Sources: pyiceberg, "Configuration"; Apache Iceberg, "Spark Configuration" and "JDBC Catalog"; Trino, "Metastores" and
"Object storage file formats".
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

_SPARK_S3 = {
    "s3.endpoint": "s3.endpoint",
    "s3.region": "client.region",
    "s3.access-key-id": "s3.access-key-id",
    "s3.secret-access-key": "s3.secret-access-key",
    "s3.session-token": "s3.session-token",
}
_TRINO_S3 = {
    "s3.endpoint": "s3.endpoint",
    "s3.region": "s3.region",
    "s3.access-key-id": "s3.aws-access-key",
    "s3.secret-access-key": "s3.aws-secret-key",
}


def spark(name: str, properties: Mapping[str, str], root: str) -> dict[str, str] | None:
    """Settings of a Spark session with the Iceberg runtime; None when this kind of catalog has no counterpart.

    Args:
        name: of the catalog.
        properties: of the catalog.
        root: of the warehouse.
    """
    kind, uri = properties.get("type", ""), properties.get("uri", "")
    settings = {"": "org.apache.iceberg.spark.SparkCatalog"}
    if warehouse := properties.get("warehouse"):
        settings[".warehouse"] = warehouse
    if kind == "sql":
        settings |= {
            ".type": "jdbc",
            **{f".{key}": value for key, value in _jdbc(uri, "uri", "jdbc.").items()},
        }
        settings[".jdbc.schema-version"] = "V1"
    elif kind in ("rest", "glue", "hive"):
        settings |= {".type": kind} | ({".uri": uri} if uri else {})
    else:
        return None
    if root.startswith("s3"):
        settings[".io-impl"] = "org.apache.iceberg.aws.s3.S3FileIO"
        settings |= {
            f".{theirs}": properties[ours] for ours, theirs in _SPARK_S3.items() if ours in properties
        }
        if "s3.endpoint" in properties:
            settings[".s3.path-style-access"] = "true"
    return {f"spark.sql.catalog.{name}{key}": value for key, value in settings.items()}


def trino(name: str, properties: Mapping[str, str], root: str) -> dict[str, str] | None:
    """A Trino catalog file; None when Trino cannot open this catalog or reach its files.

    Args:
        name: of the catalog.
        properties: of the catalog.
        root: of the warehouse.
    """
    kind, uri = properties.get("type", ""), properties.get("uri", "")
    if uri.startswith("sqlite") or not root.startswith("s3"):
        return None  # Trino ships no SQLite driver, and its workers do not see this machine's folders
    settings = {"connector.name": "iceberg"}
    if kind == "sql":
        settings |= {
            "iceberg.catalog.type": "jdbc",
            "iceberg.jdbc-catalog.catalog-name": name,
            "iceberg.jdbc-catalog.driver-class": "org.postgresql.Driver",
            **{
                f"iceberg.jdbc-catalog.{key}": value
                for key, value in _jdbc(uri, "connection-url", "connection-").items()
            },
            "iceberg.jdbc-catalog.default-warehouse-dir": root,
        }
    elif kind == "rest":
        settings |= {"iceberg.catalog.type": "rest", "iceberg.rest-catalog.uri": uri}
        if warehouse := properties.get("warehouse"):
            settings["iceberg.rest-catalog.warehouse"] = warehouse
    elif kind == "glue":
        settings |= {"iceberg.catalog.type": "glue"}
    else:
        return None
    settings["fs.native-s3.enabled"] = "true"
    settings |= {theirs: properties[ours] for ours, theirs in _TRINO_S3.items() if ours in properties}
    if "s3.endpoint" in properties:
        settings["s3.path-style-access"] = "true"
    return settings


def _jdbc(uri: str, address: str, prefix: str) -> dict[str, str]:
    """A SQLAlchemy address as JDBC's, with user and password apart."""
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite":
        return {address: f"jdbc:sqlite:{uri.partition(':///')[2]}"}
    host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    found = {address: f"jdbc:{scheme}://{host}{parts.path}{f'?{parts.query}' if parts.query else ''}"}
    if parts.username:
        found[f"{prefix}user"] = unquote(parts.username)
    if parts.password:
        found[f"{prefix}password"] = unquote(parts.password)
    return found
