"""``slipway runs`` and ``slipway show``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import figures, options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.runs.history import RunLine


_HEADERS = (
    "run", "started (UTC)", "outcome", "release", "built", "same", "pass", "warn", "fail", "carried", "seconds", "commit",
)  # fmt: skip
_RIGHT = ("release", "built", "same", "pass", "warn", "fail", "carried", "seconds")
_OPTIONAL = ("started (UTC)", "seconds", "warn", "carried", "same")


@click.command("runs")
@options.limit
@click.option("--shadow", is_flag=True, help="List shadow runs, and how many of them passed.")
@options.common
def command(limit: int, shadow: bool, output_: str, target: str | None, project_dir: Path | None) -> None:
    """List runs, newest first.

    A run that was killed, or is not finished, has no manifest and is listed as incomplete; after slipway doctor --fix
    as killed. One whose manifest is damaged is unreadable. built, same and stale count
    tables, pass to carried count tests; * marks a work tree with uncommitted changes.
    """
    if shadow:
        _shadow_runs(limit, output_, target, project_dir)
        return
    from slipway.runs.history import list_runs

    runs = list_runs(project_dir, target, limit)
    if output_ == "json":
        output.as_json([asdict(run) for run in runs])
    elif runs:
        headers: tuple[str, ...] = _HEADERS
        cells = [_cells(run) for run in runs]
        if any(run.tables_stale for run in runs):
            headers = (*headers, "stale")
            cells = [[*line, run.tables_stale or None] for line, run in zip(cells, runs, strict=True)]
        output.table(headers, cells, right=(*_RIGHT, "stale"), optional=_OPTIONAL)
        for run in runs:
            if run.outcome in ("unreadable", "incomplete") and run.reason:
                output.message(run.reason)
    else:
        output.message("There is no run yet. Start one with slipway run.")


def _shadow_runs(limit: int, output_: str, target: str | None, project_dir: Path | None) -> None:
    from slipway.errors import DamagedError
    from slipway.records.shadow_runs import ShadowOutcome, shadow_runs
    from slipway.records.store import Records
    from slipway.releases.lookup import environment_of

    kept = list(shadow_runs(Records(environment_of(project_dir, target))))
    damaged = [one for one in kept if isinstance(one, DamagedError)]
    found = [one for one in kept if not isinstance(one, DamagedError)][::-1]
    if output_ == "json":
        output.as_json([one.model_dump(mode="json") for one in found[:limit]])
    elif found:
        headers = ("shadow run", "started (UTC)", "outcome", "release", "commit", "why")
        cells = [
            [
                one.shadow_id,
                figures.moment(one.started_at),
                one.outcome,
                one.release,
                figures.commit(one.code.commit, one.code.dirty),
                one.reason,
            ]
            for one in found[:limit]
        ]
        output.table(headers, cells, right=("release",), optional=("started (UTC)", "why"))
        counts = Counter(one.outcome for one in found)
        outcomes = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in ShadowOutcome if counts[outcome])
        passed = len(list(takewhile(lambda one: one.outcome is ShadowOutcome.PASSED, found)))
        days = len({one.started_at.date() for one in found})
        newest = f"newest {passed:,}" if passed > 1 else "newest"
        output.line(
            f"{plural(len(found), 'shadow run')} on {plural(days, 'day')}: {outcomes}. The {newest} {'passed' if passed else 'did not pass'}."
        )
    elif not damaged:
        output.message("There is no shadow run yet. Start one with slipway run --shadow.")
    for error in damaged:
        output.message(error.line())
    if damaged:
        raise click.exceptions.Exit(DamagedError.exit_code)


def _cells(run: RunLine) -> list[object]:
    complete = run.seconds is not None
    return [
        run.run_id,
        figures.moment(run.started_at),
        run.outcome,
        run.release,
        run.tables_built,
        run.tables_unchanged,
        run.tests_passed,
        run.tests_warned,
        run.tests_failed,
        run.tests_carried,
        f"{run.seconds:.1f}" if complete else None,
        figures.commit(run.commit, run.dirty) if complete else None,
    ]


@click.command("show")
@click.argument("what", metavar="RUN|TABLE")
@options.common
def show(what: str, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Explain a run, or where a table comes from.

    A run is its id, a unique part of it, or latest. A table is layer.table, or only its name where that is unique.
    With --output json a run is its run manifest.
    """
    from slipway.runs.history import RunDetails, explain, unfinished

    found = explain(project_dir, target, what)
    for line in unfinished(project_dir, target):
        output.message(line)
    if isinstance(found, RunDetails):
        from slipway.cli import run_screen

        if output_ == "json":
            output.as_json(run_screen.record(found))
        else:
            run_screen.show(found)
    else:
        from slipway.cli import table_screen

        for line in found.notes:
            output.message(line)
        if output_ == "json":
            output.as_json(table_screen.record(found))
        else:
            table_screen.show(found)
