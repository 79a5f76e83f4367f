"""Whether a catalog and a warehouse belong together, found out before anything is read from one or written to the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.adapters.records import Records
from slipway.domain.environment import Environment
from slipway.domain.errors import DamagedError

LEDGER: TableId = ("ops", "landed_files")
"""Made by slipway where the warehouse is, so its place tells whose catalog it is."""
OUTSIDE = frozenset({"ops"})
"""Namespaces that are written outside of releases."""
_SQLITE = "sqlite:///"


def catalog_file(environment: Environment) -> Path | None:
    """The file of a catalog that is one."""
    prefix, found, rest = environment.catalog_properties.get("uri", "").partition(_SQLITE)
    path = rest.partition("?")[0]
    return (
        Path(path) if found and not prefix and path and not path.startswith(("file:", ":memory:")) else None
    )


def check_file(records: Records) -> None:
    """Refuse to make a new catalog in the place of one that is gone.

    Raises:
        DamagedError: releases are recorded, and there is no catalog.
    """
    file = catalog_file(records.environment)
    if file is not None and not file.is_file() and records.release_keys():
        raise lost(records, f"there is no file {file}")


def check_catalog(tables: Tables, records: Records, now: Mapping[TableId, str]) -> None:
    """Refuse a catalog that lost all tables, or is of another warehouse.

    Args:
        tables: the environment.
        records: its records.
        now: what the catalog names.

    Raises:
        DamagedError: it is such a catalog.
    """
    if where := elsewhere(records.environment, now):
        raise DamagedError(
            f"the catalog of {records.environment.name} is of another environment",
            f"its tables are in {where}, and the warehouse is {records.environment.warehouse}",
            "check SLIPWAY_WAREHOUSE, SLIPWAY_HOME and --target",
        )
    # asked again: the first release may have been published and recorded since the catalog was
    if not _released(now) and records.release_keys() and not _released(tables.locations()):
        raise lost(records, "the catalog names no table")


def elsewhere(environment: Environment, now: Mapping[TableId, str]) -> str:
    """The warehouse that a catalog is of, when it is not the environment's; empty otherwise."""
    location = now.get(LEDGER, "")
    root, found, _ = location.partition(f"/{'/'.join(LEDGER)}/")
    return root if found and _plain(root) != _plain(environment.warehouse) else ""


def lost(records: Records, why: str) -> DamagedError:
    """The refusal where releases are recorded that the catalog knows nothing of.

    Raises:
        DamagedError: they are another environment's.
    """
    records.last_release()
    newest = records.release_keys()[-1]
    return DamagedError(
        f"the catalog of {records.environment.name} is gone",
        f"{why}, and {records.store.root}/{newest} is of a release",
        "restore it, check that it is the right one, or have slipway doctor --fix enter the tables of that release",
    )


def is_unused(tables: Tables) -> bool:
    """Whether a SQL catalog can be reached and was never used."""
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    catalog = tables.catalog
    try:
        return isinstance(catalog, SqlCatalog) and not inspect(catalog.engine).has_table("iceberg_tables")
    except SQLAlchemyError:
        return False


def _released(now: Mapping[TableId, str]) -> bool:
    return any(namespace not in OUTSIDE for namespace, _ in now)


def _plain(location: str) -> str:
    return location.removeprefix("file://").replace("s3a://", "s3://", 1).rstrip("/")
