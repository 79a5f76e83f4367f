"""Lines that a YAML file lacks, put in without a change to any line that is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Added:
    """A file's text with additions.

    Args:
        text: of the file afterwards; the lines that were there are all in it, in their order.
        left: what could not be put in, in the form of what was wanted: it would have to go into a line that is there.
    """

    text: str
    left: dict[str, Any]


@dataclass(frozen=True)
class _Insertion:
    line: int
    text: str


def add(text: str, wanted: Mapping[str, Any]) -> Added:
    """Put in what is wanted and not there; a key that is there keeps its value, with and without dbt's plus sign.

    Args:
        text: YAML, a mapping.
        wanted: nested mappings; their other values are not looked into.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return Added(_appended(text, wanted), {})
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return Added(text, dict(wanted))
    insertions: list[_Insertion] = []
    left = _walk(root, wanted, insertions)
    end = {key: value for key, value in wanted.items() if _find(root, key) is None}
    lines = text.splitlines(keepends=True)
    newline = "\r\n" if "\r\n" in text else "\n"
    for one in sorted(insertions, key=lambda one: one.line, reverse=True):
        if not lines[one.line].endswith("\n"):
            lines[one.line] += newline
        lines.insert(one.line + 1, one.text.replace("\n", newline))
    changed = _appended("".join(lines), end)
    if yaml.safe_load(changed) != _merged(yaml.safe_load(text), _without(wanted, left)):
        return Added(text, dict(wanted))  # an alias or a second document leads elsewhere
    return Added(changed, left)


def missing(text: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The part of what is wanted that a text does not have."""
    return _lacking(yaml.safe_load(text) or {}, wanted)


def as_yaml(value: Mapping[str, Any], indent: int = 0) -> str:
    """A mapping as the block that goes into a file."""
    return "".join(f"{' ' * indent}{line}\n" for line in _lines(value))


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    for key, item in value.items():
        name = _flow(key)
        if isinstance(item, Mapping) and not isinstance(item, OneLine):
            yield f"{name}:"
            yield from (f"  {line}" for line in _lines(item))
        else:
            yield f"{name}: {_flow(item)}"


class OneLine(dict[str, Any]):
    """A mapping that is written in one line, and not looked into."""


def _flow(value: object) -> str:
    plain = dict(value) if isinstance(value, OneLine) else value
    dumped = yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _walk(node: yaml.MappingNode, wanted: Mapping[str, Any], insertions: list[_Insertion]) -> dict[str, Any]:
    """Note what goes below the keys that are there; returns what cannot."""
    left: dict[str, Any] = {}
    for key, value in wanted.items():
        found = _find(node, key)
        if found is None or not isinstance(value, Mapping) or isinstance(value, OneLine):
            continue
        name, child = found
        if isinstance(child, yaml.MappingNode) and not child.flow_style:
            lacking = {one: item for one, item in value.items() if _find(child, one) is None}
            if lacking:
                insertions.append(_Insertion(name.start_mark.line, as_yaml(lacking, child.start_mark.column)))
            if below := _walk(child, value, insertions):
                left[key] = below
        elif isinstance(child, yaml.ScalarNode) and not child.value:
            indent = name.start_mark.column + 2
            insertions.append(_Insertion(name.start_mark.line, as_yaml(value, indent)))
        elif isinstance(child, yaml.MappingNode):
            if lacking := _lacking(yaml.safe_load(yaml.serialize(child)) or {}, value):
                left[key] = lacking
        else:
            left[key] = value
    return left


def _find(node: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    for name, child in node.value:
        if isinstance(name.value, str) and name.value.lstrip("+") == key.lstrip("+"):
            return name, child
    return None


def _appended(text: str, wanted: Mapping[str, Any]) -> str:
    if not wanted:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    before = text if not text or text.endswith("\n") else text + newline
    blocks = [as_yaml({key: value}) for key, value in wanted.items()]
    return before + "".join(f"\n{block}" for block in blocks).lstrip("\n" if not text else "").replace(
        "\n", newline
    )


def _lacking(there: object, wanted: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(there, Mapping):
        return dict(wanted)
    found: dict[str, Any] = {}
    for key, value in wanted.items():
        name = next((one for one in _keys(there) if one.lstrip("+") == key.lstrip("+")), None)
        if name is None:
            found[key] = value
        elif (
            isinstance(value, Mapping)
            and not isinstance(value, OneLine)
            and (below := _lacking(there[name], value))
        ):
            found[key] = below
    return found


def _keys(there: object) -> list[str]:
    return [key for key in there if isinstance(key, str)] if isinstance(there, Mapping) else []


def _merged(there: object, wanted: Mapping[str, Any]) -> object:
    """What is there, and below it what is wanted."""
    if not isinstance(there, Mapping | None):
        return there
    found = dict(there or {})
    for key, value in wanted.items():
        name = next((one for one in _keys(found) if one.lstrip("+") == key.lstrip("+")), None)
        if name is None:
            found[key] = (
                dict(value)
                if isinstance(value, OneLine)
                else _merged(None, value)
                if isinstance(value, Mapping)
                else value
            )
        elif isinstance(value, Mapping) and not isinstance(value, OneLine):
            found[name] = _merged(found[name], value)
    return found


def _without(wanted: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in wanted.items():
        if key not in left:
            kept[key] = value
        elif left[key] != value:
            kept[key] = _without(value, left[key])
    return kept
