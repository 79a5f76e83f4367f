"""Compare two relations row by row by a unique key, or as multisets of whole rows; and where differences concentrate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from slipway.comparison.effects import find_drifts, find_effects
from slipway.comparison.relations import Column, Pair, Profile, as_text, read_side
from slipway.comparison.results import (
    ColumnComparison,
    Coverage,
    Example,
    Method,
    RowCounts,
    Segment,
    Side,
    TableComparison,
)
from slipway.sql_text import quote, value_literal

_MIN_ROWS = 10
_MAX_VALUES = 100
_MIN_LIFT = 2
_MAX_SEGMENTS = 3
_MAX_COLUMNS = 500
"""Of whole rows, each column takes a query of its own; of rows with a key it does not."""
_MAX_EXAMPLE_COLUMNS = 100
_MAX_RANGES = 20
_ORDERED = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "SMALLINT", "INTEGER", "BIGINT")
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
    values = dict(islice(values.items(), _MAX_COLUMNS))
    ranges = _ranges(
        pair,
        table,
        {key: f"k{key.index}" for key in keys}
        | {column: f"coalesce({column.head}, {column.base})" for column in unchanged},
        all_rows,
    )
    if not values:
        return ranges[:_MAX_SEGMENTS]
    distinct = [f"approx_count_distinct({value})" for value in values.values()]
    differing, *cardinalities = pair.fetch_row(["count(*)", *distinct], f"{table} where not within")
    few = [column for column, n in zip(values, cardinalities, strict=True) if n <= _MAX_VALUES]
    if differing < _MIN_ROWS or not few:
        return ranges[:_MAX_SEGMENTS]
    tops = pair.fetch_row([f"mode({values[column]})" for column in few], f"{table} where not within")
    found = []
    for column, top in zip(few, tops, strict=True):
        segment = _segment(pair, table, column, values[column], top, differing, all_rows)
        if segment is not None:
            found.append(segment)
    named = {segment.column for segment in found}
    found += [segment for segment in ranges if segment.column not in named]
    # the one that most differing rows have says most; of equals, the one that is rarest in the tables
    return tuple(sorted(found, key=lambda segment: (-segment.rows, segment.table_share))[:_MAX_SEGMENTS])


def _share(
    pair: Pair, column: Column, bounds: tuple[Any, Any], found: int, share: float, all_rows: int
) -> float | None:
    """The share of all rows with a value in a range, of which some were found in the relations; None where that takes too much reading.

    Rows that both sides share are read for it only if the value is rare enough in the relations.
    """
    in_relations = all_rows - 2 * pair.shared.rows
    is_rare = bool(in_relations) and share >= _MIN_LIFT * found / in_relations
    shared = pair.shared.having(column.name, *bounds, read=is_rare)
    return None if shared is None else (found + 2 * shared) / all_rows


def _ranges(pair: Pair, table: str, columns: Mapping[Column, str], all_rows: int) -> tuple[Segment, ...]:
    """Ranges of numbers and times in which more than half of the rows beyond tolerance are, and few rows of the tables."""
    ordered = [one for one in columns if {one.base_type, one.head_type} <= set(_ORDERED)][:_MAX_RANGES]
    items = [f"{function}({columns[one]})" for one in ordered for function in ("min", "max", "count")]
    differing, *found = pair.fetch_row(["count(*)", *items], f"{table} where not within")
    candidates = [
        (column, low, high, rows)
        for column, low, high, rows in zip(ordered, found[::3], found[1::3], found[2::3], strict=True)
        if low != high and 2 * rows > differing >= _MIN_ROWS
    ]
    inside = [f"between {value_literal(low)} and {value_literal(high)}" for _, low, high, _ in candidates]
    within = [
        f"countif({quote(column.name)} {one})" for (column, *_), one in zip(candidates, inside, strict=True)
    ]
    if not within:
        return ()
    # a row that both sides have is in a range on both, because these columns have no difference
    more = [
        f"countif(not in_base and {columns[column]} {one}) - countif(not in_head and {columns[column]} {one})"
        for (column, *_), one in zip(candidates, inside, strict=True)
    ]
    of_base = pair.fetch(f"select {', '.join(within)} from {pair.base}")[0]
    of_head = pair.fetch(f"select {', '.join(more)} from {table}")[0]
    segments = []
    for (column, low, high, rows), before, moved in zip(candidates, of_base, of_head, strict=True):
        after = before + moved
        share = _share(pair, column, (low, high), before + after, rows / differing, all_rows)
        if share is not None and rows / differing >= _MIN_LIFT * share:
            segments.append(
                Segment(
                    column=column.name,
                    value=str(low),
                    until=str(high),
                    rows=rows,
                    of_rows=differing,
                    table_share=share,
                )
            )
    return tuple(sorted(segments, key=lambda segment: (-segment.rows, segment.table_share)))


def _segment(
    pair: Pair, table: str, column: Column, value: str, top: Any, differing: int, all_rows: int
) -> Segment | None:
    has_it = f"= {value_literal(top)}"
    ((rows, text),) = pair.fetch(
        f"select count(*), any_value(cast({value} as varchar)) from {table} where not within and {value} {has_it}"
    )
    # More than half: then the most frequent value is unique and the answer the same in every run.
    if 2 * rows <= differing:
        return None
    in_relations = sum(
        pair.fetch(f"select count(*) from {relation} where {quote(column.name)} {has_it}")[0][0]
        for _, relation in pair.sides
    )
    share = _share(pair, column, (top, top), in_relations, rows / differing, all_rows)
    if share is None or rows / differing < _MIN_LIFT * share:
        return None
    return Segment(column=column.name, value=text, rows=rows, of_rows=differing, table_share=share)


def compare_as_multiset(name: str, pair: Pair) -> TableComparison:
    """Count rows with their multiplicity; a changed row is one removed and one added.

    A column's ``matching`` is the size of the intersection of its values as multisets, out of as many as the
    smaller side has rows. Tolerances cannot be applied, because no row has a counterpart.
    """
    base, head = pair.profiles()
    if not pair.columns:
        coverage = Coverage(method=Method.NONE, notes=("no column is left to compare",))
        return TableComparison(
            name=name, coverage=coverage, base=Side(rows=base.rows), head=Side(rows=head.rows)
        )
    with pair.temporary(_unequal_counts(pair)) as table:
        ((added, removed),) = pair.fetch(
            f"select coalesce(sum(greatest(-surplus, 0)), 0), coalesce(sum(greatest(surplus, 0)), 0) from {table}"
        )
        described = pair.columns if len(pair.columns) <= _MAX_COLUMNS else []
        columns = tuple(_column(pair, table, column, base, head) for column in described)
        shown = pair.columns[:_MAX_EXAMPLE_COLUMNS]
        added_examples = pair.row_examples(table, shown, "v", "surplus < 0") if added else ()
        removed_examples = pair.row_examples(table, shown, "v", "surplus > 0") if removed else ()
    notes = [f"{len(pair.columns):,} columns: which of them differ takes a key"] * (not described)
    notes += ["tolerances need a key and were not applied"] * any(column.tolerance for column in pair.columns)
    return TableComparison(
        name=name,
        coverage=_coverage(pair, Method.MULTISET, base, head, notes),
        base=Side(rows=base.rows),
        head=Side(rows=head.rows),
        rows=RowCounts(added=added, removed=removed, identical=base.rows - removed),
        columns=columns,
        added_examples=added_examples,
        removed_examples=removed_examples,
        effects=find_effects(pair, pair.columns) if added or removed else (),
        drifts=find_drifts(pair, pair.columns) if added or removed else (),
    )


def _coverage(
    pair: Pair,
    method: Method,
    base: Profile,
    head: Profile,
    notes: Sequence[str],
    keys: Sequence[Column] = (),
) -> Coverage:
    empty = () if base.rows or head.rows else ("both sides are empty",)
    return Coverage(
        method=method,
        key=tuple(key.name for key in keys),
        columns=tuple(column.name for column in pair.columns),
        notes=(*notes, *empty),
    )


def _unequal_counts(pair: Pair) -> str:
    """SQL of the distinct rows that one side has more often; ``surplus`` is base's count minus head's."""
    values = ", ".join(f"v{column.index}" for column in pair.columns)
    base = read_side(pair.base, pair.columns, "base", "1 as occurrence", alias="v")
    head = read_side(pair.head, pair.columns, "head", "-1 as occurrence", alias="v")
    return f"""
        select {values}, sum(occurrence)::bigint as surplus
        from (select * from {base} union all select * from {head})
        group by {values}
        having surplus <> 0
    """


def _column(pair: Pair, table: str, column: Column, base: Profile, head: Profile) -> ColumnComparison:
    # Rows that both sides have as often cancel out in every projection, so the rest is enough.
    ((unmatched,),) = pair.fetch(f"""
        select coalesce(sum(greatest(surplus, 0)), 0)
        from (select sum(surplus) as surplus from {table} group by v{column.index})
    """)
    compared = min(base.rows, head.rows)
    matching = base.rows - int(unmatched)
    return ColumnComparison(
        name=column.name,
        type=column.head_type,
        compared=compared,
        matching=matching,
        match_rate=matching / compared if compared else None,
        base_nulls=base.nulls[column.index],
        head_nulls=head.nulls[column.index],
        unit=column.unit,
    )


_BOTH = "in_base and in_head"


def compare_by_key(name: str, pair: Pair, keys: Sequence[Column]) -> TableComparison:
    """Join the two sides once and count on the rows that differ; a NULL in the key matches NULL."""
    values = [column for column in pair.columns if column not in keys]
    base, head = pair.profiles()
    with pair.temporary(_differing_rows(pair, keys, values)) as table:
        rows = _row_counts(pair, table, base)
        columns = _columns(pair, table, keys, values, (base, head), compared=base.rows - rows.removed)
        unchanged = [
            value for value, column in zip(values, columns, strict=True) if column.matching == column.compared
        ]
        segments = find_segments(pair, table, keys, unchanged, all_rows=base.rows + head.rows)
        differing = rows.added or rows.removed or rows.changed
        moved = [
            value
            for value, column in zip(values, columns, strict=True)
            if rows.added or rows.removed or column.different
        ]
        effects = find_effects(pair, moved) if differing else ()
        drifts = find_drifts(pair, moved) if differing else ()
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
        coverage=_coverage(pair, Method.KEY, base, head, notes, keys),
        base=Side(rows=base.rows),
        head=Side(rows=head.rows),
        rows=rows,
        columns=columns,
        added_examples=added,
        removed_examples=removed,
        segments=segments,
        effects=effects,
        drifts=drifts,
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
    """Statistics of each value column from the differing rows; those of columns without a difference need no look at distances."""
    source = f"{table} where {_BOTH}"
    unequal_of = pair.fetch_row([f"count(*) filter ({column.differs})" for column in values], source)
    differing = [column for column, unequal in zip(values, unequal_of, strict=True) if unequal]
    items = [
        item
        for column in differing
        for item in (
            f"count(*) filter ({column.tolerated})",
            f"max({column.distance}) filter ({column.differs})" if column.has_distance else "max(null)",
            f"max({column.relative_distance}) filter ({column.differs})"
            if column.has_distance
            else "max(null)",
        )
    ]
    stats = iter(pair.fetch_row(items, source))
    details = {column: (next(stats), next(stats), next(stats)) for column in differing}
    base, head = profiles
    columns = []
    for column, unequal in zip(values, unequal_of, strict=True):
        tolerated, absolute, relative = details.get(column, (0, None, None))
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
