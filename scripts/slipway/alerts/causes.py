"""Causes of alerts: when one opens and ends, and which message each route gets. Rules without input or output.

A cause that is found again is the same one, whichever run found it. Before a message is sent, its route is noted as claimed, so that two processes do
not send it both; a claim without an outcome is one of a process that died, and may be taken over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from slipway.contracts.model import Severity
from slipway.records.record import SCHEMA_VERSION, Record

CLAIM_LASTS = timedelta(minutes=10)
"""A message takes less; a claim that is older is of a process that died."""


class Event(StrEnum):
    """What an alert may be about."""

    RUN_FAILED = "run_failed"
    FRESHNESS = "freshness"
    FILE_SET_ASIDE = "file_set_aside"
    QUARANTINE_GROWTH = "quarantine_growth"
    ANOMALY = "anomaly"
    BUDGET = "budget"
    UNFINISHED_PUBLICATION = "unfinished_publication"
    HOLD = "hold"


class Cause(Record):
    """Something that is wrong.

    Args:
        event: what kind of thing.
        subject: tells it from others of its kind, and is the same whenever it is found again.
        table: ``layer.table`` that it is about; empty for the whole environment.
        what: a sentence with what happened and why.
        first: the first command to type.
    """

    event: Event
    subject: str
    table: str = ""
    what: str
    severity: Severity = Severity.ERROR
    first: str

    @property
    def key(self) -> str:
        """The same for the same cause."""
        return f"{self.event}:{self.subject}"


class Affected(Record):
    """Who has to do with a cause: tables made from its table with itself, exposures that read them, and owners of all of these."""

    tables: list[str] = Field(default_factory=list)
    exposures: list[str] = Field(default_factory=list)
    owners: list[str] = Field(default_factory=list)


class Notice(Record):
    """What became of one message to one route: sent at ``sent_at``, or claimed since ``claimed_at``, or failed for the reason in ``error``."""

    sent_at: AwareDatetime | None = None
    claimed_at: AwareDatetime | None = None
    attempts: int = 0
    error: str = ""

    def is_due(self, now: datetime) -> bool:
        """Whether somebody should send it now."""
        return not (self.sent_at or (self.claimed_at and now - self.claimed_at < CLAIM_LASTS))

    @property
    def may_be_known(self) -> bool:
        """Whether the message may have arrived."""
        return bool(self.sent_at or self.claimed_at)


Kind = Literal["alert", "recovery"]
_FIELDS: Mapping[Kind, str] = {"alert": "alerts", "recovery": "recoveries"}


class Entry(Record):
    """A cause from the moment that it was found; ``ended_at`` once it is over.

    ``alerts`` and ``recoveries`` are the messages about its beginning and its end, by the name of the route.
    """

    cause: Cause
    affected: Affected = Field(default_factory=Affected)
    since: AwareDatetime
    ended_at: AwareDatetime | None = None
    alerts: dict[str, Notice] = Field(default_factory=dict)
    recoveries: dict[str, Notice] = Field(default_factory=dict)

    def notices(self, kind: Kind) -> dict[str, Notice]:
        """The messages of a kind."""
        return self.alerts if kind == "alert" else self.recoveries


class State(Record):
    """All causes that are open, or whose end has not been reported to every route yet.

    ``quarantined`` are rows landed and rows quarantined when last looked at, by quarantine table.
    """

    schema_version: int = SCHEMA_VERSION
    entries: list[Entry] = Field(default_factory=list)
    quarantined: dict[str, tuple[int, int]] = Field(default_factory=dict)

    def open(self, key: str) -> Entry | None:
        """The entry of a cause that is not over."""
        return next((one for one in self.entries if one.cause.key == key and one.ended_at is None), None)


@dataclass(frozen=True)
class Observation:
    """What was looked at, and what is wrong there.

    Args:
        causes: what is wrong.
        events: of these everything was looked at: whatever is open and was not found is over.
        keys: causes that were looked at besides.
        quarantined: rows landed and rows quarantined, by quarantine table.
        first: the first command to type for rows that were quarantined.
    """

    causes: Sequence[Cause] = ()
    events: Collection[Event] = ()
    keys: Collection[str] = ()
    quarantined: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    first: str = ""


@dataclass(frozen=True)
class Message:
    """What one route gets: causes of one event that began, or ended, together."""

    route: str
    kind: Kind
    entries: Sequence[Entry]


def observe(
    state: State, observation: Observation, affected: Callable[[Cause], Affected], now: datetime
) -> State:
    """The causes after somebody has looked.

    A cause that comes back before anybody was notified of its end goes on, without a new message. One that is open says what was found last, and nobody
    is notified again, except a route that only now wants it because the severity has changed.
    """
    growth, checked = _growth(state, observation)
    found = {cause.key: cause for cause in [*observation.causes, *growth]}
    entries: list[Entry] = []
    again: dict[str, Entry] = {}
    for entry in state.entries:
        cause = entry.cause
        if entry.ended_at is None:
            was_checked = (
                cause.event in observation.events or cause.key in observation.keys or cause.key in checked
            )
            latest = found.pop(cause.key, None)
            is_over = was_checked and latest is None
            entries.append(
                entry.model_copy(update={"ended_at": now} if is_over else {"cause": latest or cause})
            )
        elif cause.key in found:
            over, again[cause.key] = _split_by_recovery(entry, now)
            entries.append(over)
        else:
            entries.append(entry)
    for key, cause in found.items():
        begun = again.get(key) or Entry(cause=cause, since=now)
        entries.append(begun.model_copy(update={"cause": cause, "affected": affected(cause)}))
    quarantined = {**state.quarantined, **observation.quarantined}
    return _without_finished(state.model_copy(update={"entries": entries, "quarantined": quarantined}))


def _split_by_recovery(entry: Entry, now: datetime) -> tuple[Entry, Entry]:
    """A cause that was over and comes back: as it was for routes that know of its end, and as it goes on for those that do not."""
    knows = {route for route, notice in entry.recoveries.items() if notice.may_be_known}
    old = {route: notice for route, notice in entry.alerts.items() if route in knows}
    goes_on = {route: notice for route, notice in entry.alerts.items() if route not in knows}
    since = now if knows else entry.since
    return (
        entry.model_copy(update={"alerts": old}),
        entry.model_copy(update={"alerts": goes_on, "recoveries": {}, "ended_at": None, "since": since}),
    )


def _growth(state: State, observation: Observation) -> tuple[list[Cause], set[str]]:
    """Quarantine tables with more rows than before, and the keys of those about which something is known: rows were landed since, or quarantined."""
    causes, keys = [], set()
    for table, (landed, rows) in observation.quarantined.items():
        before = state.quarantined.get(table)
        if before is None or (landed, rows) == before:
            continue
        cause = Cause(
            event=Event.QUARANTINE_GROWTH,
            subject=table,
            table=table,
            what=f"{table} has {rows:,} rows, {rows - before[1]:,} more than before, of {landed:,} that landed",
            severity=Severity.WARNING,
            first=observation.first,
        )
        keys.add(cause.key)
        if rows > before[1]:
            causes.append(cause)
    return causes, keys


def _without_finished(state: State) -> State:
    """The state without entries that ended and whose end has been reported to every route."""

    def goes_on(entry: Entry) -> bool:
        notified = [route for route, notice in entry.alerts.items() if notice.may_be_known]
        return entry.ended_at is None or any(
            not entry.recoveries.get(route, Notice()).sent_at for route in notified
        )

    return state.model_copy(update={"entries": [entry for entry in state.entries if goes_on(entry)]})


def due(
    state: State,
    wants: Callable[[str, Entry], bool],
    routes: Sequence[str],
    now: datetime,
    *,
    held: bool = False,
) -> list[Message]:
    """What is to be sent now.

    Args:
        state: the causes.
        wants: whether a route gets messages about an entry.
        routes: names of all routes.
        now: the time.
        held: the environment is on hold; only messages about the hold itself are sent then.
    """
    messages: dict[tuple[str, Kind, Event], list[Entry]] = {}
    for entry in state.entries:
        event = entry.cause.event
        if held and event is not Event.HOLD:
            continue
        for route in routes:
            kind = _due(entry, route, now, wanted=wants(route, entry))
            if kind:
                messages.setdefault((route, kind, event), []).append(entry)
    # what is over goes first: the same may have begun again
    in_order = sorted(messages.items(), key=lambda item: item[0][1] == "alert")
    return [Message(route, kind, entries) for (route, kind, _), entries in in_order]


def _due(entry: Entry, route: str, now: datetime, *, wanted: bool) -> Kind | None:
    alert = entry.alerts.get(route, Notice())
    if entry.ended_at is None:
        return "alert" if wanted and alert.is_due(now) else None
    # a claim that is young is of a process that is at work: it is not known yet whether there is something to take back
    notified = alert.sent_at or (alert.claimed_at and alert.is_due(now))
    return "recovery" if notified and entry.recoveries.get(route, Notice()).is_due(now) else None


def claimed(state: State, messages: Sequence[Message], now: datetime) -> State:
    """The state in which this process is the one that sends messages."""

    def claim(notice: Notice) -> Notice:
        return notice.model_copy(update={"claimed_at": now, "attempts": notice.attempts + 1})

    return _with_notices(state, messages, claim)


def settled(state: State, message: Message, now: datetime, error: str) -> State:
    """The state after a message was sent, or could not be for a reason."""

    def settle(notice: Notice) -> Notice:
        sent = None if error else now
        return notice.model_copy(update={"sent_at": sent, "claimed_at": None, "error": error})

    return _without_finished(_with_notices(state, [message], settle))


def _with_notices(state: State, messages: Sequence[Message], change: Callable[[Notice], Notice]) -> State:
    def changed(entry: Entry) -> Entry:
        for message in messages:
            if any(_same(entry, one) for one in message.entries):
                name, known = _FIELDS[message.kind], entry.notices(message.kind)
                notice = change(known.get(message.route, Notice()))
                entry = entry.model_copy(update={name: {**known, message.route: notice}})
        return entry

    return state.model_copy(update={"entries": [changed(entry) for entry in state.entries]})


def _same(one: Entry, other: Entry) -> bool:
    return (one.cause.key, one.since) == (other.cause.key, other.since)


def failures(state: State) -> Iterator[tuple[Entry, str, Notice]]:
    """Messages that could not be delivered: the entry, the route, and what became of it."""
    for entry in state.entries:
        for notices in (entry.alerts, entry.recoveries):
            for route, notice in notices.items():
                if notice.error:
                    yield entry, route, notice


def forgotten(state: State, routes: Collection[str]) -> State:
    """The state without messages to routes that alerts.yml does not have any more: nobody waits for their recovery."""

    def kept(notices: Mapping[str, Notice]) -> dict[str, Notice]:
        return {route: notice for route, notice in notices.items() if route in routes}

    entries = [
        entry.model_copy(update={"alerts": kept(entry.alerts), "recoveries": kept(entry.recoveries)})
        for entry in state.entries
    ]
    return _without_finished(state.model_copy(update={"entries": entries}))
