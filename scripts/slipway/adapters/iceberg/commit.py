"""Publishing: every table of a candidate becomes current in one step, or none does."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog

from slipway.adapters.iceberg.tables import StagedTable, Tables
from slipway.domain.errors import ConflictError, UnavailableError

GUARANTEES = {
    "sql": "all tables in one database transaction",
}


def guarantee(catalog: Catalog) -> str:
    """What readers may rely on while a release is published to this kind of catalog.

    Raises:
        UnavailableError: nothing can publish several tables there at once.
    """
    if isinstance(catalog, SqlCatalog):
        return GUARANTEES["sql"]
    raise UnavailableError(
        f"cannot publish to a catalog of type {type(catalog).__name__}",
        "several tables must become visible at once",
        "use a SQL catalog (SQLite or PostgreSQL)",
    )


def publish(tables: Tables, staged: Sequence[StagedTable]) -> None:
    """Point the catalog at the staged metadata of every table in one transaction.

    Raises:
        ConflictError: a table is no longer where the run started from; nothing was published.
        UnavailableError: the catalog cannot publish several tables at once, or cannot be written.
    """
    from sqlalchemy.exc import OperationalError

    catalog = tables.catalog
    guarantee(catalog)
    assert isinstance(catalog, SqlCatalog)
    try:
        _move_pointers(tables, catalog, staged)
    except OperationalError as error:
        raise UnavailableError(
            f"catalog of {tables.environment.name} cannot be written",
            str(error.orig),
            "check that it is running and that nobody locks it, then run again",
        ) from error


def _move_pointers(tables: Tables, catalog: SqlCatalog, staged: Sequence[StagedTable]) -> None:
    from sqlalchemy import insert, update
    from sqlalchemy.exc import IntegrityError
    from sqlalchemy.orm import Session

    for namespace in sorted({item.identifier[0] for item in staged}):
        catalog.create_namespace_if_not_exists(namespace)
    with Session(catalog.engine) as session:
        for item in sorted(staged, key=lambda one: one.identifier):  # one order for all: no deadlock
            namespace, name = item.identifier
            if item.base is None:
                row = catalog._create_table_row(namespace, name, item.table.metadata_location)
                try:
                    session.execute(insert(IcebergTables).values(**row))
                except IntegrityError:
                    raise _moved(item, f"someone else created it, {_intruder(tables, item)}") from None
                continue
            moved = session.execute(
                update(IcebergTables)
                .where(
                    IcebergTables.catalog_name == catalog.name,
                    IcebergTables.table_namespace == namespace,
                    IcebergTables.table_name == name,
                    IcebergTables.metadata_location == item.base,
                )
                .values(metadata_location=item.table.metadata_location, previous_metadata_location=item.base)
            )
            if moved.rowcount != 1:  # type: ignore[attr-defined]
                raise _moved(item, _intruder(tables, item))
        session.commit()


def _moved(item: StagedTable, why: str) -> ConflictError:
    name = ".".join(item.identifier)
    return ConflictError(f"nothing was published: {name} moved", why, "run again on top of it")


def _intruder(tables: Tables, item: StagedTable) -> str:
    location = tables.locations().get(item.identifier)
    if location is None:
        return "it was dropped since the run began"
    current = tables.load(item.identifier, location).current_snapshot()
    return f"its current snapshot is now {current.snapshot_id if current else None}, not of this run"
