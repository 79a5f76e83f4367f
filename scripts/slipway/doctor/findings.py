"""What ``slipway doctor`` finds, and the steps that repair it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Step:
    """Something that can be done about a finding, and done again without harm."""

    does: ClassVar[str]
    """What it does, in one line; what is in braces is taken from ``step``."""

    @property
    def description(self) -> str:
        """What it does, in one line."""
        return self.does.format(step=self)


@dataclass(frozen=True)
class Heal(Step):
    """Finish, undo or record publications that were interrupted."""

    does = "finish, undo or record interrupted publications"


@dataclass(frozen=True)
class Register(Step):
    """Enter a table in the catalog again."""

    does = "enter {step.table} in the catalog with {step.file}"
    table: str
    metadata_location: str

    @property
    def file(self) -> str:
        """The name of the metadata file."""
        return self.metadata_location.rpartition("/")[2]


@dataclass(frozen=True)
class Tag(Step):
    """Give a snapshot the tag of its release again."""

    does = "tag snapshot {step.snapshot_id} of {step.table} as {step.tag}"
    table: str
    snapshot_id: int
    tag: str


@dataclass(frozen=True)
class WriteBeside(Step):
    """Write a record that was made anew next to the damaged one; ``content`` is its text."""

    does = "write {step.key}, made from the other records"
    key: str
    content: str


@dataclass(frozen=True)
class KeepLog(Step):
    """Move the log of a run that was killed into its records."""

    does = "move {step.path} into the records of run {step.run_id}"
    run_id: str
    path: str


@dataclass(frozen=True)
class CloseRun(Step):
    """Write down that a run will not come to its end."""

    does = "close run {step.run_id}: {step.reason}"
    run_id: str
    reason: str


@dataclass(frozen=True)
class EndLease(Step):
    """End the lease of a run whose process is gone."""

    does = "end the lease of run {step.run_id}"
    run_id: str


@dataclass(frozen=True)
class Remove(Step):
    """Remove a temporary file or folder of a process that is gone."""

    does = "remove {step.path}"
    path: str


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
