"""How many records a CSV file holds, counted without DuckDB while the file is hashed.

DuckDB 1.5.5 drops the error of a quote that is never closed when it reads many files at once, and with it every row after
the quote. What it reads is therefore compared with this count, which follows RFC 4180 and the liberties that
producers take often: a quote inside a value that is not quoted stands for itself (``5" nail``), and lines may end in
different ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slipway.landing.formats import FileFormat, Header

_LF, _CR, _BLANK = b"\n", b"\r", b" "
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
    """A count that takes UTF-8 block by block, and keeps at most one line of it.

    Args:
        style: how the file is read.
        columns: how many a record has; may be set until the first line is complete.
        skipped: lines above the header.
        sink: takes the same text, with every line end that ends a record made LF.
    """

    def __init__(
        self,
        style: FileFormat,
        columns: int,
        skipped: int = 0,
        sink: Callable[[bytes], object] | None = None,
    ) -> None:
        self._quote, self._delimiter = style.quote.encode(), style.delimiter.encode()
        self._escape = style.escape.encode() if style.escape and style.escape != style.quote else b""
        self._header = int(style.header is not Header.NONE)
        self.columns = columns
        self._sink = sink
        self._bounds: Marks | None = None
        if len(self._delimiter) == 1:  # what may stand at the outer side of a quote
            self._bounds = np.zeros(256, np.bool_)
            self._bounds[list(self._quote + self._delimiter + _LF + _CR)] = True
        self._rest = b""
        self._records, self._lines = 0, skipped
        self._inside = False
        self._opened = 0  # line of the quote that is open
        self._kinds: set[str] = set()
        self._problem = ""

    @property
    def is_mixed(self) -> bool:
        """Whether lines end in different ways, so that only the text that the sink got can be read by DuckDB."""
        return len(self._kinds) > 1

    @property
    def line(self) -> int:
        """The line that comes next, or goes on; from 1."""
        rest = self._rest
        return self._lines + 1 + rest.count(_LF) + rest.count(_CR) - rest.count(_CR + _LF)

    def add(self, block: bytes) -> None:
        """Take the next bytes of the file."""
        if self._problem:
            return
        block = self._rest + block if self._rest else block
        # a return at the very end may be the first half of a line end
        cut = max(block.rfind(_LF), block.rfind(_CR, 0, -1)) + 1
        if cut:
            self._take(block, cut)
        self._rest = block[cut:]
        if len(self._rest) > _LONGEST:
            self._fail(
                self._lines + 1,
                f"is longer than {_LONGEST:,} bytes: the producer may have written another line end, or no closing quote",
            )

    def end(self) -> int | str:
        """Records after the header, or why the file is not CSV of this format, in one line."""
        if self._rest and not self._problem:
            self._take(self._rest, len(self._rest))
            self._records += not self._rest.endswith((_LF, _CR))
        if self._inside:
            self._fail(
                self._opened,
                f"opens a quote ({self._quote.decode()}) that is never closed: the producer has to close it, or to write "
                "quotes inside of a value twice",
            )
        return self._problem or max(self._records - self._header, 0)

    def _fail(self, line: int, what: str) -> None:
        self._problem = self._problem or f"line {line} {what}"

    def _take(self, block: bytes, size: int) -> None:
        """Count in the first bytes of a block, which are whole lines, or the rest of the file."""
        signs = np.frombuffer(block, np.uint8, size)
        ends = _line_ends(block, signs)
        physical = ends[0].at if len(ends) == 1 else np.sort(np.concatenate([kind.at for kind in ends]))
        quotes = self._quotes(block, signs)
        outside: Outside = self._everywhere
        if len(quotes):
            outside = self._in_pairs(signs, quotes, physical) or self._in_runs(block, signs, quotes, physical)
        self._check_escapes(block, signs, outside, physical)
        if len(quotes) or self._inside:
            ends = [kind._replace(at=kind.at[outside(kind.at)]) for kind in ends]
        self._records += self._whole(ends)
        self._lines += len(physical)
        self._kinds.update(kind.name for kind in ends if len(kind.at))
        if self._sink is not None:
            self._sink(_with_line_feeds(block, signs, ends))

    def _everywhere(self, at: Positions) -> Marks:
        """Where values end in a block without quotes."""
        return np.full(len(at), not self._inside)

    def _check_escapes(self, block: bytes, signs: Signs, outside: Outside, physical: Positions) -> None:
        """An escape before a delimiter that no quotes surround: readers disagree whether it ends the value; and one inside of quotes that would be left out."""
        if not self._escape or self._escape not in block:
            return
        after = np.flatnonzero(_equals(signs, np.arange(len(signs)), self._delimiter))
        found = np.flatnonzero(self._is_line_end(signs))
        after = np.sort(np.concatenate([after, found]))
        after = after[escaped(signs, after, self._escape[0])]
        after = after[outside(after)]
        if len(after):
            self._fail(
                self._line(int(after[0]), physical),
                f"has {self._escape.decode()} before a delimiter or a line end outside of quotes: readers disagree whether "
                "the value ends there, so the producer has to put quotes around it",
            )
        at = np.flatnonzero(signs[:-1] == self._escape[0])
        at = at[~escaped(signs, at, self._escape[0])]
        at = at[~self._may_be_escaped(signs, at + 1)]
        at = at[~outside(at)]
        if len(at):
            sign = self._escape.decode()
            self._fail(
                self._line(int(at[0]), physical),
                f"has {sign} inside of quotes before what needs no escape, where readers leave it out or take both for another character: the producer has to write "
                f"{sign} twice where it belongs to the value, and other characters as they are",
            )

    def _may_be_escaped(self, signs: Signs, where: Positions) -> Marks:
        """Whether what stands at these positions is a quote, an escape, a delimiter or a line end."""
        found: Marks = np.isin(signs[where], list(self._quote + self._escape + _LF + _CR))
        return found | _equals(signs, where, self._delimiter)

    @staticmethod
    def _is_line_end(signs: Signs) -> Marks:
        found: Marks = (signs == _LF[0]) | (signs == _CR[0])
        return found

    def _quotes(self, block: bytes, signs: Signs) -> Positions:
        """Where quotes are that open or close a value, or are one of two."""
        if self._quote not in block:
            return np.empty(0, np.intp)
        quotes = np.flatnonzero(signs == self._quote[0])
        if not self._escape or self._escape not in block:
            return quotes
        return quotes[~escaped(signs, quotes, self._escape[0])]

    def _whole(self, ends: list[_Ends]) -> int:
        """Records that end here; a line with nothing on it is none."""
        ended = sum(len(kind.at) for kind in ends)
        if self.columns == 1:  # a blank line is a record without a value
            return ended
        at = np.concatenate([kind.at for kind in ends]) if ends else np.empty(0, np.intp)
        stops = np.concatenate([kind.at + kind.length for kind in ends]) if ends else at
        if len(ends) > 1:
            at, stops = np.sort(at), np.sort(stops)
        blank = int(np.count_nonzero(at[1:] == stops[:-1])) + int(len(at) and at[0] == 0)
        return ended - blank

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


def escaped(signs: Signs, where: Positions, escape: int) -> Marks:
    """Whether an odd number of escape characters stands right before each of the positions."""
    at = np.arange(len(signs))
    last = np.maximum.accumulate(np.where(signs != escape, at, -1))
    run = np.where(where > 0, where - 1 - last[np.maximum(where - 1, 0)], 0)
    found: Marks = run % 2 == 1
    return found


def _with_line_feeds(block: bytes, signs: Signs, ends: list[_Ends]) -> bytes:
    """A text in which the given line ends are LF."""
    if all(kind.name == "LF" or not len(kind.at) for kind in ends):
        return block[: len(signs)]
    made, kept = signs.copy(), np.ones(len(signs), np.bool_)
    for kind in ends:
        if kind.name == "CR":
            made[kind.at] = _LF[0]
        elif kind.name == "CR LF":
            kept[kind.at] = False
    return made[kept].tobytes()


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
    return f"has {found!r} after a closing quote: inside of a quoted value the producer has to write a quote twice"
