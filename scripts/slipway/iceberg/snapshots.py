"""Snapshots: which content one shows, how one is made and staged, and manifests that stay few.

pyiceberg's own transaction applies all updates anew, and copies the metadata in depth, whenever it is asked for the metadata;
with a thousand snapshots that is most of a small write. Here every update is applied once: pyiceberg makes a new object for
what it changes and leaves the one before as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.table import Table, TableProperties, Transaction
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    RemovePropertiesUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableUpdate,
    UpdatesAndRequirements,
    _apply_table_update,
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)
from pyiceberg.table.update.snapshot import (
    _FastAppendFiles,
    _MergeAppendFiles,
    _OverwriteFiles,
    _SnapshotProducer,
)
from pyiceberg.utils.datetime import datetime_to_millis
from pyiceberg.utils.properties import property_as_bool

from slipway.iceberg.file_io import NamingFiles
from slipway.iceberg.metadata_files import summary_of
from slipway.names import TableName

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableRequirement, TableUpdate


@dataclass
class StagedTable:
    """A table of a candidate.

    Args:
        identifier: namespace and name.
        table: the candidate state, loaded from its own metadata file.
        base: metadata location that the catalog named when the run began; None for a new table.
        updates: what leads from the base to the candidate, for catalogs that apply updates themselves.
        retires: the catalog is not to name the table any more; ``table`` is its last state.
        registers: a table with a history enters the catalog again, or under another name; it has no base.
    """

    identifier: TableName
    table: Table
    base: str | None
    updates: tuple[TableUpdate, ...] = field(default=(), repr=False)
    retires: bool = False
    registers: bool = False

    @property
    def snapshot_id(self) -> int | None:
        """The snapshot that publishing makes current."""
        current = self.table.current_snapshot()
        return current.snapshot_id if current else None


@dataclass(frozen=True)
class Moved:
    """What a catalog shows right after tables were moved, and when that was, UTC."""

    locations: dict[TableName, str]
    at: datetime


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
        """The metadata to write; the metadata before it is at a location, None for a new table."""
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


REWRITES = "slipway.rewrites"
"""Key in a snapshot's summary: the snapshot whose rows it holds in other files."""

WITHDRAWS = "slipway.withdraws"
"""Key in the summary of a snapshot that only adds rows, since which other rows of the table are not current any more.

It is a property of the table as well, because the snapshot expires, and these rows stay.
"""

COMBINES = "slipway.combines"
"""Key in the summary of a promoted snapshot: where it comes from, several snapshots made the changes that are one here."""


def content_of(snapshot: Snapshot) -> str:
    """The id of the snapshot that brought these rows: its own, unless it is a compaction of another one."""
    return summary_of(snapshot).get(REWRITES, str(snapshot.snapshot_id))


def withdraws(snapshot: Snapshot) -> bool:
    """Whether rows that a snapshot left where they are are not current since then."""
    return WITHDRAWS in summary_of(snapshot)


def changes(line: Sequence[Snapshot]) -> list[tuple[Snapshot, Snapshot | None]]:
    """The snapshots that brought other content than their parent, each with it; None where that is not known any more.

    A compaction brings none. But a promotion may leave out what it is a compaction of: then it brings that.

    Args:
        line: a snapshot and its ancestors, newest first.
    """
    pairs = zip(line, [*line[1:], None], strict=False)
    return [(one, parent) for one, parent in pairs if content_of(one) != _content_before(one, parent)]


def _content_before(snapshot: Snapshot, parent: Snapshot | None) -> str | None:
    if parent is not None:
        return content_of(parent)
    return summary_of(snapshot).get(REWRITES)  # a compaction, as far as is known


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
    """Manifests and manifest lists get names that identify their content."""

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
