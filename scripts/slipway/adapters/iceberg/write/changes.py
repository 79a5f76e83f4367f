"""What the one snapshot of a candidate did to the published table."""

from __future__ import annotations

from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate, TableUpdate

from slipway.adapters.iceberg.reading import entries_of, manifests_of
from slipway.adapters.iceberg.tables import StagedTable


def own_changes(candidate: Table, base: Table | None) -> tuple[list[DataFile], list[DataFile]]:
    """Data files that a candidate's snapshot added and removed, none when it has the base's."""
    current, before = candidate.current_snapshot(), base.current_snapshot() if base else None
    added: list[DataFile] = []
    removed: list[DataFile] = []
    if current is None or (before is not None and current.snapshot_id == before.snapshot_id):
        return added, removed
    name = ".".join(candidate.name())
    for manifest in manifests_of(current, candidate.io, name):
        if manifest.added_snapshot_id != current.snapshot_id:
            continue
        for entry in entries_of(manifest, candidate.io, name, discard_deleted=False):
            if entry.snapshot_id != current.snapshot_id:
                continue
            if entry.status == ManifestEntryStatus.ADDED:
                added.append(entry.data_file)
            elif entry.status == ManifestEntryStatus.DELETED:
                removed.append(entry.data_file)
    return added, removed


def other_updates(candidate: StagedTable) -> tuple[TableUpdate, ...]:
    """The updates of a candidate that are about its schema, partitioning and properties."""
    return tuple(
        update
        for update in candidate.updates
        if not isinstance(update, AddSnapshotUpdate | SetSnapshotRefUpdate)
    )


def without_snapshots(table: Table) -> Table:
    """A table that was never published, as it was before its snapshot was made."""
    emptied: dict[str, object] = {
        "snapshots": [],
        "refs": {},
        "current_snapshot_id": None,
        "snapshot_log": [],
        "metadata_log": [],
    }
    if table.metadata.format_version > 1:
        emptied["last_sequence_number"] = 0
    metadata = table.metadata.model_copy(update=emptied)
    return Table(table.name(), metadata, table.metadata_location, table.io, table.catalog)
