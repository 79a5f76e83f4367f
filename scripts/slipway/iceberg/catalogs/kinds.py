"""What a catalog can do: one class for each kind, so that nobody else asks which it is."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from slipway.names import TableName

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from slipway.iceberg.catalogs.movers import CatalogTables, UpdateMover

ONE_BY_ONE = (
    "one table after the other, finished or undone by the next command if interrupted;"
    " readers other than slipway may see a mixture meanwhile"
)


class CatalogKind:
    """A catalog that pyiceberg reads and writes by Iceberg's updates, table by table; other kinds can do more."""

    is_atomic = False
    """Whether several tables are known to become visible at once, so that no write-ahead record has to lead."""
    keeps_staged_metadata = False
    """Whether it is pointed at the metadata files that were staged, instead of writing files of its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def locations(self, only: Collection[TableName] | None) -> dict[TableName, str]:
        """Current metadata file of every table, or of those that are asked for."""
        from pyiceberg import exceptions

        catalog = self._catalog
        if only is None:
            namespaces = catalog.list_namespaces()
            only = [TableName.of(name) for namespace in namespaces for name in catalog.list_tables(namespace)]
        found = {}
        for table in only:
            with suppress(exceptions.NoSuchTableError):  # dropped since it was listed
                found[table] = catalog.load_table(str(table)).metadata_location
        return found

    def check_name(self, table: TableName) -> None:
        """Refuse a name that the catalog could not keep; raises ConfigError."""

    def mover(self, tables: CatalogTables) -> UpdateMover:
        """How its tables are moved one by one."""
        from slipway.iceberg.catalogs.movers import UpdateMover

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
