"""SQL catalogs: the pointers of all tables move in one database transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from slipway.adapters.iceberg.catalogs.opened import LOCK_TIMEOUT
from slipway.adapters.iceberg.tables import Moved, StagedTable, TableId


def move(catalog: Catalog, staged: Sequence[StagedTable]) -> StagedTable | Moved:
    """Point the catalog at the staged metadata of every table.

    Returns:
        A table that is no longer at its base, and then none was moved; or what the catalog shows from here on.
    """
    sql = cast("SqlCatalog", catalog)
    with Session(sql.engine) as session:
        _keep_out_others(session)
        for item in sorted(staged, key=lambda one: one.identifier):  # one order for all: no deadlock
            namespace, name = item.identifier
            if item.base is None:
                row = sql._create_table_row(namespace, name, item.table.metadata_location)
                try:
                    session.execute(insert(IcebergTables).values(**row))
                except IntegrityError:
                    return item
                continue
            moved = session.execute(
                update(IcebergTables)
                .where(
                    IcebergTables.catalog_name == sql.name,
                    IcebergTables.table_namespace == namespace,
                    IcebergTables.table_name == name,
                    IcebergTables.metadata_location == item.base,
                )
                .values(metadata_location=item.table.metadata_location, previous_metadata_location=item.base)
            )
            if moved.rowcount != 1:  # type: ignore[attr-defined]
                return item
        shown = Moved(_locations(session, sql.name), _clock(session))
        session.commit()
    return shown


def locations(catalog: Catalog) -> dict[TableId, str]:
    """Current metadata location of every table, as one query finds them."""
    sql = cast("SqlCatalog", catalog)
    with Session(sql.engine) as session:
        return _locations(session, sql.name)


def _locations(session: Session, catalog: str) -> dict[TableId, str]:
    columns = (IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location)
    query = select(*columns).where(IcebergTables.catalog_name == catalog)
    return {(row[0], row[1]): row[2] for row in session.execute(query) if row[2]}


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
