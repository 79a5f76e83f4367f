"""Opening a catalog of any kind, and finding out which it is, with what pyiceberg and SQLAlchemy leave open."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from slipway.environments.environment import LOCK_TIMEOUT, Environment, catalog_file, is_rest
from slipway.iceberg.catalogs.kinds import CatalogKind
from slipway.names import TableName
from slipway.write_limits import is_limited

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


_CONNECT_TIMEOUT = 10  # seconds
_ATTEMPTS = 5


def open_catalog(environment: Environment, properties: Mapping[str, str]) -> Catalog:
    """The environment's catalog, by properties as ``connectable`` returns them; with the folder and tables of a SQL catalog that are not there yet.

    Raises:
        Exception: what pyiceberg and the drivers below it raise.
    """
    file = catalog_file(properties)
    read_only = is_limited(properties, str(file) if file else properties.get("uri", ""))
    if read_only:
        properties = {**properties, "init_catalog_tables": "false"}
        if file:
            properties["uri"] = (
                f"sqlite:///file:{quote(str(file.absolute()))}?mode=ro&uri=true&timeout={LOCK_TIMEOUT}"
            )
    elif file:
        file.parent.mkdir(parents=True, exist_ok=True)
    if is_rest(properties):
        from slipway.iceberg.catalogs.rest_catalog import ServedCatalog

        return ServedCatalog(environment.name, **properties)
    from pyiceberg.catalog import load_catalog

    for attempt in range(_ATTEMPTS):
        try:
            catalog = load_catalog(environment.name, **properties)
            return read_only_catalog(catalog) if read_only else catalog
        except Exception as error:
            # another process made the tables after this one had looked for them
            if "already exists" not in str(error) or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def read_only_catalog(catalog: Catalog) -> Catalog:
    """The same catalog, which refuses to change anything: PostgreSQL does so itself, Glue is not asked."""
    match type(catalog).__name__:
        case "SqlCatalog":
            from slipway.iceberg.catalogs import sql_catalog

            sql_catalog.only_read(catalog)
        case "GlueCatalog":
            from slipway.iceberg.catalogs import glue_catalog

            glue_catalog.only_read(catalog)
    return catalog


def kind_of(name: str, properties: Mapping[str, str], opened: Callable[[], Catalog]) -> CatalogKind:
    """What a catalog can do; it is opened unless the properties say of which kind it is, and modules of other kinds are not imported."""
    sql = SqlKind(name, properties, opened)
    if properties.get("type") == "sql":
        return sql
    catalog = opened()
    match type(catalog).__name__:
        case "SqlCatalog":
            return sql
        case "GlueCatalog":
            from slipway.iceberg.catalogs.glue_catalog import GlueKind

            return GlueKind(catalog)
        case "ServedCatalog":
            from slipway.iceberg.catalogs.rest_catalog import RestKind

            return RestKind(catalog)
    return CatalogKind(catalog)


def connectable(properties: Mapping[str, str]) -> dict[str, str]:
    """The same properties, with what SQLAlchemy leaves open for PostgreSQL and SQLite.

    An address without a driver means one that need not be installed, and a driver waits for ever for a PostgreSQL
    server that does not answer, and but five seconds for another process that writes to SQLite.
    """
    uri = properties.get("uri", "")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return dict(properties)
    if scheme in ("postgres", "postgresql"):
        driver = "psycopg" if find_spec("psycopg") and not find_spec("psycopg2") else "psycopg2"
        scheme = f"postgresql+{driver}"
    if scheme.startswith("postgresql"):
        rest = _with(rest, "connect_timeout", _CONNECT_TIMEOUT)
    elif scheme == "sqlite":
        rest = _with(rest, "timeout", LOCK_TIMEOUT)
    return {**properties, "uri": f"{scheme}://{rest}"}


def _with(address: str, name: str, value: int) -> str:
    if f"{name}=" in address.partition("?")[2]:
        return address
    return f"{address}{'&' if '?' in address else '?'}{name}={value}"


class SqlKind(CatalogKind):
    """A SQL database, which is opened when it is first needed."""

    is_atomic = True
    keeps_staged_metadata = True

    def __init__(self, name: str, properties: Mapping[str, str], opened: Callable[[], Catalog]) -> None:
        self._name, self._file, self._opened = name, catalog_file(properties), opened

    def locations(self, only: Collection[TableName] | None) -> dict[TableName, str]:  # noqa: ARG002 - one query finds all
        """Current metadata file of every table, as one query finds them.

        A file of SQLite is asked without SQLAlchemy, which takes longer to import than a query to run. Whatever is wrong with
        it, SQLAlchemy is asked all the same, and says so.
        """
        if self._file is not None:
            with suppress(sqlite3.Error):
                return _locations_in(self._file, self._name)
        from slipway.iceberg.catalogs import sql_catalog

        return sql_catalog.locations(self._opened())

    def guarantee(self, *, whole: bool) -> str:  # noqa: ARG002 - it is always whole
        """What readers may rely on while a release is published."""
        return "all tables in one database transaction"


def _locations_in(file: Path, catalog: str) -> dict[TableName, str]:
    address = f"{file.absolute().as_uri()}?mode=ro"
    query = "select table_namespace, table_name, metadata_location from iceberg_tables where catalog_name = ?"
    with closing(sqlite3.connect(address, timeout=LOCK_TIMEOUT, uri=True)) as connection:
        rows = connection.execute(query, [catalog]).fetchall()
    return {TableName(row[0], row[1]): row[2] for row in rows if row[2]}
