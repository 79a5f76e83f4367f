"""What a difference of each key of a contract means: who is bound by it, and whether it asks more of them or gives less.

A contract says which data may occur. When less may occur than before, whoever writes the data is bound to more; when more may occur, whoever reads it has
less to rely on; when other data may occur, both are affected. So each rule says ``NARROWER``, ``WIDER`` or ``BOTH``, and the side that suffers follows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from slipway.contracts.model import (
    LANDING,
    SLA_PROPERTIES,
    ColumnSettings,
    ContractSettings,
    FileSettings,
    Operator,
    SchemaContract,
)
from slipway.contracts.products import logical_type, plain_type
from slipway.contracts.typed_contract import DATES, day_of, length_of_time


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
        return _custom(_landing(self.after) or {}, "header", "exact")

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
                for one in _mappings(self.before.get("slaProperties"))
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
                    (one for one in _mappings(inside) if str(one.get("name")).casefold() == name), None
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


def _always(effect: Effect, why: str) -> Judge:
    def judge(step: Step) -> Verdict | None:
        before, after = step.values
        return None if _equal(before, after) else (effect, why)

    return judge


_MORE = "More is asked than before."
_LESS = "Less is promised than before."
_free = _always(NOBODY, "It is for people and other programs, and no promise about data.")
_layout = _always(NOBODY, "It is about how data is stored, not what it says.")
_other = _always(BOTH, "The data means something else than before.")
_reading = _always(NARROWER, "Files have to be written in another way.")
_retention = _always(NOBODY, "It is about refused rows, and raw keeps them all.")
_place = _always(WIDER, "Readers find the data elsewhere, or not at all.")


def _added_or_removed(added: Verdict, removed: Verdict) -> Judge:
    return lambda step: added if step.before is None else removed


def _flag(when_set: Effect, when_not: Effect) -> Judge:
    def judge(step: Step) -> Verdict | None:
        before, after = map(bool, step.values)
        if before is after:
            return None
        effect = when_set if after else when_not
        return effect, _MORE if effect == NARROWER else _LESS

    return judge


def _bound(*, is_least: bool) -> Judge:
    """A limit: of the least that may occur, or of the most."""

    def judge(step: Step) -> Verdict | None:
        before, after = step.values
        if _equal(before, after):
            return None
        if before is None or after is None:
            return (NARROWER, _MORE) if before is None else (WIDER, _LESS)
        if _is_number(before) and _is_number(after):
            if before == after:
                return None
            return (NARROWER, _MORE) if (after > before) is is_least else (WIDER, _LESS)
        days = day_of(before), day_of(after)
        if days[0] and days[1] and len(str(before)) == len(str(after)) == len("2024-12-31"):
            return (NARROWER, _MORE) if (days[1] > days[0]) is is_least else (WIDER, _LESS)
        return BOTH, "The two limits cannot be compared."

    return judge


def _expected(*, is_least: bool) -> Judge:
    """A limit of what runs expect of their input: no promise to readers."""
    limit = _bound(is_least=is_least)

    def judge(step: Step) -> Verdict | None:
        verdict = limit(step)
        return (verdict[0] & NARROWER, verdict[1]) if verdict else None

    return judge


def _constraint(step: Step) -> Verdict | None:
    """A condition that is compared as a whole."""
    before, after = step.values
    if _equal(before, after):
        return None
    if before is None or after is None:
        return (NARROWER, _MORE) if before is None else (WIDER, _LESS)
    return BOTH, "Other values are allowed than before."


def _multiple(step: Step) -> Verdict | None:
    before, after = step.values
    if _is_number(before) and _is_number(after) and before and after:
        if before == after:
            return None
        if after % before == 0:
            return NARROWER, _MORE
        if before % after == 0:
            return WIDER, _LESS
    return _constraint(step)


def _between(*, is_inside: bool) -> Judge:
    def judge(step: Step) -> Verdict | None:
        before, after = step.values
        if before is None or after is None:
            return BOTH, "A value is compared in another way."
        if not all(
            isinstance(one, list) and len(one) == 2 and all(map(_is_number, one)) for one in (before, after)
        ):
            return unknown_key(step)
        if before == after:
            return None
        if after[0] >= before[0] and after[1] <= before[1]:
            return (NARROWER, _MORE) if is_inside else (WIDER, _LESS)
        if after[0] <= before[0] and after[1] >= before[1]:
            return (WIDER, _LESS) if is_inside else (NARROWER, _MORE)
        return BOTH, "Other values are allowed than before."

    return judge


def _data_type(step: Step) -> Verdict | None:
    before, after = step.values
    texts = isinstance(before, str) and isinstance(after, str)
    if before == after or (texts and plain_type(before) == plain_type(after)):
        return None
    if not step.terms.is_feed and (before is None or after is None):
        return (NARROWER, "The type is promised, too.") if before is None else (WIDER, _LESS)
    return BOTH, "Values have another type."


def _logical_type(step: Step) -> Verdict | None:
    kinds = [
        one or ("string" if step.terms.is_feed else logical_type(str(owner.get("physicalType") or "")))
        for one, owner in ((step.before, step.owner_before), (step.after, step.owner_after))
    ]
    return None if kinds[0] == kinds[1] else _data_type(step)


def _name(step: Step) -> Verdict | None:
    if _equal(step.before, step.after):
        return None
    header = [_header(one) for one in (step.owner_before, step.owner_after)]
    if not step.terms.is_feed:
        return (
            (WIDER, "Readers find it under another name.")
            if header[0] != header[1]
            else (
                NOBODY,
                "Its name in the table stays.",
            )
        )
    if header[0] == header[1]:
        return WIDER, "Models find it under another name."
    return BOTH, "Files and readers have to use another name."


def _physical_name(step: Step) -> Verdict | None:
    names = [_header(one) for one in (step.owner_before, step.owner_after)]
    return None if names[0] == names[1] else (BOTH, "Files and tables have to use another name.")


def _table_name(step: Step) -> Verdict | None:
    names = [_header(one) for one in (step.owner_before, step.owner_after)]
    if names[0] != names[1]:
        return WIDER, "Readers find the table under another name."
    return None if step.key == "physicalName" else (NOBODY, "The name of the table stays.")


def _column_item(step: Step) -> Verdict:
    if step.before is None:
        if step.terms.is_feed and not _may_lack(step.after):
            return NARROWER, "Every file has to have it; it may be missing with `optional` or `since`."
        return NOBODY, "What was there stays as it was."
    if step.terms.is_feed:
        return BOTH, "Readers lose it, and files that still have it are set aside."
    return WIDER, "Readers lose it."


def _order(step: Step) -> Verdict:
    if step.terms.is_feed and step.terms.header != "names":
        return NARROWER, "Files have to have their columns in this order."
    return NOBODY, "Columns are found by their names."


def _optional(step: Step) -> Verdict | None:
    before, after = (_may_lack(one) for one in (step.owner_before, step.owner_after))
    if before is after:
        return None if step.key == "optional" else (NOBODY, "The column may be missing as before.")
    if after:
        return WIDER, "It may be missing in files, and is NULL then."
    return NARROWER, "Every file has to have it."


SECRECY = {"public": 0, "internal": 1, "confidential": 2, "restricted": 3}
"""The usual classifications, each stricter than those before."""


def _classification(step: Step) -> Verdict | None:
    before, after = step.values
    if _equal(before, after):
        return None
    ranks = [SECRECY.get(str(one).lower()) for one in (before, after)]
    if ranks[0] is not None and ranks[1] is not None:
        if ranks[0] < ranks[1]:
            return WIDER, "Readers may need another permission."
        if ranks[0] > ranks[1]:
            return NARROWER, "The data of producers is protected less."
        return None
    return BOTH, "Others may read the data than before."


def _status(step: Step) -> Verdict | None:
    before, after = step.before, step.after
    if before == after:
        return None
    if after == "deprecated" and before in ("active", None):
        return NOBODY, "An end is announced; what is promised stays until then."
    if (
        after == "active"
        or (before, after) == ("proposed", "draft")
        or (before, after) == ("draft", "proposed")
    ):
        return NOBODY, "More is promised than before."
    if before in ("proposed", "draft") and after == "deprecated":
        return NOBODY, "Nothing was promised yet."
    if (before, after) == ("deprecated", "retired"):
        end = step.terms.end_of("")
        if end is not None and end <= step.terms.today:
            return NOBODY, "Its end was announced and has come."
    return WIDER, "What was promised is promised no more."


_SHORTER_IS_MORE = (
    "frequency",
    "latency",
    "freshness",
    "errorRate",
    "timeToDetect",
    "timeToNotify",
    "timeToRepair",
)
_MORE_IS_MORE = ("retention", "availability", "throughput")
_ENDS = ("endOfSupport", "endOfLife")


def _level_item(step: Step) -> Verdict:
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
    return (NARROWER, _MORE) if step.before is None else (WIDER, _LESS)


def _level(step: Step) -> Verdict | None:
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
    return (NARROWER, _MORE) if is_more else (WIDER, _LESS)


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


def _quality_item(step: Step) -> Verdict:
    item = step.after if step.before is None else step.before
    if str(item.get("severity", "error")).lower() != "error":
        if step.before is None:
            return NOBODY, "It warns, and keeps nothing from being published."
        return NOBODY, "It only warned."
    return (NARROWER, _MORE) if step.before is None else (WIDER, _LESS)


def _severity(step: Step) -> Verdict | None:
    before, after = (str(one).lower() == "error" for one in step.values)
    if before is after:
        return None if before else (NOBODY, "It warns as before.")
    return (NARROWER, _MORE) if after else (WIDER, _LESS)


def _description_of_rule(step: Step) -> Verdict | None:
    if any(
        isinstance(one, dict) and one.get("type") == "text" for one in (step.owner_before, step.owner_after)
    ):
        return BOTH, "The rule in words says something else."
    return _free(step)


def _header_mode(step: Step) -> Verdict | None:
    before, after = (
        {True: "exact", False: "none"}.get(one, one) if isinstance(one, bool) else one for one in step.values
    )
    if before == after:
        return None
    if (before, after) == ("exact", "names"):
        return NOBODY, "Files that were accepted still are."
    return NARROWER, "Files have to have another header."


def _rejected(step: Step) -> Verdict | None:
    before, after = step.values
    if before == after:
        return None
    if after == "warn":
        return WIDER, "Tables are published without the rows of files that are set aside."
    return NOBODY, "Runs stop sooner."


_STRICTNESS = {"evolve": 0, "discard_value": 0, "discard_row": 1, "freeze": 2}


def _evolution(step: Step) -> Verdict | None:
    """What is done with what the contract does not say: less of it arrives, or more."""
    before, after = (str(value) for value in step.values)
    if before == after:
        return None
    if _STRICTNESS.get(after, 2) > _STRICTNESS.get(before, 2):
        return NARROWER, "Data that is not as the contract says is refused sooner."
    if step.key == "data_type" and after == "discard_value":
        return WIDER, "Values that are not of their type are NULL, and their rows arrive."
    return NOBODY, "Data that is not as the contract says is kept sooner."


def _largest(step: Step) -> Verdict | None:
    before, after = step.values
    if _is_number(before) and _is_number(after):
        if before == after:
            return None
        return (NARROWER, _MORE) if after < before else (NOBODY, "Files that were accepted still are.")
    return unknown_key(step)


def _server_item(step: Step) -> Verdict:
    item = step.after if step.before is None else step.before
    if item.get("server") == LANDING:
        return (
            BOTH,
            "The contract becomes one of landed files."
            if step.before is None
            else "Files are landed no more.",
        )
    return (
        (NOBODY, "Readers have one place more.") if step.before is None else (WIDER, "Readers lose a place.")
    )


def _landing_or_place(step: Step) -> Verdict | None:
    if _equal(*step.values):
        return None
    if any(
        isinstance(one, dict) and one.get("server") == LANDING
        for one in (step.owner_before, step.owner_after)
    ):
        return NARROWER, "Files have to be written elsewhere or in another way."
    return _place(step)


def _price(step: Step) -> Verdict | None:
    before, after = step.values
    if _is_number(before) and _is_number(after):
        if before == after:
            return None
        if after < before:
            return NOBODY, "Readers pay less."
    return WIDER, "Readers pay in another way."


def _by(*keys: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda item: [item.get(key) for key in keys] if len(keys) > 1 else item.get(keys[0])


def _by_rule(item: Mapping[str, Any]) -> object:
    return item.get("id") or item.get("name") or [item.get("type"), item.get("metric"), item.get("query")]


def _defaults(kind: type[FileSettings | ColumnSettings | ContractSettings]) -> dict[str, Any]:
    found = {str(one.alias): one.default for one in kind.model_fields.values() if one.default is not None}
    return {name: _in_yaml(one) for name, one in found.items()}


def _in_yaml(default: Any) -> Any:  # noqa: ANN401 - of YAML
    if isinstance(default, SchemaContract):
        return default.model_dump(mode="json", by_alias=True)
    return list(default) if isinstance(default, tuple) else default


_COMES_AND_GOES = _added_or_removed(
    (NOBODY, "It is for people and other programs."), (NOBODY, "It was for people and other programs.")
)
_QUALITY = Items(_by_rule, Part("rule"), _quality_item)
_RELATIONSHIPS = Items(
    _by("from", "to"), Part("relationship"), _added_or_removed((NARROWER, _MORE), (WIDER, _LESS))
)
_ROLES = Items(
    _by("role"),
    Part("role"),
    _added_or_removed(
        (NOBODY, "More may read the data."), (WIDER, "Who had this role may not read the data any more.")
    ),
)
_COLUMNS = Items(_by("name"), Part("column"), _column_item, _order, has_end=True)
_ALLOWED = Items(
    _by("value"),
    Part("allowed value"),
    _added_or_removed((WIDER, "Another value may occur."), (NARROWER, _MORE)),
    is_whole=_constraint,
)
_CONSTRAINED: Mapping[str, Rule] = {
    "minLength": _bound(is_least=True),
    "maxLength": _bound(is_least=False),
    "minimum": _bound(is_least=True),
    "maximum": _bound(is_least=False),
    "exclusiveMinimum": _bound(is_least=True),
    "exclusiveMaximum": _bound(is_least=False),
    "minItems": _bound(is_least=True),
    "maxItems": _bound(is_least=False),
    "minProperties": _bound(is_least=True),
    "maxProperties": _bound(is_least=False),
    "uniqueItems": _flag(NARROWER, WIDER),
    "pattern": _constraint,
    "multipleOf": _multiple,
    "required": Values((NARROWER, _MORE), (WIDER, _LESS)),
    **dict.fromkeys(
        ("format", "timezone", "defaultTimezone", "dimensions", "elementType", "normalized"), _other
    ),
    **dict.fromkeys(("embeddingModel", "embeddingModelVersion", "distanceMetric"), _other),
}
_OF_PEOPLE: Mapping[str, Rule] = {
    "id": _free,
    "description": _free,
    "tags": _free,
    "authoritativeDefinitions": _free,
    "businessName": _free,
    "synonyms": _free,
    "deprecated": _free,
    "context": _free,
}

_PLACES = (
    "type", "environment", "path", "format", "encoding", "delimiter", "location", "endpointUrl", "catalog", "catalogUrl",
    "namespace", "host", "port", "database", "schema", "account", "project", "dataset", "warehouse", "region",
    "regionName", "stagingDir", "serviceName", "bucket", "url", "stream", "workgroup",
)  # fmt: skip
"""Keys of the standard's servers that say where data is, and how files look."""

RULES: Mapping[str, Keys] = {
    "contract": Keys(
        {
            **dict.fromkeys(
                ("name", "tenant", "tags", "dataProduct", "description", "domain", "context"), _free
            ),
            **dict.fromkeys(("authoritativeDefinitions", "contractCreatedTs", "support", "team"), _free),
            "version": _free,
            "apiVersion": _always(NOBODY, "It is the form of the contract, and no promise about data."),
            "id": _always(BOTH, "It is another contract."),
            "kind": unknown_key,
            "status": _status,
            "servers": Items(_by("server"), Part("server"), _server_item),
            "schema": Items(
                _by("name"),
                Part("table"),
                _added_or_removed(
                    (NOBODY, "What was there stays as it was."), (BOTH, "Readers and producers lose it.")
                ),
                has_end=True,
            ),
            "price": Part("price"),
            "roles": _ROLES,
            "slaDefaultElement": _other,
            "slaProperties": Items(_by("property"), Part("service level"), _level_item),
            "customProperties": Custom("custom properties of the contract"),
        }
    ),
    "server": Keys(
        {
            "server": unknown_key,
            **dict.fromkeys(("id", "description"), _free),
            "roles": _ROLES,
            **dict.fromkeys(_PLACES, _landing_or_place),
            "customProperties": Custom("custom properties of a server"),
        }
    ),
    "table": Keys(
        {
            **_OF_PEOPLE,
            "name": _table_name,
            "physicalName": _table_name,
            "logicalType": _data_type,
            "physicalType": _data_type,
            "dataGranularityDescription": _always(BOTH, "A row is something else than before."),
            "properties": _COLUMNS,
            "relationships": _RELATIONSHIPS,
            "quality": _QUALITY,
            "customProperties": Custom("no custom properties"),
        },
        {"logicalType": "object", "deprecated": False},
    ),
    "column": Keys(
        {
            **_OF_PEOPLE,
            "name": _name,
            "physicalName": _physical_name,
            "logicalType": _logical_type,
            "physicalType": _data_type,
            "logicalTypeOptions": Part("options"),
            "required": _flag(NARROWER, WIDER),
            "unique": _flag(NARROWER, WIDER),
            "primaryKey": _always(BOTH, "Other columns identify a row."),
            "primaryKeyPosition": _always(NOBODY, "The same columns identify a row."),
            **dict.fromkeys(("partitioned", "partitionKeyPosition"), _layout),
            "classification": _classification,
            "encryptedName": _place,
            "semanticType": _other,
            **dict.fromkeys(("transformSourceObjects", "transformLogic", "transformDescription"), _free),
            **dict.fromkeys(("examples", "criticalDataElement"), _free),
            "enum": _ALLOWED,
            "relationships": _RELATIONSHIPS,
            "quality": _QUALITY,
            "properties": _COLUMNS,
            "items": Part("column"),
            "customProperties": Custom("custom properties of a column"),
        },
        {
            **dict.fromkeys(("required", "unique", "primaryKey", "partitioned"), False),
            **dict.fromkeys(("criticalDataElement", "deprecated"), False),
            **dict.fromkeys(("primaryKeyPosition", "partitionKeyPosition"), -1),
            "semanticType": "column",
        },
    ),
    "options": Keys(_CONSTRAINED),
    "allowed value": Keys(
        {
            **dict.fromkeys(("id", "label", "description", "tags", "authoritativeDefinitions"), _free),
            "value": _other,
        }
    ),
    "rule": Keys(
        {
            **dict.fromkeys(("id", "businessImpact", "dimension", "method", "tags"), _free),
            **dict.fromkeys(("authoritativeDefinitions", "schedule", "scheduler"), _free),
            "name": _always(NOBODY, "The rule itself stays."),
            "description": _description_of_rule,
            "severity": _severity,
            "unit": _other,
            "arguments": Part("arguments"),
            Operator.GREATER: _bound(is_least=True),
            Operator.AT_LEAST: _bound(is_least=True),
            Operator.LESS: _bound(is_least=False),
            Operator.AT_MOST: _bound(is_least=False),
            Operator.BETWEEN: _between(is_inside=True),
            Operator.NOT_BETWEEN: _between(is_inside=False),
            **dict.fromkeys((Operator.MUST_BE, Operator.MUST_NOT_BE), _constraint),
            **dict.fromkeys(("metric", "rule", "query", "type", "engine", "implementation"), _other),
        },
        {"severity": "error", "unit": "rows"},
    ),
    "arguments": Keys(
        {
            "pattern": _constraint,
            "validValues": Values(
                (WIDER, "Another value may occur."), (NARROWER, _MORE), is_whole=_constraint
            ),
            **dict.fromkeys(("missingValues", "properties"), _other),
        }
    ),
    "relationship": Keys(
        {"id": _free, **dict.fromkeys(("from", "to", "type"), _other)}, {"type": "foreignKey"}
    ),
    "role": Keys(
        {
            **dict.fromkeys(("id", "description"), _free),
            "role": _always(WIDER, "The role has another name."),
            "access": _always(WIDER, "Who has this role may do other things."),
            **dict.fromkeys(
                ("firstLevelApprovers", "secondLevelApprovers"),
                _always(NOBODY, "Others decide about access."),
            ),
        }
    ),
    "price": Keys(dict.fromkeys(("priceAmount", "priceCurrency", "priceUnit"), _price) | {"id": _free}),
    "service level": Keys(
        {
            **dict.fromkeys(("id", "description", "driver", "authoritativeDefinitions"), _free),
            "value": _level,
            **dict.fromkeys(("property", "element", "schedule", "scheduler"), _other),
        },
        together=("value", "valueExt", "unit"),
    ),
    "custom property": Keys({**dict.fromkeys(("id", "description", "vendor"), _free)}),
    "no custom properties": Keys({}),
    "custom properties of the contract": Keys(
        {
            **dict.fromkeys(("inputRowsPerRun", "inputBytesPerRun"), Part("expected input")),
            "regions": Values(
                (BOTH, "Data may be kept elsewhere, too."),
                (BOTH, "Data is kept here no more."),
                is_whole=_constraint,
            ),
            "schemaContract": Part("schema contract"),
            "quarantineLimits": _constraint,
            "quarantineRetention": _retention,
            "consumers": Values((NOBODY, "One more reader is known."), (NOBODY, "One reader less is known.")),
            "guesses": _free,
        },
        _defaults(ContractSettings),
    ),
    "schema contract": Keys(
        dict.fromkeys(("tables", "columns", "data_type"), _evolution),
        {"tables": "freeze", "columns": "freeze", "data_type": "discard_row"},
    ),
    "expected input": Keys({"min": _expected(is_least=True), "max": _expected(is_least=False)}),
    "custom properties of a server": Keys(
        {
            **dict.fromkeys(("delimiter", "quote", "escape", "encoding", "sheet"), _reading),
            **dict.fromkeys(("skipLines", "footerLines", "decimalMark", "thousandsMark"), _reading),
            "header": _header_mode,
            "fileMode": _always(BOTH, "A new file means something else for earlier rows."),
            **dict.fromkeys(("maxUncompressedBytes", "maxCompressionRatio"), _largest),
            "nullValues": Values(
                (BOTH, "This spelling is no value any more."), (BOTH, "This spelling is a value.")
            ),
            "onRejectedFiles": _rejected,
            "ignoredFiles": Values(
                (BOTH, "Files of this name are not read."), (NARROWER, "Files of this name are checked.")
            ),
            "guesses": _free,
        },
        _defaults(FileSettings),
    ),
    "custom properties of a column": Keys(
        {
            **dict.fromkeys(("optional", "since"), _optional),
            "trim": _other,
            "nullValues": Values(
                (BOTH, "This spelling is no value any more."), (BOTH, "This spelling is a value.")
            ),
            "guesses": _free,
        },
        _defaults(ColumnSettings),
    ),
}
"""Rules of each kind of mapping; a key without a rule breaks everybody."""


def _header(item: object) -> object:
    return (item.get("physicalName") or item.get("name")) if isinstance(item, dict) else None


def _may_lack(column: object) -> bool:
    if not isinstance(column, dict):
        return False
    return bool(_custom(column, "optional", False) or _custom(column, "since", None))


def _custom(part: Mapping[str, Any], name: str, default: object) -> object:
    for item in _mappings(part.get("customProperties")):
        if item.get("property") == name and item.get("vendor", "slipway") == "slipway":
            value = item.get("value")
            return default if value is None else value
    return default


def _landing(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((one for one in _mappings(document.get("servers")) if one.get("server") == LANDING), None)


def _mappings(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _elements(element: object) -> list[str]:
    return [one.strip() for one in str(element or "").split(",")]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(one: object, two: object) -> bool:
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(two, sort_keys=True, default=str)
