"""Compare two relations as multisets of whole rows, for tables without a usable key."""

from __future__ import annotations

from slipway.adapters.comparison.pair import Pair, Profile, emptiness
from slipway.adapters.comparison.sql import Column, read_side
from slipway.domain.comparison.records import (
    ColumnComparison,
    Coverage,
    Method,
    RowCounts,
    Side,
    TableComparison,
)


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
        columns = tuple(_column(pair, table, column, base, head) for column in pair.columns)
        added_examples = pair.row_examples(table, pair.columns, "v", "surplus < 0") if added else ()
        removed_examples = pair.row_examples(table, pair.columns, "v", "surplus > 0") if removed else ()
    notes = ["tolerances need a key and were not applied"] * any(column.tolerance for column in pair.columns)
    return TableComparison(
        name=name,
        coverage=Coverage(
            method=Method.MULTISET,
            columns=tuple(column.name for column in pair.columns),
            notes=(*notes, *emptiness(base, head)),
        ),
        base=Side(rows=base.rows),
        head=Side(rows=head.rows),
        rows=RowCounts(added=added, removed=removed, identical=base.rows - removed),
        columns=columns,
        added_examples=added_examples,
        removed_examples=removed_examples,
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
