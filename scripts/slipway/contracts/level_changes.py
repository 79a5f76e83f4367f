"""What a change of a service level means: a value is made comparable by its unit, and it depends on the property whether more of it is more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slipway.contracts.change_judges import LESS, MORE
from slipway.contracts.change_terms import BOTH, NARROWER, NOBODY, WIDER, Step, Verdict, unknown_key
from slipway.contracts.durations import DATES, day_of, length_of_time
from slipway.contracts.model import (
    SLA_PROPERTIES,
)

_SHORTER_IS_MORE = (
    "frequency",
    "latency",
    "freshness",
    "errorRate",
    "timeToDetect",
    "timeToNotify",
    "timeToRepair",
)
_ENDS = ("endOfSupport", "endOfLife")


def level_item(step: Step) -> Verdict:
    """Of a service level that only one version has."""
    item = step.after if step.before is None else step.before
    name = item.get("property")
    if name in _ENDS:
        if step.before is None:
            end = day_of(item.get("value"))
            if end is None or end <= step.terms.today:
                return WIDER, "The end comes without notice."
            return NOBODY, "An end is announced; what is promised stays until then."
        if step.terms.is_deprecated(item.get("element")):
            return WIDER, "What is deprecated could go at any time."
        return NOBODY, "No end is foreseen any more, or what it was about is gone."
    return (NARROWER, MORE) if step.before is None else (WIDER, LESS)


def level(step: Step) -> Verdict | None:
    """The value of a service level with its unit."""
    before, after = step.before or {}, step.after or {}
    name = (step.owner_after or {}).get("property")
    if name != (step.owner_before or {}).get("property"):
        return unknown_key(step)
    earlier, later = _amount(str(name), before), _amount(str(name), after)
    if before.get("unit") == after.get("unit") and name == "throughput":
        earlier, later = (_amount("throughput", {"value": one.get("value")}) for one in (before, after))
    if earlier is None or later is None:
        return BOTH, "The two values cannot be compared, so it counts as breaking."
    if earlier == later:
        return None
    is_more = later > earlier
    if name in _SHORTER_IS_MORE or name == "generalAvailability":
        is_more = not is_more
    return (NARROWER, MORE) if is_more else (WIDER, LESS)


def _amount(name: str, level: Mapping[str, Any]) -> float | None:
    """A number that two values of one service level are compared by; None where they cannot be."""
    value, unit = level.get("value"), level.get("unit")
    if level.get("valueExt") is not None:
        return None
    if name in DATES:
        found = day_of(value)
        return None if found is None else float(found.toordinal())
    if SLA_PROPERTIES.get(name):
        found_length = length_of_time(value, unit)
        return None if found_length is None else found_length.total_seconds()
    if name in ("availability", "errorRate"):
        return _share(value, unit)
    return float(value) if isinstance(value, int | float) and unit is None else None


def _share(value: object, unit: object) -> float | None:
    """A part of the whole: ``99.9 %``, 99.9 with the unit percent, 0.999; a number above 1 is one of percent."""
    text = str(value).strip()
    is_percent = text.endswith("%") or unit in ("%", "percent")
    if isinstance(value, bool) or (unit is not None and unit not in ("%", "percent")):
        return None
    if not re.fullmatch(r"[0-9]{1,3}([.][0-9]{1,15})?", number := text.rstrip("%").strip()):
        return None
    return float(number) / (100 if is_percent or float(number) > 1 else 1)
