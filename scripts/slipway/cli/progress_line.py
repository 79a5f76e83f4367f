"""Progress of a run on stderr: one live line on a terminal, plain lines otherwise."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from slipway.cli import output
from slipway.records.node_results import said
from slipway.runs.progress import NodeEnded, NodeStarted, Note, Progress
from slipway.secrets import hide, one_line

_WORDS = {"success": "ok", "pass": "ok", "fail": "FAILED", "error": "ERROR", "warn": "warning"}
_TESTS = ("test", "unit_test")
_WIDTH = 300


@contextmanager
def show_progress() -> Iterator[Callable[[Progress], None]]:
    """A function that shows progress; on a terminal the live line is removed at the end."""
    live = sys.stderr.isatty()
    shown = _Live() if live else _Lines()
    try:
        yield shown
    finally:
        shown.close()


class _Lines:
    """Every table, and every test that did not simply pass, is a line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, event: Progress) -> None:
        text = _line(event)
        if text:
            with self._lock:
                self._print(text)

    def close(self) -> None:
        """Nothing to take back."""

    def _print(self, text: str) -> None:
        output.aside(f"{one_line(hide(text))}\n")


class _Live(_Lines):
    """The same lines, above one line that says what is going on now."""

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[str, None] = {}
        self._at, self._total = 0, 0

    def __call__(self, event: Progress) -> None:
        with self._lock:
            if isinstance(event, NodeStarted):
                self._running[event.name] = None
            elif isinstance(event, NodeEnded):
                self._running.pop(event.name, None)
                self._at, self._total = event.at, event.total
            text = _line(event)
            self._erase()
            if text:
                self._print(text)
            self._draw()

    def close(self) -> None:
        """Remove the live line."""
        self._erase()

    def _draw(self) -> None:
        count = f"{self._at}/{self._total} " if self._total else ""
        text = one_line(f"  {count}{', '.join(self._running)}")
        output.aside(text[: shutil.get_terminal_size().columns - 1])

    def _erase(self) -> None:
        output.aside("\r\x1b[2K")


def _line(event: Progress) -> str:
    match event:
        case Note(text=text):
            return text
        case NodeEnded(status="skipped"):
            return ""  # the report counts them; what they wait for stands above
        case NodeEnded(kind=kind, status=status) if kind in _TESTS and status in ("pass", "success"):
            return ""
        case NodeEnded():
            word = _WORDS.get(event.status, event.status)
            return (
                f"  {word:<8} {event.name:<36} {event.seconds:6.2f} s  {_shortened(event.message)}".rstrip()
            )
    return ""


def _shortened(message: str) -> str:
    text = said(message or "")
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 2]} …"
