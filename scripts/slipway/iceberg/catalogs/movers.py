"""How tables of a catalog are moved by Iceberg's updates, one by one.

A release is put on top of commits of other programs where they changed neither rows nor what shapes them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSnapshotUpdate,
    AddSortOrderUpdate,
    AssertCreate,
    AssertCurrentSchemaId,
    AssertDefaultSortOrderId,
    AssertDefaultSpecId,
    AssertLastAssignedFieldId,
    AssertLastAssignedPartitionId,
    AssertRefSnapshotId,
    AssertTableUUID,
    AssignUUIDUpdate,
    RemoveSnapshotRefUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetLocationUpdate,
    SetPartitionStatisticsUpdate,
    SetPropertiesUpdate,
    SetStatisticsUpdate,
    TableRequirement,
    TableUpdate,
    UpgradeFormatVersionUpdate,
)

from slipway.iceberg.snapshots import StagedTable, Staging, set_ref, updates_to
from slipway.names import TableName


class CatalogTables(Protocol):
    """What moving tables needs of ``slipway.iceberg.tables.Tables``."""

    @property
    def catalog(self) -> Catalog:
        """The pyiceberg catalog."""

    def locations(self, only: Collection[TableName] | None = None) -> dict[TableName, str]:
        """Current metadata files of tables."""

    def load(self, identifier: TableName, metadata_location: str) -> Table:
        """The table as one metadata file describes it."""

    def stage(self, table: Table, transaction: Staging, *, new: bool) -> StagedTable:
        """Write the metadata file that a transaction leads to."""


def obstacle(base: TableMetadata, now: TableMetadata) -> str:
    """Why what was staged on a state of a table cannot be put on a later one; empty when it can.

    Rows, schema, partitioning and order must be as they were. Sequence numbers, too: those of the staged snapshot stand
    in its files.
    """
    if now.table_uuid != base.table_uuid:
        return "it was dropped and made again since the run began"
    if now.current_snapshot_id != base.current_snapshot_id:
        return f"its current snapshot is now {now.current_snapshot_id}, not of this run"
    if not same(base, now, "last_sequence_number"):
        known = {snapshot.snapshot_id for snapshot in base.snapshots}
        others = [snapshot.snapshot_id for snapshot in now.snapshots if snapshot.snapshot_id not in known]
        return f"someone committed snapshot {', '.join(map(str, others)) or 'unknown'} outside of its main branch"
    for what, unchanged in (
        ("schema", same(base, now, "schemas", "current_schema_id", "last_column_id")),
        ("partitioning", same(base, now, "partition_specs", "default_spec_id", "last_partition_id")),
        ("sort order", same(base, now, "sort_orders", "default_sort_order_id")),
        ("format version", same(base, now, "format_version")),
        ("location", same(base, now, "location")),
    ):
        if not unchanged:
            return f"its {what} was changed by someone else"
    return ""


def can_be_published_on(
    tables: CatalogTables, identifier: TableName, base: str | None, now: str | None
) -> bool:
    """Whether what was staged on a metadata file can be published on what the catalog names now.

    Raises:
        UnavailableError: one of the two cannot be read.
    """
    if base == now:
        return True
    if base is None or now is None:
        return False
    one, other = (tables.load(identifier, location).metadata for location in (base, now))
    return not obstacle(one, other)


def on_top(tables: CatalogTables, staged: Sequence[StagedTable]) -> list[StagedTable]:
    """The same changes, staged on what the catalog names now where only such commits came between; the rest as it is."""
    now = tables.locations({item.identifier for item in staged})
    return [_on(tables, item, now.get(item.identifier)) for item in staged]


def undone(tables: CatalogTables, item: StagedTable, location: str, tag: str) -> Table | None:
    """A table without the release and with what others did to it since; None when they changed its rows."""
    current = tables.load(item.identifier, location)
    if item.base is None or obstacle(item.table.metadata, current.metadata):
        return None
    transaction = Staging(current)
    try:
        transaction._stage(backward(tables.load(item.identifier, item.base), item, tag)[1])
    except ValueError:  # the snapshots that it would go back to have expired
        return None
    return tables.stage(current, transaction, new=False).table


def _on(tables: CatalogTables, item: StagedTable, location: str | None) -> StagedTable:
    if item.base is None or location is None or location == item.base:
        return item
    base, current = tables.load(item.identifier, item.base), tables.load(item.identifier, location)
    if obstacle(base.metadata, current.metadata):
        return item
    if item.retires:
        return replace(item, table=current, base=location)
    transaction = Staging(current)
    try:
        transaction._stage(item.updates)
    except ValueError:  # snapshots that it names have expired
        return item
    return tables.stage(current, transaction, new=False)


def same(one: TableMetadata, other: TableMetadata, *names: str) -> bool:
    """Whether two states of a table agree in fields, which not every format version has."""
    return all(getattr(one, name, None) == getattr(other, name, None) for name in names)


Change = tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]
"""What must be true of a table, and what is then done to it."""


class UpdateMover:
    """Moves single tables by updates, each only if it still is where it is expected; False when it is not.

    ``whole`` says that until now nothing was moved but all tables that were asked for, at once.
    """

    whole = False

    def __init__(self, tables: CatalogTables) -> None:
        self._tables = tables

    def forward_all(self, items: Sequence[StagedTable]) -> None:
        """As many as can be, in this order, until one is not where it is expected."""
        for item in items:
            if not self.forward(item):
                return

    def forward(self, item: StagedTable) -> bool:
        """From the base to the staged state; makes a new table, and drops one that is retired, which catalogs cannot guard."""
        if item.retires:
            return self._retire(item)
        return self._register(item) if item.base is None else self._advance(item)

    def back(self, item: StagedTable, tag: str) -> bool:
        """From the staged state, which carries the tag, to the base; drops a new table, which catalogs cannot guard."""
        if item.retires:
            return self._register(item)
        if item.base is not None:
            return self._return(item, tag)
        return self._shows(item) and self._drop(item)

    def _retire(self, item: StagedTable) -> bool:
        location = self._tables.locations({item.identifier}).get(item.identifier)
        if location is None or not can_be_published_on(self._tables, item.identifier, item.base, location):
            return False
        return self._drop(item)

    def _drop(self, item: StagedTable) -> bool:
        try:
            self._tables.catalog.drop_table(item.identifier)
        except NoSuchTableError:
            return False
        return True

    def _register(self, item: StagedTable) -> bool:
        try:
            self._tables.catalog.register_table(item.identifier, item.table.metadata_location)
        except TableAlreadyExistsError:
            return False
        return True

    def _advance(self, item: StagedTable) -> bool:
        return self._commit(item, forward(self._tables, item))

    def _return(self, item: StagedTable, tag: str) -> bool:
        assert item.base is not None
        return self._commit(item, backward(self._tables.load(item.identifier, item.base), item, tag))

    def _shows(self, item: StagedTable) -> bool:
        """Whether the catalog shows a new table as it was staged."""
        try:
            current = self._tables.catalog.load_table(item.identifier).current_snapshot()
        except NoSuchTableError:
            return False
        return (current.snapshot_id if current else None) == item.snapshot_id

    def _commit(self, item: StagedTable, change: Change) -> bool:
        try:
            table = self._tables.catalog.load_table(item.identifier)
            self._tables.catalog.commit_table(table, *change)
        except (CommitFailedException, NoSuchTableError):
            return False
        return True


def forward(tables: CatalogTables, item: StagedTable) -> Change:
    """What leads from the base, or from nothing, to the staged state."""
    if item.base is None:
        return (AssertCreate(),), _everything(item.table.metadata)
    base = tables.load(item.identifier, item.base)
    return (*_at(base), *_shaped_as(base.metadata)), item.updates


def backward(base: Table, item: StagedTable, tag: str) -> Change:
    """What leads from the staged state back to what the base shows."""
    was, now = base.metadata, item.table.metadata
    updates: list[TableUpdate] = [RemoveSnapshotRefUpdate(ref_name=tag)]
    current = base.current_snapshot()
    if current is None:
        updates.append(RemoveSnapshotRefUpdate(ref_name=MAIN_BRANCH))
    elif current.snapshot_id != item.snapshot_id:
        updates.append(set_ref(MAIN_BRANCH, current.snapshot_id, SnapshotRefType.BRANCH))
    updates += updates_to(was, now)
    requirements = (*_at(item.table), AssertRefSnapshotId(ref=tag, snapshot_id=now.refs[tag].snapshot_id))
    return requirements, tuple(updates)


def _at(table: Table) -> tuple[TableRequirement, ...]:
    current = table.current_snapshot()
    return (
        AssertTableUUID(uuid=table.metadata.table_uuid),
        AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=current.snapshot_id if current else None),
    )


def _shaped_as(base: TableMetadata) -> tuple[TableRequirement, ...]:
    """What else the updates rest on; properties are not among it."""
    return (
        AssertCurrentSchemaId(current_schema_id=base.current_schema_id),
        AssertLastAssignedFieldId(last_assigned_field_id=base.last_column_id),
        AssertDefaultSpecId(default_spec_id=base.default_spec_id),
        AssertLastAssignedPartitionId(last_assigned_partition_id=base.last_partition_id),
        AssertDefaultSortOrderId(default_sort_order_id=base.default_sort_order_id),
    )


def _everything(metadata: TableMetadata) -> tuple[TableUpdate, ...]:
    """Updates that make a table out of nothing; a new table has one schema, spec and order, as they were staged."""
    return (
        AssignUUIDUpdate(uuid=metadata.table_uuid),
        UpgradeFormatVersionUpdate(format_version=metadata.format_version),
        AddSchemaUpdate(schema=metadata.schema()),  # type: ignore[call-arg]
        SetCurrentSchemaUpdate(schema_id=-1),
        AddPartitionSpecUpdate(spec=metadata.spec()),
        SetDefaultSpecUpdate(spec_id=-1),
        AddSortOrderUpdate(sort_order=metadata.sort_orders[-1]),
        SetDefaultSortOrderUpdate(sort_order_id=-1),
        SetLocationUpdate(location=metadata.location),
        SetPropertiesUpdate(updates=dict(metadata.properties)),
        *(AddSnapshotUpdate(snapshot=snapshot) for snapshot in metadata.snapshots),
        *(set_ref(name, ref.snapshot_id, ref.snapshot_ref_type) for name, ref in metadata.refs.items()),
        *(SetStatisticsUpdate(statistics=one) for one in metadata.statistics),
        *(SetPartitionStatisticsUpdate(partition_statistics=one) for one in metadata.partition_statistics),
    )
