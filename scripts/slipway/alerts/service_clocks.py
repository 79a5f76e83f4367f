"""Since when each service level of a contract counts, and how long it allows: for feeds, and for tables that are published. Rules without input or output."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.alerts.causes import Affected
from slipway.alerts.observed import duration
from slipway.contracts.model import Contract
from slipway.counts import plural
from slipway.landing.feeds import Feed
from slipway.records.release_records import Release
from slipway.records.run_ids import started_at
from slipway.runs.landed_now import FeedNow

_AGES = ("freshness", "frequency")
_LATENCY = "latency"
_WAITING = "waiting files"
_OF_A_DAY = "timeOfAvailability"
_TEST = "freshness_sla"
_NO_LEVELS = ("generalAvailability", "endOfSupport", "endOfLife", "retention")
"""Properties that say what is kept and until when, and by which nothing can be late."""


@dataclass(frozen=True)
class Clock:
    """A service level and the moment from which it counts.

    Args:
        contract: its id.
        level: the property, or ``waiting files``.
        table: ``layer.table``.
        since: UTC; None where nothing has come yet, which is late in any case.
        allowed: how long.
        what: what has been so since then; ``{ago}`` is in the place of the time, ``{for}`` and ``{waits}`` of how long a file has waited.
        never: the same where nothing has come yet.
        waits_since: when the oldest of the files that wait began to, UTC; None where none is named.
        promises: the property of the contract, where ``level`` is none.
        first: the word of a command to begin with, and its argument.
    """

    contract: str
    level: str
    table: str
    since: datetime | None
    allowed: timedelta
    what: str
    never: str = ""
    waits_since: datetime | None = None
    promises: str = ""
    first: tuple[str, str] = ("land", "status")

    def is_late(self, now: datetime) -> bool:
        """Whether the level is not kept at a moment."""
        return self.since is None or now - self.since > self.allowed

    def said(self, now: datetime) -> str:
        """What is late, at a moment at which it is."""
        return self._with(
            lambda since: f"{duration((now - since).total_seconds())} ago",
            lambda since: f"for up to {duration((now - since).total_seconds())}",
        )

    def dated(self) -> str:
        """The same with times in the place of lengths of time, for readers of any moment."""
        return self._with(
            lambda since: f"at {since:%Y-%m-%d %H:%M} UTC", lambda since: f"since {since:%Y-%m-%d %H:%M} UTC"
        )

    def _with(self, ago: Callable[[datetime], str], lasting: Callable[[datetime], str]) -> str:
        found = self.what if self.since else self.never
        if self.since:
            found = found.replace("{ago}", ago(self.since)).replace("{for}", lasting(self.since))
        if self.waits_since:
            found = found.replace("{waits}", lasting(self.waits_since))
        return (
            f"{found} promises {self.promises or self.level} within {duration(self.allowed.total_seconds())}"
        )


def clocks(
    contracts: Iterable[Contract],
    feeds: Iterable[FeedNow],
    last: Release | None,
    affected: Callable[[str], Affected],
) -> Iterator[Clock]:
    """The service levels of contracts that count now.

    A feed is late when its last accepted file is older than ``freshness``, or its last file, accepted or not looked at yet, older than ``frequency``
    and ``latency`` together, or when a file waits longer than ``latency`` for a run, from its arrival or from the rollback that withdrew it, or without a latency longer than the other two allow. A table is
    late when the run that made its rows began longer ago than ``freshness`` or ``frequency``, or when a file that it is made from waits longer than
    ``latency``. So a latency counts only while a file waits.

    Args:
        contracts: of the project.
        feeds: how the files of each feed stand.
        last: the last release; without one no table is late.
        affected: a table with those that are made from it.
    """
    known = {feed.feed: feed for feed in feeds}
    waits = {
        table: feed
        for feed in known.values()
        if feed.waits_since
        for table in affected(f"raw.{feed.feed}").tables
    }
    for contract in contracts:
        levels = levels_of(contract)
        if contract.landing:
            yield from _of_feed(contract, levels, known)
        elif last:
            yield from _of_tables(contract, levels, waits, last)


def levels_of(contract: Contract) -> dict[str, timedelta]:
    """The service levels of a contract that are lengths of time, by property."""
    return {sla.property: sla.duration for sla in contract.sla if sla.duration}


def names(contract: Contract) -> list[str]:
    """What the clocks of a contract can be called."""
    return [name for name in (*levels_of(contract), _WAITING) if name in (*_AGES, _LATENCY, _WAITING)]


def judged_by(name: str, tests: Collection[str]) -> str:
    """Which part of Slipway judges a service level, or that none does, in a few words; empty for what is no such level.

    Args:
        name: the property.
        tests: kinds of the tests that the table has.
    """
    if name in _NO_LEVELS:
        return ""
    if name in (*_AGES, _LATENCY):
        return "judged between runs"
    if name != _OF_A_DAY:
        return "not judged"
    return f"judged in runs by the test {_TEST}" if _TEST in tests else f"not judged: no column has {_TEST}"


def not_judged(contracts: Iterable[Contract]) -> str:
    """A line about the service levels that no clock counts; empty where there is none."""
    found: dict[str, list[str]] = {}
    for contract in contracts:
        for name in dict.fromkeys(sla.property for sla in contract.sla):
            if judged_by(name, ()).startswith("not"):
                found.setdefault(name, []).append(contract.id)
    if not found:
        return ""
    listed = "; ".join(f"{name} of {', '.join(ids)}" for name, ids in sorted(found.items()))
    runs = f". Runs judge {_OF_A_DAY} where a column has the test {_TEST}" if _OF_A_DAY in found else ""
    return f"Not judged here: {listed}{runs}."


def tables_of(contract: Contract) -> list[str]:
    """``layer.table`` of what a contract describes: of a feed, its raw table."""
    if feed := Feed.of(contract):
        return [f"raw.{feed.name}"]
    given = [one.physical_name or one.name for one in contract.tables]
    return [name if "." in name else contract.id for name in given]


def _of_feed(
    contract: Contract, levels: Mapping[str, timedelta], feeds: Mapping[str, FeedNow]
) -> Iterator[Clock]:
    described = Feed.of(contract)
    feed = feeds.get(described.name) if described else None
    if feed is None:
        return
    table = f"raw.{feed.feed}"
    for name in _AGES:
        if name not in levels:
            continue
        is_frequency = name == "frequency"
        allowed = levels[name] + (levels.get(_LATENCY, timedelta()) if is_frequency else timedelta())
        arrived = feed.last_arrived_at if is_frequency else feed.last_landed_at
        # the producer is not the one who is late where files wait
        waits = "" if feed.waits_since is None or is_frequency else f", {_waiting(feed)} for a run {{waits}}"
        accepted = "accepted " if waits else ""
        yield Clock(
            contract=contract.id,
            level=name,
            table=table,
            since=arrived,
            allowed=allowed,
            what=f"Feed {feed.feed} brought its last {accepted}file {{ago}}{waits}, and its contract",
            never=f"Feed {feed.feed} has brought no file{' that was accepted' if waits else ''}{waits}, and its contract",
            waits_since=feed.waits_since if waits else None,
        )
    longest = _longest_wait(levels)
    if feed.waits_since and longest:
        yield Clock(
            contract=contract.id,
            level=_WAITING,
            table=table,
            since=feed.waits_since,
            allowed=longest[1],
            what=f"{_waiting(feed, f' of feed {feed.feed}')} for a run {{for}}, and its contract",
            promises=longest[0],
            first=("runs", ""),
        )


def _waiting(feed: FeedNow, of: str = "") -> str:
    count = len(feed.unseen) + len(feed.waiting)
    again = f", {len(feed.withdrawn):,} of them withdrawn by a rollback," if feed.withdrawn else ""
    return f"{plural(count, 'file')}{of}{again} {'has' if count == 1 else 'have'} waited"


def _longest_wait(levels: Mapping[str, timedelta]) -> tuple[str, timedelta] | None:
    """The service level that says how long a file may wait for a run; None where none does."""
    if _LATENCY in levels:
        return _LATENCY, levels[_LATENCY]
    ages = [(name, levels[name]) for name in _AGES if name in levels]
    return min(ages, key=lambda one: one[1], default=None)


def _of_tables(
    contract: Contract, levels: Mapping[str, timedelta], waits: Mapping[str, FeedNow], last: Release
) -> Iterator[Clock]:
    for table in tables_of(contract):
        state = last.tables.get(table)
        began = started_at(state.run_id) if state and state.run_id else None
        for name in _AGES:
            if began and name in levels:
                yield Clock(
                    contract=contract.id,
                    level=name,
                    table=table,
                    since=began,
                    allowed=levels[name],
                    what=f"{table} was made {{ago}}, and its contract",
                    first=("show", table),
                )
        feed = waits.get(table)
        if feed and feed.waits_since and _LATENCY in levels:
            arrived = "arrived, or was withdrawn by a rollback," if feed.withdrawn else "arrived"
            yield Clock(
                contract=contract.id,
                level=_LATENCY,
                table=table,
                since=feed.waits_since,
                allowed=levels[_LATENCY],
                what=f"A file of feed {feed.feed} {arrived} {{ago}} and is not in {table}, whose contract",
                first=("runs", ""),
            )
