"""Compaction and expiry of one table, staged as one commit: the same rows in fewer files, and a shorter history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.update import RemoveSnapshotRefUpdate, RemoveSnapshotsUpdate
from pyiceberg.transforms import IdentityTransform

from slipway.counts import plural
from slipway.engines.duckdb.copying import copy, data_files
from slipway.engines.duckdb.digest import VOLATILE_COLUMNS, Digest, digest_of, recorded
from slipway.engines.duckdb.scan import files_relation, live_files
from slipway.engines.duckdb.target import Destination, Layout
from slipway.errors import SlipwayError
from slipway.iceberg import partitioning
from slipway.iceberg.schema import misread
from slipway.iceberg.snapshots import Compaction, StagedTable, Staging
from slipway.iceberg.tables import FORMAT_VERSION, Tables
from slipway.names import TableName


class RowsDifferError(SlipwayError):
    """What was written is not what was read; nothing of it is kept."""


@dataclass(frozen=True)
class Shorten:
    """What is done to one table.

    Args:
        identifier: namespace and name.
        base: metadata file that the catalog names.
        bins: paths of the data files that become one, for each file that is made.
        snapshots: ids that expire.
        tags: refs on them.
    """

    identifier: TableName
    base: str
    bins: Sequence[Sequence[str]] = ()
    snapshots: Sequence[int] = ()
    tags: Sequence[str] = ()


def stage_shortened(
    cursor: duckdb.DuckDBPyConnection, tables: Tables, what: Shorten, name: str
) -> StagedTable:
    """Write a table's small files again as fewer, leave snapshots out of its metadata, and stage both; names of files begin with ``name``.

    Raises:
        SlipwayError: its files cannot be written again, or the rows that were written are not those that were read;
            nothing is staged.
    """
    table = tables.load(what.identifier, what.base)
    transaction = Staging(table)
    if what.bins:
        check_compactable(table)
        live = {file.file_path: file for file in live_files(table)}
        producer = Compaction(transaction, table.io, {})
        to = _destination(table, name)
        read: list[DataFile] = []
        made: list[DataFile] = []
        for paths in what.bins:
            files = [live[path] for path in paths]
            tables.renew(cursor)
            made += _rewritten(cursor, files, to, str(what.identifier))
            read += files
        tables.renew(cursor)
        compare_rows(cursor, table, read, made, whole=len(read) == len(live))
        for file in made:
            producer.append_data_file(file)
        for file in read:
            producer.delete_data_file(file)
        producer.commit()
    shorten(transaction, what)
    return tables.stage(table, transaction, new=False)


def shorten(transaction: Staging, what: Shorten) -> None:
    """Leave the snapshots that expire out of a table's metadata, with their tags."""
    transaction._stage(tuple(RemoveSnapshotRefUpdate(ref_name=tag) for tag in what.tags))
    if what.snapshots:
        transaction._stage((RemoveSnapshotsUpdate(snapshot_ids=list(what.snapshots)),))


def check_compactable(table: Table) -> Layout:
    """The layout that a table's files should have.

    Raises:
        SlipwayError: its files cannot be written again.
    """
    name = str(TableName.of(table.name()))
    if table.format_version != FORMAT_VERSION:
        raise SlipwayError(f"{name} is not compacted", f"it has format version {table.format_version}")
    if columns := misread(table.schema(), table.metadata.schemas):
        raise SlipwayError(
            f"{name} is not compacted",
            f"in column {', '.join(columns)} another tool renamed a field, or removed and added it again",
            "Run with --full-refresh",
        )
    return _destination(table, "").layout


def _rewritten(
    cursor: duckdb.DuckDBPyConnection, files: Sequence[DataFile], to: Destination, table: str
) -> list[DataFile]:
    """One bin's rows in new files, of which the rows are counted."""
    written = copy(cursor, f"from {files_relation(files, to.schema)}", to)
    made = data_files(cursor, written, to, files[0].partition)
    _check_values(files, made, to, table)
    was, now = (sum(file.record_count for file in some) for some in (files, made))
    if was != now:
        raise _differ(table, was, now)
    return made


def compare_rows(
    cursor: duckdb.DuckDBPyConnection,
    table: Table,
    old: Sequence[DataFile],
    new: Sequence[DataFile],
    *,
    whole: bool,
) -> None:
    """Refuse files that hold other rows.

    All files are compared by one statement, which keeps every thread at work. Where all files of a table are written again, the
    digest that its snapshot was published with takes the place of reading them once more, unless it leaves columns out.

    Args:
        cursor: DuckDB's.
        table: as it was.
        old: files that were read.
        new: files that were written.
        whole: the old ones are all files of the table.

    Raises:
        RowsDifferError: the rows are others.
    """
    schema, name = table.schema(), str(TableName.of(table.name()))
    columns = [column.name for column in schema.fields]
    after = digest_of(cursor, files_relation(new, schema), schema, without=())
    stands = whole and not VOLATILE_COLUMNS.intersection(columns)
    stated = _recorded(table) if stands else None
    if stated == after:
        return
    before = digest_of(cursor, files_relation(old, schema), schema, without=())
    if before != after:
        raise _differ(name, before.rows, after.rows)
    if stated is not None:
        raise RowsDifferError(
            f"{name} is not compacted",
            f"its files do not hold the {plural(stated.rows, 'row')} that its snapshot recorded",
            "A file was changed since; roll back, or run with --full-refresh",
        )


def _recorded(table: Table) -> Digest | None:
    """The digest of the current snapshot; None when it is of another schema or algorithm, or another tool made the snapshot."""
    current = table.current_snapshot()
    same = current is not None and current.schema_id == table.metadata.current_schema_id
    return recorded(current) if same else None


def _differ(table: str, read: int, written: int) -> RowsDifferError:
    return RowsDifferError(
        f"{table} is not compacted",
        f"{plural(read, 'row', 'were', 'was')} read and {written:,} written, or not the same ones",
        "Nothing was changed; report it",
    )


def _check_values(old: Sequence[DataFile], new: Sequence[DataFile], to: Destination, table: str) -> None:
    """Refuse files that DuckDB reads otherwise than Iceberg does: without field ids, or without their partition's columns."""
    for column in to.schema.fields:
        number = column.field_id
        counts = [(file.null_value_counts or {}).get(number, file.record_count) for file in old]
        partition = old[0].partition
        for at, part in enumerate(to.spec.fields):
            if part.source_id == number and isinstance(part.transform, IdentityTransform):
                counts = counts if partition[at] is None else [0]
        if sum((file.null_value_counts or {}).get(number, 0) for file in new) > sum(counts):
            raise SlipwayError(
                f"{table} is not compacted",
                f"{column.name} has values in {old[0].file_path.rsplit('/', 1)[-1]} that are not found by field id",
                "Another tool wrote the file; run with --full-refresh",
            )


def _destination(table: Table, name: str) -> Destination:
    """Where files go: no partition is computed, because those of the files are known."""
    metadata = table.metadata
    schema = metadata.schema()
    return Destination(
        location=metadata.location,
        io=table.io,
        schema=schema,
        spec=metadata.spec(),
        partition=(),
        sort=partitioning.columns_of(metadata.sort_order(), schema),
        sort_order_id=metadata.default_sort_order_id,
        layout=Layout.of(metadata.properties, str(TableName.of(table.name()))),
        run_id=name,
    )
