"""Catalogs that apply updates and write metadata files of their own: REST, and what else pyiceberg opens."""

from __future__ import annotations

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
    RemovePropertiesUpdate,
    RemoveSnapshotRefUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetLocationUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
    UpgradeFormatVersionUpdate,
)

from slipway.adapters.iceberg.catalogs.absorb import stands_on
from slipway.adapters.iceberg.catalogs.mover import Mover
from slipway.adapters.iceberg.tables import StagedTable, Tables

Change = tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]
"""What must be true of a table, and what is then done to it."""


class UpdateMover(Mover):
    """Moves single tables by updates."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def forward(self, item: StagedTable) -> bool:
        """From the base to the staged state; makes a new table, and drops one that is retired, which catalogs cannot guard."""
        if item.retires:
            return self._drop(item)
        if item.base is not None:
            return self._commit(item, forward(self._tables, item))
        return self._register(item, item.table.metadata_location)

    def _register(self, item: StagedTable, location: str) -> bool:
        try:
            self._tables.catalog.register_table(item.identifier, location)
        except TableAlreadyExistsError:
            return False
        return True

    def _drop(self, item: StagedTable) -> bool:
        location = self._tables.locations({item.identifier}).get(item.identifier)
        if location is None or not stands_on(self._tables, item.identifier, item.base, location):
            return False
        try:
            self._tables.catalog.drop_table(item.identifier)
        except NoSuchTableError:
            return False
        return True

    def back(self, item: StagedTable, tag: str) -> bool:
        """From the staged state to the base; drops a new table, which catalogs cannot guard."""
        if item.retires:
            return self._register(item, item.base or "")
        if item.base is not None:
            return self._commit(item, backward(self._tables.load(item.identifier, item.base), item, tag))
        try:
            current = self._tables.catalog.load_table(item.identifier).current_snapshot()
            if (current.snapshot_id if current else None) != item.snapshot_id:
                return False
            self._tables.catalog.drop_table(item.identifier)
        except NoSuchTableError:
            return False
        return True

    def _commit(self, item: StagedTable, change: Change) -> bool:
        try:
            table = self._tables.catalog.load_table(item.identifier)
            self._tables.catalog.commit_table(table, *change)
        except (CommitFailedException, NoSuchTableError):
            return False
        return True


def forward(tables: Tables, item: StagedTable) -> Change:
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
        updates.append(_main(current.snapshot_id))
    if was.current_schema_id != now.current_schema_id:
        updates.append(SetCurrentSchemaUpdate(schema_id=was.current_schema_id))
    if was.default_spec_id != now.default_spec_id:
        updates.append(SetDefaultSpecUpdate(spec_id=was.default_spec_id))
    if removed := sorted(now.properties.keys() - was.properties.keys()):
        updates.append(RemovePropertiesUpdate(removals=removed))
    if changed := {k: v for k, v in was.properties.items() if now.properties.get(k) != v}:
        updates.append(SetPropertiesUpdate(updates=changed))
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


def _main(snapshot_id: int) -> TableUpdate:
    return _ref(MAIN_BRANCH, SnapshotRefType.BRANCH, snapshot_id)


def _ref(name: str, kind: SnapshotRefType, snapshot_id: int) -> TableUpdate:
    return SetSnapshotRefUpdate(ref_name=name, type=kind.value, snapshot_id=snapshot_id)  # type: ignore[call-arg]


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
        *(_ref(name, ref.snapshot_ref_type, ref.snapshot_id) for name, ref in metadata.refs.items()),
    )
