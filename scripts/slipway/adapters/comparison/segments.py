"""Find values of low-cardinality columns on which differing rows concentrate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slipway.adapters.comparison.sql import quote
from slipway.domain.comparison.records import Segment

if TYPE_CHECKING:
    from slipway.adapters.comparison.pair import Pair
    from slipway.adapters.comparison.sql import Column

_MIN_ROWS = 10
_MAX_VALUES = 100
_MIN_LIFT = 2
_MAX_SEGMENTS = 3
_TYPES = ("VARCHAR", "BOOLEAN", "DATE", "TINYINT", "SMALLINT", "INTEGER", "BIGINT")


def find_segments(
    pair: Pair, table: str, keys: Sequence[Column], unchanged: Sequence[Column], *, all_rows: int
) -> tuple[Segment, ...]:
    """Values that more than half of the rows beyond tolerance share, twice as common there as in the tables.

    Args:
        pair: the relations.
        table: the differing rows, as the keyed comparison keeps them.
        keys: key columns, ``k<n>`` in ``table``.
        unchanged: value columns that are equal wherever both sides have the row.
        all_rows: rows of both relations together.
    """
    values = {key: f"k{key.index}" for key in keys}
    values |= {column: f"coalesce({column.head}, {column.base})" for column in unchanged}
    values = {
        column: value
        for column, value in values.items()
        if {column.base_type, column.head_type} <= set(_TYPES)
    }
    if not values:
        return ()
    distinct = ", ".join(f"approx_count_distinct({value})" for value in values.values())
    ((differing, *cardinalities),) = pair.fetch(f"select count(*), {distinct} from {table} where not within")
    few = [column for column, n in zip(values, cardinalities, strict=True) if n <= _MAX_VALUES]
    if differing < _MIN_ROWS or not few:
        return ()
    modes = ", ".join(f"mode({values[column]})" for column in few)
    (tops,) = pair.fetch(f"select {modes} from {table} where not within")
    found = []
    for column, top in zip(few, tops, strict=True):
        segment = _segment(pair, table, column, values[column], top, differing, all_rows)
        if segment is not None:
            found.append(segment)
    return tuple(sorted(found, key=lambda segment: (segment.table_share, -segment.rows))[:_MAX_SEGMENTS])


def _segment(
    pair: Pair, table: str, column: Column, value: str, top: object, differing: int, all_rows: int
) -> Segment | None:
    ((rows, text),) = pair.fetch(
        f"select count(*), any_value(cast({value} as varchar)) from {table} where not within and {value} = $1",
        [top],
    )
    # More than half: then the most frequent value is unique and the answer the same in every run.
    if 2 * rows <= differing:
        return None
    in_tables = sum(
        pair.fetch(f"select count(*) from {relation} where {quote(column.name)} = $1", [top])[0][0]
        for _, relation in pair.sides
    )
    share = in_tables / all_rows
    if rows / differing < _MIN_LIFT * share:
        return None
    return Segment(column=column.name, value=text, rows=rows, of_rows=differing, table_share=share)
