"""What differences mean that occur under several keys: limits, flags, conditions, lists."""

from __future__ import annotations

import json

from slipway.contracts.change_terms import BOTH, NARROWER, WIDER, Effect, Judge, Step, Verdict, unknown_key
from slipway.contracts.durations import day_of


def always(effect: Effect, why: str) -> Judge:
    """Any difference has the same effect, for the same reason."""

    def judge(step: Step) -> Verdict | None:
        before, after = step.values
        return None if equal(before, after) else (effect, why)

    return judge


MORE = "More is asked than before."
LESS = "Less is promised than before."


def added_or_removed(added: Verdict, removed: Verdict) -> Judge:
    """Of an item of a list that only one version has."""
    return lambda step: added if step.before is None else removed


def flag(when_set: Effect, when_not: Effect) -> Judge:
    """Of a value that is true or false: whom setting it affects, and whom taking it back affects."""

    def judge(step: Step) -> Verdict | None:
        before, after = map(bool, step.values)
        if before is after:
            return None
        effect = when_set if after else when_not
        return effect, MORE if effect == NARROWER else LESS

    return judge


def bound(*, is_least: bool) -> Judge:
    """A limit: of the least that may occur, or of the most."""

    def judge(step: Step) -> Verdict | None:
        before, after = step.values
        if equal(before, after):
            return None
        if before is None or after is None:
            return (NARROWER, MORE) if before is None else (WIDER, LESS)
        if is_number(before) and is_number(after):
            if before == after:
                return None
            return (NARROWER, MORE) if (after > before) is is_least else (WIDER, LESS)
        days = day_of(before), day_of(after)
        if days[0] and days[1] and len(str(before)) == len(str(after)) == len("2024-12-31"):
            return (NARROWER, MORE) if (days[1] > days[0]) is is_least else (WIDER, LESS)
        return BOTH, "The two limits cannot be compared."

    return judge


def expected(*, is_least: bool) -> Judge:
    """A limit of what runs expect of their input: no promise to readers."""
    limit = bound(is_least=is_least)

    def judge(step: Step) -> Verdict | None:
        verdict = limit(step)
        return (verdict[0] & NARROWER, verdict[1]) if verdict else None

    return judge


def constraint(step: Step) -> Verdict | None:
    """A condition that is compared as a whole."""
    before, after = step.values
    if equal(before, after):
        return None
    if before is None or after is None:
        return (NARROWER, MORE) if before is None else (WIDER, LESS)
    return BOTH, "Other values are allowed than before."


def multiple(step: Step) -> Verdict | None:
    """Of the number that values are a multiple of."""
    before, after = step.values
    if is_number(before) and is_number(after) and before and after:
        if before == after:
            return None
        if after % before == 0:
            return NARROWER, MORE
        if before % after == 0:
            return WIDER, LESS
    return constraint(step)


def between(*, is_inside: bool) -> Judge:
    """Of a range of two numbers that a measured value has to be inside or outside of."""

    def judge(step: Step) -> Verdict | None:
        before, after = step.values
        if before is None or after is None:
            return BOTH, "A value is compared in another way."
        if not all(
            isinstance(one, list) and len(one) == 2 and all(map(is_number, one)) for one in (before, after)
        ):
            return unknown_key(step)
        if before == after:
            return None
        if after[0] >= before[0] and after[1] <= before[1]:
            return (NARROWER, MORE) if is_inside else (WIDER, LESS)
        if after[0] <= before[0] and after[1] >= before[1]:
            return (WIDER, LESS) if is_inside else (NARROWER, MORE)
        return BOTH, "Other values are allowed than before."

    return judge


def is_number(value: object) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(one: object, two: object) -> bool:
    """Whether two values are the same in JSON: true is not 1."""
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(two, sort_keys=True, default=str)
