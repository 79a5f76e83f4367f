"""Custom properties of a contract: which are known in which place, and what in them cannot be carried out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from slipway.contracts.durations import LONGEST, length_of_time
from slipway.contracts.model import (
    LANDING,
    ContractSettings,
    Evolution,
    SchemaContract,
    TableSettings,
)
from slipway.contracts.problems import Path, Problems, unknown

_OWN_VENDOR = "slipway"
_WITH_HEADERS = ("csv", "tsv", "txt", "xlsx", "excel")


def contract_settings(problems: Problems) -> dict[str, Any]:
    """Custom properties of a whole contract, once all places of the document were looked at."""
    settings = custom_properties(problems, ContractSettings, (), problems.document)
    _check_other_custom(problems, (), problems.document)
    _check_evolution(problems, settings.get("schemaContract"))
    _check_limits(problems, settings.get("quarantineLimits") or {})
    return _with_retention(problems, settings)


def custom_properties(
    problems: Problems, kind: type[BaseModel], path: Path, part: Mapping[str, Any]
) -> dict[str, Any]:
    """Custom properties of a part; those of another vendor are ignored."""
    given: dict[str, Any] = {}
    at: dict[str, Path] = {}
    known = [field.alias or name for name, field in kind.model_fields.items()]
    for index, item in enumerate(part.get("customProperties") or []):
        name, here = item["property"], (*path, "customProperties", index)
        if item.get("vendor", _OWN_VENDOR) != _OWN_VENDOR:
            continue
        if name not in known:
            found = unknown(here, name, problems.place(path), known, "custom property")
            fix = found.fix if found.fix.endswith("?") else "Remove it, or say whose it is with `vendor:`"
            problems.say(here, found.what, fix)
        elif name in given:
            problems.say(here, "is there twice", "Keep one")
        else:
            given[name], at[name] = item["value"], (*here, "value")
    try:
        kind.model_validate(given)
    except ValidationError as error:
        for one in error.errors():
            top = str(one["loc"][0]) if one["loc"] else ""
            inside = ".".join(map(str, one["loc"][1:]))
            problems.say(at.get(top, path), _sentence(one, f"`{inside}` " if inside else ""))
        return {}
    return given


def _check_limits(problems: Problems, limits: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse ``quarantineLimits`` of a product, and limits that do not have exactly one operator."""
    if not limits:
        return
    path = _of_a_feed(problems, "quarantineLimits")
    for rule, limit in limits.items():
        given = [key for key in ("mustBeLessThan", "mustBeLessOrEqualTo") if limit.get(key) is not None]
        if len(given) != 1:
            problems.say(
                (*path, rule),
                "needs exactly one of mustBeLessThan and mustBeLessOrEqualTo",
                "Write for example `{mustBeLessThan: 5, unit: percent}`",
            )


def _with_retention(problems: Problems, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the length of time of ``quarantineRetention``; refuses that of a product, and an unknown unit."""
    if not (given := settings.get("quarantineRetention")):
        return settings
    path = _of_a_feed(problems, "quarantineRetention")
    duration = length_of_time(given["value"], given["unit"])
    if duration is None or "duration" in given:
        fix = "Write for example `{value: 90, unit: d}`, with d for days, h for hours, mo for months or y for years"
        problems.say(path, f"has the unit {given['unit']}" if duration is None else "has a duration", fix)
        return settings
    return {**settings, "quarantineRetention": {**given, "duration": min(duration, LONGEST)}}


def _of_a_feed(problems: Problems, name: str) -> Path:
    """Where a custom property stands that only the contract of a feed may have."""
    path: Path = next(
        ("customProperties", index, "value")
        for index, item in enumerate(problems.document["customProperties"])
        if item["property"] == name
    )
    if not any(one["server"] == LANDING for one in problems.document.get("servers") or []):
        problems.say(
            path,
            "is about rows of a feed, and the contract has no server named `landing`",
            "Write it in the contract of the feed",
        )
    return path


def _check_evolution(problems: Problems, given: Any) -> None:  # noqa: ANN401 - YAML
    """Refuse what ``schemaContract`` says that has no meaning."""
    if given is None:
        return
    wanted = SchemaContract.model_validate(given)
    path = next(
        ("customProperties", index, "value")
        for index, item in enumerate(problems.document["customProperties"])
        if item["property"] == "schemaContract"
    )
    server = next((one for one in problems.document.get("servers") or [] if one["server"] == LANDING), None)
    if server is None:
        problems.say(
            path,
            "is about files, and the contract has no server named `landing`",
            "Remove it: the columns of a product are those of its model",
        )
        return
    if wanted.tables is not Evolution.FREEZE:
        problems.say(
            path,
            f"`tables` is {wanted.tables}, and a contract is of one table: files in a folder that no contract describes are "
            "listed as outstanding, never read",
            "Write a contract for that folder, and leave `tables` out",
        )
    if wanted.data_type is Evolution.EVOLVE:
        problems.say(
            path,
            "`data_type` is evolve, and a type does not follow the data: raw keeps any value as text, and typed columns "
            "have the type that the contract says",
            "Change the logicalType of the column, or write discard_row, discard_value or freeze",
        )
    if wanted.columns is Evolution.FREEZE:
        return
    custom = {item["property"]: item["value"] for item in server.get("customProperties") or []}
    if custom.get("header") in ("none", False) and str(server.get("format")).lower() in _WITH_HEADERS:
        problems.say(
            path,
            f"`columns` is {wanted.columns}, and files without a header do not name their columns",
            "Leave `columns` out, or have the producer write a header",
        )


def _check_other_custom(problems: Problems, path: Path, part: Any) -> None:  # noqa: ANN401 - YAML
    """Refuse custom properties in places where none is known."""
    if isinstance(part, list):
        for index, item in enumerate(part):
            _check_other_custom(problems, (*path, index), item)
    elif isinstance(part, dict):
        shape = tuple(key for key in path if isinstance(key, str))
        is_known = shape in ((), ("servers",), ("schema",)) or (
            shape[0] == "schema" and set(shape[1:]) == {"properties"}
        )
        if not is_known and isinstance(part.get("customProperties"), list):
            custom_properties(problems, TableSettings, path, part)
        for key, inside in part.items():
            if key not in ("customProperties", "arguments", "implementation", "examples"):
                _check_other_custom(problems, (*path, key), inside)


def _sentence(error: Mapping[str, Any], inside: str) -> str:
    """What pydantic says of a custom property, as the rest of a sentence."""
    given, kind, context = error["input"], error["type"], error.get("ctx", {})
    shown = (
        "a list"
        if isinstance(given, list)
        else "a mapping"
        if isinstance(given, dict)
        else json.dumps(given, ensure_ascii=False)
    )
    if kind == "extra_forbidden":
        return f"has {inside.strip()}, which nothing reads"
    expected = {
        "string_type": "text",
        "bool_type": "true or false",
        "int_type": "a whole number",
        "tuple_type": "a list",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
        "string_too_short": "text that is not empty",
        "greater_than_equal": f"at least {context.get('ge')}",
        "enum": str(context.get("expected", "")).replace("'", ""),
        "literal_error": str(context.get("expected", "")),
    }.get(kind, str(error["msg"]))
    return f"{inside}is {shown}, and has to be {expected}"
