"""What a write aims at: the table's schema, partition spec and properties after it, and how its data files are laid out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pyiceberg import types as ice
from pyiceberg.io import FileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSpecUpdate,
    SetPropertiesUpdate,
    TableUpdate,
    UpgradeFormatVersionUpdate,
)

from slipway.engines.duckdb import constraints
from slipway.engines.duckdb.constraints import Contract
from slipway.engines.duckdb.request import WriteRequest
from slipway.errors import ConfigError, ContractError
from slipway.iceberg import partitioning, schema
from slipway.iceberg.tables import FORMAT_VERSION, Tables
from slipway.names import TableName
from slipway.storage.locations import duckdb_path
from slipway.write_limits import check_write


def check_readable(table: Table) -> None:
    """Refuse a table in a format that is newer than what readers here are tested with.

    Raises:
        ContractError: it is.
    """
    if table.format_version > FORMAT_VERSION:
        raise ContractError(
            f"{TableName.of(table.name())} has format version {table.format_version}",
            f"another tool made it, and tables are read up to version {FORMAT_VERSION}",
            "Have that tool write version 2",
        )


def new_table(tables: Tables, request: WriteRequest, query: Schema) -> Table:
    """A table for a query, that exists nowhere yet.

    Raises:
        ConfigError: it cannot be partitioned as asked for, or the catalog cannot hold its name.
    """
    partition = partitioning.parse_partitioned_by(request.partitioned_by, query, request.model)
    spec = partitioning.spec_for(partition, query, [])
    properties = {"format-version": str(FORMAT_VERSION), **_properties(request)}
    contract = request.contract or Contract({})
    described = schema.constrained(
        schema.documented(query, request.column_docs), contract.not_null, contract.key
    )
    order = partitioning.order_for(partitioning.parse_sorted_by(request.sorted_by, query, request.model))
    return tables.new(request.identifier, described, spec, order, properties)


def target_updates(
    base: TableMetadata, request: WriteRequest, query: Schema, *, full: bool
) -> tuple[TableUpdate, ...]:
    """The updates that give a table the schema, partition spec and properties of a write.

    Raises:
        ConfigError: it cannot be partitioned as asked for.
        ContractError: the schema cannot change as asked for.
    """
    contract = request.contract or Contract({})
    if full:
        wanted = schema.replaced(base.schema(), query, base.last_column_id, base.schemas)
        wanted = schema.constrained(wanted, contract.not_null, contract.key)
    else:
        # what the contract checks need not be looked for where the schema evolves
        stays = _stay_required(base, contract)
        before = schema.relaxed(base.schema(), {*no_longer_required(base, contract), *stays})
        wanted = schema.evolved(
            before,
            query,
            base.last_column_id,
            request.on_schema_change,
            request.model,
            base.schemas,
        )
        _check_partition_sources(base, wanted, request.model)
        _check_partition_names(base, wanted, request.model)
        if request.contract:
            _check_declared(wanted, request.contract.columns, request.model)
        wanted = schema.constrained(wanted, stays, ())
        wanted = Schema(*wanted.fields, identifier_field_ids=_identifiers(base, wanted, contract))
    wanted = schema.documented(wanted, request.column_docs)
    updates: list[TableUpdate] = _format_updates(base, request.model, full=full)
    if not schema.same_schema(base.schema(), wanted):
        updates += _schema_updates(base, wanted)
    partition = partitioning.parse_partitioned_by(request.partitioned_by, wanted, request.model)
    spec = partitioning.spec_for(partition, wanted, base.specs().values())
    if not base.spec().compatible_with(spec):
        updates += _spec_updates(spec, base.specs())
    updates += partitioning.order_updates(
        base, partitioning.parse_sorted_by(request.sorted_by, wanted, request.model)
    )
    changed = {k: v for k, v in _properties(request).items() if base.properties.get(k) != v}
    if changed:
        updates.append(SetPropertiesUpdate(updates=changed))
    return tuple(updates)


def _check_declared(wanted: Schema, declared: Iterable[str], model: str) -> None:
    """Refuse to add to a table that spells a column otherwise than its contract: an increment keeps the table's names."""
    spelled = {name.lower(): name for name in declared}
    other = [one.name for one in wanted.fields if spelled.get(one.name.lower(), one.name) != one.name]
    if other:
        raise ContractError(
            f"{model} breaks its contract",
            f"its table has the column {other[0]}, declared as {spelled[other[0].lower()]}, and other readers"
            " distinguish upper and lower case",
            f"Declare it as {other[0]}, or rename it in the table by one run with --full-refresh",
        )


def no_longer_required(base: TableMetadata, contract: Contract) -> set[str]:
    """Columns that are required because a contract said so before, and that the present one lets be NULL; in small letters."""
    before = constraints.Held.after(base.current_snapshot())
    return set(before.not_null) - {name.lower() for name in contract.not_null}


def stay_optional(base: TableMetadata, contract: Contract) -> list[str]:
    """Columns of a table that a contract newly says are never NULL, and that an increment leaves optional.

    Iceberg allows such a change only as an incompatible one: readers of older snapshots may find NULL. A write that replaces the table
    makes them required.
    """
    before = constraints.Held.after(base.current_snapshot())
    columns = schema.by_name(base.schema())
    return [
        name
        for name in contract.not_null
        if name.lower() not in before.not_null
        and name.lower() in columns
        and not columns[name.lower()].required
    ]


def _stay_required(base: TableMetadata, contract: Contract) -> set[str]:
    """Columns that are required in a table and of which the contract says so, too; in small letters."""
    declared = {name.lower() for name in contract.not_null}
    return {field.name.lower() for field in base.schema().fields if field.required} & declared


def _identifiers(base: TableMetadata, wanted: Schema, contract: Contract) -> list[int]:
    """The identifier fields after an increment: the contract's key, else those that another tool gave the table, while they are still required."""
    if ids := schema.identifiers(wanted, contract.key):
        return ids
    before = base.schema()
    names = [field.name for field in before.fields if field.field_id in before.identifier_field_ids]
    was_ours = constraints.Held.after(base.current_snapshot()).is_unique(names)
    still = {one.field_id for one in wanted.fields if one.required}
    kept = not was_ours and still.issuperset(before.identifier_field_ids)
    return list(before.identifier_field_ids) if kept else []


COMMENT = "comment"
"""Property of a table with its description."""


def description_updates(
    base: TableMetadata, docs: Mapping[str, str], comment: str | None
) -> tuple[TableUpdate, ...]:
    """The updates that give a table descriptions, and change nothing else; empty if it has them.

    Args:
        base: the table.
        docs: descriptions of columns; others keep theirs.
        comment: of the table; None if it keeps its own.
    """
    updates: list[TableUpdate] = []
    wanted = schema.documented(base.schema(), docs)
    if not schema.same_schema(base.schema(), wanted):
        updates += _schema_updates(base, wanted)
    if comment is not None and base.properties.get(COMMENT) != comment:
        updates.append(SetPropertiesUpdate(updates={COMMENT: comment}))
    return tuple(updates)


def only_describes(before: TableMetadata, after: TableMetadata) -> bool:
    """Whether two states of a table differ in nothing but descriptions, as far as schema, layout and properties go."""
    properties = [
        {key: value for key, value in one.properties.items() if key != COMMENT} for one in (before, after)
    ]
    return (
        schema.same_schema(schema.undescribed(before.schema()), schema.undescribed(after.schema()))
        and before.format_version == after.format_version
        and before.default_spec_id == after.default_spec_id
        and before.default_sort_order_id == after.default_sort_order_id
        and properties[0] == properties[1]
    )


def _schema_updates(base: TableMetadata, wanted: Schema) -> list[TableUpdate]:
    numbered = Schema(
        *wanted.fields,
        schema_id=1 + max(known.schema_id for known in base.schemas),
        identifier_field_ids=wanted.identifier_field_ids,
    )
    return [AddSchemaUpdate(schema=numbered), SetCurrentSchemaUpdate(schema_id=-1)]  # type: ignore[call-arg]


def _check_partition_sources(base: TableMetadata, wanted: Schema, model: str) -> None:
    """Refuse to remove a column that files are partitioned by: DuckDB's reader ends the process on them."""
    kept = {field.field_id for field in wanted.fields}
    sources = {field.source_id for spec in base.specs().values() for field in spec.fields}
    gone = [field.name for field in base.schema().fields if field.field_id in sources - kept]
    if gone:
        raise ContractError(
            f"{model}: column {', '.join(gone)} is gone from the query",
            "the table is or was partitioned by it, and older files cannot be read without",
            "Keep it or run with --full-refresh",
        )


def _check_partition_names(base: TableMetadata, wanted: Schema, model: str) -> None:
    """Refuse a new column with the name of a partition field: not every reader opens such a table."""
    known = {field.name.lower() for field in base.schema().fields}
    parts = {field.name.lower() for spec in base.specs().values() for field in spec.fields}
    taken = [field.name for field in wanted.fields if field.name.lower() in parts - known]
    if taken:
        raise ContractError(
            f"{model}: column {', '.join(taken)} is new and has the name of a partition field",
            "the table is or was partitioned by it, and Iceberg wants different names",
            "Rename the column or run with --full-refresh",
        )


def _properties(request: WriteRequest) -> dict[str, str]:
    wanted = request.table_properties.get("format-version", str(FORMAT_VERSION))
    if wanted != str(FORMAT_VERSION):
        raise ConfigError(
            f"{request.model}: table_properties format-version {wanted}",
            f"tables are written as version {FORMAT_VERSION}",
            "Leave it out",
        )
    return {key: value for key, value in request.table_properties.items() if key != "format-version"}


def _format_updates(base: TableMetadata, model: str, *, full: bool) -> list[TableUpdate]:
    """Raise a table of format version 1 to 2, which only a full build can do: old partition fields have no ids there."""
    if base.format_version == FORMAT_VERSION:
        return []
    if base.format_version < FORMAT_VERSION and full:
        return [UpgradeFormatVersionUpdate(format_version=FORMAT_VERSION)]
    raise ContractError(
        f"{model} has format version {base.format_version}",
        f"another tool made it, and tables are written as version {FORMAT_VERSION}",
        "Run with --full-refresh"
        if base.format_version < FORMAT_VERSION
        else "Give the model another alias or drop the table",
    )


def _spec_updates(spec: PartitionSpec, known: Mapping[int, PartitionSpec]) -> list[TableUpdate]:
    """Make a spec the default: one that the table had before, or a new one."""
    for number, other in known.items():
        if other.compatible_with(spec):
            return [SetDefaultSpecUpdate(spec_id=number)]
    numbered = PartitionSpec(*spec.fields, spec_id=max(known) + 1)
    return [AddPartitionSpecUpdate(spec=numbered), SetDefaultSpecUpdate(spec_id=-1)]


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
    """Bytes that a row takes in memory, as far as its types say."""
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
        never_null: columns without NULL by the contract, which is checked once all files are there.
    """

    location: str
    io: FileIO
    schema: Schema
    spec: PartitionSpec
    partition: Sequence[partitioning.PartitionColumn]
    sort: Sequence[partitioning.SortColumn]
    sort_order_id: int
    layout: Layout
    run_id: str
    never_null: Sequence[str] = ()

    @classmethod
    def of(cls, transaction: Transaction, request: WriteRequest) -> Self:
        """What a transaction leads to.

        Raises:
            ConfigError: it cannot be partitioned or sorted as asked for, or a table property has no meaning.
        """
        metadata = transaction.table_metadata
        check_write(transaction._table.io.properties, f"{metadata.location}/data")
        schema = metadata.schema()
        return cls(
            location=metadata.location,
            io=transaction._table.io,
            schema=schema,
            spec=metadata.spec(),
            partition=partitioning.parse_partitioned_by(request.partitioned_by, schema, request.model),
            sort=partitioning.parse_sorted_by(request.sorted_by, schema, request.model),
            sort_order_id=metadata.default_sort_order_id,
            layout=Layout.of(metadata.properties, request.model),
            run_id=request.run_id,
            never_null=request.contract.not_null if request.contract else (),
        )

    @property
    def folder(self) -> str:
        """The folder of the data files as DuckDB takes it."""
        return duckdb_path(f"{self.location}/data")
