"""Lines that a YAML file lacks, put in without a change to any line that is there."""

from __future__ import annotations

import copy
import re
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
class OneLine:
    """A mapping that is written in one line, and not looked into."""

    mapping: Mapping[str, Any]


def add(text: str, wanted: Mapping[str, Any]) -> Added:
    """Put in what is wanted and not there; a key that is there keeps its value, with and without dbt's plus sign.

    Args:
        text: YAML, a mapping.
        wanted: nested mappings; their other values are not looked into.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    left: dict[str, Any] = {}
    for key, value in wanted.items():
        one = _add(text, {key: value})
        text = one.text
        left |= one.left
    return Added(text, left)


def _add(text: str, wanted: Mapping[str, Any]) -> Added:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return Added(_appended(text, wanted), {})
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return Added(text, _missing(text, wanted))
    insertions: list[tuple[int, str]] = []
    left = _walk(root, wanted, insertions, _shared(root))
    lines = text.splitlines(keepends=True)
    for at, block in sorted(insertions, reverse=True):
        lines[at] = whole_lines(lines[at], text)
        lines.insert(at + 1, block.replace("\n", newline(text)))
    end = {key: value for key, value in wanted.items() if _find(root, key) is None}
    changed = _appended("".join(lines), end, root.start_mark.column)
    if _parsed(changed) != _merged(yaml.safe_load(text), _without(wanted, left)):
        return Added(text, _missing(text, wanted))  # a merge key, for example, gives a value from elsewhere
    return Added(changed, left)


def _parsed(text: str) -> object:
    """The value of a text; the exception where it is not YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        return error


def _missing(text: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return _lacking(yaml.safe_load(text) or {}, wanted)


def _shared(root: yaml.Node) -> set[int]:
    """Identities of the nodes that an alias repeats: a line that is put into one would count in several places."""
    visited: set[int] = set()
    shared: set[int] = set()
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if id(node) in visited:
            shared.add(id(node))
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            nodes += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
    return shared


def as_yaml(value: Mapping[str, Any], indent: int = 0) -> str:
    """A mapping as the block that goes into a file."""
    return "".join(f"{' ' * indent}{line}\n" for line in _lines(value))


def newline(text: str) -> str:
    """The end of a line in a text."""
    return "\r\n" if "\r\n" in text else "\n"


def whole_lines(lines: str, text: str) -> str:
    """Lines of a text, the last of which has an end, too."""
    return lines if not lines or lines.endswith("\n") else lines + newline(text)


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{_flow(key)}:"
            yield from (f"  {line}" for line in _lines(item))
        else:
            yield f"{_flow(key)}: {_flow(_plain(item))}"


def _flow(value: object) -> str:
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _walk(
    node: yaml.MappingNode, wanted: Mapping[str, Any], insertions: list[tuple[int, str]], shared: set[int]
) -> dict[str, Any]:
    """Note what goes below the keys that are there; returns what cannot."""
    left: dict[str, Any] = {}
    for key, value in wanted.items():
        found = _find(node, key)
        if found is None or not isinstance(value, Mapping):
            continue
        name, child = found
        at = name.start_mark.line
        if isinstance(child, yaml.MappingNode) and not child.flow_style and id(child) not in shared:
            if lacking := {one: item for one, item in value.items() if _find(child, one) is None}:
                insertions.append((at, as_yaml(lacking, child.start_mark.column)))
            below = _walk(child, value, insertions, shared)
        elif isinstance(child, yaml.MappingNode):
            below = _lacking(_value(child), value)
        elif isinstance(child, yaml.ScalarNode) and not child.value and id(child) not in shared:
            insertions.append((at, as_yaml(value, name.start_mark.column + 2)))
            below = {}
        else:
            below = dict(value)
        if below:
            left[key] = below
    return left


def _value(node: yaml.Node) -> object:
    """What a node means, with its merge keys and aliases."""
    return yaml.constructor.SafeConstructor().construct_document(copy.deepcopy(node))


def _find(node: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next(((name, child) for name, child in node.value if _is(name.value, key)), None)


def _is(name: object, key: str) -> bool:
    return isinstance(name, str) and name.lstrip("+") == key.lstrip("+")


_DOCUMENT_END = re.compile(r"^\.\.\.[ \t]*(?:#.*)?\s*\Z", re.MULTILINE)


def _appended(text: str, wanted: Mapping[str, Any], indent: int = 0) -> str:
    """A text with blocks at its end, or before the marker that ends its document."""
    if not wanted:
        return text
    marker = _DOCUMENT_END.search(text)
    before, ending = (text[: marker.start()], marker.group()) if marker else (text, "")
    blocks = "".join(f"\n{as_yaml({key: value}, indent)}" for key, value in wanted.items())
    blocks = (blocks if before else blocks.lstrip("\n")).replace("\n", newline(text))
    return whole_lines(before, text) + blocks + ending


def _lacking(there: object, wanted: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(there, Mapping):
        return dict(wanted)
    found: dict[str, Any] = {}
    for key, value in wanted.items():
        name = next((one for one in there if _is(one, key)), None)
        if name is None:
            found[key] = value
        elif isinstance(value, Mapping) and (below := _lacking(there[name], value)):
            found[key] = below
    return found


def _merged(there: object, wanted: Mapping[str, Any]) -> object:
    """What is there, and below it what is wanted."""
    if not isinstance(there, Mapping | None):
        return there
    found = dict(there or {})
    for key, value in wanted.items():
        name = next((one for one in found if _is(one, key)), key)
        if isinstance(value, Mapping):
            found[name] = _merged(found.get(name), value)
        else:
            found.setdefault(name, _plain(value))
    return found


def _plain(value: object) -> object:
    return dict(value.mapping) if isinstance(value, OneLine) else value


def _without(wanted: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in wanted.items():
        if key not in left:
            kept[key] = value
        elif left[key] != value:
            kept[key] = _without(value, left[key])
    return kept
