"""``slipway rollback``, and ``slipway hold`` for the hold that it may place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.releases.roll_back import Proposal
    from slipway.releases.rollback_rules import Step


@click.command("rollback")
@click.option("--to", "number", type=click.IntRange(min=1), help="Release to show. [default: the one before]")
@options.selection_of_tables
@options.change
@click.option("--hold", is_flag=True, help="Refuse runs afterwards, until slipway hold --lift.")
@options.common
def command(
    *,
    number: int | None,
    select: tuple[str, ...],
    dry_run: bool,
    hold: bool,
    reason: str,
    yes: bool,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Roll back to an earlier release: every table in one step, with its schema.

    To go forward again, name a later release with --to: nothing is lost. The next run builds from the landed files
    again, so correct the code or the files first, or place a hold with --hold.
    """
    from slipway.environments.profiles import find_project
    from slipway.releases.roll_back import keep, propose, roll_back

    project = find_project(project_dir)
    proposal = propose(project, target, number, " ".join(select).split(), dry=dry_run)
    for line in proposal.healed:
        output.message(line)
    if output_ == "text":
        _explain(proposal)
    if dry_run or not proposal.steps:
        if hold and not dry_run:
            keep(proposal, reason)
            _tell_hold(proposal)
        if output_ == "json":
            output.as_json(_record(proposal, None))
        elif proposal.steps:
            output.message("Nothing was changed: this is a dry run.")
        return
    options.confirm(yes=yes)
    release = roll_back(proposal, hold=hold, reason=reason)
    output.done(f"Release {release.number} shows release {proposal.goal.number}")
    if output_ == "json":
        output.as_json(_record(proposal, release.number))
        return
    shows = "part of release" if proposal.partial else "release"
    output.line(
        f"Release {release.number} in {release.target} shows {shows} {proposal.goal.number}{_promoted(proposal)}: "
        f"{plural(len(proposal.steps), 'table')}."
    )
    if hold:
        _tell_hold(proposal)


def _tell_hold(proposal: Proposal) -> None:
    name, before = proposal.environment.name, proposal.hold
    already = f" already, by {before.who}: {before.reason}" if before else ""
    output.message(f"{name} is on hold{already}. Lift the hold with slipway hold --lift.")


def _explain(proposal: Proposal) -> None:
    goal, name = proposal.goal, proposal.environment.name
    for note in proposal.notes:
        output.message(note)
    if not proposal.steps:
        output.line(f"Readers of {name} see release {goal.number}{_promoted(proposal)} already.")
        return
    output.table(
        ("table", "", "rows now", "rows then", "snapshot now", "snapshot then"),
        [
            (
                step.table,
                _what_happens(step),
                figures.number(step.before.rows if step.before else 0),
                figures.number(step.after.rows if step.after else 0),
                step.before.snapshot_id if step.before else None,
                step.after.snapshot_id if step.after else None,
            )
            for step in sorted(proposal.steps, key=lambda step: figures.by_layer(step.table))
        ],
        right=("rows now", "rows then", "snapshot now", "snapshot then"),
        optional=("snapshot now", "snapshot then"),
    )
    if goal.promoted:
        output.line(f"Release {goal.number} is {goal.promoted.described()}.")
    for exposure in proposal.exposures:
        output.line(exposure.described())
    for lease in proposal.under_way:
        output.message(
            f"{lease.described()} is on these tables, and will be refused if it builds on what is withdrawn"
        )


def _promoted(proposal: Proposal) -> str:
    promoted = proposal.goal.promoted
    return f", which is {promoted.described()}" if promoted else ""


def _what_happens(step: Step) -> str:
    if step.before is None:
        return "comes back"
    if step.after:
        return "moves"
    return "is retired" if step.retires else "is emptied"


def _record(proposal: Proposal, release: int | None) -> dict[str, Any]:
    return {
        "target": proposal.environment.name,
        "to": proposal.goal.number,
        "promoted": proposal.goal.promoted.model_dump() if proposal.goal.promoted else None,
        "release": release,
        "tables": [_step(step) for step in proposal.steps],
        "exposures": [exposure.record() for exposure in proposal.exposures],
        "under_way": [lease.model_dump(mode="json") for lease in proposal.under_way],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "table": step.table,
        "change": _what_happens(step),
        "snapshot_before": step.before.snapshot_id if step.before else None,
        "snapshot_after": step.after.snapshot_id if step.after else None,
        "rows_before": step.before.rows if step.before else 0,
        "rows_after": step.after.rows if step.after else 0,
    }


@click.command("hold")
@click.option("--lift", is_flag=True, help="Lift the hold, so that runs publish again.")
@options.common
def hold(*, lift: bool, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Show whether a hold is active, or lift the hold that slipway rollback --hold placed."""
    from slipway.releases.holds import current_hold, lift_hold

    release = None
    if lift:
        release, hold, unknown = lift_hold(project_dir, target)
        if unknown:
            output.message(f"It is not known who placed it, and why: {unknown.what}: {unknown.why}.")
    else:
        hold = current_hold(project_dir, target)
    if output_ == "json":
        output.as_json(hold.model_dump(mode="json") if hold else release and {"release": release})
    elif hold is None:
        output.line(f"The hold of release {release} was lifted." if release else "No hold is active.")
    else:
        state = "was lifted" if lift else "is active: runs are refused"
        output.line(
            f"The hold in {hold.target} {state}. {hold.who} placed it at {hold.placed_at:%Y-%m-%d %H:%M} UTC "
            f"with release {hold.release}: {hold.reason}."
        )
