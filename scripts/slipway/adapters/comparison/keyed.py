"""Compare two relations row by row, matched by a key that is unique on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slipway.adapters.comparison.pair import Pair, Profile, emptiness
from slipway.adapters.comparison.segments import find_segments
from slipway.adapters.comparison.sql import as_text, read_side
from slipway.domain.comparison.records import (
    ColumnComparison,
    Coverage,
    Example,
    Method,
    RowCounts,
    Side,
    TableComparison,
)

if TYPE_CHECKING:
    from slipway.adapters.comparison.sql import Column

_BOTH = "in_base and in_head"


def compare_by_key(name: str, pair: Pair, keys: Sequence[Column]) -> TableComparison:
    """Join the two sides once and count on the rows that differ; a NULL in the key matches NULL.

    Args:
        name: the table's name in the result.
        pair: the relations.
        keys: columns whose values occur once on each side.
    """
    values = [column for column in pair.columns if column not in keys]
    base, head = pair.profiles()
    with pair.temporary(_differing_rows(pair, keys, values)) as table:
        rows = _row_counts(pair, table, base)
        columns = _columns(pair, table, keys, values, (base, head), compared=base.rows - rows.removed)
        unchanged = [
            value for value, column in zip(values, columns, strict=True) if column.matching == column.compared
        ]
        segments = find_segments(pair, table, keys, unchanged, all_rows=base.rows + head.rows)
        added = pair.row_examples(table, keys, "k", "not in_base") if rows.added else ()
        removed = pair.row_examples(table, keys, "k", "not in_head") if rows.removed else ()
    notes = [
        f"key column {key.name} has NULLs ({base.nulls[key.index]:,} in base, {head.nulls[key.index]:,} in head),"
        " which match each other"
        for key in keys
        if base.nulls[key.index] or head.nulls[key.index]
    ]
    return TableComparison(
        name=name,
        coverage=Coverage(
            method=Method.KEY,
            key=tuple(key.name for key in keys),
            columns=tuple(column.name for column in pair.columns),
            notes=(*notes, *emptiness(base, head)),
        ),
        base=Side(rows=base.rows),
        head=Side(rows=head.rows),
        rows=rows,
        columns=columns,
        added_examples=added,
        removed_examples=removed,
        segments=segments,
    )


def _differing_rows(pair: Pair, keys: Sequence[Column], values: Sequence[Column]) -> str:
    """SQL of the rows that are not the same on both sides.

    Columns: ``in_base``, ``in_head``, ``within`` (on both sides, and every difference is tolerated), keys as
    ``k<n>``, values as ``b<n>`` and ``h<n>``.
    """
    key_items = ", ".join(f"coalesce({key.base}, {key.head}) as k{key.index}" for key in keys)
    value_items = "".join(f", {column.base}, {column.head}" for column in values)
    differs = " or ".join(["base_row is null", "head_row is null", *(column.differs for column in values)])
    tolerated = " and ".join(f"(not {column.differs} or {column.tolerated})" for column in values) or "false"
    return f"""
        select
            base_row is not null as in_base,
            head_row is not null as in_head,
            in_base and in_head and {tolerated} as within,
            {key_items}{value_items}
        from {read_side(pair.base, pair.columns, "base", "true as base_row", alias="b")} as base_side
        full outer join {read_side(pair.head, pair.columns, "head", "true as head_row", alias="h")} as head_side
            on {" and ".join(f"not {key.differs}" for key in keys)}
        where {differs}
    """


def _row_counts(pair: Pair, table: str, base: Profile) -> RowCounts:
    ((added, removed, changed, within),) = pair.fetch(f"""
        select
            count(*) filter (not in_base),
            count(*) filter (not in_head),
            count(*) filter ({_BOTH} and not within),
            count(*) filter (within)
        from {table}
    """)
    return RowCounts(
        added=added,
        removed=removed,
        changed=changed,
        within_tolerance=within,
        identical=base.rows - removed - changed - within,
    )


def _columns(
    pair: Pair,
    table: str,
    keys: Sequence[Column],
    values: Sequence[Column],
    profiles: tuple[Profile, Profile],
    *,
    compared: int,
) -> tuple[ColumnComparison, ...]:
    """Statistics of each value column, all from one pass over the differing rows."""
    items = [
        item
        for column in values
        for item in (
            f"count(*) filter ({column.differs})",
            f"count(*) filter ({column.tolerated})",
            f"max({column.distance}) filter ({column.differs})" if column.has_distance else "null",
            f"max({column.relative_distance}) filter ({column.differs})" if column.has_distance else "null",
        )
    ]
    (stats,) = pair.fetch(f"select {', '.join(items)} from {table} where {_BOTH}") if items else ((),)
    base, head = profiles
    columns = []
    for position, column in enumerate(values):
        unequal, tolerated, absolute, relative = stats[4 * position : 4 * position + 4]
        columns.append(
            ColumnComparison(
                name=column.name,
                type=column.head_type,
                compared=compared,
                matching=compared - unequal,
                within_tolerance=tolerated,
                tolerance=column.tolerance,
                match_rate=(compared - unequal) / compared if compared else None,
                base_nulls=base.nulls[column.index],
                head_nulls=head.nulls[column.index],
                largest_absolute_change=absolute,
                largest_relative_change=relative,
                unit=column.unit,
                examples=_examples(pair, table, keys, column) if unequal else (),
            )
        )
    return tuple(columns)


def _examples(pair: Pair, table: str, keys: Sequence[Column], column: Column) -> tuple[Example, ...]:
    by_key = [f"k{key.index}" for key in keys]
    order = [
        f"{column.tolerated}",
        *([f"{column.distance} desc nulls last"] if column.has_distance else ()),
        *by_key,
    ]
    rows = pair.fetch(f"""
        select {", ".join(as_text(value) for value in (column.base, column.head, *by_key))}
        from {table}
        where {_BOTH} and {column.differs}
        order by {", ".join(order)}
        limit {pair.examples}
    """)
    names = [key.name for key in keys]
    return tuple(
        Example(base=base, head=head, key=dict(zip(names, key, strict=True))) for base, head, *key in rows
    )
