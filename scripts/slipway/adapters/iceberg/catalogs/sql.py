"""SQL catalogs: the pointers of all tables move in one database transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from slipway.adapters.iceberg.tables import StagedTable


def move(catalog: Catalog, staged: Sequence[StagedTable]) -> StagedTable | None:
    """Point the catalog at the staged metadata of every table.

    Returns:
        A table that is no longer at its base; then none was moved.
    """
    sql = cast("SqlCatalog", catalog)
    with Session(sql.engine) as session:
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
        session.commit()
    return None
