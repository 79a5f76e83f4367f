"""Snapshots that pyiceberg has no producer for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyiceberg.manifest import ManifestFile
from pyiceberg.table.snapshots import Operation, Summary
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
