"""How many records a file of JSON lines holds, counted without DuckDB, and the same records with their values as text.

DuckDB 1.5.5 gives a number back as it would write it itself: ``1.50`` as ``1.5``, and of more than 17 digits others. So
numbers, lists and objects that are values of a record are put between quotes here; then what DuckDB reads is what the
file says. Between quotes DuckDB takes everything, so whether they are JSON is checked here, too. Source of the format: jsonlines.org and RFC 8259.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import duckdb
import numpy as np
from numpy.typing import NDArray

from slipway.landing.csv_records import escaped

_LF, _CR = b"\n", b"\r"
_LONGEST = 1 << 24  # bytes of a line, which is what DuckDB reads at most
Signs = NDArray[np.uint8]
Marks = NDArray[np.bool_]
Positions = NDArray[np.intp]
_QUOTE, _ESCAPE = ord('"'), ord("\\")
_NUMBER = np.zeros(256, np.bool_)
_NUMBER[list(b"0123456789+-.eE")] = True
_FIRST = np.zeros(256, np.bool_)
_FIRST[list(b"-0123456789")] = True
_BLANK = np.zeros(256, np.bool_)
_BLANK[list(b" \t\r\n")] = True
_WRITTEN = np.arange(256, dtype=np.uint8)
"""Signs as they are written after a backslash: between values there may be tabs and returns, and in a string there may not."""
_WRITTEN[list(b"\t\r")] = list(b"tr")
_PROTECTED = np.zeros(256, np.bool_)
_PROTECTED[list(b'"\\\t\r')] = True
_NUMBERS = re.compile(rb"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\n)*+")
"""Numbers of RFC 8259, section 6, each with a line end."""
_NO_NUMBER = (
    "is not JSON: a value begins as a number does and is none, as 01 or 1-2: the producer has to correct it"
)
_NO_NESTED = (
    "is not JSON: a list or an object in it is not written as JSON demands: the producer has to correct it"
)
_DIVIDES, _OF_NUMBER = 1, 2
_KINDS = bytearray(256)
for _sign in b'"{}[],:\n':
    _KINDS[_sign] = _DIVIDES
for _sign in b"0123456789+-.eE":
    _KINDS[_sign] = _OF_NUMBER


class _Flat(NamedTuple):
    """Records and lines of a block, and where its numbers begin and end."""

    records: int
    lines: int
    starts: Positions
    stops: Positions


class JsonRecords:
    """A count that takes UTF-8 block by block, and keeps at most one line of it.

    Args:
        skipped: lines above the first one.
        sink: takes the records with their values as text.
    """

    def __init__(self, skipped: int, sink: Callable[[bytes], object]) -> None:
        self._sink = sink
        self._rest = b""
        self._records, self._lines = 0, skipped
        self._problem = ""

    @property
    def line(self) -> int:
        """The line that comes next, or goes on; from 1."""
        return self._lines + 1 + self._rest.count(_LF)

    def add(self, block: bytes) -> None:
        """Take the next bytes of the file."""
        if self._problem:
            return
        block = self._rest + block if self._rest else block
        cut = block.rfind(_LF) + 1
        if cut:
            self._take(block[:cut])
        self._rest = block[cut:]
        if len(self._rest) > _LONGEST:
            self._fail(
                self._lines + 1, f"is longer than {_LONGEST:,} bytes: each record stands on a line of its own"
            )

    def end(self) -> int | str:
        """Records, or why the file is not JSON lines, in one line."""
        if self._rest and not self._problem:
            self._take(self._rest + _LF)
        return self._problem or self._records

    def _fail(self, line: int, what: str) -> None:
        self._problem = self._problem or f"line {line} {what}"

    def _take(self, block: bytes) -> None:
        """Count in whole lines."""
        signs = np.frombuffer(block, np.uint8)
        if (flat := _flat(block, signs)) is not None:
            if self._has_no_number(signs, flat.starts, flat.stops):
                return
            self._records += flat.records
            self._lines += flat.lines
            self._sink(_with_quoted(signs, flat.starts, flat.stops))
            return
        quotes = np.flatnonzero(signs == _QUOTE)
        if b"\\" in block:
            quotes = quotes[~escaped(signs, quotes, _ESCAPE)]
        marks = np.zeros(len(signs), np.uint8)
        marks[quotes] = 1
        outside = np.bitwise_xor.accumulate(marks) == 0  # of a closing quote, too
        ends = np.flatnonzero(signs == _LF[0])
        opens = ((signs == ord("{")) | (signs == ord("["))) & outside
        closes = ((signs == ord("}")) | (signs == ord("]"))) & outside
        depth = np.cumsum(opens.astype(np.int32) - closes.astype(np.int32))
        if self._check(block, signs, ends, outside, depth):
            return
        starts, stops = _values(signs, outside & (marks == 0) & (depth == 1))
        nested = _nested(opens, closes, depth)
        if self._has_no_number(signs, starts, stops) or self._has_no_nested(block, *nested):
            return
        self._lines += len(ends)
        self._sink(_as_text(signs, (starts, stops), nested, closes, depth))

    def _has_no_number(self, signs: Signs, starts: Positions, stops: Positions) -> bool:
        """Whether one of the texts is no number of JSON."""
        lengths = stops - starts + 1
        text = np.full(lengths.sum(), _LF[0], np.uint8)
        kept = np.ones(len(text), np.bool_)
        kept[np.cumsum(lengths) - 1] = False
        text[kept] = signs[_inner(starts, stops)]
        whole = text.tobytes()
        found = _NUMBERS.match(whole)
        end = found.end() if found else 0
        if end == len(whole):
            return False
        self._fail_at(signs, int(starts[whole.count(_LF, 0, end)]), _NO_NUMBER)
        return True

    def _has_no_nested(self, block: bytes, starts: Positions, stops: Positions) -> bool:
        """Whether one of the texts, each of which ends with the bracket that belongs to its first one, is not JSON."""
        pairs = list(zip(starts.tolist(), stops.tolist(), strict=True))
        if _is_json(b"[" + b",".join(block[start:stop] for start, stop in pairs) + b"]"):
            return False
        wrong = next(start for start, stop in pairs if not _is_json(block[start:stop]))
        self._fail_at(np.frombuffer(block, np.uint8), wrong, _NO_NESTED)
        return True

    def _fail_at(self, signs: Signs, where: int, what: str) -> None:
        self._fail(self._lines + 1 + int(np.count_nonzero(signs[:where] == _LF[0])), what)

    def _check(
        self, block: bytes, signs: Signs, ends: NDArray[np.intp], outside: Marks, depth: Signs
    ) -> bool:
        """Whether a line is no whole object; counts the others."""
        starts = np.concatenate(([0], ends[:-1] + 1))
        filled = np.add.reduceat((~_BLANK[signs]).astype(np.int32), starts) > 0
        where = np.flatnonzero(~_BLANK[signs])
        firsts = (
            signs[where[np.searchsorted(where, starts[filled])]] if filled.any() else np.empty(0, np.uint8)
        )
        lines = np.flatnonzero(filled)
        wrong = np.flatnonzero(~outside[ends] | (depth[ends] != 0))
        other = lines[firsts != ord("{")]
        bad = min([*wrong[:1].tolist(), *other[:1].tolist()], default=None)
        if bad is None:
            self._records += len(lines)
            return False
        text = block[starts[bad] : ends[bad]].strip()
        self._fail(self._lines + 1 + int(bad), _why_no_object(text))
        return True


def _why_no_object(text: bytes) -> str:
    if text.startswith(b"["):
        return (
            "begins a JSON list, and each line has to be one JSON object: have the producer write JSON lines, "
            "without brackets and commas around the objects"
        )
    if text.startswith(b"{"):
        return (
            "is not one whole JSON object: the file may be cut off, or its objects go over several lines: have the "
            "producer write each object on one line"
        )
    return 'is not a JSON object: each line has to be one, as in {"id": 1}'


def _flat(block: bytes, signs: Signs) -> _Flat | None:
    """What is in lines of which each is empty or one object without lists and objects in it; None if one is not, or in doubt.

    Of the bytes only those are looked at that divide values, a quarter of most files.
    """
    kinds = np.frombuffer(block.translate(_KINDS), np.uint8)
    at = np.flatnonzero(kinds == _DIVIDES)
    what = signs[at]
    is_quote = what == _QUOTE
    if b"\\" in block:
        keep = ~is_quote
        keep[is_quote] = ~escaped(signs, at[is_quote], _ESCAPE)
        at, what, is_quote = at[keep], what[keep], is_quote[keep]
    inside = np.bitwise_xor.accumulate(is_quote)  # of an opening quote, too
    shown = is_quote == inside  # openings of strings, and what is outside of them
    lines = np.count_nonzero(what == _LF[0])
    at, what = at[shown], what[shown]
    ends = np.flatnonzero(what == _LF[0])
    opens = np.flatnonzero((what == ord("{")) | (what == ord("[")))
    closes = np.flatnonzero((what == ord("}")) | (what == ord("]")))
    if len(ends) != lines or len(opens) != len(closes):
        return None
    if (what[opens] != ord("{")).any() or (what[closes] != ord("}")).any():
        return None
    of = np.searchsorted(ends, opens)
    starts = np.concatenate(([0], at[ends[:-1]] + 1))
    is_one = (starts[of] == at[opens]).all() and (of == np.searchsorted(ends, closes)).all()
    # each line has one at its start, so that no line has two
    if not is_one or np.count_nonzero(starts != at[ends]) != len(opens):
        return None
    numbers = _flat_numbers(signs, kinds, at, what)
    return None if numbers is None else _Flat(len(opens), int(lines), *numbers)


def _flat_numbers(
    signs: Signs, kinds: Signs, at: Positions, what: Signs
) -> tuple[Positions, Positions] | None:
    """Where the numbers begin and end that stand between a colon and what ends a value; None if one of them is none."""
    colons = np.flatnonzero(what[:-1] == ord(":"))
    colons = colons[(what[colons + 1] == ord(",")) | (what[colons + 1] == ord("}"))]
    starts, stops = at[colons] + 1, at[colons + 1]
    while len(blank := np.flatnonzero(_BLANK[signs[starts]])):
        starts[blank] += 1
    while len(blank := np.flatnonzero(_BLANK[signs[stops - 1]])):
        stops[blank] -= 1
    is_number = _FIRST[signs[starts]]
    starts, stops = starts[is_number], stops[is_number]
    return (starts, stops) if (kinds[_inner(starts, stops)] == _OF_NUMBER).all() else None


def _inner(starts: Positions, stops: Positions) -> Positions:
    """Every position from each start to its stop."""
    lengths = stops - starts
    found: Positions = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


# texts are only looked at: numbers of any length are no numbers here, and NaN and Infinity are not of JSON
_DECODER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=_refuse)


def _is_json(text: bytes) -> bool:
    try:
        _DECODER.decode(text.decode("utf-8", "surrogatepass"))
    except RecursionError:  # DuckDB's parser reads any depth
        found = duckdb.execute("select json_valid(?)", [text.decode("utf-8", "replace")]).fetchall()
        return bool(found[0][0])
    except ValueError:
        return False
    return True


def _values(signs: Signs, where: Marks) -> tuple[Positions, Positions]:
    """Where numbers that are values begin and end, among the places where they count: keys are none."""
    found = np.flatnonzero(_NUMBER[signs] & where)
    apart = np.diff(found) > 1
    starts = found[np.concatenate(([True], apart))] if len(found) else found
    stops = found[np.concatenate((apart, [True]))] + 1 if len(found) else found
    is_number = _FIRST[signs[starts]]  # the e of true is none
    starts, stops = starts[is_number], stops[is_number]
    before = starts - 1  # a bracket at least is there
    while len(blank := np.flatnonzero(_BLANK[signs[before]])):
        before[blank] -= 1
    is_value = signs[before] == ord(":")
    return starts[is_value], stops[is_value]


def _nested(opens: Marks, closes: Marks, depth: Signs) -> tuple[Positions, Positions]:
    """Where lists and objects that are values of a record begin and end."""
    starts = np.flatnonzero(opens & (depth == 2) & np.concatenate(([True], depth[:-1] == 1)))
    return starts, np.flatnonzero(closes & (depth == 1)) + 1


def _with_quoted(signs: Signs, starts: Positions, stops: Positions) -> bytes:
    """A text with quotes around some of its parts."""
    where = np.empty(2 * len(starts), np.intp)
    where[::2], where[1::2] = starts, stops
    where += np.arange(len(where))
    text = np.empty(len(signs) + len(where), np.uint8)
    kept = np.ones(len(text), np.bool_)
    kept[where] = False
    text[where], text[kept] = _QUOTE, signs
    return text.tobytes()


def _as_text(
    signs: Signs,
    numbers: tuple[Positions, Positions],
    nested: tuple[Positions, Positions],
    closes: Marks,
    depth: Signs,
) -> bytes:
    """Records in which each value is a string, a truth value or null."""
    inner = (depth >= 2) | (closes & (depth == 1))
    protected = np.flatnonzero(inner & _PROTECTED[signs])
    if (_WRITTEN[signs[protected]] != signs[protected]).any():
        signs = signs.copy()
        signs[protected] = _WRITTEN[signs[protected]]
    around = np.concatenate([*numbers, *nested])
    where = np.concatenate([around, protected])
    if not len(where):
        return signs.tobytes()
    what = np.full(len(where), _QUOTE, np.uint8)
    what[len(around) :] = _ESCAPE
    order = np.argsort(where, kind="stable")
    return np.insert(signs, where[order], what[order]).tobytes()
