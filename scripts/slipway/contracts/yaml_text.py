"""YAML as contracts are written in it: YAML 1.2 values, each key once, no tags, and the line of everything.

YAML 1.1 reads ``NO`` as false, ``12:30`` as a number and ``2024-01-01`` as a date object; here a plain word or date is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import yaml
from yaml.events import (
    MappingEndEvent,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from slipway.contracts.problems import Path, Problem

_WIDTH = 110  # characters of a line that is written
_SAFE = re.compile(r"[A-Za-z_][A-Za-z0-9 _./()-]*[A-Za-z0-9_)]|[A-Za-z]")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"])
_DEEPEST = 50  # levels of lists and mappings; libyaml's own recursion is not limited
_LONGEST = 5_000_000  # characters
_LARGEST = 200_000  # values, with every alias counted where it stands
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.CSafeLoader):
    """Tells plain values apart by the core schema of YAML 1.2, section 10.3.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML declares it so


for _kind, _pattern in {
    "null": r"(?:~|null|Null|NULL|)$",
    "bool": r"(?:true|True|TRUE|false|False|FALSE)$",
    "int": r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$",
    "float": r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
}.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(_pattern), None)


class NotYamlError(Exception):
    """The text cannot be read, or is no mapping."""

    def __init__(self, problem: str, line: int | None = None, fix: str = "") -> None:
        self.problem, self.line, self.fix = problem, line, fix
        super().__init__(problem)


class YamlText:
    """A mapping that was written in YAML.

    Args:
        text: the YAML.

    Raises:
        NotYamlError: it is not YAML, or something else than a mapping.
    """

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise NotYamlError(f"it has {len(text):,} characters, and {_LONGEST:,} are allowed")
        try:
            _check_depth(text)
            root = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise NotYamlError(
                f"it is not YAML: {error.problem or error.context}", mark.line + 1 if mark else None
            ) from None
        except yaml.YAMLError as error:
            raise NotYamlError(f"it is not YAML: {' '.join(str(error).split())}") from None
        if root is None or (isinstance(root, yaml.ScalarNode) and not root.value.strip()):
            raise NotYamlError("it is empty", None, "Write a contract, or remove the file")
        if not isinstance(root, yaml.MappingNode):
            kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
            raise NotYamlError(
                f"it is {kind}", None, "A contract is a mapping that begins with apiVersion: v3.2.0"
            )
        self._root: yaml.Node = root
        self._size = 0
        self.problems: list[Problem] = []
        """Of keys and values: keys that are there twice, and values that contracts do not have."""
        self.value: dict[str, Any] = self._plain(root, ())
        """The mapping in plain values: dict, list, str, int, float, bool and None."""

    def line(self, path: Sequence[str | int]) -> int:
        """The line of a key or list item, counted from 1; that of the nearest part above where there is none."""
        node, found = self._root, self._root.start_mark.line
        for part in path:
            if isinstance(node, yaml.MappingNode):
                pair = next(((key, value) for key, value in node.value if key.value == part), None)
                if pair is None:
                    break
                found, node = pair[0].start_mark.line, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                found = node.start_mark.line
            else:
                break
        return int(found) + 1

    def _plain(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 - YAML
        self._size += 1
        if self._size > _LARGEST or len(path) > _DEEPEST:  # an alias may stand inside what it stands for
            raise NotYamlError(
                "its aliases stand for too many values", node.start_mark.line + 1, "Write them out"
            )
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, path, "seq")
            return [self._plain(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, path, "map")
            return self._mapping(node, path)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append(
                    Problem(path, "has a key that is a list or a mapping", "Write a plain word")
                )
                continue
            name = str(key.value)
            if name in found:
                self.problems.append(
                    Problem((*path, name), "the key is there twice", "Keep one", line=key.start_mark.line + 1)
                )
            given = self._plain(value, (*path, name))
            if name == "<<" and isinstance(given, dict):
                merged = given
            else:
                found[name] = given
        return merged | found

    def _scalar(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 - YAML
        text, kind = str(node.value), node.tag.removeprefix(_TAG)
        if kind not in _READ:
            self._check_tag(node, path, "str")
            return text
        try:
            value = _READ[kind](text)
        except (KeyError, ValueError):
            self.problems.append(Problem(path, f"is no {kind}, as its tag says", "Remove the tag"))
            return text
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append(Problem(path, f"is {text}", "Write a finite number"))
        return value

    def _check_tag(self, node: yaml.Node, path: Path, kind: str) -> None:
        if node.tag not in (f"{_TAG}{kind}", "!"):
            tag = node.tag.replace(_TAG, "!!")
            self.problems.append(
                Problem(path, f"has the YAML tag {tag}, which contracts do not use", "Remove the tag")
            )


_READ: dict[str, Any] = {
    "null": lambda _: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": lambda text: int(text, 0) if text[:2] in ("0x", "0o") else int(text),
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "str": str,
}


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise NotYamlError(f"it is nested more than {_DEEPEST} levels deep")


def dumped(value: dict[str, Any]) -> str:
    """A mapping as YAML that versions 1.1 and 1.2 read alike; short mappings of single values stand in one line."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH))


class _Dumper(yaml.SafeDumper):
    """Writes texts between quotes wherever some version of YAML might take them for something else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Lists stand below their key with two blanks in front."""
        return super().increase_indent(flow, False)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:  # noqa: ANN401, FBT001
        """A mapping of single values that fits into a line is written in one."""
        node = super().represent_mapping(tag, mapping, flow_style)
        scalars = [part.value for pair in node.value for part in pair if isinstance(part, yaml.ScalarNode)]
        is_flat = len(scalars) == 2 * len(node.value)
        node.flow_style = (
            is_flat and sum(len(one) + 4 for one in scalars) < _WIDTH and "apiVersion" not in scalars
        )
        return node


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _SAFE.fullmatch(text) and text.lower() not in _WORDS
    style = None if is_plain and len(text) < 80 else '"'
    if text.isprintable() and len(text) >= 80 and text == text.strip():
        style = ">"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
