"""SQL catalogs: the pointers of all tables move in one database transaction of a few statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from sqlalchemy import ColumnElement, case, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from slipway.adapters.iceberg.tables import StagedTable

_AT_ONCE = 100  # tables of a statement: databases bound their parameters and the depth of expressions


def move(catalog: Catalog, staged: Sequence[StagedTable]) -> StagedTable | None:
    """Point the catalog at the staged metadata of every table.

    Returns:
        A table that is no longer at its base; then none was moved.
    """
    sql = cast("SqlCatalog", catalog)
    in_order = sorted(staged, key=lambda one: one.identifier)  # one order for all: no deadlock
    with Session(sql.engine) as session:
        for items in _parts([item for item in in_order if item.base is not None]):
            if not _update(session, sql, items):
                session.rollback()
                return _elsewhere(session, sql, items)
        for items in _parts([item for item in in_order if item.base is None]):
            rows = [sql._create_table_row(*item.identifier, item.table.metadata_location) for item in items]
            try:
                session.execute(insert(IcebergTables).values(rows))
            except IntegrityError:
                session.rollback()
                return _elsewhere(session, sql, items)
        session.commit()
    return None


def _update(session: Session, sql: SqlCatalog, items: Sequence[StagedTable]) -> bool:
    """Move tables that are there, if each is still at its base."""
    own = _rows(sql, items)
    if (
        sql.engine.dialect.name != "sqlite"
    ):  # which locks as a whole; others lock rows in the order they find them
        order = (IcebergTables.table_namespace, IcebergTables.table_name)
        session.execute(select(IcebergTables.table_name).where(*own).order_by(*order).with_for_update())
    bases = [(*item.identifier, item.base) for item in items]
    at_base = tuple_(IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location)
    to = case(*((_is(item), item.table.metadata_location) for item in items))
    moved: Any = session.execute(
        update(IcebergTables)
        .where(*own, at_base.in_(bases))
        .values(metadata_location=to, previous_metadata_location=IcebergTables.metadata_location)
        .execution_options(synchronize_session=False)
    )
    return bool(moved.rowcount == len(items))


def _elsewhere(session: Session, sql: SqlCatalog, items: Sequence[StagedTable]) -> StagedTable:
    """The first table that is not at its base; the first of all if another process has moved it back meanwhile."""
    query = select(
        IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location
    ).where(*_rows(sql, items))
    now = {(row[0], row[1]): row[2] for row in session.execute(query)}
    return next((item for item in items if now.get(item.identifier) != item.base), items[0])


def _rows(sql: SqlCatalog, items: Sequence[StagedTable]) -> tuple[ColumnElement[bool], ...]:
    names = tuple_(IcebergTables.table_namespace, IcebergTables.table_name)
    return IcebergTables.catalog_name == sql.name, names.in_([item.identifier for item in items])


def _is(item: StagedTable) -> ColumnElement[bool]:
    namespace, name = item.identifier
    return (IcebergTables.table_namespace == namespace) & (IcebergTables.table_name == name)


def _parts(items: Sequence[StagedTable]) -> Iterator[Sequence[StagedTable]]:
    return (items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE))
