"""Windows of event time: which rows and which data files belong to a batch."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import Any

import duckdb
from pyiceberg import expressions as ice_filter
from pyiceberg import types as ice
from pyiceberg.expressions import And, BooleanExpression
from pyiceberg.schema import Schema

from slipway.adapters.iceberg.types import quote
from slipway.domain.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """The rows of one batch: ``start <= column < end``.

    Args:
        column: the event time, a date or timestamp column; timestamps without a zone are UTC.
        start: inclusive, UTC.
        end: exclusive, UTC.
    """

    column: str
    start: dt.datetime
    end: dt.datetime

    @property
    def span(self) -> tuple[str, str]:
        """Start and end as text, without their zone."""
        return self.start.replace(tzinfo=None).isoformat(), self.end.replace(tzinfo=None).isoformat()

    def field(self, schema: Schema, model: str) -> ice.NestedField:
        """The column in a schema.

        Raises:
            ConfigError: there is none, or it has another type.
        """
        name = self.column.strip('"').lower()
        found = next((field for field in schema.fields if field.name.lower() == name), None)
        if found is None:
            have = ", ".join(field.name for field in schema.fields)
            raise ConfigError(f"{model}: event_time {self.column}", "no such column", f"use one of {have}")
        if not isinstance(found.field_type, ice.DateType | ice.TimestampType | ice.TimestamptzType):
            raise ConfigError(
                f"{model}: event_time {self.column}",
                f"its type is {found.field_type}",
                "use a date or a timestamp",
            )
        return found

    def condition(self, field: ice.NestedField) -> str:
        """The window as an SQL condition."""
        column, (start, end) = quote(field.name), self.span
        match field.field_type:
            case ice.TimestamptzType():
                start, end = f"timestamptz '{start}+00'", f"timestamptz '{end}+00'"
            case ice.TimestampType():
                start, end = f"timestamp '{start}'", f"timestamp '{end}'"
            case _:
                # a day belongs to the batch that holds its midnight
                start, end = f"date '{_day(self.start)}'", f"date '{_day(self.end)}'"
        return f"({column} >= {start} and {column} < {end})"

    def check_size(self, field: ice.NestedField, model: str) -> None:
        """Refuse windows within a day where the event time is a date: all rows of the day would lie in one of them.

        Raises:
            ConfigError: the batches are shorter than a day.
        """
        if isinstance(field.field_type, ice.DateType) and self.end - self.start < dt.timedelta(days=1):
            raise ConfigError(
                f"{model}: event_time {self.column} is a date",
                "a batch is shorter than a day, and rows of the other hours would be left out",
                "use a timestamp, or batches of a day",
            )

    def row_filter(self, field: ice.NestedField) -> BooleanExpression:
        """The window as a filter of pyiceberg, which rules out files."""
        match field.field_type:
            case ice.TimestamptzType():
                low, high = (f"{text}+00:00" for text in self.span)
            case ice.TimestampType():
                low, high = self.span
            case _:
                low, high = _day(self.start).isoformat(), _day(self.end).isoformat()
        return And(
            _compare(ice_filter.GreaterThanOrEqual, field, low), _compare(ice_filter.LessThan, field, high)
        )


def left_out(
    cursor: duckdb.DuckDBPyConnection, rows: str, window: Window, field: ice.NestedField
) -> Counter[str]:
    """How many rows of a relation a batch does not take: those ``without_time``, and those ``outside`` of its window."""
    found = cursor.execute(
        f"select count(*) filter ({quote(field.name)} is null), count(*) filter (not {window.condition(field)}) from {rows}"
    ).fetchone() or (0, 0)
    return Counter(without_time=found[0], outside=found[1])


def covers(spans: list[tuple[str, str]], wanted: tuple[str, str]) -> bool:
    """Whether windows that do not touch each other hold another one as a whole."""
    return any(start <= wanted[0] and wanted[1] <= end for start, end in spans)


def joined(spans: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Windows in order, those that touch or overlap made one."""
    found: list[tuple[str, str]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _day(moment: dt.datetime) -> dt.date:
    """The first day that begins at or after a moment."""
    day = moment.date()
    return day if moment.time() == dt.time() else day + dt.timedelta(days=1)


def _compare(kind: Any, field: ice.NestedField, value: str) -> BooleanExpression:
    found: BooleanExpression = kind(field.name, value)
    return found
