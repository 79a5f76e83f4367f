"""A look between runs: are feeds and published tables as fresh as their contracts say, and is anything left undone?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slipway.alerts.causes import Affected, Cause, Event, Observation
from slipway.alerts.observed import command, duration, set_aside
from slipway.alerts.routes import Routes, read_routes
from slipway.alerts.tell import contracts_of, lineage_of, tell
from slipway.contracts.model import Contract
from slipway.counts import plural
from slipway.environments.profiles import Profile, find_project
from slipway.errors import DamagedError, SlipwayError
from slipway.iceberg.commit import positions
from slipway.iceberg.tables import Tables
from slipway.landing.feeds import Feed
from slipway.records.release_records import Hold, Release
from slipway.records.run_manifest import started_at
from slipway.records.store import Records
from slipway.releases.holds import Holds
from slipway.runs.history import killed_run
from slipway.runs.landed_now import FeedNow, status

_AGES = ("freshness", "frequency")
_LATENCY = "latency"
_WAITING = "waiting files"
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
    """

    target: str
    causes: Sequence[Cause]
    failures: Sequence[SlipwayError]
    has_routes: bool


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
        _, failures = tell(records, routes, observation, lambda cause: lineage.affected(cause.table), now)
    return Looked(environment.name, causes, failures, bool(routes))


def late(
    contracts: Iterable[Contract],
    feeds: Iterable[FeedNow],
    last: Release | None,
    affected: Callable[[str], Affected],
    target: str,
    now: datetime,
) -> Iterator[Cause]:
    """Feeds and published tables that do not keep the service levels of their contracts.

    A feed is late when its last accepted file is older than ``freshness``, or its last file, accepted or not looked at yet, older than ``frequency``
    and ``latency`` together, or when a file waits longer than ``latency`` for a run, from its arrival or from the rollback that withdrew it, or without a latency longer than the other two allow. A table is
    late when the run that made its rows began longer ago than ``freshness`` or ``frequency``, or when a file that it is made from waits longer than
    ``latency``.

    Args:
        contracts: of the project.
        feeds: how the files of each feed stand.
        last: the last release; without one no table is late.
        affected: a table with those that are made from it.
        target: the environment.
        now: the time, UTC.
    """
    known = {feed.feed: feed for feed in feeds}
    waits = {
        table: feed
        for feed in known.values()
        if feed.waits_since
        for table in affected(f"raw.{feed.feed}").tables
    }
    for contract in contracts:
        levels = _levels(contract)
        if contract.landing:
            yield from _late_feed(contract, levels, known, target, now)
        elif last:
            yield from _late_tables(contract, levels, waits, last, target, now)


def _levels(contract: Contract) -> dict[str, timedelta]:
    return {sla.property: sla.duration for sla in contract.sla if sla.duration}


def _late_feed(
    contract: Contract,
    levels: Mapping[str, timedelta],
    feeds: Mapping[str, FeedNow],
    target: str,
    now: datetime,
) -> Iterator[Cause]:
    described = Feed.of(contract)
    feed = feeds.get(described.name) if described else None
    if feed is None:
        return
    waits = now - feed.waits_since if feed.waits_since else None
    for name in _AGES:
        if name not in levels:
            continue
        is_frequency = name == "frequency"
        allowed = levels[name] + (levels.get(_LATENCY, timedelta()) if is_frequency else timedelta())
        arrived = feed.last_arrived_at if is_frequency else feed.last_landed_at
        age = now - arrived if arrived else None
        if age is not None and age <= allowed:
            continue
        last = f"brought its last file {_ago(age)}" if age else "has brought no file"
        if waits is not None and not is_frequency:  # the producer is not the one who is late
            last = (
                f"brought its last accepted file {_ago(age)}"
                if age
                else "has brought no file that was accepted"
            )
            last += f", {_waiting(feed)} for a run for up to {_words(waits)}"
        yield Cause(
            event=Event.FRESHNESS,
            subject=f"{contract.id} {name}",
            table=f"raw.{feed.feed}",
            what=f"Feed {feed.feed} {last}, and its contract promises {name} within {_words(allowed)}",
            first=command("land", "status", target),
        )
    longest = _longest_wait(levels)
    if waits is not None and longest and waits > longest[1]:
        name, allowed = longest
        yield Cause(
            event=Event.FRESHNESS,
            subject=f"{contract.id} {_WAITING}",
            table=f"raw.{feed.feed}",
            what=f"{_waiting(feed, f' of feed {feed.feed}')} for a run for up to {_words(waits)}, and its contract promises {name} within {_words(allowed)}",
            first=command("runs", "", target),
        )


def _waiting(feed: FeedNow, of: str = "") -> str:
    count = len(feed.unseen) + len(feed.waiting)
    again = f", {len(feed.withdrawn):,} of them withdrawn by a rollback," if feed.withdrawn else ""
    return f"{plural(count, 'file')}{of}{again} {'has' if count == 1 else 'have'} waited"


def _since(feed: FeedNow) -> str:
    return "arrived, or was withdrawn by a rollback," if feed.withdrawn else "arrived"


def _longest_wait(levels: Mapping[str, timedelta]) -> tuple[str, timedelta] | None:
    """The service level that says how long a file may wait for a run; None where none does."""
    if _LATENCY in levels:
        return _LATENCY, levels[_LATENCY]
    ages = [(name, levels[name]) for name in _AGES if name in levels]
    return min(ages, key=lambda one: one[1], default=None)


def _late_tables(
    contract: Contract,
    levels: Mapping[str, timedelta],
    waits: Mapping[str, FeedNow],
    last: Release,
    target: str,
    now: datetime,
) -> Iterator[Cause]:
    for table in (_table(contract, one.physical_name or one.name) for one in contract.tables):
        state = last.tables.get(table)
        began = started_at(state.run_id) if state and state.run_id else None
        for name in _AGES:
            if began and name in levels and now - began > levels[name]:
                yield Cause(
                    event=Event.FRESHNESS,
                    subject=f"{contract.id} {name}",
                    table=table,
                    what=f"{table} was made {_ago(now - began)}, and its contract promises {name} within {_words(levels[name])}",
                    first=command("show", table, target),
                )
        feed = waits.get(table)
        if feed and feed.waits_since and _LATENCY in levels and now - feed.waits_since > levels[_LATENCY]:
            yield Cause(
                event=Event.FRESHNESS,
                subject=f"{contract.id} {_LATENCY}",
                table=table,
                what=f"A file of feed {feed.feed} {_since(feed)} {_ago(now - feed.waits_since)} and is not in {table}, "
                f"whose contract promises latency within {_words(levels[_LATENCY])}",
                first=command("runs", "", target),
            )


def _table(contract: Contract, name: str) -> str:
    return name if "." in name else contract.id


def promised(contracts: Iterable[Contract]) -> Collection[str]:
    """Keys of the causes that ``late`` looks for."""
    return {
        f"{Event.FRESHNESS}:{contract.id} {name}"
        for contract in contracts
        for name in (*_levels(contract), _WAITING)
        if name in (*_AGES, _LATENCY, _WAITING)
    }


def _ago(age: timedelta) -> str:
    return f"{_words(age)} ago"


def _words(length: timedelta) -> str:
    return duration(length.total_seconds())


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
