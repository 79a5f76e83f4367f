"""A transaction that is staged and never committed, whose cost does not grow with the table's history.

pyiceberg's own applies all updates anew, and copies the metadata in depth, whenever it is asked for the metadata; with a
thousand snapshots that is most of a small write. Here every update is applied once: pyiceberg makes a new object for
what it changes and leaves the one before as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyiceberg.table import Table, Transaction
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    RemovePropertiesUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
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
        updates = tuple(self._not_older(update) for update in updates)
        super()._stage(updates, requirements)
        for update in updates:
            late = self._applied.last_updated_ms
            self._applied = _not_before(late, _apply_table_update(update, self._applied, self._context))
        return self

    def _not_older(self, update: TableUpdate) -> TableUpdate:
        """A snapshot is not older than the table that it is added to, whatever the clock says."""
        if not isinstance(update, AddSnapshotUpdate):
            return update
        taken_at = max(update.snapshot.timestamp_ms, self._applied.last_updated_ms)
        return AddSnapshotUpdate(snapshot=update.snapshot.model_copy(update={"timestamp_ms": taken_at}))

    def metadata_after(self, metadata_location: str | None) -> TableMetadata:
        """The metadata to write.

        Args:
            metadata_location: where the metadata before it is, None for a new table.
        """
        before, after = self._table.metadata, self._applied
        if metadata_location and self._context.has_changes():
            after = _update_table_metadata_log(after, metadata_location, before.last_updated_ms)
        if self._context.has_changes() and before.last_updated_ms == after.last_updated_ms:
            now = max(datetime_to_millis(datetime.now(UTC)), before.last_updated_ms)
            after = after.model_copy(update={"last_updated_ms": now})
        after.spec().check_compatible(after.schema())
        after.sort_order().check_compatible(after.schema())
        return after


def set_ref(
    name: str, snapshot_id: int | None, kind: SnapshotRefType = SnapshotRefType.TAG
) -> SetSnapshotRefUpdate:
    """The update that makes a tag, or another ref, name a snapshot."""
    return SetSnapshotRefUpdate(ref_name=name, type=kind.value, snapshot_id=snapshot_id)  # type: ignore[call-arg]


def updates_to(wanted: TableMetadata, have: TableMetadata) -> list[TableUpdate]:
    """What gives a table the schema, partitioning, sort order and properties that it had in another state."""
    updates: list[TableUpdate] = []
    if have.current_schema_id != wanted.current_schema_id:
        updates.append(SetCurrentSchemaUpdate(schema_id=wanted.current_schema_id))
    if have.default_spec_id != wanted.default_spec_id:
        updates.append(SetDefaultSpecUpdate(spec_id=wanted.default_spec_id))
    if have.default_sort_order_id != wanted.default_sort_order_id:
        updates.append(SetDefaultSortOrderUpdate(sort_order_id=wanted.default_sort_order_id))
    if dropped := sorted(have.properties.keys() - wanted.properties.keys()):
        updates.append(RemovePropertiesUpdate(removals=dropped))
    if changed := {k: v for k, v in wanted.properties.items() if have.properties.get(k) != v}:
        updates.append(SetPropertiesUpdate(updates=changed))
    return updates


def _not_before(late: int, after: TableMetadata) -> TableMetadata:
    """Metadata whose history does not go back in time.

    Java's readers refuse a table whose log is out of order by more than a minute (``TableMetadata``'s constructor in
    Apache Iceberg), so one run with a clock that is behind would make it unreadable.
    """
    if after.last_updated_ms >= late:
        return after
    log = list(after.snapshot_log)
    if log and log[-1].timestamp_ms < late:
        log[-1] = log[-1].model_copy(update={"timestamp_ms": late})
    return after.model_copy(update={"last_updated_ms": late, "snapshot_log": log})
