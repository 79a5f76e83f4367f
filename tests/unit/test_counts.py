"""Counts as sentences hold them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from slipway.counts import plural, size

SLIPWAY = Path(__file__).parents[2] / "scripts" / "slipway"
# of what may be one: a number that the code fills in, and a plural behind it
PLURAL = (
    r" (?:\w+ )?(?:row|file|table|key|test|node|partition|run|snapshot|byte|record|setting|step|value)s\b"
)
COUNTED = re.compile(rf"\x00{PLURAL}")
PERHAPS = re.compile(
    rf"""\}}(?:["']\s*f?["'])?{PLURAL}"""
)  # in the text of a module, which takes long to parse


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 rows are"), (1, "1 row is"), (2, "2 rows are"), (1200, "1,200 rows are")]
)
def test_one_is_not_many(count: int, said: str) -> None:
    assert plural(count, "row", "are", "is") == said
    assert plural(count, "row") == said.rpartition(" ")[0]


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 50, "5,120.0 TiB")],
)
def test_sizes_are_in_binary_units(count: int, said: str) -> None:
    assert size(count) == said


def counted(node: ast.JoinedStr) -> str:
    """The text, with a sign where a number by itself is filled in, and another where a text of ``plural`` or a word is."""
    return "".join(
        str(part.value)
        if isinstance(part, ast.Constant)
        else "\0"
        if isinstance(part, ast.FormattedValue) and is_number(part)
        else "…"
        for part in node.values
    )


def is_number(part: ast.FormattedValue) -> bool:
    value = part.value
    return (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("len", "sum")
    )


def test_no_message_counts_one_as_many() -> None:
    """A length or a sum before a plural goes through ``plural``, unless the code above says that there are more."""
    found = [
        f"{path.relative_to(SLIPWAY)}:{node.lineno}"
        for path in sorted(SLIPWAY.rglob("*.py"))
        if PERHAPS.search(text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.JoinedStr) and COUNTED.search(counted(node))
    ]
    assert found == []
