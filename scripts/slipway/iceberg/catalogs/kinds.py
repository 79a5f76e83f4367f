"""What a catalog can do: one class for each kind, so that nobody else asks which kind it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.iceberg.catalogs.sqlite_file import LOCK_TIMEOUT, catalog_file
from slipway.names import TableName

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from slipway.iceberg.catalogs.updates import CatalogTables, UpdateMover

ONE_BY_ONE = (
    "one table after the other, finished or undone by the next command if interrupted;"
    " readers other than slipway may see a mixture meanwhile"
)
ONE_TRANSACTION = "all tables in one database transaction"


class CatalogKind:
    """A catalog that pyiceberg reads and writes by Iceberg's updates, table by table; other kinds can do more.

    Args:
        catalog: as it was opened.
    """

    is_atomic = False
    """Whether several tables are known to become visible at once, so that no write-ahead record has to lead."""
    keeps_staged_metadata = False
    """Whether it is pointed at the metadata files that were staged, instead of writing files of its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def locations(self, only: Collection[TableName] | None) -> dict[TableName, str]:
        """Current metadata file of every table, or of those that are asked for."""
        from pyiceberg.exceptions import NoSuchTableError

        catalog = self._catalog
        if only is None:
            namespaces = catalog.list_namespaces()
            only = [TableName.of(name) for namespace in namespaces for name in catalog.list_tables(namespace)]
        found = {}
        for table in only:
            with suppress(NoSuchTableError):  # dropped since it was listed
                found[table] = catalog.load_table(str(table)).metadata_location
        return found

    def check_name(self, table: TableName) -> None:
        """Refuse a name that the catalog could not keep; raises ConfigError."""

    def mover(self, tables: CatalogTables) -> UpdateMover:
        """How its tables are moved one by one."""
        from slipway.iceberg.catalogs.updates import UpdateMover

        return UpdateMover(tables)

    def guarantee(self, *, whole: bool) -> str:  # noqa: ARG002 - other kinds need it
        """What readers may rely on while a release is published.

        Args:
            whole: whether one request was for all of its tables.
        """
        return ONE_BY_ONE

    @property
    def cannot_hold(self) -> str:
        """Why it cannot hold releases; empty for a catalog that can."""
        return ""

    def is_unsure(self, error: Exception) -> bool:  # noqa: ARG002 - other kinds need it
        """Whether it may have done what it was asked for, although it raised this error."""
        return False


class SqlKind(CatalogKind):
    """A SQL database, which is opened when it is first needed.

    Args:
        name: of the catalog.
        properties: of the catalog.
        opened: opens it.
    """

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
        return ONE_TRANSACTION


def _locations_in(file: Path, catalog: str) -> dict[TableName, str]:
    address = f"{file.absolute().as_uri()}?mode=ro"
    query = "select table_namespace, table_name, metadata_location from iceberg_tables where catalog_name = ?"
    with closing(sqlite3.connect(address, timeout=LOCK_TIMEOUT, uri=True)) as connection:
        rows = connection.execute(query, [catalog]).fetchall()
    return {TableName(row[0], row[1]): row[2] for row in rows if row[2]}
