"""How dates and times may be written, and which readings some values leave open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

LIKE_DAY = "[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}.*"


class Moment(NamedTuple):
    """A reading of texts as dates or times.

    Args:
        logical_type: ``date``, ``timestamp`` or ``time``.
        format: in the letters of Java; empty for ISO 8601.
        has_zone: whether texts have an offset.
    """

    logical_type: str
    format: str = ""
    has_zone: bool = False


_LETTERS = {
    "yyyy": "[0-9]{4}", "yy": "[0-9]{2}", "MMMM": "[A-Za-z]+", "MMM": "[A-Za-z]{3}", "SSS": "[0-9]{3}", "a": "[AaPp][Mm]", "xx": "[+-][0-9]{4}",
    **dict.fromkeys(("MM", "dd", "HH", "hh", "mm", "ss"), "[0-9]{2}"), **dict.fromkeys("MdHh", "[0-9]{1,2}"),
}  # fmt: skip
_ISO = {
    "date": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "time": "[0-9]{2}:[0-9]{2}.*",
    "timestamp": "[0-9]{4}-[0-9]{2}-[0-9]{2}[ T].*",
}


@cache
def _outline(moment: Moment) -> re.Pattern[str]:
    """A regular expression that every text matches which can be read so; others do, too."""
    if not moment.format:
        return re.compile(_ISO[moment.logical_type])
    parts = re.findall(r"([A-Za-z])(\1*)|(.)", moment.format)
    return re.compile(
        "".join(_LETTERS[one + more] if one else re.escape(other) for one, more, other in parts)
    )


def possible_moments(values: Sequence[str], candidates: Sequence[Moment]) -> list[Moment]:
    """Readings as dates and times that some values do not rule out."""
    return [one for one in candidates if values and all(_outline(one).fullmatch(value) for value in values)]


def likely_moments(values: Sequence[str], candidates: Sequence[Moment]) -> list[Moment]:
    """Readings that at least nine of ten of some values may have."""
    return [
        one
        for one in candidates
        if sum(_outline(one).fullmatch(value) is not None for value in values) * 10 >= len(values) * 9
    ]


def _moments() -> list[Moment]:
    days = [
        "", "yyyy/MM/dd", "yyyy.MM.dd", "dd.MM.yyyy", "MM.dd.yyyy", "d.M.yyyy", "M.d.yyyy", "dd/MM/yyyy", "MM/dd/yyyy", "d/M/yyyy", "M/d/yyyy", "dd-MM-yyyy", "MM-dd-yyyy",
        "dd-MMM-yyyy", "dd MMM yyyy", "d MMM yyyy", "MMM d, yyyy", "d MMMM yyyy", "MMMM d, yyyy", "yyyyMMdd",
    ]  # fmt: skip
    clocks = [
        "HH:mm:ss", "HH:mm", "H:mm:ss", "H:mm", "HH:mm:ss.SSS", "HH:mm:ss,SSS", "hh:mm:ss a", "h:mm:ss a", "hh:mm a",
        "h:mm a",
    ]  # fmt: skip
    found = [Moment("date", day) for day in days]
    found += [Moment("timestamp"), Moment("timestamp", has_zone=True)]
    found += [Moment("timestamp", f"{day or 'yyyy-MM-dd'} {clock}") for day in days for clock in clocks]
    found += [Moment("timestamp", "dd/MMM/yyyy:HH:mm:ss xx", has_zone=True)]
    found += [
        Moment("time"),
        *(Moment("time", clock) for clock in clocks if clock not in ("HH:mm:ss", "HH:mm")),
    ]
    return found


MOMENTS = tuple(_moments())
EIGHT_DIGITS = Moment("date", "yyyyMMdd")
SHORT_YEARS = ("dd.MM.yy", "dd/MM/yy", "MM/dd/yy", "d/M/yy", "M/d/yy", "dd-MM-yy")
"""Dates whose century is not known, so that they stay text."""


def is_one_order(moments: Sequence[Moment]) -> bool:
    """Whether readings do not contradict each other about whether the day comes first."""
    return len(orders_of(moments)[1]) < 2


def orders_of(moments: Sequence[Moment]) -> tuple[str, set[bool]]:
    """The sign between day and month, and whether the day comes first, for all readings of a column that begin with these as numbers."""
    found = [re.match(r"(dd?|MM?)([./-])(dd?|MM?)\2yyyy", one.format) for one in moments]
    known = [one for one in found if one]
    return (known[0][2] if known else "", {one[1].startswith("d") for one in known})
