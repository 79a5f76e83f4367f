"""Opening a catalog of any kind, and asking it where its tables are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from slipway.domain.environment import Environment, is_rest

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.catalog.glue import GlueCatalog

    from slipway.adapters.iceberg.tables import TableId

_CONNECT_TIMEOUT = 10  # seconds


def open_catalog(environment: Environment, properties: Mapping[str, str]) -> Catalog:
    """The environment's catalog; the folder of a SQLite file is made.

    Raises:
        Exception: what pyiceberg and the drivers below it raise.
    """
    scheme, _, path = properties.get("uri", "").partition(":///")
    if scheme == "sqlite" and not path.startswith("file:"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    if is_rest(properties):
        from slipway.adapters.iceberg.catalogs.rest import ServedCatalog

        return ServedCatalog(environment.name, **properties)
    from pyiceberg.catalog import load_catalog

    return load_catalog(environment.name, **properties)


def connectable(properties: Mapping[str, str]) -> dict[str, str]:
    """The same properties, with what SQLAlchemy leaves open for PostgreSQL.

    An address without a driver means one that need not be installed, and a driver waits for ever for a server
    that does not answer.
    """
    uri = properties.get("uri", "")
    scheme, separator, rest = uri.partition("://")
    if scheme in ("postgres", "postgresql"):
        driver = "psycopg" if find_spec("psycopg") and not find_spec("psycopg2") else "psycopg2"
        scheme = f"postgresql+{driver}"
    if not separator or not scheme.startswith("postgresql"):
        return dict(properties)
    if "connect_timeout=" not in rest:
        rest += f"{'&' if '?' in rest else '?'}connect_timeout={_CONNECT_TIMEOUT}"
    return {**properties, "uri": f"{scheme}://{rest}"}


def locations(catalog: Catalog, only: Collection[TableId] | None) -> dict[TableId, str]:
    """Namespace and name of every table, or of those that are asked for, to its current metadata file."""
    kind = type(catalog).__name__
    if kind == "SqlCatalog":
        return _sql_locations(catalog)
    if kind == "GlueCatalog":
        return _glue_locations(cast("GlueCatalog", catalog))
    from pyiceberg.exceptions import NoSuchTableError

    if only is None:
        listed = (name for namespace in catalog.list_namespaces() for name in catalog.list_tables(namespace))
        only = [(".".join(name[:-1]), name[-1]) for name in listed]
    found = {}
    for namespace, name in only:
        with suppress(NoSuchTableError):  # dropped since it was listed
            found[namespace, name] = catalog.load_table(f"{namespace}.{name}").metadata_location
    return found


def _sql_locations(catalog: Any) -> dict[TableId, str]:
    from pyiceberg.catalog.sql import IcebergTables
    from sqlalchemy import select

    query = select(
        IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location
    ).where(IcebergTables.catalog_name == catalog.name)
    with catalog.engine.connect() as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(query) if row[2]}


def _glue_locations(catalog: GlueCatalog) -> dict[TableId, str]:
    """What the listing of each database says; Glue holds tables of other formats and tools, too."""
    found = {}
    for (database,) in catalog.list_namespaces():
        for page in catalog.glue.get_paginator("get_tables").paginate(DatabaseName=database):
            for table in page["TableList"]:
                parameters = table.get("Parameters", {})
                location = parameters.get("metadata_location")
                if location and parameters.get("table_type", "").lower() == "iceberg":
                    found[database, table["Name"]] = location
    return found
