"""What a rule about a change of a contract is given, and what it says: whom the change breaks, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from slipway.contracts.durations import day_of
from slipway.contracts.model import (
    LANDING,
)


class Side(StrEnum):
    """Who is bound by a contract."""

    CONSUMERS = "consumers"
    PRODUCERS = "producers"


Effect = frozenset[Side]
"""Whom a change breaks."""
NOBODY: Effect = frozenset()
NARROWER: Effect = frozenset({Side.PRODUCERS})
WIDER: Effect = frozenset({Side.CONSUMERS})
BOTH: Effect = NARROWER | WIDER
Verdict = tuple[Effect, str]


@dataclass(frozen=True)
class Terms:
    """What the two versions say as a whole.

    Args:
        before: the earlier document; empty where there was none.
        after: the later document; empty where it is gone.
        today: decides whether what was promised until a date may go.
    """

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    today: date

    @property
    def is_feed(self) -> bool:
        """Whether either version describes landed files."""
        return any(_landing(one) is not None for one in (self.before, self.after))

    @property
    def header(self) -> object:
        """How the header of files is read in the later version."""
        return custom_property(_landing(self.after) or {}, "header", "exact")

    def bound(self, effect: Effect) -> Effect:
        """Of those that a change breaks the ones that there are: the project itself makes the data of a product."""
        return effect if self.is_feed else effect & WIDER

    def end_of(self, element: str) -> date | None:
        """Until when the earlier version promises an element or a part of it; empty for the whole contract.

        That is the latest ``endOfLife`` of ``slaProperties``, without one the latest ``endOfSupport``. What is no date is never over.
        """
        for name in ("endOfLife", "endOfSupport"):
            found = [
                one.get("value")
                for one in mappings(self.before.get("slaProperties"))
                if one.get("property") == name
                and any(
                    part.casefold() == element.casefold()
                    or (element and part.casefold().startswith(f"{element}.".casefold()))
                    for part in _elements(one.get("element"))
                )
            ]
            if found:
                return max(day_of(value) or date.max for value in found)
        return None

    def is_deprecated(self, elements: object) -> bool:
        """Whether the later version has an element and calls it, or what it is a part of, deprecated."""
        for element in _elements(elements):
            if not element:
                if self.after.get("status") in ("deprecated", "retired"):
                    return True
                continue
            names = element.casefold().split(".")
            inside: Any = self.after.get("schema")
            for name in names:
                item = next(
                    (one for one in mappings(inside) if str(one.get("name")).casefold() == name), None
                )
                if item is None:
                    break
                if item.get("deprecated"):
                    return True
                inside = item.get("properties")
        return False


@dataclass(frozen=True)
class Step:
    """A value that differs.

    Args:
        before: the earlier value; None where there is none.
        after: the later value; None where there is none.
        owner_before: the mapping that has the earlier value.
        owner_after: the mapping that has the later value.
        key: under which they are.
        terms: what the versions say as a whole.
        default: what counts where there is no value.
    """

    before: Any
    after: Any
    owner_before: Any
    owner_after: Any
    key: str
    terms: Terms
    default: Any = None

    @property
    def values(self) -> tuple[Any, Any]:
        """Both values, the default where there is none."""
        return (
            self.default if self.before is None else self.before,
            self.default if self.after is None else self.after,
        )


Judge = Callable[[Step], Verdict | None]
"""Says what a difference means; None where both values mean the same."""


@dataclass(frozen=True)
class Part:
    """A mapping with rules of its own: a key of ``RULES``."""

    name: str


@dataclass(frozen=True)
class Items:
    """A list of mappings.

    Args:
        label: tells them apart.
        part: rules of an item that both versions have.
        item: what it means that an item came or went.
        order: what another order means; None where it means nothing.
        has_end: whether an item may be promised until a date.
        is_whole: what it means that the list itself came or went; None where a missing list is an empty one.
    """

    label: Callable[[Mapping[str, Any]], Any]
    part: Part
    item: Judge
    order: Judge | None = None
    has_end: bool = False
    is_whole: Judge | None = None


@dataclass(frozen=True)
class Custom:
    """Custom properties with the rules of a key of ``RULES``; those of another vendor have none."""

    name: str

    @staticmethod
    def label(item: Mapping[str, Any]) -> object:
        """The name of one, and whose it is."""
        return [item.get("vendor", "slipway"), item.get("property")]


@dataclass(frozen=True)
class Values:
    """A list of single values of which the order means nothing.

    Args:
        added: what a new value means.
        removed: what it means that one is gone.
        is_whole: what it means that the list itself came or went; None where a missing list is an empty one.
    """

    added: Verdict
    removed: Verdict
    is_whole: Judge | None = None


Rule = Judge | Part | Items | Custom | Values


@dataclass(frozen=True)
class Keys:
    """Rules of a mapping.

    Args:
        keys: by key.
        defaults: what counts where a key is missing.
        together: keys that are one value, the first of which has the rule.
    """

    keys: Mapping[str, Rule]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    together: Sequence[str] = ()


def unknown_key(_: Step) -> Verdict:
    """What a difference means of which nothing is known."""
    return BOTH, "No rule says what this key means, so it counts as breaking."


def custom_property(part: Mapping[str, Any], name: str, default: object) -> object:
    """The value of a custom property of Slipway's in a part of a contract."""
    for item in mappings(part.get("customProperties")):
        if item.get("property") == name and item.get("vendor", "slipway") == "slipway":
            value = item.get("value")
            return default if value is None else value
    return default


def _landing(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((one for one in mappings(document.get("servers")) if one.get("server") == LANDING), None)


def mappings(value: object) -> list[dict[str, Any]]:
    """The mappings in a list; none where the value is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _elements(element: object) -> list[str]:
    return [one.strip() for one in str(element or "").split(",")]
