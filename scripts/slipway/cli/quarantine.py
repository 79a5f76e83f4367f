"""``slipway quarantine`` and ``slipway books``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output
from slipway.counts import plural
from slipway.errors import UsageError

if TYPE_CHECKING:
    from slipway.dbt.judged_again import JudgedAgain
    from slipway.query.refused_rows import RefusedRows
    from slipway.runs.account import Books, Entry

_rule = click.option("--rule", help="Only rows that break this rule.")
_since = click.option(
    "--since",
    metavar="TIME",
    help="Only rows that landed at this time or later, ISO 8601; UTC without a zone.",
)
_run = click.option(
    "--run",
    metavar="RUN",
    help="Tables as this run built them, published or not: id or latest. [default: the published ones]",
)
_ENTRY = (
    "run",
    "at (UTC)",
    "outcome",
    "release",
    "files",
    "raw",
    "landed",
    "curated",
    "quarantined",
    "deduplicated",
    "expired",
    "replaced",
)
_FIGURES = ("landed", "curated", "quarantined", "deduplicated", "expired", "superseded")
_COUNTS = ("files", *_ENTRY[6:])


@click.group("quarantine")
def command() -> None:
    """Look at the rows that curated models refuse, with rule, file and line, and try them again."""


@command.command("list")
@click.argument("table", required=False)
@_rule
@click.option("--feed", help="Only rows of this feed.")
@_since
@_run
@options.common
def list_(
    table: str | None,
    rule: str | None,
    feed: str | None,
    since: str | None,
    run: str | None,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Count quarantined rows by table and rule."""
    from slipway.query.refused_rows import Wanted, counts

    found = counts(project_dir, target, table, Wanted(rule, feed, since, run))
    if output_ == "json":
        output.as_json([asdict(one) for one in found])
    elif found:
        output.table(
            ("table", "feed", "rule", "rows", "first landed (UTC)", "last landed (UTC)", "reason"),
            [
                (
                    one.table,
                    one.feed,
                    one.rule,
                    figures.number(one.rows),
                    figures.moment(one.first_landed_at),
                    figures.moment(one.last_landed_at),
                    one.reason,
                )
                for one in found
            ],
            right=("rows",),
            optional=("first landed (UTC)", "reason", "feed"),
        )
    else:
        output.message("No row is in quarantine.")


@command.command("show")
@click.argument("table")
@_rule
@_since
@_run
@options.limit
@click.option("--show-classified", is_flag=True, help="Show values of columns that a contract classifies.")
@options.common
def show(
    table: str,
    rule: str | None,
    since: str | None,
    run: str | None,
    limit: int,
    *,
    show_classified: bool,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Show rows of a quarantine table: rule, reason, file and line, when and by which run they came into raw, and the values.

    Values of columns that a contract classifies, other than public, are shown as ***.
    """
    from slipway.query.refused_rows import Wanted, refused_rows

    found = refused_rows(
        project_dir,
        target,
        table,
        Wanted(rule=rule, since=since, run=run),
        limit=limit,
        show_classified=show_classified,
    )
    names, rows = _with_release(found)
    if output_ == "json":
        output.as_json([dict(zip(names, row, strict=True)) for row in rows], exact=True)
    else:
        output.table(names, rows, exact=True)
    _tell_masked(found)


@command.command("export")
@click.argument("table")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@_rule
@_since
@_run
@click.option("--show-classified", is_flag=True, help="Write values of columns that a contract classifies.")
@options.target
@options.project_dir
def export(
    table: str,
    path: Path,
    rule: str | None,
    since: str | None,
    run: str | None,
    *,
    show_classified: bool,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Write rows of a quarantine table to PATH, which ends with .csv or .parquet; an existing file is not replaced.

    Values of columns that a contract classifies, other than public, are written as ***.
    """
    from slipway.cli.sql import csv_lines
    from slipway.query.refused_rows import Wanted, refused_rows

    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(
            f"{path} is neither CSV nor Parquet", "the form goes by its name", "End it with .csv or .parquet"
        )
    found = refused_rows(
        project_dir, target, table, Wanted(rule=rule, since=since, run=run), show_classified=show_classified
    )
    try:
        stream = path.open("xb")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written", error.strerror or str(error), "Name another file"
        ) from None
    with stream:
        if path.suffix == ".parquet":
            count = found.result.write_parquet(stream)
        else:
            count = -1
            for line in csv_lines([column.name for column in found.result.columns], found.result.rows()):
                stream.write(line.encode())
                count += 1
    output.message(f"{plural(count, 'row')} of {table} {'is' if count == 1 else 'are'} in {path}.")
    _tell_masked(found)


@command.command("retry")
@click.argument("table")
@click.option(
    "--dry-run", is_flag=True, help="Build the two tables in a scratch environment, and change nothing."
)
@options.variables
@options.common
def retry(
    table: str,
    *,
    dry_run: bool,
    vars_: str | None,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Judge the rows of a quarantine table again, after a change of rules, code or reference data.

    This is slipway run --full-refresh of the quarantine table and its curated table, with what they read and what reads them: both are built anew
    from raw, tested and published as one release. Models that read landed files are left out.
    """
    from slipway.cli.progress_line import show_progress
    from slipway.dbt.judged_again import judge_again
    from slipway.dbt.start import RunOptions
    from slipway.environments.profiles import find_project

    asked = RunOptions(
        project=find_project(project_dir),
        target=target,
        vars=options.parse_vars(vars_),
        command=["slipway", *sys.argv[1:]],
    )
    with show_progress() as progress:
        found = judge_again(asked, table, progress, dry_run=dry_run)
    manifest = found.done.manifest
    if not dry_run and manifest.release is not None:
        output.done(f"Release {manifest.release} of run {manifest.run_id} is published")
    if output_ == "json":
        output.as_json(_judged(found, dry_run=dry_run))
    else:
        for line in _judged_lines(found, dry_run=dry_run):
            output.line(line)
    if manifest.outcome in ("failed", "refused"):
        raise click.exceptions.Exit(1)


@command.command("release")
@click.argument("table")
@click.option("--rule", required=True, help="The rule that the rows break.")
@click.option("--file", "file_", metavar="PATH", help="Only rows of this file, as _source_file names it.")
@click.option("--line", "lines", type=int, multiple=True, help="Only this line; may be given several times.")
@click.option("--reason", required=True, help="Why the rows are correct.")
@click.option("--dry-run", is_flag=True, help="Count the rows, and write nothing.")
@options.target
@options.project_dir
def release(
    table: str,
    rule: str,
    file_: str | None,
    lines: tuple[int, ...],
    reason: str,
    *,
    dry_run: bool,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Let rows of a quarantine table through that break a rule and are correct all the same.

    They are written to contracts/<feed>.released.yaml, by the content of their file and by line. Commit that file; slipway quarantine retry
    then moves the rows to the curated table.
    """
    from slipway.query.release_rows import release_rows

    found = release_rows(
        project_dir,
        target,
        table,
        rule,
        reason=reason,
        file=file_,
        lines=lines,
        dry_run=dry_run,
    )
    name = f"contracts/{found.path.name}"
    if not found.rows:
        output.message(f"All of these rows are in {name} already.")
    elif dry_run:
        output.message(f"{plural(found.rows, 'row')} would be released for {rule}. Nothing was written.")
    else:
        output.message(f"{plural(found.rows, 'row')} released for {rule}: {name}.")
        output.message(f"Commit the file, then run slipway quarantine retry {table}.")


@click.command("books")
@click.argument("feed", required=False)
@options.limit
@options.common
def books(feed: str | None, limit: int, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Show where the rows of each feed are: in total as published, and what each of the last releases and runs changed.

    Rows landed = rows curated + rows quarantined + rows deduplicated + rows expired, as every run counts them. Where files replace earlier ones, landed
    are the rows of the current files, and replaced those of the earlier ones, which raw keeps. The entries of releases, rollbacks and
    promotions among them, add up to the totals; figures in brackets are of runs that published nothing. Exit code 1: a total does not add up.
    """
    from slipway.runs.account import books_of

    found = books_of(project_dir, target, feed, limit)
    if output_ == "json":
        output.as_json(
            {
                **asdict(found),
                "totals": [item.model_dump(mode="json") for item in found.totals],
                "entries": [_as_json(one) for one in found.entries],
                "brought_forward": [_as_json(one) for one in found.brought_forward],
                "balances": found.balances,
            }
        )
    else:
        _show_books(found)
    if not found.balances:
        raise click.exceptions.Exit(1)


def _show_books(found: Books) -> None:
    output.line(f"release {found.release}")
    for item in found.totals:
        output.line(figures.balance(item))
        output.line(f"  {item.problem or _how(item.counted)}")
        for text in item.warnings:
            output.line(f"  warning: {text}")
    for raw, reason in found.not_counted.items():
        output.line(f"rows: {raw} is not counted: {reason}")
    if found.entries:
        output.result("")
        output.table(
            _ENTRY,
            [_entry(one) for one in (*found.entries, *found.brought_forward)],
            right=("release", *_COUNTS),
            optional=("at (UTC)", "files", "release", *_never(found, "superseded", "replaced"), "expired"),
        )
    for line in found.damaged:
        output.message(line)


def _never(found: Books, figure: str, column: str) -> tuple[str, ...]:
    """The column of a figure, if no entry has any of it."""
    changes = [one.change for one in (*found.entries, *found.brought_forward) if one.change]
    return () if any(getattr(one, figure) for one in changes) else (column,)


def _as_json(one: Entry) -> dict[str, Any]:
    changes = one.change._asdict() if one.change else dict.fromkeys(_FIGURES)
    return {key: value for key, value in asdict(one).items() if key != "change"} | changes


def _entry(one: Entry) -> tuple[Any, ...]:
    """A line; figures of a run that is no release are in brackets, because they are in no sum."""
    figure = "{}" if one.posted else "[{}]"
    changes = one.change or (None,) * len(_FIGURES)
    return (
        one.run_id,
        figures.moment(one.at),
        one.outcome,
        one.release,
        figures.number(one.files),
        one.raw,
        *(None if value is None else figure.format(f"{value:+,}" if value else "0") for value in changes),
    )


def _how(counted: str) -> str:
    return {
        "rows": "Each row was followed by file and line.",
        "numbers": "The numbers were compared; the tables do not say file and line of each row.",
    }.get(counted, "An earlier version counted only the totals.")


def _with_release(found: RefusedRows) -> tuple[list[str], list[list[Any]]]:
    """Rows with the release that their run became, behind the run."""
    names = [column.name for column in found.result.columns]
    rows = [list(row) for row in found.result.rows()]
    if "_run_id" in names:
        at = names.index("_run_id")
        rows = [[*row[: at + 1], found.releases.get(row[at]), *row[at + 1 :]] for row in rows]
        names.insert(at + 1, "release")
    return names, rows


def _tell_masked(found: RefusedRows) -> None:
    if found.masked:
        output.message(
            f"{figures.are_classified(found.masked)}: the values are hidden; --show-classified shows them."
        )


def _judged(found: JudgedAgain, *, dry_run: bool) -> dict[str, Any]:
    manifest = found.done.manifest
    return {
        "quarantine": found.before.quarantine,
        "curated": found.before.curated,
        "dry_run": dry_run,
        "run": manifest.run_id,
        "outcome": str(manifest.outcome),
        "reason": manifest.reason,
        "release": None if dry_run else manifest.release,
        "before": found.before.model_dump(mode="json"),
        "after": found.after.model_dump(mode="json") if found.after else None,
        "rules": {rule: {"before": old, "after": new} for rule, (old, new) in found.by_rule().items()},
    }


def _judged_lines(found: JudgedAgain, *, dry_run: bool) -> list[str]:
    manifest, before, after = found.done.manifest, found.before, found.after
    lines = []
    if after:
        for rule, (old, new) in found.by_rule().items():
            changed = (
                f"lets {old - new:,} go"
                if new < old
                else f"takes {new - old:,} more"
                if new > old
                else "is as it was"
            )
            lines.append(f"{rule}: {old:,} → {new:,} quarantined; it {changed}")
        lines.append(f"{before.curated}: {before.curated_rows:,} → {after.curated_rows:,} rows")
        lines.append(f"deduplicated: {before.deduplicated:,} → {after.deduplicated:,} rows")
    if manifest.outcome in ("failed", "refused"):
        lines.append(f"Nothing was published: {manifest.reason}")
    elif dry_run:
        lines.append(
            "Nothing was changed. Without --dry-run the same is published, with what reads the two tables."
        )
    elif manifest.release is not None:
        lines.append(f"Release {manifest.release} is published by run {manifest.run_id}.")
    else:
        lines.append(f"Run {manifest.run_id} ended as {manifest.outcome}: {manifest.reason}")
    return lines
