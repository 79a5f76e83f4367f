"""A table as DuckDB reads it, in FROM."""

from __future__ import annotations

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from slipway.adapters.iceberg.reading import check_whole
from slipway.adapters.iceberg.tables import duckdb_path
from slipway.adapters.iceberg.types import literal


def whole_scan(table: Table, snapshot: Snapshot | None = None) -> str:
    """A FROM item over a table, whose manifests are read first: DuckDB takes a damaged one for an empty one, or ends the process.

    Args:
        table: the table as its metadata describes it.
        snapshot: one of its snapshots, with the columns of then; by default the current one.

    Raises:
        DamagedTableError: a file of its metadata is missing or damaged.
        UnavailableError: one cannot be read.
    """
    check_whole(table, snapshot)
    return scan_of(table.metadata_location, snapshot.snapshot_id if snapshot else None)


def scan_of(metadata_location: str, snapshot_id: int | None = None) -> str:
    """The same without a look at the manifests, for those that this process wrote or has checked."""
    which = f", snapshot_from_id = {snapshot_id}" if snapshot_id is not None else ""
    return f"iceberg_scan({literal(duckdb_path(metadata_location))}{which})"
