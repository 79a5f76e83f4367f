"""``slipway trace``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import options, output
from slipway.counts import plural
from slipway.errors import UsageError

if TYPE_CHECKING:
    from slipway.query.trace import Step


@click.command("trace")
@click.argument("table", required=False)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="A column of the key with its value; once for each column.",
)
@click.option(
    "--where", metavar="CONDITION", help="Rows of TABLE in place of --key, such as \"depot = 'N'\"."
)
@click.option("--file", help="A landed file, as _source_file has it, instead of TABLE.")
@click.option("--line", type=click.IntRange(1), help="The line of the file.")
@options.common
def command(
    table: str | None,
    keys: tuple[str, ...],
    where: str | None,
    file: str | None,
    line: int | None,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Follow rows of TABLE back to the lines of landed files, or with --file and --line a line to the tables that it is in.

    Tables that do not say file and line are followed into those they are made from, by the columns of the key that both have: of an
    aggregate that is the group of source rows, as far as these columns tell it. With --where these are the columns that the condition names.
    """
    from slipway.query.trace import trace_back, trace_forward

    if table and bool(keys) is not bool(where) and file is None and line is None:
        found = trace_back(project_dir, target, table, _key(keys), where or "")
    elif file and line and table is None and not keys and not where:
        found = trace_forward(project_dir, target, file, line)
    else:
        raise UsageError(
            "It is not clear what to trace",
            "a table goes with --key or --where, and --file with --line",
            "Write slipway trace serving.orders --key order_id=7, or slipway trace --file day-1.csv --line 3",
        )
    if output_ == "json":
        output.as_json([asdict(step) for step in found], exact=True)
        return
    for step in found:
        output.line(_line(step))
        for name, number in step.lines:
            output.line(f"{'  ' * step.depth}    {name} line {number:,}")
        if step.rows > len(step.lines) > 0:
            output.line(
                f"{'  ' * step.depth}    … and {plural(step.rows - len(step.lines), 'more line')}, in {plural(step.files, 'file')} in all"
            )


def _key(keys: tuple[str, ...]) -> dict[str, str]:
    wrong = [one for one in keys if not one.partition("=")[0] or "=" not in one]
    if wrong:
        raise UsageError(f"--key {wrong[0]} has no column or no value", fix="Write --key order_id=7")
    return {name: value for name, _, value in (one.partition("=") for one in keys)}


def _line(step: Step) -> str:
    by = ", ".join(f"{name}={value}" for name, value in step.by.items())
    what = f"{plural(step.rows, 'row')} with {by}" if step.by else "not followed"
    if step.where:
        what = f"{plural(step.rows, 'row')} where {step.where}"
    elif step.same:
        what = f"{plural(step.rows, 'row')} with the same {', '.join(step.same)}"
    if step.ignored:
        what += (
            f"; it has no column {', '.join(step.ignored)}, so these may be more rows than those asked about"
        )
    return f"{'  ' * step.depth}{step.table}: {what}{f': {step.end}' if step.end else ''}"
