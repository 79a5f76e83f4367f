"""DuckDB writes Parquet straight to the warehouse; nothing passes through Python."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from pathlib import Path

import duckdb
from pyiceberg import types as ice
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema

from slipway.adapters.iceberg.constraints import check_required
from slipway.adapters.iceberg.metrics import WrittenFile, data_file
from slipway.adapters.iceberg.nan_counts import nan_counts
from slipway.adapters.iceberg.partition_values import partition_record
from slipway.adapters.iceberg.partitioning import PartitionColumn
from slipway.adapters.iceberg.schema import field_ids, top_level
from slipway.adapters.iceberg.tables import duckdb_path, uri
from slipway.adapters.iceberg.types import literal, quote
from slipway.domain.errors import ConfigError

TARGET_FILE_SIZE = 128 * 1024 * 1024
_PLAIN = re.compile(r"[^A-Za-z0-9_-]")


def copy(
    cursor: duckdb.DuckDBPyConnection,
    select: str,
    table_location: str,
    schema: Schema,
    partition: Sequence[PartitionColumn],
    sorted_by: Sequence[str],
    run_id: str,
    target_file_size: int = TARGET_FILE_SIZE,
) -> list[WrittenFile]:
    """Write a query as Parquet files below a table's location.

    Args:
        cursor: the connection that can see what the query reads.
        select: the query; its columns are those of ``schema``.
        table_location: the table's root URI.
        schema: gives the field ids.
        partition: partition columns; files are split by them.
        sorted_by: columns that rows are ordered by inside a file.
        run_id: becomes part of the file names, so that left-overs can be told.
        target_file_size: bytes; a file ends when it is reached (unpartitioned tables).

    Returns:
        The files that hold at least one row.
    """
    folder = duckdb_path(f"{table_location}/data")
    if "://" not in folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
    helpers = [f"__partition_{number}" for number in range(len(partition))]
    names = [field.name for field in schema.fields]
    columns = [quote(name) for name in names]
    columns += [f"{column.expression} as {helper}" for column, helper in zip(partition, helpers, strict=True)]
    order = [*helpers, *(_column(schema, name) for name in sorted_by)]
    query = f"select {', '.join(columns)} from (\n{select}\n)" + (
        f" order by {', '.join(order)}" if order else ""
    )
    options = ["format parquet", "compression zstd", f"field_ids {field_ids(schema, names)}", "return_stats"]
    options += [
        "overwrite_or_ignore",
        f"filename_pattern '{_PLAIN.sub('', run_id)}-{uuid.uuid4().hex[:8]}-{{uuid}}'",
    ]
    if any(isinstance(schema.find_type(number), ice.BinaryType) for number in schema.field_ids):
        options.append("write_bloom_filter false")  # equality on blobs misses rows through bloom filters
    if helpers:
        options += [f"partition_by ({', '.join(helpers)})", "write_partition_columns false"]
    else:
        options.append(f"file_size_bytes {target_file_size}")
    rows = cursor.execute(f"copy ({query}) to {literal(folder)} ({', '.join(options)})").fetchall()
    return [written for written in map(WrittenFile.from_row, rows) if written.records]


def data_files(
    cursor: duckdb.DuckDBPyConnection,
    written: Sequence[WrittenFile],
    schema: Schema,
    spec: PartitionSpec,
    partition: Sequence[PartitionColumn],
) -> list[DataFile]:
    """Iceberg data files for what COPY wrote, with partition values and column metrics.

    Raises:
        ContractError: rows that no partition can be named for, or NULL in a required column.
    """
    check_required(schema, written)
    records = [partition_record(file, partition, spec, schema) for file in written]
    nans = nan_counts(cursor, written, schema)
    return [
        data_file(file, uri(file.path), schema, spec.spec_id, record, nans.get(file.path, {}))
        for file, record in zip(written, records, strict=True)
    ]


def _column(schema: Schema, name: str) -> str:
    if field := top_level(schema, name.strip('"')):
        return quote(field.name)
    have = ", ".join(field.name for field in schema.fields)
    raise ConfigError(f"sorted_by names {name}", "no such column", f"use one of {have}")
