"""A transaction that is staged and never committed, whose cost does not grow with the table's history.

pyiceberg's own applies all updates anew, and copies the metadata in depth, whenever it is asked for the metadata; with a
thousand snapshots that is most of a small write. Here every update is applied once: pyiceberg makes a new object for
what it changes and leaves the one before as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyiceberg.table import Table, Transaction
from pyiceberg.table.update import (
    _apply_table_update,
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)
from pyiceberg.utils.datetime import datetime_to_millis

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableRequirement, TableUpdate


class Staging(Transaction):
    """Updates on top of a table."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._context = _TableMetadataUpdateContext()
        self._applied = table.metadata

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata with every update so far; nobody may change it."""
        return self._applied

    def _stage(
        self, updates: tuple[TableUpdate, ...], requirements: tuple[TableRequirement, ...] = ()
    ) -> Transaction:
        super()._stage(updates, requirements)
        for update in updates:
            self._applied = _apply_table_update(update, self._applied, self._context)
        return self

    def metadata_after(self, metadata_location: str | None) -> TableMetadata:
        """The metadata to write.

        Args:
            metadata_location: where the metadata before it is, None for a new table.
        """
        before, after = self._table.metadata, self._applied
        if metadata_location and self._context.has_changes():
            after = _update_table_metadata_log(after, metadata_location, before.last_updated_ms)
        if self._context.has_changes() and before.last_updated_ms == after.last_updated_ms:
            now = datetime_to_millis(datetime.now(UTC))
            after = after.model_copy(update={"last_updated_ms": now})
        after.spec().check_compatible(after.schema())
        after.sort_order().check_compatible(after.schema())
        return after
