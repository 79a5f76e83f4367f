"""What the checks look at, one environment that is asked once for each thing; what they find; and the steps that repair it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import duckdb

from slipway.engines.duckdb import engine
from slipway.environments.environment import Environment, catalog_file
from slipway.errors import DamagedError, UnavailableError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.release_records import Intent, Release
from slipway.records.store import Records, removed_runs
from slipway.releases.leases import Found, Leases
from slipway.releases.published import is_unused, tables_to_read
from slipway.runs import history


@dataclass(frozen=True)
class Examination:
    """One environment under examination.

    Args:
        environment: the environment.
        project: folder of dbt_project.yml.
        now: the time, UTC.
        deep: look at the records of every run and at every data file, too.
    """

    environment: Environment
    project: Path
    now: datetime
    deep: bool = False

    @cached_property
    def records(self) -> Records:
        """The environment's records."""
        return Records(self.environment)

    @cached_property
    def tables(self) -> Tables:
        """The environment's tables, through a catalog that is opened without being made."""
        return tables_to_read(self.environment)

    @property
    def has_no_catalog(self) -> bool:
        """Whether the catalog is a file that is not there; whoever opens it makes it."""
        file = catalog_file(self.environment.catalog_properties)
        return file is not None and not file.is_file()

    @cached_property
    def locations(self) -> Mapping[TableName, str]:
        """What the catalog names; nothing, when there is none, or it was never used."""
        if self.has_no_catalog:
            return {}
        try:
            return self.tables.locations()
        except UnavailableError:
            if is_unused(self.tables):
                return {}
            raise

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """A database that reads the environment's tables."""
        return engine.connect(self.environment, self.environment.home)

    @cached_property
    def releases(self) -> tuple[list[Release], dict[int, DamagedError]]:
        """Releases whose records can be read, and the others by number."""
        return self.records.readable_releases()

    @cached_property
    def removed(self) -> Collection[str]:
        """Runs of which retention removed the records; empty when a list of them cannot be read."""
        try:
            return removed_runs(self.records.store)
        except DamagedError:  # reported where records are examined
            return ()

    @cached_property
    def intents(self) -> list[Intent]:
        """Publications that neither came to their end nor were withdrawn; empty when one cannot be read."""
        try:
            return self.records.open_intents()
        except DamagedError:  # reported where records are examined
            return []

    @cached_property
    def logs(self) -> dict[str, Path]:
        """Run id to its log, of runs that are under way or were killed on this machine."""
        found = self.environment.logs.glob("*.jsonl")
        return {path.stem: path for path in sorted(found)}

    @cached_property
    def leases(self) -> dict[str, Found]:
        """Run id to its lease and what that is worth, of runs that publish and are under way or were killed."""
        return {found.lease.run_id: found for found in Leases(self.records).found()}

    def may_be_alive(self, run_id: str) -> bool:
        """Whether a run holds a live lease or its log, so that it may still be writing its records."""
        return history.may_be_alive(self.environment, self.leases, run_id)

    def is_gone(self, run_id: str) -> bool:
        """Whether the process of a run is gone, as far as that can be known from here."""
        return history.is_gone(self.environment, self.leases, run_id, self.now)


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
class WriteReplacement(Step):
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
class Sign(Step):
    """Sign a release whose process died before it could."""

    does = "sign release {step.number}"
    number: int


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
