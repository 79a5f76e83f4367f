"""``slipway run``."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import guesses, options, output
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.records.run_manifest import RunManifest


@click.command("run")
@options.target
@options.selection
@click.option(
    "--exclude",
    cls=options.Selectors,
    multiple=True,
    metavar="SELECTOR …",
    help="dbt selectors to leave out.",
)
@options.variables
@click.option("--full-refresh", is_flag=True, help="Rebuild incremental models from nothing.")
@click.option(
    "--event-time-start",
    type=click.DateTime(),
    metavar="TIME",
    help="Build microbatch models from this time on, UTC.",
)
@click.option(
    "--event-time-end",
    type=click.DateTime(),
    metavar="TIME",
    help="Build microbatch models up to this time, UTC.",
)
@click.option("--force", is_flag=True, help="Build also what is unchanged.")
@click.option("--threads", type=click.IntRange(1, 256), help="dbt threads. [default: the profile's]")
@click.option(
    "--wait",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="How long to wait for runs on the same tables; 0: not at all. [default: SLIPWAY_WAIT, or 300]",
)
@click.option(
    "--shadow",
    is_flag=True,
    help="Build next to what is published, on the inputs of the last release; compare, record, publish nothing.",
)
@options.output("text", "json")
@options.project_dir
def command(
    target: str | None,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    vars_: str | None,
    full_refresh: bool,
    event_time_start: datetime | None,
    event_time_end: datetime | None,
    force: bool,
    threads: int | None,
    wait: int | None,
    shadow: bool,
    output_: str,
    project_dir: Path | None,
) -> None:
    """Land new files, build a candidate, test it, publish it if everything passed, and record the run.

    In a target of mode production the candidate is staged and waits for approval. With a slice in --vars it
    is built in a scratch environment. With --shadow nothing is landed or published: the result is compared with what is
    published, and slipway runs --shadow lists it. Exit code 1 then means that anything differs undeclared, or that a test fails.
    """
    if shadow:
        without = {
            "--exclude": exclude,
            "--full-refresh": full_refresh,
            "--event-time-start": event_time_start,
            "--event-time-end": event_time_end,
            "--force": force,
            "--threads": threads,
            "--wait": wait is not None,
        }
        _shadow(
            target, select, vars_, [name for name, given in without.items() if given], output_, project_dir
        )
        return
    from slipway.cli.progress_line import show_progress
    from slipway.cli.run_screen import report
    from slipway.dbt.start import RunOptions, run
    from slipway.environments.profiles import find_project

    if (event_time_start is None) != (event_time_end is None):
        raise click.UsageError("--event-time-start and --event-time-end go together: give both or none.")
    if event_time_start and event_time_end and event_time_start >= event_time_end:
        raise click.UsageError("--event-time-start is not before --event-time-end.")
    given = Settings.read()
    request = RunOptions(
        project=find_project(project_dir),
        target=target,
        select=select,
        exclude=exclude,
        vars=options.parse_vars(vars_),
        full_refresh=full_refresh,
        event_time_start=event_time_start,
        event_time_end=event_time_end,
        force=force,
        threads=threads,
        wait=wait,
        command=["slipway", *sys.argv[1:]],
        scratch=Path(given.scratch) if given.scratch else None,
        pins=None if given.pins is None else _given(given.pins),
        engines=_given(given.engines) if given.engines else {},
        despite_tests=given.pins is not None,
    )
    with show_progress() as show:
        done = run(request, show)
    output.done(_in_short(done.manifest))
    if output_ == "json":
        output.as_json({**done.manifest.model_dump(mode="json"), "folder": done.folder})
    else:
        output.result(report(done, target, _program()))
        for line in guesses.in_short(request.project):
            output.line(line)
    if done.manifest.outcome in ("failed", "refused"):
        raise click.exceptions.Exit(1)


def _shadow(
    target: str | None,
    select: tuple[str, ...],
    vars_: str | None,
    others: Sequence[str],
    output_: str,
    project_dir: Path | None,
) -> None:
    """Run next to production, and print how the result compares with what is published."""
    from slipway.canary.shadow import shadow_run
    from slipway.cli.comparisons import print_report
    from slipway.environments.profiles import find_project

    if others:
        raise click.UsageError(
            f"{others[0]} does not go with --shadow, which builds all of the selection anew and waits for nobody."
        )
    report = shadow_run(find_project(project_dir), target, options.parse_vars(vars_), select, output.message)
    print_report(report, "shadow", output_, None)
    if not report.passed:
        raise click.exceptions.Exit(1)


def _in_short(manifest: RunManifest) -> str:
    """How a run ended, for the case that its report cannot be written."""
    if manifest.release is not None:
        return f"Release {manifest.release} of run {manifest.run_id} is published"
    return f"Run {manifest.run_id} ended as {manifest.outcome}"


def _program() -> str:
    """How this command can be called again: by name where it is on PATH, by path otherwise."""
    called = Path(sys.argv[0])
    if shutil.which("slipway") or not called.is_file():
        return "slipway"
    return shlex.quote(os.path.relpath(called))


def _given(file: str) -> dict[str, str]:
    """What ``slipway canary``, of this version or another one, wants the run to read, or to compute by."""
    return {str(k): str(v) for k, v in json.loads(Path(file).read_text(encoding="utf-8")).items()}
