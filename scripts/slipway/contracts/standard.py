"""Holds a document to the JSON schema of the Open Data Contract Standard, in sentences that a person acts on.

The schema is the one of the library ``open-data-contract-standard``. It is read here and not by a general validator, because that one takes a tenth of a
second for a contract and says of a misspelt key only that no branch of the schema fits. Two things are taken otherwise than the schema says them:
what it asks of a logical type counts only where a logical type is given (the schema forgets that it may be missing), and an object of which it
lists the keys has no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from slipway.contracts.problems import Path, Problem, nearest, unknown, words

NEWEST = "v3.2.0"
READ_VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0")
KEYWORDS = frozenset(
    [
        "$ref",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "enum",
        "exclusiveMinimum",
        "if",
        "items",
        "maxItems",
        "minItems",
        "minimum",
        "not",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "then",
        "type",
        "unevaluatedProperties",
        "uniqueItems",
    ]
)
"""What of JSON Schema is interpreted; a test compares it with what the standard's schema uses."""

_TYPES: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "string": ("text", str),
    "boolean": ("true or false", bool),
    "integer": ("a whole number", int),
    "number": ("a number", (int, float)),
    "array": ("a list", list),
    "object": ("a mapping", dict),
    "null": ("nothing", type(None)),
}
_AT_THE_TOP = {
    "apiVersion": f"Write `apiVersion: {NEWEST}`",
    "kind": "Write `kind: DataContract`",
    "version": "Write `version: 1.0.0`, the version of the contract",
    "id": "Write `id:` and a name that no other contract has",
}
_PATTERNS = {
    "StableId": "may have only letters, digits, - and _",
    "ShorthandReference": "is no column in the form `table.column`",
    "FullyQualifiedReference": "is no reference in the form `schema/table/properties/column`",
}
_WRITE = {"rule": "metric"}
"""Keys of earlier versions of the standard, and what took their place."""


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of the standard."""
    text = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """What of a document is not as the standard says, in the order of the document."""
    version = document.get("apiVersion")
    if isinstance(version, str) and version not in READ_VERSIONS:
        yield Problem(
            ("apiVersion",),
            f"is {version[:40]}; read are {READ_VERSIONS[0]} to {NEWEST}",
            f"Write `apiVersion: {NEWEST}`",
        )
        return
    yield from _Walk(document).of(schema(), document, ())


class _Walk:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def of(
        self,
        given: Mapping[str, Any],
        value: Any,  # noqa: ANN401 - JSON
        path: Path,
        *,
        is_whole: bool = True,
    ) -> Iterator[Problem]:
        """Problems of a value; a schema that is not the whole of what is said of it knows only some keys."""
        parts = list(_parts(given, value))
        for part in parts:
            if (expected := part.get("type")) and not _is(value, expected):
                yield Problem(path, f"is {_shown(value)}, and has to be {_expected(expected)}")
                return
        for part in parts:
            yield from self._simple(part, value, path)
        if isinstance(value, dict):
            is_whole = is_whole or any(part.get("additionalProperties") is False for part in parts)
            yield from self._mapping(parts, value, path, is_whole=is_whole)
        elif isinstance(value, list):
            yield from self._list(parts, value, path)
        for part in parts:
            yield from self._choices(part, value, path)

    def _simple(self, part: Mapping[str, Any], value: Any, path: Path) -> Iterator[Problem]:  # noqa: ANN401 - JSON
        if (allowed := part.get("enum")) and value not in allowed:
            yield unknown(path, str(value), self._place(path), allowed, "value")
        if "pattern" in part and isinstance(value, str) and not re.search(part["pattern"], value):
            why = next(
                (text for name, text in _PATTERNS.items() if part is schema()["$defs"][name]),
                "is of another form",
            )
            yield Problem(path, f"is {_shown(value)}, which {why}")
        for key in part.get("not", {}).get("required", ()) if isinstance(value, dict) else ():
            if key in value:
                yield Problem((*path, key), "is the property itself here", f"Remove `{key}`")
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if number is not None and number < part.get("minimum", number):
            yield Problem(path, f"is {number}, and has to be at least {part['minimum']}")
        if number is not None and "exclusiveMinimum" in part and number <= part["exclusiveMinimum"]:
            yield Problem(path, f"is {number}, and has to be more than {part['exclusiveMinimum']}")

    def _mapping(
        self, parts: list[Mapping[str, Any]], value: dict[str, Any], path: Path, *, is_whole: bool
    ) -> Iterator[Problem]:
        known: dict[str, list[Mapping[str, Any]]] = {}
        for part in parts:
            for key, inside in _keys(part):
                known.setdefault(key, []).append(inside)
        for key, inside in value.items():
            if key in known:
                for one in known[key]:
                    yield from self.of(one, inside, (*path, key))
            elif known and is_whole:
                found = unknown((*path, key), key, self._place(path), known)
                yield Problem(found.path, found.what, f"Write `{_WRITE[key]}`") if key in _WRITE else found
        missing = dict.fromkeys(key for part in parts for key in part.get("required", ()) if key not in value)
        meant = {nearest(key, known) for key in value if key not in known} if missing and is_whole else set()
        for key in missing:
            if key not in meant:
                fix = _AT_THE_TOP.get(key, "") if not path else ""
                yield Problem(path, f"`{key}` is missing", fix or f"Write `{key}:` and its value")

    def _list(self, parts: list[Mapping[str, Any]], value: list[Any], path: Path) -> Iterator[Problem]:
        for part in parts:
            if len(value) < part.get("minItems", 0):
                yield Problem(path, f"has {len(value)} items, and needs {part['minItems']}")
            if len(value) > part.get("maxItems", len(value)):
                yield Problem(path, f"has {len(value)} items, and {part['maxItems']} are allowed")
            if part.get("uniqueItems") and any(item in value[:index] for index, item in enumerate(value)):
                yield Problem(path, "has one item twice", "Keep one")
            if "items" in part:
                for index, item in enumerate(value):
                    yield from self.of(part["items"], item, (*path, index))

    def _choices(self, part: Mapping[str, Any], value: Any, path: Path) -> Iterator[Problem]:  # noqa: ANN401 - JSON
        if "anyOf" in part and any(self._fits(branch, value, path) for branch in part["anyOf"]):
            return
        branches = part.get("oneOf") or part.get("anyOf") or []
        if not branches or (
            "oneOf" in part and sum(self._fits(branch, value, path) for branch in branches) == 1
        ):
            return
        if all(set(branch) <= {"properties", "required"} and "required" in branch for branch in branches):
            yield from self._one_of(branches, value, path)
            return
        alike = [branch for branch in branches if any(_is(value, kind) for kind in _types(branch, value))]
        if len(alike) == 1 or isinstance(value, str):
            yield from list(self.of((alike or branches)[0], value, path))[: None if len(alike) == 1 else 1]
        elif {"from", "to"} <= set(value if isinstance(value, dict) else ()):
            yield Problem(
                path, "has one column in `from` and a list in `to`, or the other way round", "Write two lists"
            )
        else:
            kinds = dict.fromkeys(_expected(kind) for branch in branches for kind in _types(branch, value))
            yield Problem(path, f"is {_shown(value)}, and has to be {' or '.join(kinds)}")

    def _fits(self, branch: Mapping[str, Any], value: Any, path: Path) -> bool:  # noqa: ANN401 - JSON
        return next(self.of(branch, value, path, is_whole=False), None) is None

    def _one_of(
        self, branches: list[Mapping[str, Any]], value: Mapping[str, Any], path: Path
    ) -> Iterator[Problem]:
        keys = [key for branch in branches for key in branch["required"]]
        given = [key for key in keys if key in value]
        if not given:
            yield Problem(path, "says nothing that has to be so", f"Write one of {', '.join(keys)}")
        elif len(given) > 1:
            yield Problem(path, f"has {' and '.join(given)}, of which one is allowed", "Write two checks")

    def _place(self, path: Path) -> str:
        return words(path, self._document)


def _parts(given: Mapping[str, Any], value: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - JSON
    """What a schema says of a value, with references, ``allOf`` and conditions resolved."""
    yield given
    if "$ref" in given:
        yield from _parts(_referred(given["$ref"]), value)
    for part in given.get("allOf", ()):
        yield from _parts(part, value)
    if "if" in given and "then" in given and _applies(given["if"], value):
        yield from _parts(given["then"], value)


def _referred(reference: str) -> Mapping[str, Any]:
    found: Any = schema()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def _applies(condition: Mapping[str, Any], value: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether a value meets the condition of an ``if``; a key that the condition speaks of has to be there."""
    if "anyOf" in condition:
        return any(_applies(one, value) for one in condition["anyOf"])
    if not isinstance(value, dict):
        return False
    for key, inside in condition.get("properties", {}).items():
        if key not in value or ("const" in inside and value[key] != inside["const"]):
            return False
        if "type" in inside and not _is(value[key], inside["type"]):
            return False
    return True


def _keys(part: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Keys that a part of a schema knows, also those of only one of its choices."""
    yield from part.get("properties", {}).items()
    for branch in (*part.get("oneOf", ()), *part.get("anyOf", ())):
        if "required" in branch and "type" not in branch:
            yield from branch.get("properties", {}).items()


def _types(given: Mapping[str, Any], value: Any) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """Types that a schema speaks of, in its choices, too."""
    for part in _parts(given, value):
        if "type" in part:
            yield part["type"]
        for branch in (*part.get("oneOf", ()), *part.get("anyOf", ())):
            yield from _types(branch, value)


def _is(value: Any, expected: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(expected, str):
        if isinstance(value, bool) and expected != "boolean":
            return False
        if expected == "integer" and isinstance(value, float):
            return value.is_integer()
        return isinstance(value, _TYPES[expected][1])
    return any(_is(value, one) for one in expected)


def _expected(expected: Any) -> str:  # noqa: ANN401 - JSON
    return (
        _TYPES[expected][0] if isinstance(expected, str) else " or ".join(_TYPES[one][0] for one in expected)
    )


def _shown(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    return f"the text {value[:40]!r}" if isinstance(value, str) else json.dumps(value)
