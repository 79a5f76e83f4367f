"""Which content a snapshot shows: a compaction makes a snapshot of its own and shows what was there before."""

from __future__ import annotations

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

REWRITES = "slipway.rewrites"
"""Key in a snapshot's summary: the snapshot whose rows it holds in other files."""


def content_of(snapshot: Snapshot) -> str:
    """The id of the snapshot that brought these rows: its own, unless it is a compaction of another one."""
    own = str(snapshot.snapshot_id)
    return snapshot.summary.additional_properties.get(REWRITES, own) if snapshot.summary else own


def current_content(table: Table | None) -> str | None:
    """The content that a table shows, None when it has no snapshot."""
    current = table.current_snapshot() if table else None
    return content_of(current) if current else None


def snapshot_with(table: Table, content: str) -> Snapshot | None:
    """A snapshot that shows a content: the one that brought it, or a compaction of it; None when all have expired."""
    found = [snapshot for snapshot in table.snapshots() if content_of(snapshot) == content]
    return max(found, key=lambda one: (str(one.snapshot_id) == content, one.timestamp_ms), default=None)
