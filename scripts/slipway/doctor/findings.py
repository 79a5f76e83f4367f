"""What ``slipway doctor`` finds, and the steps that repair it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Step(Protocol):
    """Something that can be done about a finding, and done again without harm."""

    @property
    def told(self) -> str:
        """What it does, in one line."""


@dataclass(frozen=True)
class Heal:
    """Finish, undo or record publications that were interrupted."""

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return "finish, undo or record interrupted publications"


@dataclass(frozen=True)
class Register:
    """Enter a table in the catalog again."""

    table: str
    metadata_location: str

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return f"enter {self.table} in the catalog with {self.metadata_location.rpartition('/')[2]}"


@dataclass(frozen=True)
class Tag:
    """Give a snapshot the tag of its release again."""

    table: str
    snapshot_id: int
    tag: str

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return f"tag snapshot {self.snapshot_id} of {self.table} as {self.tag}"


@dataclass(frozen=True)
class WriteBeside:
    """Write a record that was made anew beside the damaged one; ``content`` is its text."""

    key: str
    content: str

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return f"write {self.key}, made from the other records"


@dataclass(frozen=True)
class KeepLog:
    """Move the log of a run that was killed into its records."""

    run_id: str
    path: str

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return f"move {self.path} into the records of run {self.run_id}"


@dataclass(frozen=True)
class CloseRun:
    """Write down that a run will not come to its end."""

    run_id: str
    reason: str

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return f"close run {self.run_id}: {self.reason}"


@dataclass(frozen=True)
class EndLease:
    """End the lease of a run whose process is gone."""

    run_id: str

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return f"end the lease of run {self.run_id}"


@dataclass(frozen=True)
class Remove:
    """Remove a temporary file or folder of a process that is gone."""

    path: str

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return f"remove {self.path}"


@dataclass(frozen=True)
class PruneWorktrees:
    """Have git forget work trees whose folders are gone."""

    project: str

    @property
    def told(self) -> str:
        """What it does, in one line."""
        return "git worktree prune"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Args:
        where: a table, a run, or the place of a file or record.
        what: what is wrong with it, and why.
        fix: what to do about it.
        steps: how that is done for you; empty where only a person can tell what is right.
    """

    where: str
    what: str
    fix: str
    steps: Sequence[Step] = ()


def steps_of(findings: Sequence[Finding]) -> list[Step]:
    """The steps of all findings, each once, in order."""
    return list(dict.fromkeys(step for finding in findings for step in finding.steps))
