"""SQL catalogs: the pointers of all tables move in one database transaction of a few statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from sqlalchemy import ColumnElement, case, delete, event, func, insert, select, text, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from slipway.environments.environment import LOCK_TIMEOUT
from slipway.iceberg.snapshots import Moved, StagedTable
from slipway.names import TableName

_AT_ONCE = 100  # tables of a statement: databases bound their parameters and the depth of expressions


def move(catalog: Catalog, staged: Sequence[StagedTable]) -> StagedTable | Moved:
    """Point the catalog at the staged metadata of every table.

    Returns:
        A table that is no longer at its base, and then none was moved; or what the catalog shows from here on.
    """
    sql = cast("SqlCatalog", catalog)
    in_order = sorted(staged, key=lambda one: one.identifier)  # one order for all: no deadlock
    with Session(sql.engine) as session:
        _keep_out_others(session)
        for step, chosen in (
            (_remove, [item for item in in_order if item.retires]),
            (_update, [item for item in in_order if item.base is not None and not item.retires]),
            (_insert, [item for item in in_order if item.base is None]),
        ):
            for at in range(0, len(chosen), _AT_ONCE):
                items = chosen[at : at + _AT_ONCE]
                if not step(session, sql, items):
                    session.rollback()
                    return _elsewhere(session, sql, items)
        shown = Moved(_locations(session, sql.name), _clock(session))
        session.commit()
    return shown


def only_read(catalog: Catalog) -> None:
    """Have PostgreSQL refuse whatever this process would change; a file of SQLite is opened only for reading."""
    engine = cast("SqlCatalog", catalog).engine
    if engine.dialect.name != "postgresql":
        return

    def connected(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("set default_transaction_read_only = on")
        connection.commit()

    event.listen(engine, "connect", connected)
    engine.dispose()  # connections of before


def locations(catalog: Catalog) -> dict[TableName, str]:
    """Current metadata file of every table, as one query finds them."""
    sql = cast("SqlCatalog", catalog)
    with Session(sql.engine) as session:
        return _locations(session, sql.name)


def _update(session: Session, sql: SqlCatalog, items: Sequence[StagedTable]) -> bool:
    """Move tables that are there, if each is still at its base."""
    namespace, name = IcebergTables.table_namespace, IcebergTables.table_name
    to = case(
        *(
            ((namespace == item.identifier[0]) & (name == item.identifier[1]), item.table.metadata_location)
            for item in items
        )
    )
    moved: Any = session.execute(
        update(IcebergTables)
        .where(*_at_base(sql, items))
        .values(metadata_location=to, previous_metadata_location=IcebergTables.metadata_location)
        .execution_options(synchronize_session=False)
    )
    return bool(moved.rowcount == len(items))


def _remove(session: Session, sql: SqlCatalog, items: Sequence[StagedTable]) -> bool:
    """Take tables out of the catalog, if each is still at its base."""
    removed: Any = session.execute(
        delete(IcebergTables).where(*_at_base(sql, items)).execution_options(synchronize_session=False)
    )
    return bool(removed.rowcount == len(items))


def _insert(session: Session, sql: SqlCatalog, items: Sequence[StagedTable]) -> bool:
    """Enter tables that are new, if none of them is there."""
    rows = [sql._create_table_row(*item.identifier, item.table.metadata_location) for item in items]
    try:
        session.execute(insert(IcebergTables).values(rows))
    except IntegrityError:
        return False
    return True


def _at_base(sql: SqlCatalog, items: Sequence[StagedTable]) -> tuple[ColumnElement[bool], ...]:
    at_base = tuple_(IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location)
    return *_rows(sql, items), at_base.in_([(*item.identifier, item.base) for item in items])


def _elsewhere(session: Session, sql: SqlCatalog, items: Sequence[StagedTable]) -> StagedTable:
    """The first table that is not at its base; the first of all if another process has moved it back meanwhile."""
    query = select(
        IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location
    ).where(*_rows(sql, items))
    now = {TableName(row[0], row[1]): row[2] for row in session.execute(query)}
    return next((item for item in items if now.get(item.identifier) != item.base), items[0])


def _rows(sql: SqlCatalog, items: Sequence[StagedTable]) -> tuple[ColumnElement[bool], ...]:
    names = tuple_(IcebergTables.table_namespace, IcebergTables.table_name)
    return IcebergTables.catalog_name == sql.name, names.in_([item.identifier for item in items])


def _locations(session: Session, catalog: str) -> dict[TableName, str]:
    columns = (IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location)
    query = select(*columns).where(IcebergTables.catalog_name == catalog)
    return {TableName(row[0], row[1]): row[2] for row in session.execute(query) if row[2]}


def _keep_out_others(session: Session) -> None:
    """Let no one else move a table until this transaction ends, so that it sees what readers see after it.

    SQLite does so by itself from the first change on.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"set local lock_timeout = '{LOCK_TIMEOUT}s'"))
        session.execute(text(f"lock table {IcebergTables.__tablename__} in share row exclusive mode"))


def _clock(session: Session) -> datetime:
    """The time of the server that all publishers share; of this machine where there is none."""
    if session.get_bind().dialect.name == "postgresql":
        return cast("datetime", session.execute(select(func.clock_timestamp())).scalar_one()).astimezone(UTC)
    return datetime.now(UTC)
