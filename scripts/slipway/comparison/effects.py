"""What differences amount to: sums of numeric columns before and after, and how far distributions moved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from slipway.comparison.relations import Column, Pair, is_number
from slipway.comparison.results import Drift, Effect
from slipway.monitors.formulas import stability_index
from slipway.sql_text import quote

_MAX_COLUMNS = 30
_LEAST_ROWS = 50
"""Of each side: the shares of fewer rows move by chance."""
_DECILES = ", ".join(str(number / 10) for number in range(1, 10))
_SAMPLED, _LEAST_SAMPLED = 500_000, 100_000
"""Rows by which the deciles of a table are found, about, and at least, if it has more: to sort all of them takes longer than to count them in bins."""
_HASHED = 3
"""Columns by whose hash these rows are chosen, so that they are the same ones the next time."""
_MAX_VALUES = 50
_EXACT = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_DECIMAL = re.compile(r"DECIMAL\(\d+,\s*(\d+)\)")
_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")


def find_effects(pair: Pair, columns: Sequence[Column]) -> tuple[Effect, ...]:
    """Sums of numeric columns over the rows of both relations, for those whose sum moved.

    Args:
        pair: the relations. What both share besides is the same on both sides, so that the change is that of the whole tables.
        columns: which columns.
    """
    numeric = [
        one
        for one in columns
        if is_number(one.base_type)
        and is_number(one.head_type)
        and one.name.casefold() not in pair.identifiers
    ]
    numeric = numeric[:_MAX_COLUMNS]
    base, head = (
        pair.fetch_row([_sum(column, side) for column in numeric], relation) for side, relation in pair.sides
    )
    return tuple(
        Effect(column=column.name, base=before, head=after, scale=_scale(column))
        for column, before, after in zip(numeric, base, head, strict=True)
        if before != after
    )


def _scale(column: Column) -> int | None:
    """The digits behind the point of a decimal, the larger number of both sides."""
    found = [_DECIMAL.fullmatch(kind) for kind in (column.base_type, column.head_type)]
    return max((int(one[1]) for one in found if one), default=None) if all(found) else None


def _sum(column: Column, side: str) -> str:
    value = quote(column.name)
    if (column.base_type if side == "base" else column.head_type) in _EXACT:
        return f"cast(sum({value}) as double)"
    total = f"fsum(cast({value} as double)) filter (isfinite(cast({value} as double)))"
    return (
        f"case when isfinite({total}) then {total} end"  # no number of JSON is as large as what may come out
    )


def find_drifts(pair: Pair, columns: Sequence[Column]) -> tuple[Drift, ...]:
    """The population stability index of columns over the rows of both relations, largest first; NULL is a bin of its own.

    Numbers and times are divided at the deciles of base, which are found by a part of the rows of a large table; other columns by their values where
    these are few. All rows are counted.

    Args:
        pair: the relations.
        columns: which columns.
    """
    columns = list(columns[:_MAX_COLUMNS])
    if (
        not columns
        or min(pair.fetch_row(["count(*)"], relation)[0] for _, relation in pair.sides) < _LEAST_ROWS
    ):
        return ()
    edges = _edges(pair, columns)
    sides = [list(_bins(pair, relation, columns, edges)) for _, relation in pair.sides]
    found = [
        Drift(column=column.name, stability_index=_index(then, now))
        for column, then, now in zip(columns, *sides, strict=True)
        if then is not None and now is not None
    ]
    return tuple(sorted(found, key=lambda drift: -drift.stability_index))


def _value(column: Column) -> str | None:
    """SQL of a column as a number, None where it has no order that counts."""
    if is_number(column.base_type) and is_number(column.head_type):
        return f"cast({quote(column.name)} as double)"
    if column.base_type in _TIMES and column.head_type in _TIMES:
        return f"cast(epoch({quote(column.name)}) as double)"
    return None


def _edges(pair: Pair, columns: Sequence[Column]) -> list[list[float] | None]:
    """Upper edges of bins, the last of which has none; None for a column that is divided by its values."""
    items = [
        f"quantile_disc({value}, [{_DECILES}]) filter (isfinite({value}))"
        if (value := _value(column))
        else "null"
        for column in columns
    ]
    (rows,) = pair.fetch_row(["count(*)"], pair.base)
    part = rows // _SAMPLED
    chosen = ", ".join(quote(column.name) for column in pair.columns[:_HASHED])
    where = f" where hash({chosen}) % {part} = 0" if part > 1 else ""
    counted, *found = pair.fetch_row(["count(*)", *items], f"{pair.base}{where}")
    if counted < _LEAST_SAMPLED < rows:  # the columns that are hashed hardly differ from row to row
        found = list(pair.fetch_row(items, pair.base))
    return [
        None if _value(column) is None else sorted(set(edges or ()))
        for column, edges in zip(columns, found, strict=True)
    ]


def _bins(
    pair: Pair, relation: str, columns: Sequence[Column], edges: Sequence[list[float] | None]
) -> Iterator[dict[Any, int] | None]:
    """Rows by bin for each column; None where there are too many values to count. Each side is read once, or twice where there are columns that are divided by their values."""
    by_value = [one for one, upper in zip(columns, edges, strict=True) if upper is None]
    distinct = [f"approx_count_distinct({quote(one.name)}) <= {_MAX_VALUES}" for one in by_value]
    answers = iter(pair.fetch_row(distinct, relation) if distinct else ())
    few = [upper is None and next(answers) for upper in edges]
    items = [
        item
        for column, upper, is_few in zip(columns, edges, few, strict=True)
        for item in _counted(column, upper, is_few=is_few)
    ]
    rows, *counted = pair.fetch_row(["count(*)", *items], relation)
    found = iter(counted)
    for upper, is_few in zip(edges, few, strict=True):
        if upper is not None:
            below = [next(found) for _ in range(len(upper) + 1)]
            bins: dict[Any, int] = {at: high - low for at, (low, high) in enumerate(pairwise((0, *below)))}
            yield bins | {None: rows - below[-1]}
        elif is_few:
            values = next(found) or {}
            yield values | {None: rows - sum(values.values())}
        else:
            yield None


def _counted(column: Column, upper: list[float] | None, *, is_few: bool) -> Iterator[str]:
    """SQL of what is counted of a column: rows up to each edge and rows with a value, or rows by value."""
    if upper is not None:
        value = _value(column)
        yield from (f"countif({value} <= {edge!r})" for edge in upper)
        yield f"count({value})"
    elif is_few:
        yield f"histogram(cast({quote(column.name)} as varchar))"


def _index(then: dict[Any, int], now: dict[Any, int]) -> float:
    values = sorted(then.keys() | now.keys(), key=str)
    return stability_index([then.get(value, 0) for value in values], [now.get(value, 0) for value in values])
