"""The only module that writes: results to stdout, everything else to stderr.

Texts hold names and values that others chose. So what steers a terminal is spelled out here, and secrets are masked; only
``result_part`` and ``result_stream`` write data as it is.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, time
from typing import IO, Any, TypeVar
from unicodedata import combining, east_asian_width

import click

from slipway.secrets import hide, hide_in, one_line, visible

T = TypeVar("T")
_done: list[str] = []


def result(text: str, *, exact: bool = False) -> None:
    """Print what was asked for.

    Args:
        text: lines.
        exact: what looks like a secret is shown, because it was asked for or is data.
    """
    shown_text = visible(text if exact else hide(text))
    result_part(shown_text if shown_text.endswith("\n") else f"{shown_text}\n")


def line(text: str) -> None:
    """Print one line, whatever is in it; lines before it may be empty."""
    rest = text.lstrip("\n")
    result("\n" * (len(text) - len(rest)) + one_line(rest))


def result_part(text: str, *, is_streamed: bool = False) -> None:
    """Print a part of what was asked for, as it is; characters that the terminal lacks are escaped.

    Args:
        text: the part.
        is_streamed: the command does nothing else than print, so it ends when nobody reads on.
    """
    encoding = sys.stdout.encoding or "utf-8"
    with reader(is_streamed=is_streamed):
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def result_stream(write: Callable[[IO[bytes]], T]) -> T:
    """Let a function write binary output, such as Parquet, to stdout."""
    with reader(is_streamed=True):
        done = write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
    return done


@contextmanager
def reader(*, is_streamed: bool = False) -> Iterator[None]:
    """Write to a reader that may leave when it has what it wanted, as ``head`` does: that is no error.

    What the command has to say from then on goes nowhere. A command that acts or judges goes on, and ends with its own code; one that only
    streams its result ends.
    """
    try:
        yield
    except BrokenPipeError:
        close_results()
        if is_streamed:
            raise click.exceptions.Exit(0) from None


def as_json(value: object, *, exact: bool = False) -> None:
    """Print a value as JSON; times and dates in ISO 8601, decimals as text.

    Args:
        value: what is printed.
        exact: what looks like a secret is shown, because it was asked for.
    """
    text = json.dumps(value, indent=2, default=_plain)
    result_part(f"{text if exact else json.dumps(hide_in(json.loads(text)), indent=2)}\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def message(text: str) -> None:
    """Tell something that is not the result."""
    with reader():
        sys.stdout.flush()
    failure(text)


def failure(text: str) -> None:
    """Tell why a command ended; what was printed before may have found no reader."""
    aside(f"{visible(hide(text))}\n")


def aside(text: str) -> None:
    """Write to stderr as it is; nothing depends on whether it can be written."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def done(what: str) -> None:
    """Note what the command has brought about, for whatever goes wrong afterwards."""
    _done.append(what)


def what_is_done() -> str:
    """What was noted, and forgotten with this call; empty for nothing."""
    found = "; ".join(_done)
    _done.clear()
    return found


def close_results() -> None:
    """Let what is still in the buffer of stdout go nowhere, instead of failing again when the program ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class LogHandler(logging.Handler):
    """Writes warnings of libraries as messages."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        failure(f"{record.levelname}:{record.name}:{record.getMessage()}")


def fields(pairs: Iterable[tuple[str, str]]) -> None:
    """Print what is known of one thing, a line each under its name."""
    for name, value in pairs:
        line(f"  {name:<9}  {value}")


def width() -> int | None:
    """Columns of the terminal, or of the variable COLUMNS; None where the output goes elsewhere."""
    return shutil.get_terminal_size((0, 0)).columns or None


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    optional: Sequence[str] = (),
    rule: bool = False,
    exact: bool = False,
) -> None:
    """Print rows under headers, aligned.

    Args:
        headers: names of the columns.
        rows: a value per column; None is left empty.
        right: columns whose values end at the right.
        optional: columns that a narrow terminal need not show, the first to go first.
        rule: draw a line below the headers.
        exact: the rows are data, in which nothing is masked.
    """
    headers, right = [one_line(name) for name in headers], [one_line(name) for name in right]
    lines = [headers, *(["" if value is None else one_line(str(value)) for value in row] for row in rows)]
    widths = [max(map(_cells, column)) for column in zip(*lines, strict=True)]
    shown = list(range(len(headers)))
    for name in optional:
        if sum(widths[at] + 2 for at in shown) - 2 <= (width() or sys.maxsize):
            break
        shown.remove(list(headers).index(name))
    if rule:
        lines.insert(1, ["─" * each for each in widths])
    for line in lines:
        padded = [
            " " * gap + line[at] if headers[at] in right else line[at] + " " * gap
            for at in shown
            if (gap := widths[at] - _cells(line[at])) >= 0
        ]
        result("  ".join(padded).rstrip(), exact=exact)


def _cells(text: str) -> int:
    """Columns that a text takes on a terminal; most signs of East Asian scripts take two."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)
