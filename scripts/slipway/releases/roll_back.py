"""Rollback: show readers an earlier release again, all tables in one step; and forward the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from slipway.code.versions import who
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import ConflictError, DamagedError, NotFoundError
from slipway.iceberg.earlier_states import find_source, find_state, retired, stage_empty, stage_state
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.processes import too_late
from slipway.records.release_records import Hold, Intent, Lift, Release
from slipway.records.store import Records
from slipway.releases.attestation import release_signed
from slipway.releases.candidates import record_of
from slipway.releases.holds import Holds
from slipway.releases.lease_rules import Lease, Standing
from slipway.releases.leases import Leases
from slipway.releases.lookup import readers_of
from slipway.releases.publication import heal, settled, shown
from slipway.releases.published import check_catalog
from slipway.releases.rollback_rules import Exposure, Step, goal_of, plan


@dataclass(frozen=True)
class Proposal:
    """What a rollback is going to do.

    Args:
        environment: where.
        goal: the release that readers are going to see.
        partial: whether only chosen tables move.
        steps: what happens to which table; empty when readers see it already.
        exposures: who reads these tables.
        under_way: runs that may publish these tables.
        notes: what of all this is not known, and why.
        healed: publications of dead processes that were recorded, finished or undone first, a line each.
        hold: the hold that is in force, if it can be read.
    """

    environment: Environment
    goal: Release
    partial: bool
    steps: Sequence[Step]
    exposures: Sequence[Exposure]
    under_way: Sequence[Lease] = ()
    notes: Sequence[str] = ()
    healed: Sequence[str] = ()
    hold: Hold | None = None


def propose(
    project: Path, target: str | None, number: int | None, only: Sequence[str], *, dry: bool = False
) -> Proposal:
    """Find out what a rollback would do; it is not begun.

    A publication whose process died is finished, undone or recorded first, as every command that writes does: without it, the
    release before what readers see would be another one.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        number: the release to show, None for the one before what is shown.
        only: names or patterns of tables, all when empty.
        dry: nothing at all is written, and such a publication is refused.

    Raises:
        NotFoundError: no such release, or none before; or a snapshot or metadata file that it needs is gone.
        ConflictError: another program committed to a table that would move.
        UsageError: a pattern names no table.
        SlipwayError: readers see a publication that is not recorded, and nothing may be written.
        DamagedError: the record of the release, or of a later one, cannot be read; or the catalog is not the one.
    """
    environment = Profile(project).environment(target)
    records, tables = Records(environment), Tables(environment)
    healed = settled(tables, records, "a rollback would do", dry=dry)
    releases, goal = _goal(records, number)
    now = tables.locations()
    check_catalog(tables, records, now)
    steps = plan(releases, shown(tables, now, releases[-1]), goal, only)
    steps, lost = _reachable(tables, steps)
    moving = [step.table for step in steps]
    under_way = [
        found.lease
        for found in Leases(records).found()
        if found.standing is Standing.LIVE and found.lease.concerns(moving)
    ]
    exposures, unknown = readers_of(records, releases[-1], moving)
    hold, notes = None, [*lost, *unknown]
    try:
        hold = Holds(records).current()
    except DamagedError as error:
        # it refuses runs as well, and is no reason to leave wrong numbers where they are
        notes.append(f"there is a hold, and by whom is not known: {error.line()}")
    return Proposal(environment, goal, bool(only or lost), steps, exposures, under_way, notes, healed, hold)


def _reachable(tables: Tables, steps: Sequence[Step]) -> tuple[list[Step], list[str]]:
    """The steps that can be carried out, each with the file it starts from, and lines about tables that are lost.

    Raises:
        NotFoundError: a snapshot or metadata file of a table that the catalog names is gone, or the only table is lost.
    """
    found: list[Step] = []
    lost: list[NotFoundError] = []
    for step in steps:
        if step.after is None:
            found.append(step)
        elif step.before is not None:
            name = TableName.parse(step.table)
            find_state(tables, name, step.before.metadata_location, step.after.metadata_location)
            found.append(step)
        else:
            try:
                source = find_source(
                    tables, TableName.parse(step.table), step.sources, step.after.metadata_location
                )
            except NotFoundError as error:
                lost.append(error)
            else:
                found.append(replace(step, sources=[source]))
    if lost and not found:
        raise lost[0]
    return found, [f"{error.line()} The other tables can be rolled back." for error in lost]


def _goal(records: Records, number: int | None) -> tuple[list[Release], Release]:
    """Releases in the order of publication, and the one to show; refused where a damaged record may be what matters."""
    records.open_intents()  # one that cannot be read may be what readers see
    releases, damaged = records.readable_releases()
    if number in damaged:
        raise damaged[number]
    try:
        goal = goal_of(releases, number)
    except NotFoundError:
        for error in damaged.values():
            raise error from None
        raise
    for later, error in damaged.items():
        if later > goal.number:  # it may be what readers see
            raise error
    return releases, goal


def roll_back(proposal: Proposal, *, hold: bool, reason: str) -> Release:
    """Carry it out: every table moves in one step, and the rollback is recorded as a release of its own.

    Raises:
        NotFoundError: a snapshot or metadata file that it needs is gone; nothing was moved.
        ConflictError: a table moved since the proposal was made; nothing was moved, and no hold is left.
    """
    environment, goal = proposal.environment, proposal.goal
    records, tables = Records(environment), Tables(environment)
    heal(tables, records)
    number = records.reserve()
    staged = [_staged(tables, step, f"release-{number}") for step in proposal.steps]
    for item in staged:
        records.write_rollback(number, str(item.identifier), record_of(item, number))
    intent = Intent(
        number=number,
        run_id=goal.run_id,
        code=goal.code,
        rolls_back=True,
        returns_to=None if proposal.partial else goal.number,
        reason=reason,
    )
    with too_late():
        # before anything moves: a run must not slip in between
        held = hold and Holds(records).place_hold(_hold(proposal, number, reason))
        try:
            return release_signed(tables, records, staged, intent)
        except ConflictError:
            if held:
                Holds(records).lift(Lift(lifted_at=datetime.now(UTC), who=who()))
            raise


def keep(proposal: Proposal, reason: str) -> None:
    """Put an environment on hold whose readers see the release already."""
    records = Records(proposal.environment)
    Holds(records).place_hold(_hold(proposal, records.reserve(), reason))


def _hold(proposal: Proposal, number: int, reason: str) -> Hold:
    why = reason or f"rolled back to release {proposal.goal.number}"
    name = proposal.environment.name
    return Hold(target=name, release=number, placed_at=datetime.now(UTC), who=who(), reason=why)


def _staged(tables: Tables, step: Step, tag: str) -> StagedTable:
    identifier = TableName.parse(step.table)
    if step.before is None:
        assert step.after is not None
        staged = stage_state(tables, identifier, step.sources[0], step.after.metadata_location, tag)
        return replace(staged, base=None, registers=True)
    newest = step.before.metadata_location
    if step.retires:
        return retired(tables, identifier, newest)
    if step.after is None:
        return stage_empty(tables, identifier, newest, tag)
    return stage_state(tables, identifier, newest, step.after.metadata_location, tag)
