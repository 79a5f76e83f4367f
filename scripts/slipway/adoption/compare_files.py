"""``slipway init --check``: which of the files that init wrote this version would write otherwise, and which the project changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from slipway.adoption import written
from slipway.adoption.adopt import Action, facts_of, plan
from slipway.adoption.generated import example_files, project_files
from slipway.errors import NotFoundError


class State(StrEnum):
    """How a file stands to what this version writes."""

    SAME = "same"
    YOURS = "you changed it"
    VERSION = "this version writes it differently"
    BOTH = "you changed it, and this version writes it differently"
    MISSING = "it is not there"
    LACKING = "it lacks lines"


@dataclass(frozen=True)
class Difference:
    """A file that init wrote, or adds lines to.

    Args:
        name: in the project.
        state: how it stands.
        version: of Slipway that wrote it; empty where none did.
        diff: from what is there to what this version writes.
    """

    name: str
    state: State
    version: str = ""
    diff: str = ""

    @property
    def is_due(self) -> bool:
        """Whether there is something to do about it."""
        return self.state not in (State.SAME, State.YOURS)


def check(folder: Path) -> list[Difference]:
    """Every file that init writes or adds to, in order of their names.

    Raises:
        NotFoundError: init has written nothing in this folder.
        DamagedError: the record of what it wrote is damaged.
    """
    folder = folder.resolve()
    record = written.read(folder)
    if record is None:
        raise NotFoundError(
            f"{folder / written.NAME} is not there",
            "slipway init has written nothing in this folder",
            "Run slipway init",
        )
    found = [*_of_steps(folder), *_of_record(folder, record)]
    return sorted(found, key=lambda one: one.name)


def _of_steps(folder: Path) -> Iterator[Difference]:
    """What another ``slipway init`` would write, add or ask for."""
    for step in plan(folder).steps:
        if step.name == written.NAME or step.action is Action.KEPT:
            continue
        yield Difference(
            step.name,
            State.MISSING if step.action is Action.WRITTEN else State.LACKING,
            diff=step.shown,
        )


def _of_record(folder: Path, record: written.Written) -> Iterator[Difference]:
    """Files that were written as a whole, and are still there."""
    now = project_files(facts_of(folder, record))
    if record.is_example:
        now |= example_files()
    for name, was in record.files.items():
        path = folder / name
        if not path.is_file() or name not in now:
            continue
        here = path.read_bytes()
        state = _state(written.digest(here), was.sha256, written.digest(now[name]))
        diff = _diff(name, here, now[name]) if state in (State.VERSION, State.BOTH) else ""
        yield Difference(name, state, was.version, diff)


def _state(here: str, was: str, now: str) -> State:
    if here == now:
        return State.SAME
    if here == was:
        return State.VERSION
    return State.YOURS if was == now else State.BOTH


def _diff(name: str, here: bytes, now: bytes) -> str:
    before, after = (content.decode("utf-8", errors="replace").splitlines() for content in (here, now))
    lines = difflib.unified_diff(before, after, name, f"{name} of this version", lineterm="")
    return "".join(f"{line}\n" for line in lines)
