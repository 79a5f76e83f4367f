"""Blocks of the language ``console`` in pages: commands after ``$``, and what they print.

A block is held against what its commands really print. What differs from run to run is not compared: ids, times, commits,
sizes of files, seconds, and people. A line ``…`` stands for any lines, and ``…`` within a line for any text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.harness.projects import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docs.conftest import Page
    from tests.harness.newcomer import Newcomer

_VARIES = (
    (r"\d{8}T\d{6}Z-[0-9a-f]{8}", "RUN"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?( UTC)?", "TIME"),
    (r"\b([0-9a-f]{8}|[0-9a-f]{12}|[0-9a-f]{40})\b", "COMMIT"),
    (r"\b\d{15,}\b", "SNAPSHOT"),
    (r"\b[\d.,]+ ([KMG]iB|B)\b", "SIZE"),
    (r"(?<=SIZE)( +)[\d.]+$", r"\1SECONDS"),
    (r"\b\w+ placed it at\b", "SOMEONE placed it at"),
)
# how far a run is, line by line on a pipe and in one line on a terminal
_PROGRESS = re.compile(r"^(  (ok|FAILED|WARN|skipped) .*|landed .*)\n?", re.MULTILINE)
_COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)
_FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_STEP = re.compile(rf"{_FILE.pattern}|^```(sh|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def plain(text: str) -> list[str]:
    """Lines of an output without what varies, and with single blanks; empty lines at the ends do not count."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    for pattern, instead in _VARIES:
        lines = [re.sub(pattern, instead, line) for line in lines]
    return [" ".join(line.split()) for line in lines]


def matches(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed."""
    pattern = "".join(
        r"(?:[^\n]*\n)*" if line == "…" else re.escape(line).replace("…", r"[^\n]*") + r"\n"
        for line in plain(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in plain(printed))) is not None


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, and what the block says that it prints."""
    parts = _COMMAND.split(block)
    assert parts[0] == "", block
    yield from zip(parts[1::2], parts[2::2], strict=True)


def follow(reader: Newcomer, page: Page, leave_out: tuple[str, ...] = ()) -> None:
    """Do what a page says from top to bottom: write its files, run its commands, compare their output."""
    for step in _STEP.finditer(page.text):
        name, content, language, block = step.groups()
        if name:
            write(reader.folder / name, content)
        elif language == "console":
            compare(reader, block)
        else:
            for command in block.replace("\\\n", " ").splitlines():
                if command not in leave_out:
                    reader.types(command)


def compare(reader: Newcomer, block: str) -> None:
    """Run the commands of a block, and hold what it shows against what they print, their progress left out."""
    for command, shown in commands(block):
        done = reader.enters(command)
        text = done.out + _PROGRESS.sub("", done.err)
        assert matches(shown, text), f"$ {command}\n{text}\n--- but the page shows\n{shown}"
