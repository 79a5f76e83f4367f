"""How two versions of a contract differ, and what each difference means for those who are bound by it.

The plain values of two documents are walked side by side; ``change_rules`` says what a difference of a key means, and which items of two lists are the same one.
A difference that no rule speaks of breaks consumers and producers: nothing is passed over because nobody thought of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from slipway.contracts.change_rules import RULES
from slipway.contracts.change_terms import (
    BOTH,
    NOBODY,
    Custom,
    Effect,
    Items,
    Judge,
    Part,
    Step,
    Terms,
    Values,
    unknown_key,
)
from slipway.contracts.problems import words
from slipway.counts import plural

_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")

Document = Mapping[str, Any]
"""A contract in plain values, as YAML gives them."""


class How(StrEnum):
    """What happened to a part of a contract."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class Change:
    """One difference.

    Args:
        place: in words, such as ``schema.orders.properties.price.required``.
        how: what happened to it.
        before: what it was; None where it was not there.
        after: what it is; None where it is not there any more.
        breaks: who is affected; nobody where the change is compatible.
        why: a sentence.
        too_early: why it may not be done yet, in a sentence; empty where it may.
    """

    place: str
    how: How
    before: Any
    after: Any
    breaks: Effect
    why: str
    too_early: str = ""


@dataclass(frozen=True)
class ContractDiff:
    """Two versions of one contract.

    Args:
        id: of the contract.
        origin: name of the file.
        is_feed: whether it describes landed files, so that producers are bound by it, too.
        base: the earlier version's number; None where there was no such contract.
        head: the later one's; None where it is gone.
        changes: in the order of the document; the number of the version is none of them.
    """

    id: str
    origin: str
    is_feed: bool
    base: str | None
    head: str | None
    changes: Sequence[Change]

    @property
    def breaks(self) -> Effect:
        """Who is affected by any of the changes."""
        return frozenset().union(*(change.breaks for change in self.changes))

    @property
    def failures(self) -> Sequence[str]:
        """Why the change is not in order, and what to do: a sentence each."""
        return [*(change.too_early for change in self.changes if change.too_early), *self._of_version()]

    @property
    def warnings(self) -> Sequence[str]:
        """What should be better and keeps nobody from going on."""
        if self.changes and not self.breaks and self.base == self.head:
            patch = _following(self.base, 1)
            return [f"{self.id} has changed and is still version {self.base}. Write `version: {patch}`."]
        return []

    def _of_version(self) -> Iterator[str]:
        if self.base is None:
            return
        if self.head is None:
            if not any(change.too_early for change in self.changes) and self.breaks:
                yield (
                    f"The contract {self.id} is removed without notice. Keep it with `status: deprecated` and an `endOfLife`"
                    " in slaProperties, and remove it after that date."
                )
            return
        base, head = _number(self.base), _number(self.head)
        if base and head and head < base:
            yield f"The version of {self.id} goes back from {self.base} to {self.head}. Write a later one."
        elif self.breaks and not (base and head and _is_new_series(base, head)):
            count = sum(bool(change.breaks) for change in self.changes)
            number = "versions have to be three numbers, such as 2.0.0" if not (base and head) else ""
            yield (
                f"{self.id} has {plural(count, 'breaking change')} from version {self.base} to {self.head}"
                f"{': ' + number if number else ''}. Write `version: {_following(self.base, 0)}`, or undo what breaks"
                " and announce it first (`deprecated: true`)."
            )


def compare(base: Document, head: Document, today: date, origin: str = "") -> ContractDiff:
    """How two versions of one contract differ.

    Args:
        base: the earlier version.
        head: the later version.
        today: decides whether what was promised until a date may go.
        origin: name of the file.
    """
    terms = Terms(base, head, today)
    changes = [
        change
        for change in _Walk(terms).of(Part("contract"), Step(base, head, base, head, "", terms), ())
        if change.place != "version"
    ]
    return ContractDiff(
        _text(head, "id"), origin, terms.is_feed, _text(base, "version"), _text(head, "version"), changes
    )


def compare_all(
    base: Mapping[str, Document], head: Mapping[str, Document], today: date
) -> list[ContractDiff]:
    """How the contracts of two folders differ, those that are equal left out.

    Args:
        base: the earlier documents by name of their files.
        head: the later ones. Contracts are matched by their ids; one document on either side is one contract.
        today: as for ``compare``.
    """
    earlier = {_text(one, "id"): (name, one) for name, one in base.items()}
    later = {_text(one, "id"): (name, one) for name, one in head.items()}
    if len(earlier) == len(later) == 1 and set(base) == set(head):
        ((name, after),) = later.values()
        ((_, before),) = earlier.values()
        pairs = [(name, before, after)]
    else:
        pairs = [
            (later[one][0], earlier[one][1], later[one][1]) for one in sorted(earlier.keys() & later.keys())
        ]
    paired = {_text(document, "id") for _, *both in pairs for document in both}
    found = [compare(before, after, today, name) for name, before, after in pairs]
    found += [_gone(*earlier[one], today) for one in earlier if one not in paired]
    found += [_new(*later[one]) for one in later if one not in paired]
    return sorted(
        (one for one in found if one.changes or one.base != one.head), key=lambda one: (one.id, one.origin)
    )


def _gone(origin: str, base: Document, today: date) -> ContractDiff:
    terms = Terms(base, {}, today)
    end = terms.end_of("")
    over = base.get("status") == "retired" or (end is not None and end <= today)
    early = (
        f"The contract {_text(base, 'id')} is promised until {end}. Keep it until then."
        if end is not None and not over
        else ""
    )
    breaks = NOBODY if over else terms.bound(BOTH)
    why = "Its end was announced and has come." if over else "What was promised is not promised any more."
    change = Change("", How.REMOVED, None, None, breaks, why, early)
    return ContractDiff(_text(base, "id"), origin, terms.is_feed, _text(base, "version"), None, [change])


def _new(origin: str, head: Document) -> ContractDiff:
    change = Change("", How.ADDED, None, None, NOBODY, "A contract that nobody relied on yet.")
    is_feed = Terms({}, head, date.max).is_feed
    return ContractDiff(_text(head, "id"), origin, is_feed, None, _text(head, "version"), [change])


class _Walk:
    """Finds what differs, from the top down; each difference is reported at one place."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def of(self, rule: Any, step: Step, path: tuple[Hashable, ...]) -> Iterator[Change]:  # noqa: ANN401 - any rule
        """Changes of a value, at least one where it differs at all."""
        if _same(step.before, step.after):
            return
        found = list(self._inside(rule, step, path))
        yield from found or [self._said(step, path, NOBODY, "It means what it meant before.")]

    def _inside(self, rule: Any, step: Step, path: tuple[Hashable, ...]) -> Iterator[Change]:  # noqa: ANN401
        before, after = step.before, step.after
        if isinstance(rule, Items | Values) and rule.is_whole and (before is None or after is None):
            rule = rule.is_whole
        if isinstance(rule, Part) and _are(dict, before, after):
            yield from self._mapping(rule, before or {}, after or {}, path)
        elif isinstance(rule, Items) and _are(list, before, after):
            yield from self._items(rule, step, path)
        elif isinstance(rule, Custom) and _are(list, before, after):
            yield from self._custom(rule, step, path)
        elif isinstance(rule, Values) and _are(list, before, after):
            yield from self._values(rule, step, path)
        else:
            judge: Judge = rule if callable(rule) else unknown_key
            verdict = judge(step)
            if verdict is not None:
                yield self._said(step, path, *verdict)

    def _mapping(
        self, rule: Part, before: Document, after: Document, path: tuple[Hashable, ...]
    ) -> Iterator[Change]:
        rules, defaults = RULES[rule.name].keys, RULES[rule.name].defaults
        merged = RULES[rule.name].together
        matched: set[str] = set()
        for key in dict.fromkeys([*before, *after]):
            if key in matched:
                continue
            if key in merged:
                matched.update(merged)
                one = {name: before[name] for name in merged if name in before}
                two = {name: after[name] for name in merged if name in after}
                step = Step(one or None, two or None, before, after, merged[0], self._terms)
            else:
                step = Step(
                    before.get(key), after.get(key), before, after, key, self._terms, defaults.get(key)
                )
                if step.before is None and step.after is None and (key in before) != (key in after):
                    yield self._said(step, (*path, key), NOBODY, "It means what it meant before.")
                    continue
            yield from self.of(rules.get(step.key, unknown_key), step, (*path, step.key))

    def _items(self, rule: Items, step: Step, path: tuple[Hashable, ...]) -> Iterator[Change]:
        before, after = list(step.before or []), list(step.after or [])
        if not all(isinstance(one, dict) for one in (*before, *after)):
            yield self._said(step, path, *unknown_key(step))
            return
        pairs = _paired(before, after, rule)
        for first, second in pairs:
            one = None if first is None else before[first]
            two = None if second is None else after[second]
            inside = replace(step, before=one, after=two)
            here = (*path, _label(rule, two if one is None else one))
            if one is not None and two is not None:
                for change in self.of(rule.part, inside, here):
                    is_name = change.breaks and change.place == ".".join((*map(str, here), "name"))
                    yield replace(change, too_early=self._too_early(rule, here)) if is_name else change
            elif verdict := rule.item(inside):
                change = self._said(inside, here, *verdict)
                yield replace(change, too_early=self._too_early(rule, here)) if two is None else change
        kept = [second for first, second in pairs if first is not None and second is not None]
        if rule.order and kept != sorted(kept):
            order = [[_label(rule, after[at]) for at in places] for places in (kept, sorted(kept))]
            moved = replace(step, before=order[0], after=order[1])
            if verdict := rule.order(moved):
                yield self._said(moved, path, *verdict)

    def _too_early(self, rule: Items, path: tuple[Hashable, ...]) -> str:
        if not rule.has_end:
            return ""
        element = ".".join(_names(path))
        end = self._terms.end_of(element)
        if end is None or end <= self._terms.today:
            return ""
        return f"{element} is promised until {end}. Keep it until then, or as `deprecated: true`."

    def _custom(self, rule: Custom, step: Step, path: tuple[Hashable, ...]) -> Iterator[Change]:
        before, after = list(step.before or []), list(step.after or [])
        if not all(isinstance(one, dict) for one in (*before, *after)):
            yield self._said(step, path, *unknown_key(step))
            return
        known = RULES[rule.name]
        for first, second in _paired(before, after, rule):
            one = None if first is None else before[first]
            two = None if second is None else after[second]
            item = two if one is None else one
            assert item is not None
            name = str(item.get("property"))
            here = (*path, name)
            is_own = item.get("vendor", "slipway") == "slipway" and (
                two is None or two.get("vendor", "slipway") == "slipway"
            )
            value = Step(
                None if one is None else one.get("value"),
                None if two is None else two.get("value"),
                step.owner_before,
                step.owner_after,
                name,
                self._terms,
                known.defaults.get(name),
            )
            judge = known.keys.get(name, unknown_key) if is_own else unknown_key
            if one is None or two is None:
                found = list(self._inside(judge, value, here))
                yield from found or [self._said(value, here, NOBODY, "It means what it meant before.")]
                continue
            if _same(one.get("vendor"), two.get("vendor")) or is_own:
                yield from self.of(judge, value, here)
            else:
                whole = replace(value, before=one, after=two)
                yield self._said(whole, here, *unknown_key(whole))
            rest = [{key: item for key, item in both.items() if key != "value"} for both in (one, two)]
            if is_own or _same(one.get("vendor"), two.get("vendor")):
                inside = replace(step, before=rest[0], after=rest[1])
                yield from self.of(Part("custom property"), inside, here)

    def _values(self, rule: Values, step: Step, path: tuple[Hashable, ...]) -> Iterator[Change]:
        before, after = list(step.before or []), list(step.after or [])
        for values, others, side in ((before, after, "before"), (after, before, "after")):
            known = {_text_of(one) for one in others}
            for value in values:
                if _text_of(value) not in known:
                    known.add(_text_of(value))
                    one = replace(
                        step,
                        before=value if side == "before" else None,
                        after=value if side == "after" else None,
                    )
                    verdict = rule.removed if side == "before" else rule.added
                    yield self._said(one, (*path, str(value)), *verdict)

    def _said(self, step: Step, path: tuple[Hashable, ...], breaks: Effect, why: str) -> Change:
        how = How.ADDED if step.before is None else How.REMOVED if step.after is None else How.CHANGED
        bound = self._terms.bound(breaks)
        if breaks and not bound:
            why = "The project makes this data itself, and readers get no less than before."
        return Change(".".join(map(str, path)), how, step.before, step.after, bound, why)


def _paired(
    before: Sequence[Document], after: Sequence[Document], rule: Items | Custom
) -> list[tuple[int | None, int | None]]:
    """Positions in two lists of items that are versions of one, in the order of the first list; then those that are new.

    The standard's ``id`` decides where both have one, so that what is renamed stays the same; then the label. Of several with one label those
    that are equal belong together, and the others in their order.
    """
    partner: dict[int, int] = {}
    taken: set[int] = set()

    def join(fits: Any) -> None:  # noqa: ANN401 - a condition over two items
        for index, one in enumerate(before):
            if index in partner:
                continue
            found = next((at for at, two in enumerate(after) if at not in taken and fits(one, two)), None)
            if found is not None:
                partner[index] = found
                taken.add(found)

    join(lambda one, two: one.get("id") is not None and _same(one["id"], two.get("id")))
    join(_same)
    join(lambda one, two: _text_of(rule.label(one)).casefold() == _text_of(rule.label(two)).casefold())
    pairs: list[tuple[int | None, int | None]] = [(index, partner.get(index)) for index in range(len(before))]
    return pairs + [(None, at) for at in range(len(after)) if at not in taken]


def _names(path: Sequence[Hashable]) -> Iterator[str]:
    """Names of an object and of properties in it, from a path such as ``schema, orders, properties, price``."""
    parts = iter(path)
    for part in parts:
        if part in ("schema", "properties"):
            yield str(next(parts))


def _label(rule: Items, item: Document | None) -> str:
    assert item is not None
    named = words((0,), [item])
    if named != "1":
        return named
    label = rule.label(item)
    return label if isinstance(label, str) else json.dumps(label)


def _text_of(value: Any) -> str:  # noqa: ANN401 - YAML
    """Equal for values that are the same: true is not 1."""
    return json.dumps(value, sort_keys=True)


def _same(one: Any, two: Any) -> bool:  # noqa: ANN401 - YAML
    return _text_of(one) == _text_of(two)


def _are(kind: type, *values: Any) -> bool:  # noqa: ANN401 - YAML
    return all(value is None or isinstance(value, kind) for value in values)


def _text(document: Document, key: str) -> str:
    return str(document.get(key) or "")


def _number(version: str | None) -> tuple[int, int, int, bool, str] | None:
    found = _VERSION.fullmatch(version or "")
    if found is None:
        return None
    major, minor, patch, before = found.groups()
    return int(major), int(minor or 0), int(patch or 0), before is None, before or ""


def _is_new_series(base: tuple[int, ...] | Any, head: tuple[int, ...] | Any) -> bool:  # noqa: ANN401
    """Whether a version may break what an earlier one promised (Semantic Versioning 2.0.0, items 4, 8 and 9)."""
    is_preview = not base[3]
    return bool(head[0] > base[0] or (base[0] == 0 and head[:2] > base[:2]) or (is_preview and head > base))


def _following(version: str | None, part: int) -> str:
    """The next version: of a new series for 0, else of the same one."""
    found = _number(version)
    if found is None:
        return "1.0.0"
    major, minor, patch = found[:3]
    if part == 0:
        return f"{major + 1}.0.0" if major else f"0.{minor + 1}.0"
    return f"{major}.{minor + 1}.0" if major else f"0.{minor}.{patch + 1}"
