"""Counts of what the values of columns look like, over all rows of all samples, by DuckDB."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import duckdb

from slipway.contracts.model import Column, FileSettings
from slipway.contracts.typed_values import text_sql, value_sql
from slipway.inference.moment_forms import (
    LIKE_DAY,
    MOMENTS,
    SHORT_YEARS,
    Moment,
    likely_moments,
    possible_moments,
)
from slipway.inference.number_forms import (
    FLOAT,
    INTEGER,
    LEADING_ZERO,
    LIKE_NUMBER,
    STYLES,
    WITH_EXPONENT,
    number_pattern,
    proves_decimal,
    proves_groups,
)
from slipway.inference.value_types import NULLS, Facts
from slipway.sql_text import literal

_SOME = 1000  # values that a column is tried with first
_PLUS = "[+].*"
_LIKE_NUMBERS = re.compile("[0-9+.,' eE-]+")
_PATTERNS = tuple(
    dict.fromkeys(
        (
            INTEGER,
            LEADING_ZERO,
            LIKE_DAY,
            LIKE_NUMBER,
            FLOAT,
            WITH_EXPONENT,
            _PLUS,
            *map(number_pattern, STYLES),
            *(proves_decimal(mark) for mark in ".,"),
            *(proves_groups(style) for style in STYLES if style.groups),
        )
    )
)
_FILES = FileSettings()


def facts_of(connection: duckdb.DuckDBPyConnection, value: str, table: str, kinds: frozenset[str]) -> Facts:
    """What was counted of the values of one column.

    Args:
        connection: has the table.
        value: an expression for them as text, such as a quoted name.
        table: with the rows.
        kinds: types that the files state.
    """
    text = text_sql(Column(name="raw"), _FILES)
    connection.execute(
        f"create or replace temp table column_values as select {text} as value, sum(n)::bigint as times, "
        f"(sum(n) filter (raw <> {text}))::bigint as padded "
        f"from (select {value} as raw, count(*) as n from {table} group by 1) group by 1"
    )
    rows, filled, different, padded = _one(
        connection,
        "select coalesce(sum(times), 0), coalesce(sum(times) filter (value is not null), 0), count(value), "
        "coalesce(sum(padded), 0) from column_values",
    )
    nulls = ", ".join(map(literal, NULLS))
    spelled: dict[str, int] = dict(
        connection.execute(
            f"select value, times from column_values where lower(value) in ({nulls}) order by times desc, value"
        ).fetchall()
    )
    typed = f"from column_values where value is not null and lower(value) not in ({nulls})"
    query = f"select value {typed} order by times desc, value limit {_SOME}"
    some = [str(row[0]) for row in connection.execute(query).fetchall()]
    shortest, longest = _one(
        connection, f"select coalesce(min(length(value)), 0), coalesce(max(length(value)), 0) {typed}"
    )
    counts, scale, whole = _numbers(connection, typed, some)
    moments = _moments(connection, typed, some, MOMENTS)
    return Facts(
        int(rows), int(filled), different, shortest, longest, int(padded), spelled, counts, scale, whole, [*some, *spelled], moments, kinds,
        None if moments else _nearly(connection, typed, some, counts.get(LIKE_DAY, 0)),
    )  # fmt: skip


def short_years(values: Sequence[str]) -> str:
    """The form of dates with two digits for the year, where some values may all be such; empty where they are not."""
    found = possible_moments(values, [Moment("date", one) for one in SHORT_YEARS])
    return found[0].format if found else ""


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    (row,) = connection.execute(query).fetchall()
    return tuple(row)


def _numbers(
    connection: duckdb.DuckDBPyConnection, typed: str, some: Sequence[str]
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """How many values match each pattern of numbers, and the most digits after and before each mark."""
    may_be_numbers = all(_LIKE_NUMBERS.fullmatch(value) for value in some)
    patterns = _PATTERNS if may_be_numbers else (LEADING_ZERO, LIKE_NUMBER, LIKE_DAY)
    matches = ", ".join(f"sum(times) filter (regexp_full_match(value, {literal(one)}))" for one in patterns)
    after = [f"max(length(regexp_extract(value, '[{mark}]([0-9]*)$', 1)))" for mark in ".,"]
    before = [
        f"max(length(regexp_replace(regexp_replace(value, '[{mark}][0-9]*$', ''), '[^0-9]', '', 'g')))"
        for mark in ".,"
    ]
    found = [
        int(number or 0)
        for number in _one(connection, f"select {matches}, {', '.join([*after, *before])} {typed}")
    ]
    counted, digits = found[: len(patterns)], found[len(patterns) :]
    return (
        dict(zip(patterns, counted, strict=True)),
        dict(zip(".,", digits[:2], strict=True)),
        dict(zip(".,", digits[2:], strict=True)),
    )


def _moments(
    connection: duckdb.DuckDBPyConnection, typed: str, some: Sequence[str], candidates: Sequence[Moment]
) -> list[Moment]:
    """Readings as dates and times that every value has; a part of the values rules most of them out."""
    candidates = possible_moments(some, candidates)
    if not candidates:
        return []
    query = ", ".join(f"count({value_sql(column_of('', one), 'value', _FILES, 'raw')})" for one in candidates)
    total, *counts = _one(connection, f"select count(*), {query} {typed}")
    return [one for one, count in zip(candidates, counts, strict=True) if count == total]


def _nearly(
    connection: duckdb.DuckDBPyConnection, typed: str, some: Sequence[str], like_days: int
) -> tuple[Sequence[Moment], int] | None:
    """The readings as dates or times that most values have, and how many; None where those are less than nine of ten."""
    candidates = likely_moments(some, MOMENTS) if like_days else []
    if not candidates:
        return None
    query = ", ".join(
        f"sum(times) filter ({value_sql(column_of('', one), 'value', _FILES, 'raw')} is not null)"
        for one in candidates
    )
    total, *found = (int(one or 0) for one in _one(connection, f"select sum(times), {query} {typed}"))
    most = max(found)
    best = [one for one, count in zip(candidates, found, strict=True) if count == most]
    return (best, most) if most * 10 >= total * 9 else None


def column_of(name: str, moment: Moment) -> Column:
    """A property of a date or time."""
    options: Mapping[str, object] = {"format": moment.format or None, "timezone": moment.has_zone or None}
    return Column.model_validate(
        {"name": name, "logicalType": moment.logical_type, "logicalTypeOptions": options}
    )
