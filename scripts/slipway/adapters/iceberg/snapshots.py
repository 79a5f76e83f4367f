"""Snapshots of a write, of which pyiceberg has no producer for a full replacement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update import SetPropertiesUpdate, SetSnapshotRefUpdate
from pyiceberg.table.update.snapshot import _FastAppendFiles

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Transaction


class ReplaceAll(_FastAppendFiles):
    """One overwrite snapshot that leaves nothing of its parent.

    No manifest of the parent is read: the new manifest list simply does not name any. The summary's
    totals start from zero, as the specification has them count the snapshot's own content.
    """

    def __init__(self, transaction: Transaction, io: FileIO, snapshot_properties: dict[str, str]) -> None:
        super().__init__(
            operation=Operation.OVERWRITE,
            transaction=transaction,
            io=io,
            snapshot_properties=snapshot_properties,
        )

    def _existing_manifests(self) -> list[ManifestFile]:
        return []

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        parent, self._parent_snapshot_id = self._parent_snapshot_id, None
        try:
            return super()._summary(snapshot_properties or {})
        finally:
            self._parent_snapshot_id = parent


def add_snapshot(
    transaction: Transaction,
    added: Sequence[DataFile],
    removed: Iterable[DataFile],
    properties: dict[str, str],
    *,
    full: bool,
) -> None:
    """Add one snapshot to a transaction.

    Args:
        transaction: on the table it is for.
        added: new data files, of the transaction's partition spec.
        removed: data files that go.
        properties: for the snapshot's summary.
        full: nothing of the table stays.
    """
    removed = list(removed)
    if full:
        producer = ReplaceAll(transaction, transaction._table.io, properties)
    elif removed:
        producer = transaction.update_snapshot(snapshot_properties=properties).overwrite()  # type: ignore[assignment]
    else:
        producer = transaction.update_snapshot(snapshot_properties=properties).fast_append()  # type: ignore[assignment]
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
    transaction._stage(
        (
            SetSnapshotRefUpdate(  # type: ignore[call-arg]
                ref_name=release, type="tag", snapshot_id=current.snapshot_id
            ),
            SetPropertiesUpdate(updates=confirm(current.snapshot_id)),
        )
    )
