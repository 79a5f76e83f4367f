"""DuckDB writes Parquet straight to the warehouse; nothing passes through Python.

COPY with PARTITION_BY neither keeps the order of rows nor ends a file by its size, and COPY with FILE_SIZE_BYTES
keeps the order on one thread only. So there are three ways to write, and what came out too large is split.
"""

from __future__ import annotations

import contextlib
import re
import resource
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
from pyiceberg import types as ice
from pyiceberg.manifest import DataFile
from pyiceberg.typedef import Record

from slipway.counts import plural
from slipway.engines.duckdb import engine
from slipway.engines.duckdb.constraints import check_required
from slipway.engines.duckdb.metrics import (
    WrittenFile,
    data_file,
    nan_counts,
    partition_keys,
    partition_record,
)
from slipway.engines.duckdb.target import Destination, flush_rows, open_files, row_width, split_sizes
from slipway.errors import DamagedError, SlipwayError
from slipway.iceberg.file_io import sizes
from slipway.iceberg.schema import field_ids, parquet_schema
from slipway.sql_text import exact, literal, quote
from slipway.storage.locations import uri

_PLAIN = re.compile(r"[^A-Za-z0-9_-]")
_COLUMN, _PART = "__slipway_column_", "__slipway_part_"  # as no column is called: ORDER BY finds these first


def copy(
    cursor: duckdb.DuckDBPyConnection,
    select: str,
    destination: Destination,
    after: Callable[[], None] = lambda: None,
) -> list[WrittenFile]:
    """Write a query, whose columns are those of the destination's schema, as Parquet files that each hold at least one row.

    Raises:
        SlipwayError: the rows of a partition were not kept together, or not all of them were written.
        DamagedError: the files that are there are not those that DuckDB returned.
    """
    if "://" not in destination.folder:
        Path(destination.folder).mkdir(parents=True, exist_ok=True)
    return _Copy(cursor, destination, after).run(select)


def data_files(
    cursor: duckdb.DuckDBPyConnection,
    written: Sequence[WrittenFile],
    destination: Destination,
    partition: Record | None = None,
) -> list[DataFile]:
    """Iceberg data files for what COPY wrote, with column metrics, and partition values as COPY named them unless they are given.

    Raises:
        ContractError: rows that no partition can be named for, or NULL in a required column.
    """
    schema, spec, order_id = destination.schema, destination.spec, destination.sort_order_id
    check_required(schema, written, destination.never_null)
    records = [partition or partition_record(file, destination.partition, spec, schema) for file in written]
    nans = nan_counts(cursor, written, schema)
    return [
        data_file(file, uri(file.path), schema, spec.spec_id, record, nans.get(file.path, {}), order_id)
        for file, record in zip(written, records, strict=True)
    ]


class _Copy:
    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, destination: Destination, after: Callable[[], None]
    ) -> None:
        self.cursor, self.to, self.after = cursor, destination, after
        self.prefix = f"{_PLAIN.sub('', destination.run_id)}-{uuid.uuid4().hex[:8]}-"
        self.returned: dict[str, WrittenFile] = {}
        self.partition, self.sort = destination.partition, destination.sort
        self.names = [field.name for field in destination.schema.fields]
        self.columns = ", ".join(quote(name) for name in self.names)
        self.helpers = [f"__partition_{number}" for number in range(len(self.partition))]
        self.width = row_width(destination.schema)
        (found,) = cursor.execute(
            "select current_setting('threads')::bigint, parse_formatted_bytes(current_setting('memory_limit'))"
        ).fetchall()
        self.threads, self.memory = int(found[0]), int(found[1])

    def run(self, select: str) -> list[WrittenFile]:
        if self.partition and self.sort:
            written = self._each_partition(select)
        elif self.partition:
            written = self._all_partitions(select)
        else:
            written = self._whole(select)
        kept = []
        for file in written:
            if not file.records:
                self._remove(file)
            elif file.size > self.to.layout.target * 3 // 2:
                kept += self._split(file)
            else:
                kept.append(file)
        self._check_stored(kept)
        return kept

    def _check_stored(self, kept: Sequence[WrittenFile]) -> None:
        """Compare what COPY returned with the files that are there, whose names begin as those of no other write do.

        One listing for each write: what is returned is not all of it if a statement was not what it seemed.
        """
        stored = sizes(self.to.io, uri(self.to.folder), self.prefix)
        problems = [f"{name} was written and not returned" for name in sorted(stored.keys() - self.returned)]
        for name, file in ((_name(file), file) for file in kept):
            if name not in stored:
                problems.append(f"{name} was returned and is not there")
            elif stored[name] != file.size:
                problems.append(
                    f"{name} has {plural(stored[name], 'byte')} and was returned with {file.size:,}"
                )
        if problems:
            raise DamagedError(
                f"What was written to {self.to.folder} is not what DuckDB returned of it",
                f"{problems[0]}" + (f", and {len(problems) - 1} more" if len(problems) > 1 else ""),
                "Nothing of it is used; run again, and report it if it stays so",
            )

    def _whole(self, select: str) -> list[WrittenFile]:
        """One sequence of rows, split by size."""
        query = f"select {self.columns} from (\n{select}\n)"
        if self.sort:
            query = self._in_order(f"({query} order by {', '.join(item.sql for item in self.sort)})")
        return self._by_size(query, self._row_group())

    def _all_partitions(self, select: str) -> list[WrittenFile]:
        """Every partition by one statement; ordered by partition, so that few files are open at a time."""
        values = [
            f"{column.expression} as {helper}"
            for column, helper in zip(self.partition, self.helpers, strict=True)
        ]
        listed = ", ".join(self.helpers)
        query = f"select {self.columns}, {', '.join(values)} from (\n{select}\n) order by {listed}"
        options = [f"partition_by ({listed})", "write_partition_columns false", "hive_file_pattern false"]
        part = engine.UPLOAD_PART if "://" in self.to.folder else 0
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if descriptors == resource.RLIM_INFINITY:
            descriptors = sys.maxsize
        opened = open_files(self._row_group() * self.width, part, self.threads, self.memory, descriptors)
        flush = flush_rows(self.width, self.threads, self.memory)
        with (
            engine.setting(self.cursor, "partitioned_write_max_open_files", opened),
            engine.setting(self.cursor, "partitioned_write_flush_threshold", flush),
        ):
            return self._execute(query, [*options, *self.to.layout.copy_options(self._row_group())])

    def _each_partition(self, select: str) -> list[WrittenFile]:
        """Sort everything once, then write the rows of each partition in their order."""
        scratch = f"temp.slipway_{uuid.uuid4().hex}"
        columns = [f"{quote(name)} as {_COLUMN}{number}" for number, name in enumerate(self.names)]
        values = [f"{column.expression} as {_PART}{number}" for number, column in enumerate(self.partition)]
        parts = ", ".join(f"{_PART}{number}" for number in range(len(self.partition)))
        order = ", ".join([parts, *(item.sql for item in self.sort)])
        engine.execute(
            self.cursor,
            f"create temp table {scratch.removeprefix('temp.')} as "
            f"select {', '.join(columns + values)} from (\n{select}\n) order by {order}",
            self.after,
        )
        try:
            texts = ", ".join(f"{_PART}{number}::varchar" for number in range(len(self.partition)))
            ranges = self.cursor.execute(
                f"select min(rowid), max(rowid), count(*), [{texts}] from {scratch} group by {parts} order by 1"
            ).fetchall()
            written = []
            names = ", ".join(f"{_COLUMN}{number} as {quote(name)}" for number, name in enumerate(self.names))
            for first, last, count, keys in ranges:
                if last - first + 1 != count:
                    raise SlipwayError("Rows of a partition are apart after sorting", fix="Report it")
                rows = f"(select {names} from {scratch} where rowid between {first} and {last})"
                files = self._by_size(self._in_order(rows), self._row_group())
                written += [replace(file, partition=partition_keys(keys)) for file in files]
            expected, found = sum(row[2] for row in ranges), sum(file.records for file in written)
            if expected != found:
                raise SlipwayError(
                    f"{plural(found, 'row', 'were', 'was')} written of {expected:,}",
                    "partitions are not complete",
                    "Report it",
                )
            return written
        finally:
            self.cursor.execute(f"drop table if exists {scratch}")

    def _split(self, file: WrittenFile) -> list[WrittenFile]:
        """Write a file that is too large again as several."""
        source = (
            f"read_parquet([{literal(exact(file.path))}], hive_partitioning = false, "
            f"schema = {parquet_schema(self.to.schema)})"
        )
        query = self._in_order(source) if self.sort else f"select {self.columns} from {source}"
        row_group, size = split_sizes(file.records, file.size, self.to.layout.target)
        parts = self._by_size(query, row_group, size)
        self._remove(file)
        for part in parts:
            if not part.records:
                self._remove(part)
        return [replace(part, partition=file.partition) for part in parts if part.records]

    def _in_order(self, relation: str) -> str:
        """The same rows by one thread: a running number cannot be given by several."""
        return (
            f"select {self.columns} from "
            f"(select *, row_number() over () as __slipway_row from {relation}) where __slipway_row > 0"
        )

    def _by_size(self, query: str, row_group: int, size: int | None = None) -> list[WrittenFile]:
        options = [
            f"file_size_bytes {size or self.to.layout.target}",
            *self.to.layout.copy_options(row_group),
        ]
        return self._execute(query, options)

    def _execute(self, query: str, options: Sequence[str]) -> list[WrittenFile]:
        listed = [
            "format parquet",
            "return_stats",
            "overwrite_or_ignore",
            f"filename_pattern '{self.prefix}{{uuid}}'",
            f"field_ids {field_ids(self.to.schema)}",
            *options,
        ]
        schema = self.to.schema
        if any(isinstance(schema.find_type(number), ice.BinaryType) for number in schema.field_ids):
            listed.append("write_bloom_filter false")  # equality on blobs misses rows through bloom filters
        rows = engine.execute(
            self.cursor, f"copy ({query}) to {literal(self.to.folder)} ({', '.join(listed)})", self.after
        )
        files = [WrittenFile.from_row(row) for row in rows]
        self.returned |= {_name(file): file for file in files}
        return files

    def _row_group(self) -> int:
        one = self.sort and not self.partition
        return self.to.layout.row_group_rows(self.width, 2 if one else self.threads + 1)

    def _remove(self, file: WrittenFile) -> None:
        with contextlib.suppress(OSError):  # no table names it: left behind, it does no harm
            self.to.io.delete(uri(file.path))


def _name(file: WrittenFile) -> str:
    return file.path.rpartition("/")[2]
