"""How many records a CSV file holds, counted without DuckDB while the file is hashed.

DuckDB 1.5.5 drops the error of a quote that is never closed when it reads many files at once, and with it every row after
the quote. What it reads is therefore compared with this count, which follows RFC 4180 and the one liberty that
producers take often: a quote inside a value that is not quoted stands for itself (``5" nail``).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slipway.landing.feeds import Feed

_LF, _CR, _BLANK = b"\n", b"\r", b" "
_BOM = codecs.BOM_UTF8
_LONGEST = 1 << 22  # bytes of a line; DuckDB refuses lines of more than 2,000,000
Signs = NDArray[np.uint8]
Positions = NDArray[np.intp]
Marks = NDArray[np.bool_]
Outside = Callable[[Positions], Marks]
"""Tells which of some positions are outside quoted values."""


class _Ends(NamedTuple):
    """Line ends of one kind: where each begins, and its length in bytes."""

    name: str
    at: Positions
    length: int


class CsvRecords:
    """A count that takes the bytes of a file block by block, and keeps at most one line of them.

    Args:
        feed: whose delimiter and quote the file has.
    """

    def __init__(self, feed: Feed) -> None:
        self._quote, self._delimiter = feed.quote.encode(), feed.delimiter.encode()
        # of one column, a blank line is a record without a value
        self._blank_lines_count = len(feed.columns) == 1
        self._bounds: Marks | None = None
        if len(self._delimiter) == 1:  # what may stand at the outer side of a quote
            self._bounds = np.zeros(256, np.bool_)
            self._bounds[list(self._quote + self._delimiter + _LF + _CR)] = True
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._rest: bytes | None = None
        self._records = self._lines = 0
        self._inside = False
        self._opened = 0  # line of the quote that is open
        self._kind: tuple[str, int] | None = None
        self._problem = ""

    def add(self, block: bytes) -> None:
        """Take the next bytes of the file."""
        if self._problem:
            return
        if self._rest is None:
            block, self._rest = block.removeprefix(_BOM), b""
        self._check_encoding(block)
        block = self._rest + block if self._rest else block
        cut = block.rfind(_LF) + 1 or block.rfind(_CR, 0, -1) + 1
        if cut and not self._problem:
            self._take(block, cut)
        self._rest = block[cut:]
        if len(self._rest) > _LONGEST:
            self._fail(self._lines + 1, f"is longer than {_LONGEST:,} bytes")

    def end(self) -> int | str:
        """Records after the header, or why the file is not CSV of this dialect, in one line."""
        if not self._problem:
            self._check_encoding(b"", final=True)
        if self._rest and not self._problem:
            self._take(self._rest, len(self._rest))
            self._records += not self._rest.endswith((_LF, _CR))
        if self._inside:
            self._fail(self._opened, f"opens a quote ({self._quote.decode()}) that is never closed")
        return self._problem or max(self._records - 1, 0)

    def _fail(self, line: int, what: str) -> None:
        self._problem = self._problem or f"line {line} {what}"

    def _check_encoding(self, block: bytes, *, final: bool = False) -> None:
        if block.isascii() and not final and not self._decoder.getstate()[0]:
            return
        try:
            self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            before = (self._rest or b"") + block[: max(error.start - len(self._decoder.getstate()[0]), 0)]
            line = self._lines + 1 + before.count(_LF) + before.count(_CR) - before.count(_CR + _LF)
            found = error.object[error.start : error.start + 1].hex()
            self._fail(line, f"is not UTF-8 (byte {found}): feeds are read as UTF-8")

    def _take(self, block: bytes, size: int) -> None:
        """Count in the first bytes of a block, which are whole lines, or the rest of the file."""
        signs = np.frombuffer(block, np.uint8, size)
        ends = _line_ends(block, signs)
        physical = ends[0].at if len(ends) == 1 else np.sort(np.concatenate([kind.at for kind in ends]))
        quotes = np.flatnonzero(signs == self._quote[0]) if self._quote in block else np.empty(0, np.intp)
        if len(quotes):
            outside = self._in_pairs(signs, quotes, physical) or self._in_runs(block, signs, quotes, physical)
            ends = [kind._replace(at=kind.at[outside(kind.at)]) for kind in ends]
        elif self._inside:
            ends = []
        self._check_kinds(ends, physical)
        self._records += self._whole(ends)
        self._lines += len(physical)

    def _whole(self, ends: list[_Ends]) -> int:
        """Records that end here; a line with nothing on it is none."""
        ended = sum(len(kind.at) for kind in ends)
        if self._blank_lines_count:
            return ended
        blank = sum(
            int(np.count_nonzero(np.diff(kind.at) == kind.length)) + int(len(kind.at) and kind.at[0] == 0)
            for kind in ends
        )
        return ended - blank

    def _check_kinds(self, ends: list[_Ends], physical: Positions) -> None:
        """All lines of a file have to end alike: DuckDB gives up, and other readers disagree about what is a line."""
        for kind in sorted((kind for kind in ends if len(kind.at)), key=lambda kind: int(kind.at[0])):
            line = self._line(int(kind.at[0]), physical)
            if self._kind is None:
                self._kind = (kind.name, line)
            elif self._kind[0] != kind.name:
                name, first = self._kind
                self._fail(
                    line, f"ends in {kind.name}, and line {first} in {name}: end all lines of a file alike"
                )

    def _in_pairs(self, signs: Signs, quotes: Positions, physical: Positions) -> Outside | None:
        """Where values end if every quote opens, closes or repeats one, as in most files; None if one does not."""
        was_inside = int(self._inside)
        opens, closes = quotes[was_inside::2], quotes[1 - was_inside :: 2]
        before = opens[int(len(opens) > 0 and opens[0] == 0) :] - 1
        behind = closes[: len(closes) - int(len(closes) > 0 and closes[-1] == len(signs) - 1)] + 1
        if self._bounds is None or not (
            self._bounds[signs[before]].all() and self._bounds[signs[behind]].all()
        ):
            return None
        self._inside = (len(quotes) + was_inside) % 2 == 1
        if self._inside and len(opens):
            self._opened = self._line(int(opens[-1]), physical)
        return lambda at: (np.searchsorted(quotes, at) + was_inside) % 2 == 0

    def _in_runs(self, block: bytes, signs: Signs, quotes: Positions, physical: Positions) -> Outside:
        """Where values end, by runs of quotes that touch each other.

        A run at the start of a value opens it, two quotes inside a value stand for one, and a run in the middle of a
        value that is not quoted stands for itself. So a run of even length changes nothing. One of odd length at the
        start of a value, or behind what looks like it inside a quoted one, turns the state; any other closes what is
        open.
        """
        first = np.concatenate(([True], np.diff(quotes) > 1))
        starts = quotes[first]
        stops = quotes[np.concatenate((first[1:], [True]))] + 1
        odd = (stops - starts) % 2 == 1
        leads = self._is_before(signs, starts)
        turns = np.cumsum(odd & leads)
        since = np.maximum.accumulate(np.where(odd & ~leads, np.arange(len(starts)), -1))
        after = (turns - np.where(since >= 0, turns[since], -int(self._inside))) % 2 == 1
        before = np.concatenate(([self._inside], after[:-1]))
        self._check_blanks(signs, starts[~before & ~leads], physical)
        wrong = np.where(before, odd, leads & ~odd) & ~self._is_behind(signs, stops)
        if wrong.any():
            where = int(stops[np.argmax(wrong)])
            self._fail(self._line(where, physical), _after_quote(block[where:]))
        self._inside = bool(after[-1])
        opened = np.flatnonzero(after & ~before)
        if self._inside and len(opened):
            self._opened = self._line(int(starts[opened[-1]]), physical)
        known = np.concatenate(([before[0]], after))
        return lambda at: ~known[np.searchsorted(starts, at)]

    def _check_blanks(self, signs: Signs, starts: Positions, physical: Positions) -> None:
        """A blank between delimiter and quote: readers disagree whether the value is quoted."""
        where = starts
        back = 1
        while len(where := where[(where >= back)]):
            where = where[signs[where - back] == _BLANK[0]]
            if self._delimiter != _BLANK:
                found = where[self._is_before(signs, where - back)]
                if len(found):
                    self._fail(
                        self._line(int(found.min()), physical),
                        "has a blank between a delimiter and a quote: readers disagree whether such a value is quoted",
                    )
                    return
            back += 1

    def _is_before(self, signs: Signs, where: Positions) -> Marks:
        """Whether a value can begin at these positions: after a delimiter, a line's end, or nothing."""
        previous = signs[np.maximum(where - 1, 0)]
        found: Marks = (where == 0) | (previous == _LF[0]) | (previous == _CR[0])
        return found | _equals(signs, where - len(self._delimiter), self._delimiter)

    def _is_behind(self, signs: Signs, where: Positions) -> Marks:
        """Whether a value can end at these positions."""
        following = signs[np.minimum(where, len(signs) - 1)]
        found: Marks = (where >= len(signs)) | (following == _LF[0]) | (following == _CR[0])
        return found | _equals(signs, where, self._delimiter)

    def _line(self, where: int, physical: Positions) -> int:
        return self._lines + 1 + int(np.searchsorted(physical, where))


def _equals(signs: Signs, where: Positions, text: bytes) -> Marks:
    """Whether a text stands at each of the positions."""
    fits = (where >= 0) & (where + len(text) <= len(signs))
    for offset, sign in enumerate(text):
        fits &= signs[np.clip(where + offset, 0, len(signs) - 1)] == sign
    return fits


def _line_ends(block: bytes, signs: Signs) -> list[_Ends]:
    feeds = np.flatnonzero(signs == _LF[0])
    if _CR not in block:
        return [_Ends("LF", feeds, 1)]
    returns = np.flatnonzero(signs == _CR[0])
    pairs = _equals(signs, returns + 1, _LF)
    bare = feeds[~_equals(signs, feeds - 1, _CR)]
    return [_Ends("LF", bare, 1), _Ends("CR LF", returns[pairs], 2), _Ends("CR", returns[~pairs], 1)]


def _after_quote(rest: bytes) -> str:
    found = rest[:4].decode("utf-8", "ignore")[:1]
    if found == " ":
        return "has a blank between a quote and a delimiter: readers disagree whether it belongs to the value"
    return f"has {found!r} after a closing quote: inside a quoted value a quote is written twice"
