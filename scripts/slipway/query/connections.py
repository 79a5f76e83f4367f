"""How other engines open an environment's published tables: its catalog's properties in their words.

Sources: pyiceberg, "Configuration"; Apache Iceberg, "Spark Configuration" and "JDBC Catalog"; Trino, "Metastores" and
"Object storage file formats".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from slipway.environments.environment import Environment
from slipway.errors import NotFoundError
from slipway.releases.cut import Cut, TableVersion
from slipway.releases.lookup import environment_of
from slipway.secrets import shown

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
    """Settings of a Spark session with the Iceberg runtime; None when this kind of catalog has no counterpart."""
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
    """A Trino catalog file; None when Trino cannot open this catalog or reach its files."""
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


@dataclass(frozen=True)
class Connection:
    """Everything another engine needs.

    Args:
        name: the catalog's name.
        properties: for ``pyiceberg.catalog.load_catalog(name, **properties)``.
        masks_secrets: secrets were replaced.
        spark: settings of a Spark session; None where there is no counterpart.
        trino: a catalog file; None where Trino cannot reach it.
        tables: published tables, as they are now or as a release left them; empty when nothing is published.
        release: the release that ``tables`` are of, None for now.
    """

    name: str
    properties: dict[str, str]
    masks_secrets: bool
    spark: dict[str, str] | None
    trino: dict[str, str] | None
    tables: dict[str, TableVersion]
    release: int | None = None


def connection(
    project_dir: Path | None,
    target: str | None,
    *,
    show_secrets: bool,
    with_tables: bool = True,
    release: int | None = None,
    table: str | None = None,
) -> Connection:
    """How to open an environment, with secrets masked unless they are asked for.

    Args:
        project_dir: folder of dbt_project.yml, None to look for it.
        target: the environment.
        show_secrets: do not mask them.
        with_tables: find out which tables there are.
        release: as a release left them.
        table: the only table that is wanted, ``layer.table``.

    Raises:
        NotFoundError: no such release or table was published.
    """
    environment = environment_of(project_dir, target)
    given = environment.catalog_properties
    in_order = sorted(given, key=lambda name: (name not in ("type", "uri", "warehouse"), name))
    properties = {name: given[name] for name in in_order}
    if "uri" in properties:  # for PostgreSQL SQLAlchemy wants a driver that pyiceberg does not bring along
        properties["uri"] = re.sub(r"^postgres(?:ql)?://", "postgresql+psycopg2://", properties["uri"])
    visible = properties if show_secrets else shown(properties)
    return Connection(
        name=environment.name,
        properties=visible,
        masks_secrets=visible != properties,
        spark=spark(environment.name, visible, environment.warehouse),
        trino=trino(environment.name, visible, environment.warehouse),
        tables=_only(_tables(environment, release), table, environment) if with_tables else {},
        release=release,
    )


def _only(
    tables: dict[str, TableVersion], name: str | None, environment: Environment
) -> dict[str, TableVersion]:
    if name is None:
        return tables
    if name not in tables:
        raise NotFoundError(
            f"{environment.name} has no table {name}", "it is not published", Cut("", tables).hint(name)
        )
    return {name: tables[name]}


def _tables(environment: Environment, release: int | None) -> dict[str, TableVersion]:
    from slipway.releases.published import Published

    published = Published(environment)
    if release is not None:
        return dict(sorted(published.release(release).tables.items()))
    try:
        return dict(sorted(published.now().tables.items()))
    except NotFoundError:  # nothing is published yet; how to connect is known all the same
        return {}
