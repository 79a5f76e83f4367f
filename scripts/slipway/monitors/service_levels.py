"""Whether data is as fresh, and arrives as soon, as promised: in local time, on the days on which somebody works. Rules without input or output."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slipway.contracts.durations import length_of_time
from slipway.contracts.model import Sla
from slipway.errors import ConfigError
from slipway.monitors.verdicts import Finding, Verdict

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)
_CLOCK = re.compile(r"\s*(\d{1,2}):(\d{2})\s*(Z|[+-]\d{2}:\d{2})?\s*")


@dataclass(frozen=True)
class Calendar:
    """The days on which data is expected, in one time zone.

    Args:
        zone: of the days.
        weekdays: those that count, Monday is 0.
        holidays: days that do not count.
    """

    zone: tzinfo = UTC
    weekdays: frozenset[int] = frozenset(range(7))
    holidays: frozenset[date] = frozenset()

    def counts(self, day: date) -> bool:
        """Whether data is expected of a day."""
        return day.weekday() in self.weekdays and day not in self.holidays

    def start(self, day: date, at: time = time()) -> datetime:
        """A local time of a day, as an aware datetime in UTC."""
        return datetime.combine(day, at, self.zone).astimezone(UTC)

    def day(self, moment: datetime) -> date:
        """The local day of a moment."""
        return moment.astimezone(self.zone).date()

    def passed(self, since: datetime, until: datetime) -> timedelta:
        """The time between two moments, without the days that do not count; less than nothing where they come in the other order."""
        if until < since:
            return -self.passed(until, since)
        if len(self.weekdays) == len(WEEKDAYS) and not self.holidays:
            return until - since
        found, day, last = timedelta(), self.day(since), self.day(until)
        while day <= last:
            if self.counts(day):
                begins, ends = self.start(day), self.start(day + timedelta(days=1))
                found += max(timedelta(), min(ends, until) - max(begins, since))
            day += timedelta(days=1)
        return found

    def due(self, day: date, at: time, days_later: int) -> datetime:
        """When data of a day is due: at a local time, so many days that count later."""
        while days_later > 0:
            day += timedelta(days=1)
            days_later -= self.counts(day)
        return self.start(day, at)

    def expected(self, now: datetime, at: time, days_later: int) -> date | None:
        """The newest day whose data is due; None where no day of the last year counts."""
        today = self.day(now)
        days = (today - timedelta(days=back) for back in range(366))
        return next((day for day in days if self.counts(day) and self.due(day, at, days_later) <= now), None)


def calendar(
    time_zone: str = "UTC", weekdays: Iterable[str] | None = None, holidays: Iterable[object] | None = None
) -> Calendar:
    """A calendar as the arguments of a test say it.

    Args:
        time_zone: a name of the IANA database, such as ``Europe/London``.
        weekdays: names in English, or their first three letters; all by themselves.
        holidays: dates, or texts like ``2026-12-25``.

    Raises:
        ConfigError: one of them is none.
    """
    try:
        zone = ZoneInfo(str(time_zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"There is no time zone {time_zone}", str(error), "Write a name such as Europe/London"
        ) from error
    return Calendar(
        zone,
        frozenset(range(7)) if weekdays is None else frozenset(map(_weekday, weekdays)),
        frozenset(map(day_of, holidays or ())),
    )


def _weekday(name: str) -> int:
    found = [at for at, one in enumerate(WEEKDAYS) if str(name).lower() in (one, one[:3])]
    if not found:
        raise ConfigError(f"{name} is no weekday", fix=f"Write {', '.join(WEEKDAYS)}")
    return found[0]


def day_of(value: object) -> date:
    """A date of YAML or a text like ``2026-12-25``.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise ConfigError(f"{value} is no date", str(error), "Write it like 2026-12-25") from error


def length(value: str) -> timedelta:
    """A length of time such as ``26 hours``, ``2 d`` or ``90 minutes``.

    Raises:
        ConfigError: it is none.
    """
    match = _LENGTH.fullmatch(value)
    found = length_of_time(float(match[1]), match[2]) if match else None
    if found is None:
        raise ConfigError(f"{value} is no length of time", fix="Write it like 26 hours")
    return found


@dataclass(frozen=True)
class Due:
    """When the data of a day has to be there.

    Args:
        at: a time of the day.
        zone: of that time where it says one; otherwise it is the calendar's.
    """

    at: time
    zone: tzinfo | None = None


def due(value: str) -> Due:
    """A time of the day such as ``09:00``, or with an offset as the standard writes it: ``09:00-08:00``.

    Raises:
        ConfigError: it is none.
    """
    match = _CLOCK.fullmatch(value)
    try:
        if match:
            given = time.fromisoformat(
                f"{int(match[1]):02}:{match[2]}{(match[3] or '').replace('Z', '+00:00')}"
            )
            return Due(given.replace(tzinfo=None), given.tzinfo)
    except ValueError:
        pass
    raise ConfigError(f"{value} is no time of the day", fix="Write it like 09:00")


@dataclass(frozen=True)
class Promise:
    """What a contract promises of a table.

    Args:
        freshness: how old the newest data may be.
        latency: how long data may take to arrive.
        due: when data of a day is there.
    """

    freshness: timedelta | None = None
    latency: timedelta | None = None
    due: Due | None = None


def promised(levels: Iterable[Sla], objects: Collection[str], column: str) -> Promise:
    """What ``slaProperties`` say of a column; those with an ``element`` count only where it names the object, or the column in it.

    Args:
        levels: of the contract.
        objects: what the contract calls the table.
        column: of the test.

    Raises:
        ConfigError: ``timeOfAvailability`` is no time of the day.
    """
    found = {sla.property: sla for sla in levels if _is_about(sla, objects, column)}
    freshness, latency = found.get("freshness"), found.get("latency")
    available = found.get("timeOfAvailability")
    return Promise(
        freshness.duration if freshness else None,
        latency.duration if latency else None,
        due(str(available.value)) if available else None,
    )


def _is_about(sla: Sla, names: Collection[str], column: str) -> bool:
    elements = [one.strip() for one in (sla.element or "").split(",") if one.strip()]
    return not elements or any(one in (name, f"{name}.{column}") for one in elements for name in names)


def judge_freshness(
    newest: datetime | date | None,
    now: datetime,
    days: Calendar,
    *,
    max_age: timedelta | None = None,
    by: Due | None = None,
    days_later: int = 1,
) -> Verdict:
    """Whether the newest data is fresh enough.

    Args:
        newest: an aware moment, or a day, whose data is taken to be of the day's end; None where there is none.
        now: an aware moment.
        days: on which data is expected.
        max_age: how old the newest data may be, without the days that do not count.
        by: when the data of a day has to be there.
        days_later: how many days that count after its own day it is due.
    """
    if newest is None:
        return Verdict((Finding(None, "there is no data"),))
    is_moment = isinstance(newest, datetime)
    moment = newest if isinstance(newest, datetime) else days.start(newest + timedelta(days=1))
    last = days.day(newest) if isinstance(newest, datetime) else newest
    shown = f"{moment.astimezone(days.zone):%Y-%m-%d %H:%M %Z}" if is_moment else f"{last}"
    found = []
    if max_age is not None and (age := days.passed(moment, now)) > max_age:
        found.append(f"the newest data is of {shown}, {words(age)} ago, and {words(max_age)} are allowed")
    if by is not None:
        own = Calendar(by.zone or days.zone, days.weekdays, days.holidays)
        expected = own.expected(now, by.at, days_later)
        if expected is not None and last < expected:
            when = own.due(expected, by.at, days_later).astimezone(own.zone)
            found.append(
                f"data of {expected} was due at {when:%Y-%m-%d %H:%M %Z}, and the newest is of {shown}"
            )
    return Verdict(tuple(Finding(None, text) for text in found))


def judge_latency(
    slowest: Sequence[tuple[datetime, datetime]], days: Calendar, max_latency: timedelta
) -> Verdict:
    """Whether data arrived as soon as promised.

    Args:
        slowest: for each day the moments at which a row happened and arrived that took longest.
        days: on which data is expected.
        max_latency: how long it may take, without the days that do not count.
    """
    found = []
    for happened, arrived in sorted(slowest):
        took = days.passed(happened, arrived)
        if took > max_latency:
            day = days.day(happened)
            text = f"data of {day} took up to {words(took)} to arrive, and {words(max_latency)} are allowed"
            found.append(Finding(day, text))
    return Verdict(tuple(found))


def words(duration: timedelta) -> str:
    """A length of time in its two largest units."""
    minutes = int(duration.total_seconds() // 60)
    parts = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute")]
    named = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count]
    return " ".join(named[:2]) or "less than a minute"
