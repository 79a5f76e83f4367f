"""Opening a catalog of any kind, and finding out which it is, with what pyiceberg and SQLAlchemy leave open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from slipway.environments.environment import Environment, is_rest
from slipway.iceberg.catalogs.kinds import CatalogKind, SqlKind
from slipway.iceberg.catalogs.sqlite_file import LOCK_TIMEOUT, catalog_file

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


_CONNECT_TIMEOUT = 10  # seconds
_ATTEMPTS = 5


def open_catalog(environment: Environment, properties: Mapping[str, str]) -> Catalog:
    """The environment's catalog, and the folder and tables of a SQL catalog that are not there yet.

    Args:
        environment: whose it is.
        properties: as ``connectable`` returns them.

    Raises:
        Exception: what pyiceberg and the drivers below it raise.
    """
    if file := catalog_file(properties):
        file.parent.mkdir(parents=True, exist_ok=True)
    if is_rest(properties):
        from slipway.iceberg.catalogs.rest_catalog import ServedCatalog

        return ServedCatalog(environment.name, **properties)
    from pyiceberg.catalog import load_catalog

    for attempt in range(_ATTEMPTS):
        try:
            return load_catalog(environment.name, **properties)
        except Exception as error:
            # another process made the tables after this one had looked for them
            if "already exists" not in str(error) or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def kind_of(name: str, properties: Mapping[str, str], opened: Callable[[], Catalog]) -> CatalogKind:
    """What a catalog can do; the modules of kinds that are not used are not imported.

    Args:
        name: of the catalog.
        properties: of the catalog.
        opened: opens it, which is done unless the properties say of which kind it is.
    """
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
