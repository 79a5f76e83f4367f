"""``slipway maintain``."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.maintenance.steps import Plan, Step


_UNITS = {"h": "hours", "d": "days"}
_LEAST = timedelta(hours=1)
DAMAGED = 6


class Age(click.ParamType[timedelta]):
    """A span of time as ``12h`` or ``3d``."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it; less than an hour would take files away that a run is about to publish."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,5})([hd])", str(value))
        found = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
        if found is None or found < _LEAST:
            self.fail(f"{value} is no age: write hours or days, 1h at least, such as 12h or 3d", param, ctx)
        return found


@click.command("maintain")
@options.selection_of_tables
@click.option("--dry-run", is_flag=True, help="Show what would happen, and change nothing.")
@click.option(
    "--older-than",
    type=Age(),
    default="3d",
    show_default=True,
    metavar="AGE",
    help="Remove files only this long after they were written and last in use, for example 12h or 3d.",
)
@options.common
def command(
    *,
    select: tuple[str, ...],
    dry_run: bool,
    older_than: timedelta,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Compact small files, expire old snapshots, and remove orphan files and records of old runs.

    What rollback, replay and candidates need is kept: keep_days and keep_releases say how much, keep_run_days says how
    long records of runs are kept. Readers see the same rows before and after. Runs may go on at the same time, and the
    command may be killed at any moment. Exit code 1 means that the rows of a table would have changed: the table is not
    touched. Exit code 6 means that a file of a table is missing or damaged: that table is not touched, and the others are
    maintained.
    """
    from slipway.environments.profiles import find_project
    from slipway.maintenance.apply import maintain, propose

    project = find_project(project_dir)
    proposal = propose(project, target, " ".join(select).split(), older_than, dry_run=dry_run)
    for line in proposal.healed:
        output.message(line)
    done = None if dry_run else maintain(proposal, output.message)
    if done:
        output.done("Maintenance is done")
    plan, written = (done.plan, done.bytes_written) if done else (proposal.plan, None)
    if output_ == "json":
        output.as_json(_record(proposal.environment.name, plan, written))
    else:
        _explain(plan, written)
    if dry_run and plan.steps:
        output.message("Nothing was changed: this is a dry run.")
    if done and done.differ:
        raise click.exceptions.Exit(1)
    if plan.damaged:
        raise click.exceptions.Exit(DAMAGED)


def _explain(plan: Plan, written: int | None) -> None:
    if plan.steps:
        output.table(
            ("table", "", "what", "bytes"),
            [(step.table, *_described(step)) for step in plan.steps],
            right=("bytes",),
        )
    else:
        output.line("There is nothing to do.")
    for why in _chosen(plan):
        output.message(why)
    for left in plan.left:
        output.message(f"{left.table} was not touched: {left.why.rstrip('.')}.")
    release, run = plan.reach.release, plan.reach.run
    if release:
        output.line(
            f"Rollback reaches back to release {release.number} of {figures.moment(release.published_at)} UTC."
        )
    if run:
        output.line(f"Replay reaches back to run {run.run_id} of {figures.moment(run.started_at)} UTC.")
    verb = "Would remove" if written is None else "Removed"
    output.line(f"{verb} {figures.size(plan.size)}.")


def _chosen(plan: Plan) -> list[str]:
    """Which engine compacts a table that another one might compact, and why."""
    from slipway.maintenance.steps import Compact

    return [
        f"{step.table} is compacted {step.why.rstrip('.')}."
        for step in plan.steps
        if isinstance(step, Compact) and step.why
    ]


def _described(step: Step) -> tuple[str, str, str]:
    from slipway.maintenance.steps import Compact, Expire, Forget
    from slipway.records.run_ids import run_date

    if isinstance(step, Compact):
        many = f"{plural(step.files, 'file')} to about {len(step.bins):,}"
        return "compact", many, figures.size(step.size)
    if isinstance(step, Expire):
        return "expire", plural(len(step.snapshots), "snapshot"), ""
    if isinstance(step, Forget):
        if not step.runs:
            kinds = {
                "plans": "records of plans",
                "shadows": f"results of {plural(len(step.objects), 'shadow run')}",
            }
            of_dbt = f"{plural(len(step.objects), 'manifest')} of dbt"
            what = kinds.get(step.table.rpartition("/")[2], of_dbt)
            return "remove", what, figures.size(step.size)
        span = " to ".join(dict.fromkeys(run_date(run_id) for run_id in (step.runs[0], step.runs[-1])))
        return (
            "remove",
            f"records of {plural(len(step.runs), 'run')}, {span}",
            figures.size(step.size),
        )
    metadata = sum(one.is_metadata for one in step.objects)
    many = f"{plural(len(step.objects) - metadata, 'data file')}, {metadata:,} of metadata"
    return "remove", many, figures.size(step.size)


def _record(target: str, plan: Plan, written: int | None) -> dict[str, Any]:
    release, run = plan.reach.release, plan.reach.run
    return {
        "target": target,
        "dry_run": written is None,
        "steps": [_step(step) for step in plan.steps],
        "left": [{"table": left.table, "why": left.why} for left in plan.left],
        "rollback_reaches": {"release": release.number, "published_at": release.published_at}
        if release
        else None,
        "replay_reaches": {"run_id": run.run_id, "started_at": run.started_at} if run else None,
        "bytes_written": written,
        "bytes_removed": plan.size,
    }


def _step(step: Step) -> dict[str, Any]:
    from slipway.maintenance.steps import Compact, Expire, Forget

    if isinstance(step, Compact):
        files = [[file.path for file in one.files] for one in step.bins]
        return {
            "table": step.table,
            "step": "compact",
            "bytes": step.size,
            "files": files,
            "engine": step.engine,
            "why": step.why,
        }
    if isinstance(step, Expire):
        return {"table": step.table, "step": "expire", "snapshots": step.snapshots, "tags": step.tags}
    return {
        "table": step.table,
        "step": "remove",
        "bytes": step.size,
        **({"runs": step.runs} if isinstance(step, Forget) else {}),
        "files": [one.location for one in step.objects],
    }
