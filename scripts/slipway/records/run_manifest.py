"""The run manifest: the one file that says what a run read, wrote, ran with and proved; and the small records next to it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

from slipway.counts import plural
from slipway.records.conservation import Conservation, NotCounted
from slipway.records.landed_files import Freshness, InputVolume, LandedFile, Outstanding
from slipway.records.node_results import Change, Node, Status, Tests
from slipway.records.record import SCHEMA_VERSION, Record


class Outcome(StrEnum):
    """How a run ended."""

    PUBLISHED = "published"
    STAGED = "staged"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"
    DISCARDED = "discarded"

    @property
    def is_current(self) -> bool:
        """Whether what readers see is what the run's code makes."""
        return self in (Outcome.PUBLISHED, Outcome.UNCHANGED)


class Code(Record):
    """The code a run was made with.

    ``dirty``: a file that was read is not as the commit holds it, the first of which are in ``uncommitted``. ``problem``: why
    there is no commit. ``packages``: digests of installed dbt packages, which no commit holds; the committed
    ``package_digests`` do not name those in ``unpinned``. ``profiles_sha256``: of a profiles.yml outside of the repository.
    """

    commit: str | None
    dirty: bool
    branch: str | None = None
    problem: str = ""
    uncommitted: list[str] = Field(default_factory=list)
    packages: dict[str, str] = Field(default_factory=dict)
    unpinned: list[str] = Field(default_factory=list)
    profiles_sha256: str | None = None

    @property
    def unknown(self) -> str:
        """Why nobody else can find this code again; empty when everybody can."""
        if self.commit is None:
            return self.problem or "it is not in a git repository"
        if self.dirty:
            return self.uncommitted[0] if self.uncommitted else "there are uncommitted changes"
        if self.unpinned:
            name = self.unpinned[0]
            return (
                f"no commit holds the installed package {name} ({self.packages.get(name, 'which is gone')}), and "
                "package_digests in the vars of dbt_project.yml does not name that digest"
            )
        return ""


class Versions(Record):
    """The environment a run was made in."""

    slipway: str
    python: str
    dbt: str
    dbt_duckdb: str
    duckdb: str
    pyiceberg: str
    pyarrow: str
    lock_sha256: str | None
    image_digest: str | None


class Options(Record):
    """What a run was asked to build, apart from its variables; times are UTC."""

    select: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    full_refresh: bool = False
    event_time_start: datetime | None = None
    event_time_end: datetime | None = None


class InputSnapshot(Record):
    """A table that was read as it stood when the run began."""

    table: str
    snapshot_id: str | None
    schema_id: int
    rows: int | None
    metadata_location: str


class SampledInput(Record):
    """How models took an input of a run with a sample: rows whose ``key`` is in the share, or the whole table where ``key`` is empty."""

    table: str
    key: list[str]
    models: list[str]


class Sample(Record):
    """The part of its inputs that a run built from; ``rows`` are in the tables that take rows of a sample from an input."""

    share: str
    rows: int
    inputs: list[SampledInput]

    @property
    def words(self) -> str:
        """The share with the keys, as part of a sentence."""
        keys = {" and ".join(one.key): None for one in self.inputs if one.key}
        by = f" by {', '.join(keys)}" if keys else ", which no selected model takes"
        return f"a sample of {self.share}{by}"


class RunManifest(Record):
    """Everything about one run; times are UTC.

    ``cpu_seconds`` is the processor time of its process since dbt was started, ``peak_memory_bytes`` the most memory that the process had; None where dbt was not
    started by ``slipway``. ``memory_limit_bytes`` is what DuckDB was allowed to hold.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    invocation_id: str
    target: str
    mode: str
    scratch: str | None
    who: str
    host: str
    started_at: AwareDatetime
    finished_at: AwareDatetime
    command: list[str]
    vars: dict[str, Any]
    options: Options = Field(default_factory=Options)
    as_of: str | None
    code: Code
    versions: Versions
    inputs: list[InputSnapshot]
    landed_files: list[LandedFile]
    outstanding: list[Outstanding] = Field(default_factory=list)
    nodes: list[Node]
    tests: Tests
    freshness: list[Freshness]
    conservation: list[Conservation]
    not_counted: list[NotCounted] = Field(default_factory=list)
    input_volumes: list[InputVolume] = Field(default_factory=list)
    sample: Sample | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    release: int | None
    outcome: Outcome
    reason: str

    @property
    def is_built(self) -> bool:
        """Whether every table is there that it was to build, whatever its tests say: what a comparison of two builds needs."""
        if self.outcome is Outcome.PUBLISHED:
            return True
        built = all(node.status in (Status.SUCCESS, Status.NO_OP) for node in self.nodes)
        return built and self.outcome is Outcome.FAILED and self.tests.failed > 0

    @property
    def tables_built(self) -> str:
        """How many tables it built, as part of a sentence; those with the same rows as before are counted separately."""
        changes = [node.change for node in self.nodes]
        built, same = changes.count(Change.BUILT), changes.count(Change.SAME_CONTENT)
        return plural(built, "table") + (f" and {same:,} with the same content" if same else "")

    def snapshots_of(self, table: str) -> set[str | None]:
        """The snapshots of a table, ``layer.table``, that it read or staged; None where the table had none."""
        staged = {node.candidate_snapshot for node in self.nodes if node.table == table}
        return staged | {read.snapshot_id for read in self.inputs if read.table == f"{self.target}.{table}"}


class RemovedRuns(Record):
    """Runs whose records retention removed: id to the day on which it did, ``YYYY-MM-DD``."""

    schema_version: int = SCHEMA_VERSION
    runs: dict[str, str]


class Checksums(Record):
    """What a run wrote down about itself: names of its records below its folder, to the sha256 of their bytes."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    sha256: dict[str, str]


class Closed(Record):
    """The end of a run that did not come to write its manifest, or whose candidate will not be published."""

    schema_version: int = SCHEMA_VERSION
    closed_at: AwareDatetime
    who: str
    reason: str


BASIS = "basis.json"
"""Name of the record in a run's folder."""


class Basis(Record):
    """What a run depended on that found every selected node unchanged.

    ``obstacle`` says why the next run has to start dbt in any case, empty for no reason. ``facts`` are digests by the name of
    what they are of (``runs.repeat``), ``variables`` the environment variables that the project's code reads, ``others``
    the tables of other targets that it reads, by target, to their metadata files. ``files`` are the local metadata files of
    tables to their sizes. ``made`` are the tables that models make. ``decided_by`` is the run that dbt was last started for. ``until`` is
    when the next deprecation date of a model passes, which is then said.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    decided_by: str
    obstacle: str = ""
    facts: dict[str, str] = Field(default_factory=dict)
    variables: list[str] = Field(default_factory=list)
    others: dict[str, dict[str, str]] = Field(default_factory=dict)
    files: dict[str, int] = Field(default_factory=dict)
    made: list[str] = Field(default_factory=list)
    until: AwareDatetime | None = None
