"""How data files are laid out and where they go: Iceberg's own table properties, and what keeps memory bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pyiceberg import types as ice
from pyiceberg.io import FileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Transaction

from slipway.engines.duckdb.request import WriteRequest
from slipway.errors import ConfigError
from slipway.iceberg import partitioning, sorting
from slipway.iceberg.tables import duckdb_path

TARGET_FILE_SIZE = 128 * 1024 * 1024
ROW_GROUP_ROWS = 122_880
VECTOR = 2048
"""DuckDB's unit of work; row groups are whole multiples of it."""

_TARGET = "write.target-file-size-bytes"
_CODEC = "write.parquet.compression-codec"
_LEVEL = "write.parquet.compression-level"
_ROW_GROUP = "write.parquet.row-group-limit"
_CODECS = ("zstd", "snappy", "gzip", "brotli", "lz4", "uncompressed")
_FLUSH_BYTES = 128 * 1024 * 1024
_FLUSH_ROWS = 524_288
_FEW_ROWS = 200  # of a partition
_BLOCK = 256 * 1024
_MOST_OPEN = 2048
_LEAST_OPEN = 16
_TEXT = 32  # bytes that are reckoned with for a value without a length of its own


@dataclass(frozen=True)
class Layout:
    """What files of a table look like.

    Args:
        target: bytes that a file should have; none is larger by more than half.
        codec: Parquet's compression.
        level: of zstd; None for its default.
        row_group: rows, at most, of a row group; None to choose by the width of a row.
    """

    target: int = TARGET_FILE_SIZE
    codec: str = "zstd"
    level: int | None = None
    row_group: int | None = None

    @classmethod
    def of(cls, properties: Mapping[str, str], model: str) -> Layout:
        """Read the table properties.

        Raises:
            ConfigError: a value that is not one.
        """
        codec = properties.get(_CODEC, "zstd").lower()
        if codec not in _CODECS:
            raise ConfigError(
                f"{model}: table property {_CODEC} is {codec}", "unknown", f"Use {', '.join(_CODECS)}"
            )
        return cls(
            target=_number(properties, _TARGET, model) or TARGET_FILE_SIZE,
            codec=codec,
            level=_number(properties, _LEVEL, model, most=22) if codec == "zstd" else None,
            row_group=_number(properties, _ROW_GROUP, model),
        )

    def copy_options(self, rows: int) -> list[str]:
        """Options of COPY: compression, and row groups of so many rows."""
        level = [] if self.level is None else [f"compression_level {self.level}"]
        return [f"compression {self.codec}", *level, f"row_group_size {rows}"]

    def row_group_rows(self, width: int, threads: int) -> int:
        """Rows of a row group.

        A file ends with the row group that reaches the target, and each thread may be writing one: together
        they are no larger than a file, uncompressed.

        Args:
            width: bytes of a row in memory.
            threads: how many write to one file.
        """
        return min(_vectors(self.target // (width * threads)), self.row_group or ROW_GROUP_ROWS)


def row_width(schema: Schema) -> int:
    """Bytes that a row takes in memory, as far as types tell."""
    return max(1, sum(_width(field.field_type) for field in schema.fields))


def flush_rows(width: int, threads: int, memory: int) -> int:
    """Rows that a thread collects before it writes them to their partitions.

    Each partition that occurs in them holds memory for a whole vector. With partitions of two hundred rows that is half of
    what there is; with smaller ones it is more. Collecting fewer would take some time, and make more files: pieces of one
    partition then come further apart.

    Args:
        width: bytes of a row in memory.
        threads: how many collect.
        memory: DuckDB's limit in bytes.
    """
    partitions = memory // (2 * threads * (VECTOR * width + _BLOCK))
    return min(_vectors(_FEW_ROWS * partitions), _vectors(_FLUSH_BYTES // width), _FLUSH_ROWS)


def open_files(group: int, part: int, threads: int, memory: int, descriptors: int) -> int:
    """Files that partitions are written to at a time.

    DuckDB ends any of them, not the oldest, when one more is needed, and a partition that goes on gets a second file. So there are
    as many as half of the memory holds; what they hold is spilled if it has to be.

    Args:
        group: bytes of a row group in memory, which is what an open file holds at most.
        part: bytes of a part of an upload; 0 for files on a disk.
        threads: how many write; each has two at least.
        memory: DuckDB's limit in bytes.
        descriptors: open files that the process may have.
    """
    return max(_LEAST_OPEN, 2 * threads, min(memory // (2 * (group + part)), descriptors // 4, _MOST_OPEN))


def split_sizes(records: int, size: int, target: int) -> tuple[int, int]:
    """How to split a file: rows of a row group, and the bytes with which a file ends.

    The file ends with the row group that reaches these bytes, so half a row group is left for it.
    """
    rows = min(_vectors(records * target // (4 * size)), ROW_GROUP_ROWS)
    return rows, max(1, target - rows * size // records // 2)


def _vectors(rows: int) -> int:
    return max(1, rows // VECTOR) * VECTOR


def _width(kind: ice.IcebergType) -> int:
    match kind:
        case ice.BooleanType():
            return 1
        case ice.IntegerType() | ice.FloatType() | ice.DateType():
            return 4
        case ice.DecimalType() | ice.UUIDType():
            return 16
        case ice.StringType() | ice.BinaryType() | ice.FixedType():
            return _TEXT
        case ice.StructType():
            return sum(_width(field.field_type) for field in kind.fields)
        case ice.ListType():
            return 4 * _width(kind.element_type)
        case ice.MapType():
            return 4 * (_width(kind.key_type) + _width(kind.value_type))
    return 8


def _number(properties: Mapping[str, str], key: str, model: str, most: int | None = None) -> int | None:
    text = properties.get(key)
    if text is None:
        return None
    number = int(text) if text.isdecimal() else 0
    if number < 1 or (most and number > most):
        raise ConfigError(
            f"{model}: table property {key} is {text}",
            "it is not a whole number" + (f" from 1 to {most}" if most else " from 1"),
            "Write it without unit or sign",
        )
    return number


@dataclass(frozen=True)
class Destination:
    """A table that rows are written to.

    Args:
        location: the table's root URI.
        io: removes what is not part of the table.
        schema: gives the field ids.
        spec: how the table is partitioned.
        partition: the same as SQL; files are split by it.
        sort: columns that rows are ordered by inside a file.
        sort_order_id: the Iceberg sort order of these columns.
        layout: size and compression.
        run_id: becomes part of the file names, so that files left behind can be recognised.
    """

    location: str
    io: FileIO
    schema: Schema
    spec: PartitionSpec
    partition: Sequence[partitioning.PartitionColumn]
    sort: Sequence[sorting.SortColumn]
    sort_order_id: int
    layout: Layout
    run_id: str

    @classmethod
    def of(cls, transaction: Transaction, request: WriteRequest) -> Self:
        """What a transaction leads to.

        Raises:
            ConfigError: it cannot be partitioned or sorted as asked for, or a table property has no meaning.
        """
        metadata = transaction.table_metadata
        schema = metadata.schema()
        return cls(
            location=metadata.location,
            io=transaction._table.io,
            schema=schema,
            spec=metadata.spec(),
            partition=partitioning.parse(request.partitioned_by, schema, request.model),
            sort=sorting.parse(request.sorted_by, schema, request.model),
            sort_order_id=metadata.default_sort_order_id,
            layout=Layout.of(metadata.properties, request.model),
            run_id=request.run_id,
        )

    @property
    def folder(self) -> str:
        """The folder of the data files as DuckDB takes it."""
        return duckdb_path(f"{self.location}/data")
