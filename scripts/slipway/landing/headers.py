"""Whether the names in a file are the contract's columns, and what a person has to change where they are not."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from slipway.contracts.model import Evolution
from slipway.counts import plural
from slipway.landing.formats import FileFormat, FileKind, Header
from slipway.names import Kind, shown, twins, why_not

_LONGEST_HEADER = 100_000
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar", ":": "a colon"}
_OF_READERS = ("filename", "file_index", "file_row_number")  # which DuckDB's readers have themselves
_LOOKED_AT = 20  # lines in which a header is looked for


class Names(NamedTuple):
    """The columns of a file, or what is wrong with their names.

    Args:
        columns: the contract's name for each column of the file, in the file's order; its own name where the contract has none.
        problem: in one sentence without a full stop; empty where there is none.
    """

    columns: tuple[str, ...]
    problem: str = ""


def header_of(
    line: str,
    text: str,
    columns: Sequence[str],
    optional: Sequence[str],
    style: FileFormat,
    unknown: Evolution = Evolution.FREEZE,
) -> Names:
    """The columns that the first line of a CSV file names.

    What the line says is repeated only where it is a header of this feed for the most part: else it may be anything.

    Args:
        line: the one where the header should be.
        text: the beginning of the file, from its first line on; it is looked at where the header is not what it should be.
        columns: the contract's.
        optional: those of them that a file may lack.
        style: how the file is read.
        unknown: what is done with columns that the contract does not name.
    """
    if style.header is Header.NONE:
        return _headless(line, columns, style)
    if not line.strip():
        return Names(
            (),
            "empty file, or its first line is"
            if not style.skip_lines
            else f"nothing where the header should be, on line {style.skip_lines + 1}",
        )
    if len(line) > _LONGEST_HEADER:
        return Names((), f"header cannot be read: it has more than {_LONGEST_HEADER:,} characters")
    try:
        names = _values(line, style)
    except csv.Error as error:
        return Names((), f"header cannot be read: {error}")
    found = match(names, columns, optional, style.header, unknown)
    if found.problem:
        advice = _advice(text, line, names, columns, optional, style)
        return Names((), found.problem + (advice or _general_advice(names, columns, optional, unknown)))
    return found


def match(
    names: Sequence[str],
    columns: Sequence[str],
    optional: Sequence[str],
    how: Header,
    unknown: Evolution = Evolution.FREEZE,
) -> Names:
    """The contract's columns for the names of a file; names of others are taken unless ``unknown`` is ``freeze``."""
    plain = (
        {_plain(name): name for name in columns} if how is Header.NAMES else {name: name for name in columns}
    )
    known = [plain.get(_plain(name) if how is Header.NAMES else name) for name in names]
    found = [name for name in known if name is not None]
    missing = [name for name in columns if name not in found and name not in optional]
    excess = [name for name, column in zip(names, known, strict=True) if column is None]
    twice = [name for name in columns if found.count(name) > 1]
    others = [name.strip() for name in excess] if how is Header.NAMES else excess
    is_taken = bool(found) and unknown is not Evolution.FREEZE
    if excess and is_taken and not missing and not twice and (refused := _not_taken(others, columns)):
        return Names((), refused)
    if not missing and not twice and (is_taken or not excess):
        if how is Header.EXACT and found != [name for name in columns if name in found]:
            return Names(
                (),
                f"header has the columns in another order: {', '.join(names)[:200]}; to take them by name, "
                "set header: names in the contract",
            )
        own = iter(others)
        return Names(tuple(next(own) if name is None else name for name in known))
    parts = [f"{_named(twice)} twice"] if twice else []
    parts += [f"missing {_named(missing)}"] if missing else []
    if excess:
        is_known = len(missing) * 2 <= len(columns)
        parts.append(f"unknown {_named(excess)}" if is_known else f"{len(excess)} unknown")
    return Names((), f"header differs: {'; '.join(parts)}")


def _not_taken(others: Sequence[str], columns: Sequence[str]) -> str:
    """Why a column that the contract does not name cannot be taken under its name; empty where all can."""
    for name in others:
        if why := why_not(Kind.COLUMN, name):
            return f"has the column {shown(name)}, which the contract does not name and which cannot be kept: {why}"
        if name.startswith("_") or name.lower() in _OF_READERS:
            return f"has the column {shown(name)}, which the contract does not name and which cannot be kept: the name is reserved"
    for first, second in twins([*columns, *others]):
        return f"has the column {shown(second)}, which differs from {shown(first)} only in its spelling, or is there twice"
    return ""


def keys_of(
    found: Mapping[str, str],
    columns: Sequence[str],
    optional: Sequence[str],
    kind: FileKind,
    how: Header,
    unknown: Evolution = Evolution.FREEZE,
) -> Names:
    """The contract's columns for the keys of JSON or the columns of Parquet, in the order given.

    Args:
        found: name in the file to where it is, such as "line 5"; empty where that says nothing.
        columns: the contract's.
        optional: those of them that a file may lack.
        kind: what the file is.
        how: how names are compared; their order is none.
        unknown: what is done with those that the contract does not name.
    """
    what = "keys differ" if kind is FileKind.JSON else "columns differ"
    by = Header.NAMES if how is Header.NAMES else Header.NONE
    names = match(list(found), columns, optional, by, unknown)
    if not names.problem:
        return names
    problem = names.problem.replace("header differs", what)
    excess = next((name for name in found if name not in columns and found[name]), None)
    where = f" (first on {found[excess]})" if excess else ""
    if by is not Header.NAMES and not match(list(found), columns, optional, Header.NAMES).problem:
        return Names(
            (),
            f"{problem}{where}; to compare names without regard to case, set header: names in the contract",
        )
    return Names((), problem + where + _general_advice(list(found), columns, optional, unknown))


def _headless(line: str, columns: Sequence[str], style: FileFormat) -> Names:
    try:
        names = _values(line, style)
    except csv.Error:
        names = []
    if names and not match(names, columns, (), Header.NAMES).problem:
        return Names(
            (),
            f"line {style.skip_lines + 1} is a header, and the contract says that there is none: set header: exact, "
            f"or skipLines: {style.skip_lines + 1}",
        )
    return Names(tuple(columns))


def width_of(line: str, style: FileFormat) -> int:
    """How many columns a header has; 0 where it cannot be read."""
    try:
        return len(_values(line, style))
    except csv.Error:
        return 0


def _values(line: str, style: FileFormat) -> list[str]:
    escape = style.escape if style.escape != style.quote else ""
    reader = csv.reader(
        io.StringIO(line), delimiter=style.delimiter, quotechar=style.quote, escapechar=escape or None
    )
    return next(reader, [])


def _advice(
    text: str,
    line: str,
    names: Sequence[str],
    columns: Sequence[str],
    optional: Sequence[str],
    style: FileFormat,
) -> str:
    """What would make this header fit, if it is one thing; empty if it is not."""

    def fits(values: Sequence[str], how: Header = Header.NAMES) -> bool:
        return not match(values, columns, optional, how).problem

    for sign, name in _DELIMITERS.items():
        if sign != style.delimiter and fits([part.strip('" ') for part in line.split(sign)]):
            return f"; it is delimited by {name}, which the contract's customProperty delimiter has to say"
    if elsewhere := _on_another_line(text, fits, style):
        return elsewhere
    if fits(names):
        return (
            "; only upper and lower case, blanks or the order are other: have the producer write them as the contract "
            "does, or set header: names"
        )
    if len(names) == len(columns) and not any(_plain(name) in map(_plain, columns) for name in names):
        return (
            f"; line {style.skip_lines + 1} has {plural(len(names), 'value')} and the name of no column: if the files have no "
            "header, set header: none in the contract"
        )
    return ""


def _on_another_line(text: str, fits: Callable[[Sequence[str]], bool], style: FileFormat) -> str:
    """On which line the header is, and how it is delimited there; empty if it is on none."""
    for number, other in enumerate(text.splitlines()[:_LOOKED_AT], 1):
        if number == style.skip_lines + 1 or len(other) > _LONGEST_HEADER or not other.strip():
            continue
        try:
            values = _values(other, style)
        except csv.Error:
            continue
        if fits(values):
            return f"; the header is on line {number}: set skipLines: {number - 1} in the contract"
        for sign, name in _DELIMITERS.items():
            if sign != style.delimiter and fits([part.strip('" ') for part in other.split(sign)]):
                return (
                    f"; the header is on line {number}, delimited by {name}: set skipLines: {number - 1} and delimiter "
                    "in the contract"
                )
    return ""


def _general_advice(
    names: Sequence[str], columns: Sequence[str], optional: Sequence[str], unknown: Evolution
) -> str:
    missing = [name for name in columns if name not in names and name not in optional]
    excess = [name for name in names if name not in columns]
    if len(set(names)) < len(names):
        return "; each column must be in the header only once"
    if not missing and set(excess) == {""}:
        at_end = names[-1] == ""
        return f"; {'a delimiter at the end of the header makes one: remove it' if at_end else 'name it, or remove it'}"
    if missing and not excess:
        return "; add the column to the file, or describe files without it as a feed of their own"
    if missing or unknown is not Evolution.FREEZE:
        return ""
    return (
        "; schemaContract of the contract has columns: freeze: to take a new column, add it to the contract, or set evolve, "
        "discard_value or discard_row"
    )


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _named(names: Sequence[str]) -> str:
    return ", ".join(name[:60] or "a column without a name" for name in names[:8]) + (
        " …" if len(names) > 8 else ""
    )
