"""Dates and lengths of time as contracts write them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

_UNITS: Mapping[str, timedelta] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hr", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "wk", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("mo", "month", "months"), timedelta(days=30)),
    **dict.fromkeys(("y", "yr", "year", "years"), timedelta(days=365)),
}
LONGEST = timedelta(days=365_000)
"""More than any table is kept, and short enough to be counted back from any time."""
DATES = ("generalAvailability", "endOfSupport", "endOfLife")
"""Service levels that are days."""


def day_of(value: object) -> date | None:
    """The day of a date or a time in the form of ISO 8601; None for what is neither."""
    try:
        return datetime.fromisoformat(value).date() if isinstance(value, str) else None
    except ValueError:
        return None


def length_of_time(value: object, unit: object) -> timedelta | None:
    """A number of a unit that a service level may have; None where it is no number of at least 0, or the unit is not known."""
    length = _UNITS.get(str(unit))
    if length is None or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return min(value, timedelta.max / length / 2) * length
