"""A look between runs: are feeds and published tables as fresh as their contracts say, and is anything left undone?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slipway.alerts.causes import Affected, Cause, Event, Observation
from slipway.alerts.notify import contracts_of, lineage_of, notify
from slipway.alerts.observed import command, duration, set_aside
from slipway.alerts.routes import Routes, read_routes
from slipway.alerts.service_clocks import clocks, names, not_judged
from slipway.contracts.model import Contract
from slipway.environments.profiles import Profile, find_project
from slipway.errors import DamagedError, SlipwayError
from slipway.iceberg.commit import positions
from slipway.iceberg.tables import Tables
from slipway.records.release_records import Hold, Release
from slipway.records.run_ids import started_at
from slipway.records.store import Records
from slipway.releases.holds import Holds
from slipway.runs.history import killed_run
from slipway.runs.landed_now import FeedNow, status

_AT_WORK = timedelta(minutes=5)
"""A publication takes less."""


@dataclass(frozen=True)
class Looked:
    """What a look between runs found.

    Args:
        target: the environment.
        causes: what is wrong now, by itself; what only runs find is not among them.
        failures: why messages could not be delivered.
        has_routes: whether anybody is notified of this environment.
        not_judged: a line about service levels that are not looked at; empty where there is none.
    """

    target: str
    causes: Sequence[Cause]
    failures: Sequence[SlipwayError]
    has_routes: bool
    not_judged: str = ""


def watch(project_dir: Path | None, target: str | None) -> Looked:
    """Look once, notify people, and send what could not be delivered before.

    Raises:
        ConfigError: alerts.yml or a contract of a feed has a mistake.
        DamagedError: the state of alerts or a record cannot be read.
        UnavailableError: catalog, store or landing area do not answer.
    """
    project = find_project(project_dir)
    environment = Profile(project).environment(target)
    found = read_routes(project) or Routes()
    records, contracts, now = Records(environment), contracts_of(project), datetime.now(UTC)
    last = records.last_release()
    lineage = lineage_of(records, last.run_id if last else None, contracts)
    landed = status(project, environment.name)
    causes = [
        *set_aside(landed.outstanding, environment.name),
        *late(contracts, landed.feeds, last, lineage.affected, environment.name, now),
        *unfinished(records, Tables(environment)),
        *killed(records, now),
        *old_hold(records, found.hold_hours, now),
    ]
    observation = Observation(
        causes=causes,
        events=(Event.FILE_SET_ASIDE, Event.UNFINISHED_PUBLICATION, Event.HOLD),
        keys=promised(contracts),
    )
    routes = found.of(environment)
    failures: list[SlipwayError] = []
    if routes:
        _, failures = notify(records, routes, observation, lambda cause: lineage.affected(cause.table), now)
    return Looked(environment.name, causes, failures, bool(routes), not_judged(contracts))


def late(
    contracts: Iterable[Contract],
    feeds: Iterable[FeedNow],
    last: Release | None,
    affected: Callable[[str], Affected],
    target: str,
    now: datetime,
) -> Iterator[Cause]:
    """Feeds and published tables that do not keep the service levels of their contracts.

    Args:
        contracts: of the project.
        feeds: how the files of each feed stand.
        last: the last release; without one no table is late.
        affected: a table with those that are made from it.
        target: the environment.
        now: the time, UTC.
    """
    for clock in clocks(contracts, feeds, last, affected):
        if clock.is_late(now):
            word, argument = clock.first
            yield Cause(
                event=Event.FRESHNESS,
                subject=f"{clock.contract} {clock.level}",
                table=clock.table,
                what=clock.said(now),
                first=command(word, argument, target),
            )


def promised(contracts: Iterable[Contract]) -> Collection[str]:
    """Keys of the causes that ``late`` looks for."""
    return {f"{Event.FRESHNESS}:{contract.id} {name}" for contract in contracts for name in names(contract)}


def _ago(age: timedelta) -> str:
    return f"{duration(age.total_seconds())} ago"


def unfinished(records: Records, tables: Tables) -> Iterator[Cause]:
    """Publications that readers see in part, or whole and without a record, and whose process does not seem to be at work any more."""
    before = records.store.clock() - _AT_WORK
    begun = {item.key for item in records.store.entries("releases") if item.modified < before}
    if not begun.intersection(records.open_keys()):
        return
    target = records.environment.name
    for intent in records.open_intents():
        if any(where.shows_release for where in positions(tables, intent).values()):
            yield Cause(
                event=Event.UNFINISHED_PUBLICATION,
                subject=str(intent.number),
                what=f"The publication of release {intent.number} was begun and has not ended",
                first=command("doctor", "--fix", target),
            )


def killed(records: Records, now: datetime) -> Iterator[Cause]:
    """The newest run, if its process ended before it could notify anybody; the next run that succeeds ends this cause."""
    if run_id := killed_run(records, now):
        target, began = records.environment.name, started_at(run_id)
        when = f", which began {_ago(now - began)}," if began else ""
        yield Cause(
            event=Event.RUN_FAILED,
            subject="",
            what=f"Run {run_id}{when} ended without a run manifest: its process was killed, or could not write",
            first=command("doctor", "--fix", target),
        )


def old_hold(records: Records, after_hours: float, now: datetime) -> Iterator[Cause]:
    """A hold that somebody may have forgotten, or whose record cannot be read."""
    target = records.environment.name
    try:
        hold: Hold | None = Holds(records).current()
    except DamagedError as error:
        yield Cause(event=Event.HOLD, subject="damaged", what=error.line(), first=command("hold", "", target))
        return
    if hold and now - hold.placed_at >= timedelta(hours=after_hours):
        yield Cause(
            event=Event.HOLD,
            subject=str(hold.release),
            what=f"{target} is on hold since {hold.placed_at:%Y-%m-%d %H:%M} UTC, by {hold.who}: {hold.reason}",
            first=command("hold", "", target),
        )
