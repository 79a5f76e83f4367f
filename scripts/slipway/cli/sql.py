"""``slipway sql``, and its results as text, CSV, JSON or Parquet.

Text is for reading: aligned, with NULL spelled out. CSV follows RFC 4180: CRLF ends a line, NULL is empty and
empty text is ``""``. JSON is a list of objects; decimals, times and NaN are text, so that nothing is rounded.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import options, output
from slipway.counts import plural
from slipway.errors import UsageError

if TYPE_CHECKING:
    from slipway.query.queries import QueryResult


FORMATS = ("text", "csv", "json", "parquet")
_COMMENT = re.compile(r"--(\s|.*\n)")
_FEW = 8  # columns that a line names
TEXT_ROWS = 10_000  # more than that is not read on a screen, and alignment needs all rows at once


class SqlCommand(click.Command):
    """A command whose argument may begin with an SQL comment."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``-- text`` and anything of several lines for SQL: no option looks like that."""
        return super().parse_args(ctx, [f" {text}" if _COMMENT.match(text) else text for text in args])


@click.command("sql", cls=SqlCommand)
@click.argument("query")
@options.output(*FORMATS)
@click.option("--release", type=int, metavar="N", help="Tables as release N left them.")
@click.option(
    "--run", metavar="RUN", help="Tables as a run built and read them, published or not: id or latest."
)
@click.option(
    "--as-of", metavar="TIME", help="Tables of the last release at that time: ISO 8601, UTC without a zone."
)
@click.option("--allow-files", is_flag=True, help="Let the query read files and URLs that it names.")
@options.target
@options.project_dir
def command(
    query: str,
    output_: str,
    release: int | None,
    run: str | None,
    as_of: str | None,
    allow_files: bool,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Query the published tables in DuckDB's SQL.

    Tables are layer.table: slipway sql "select count(*) from raw.events". "show tables" lists what is there, and
    a lone - reads the query from standard input. Only queries that read are run; they see no file, URL, setting or secret.
    """
    from slipway.query.queries import query as run_query

    if output_ == "parquet" and sys.stdout.isatty():
        raise UsageError(
            "Parquet is not written to a terminal", fix="Redirect it: slipway sql … -o parquet > rows.parquet"
        )
    try:
        text = sys.stdin.read() if query == "-" else query
        text.encode()
    except UnicodeError as error:
        raise UsageError("The query is not text in UTF-8", str(error), "Convert it") from None
    result = run_query(
        text,
        project_dir=project_dir,
        target=target,
        release=release,
        run=run,
        as_of=as_of,
        files=allow_files,
    )
    if result.cut.warning:
        output.message(result.cut.warning)
    write(result, output_, limit=TEXT_ROWS)
    if result.classified:
        listed = [f"{name} ({given})" for name, given in result.classified.items()]
        named = ", ".join(listed[:_FEW]) + (f" and {len(listed) - _FEW} more" if len(listed) > _FEW else "")
        output.message(f"These columns are classified, or made from what is, and are shown: {named}.")
    if result.not_understood:
        output.message(f"Whether columns are classified is not known: {result.not_understood}")


def write(result: QueryResult, form: str, *, limit: int) -> None:
    """Write a result to stdout and what is to be said about it to stderr.

    Raises:
        UsageError: two columns have one name, which the form cannot hold.
    """
    if form == "text":
        _write_text(result, limit)
        return
    names = [column.name for column in result.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice and form != "csv":
        raise UsageError(
            f"{form} cannot hold two columns of one name",
            ", ".join(twice),
            "Give them aliases: select a as b",
        )
    if form == "parquet":
        count = output.result_stream(result.write_parquet)
    elif form == "json":
        count = _count(_json_lines(names, result.rows()))
    else:
        count = _count(csv_lines(names, result.rows())) - 1
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
            f"the first {plural(limit, 'row')} of {result.cut.label}; --output csv, json or parquet gives all"
        )
    else:
        output.message(_counted(len(rows), result))


def csv_lines(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Rows as CSV with a header: an empty field is NULL, an empty text is quoted (RFC 4180 otherwise)."""
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
        output.result_part(line, is_streamed=True)
        count += 1
    return count


def _counted(count: int, result: QueryResult) -> str:
    return f"{plural(count, 'row')} from {result.cut.label}"
