"""dbt's ``partitioned_by`` and ``sorted_by`` as Iceberg's partition spec and sort order, and as SQL for COPY.

The formulas follow the Iceberg table specification, "Partition Transforms"; bucket and truncate come
with DuckDB's iceberg extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyiceberg import transforms
from pyiceberg import types as ice
from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.table.update import AddSortOrderUpdate, SetDefaultSortOrderUpdate, TableUpdate
from pyiceberg.transforms import IdentityTransform

from slipway.errors import ConfigError
from slipway.iceberg.schema import find_column, listed, top_level
from slipway.sql_text import quote

_CALL = re.compile(r"^\s*(\w+)\s*\(\s*(?:(\d+)\s*,\s*)?(.+?)\s*\)\s*$")
_BIGINT_DIGITS = (10, 18)  # decimals of so many digits are kept in 64 bits
_MOST = 2**31 - 1  # parameters of transforms are ints


@dataclass(frozen=True)
class PartitionColumn:
    """One partition field: what it is called, what it is computed from, and how."""

    name: str
    source: str
    transform: transforms.Transform[Any, Any]
    source_type: ice.IcebergType
    expression: str

    @property
    def result_type(self) -> ice.IcebergType:
        """The Iceberg type of the partition value."""
        return self.transform.result_type(self.source_type)


def parse_partitioned_by(partitioned_by: Sequence[str], schema: Schema, model: str) -> list[PartitionColumn]:
    """Read ``partitioned_by`` entries such as ``day(ordered_at)`` or ``bucket(16, id)``.

    Raises:
        ConfigError: an unknown transform, a column that is not there, or a type it cannot take.
    """
    columns = [_parse_partition(entry, schema, model) for entry in partitioned_by]
    known: set[str] = set()
    for column in columns:
        if column.name.lower() in known:
            raise ConfigError(f"{model}: partitioned_by names {column.source} twice", fix="Name it once")
        known.add(column.name.lower())
    decimals = [column.source for column in columns if isinstance(column.source_type, ice.DecimalType)]
    if len(decimals) > 1:
        raise ConfigError(
            f"{model}: partitioned_by has two fields on decimal columns ({', '.join(decimals)})",
            "DuckDB's reader ends the process on such tables",
            "Keep one of them",
        )
    return columns


def spec_for(
    columns: Sequence[PartitionColumn], schema: Schema, used: Iterable[PartitionSpec]
) -> PartitionSpec:
    """The partition spec for the columns; fields that the table ever had keep their ids."""
    fields_used = [field for spec in used for field in spec.fields]
    known = {(f.source_id, str(f.transform)): f.field_id for f in fields_used}
    following = max([PARTITION_FIELD_ID_START - 1, *known.values()])
    fields = []
    for column in columns:
        source = top_level(schema, column.source)
        assert source is not None, "found when it was parsed"
        source_id = source.field_id
        field_id = known.get((source_id, str(column.transform)))
        if field_id is None:
            following += 1
            field_id = following
        fields.append(
            PartitionField(
                source_id=source_id, field_id=field_id, transform=column.transform, name=column.name
            )
        )
    return PartitionSpec(*fields)


def _parse_partition(entry: str, schema: Schema, model: str) -> PartitionColumn:
    match = _CALL.match(entry) if find_column(schema, entry) is None else None
    name, number, source = (match[1].lower(), match[2], match[3]) if match else ("identity", None, entry)
    if (field := find_column(schema, source)) is None:
        fix = f"Use one of {listed(schema)}"
        raise ConfigError(f"{model}: partitioned_by names {source}", "no such column", fix)
    transform, expression = _transform(name, number, field, entry, model)
    if not transform.can_transform(field.field_type) or _unsafe(transform, field.field_type):
        raise ConfigError(
            f"{model}: partitioned_by {entry}",
            f"{name} cannot be used on {field.name} of type {field.field_type}",
            "Choose another transform or column",
        )
    suffix = "" if name == "identity" else f"_{name}" if number is None else f"_{name}_{number}"
    # Avro allows only ASCII names, and DuckDB's reader ends the process on any other
    prefix = field.name if field.name.isascii() else f"column_{field.field_id}"
    name = f"{prefix}{suffix}"
    # Iceberg wants another name than any column's, but for a field that is the column itself
    while name != field.name and find_column(schema, name) is not None:
        name += "_partition"
    return PartitionColumn(name, field.name, transform, field.field_type, expression)


def _transform(
    name: str, number: str | None, field: ice.NestedField, entry: str, model: str
) -> tuple[transforms.Transform[Any, Any], str]:
    column = quote(field.name)
    if number is not None and int(number) < 1:
        raise ConfigError(f"{model}: partitioned_by {entry}", f"{number} is too small", "Use at least 1")
    if number is not None and int(number) > _MOST:
        raise ConfigError(
            f"{model}: partitioned_by {entry}", f"{number} is too large", f"Use at most {_MOST}"
        )
    match name, number:
        case "identity", None:
            expression = column
        case "bucket" | "truncate", str():
            expression = f"iceberg_{name}({number}::integer, {column})"
        case "year" | "month" | "day" | "hour", None:
            expression = _timed(name, field)
        case _:
            raise ConfigError(
                f"{model}: partitioned_by {entry}",
                "unknown transform",
                "Use a column, year(c), month(c), day(c), hour(c), bucket(n, c) or truncate(w, c)",
            )
    return transforms.parse_transform(name if number is None else f"{name}[{number}]"), expression


def _timed(part: str, field: ice.NestedField) -> str:
    value = quote(field.name)
    if isinstance(field.field_type, ice.TimestamptzType):
        value = f"({value} at time zone 'UTC')"
    match part:
        case "day":
            return f"{value}::date"
        case "hour":
            return f"datediff('hour', timestamp '1970-01-01', {value}::timestamp)"
    return f"datediff('{part}', date '1970-01-01', {value}::date)"


def _unsafe(transform: transforms.Transform[Any, Any], kind: ice.IcebergType) -> bool:
    """Combinations for which DuckDB's value is not the specification's, so that one reader loses rows."""
    if isinstance(kind, ice.UUIDType):
        return True
    if isinstance(transform, transforms.TruncateTransform):
        if isinstance(kind, ice.BinaryType):
            return True  # COPY names partitions by text
        # DuckDB's reader truncates a decimal as if it had 64 bits: it ends on shorter ones and misses rows of longer ones
        if isinstance(kind, ice.DecimalType) and not _BIGINT_DIGITS[0] <= kind.precision <= _BIGINT_DIGITS[1]:
            return True
    return isinstance(transform, transforms.IdentityTransform) and isinstance(
        kind, ice.FloatType | ice.DoubleType | ice.BinaryType | ice.StructType | ice.ListType | ice.MapType
    )


_ENTRY = re.compile(r"(?is)^\s*(.+?)(?:\s+(asc|desc))?(?:\s+nulls\s+(first|last))?\s*$")


@dataclass(frozen=True)
class SortColumn:
    """One column that rows are ordered by inside a file."""

    field: ice.NestedField
    descending: bool = False
    nulls_first: bool = True

    @property
    def sql(self) -> str:
        """An item of ORDER BY."""
        direction = "desc" if self.descending else "asc"
        return f"{quote(self.field.name)} {direction} nulls {'first' if self.nulls_first else 'last'}"


def parse_sorted_by(sorted_by: Sequence[str], schema: Schema, model: str) -> list[SortColumn]:
    """Read ``sorted_by`` entries: a column, then ``asc`` or ``desc``, then ``nulls first`` or ``nulls last``.

    Without a word on NULLs they come first when ascending and last when descending, as Iceberg has it.

    Raises:
        ConfigError: a column that is not there, is named twice, or has no order.
    """
    columns = [_parse_sort(entry, schema, model) for entry in sorted_by]
    known: set[int] = set()
    for column in columns:
        if column.field.field_id in known:
            raise ConfigError(f"{model}: sorted_by names {column.field.name} twice", fix="Name it once")
        known.add(column.field.field_id)
    return columns


def order_for(columns: Sequence[SortColumn], used: Iterable[SortOrder] = ()) -> SortOrder:
    """The Iceberg sort order for columns, with the id it has if the table had it before."""
    if not columns:
        return UNSORTED_SORT_ORDER
    fields = [
        SortField(
            source_id=column.field.field_id,
            transform=IdentityTransform(),
            direction=SortDirection.DESC if column.descending else SortDirection.ASC,
            null_order=NullOrder.NULLS_FIRST if column.nulls_first else NullOrder.NULLS_LAST,
        )
        for column in columns
    ]
    known = {order.order_id: order.fields for order in used}
    for number, existing in known.items():
        if existing == fields:
            return SortOrder(*fields, order_id=number)
    return SortOrder(*fields, order_id=1 + max([0, *known]))


def columns_of(order: SortOrder, schema: Schema) -> list[SortColumn]:
    """The columns of an Iceberg sort order.

    Raises:
        ConfigError: another tool gave the table an order that COPY cannot keep.
    """
    top = {field.field_id: field for field in schema.fields}
    for field in order.fields:
        if field.source_id not in top or not isinstance(field.transform, IdentityTransform):
            raise ConfigError(f"Sort order {order.order_id} cannot be kept", f"it sorts by {field}")
    return [
        SortColumn(
            top[field.source_id],
            field.direction is SortDirection.DESC,
            field.null_order is NullOrder.NULLS_FIRST,
        )
        for field in order.fields
    ]


def order_updates(base: TableMetadata, columns: Sequence[SortColumn]) -> list[TableUpdate]:
    """The updates that make an order the table's."""
    order = order_for(columns, base.sort_orders)
    if order.order_id == base.default_sort_order_id:
        return []
    change = SetDefaultSortOrderUpdate(sort_order_id=order.order_id)
    if order.order_id in {known.order_id for known in base.sort_orders}:
        return [change]
    return [AddSortOrderUpdate(sort_order=order), change]


def _parse_sort(entry: str, schema: Schema, model: str) -> SortColumn:
    name, direction, nulls = entry, None, None
    match = _ENTRY.match(entry)
    if match and not find_column(schema, entry) and find_column(schema, match[1]):
        name, direction, nulls = match.groups()
    if (field := find_column(schema, name)) is None:
        fix = f"Use one of {listed(schema)}"
        raise ConfigError(f"{model}: sorted_by names {name}", "no such column", fix)
    if not isinstance(field.field_type, ice.PrimitiveType):
        raise ConfigError(
            f"{model}: sorted_by names {field.name}",
            f"values of type {field.field_type} have no order in Iceberg",
            "Choose another column",
        )
    descending = (direction or "").lower() == "desc"
    nulls_first = nulls.lower() == "first" if nulls else not descending
    return SortColumn(field, descending, nulls_first)
