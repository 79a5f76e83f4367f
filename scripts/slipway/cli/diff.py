"""``slipway diff`` and ``slipway log``: what differs between two sides, in which release it changed, and a table through all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import figures, options, output
from slipway.cli.comparisons import FORMS, print_report
from slipway.errors import UsageError
from slipway.secrets import MASK

if TYPE_CHECKING:
    from slipway.comparison.compare_sides import How
    from slipway.comparison.report import ComparisonReport
    from slipway.query.table_history import Search
    from slipway.query.table_log import LogLine

_USAGE = "Write slipway diff 41 42, or slipway diff --bisect serving.orders --where \"day = '2011-08-05'\""
_MOST = 6  # columns of sums that a screen shows


@click.command("diff")
@click.argument("names", nargs=-1, metavar="BASE HEAD [TABLE]...")
@click.option(
    "--key",
    multiple=True,
    metavar="COLUMN",
    help="A column that identifies a row; once for each. [default: what the models declare]",
)
@click.option(
    "--sample",
    type=click.FloatRange(0.01, 100),
    metavar="PERCENT",
    help="Compare only a part of the rows, chosen by a hash of their key.",
)
@click.option("--whole", is_flag=True, help="Read also data files that both sides have.")
@click.option("--bisect", metavar="TABLE", help="Find the release in which rows of TABLE changed.")
@click.option(
    "--where",
    metavar="CONDITION",
    help="With --bisect: which rows, such as \"day = '2024-05-01'\".",
)
@options.show_classified
@options.output_dir("Where diff.json, diff.md and diff.html go.")
@options.output(*FORMS)
@options.target
@options.project_dir
def command(
    names: tuple[str, ...],
    key: tuple[str, ...],
    sample: float | None,
    whole: bool,
    bisect: str | None,
    where: str | None,
    show_classified: bool,
    output_dir: Path | None,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Compare BASE with HEAD, table by table: which rows are added, removed and changed.

    Each of them is a release (41 or release-41), the release that readers saw at a time (@yesterday, @2026-11-29), a run id, a
    target, a table (layer.table), or a CSV or Parquet file. prod:41 is a release of another target. TABLE is layer.table or a
    pattern such as 'serving.*'. Data files that both sides have are not read, because their rows are the same.

    With --bisect the releases of one table are searched instead, from BASE to HEAD if these are given.

    Exit code 0 when all tables are identical, or every difference is declared; 1 when something differs or was not compared.
    """
    from slipway.comparison.compare_sides import How
    from slipway.query.table_history import Search

    if output_dir:
        options.made(output_dir)
    if bisect is not None:
        if sample or whole:
            raise UsageError(
                "--bisect goes with --where and --key only", "it looks for a change of any row", _USAGE
            )
        search = Search(bisect, where or "", key, show_classified=show_classified)
        report = _bisect(names, search, target, project_dir)
    elif where is not None:
        raise UsageError("--where goes with --bisect only", "whole tables are compared", _USAGE)
    else:
        share = sample / 100 if sample and sample < 100 else None
        how = How(key, share, whole=whole, show_classified=show_classified)
        report = _diff(names, how, target, project_dir)
    print_report(report, "diff", output_, output_dir)
    if not report.passed:
        raise click.exceptions.Exit(1)


def _diff(names: Sequence[str], how: How, target: str | None, project_dir: Path | None) -> ComparisonReport:
    from slipway.comparison.compare_sides import diff

    match names:
        case (base, head, *tables):
            return diff(project_dir, target, (base, head), tables, how)
    raise UsageError("A comparison has two sides", f"{'one' if names else 'none'} is given", _USAGE)


def _bisect(
    names: Sequence[str], search: Search, target: str | None, project_dir: Path | None
) -> ComparisonReport:
    from slipway.query.table_history import bisect

    match names:
        case ():
            return bisect(project_dir, target, search)
        case (first, last):
            return bisect(project_dir, target, search, (first, last))
    raise UsageError(
        "A search goes from one release to another", "it is not clear which ones are meant", _USAGE
    )


@click.command("log")
@click.argument("table")
@click.option("--where", metavar="CONDITION", help="Only these rows, such as \"depot = 'N'\".")
@options.limit
@options.show_classified
@options.common
def log(
    table: str,
    where: str | None,
    limit: int,
    show_classified: bool,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Show how many rows TABLE has in each release, and the sums of its measures, newest release first.

    Measures are the columns that measures of dbt's semantic models sum, or else all numeric columns but those of the key. = marks
    a release with the rows of the release before. Rollbacks and promotions are named, and the engine where DuckDB did not compute all of them. Each data file is read once, whatever releases it is in. Sums of columns that a contract classifies are
    hidden: of internal ones those over fewer than ten rows, of others all.
    """
    from slipway.engines.writers import DUCKDB
    from slipway.query.table_log import log as log_of

    columns, lines = log_of(project_dir, target, table, where or "", limit, show_classified=show_classified)
    if output_ == "json":
        output.as_json([_record(line) for line in lines])
        return
    shown = columns[:_MOST]
    engine = ("engine",) if any(line.engine not in ("", DUCKDB) for line in lines) else ()
    output.table(
        ("release", "published (UTC)", "commit", *engine, "rows", *shown, ""),
        [
            (
                line.release.number,
                figures.moment(line.release.published_at),
                figures.commit(line.release.code.commit, line.release.code.dirty),
                *(line.engine for _ in engine),
                "not kept" if line.rows is None else f"{line.rows:,}",
                *(_sum(line, column) for column in shown),
                " ".join(part for part in ("=" if line.same else "", line.release.note) if part),
            )
            for line in lines
        ],
        right=("release", "rows", *shown),
        optional=("commit",),
    )
    hidden = [column for column in columns if any(column in line.hidden for line in lines)]
    if hidden:
        output.message(f"{figures.are_classified(hidden)}: sums are hidden; --show-classified shows them.")
    if len(columns) > _MOST:
        output.message(f"{', '.join(columns[_MOST:])}: their sums are in --output json.")


def _sum(line: LogLine, column: str) -> str:
    if column in line.hidden:
        return MASK
    value = line.sums.get(column)
    return "" if value is None else f"{value:,.15g}" if isinstance(value, float) else f"{value:,}"


def _record(line: LogLine) -> dict[str, object]:
    return {
        "release": line.release.number,
        "published_at": line.release.published_at.astimezone(UTC),
        "run_id": line.release.run_id,
        "commit": line.release.code.commit,
        "rolls_back": line.release.rolls_back,
        "returns_to": line.release.returns_to,
        "same": line.same,
        "rows": line.rows,
        "sums": line.sums,
        "hidden": list(line.hidden),
        "engine": line.engine,
    }
