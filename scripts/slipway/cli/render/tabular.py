"""Query results as text, CSV, JSON or Parquet.

Text is for reading: aligned, with NULL spelled out. CSV follows RFC 4180: CRLF ends a line, NULL is empty and
empty text is ``""``. JSON is a list of objects; decimals, times and NaN are text, so that nothing is rounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING

from slipway.cli.render import output

if TYPE_CHECKING:
    from slipway.query.queries import QueryResult


def write(result: QueryResult, form: str, *, limit: int) -> None:
    """Write a result to stdout and what is to be said about it to stderr.

    Raises:
        UsageError: two columns have one name, which the form cannot hold.
    """
    if form == "text":
        _write_text(result, limit)
        return
    if form in ("json", "parquet"):
        _refuse_duplicates(result, form)
    if form == "parquet":
        count = output.result_stream(result.write_parquet)
    elif form == "json":
        count = _count(_json_lines([column.name for column in result.columns], result.rows()))
    else:
        count = _count(_csv_lines([column.name for column in result.columns], result.rows())) - 1
    output.message(_counted(count, result))


def as_text(value: object) -> str:
    """A value as text and CSV show it; None is the caller's."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (bytes, bytearray)):
        return f"0x{value.hex()}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(as_json(value), ensure_ascii=False)
    return str(value)


def as_json(value: object) -> object:
    """A value as JSON can hold it without loss."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {as_text(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return as_text(value)


def _write_text(result: QueryResult, limit: int) -> None:
    rows = list(islice(result.rows(), limit + 1))
    shown = rows[:limit]
    if result.is_plan:
        for row in shown:
            output.result(str(row[-1]), exact=True)
        return
    output.table(
        [column.name for column in result.columns],
        [["NULL" if value is None else as_text(value) for value in row] for row in shown],
        right=[column.name for column in result.columns if column.is_number],
        rule=True,
        exact=True,
    )
    if len(rows) > limit:
        output.message(
            f"the first {limit:,} rows of {result.cut.label}; --output csv, json or parquet gives all"
        )
    else:
        output.message(_counted(len(rows), result))


def _csv_lines(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield ",".join(map(_csv_value, names)) + "\r\n"
    for row in rows:
        yield ",".join(map(_csv_value, row)) + "\r\n"


def _csv_value(value: object) -> str:
    if value is None:
        return ""
    text = as_text(value)
    if text == "" or any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _json_lines(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    opening = "["
    for row in rows:
        value = {name: as_json(item) for name, item in zip(names, row, strict=True)}
        yield f"{opening}\n  {json.dumps(value, ensure_ascii=False)}"
        opening = ","
    output.result("[]" if opening == "[" else "\n]")


def _count(lines: Iterable[str]) -> int:
    count = 0
    for line in lines:
        output.result_part(line)
        count += 1
    return count


def _counted(count: int, result: QueryResult) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'} from {result.cut.label}"


def _refuse_duplicates(result: QueryResult, form: str) -> None:
    from slipway.errors import UsageError

    names = [column.name for column in result.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"{form} cannot hold two columns of one name",
            ", ".join(twice),
            "Give them aliases: select a as b",
        )
