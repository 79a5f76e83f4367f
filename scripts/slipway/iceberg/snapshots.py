"""Snapshots: which content one shows, those that pyiceberg has no producer for, and manifests that stay few."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    SetPropertiesUpdate,
    TableUpdate,
    UpdatesAndRequirements,
)
from pyiceberg.table.update.snapshot import (
    _FastAppendFiles,
    _MergeAppendFiles,
    _OverwriteFiles,
    _SnapshotProducer,
)
from pyiceberg.utils.properties import property_as_bool

from slipway.iceberg.content_names import NamingFiles
from slipway.iceberg.reading import summary_of
from slipway.iceberg.staging import set_ref

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata


REWRITES = "slipway.rewrites"
"""Key in a snapshot's summary: the snapshot whose rows it holds in other files."""


def content_of(snapshot: Snapshot) -> str:
    """The id of the snapshot that brought these rows: its own, unless it is a compaction of another one."""
    return summary_of(snapshot).get(REWRITES, str(snapshot.snapshot_id))


def current_content(table: Table | None) -> str | None:
    """The content that a table shows, None when it has no snapshot."""
    current = table.current_snapshot() if table else None
    return content_of(current) if current else None


def snapshot_with(table: Table, content: str) -> Snapshot | None:
    """A snapshot that shows a content: the one that brought it, or a compaction of it; None when all have expired."""
    found = [snapshot for snapshot in table.snapshots() if content_of(snapshot) == content]
    return max(found, key=lambda one: (str(one.snapshot_id) == content, one.timestamp_ms), default=None)


_RELEASE_TAG = re.compile(r"release-\d+")


class _Named(_SnapshotProducer[Any]):
    """Manifests and manifest lists get names that tell their content."""

    _operation_kind = Operation.OVERWRITE

    def __init__(self, transaction: Transaction, io: FileIO, snapshot_properties: dict[str, str]) -> None:
        super().__init__(self._operation_kind, transaction, io, snapshot_properties=snapshot_properties)

    def _commit(self) -> UpdatesAndRequirements:
        self._io = files = NamingFiles(self._io, str(self.commit_uuid))
        updates, requirements = super()._commit()
        return tuple(_at_home(update, files) for update in updates), requirements


def _at_home(update: TableUpdate, files: NamingFiles) -> TableUpdate:
    """A new snapshot with the manifest list where it was written to."""
    if not isinstance(update, AddSnapshotUpdate):
        return update
    written = files.written(update.snapshot.manifest_list)
    return AddSnapshotUpdate(snapshot=update.snapshot.model_copy(update={"manifest_list": written}))


class ReplaceAll(_Named, _FastAppendFiles):
    """One overwrite snapshot that leaves nothing of its parent.

    No manifest of the parent is read: the new manifest list simply does not name any. The summary's
    totals start from zero, as the specification has them count the snapshot's own content.
    """

    def _existing_manifests(self) -> list[ManifestFile]:
        return []

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        parent, self._parent_snapshot_id = self._parent_snapshot_id, None
        try:
            return super()._summary(snapshot_properties or {})
        finally:
            self._parent_snapshot_id = parent


class Append(_Named, _MergeAppendFiles):
    """An append whose manifests are merged when there are as many as ``commit.manifest.min-count-to-merge``.

    Reading a table opens each of them, so they are merged by default, as Iceberg's other writers do it.
    """

    _operation_kind = Operation.APPEND

    def __init__(self, transaction: Transaction, io: FileIO, snapshot_properties: dict[str, str]) -> None:
        super().__init__(transaction, io, snapshot_properties)
        properties = transaction.table_metadata.properties
        self._merge_enabled = property_as_bool(
            properties, TableProperties.MANIFEST_MERGE_ENABLED, default=True
        )


class Overwrite(_OverwriteFiles, Append):
    """An overwrite whose manifests are merged likewise; those that say only what earlier snapshots deleted are left out."""

    _operation_kind = Operation.OVERWRITE

    def _existing_manifests(self) -> list[ManifestFile]:
        found = super()._existing_manifests()
        return [manifest for manifest in found if manifest.has_added_files() or manifest.has_existing_files()]


class Compaction(Overwrite):
    """A snapshot of the same rows in other files. It says of itself what its parent says, and whose rows it holds.

    pyiceberg counts only the totals of overwrites, so the operation is named afterwards.
    """

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        parent = self._transaction.table_metadata.current_snapshot()
        assert parent is not None
        own = {key: value for key, value in summary_of(parent).items() if key.startswith("slipway.")}
        own[REWRITES] = content_of(parent)
        counted = super()._summary({**(snapshot_properties or {}), **own})
        return Summary(operation=Operation.REPLACE, **counted.additional_properties)


def add_snapshot(
    transaction: Transaction,
    added: Sequence[DataFile],
    removed: Iterable[DataFile],
    properties: dict[str, str],
    *,
    full: bool,
) -> None:
    """Add one snapshot to a transaction."""
    removed, io = list(removed), transaction._table.io
    if full:
        producer: ReplaceAll | Append | Overwrite = ReplaceAll(transaction, io, properties)
    elif removed:
        producer = Overwrite(transaction, io, properties)
    else:
        producer = Append(transaction, io, properties)
    for file in removed:
        producer.delete_data_file(file)
    for file in added:
        producer.append_data_file(file)
    producer.commit()


def confirm_snapshot(
    transaction: Transaction, release: str, confirm: Callable[[int], dict[str, str]]
) -> None:
    """Tag the current snapshot with the release and set the properties that confirm it."""
    current = transaction.table_metadata.current_snapshot()
    assert current is not None
    properties = SetPropertiesUpdate(updates=confirm(int(content_of(current))))
    transaction._stage((set_ref(release, current.snapshot_id), properties))


def release_tags(metadata: TableMetadata) -> list[str]:
    """The tags of a table that releases made; other programs' refs may begin with the same word."""
    return [
        name
        for name, ref in metadata.refs.items()
        if ref.snapshot_ref_type == SnapshotRefType.TAG and _RELEASE_TAG.fullmatch(name)
    ]
