"""Sort orders: dbt's ``sorted_by`` as an Iceberg sort order and as SQL's ORDER BY."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyiceberg import types as ice
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.table.update import AddSortOrderUpdate, SetDefaultSortOrderUpdate, TableUpdate
from pyiceberg.transforms import IdentityTransform

from slipway.errors import ConfigError
from slipway.iceberg.schema import find_column, listed
from slipway.iceberg.types import quote

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


def parse(sorted_by: Sequence[str], schema: Schema, model: str) -> list[SortColumn]:
    """Read ``sorted_by`` entries: a column, then ``asc`` or ``desc``, then ``nulls first`` or ``nulls last``.

    Without a word on NULLs they come first when ascending and last when descending, as Iceberg has it.

    Raises:
        ConfigError: a column that is not there, is named twice, or has no order.
    """
    columns = [_parse_one(entry, schema, model) for entry in sorted_by]
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


def _parse_one(entry: str, schema: Schema, model: str) -> SortColumn:
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
