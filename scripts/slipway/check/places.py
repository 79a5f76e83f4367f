"""Lines of a model's file, for what DuckDB says of the compiled query."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

_LINE = re.compile(r"^LINE (\d+): ?(.*)\n(\s*)\^", re.MULTILINE)
_FROM = re.compile(r"\s*from\b", re.IGNORECASE)
_PARSED = re.compile(r"\bline (\d+)\b")


def line_of_error(message: str, compiled: str, source: str, *, before: int = 0) -> int | None:
    """The line of the source to which an error of DuckDB points, None where it points to none.

    A line of the query that Jinja left as it is, is that line of the source. What Jinja made belongs to the line that made it: the first of those
    between its neighbours that were left as they are.

    Args:
        message: of DuckDB, with its ``LINE n:``.
        compiled: the query.
        source: the code of the node.
        before: lines that stood in front of the query when DuckDB read it.
    """
    if not (found := _LINE.search(message)):
        return None
    number = int(found.group(1)) - before
    lines = compiled.split("\n")
    if not 1 <= number <= len(lines):
        return None
    return source_line(number, compiled, source)


def source_line(number: int, compiled: str, source: str) -> int:
    """The line of a source that became a line of the compiled query; both are counted from 1."""
    made, written = ([line.strip() for line in text.split("\n")] for text in (compiled, source))
    after = 0
    for block in SequenceMatcher(None, made, written, autojunk=False).get_matching_blocks():
        if block.a <= number - 1 < block.a + block.size:
            return block.b + (number - 1 - block.a) + 1
        if block.a > number - 1 or not block.size:
            break
        after = block.b + block.size
    while after < len(written) - 1 and not written[after]:
        after += 1
    return min(after, len(written) - 1) + 1


def line_naming(name: str, source: str) -> int | None:
    """The line of a query that selects a column, as far as words tell: the last one that has it, before the last FROM if there is one."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    lines = source.split("\n")
    found = [number for number, line in enumerate(lines, start=1) if word.search(line)]
    last_from = max(
        (number for number, line in enumerate(lines, start=1) if _FROM.match(line)), default=len(lines) + 1
    )
    return next((number for number in reversed(found) if number < last_from), found[-1] if found else None)


def line_declaring(names: tuple[str, ...], text: str) -> int | None:
    """The line of a YAML file in which ``- name:`` gives the last of some names, each below the one before it."""
    lines, at = text.split("\n"), 0
    for name in names:
        declares = re.compile(rf"^\s*(?:-\s*)?name:\s*['\"]?{re.escape(name)}['\"]?\s*(?:#.*)?$")
        at = next((number for number in range(at, len(lines)) if declares.match(lines[number])), -1) + 1
        if not at:
            return None
    return at


def line_referring(name: str, text: str) -> int | None:
    """The first line of a file that has a name in quotes, or after a colon or a dash of YAML; of a source and its table, the table's."""
    last = re.escape(name.rpartition(".")[2])
    quoted = re.compile(rf"(['\"]){last}\1|^\s*(?:-|[\w-]+:)\s+(?:\S+\.)?{last}\s*(?:#.*)?$", re.MULTILINE)
    found = quoted.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else None


def line_of_parser(message: str) -> int | None:
    """The line that a message of dbt or Jinja names."""
    found = _PARSED.search(message)
    return int(found.group(1)) if found else None
