"""A table as DuckDB reads it, in FROM; and which of its data files cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from slipway.engines.duckdb.rewrite import files_relation
from slipway.errors import DamagedTableError
from slipway.iceberg.reading import check_whole, damaged, data_files
from slipway.iceberg.tables import duckdb_path
from slipway.iceberg.types import literal
from slipway.names import TableName


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


@contextmanager
def scanning(cursor: duckdb.DuckDBPyConnection, table: Table) -> Iterator[None]:
    """Tell of what goes wrong while DuckDB reads data files of a table.

    Raises:
        DamagedTableError: a data file is missing or damaged.
    """
    try:
        yield
    except duckdb.Error as error:
        if damage := find_damaged(cursor, table):
            raise damage from error
        raise


def find_damaged(cursor: duckdb.DuckDBPyConnection, table: Table) -> DamagedTableError | None:
    """The first file of a table that cannot be read, None when all of them can; each is read as a whole.

    Raises:
        UnavailableError: the store does not answer.
    """
    try:
        files = data_files(table)
    except DamagedTableError as error:
        return error
    return next(damages(cursor, table, files), None)


def damages(
    cursor: duckdb.DuckDBPyConnection, table: Table, files: Iterable[DataFile]
) -> Iterator[DamagedTableError]:
    """Data files that cannot be read as a whole, or hold another number of rows than their manifest says."""
    what = f"data of {TableName.of(table.name())}"
    for file in files:
        try:
            relation = files_relation([file], table.schema())
            counted = cursor.execute(f"select count(*), bit_xor(hash(one)) from {relation} as one").fetchone()
        except duckdb.Error as error:
            reason = " ".join(str(error).split("\n\n", 1)[0].split())
            yield damaged(what, file.file_path, reason.partition("Error: ")[2] or reason)
        else:
            if counted and counted[0] != file.record_count:
                why = f"it has {counted[0]} rows, and its manifest says {file.record_count}"
                yield damaged(what, file.file_path, why)
