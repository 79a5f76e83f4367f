"""Generated rows: the same for the same arguments, on every machine."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

ROWS_A_DAY = 100_000
FIRST_DAY = date(2024, 1, 1)
_EXTRA = 30  # columns that a wide table has on top of a narrow one


def events(rows: int, shape: str = "narrow", days: int | None = None, start: int = 0) -> str:
    """A query for events in order of time: ``event_id``, ``happened_at``, ``day`` and measures of several types.

    Args:
        rows: how many.
        shape: ``narrow`` (7 columns) or ``wide`` (37).
        days: over how many days they are spread evenly; by itself, as many as have ``ROWS_A_DAY``.
        start: leaves out the rows before this one.
    """
    days = days or max(2, rows // ROWS_A_DAY)
    columns = [
        "i as event_id",
        f"timestamp '{FIRST_DAY}' + to_microseconds(i * {days * 86_400_000_000 // rows}) as happened_at",
        "happened_at::date as day",
        f"{_below(100_000, 0)} as user_number",
        f"['view', 'search', 'order', 'return'][1 + {_below(4, 1)}] as kind",
        f"({_below(1_000_000, 2)} / 100)::decimal(12, 2) as amount",
        f"'session-' || {_below(1_000_000, 3)} as session",
    ]
    if shape == "wide":
        columns += [_extra(number) for number in range(_EXTRA)]
    return f"select {', '.join(columns)} from range({start}, {rows}) as numbers(i)"


def write_source(path: Path, rows: int, shape: str, *, shuffled: bool = False) -> None:
    """Write events as the one Parquet file that every contender reads."""
    query = events(rows, shape)
    if shuffled:
        query = f"from ({query}) order by hash(event_id)"
    with duckdb.connect() as connection:
        connection.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd)")


def _below(limit: int, salt: int) -> str:
    """A number from 0 to below ``limit`` that the row's number decides."""
    return f"(hash(i, {salt}) % {limit})::bigint"


def _extra(number: int) -> str:
    salt = 10 + number
    kinds = (
        f"{_below(1_000, salt)}::integer",
        f"{_below(1_000_000, salt)}::double / 7",
        f"({_below(10_000_000, salt)} / 1000)::decimal(18, 3)",
        f"'value-' || {_below(5_000, salt)}",
        f"date '2020-01-01' + {_below(1_000, salt)}::integer",
    )
    return f"{kinds[number % len(kinds)]} as extra_{number}"
