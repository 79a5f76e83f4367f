"""The type of a column and what is personal in it, decided together: digits that seem to be those of a card stay text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.inference.classified import Personal, classified
from slipway.inference.column_facts import short_years
from slipway.inference.value_types import Conventions, Decision, Facts, decide, decide_inside

_NUMBERS_THAT_ARE_TEXT = ("a card number", "an IBAN", "a phone number")


@dataclass(frozen=True)
class Judged:
    """What a column seems to be.

    Args:
        decision: its type.
        personal: what it seems to hold; None where nothing says that it is personal.
        doubts: sentences for a person, without a value of what is personal.
    """

    decision: Decision
    personal: Personal | None
    doubts: Sequence[str]


def judged(name: str, facts: Facts, feed: Conventions, *, is_inside: bool = False) -> Judged:
    """The type of a column, and what it seems to hold.

    Args:
        name: in models.
        facts: of its values.
        feed: of all columns.
        is_inside: whether it is a value inside of an object, array or map.
    """
    decision = (decide_inside if is_inside else decide)(name, facts, feed)
    personal = classified(name, [one for one in facts.values if one not in facts.spelled])
    if (
        personal
        and personal.what in _NUMBERS_THAT_ARE_TEXT
        and decision.logical_type in ("integer", "number")
    ):
        decision = Decision(doubts=[f"its digits stay text, because it seems to hold {personal.what}"])
    doubts = list(decision.doubts)
    if personal:
        # what is said of a column that may be personal shows none of its values
        doubts = [re.sub(r"such as \S+, ", "", doubt) for doubt in doubts]
        doubts.append(
            f"classification {personal.classification}: it seems to hold {personal.what}, because {personal.evidence}"
        )
    if decision.logical_type == "string" and not facts.moments and (short := short_years(facts.values)):
        doubts.append(f"its dates are written as {short}, without the century: it stays text")
    return Judged(decision, personal, doubts)
