"""The run manifest: what a run is called, and the one file that says what it read, wrote, ran with and proved."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from slipway.counts import plural
from slipway.secrets import one_line

NOTHING_SELECTED = "the selection names no node"
"""Why there is nothing to do; other processes tell it by this text."""


def new_run_id(now: datetime) -> str:
    """A run id that sorts by start time: ``20110831T120000Z-1f2e3d4c``."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def run_date(run_id: str) -> str:
    """The date folder of a run, ``YYYY-MM-DD``, from its id."""
    return f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"


def started_at(run_id: str) -> datetime | None:
    """When a run began, as its id says; None for what is no run id."""
    try:
        return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


AHEAD = timedelta(minutes=5)
"""Clocks differ by less; what is later than this is from a clock that was wrong."""


def happened_at(noted: datetime, run_id: str, now: datetime) -> datetime | None:
    """When a run did something that was noted; None when only a clock that was ahead says so.

    Moments of later runs are pushed behind such a one, to keep their order; their ids still tell when they began.
    """
    for moment in (noted, started_at(run_id)):
        if moment is not None and moment <= now + AHEAD:
            return moment
    return None


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


class Change(StrEnum):
    """What a run did with the table of a node; ``none`` where it did not come to do anything."""

    BUILT = "built"
    UNCHANGED = "unchanged"
    SAME_CONTENT = "same_content"
    PINNED = "pinned"
    NONE = "none"

    @property
    def stages(self) -> bool:
        """Whether a new snapshot of the table is staged."""
        return self in (Change.BUILT, Change.SAME_CONTENT)


class Status(StrEnum):
    """How a node or test ended, in dbt's words, and two for what did not end: not yet, and not at all."""

    SUCCESS = "success"
    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"
    RUNTIME_ERROR = "runtime error"
    PARTIAL_SUCCESS = "partial success"
    SKIPPED = "skipped"
    NO_OP = "no-op"
    NOT_RUN = "not run"
    OPEN = ""

    @property
    def failed(self) -> bool:
        """Whether a test found something, or could not be run to its end."""
        return self in (Status.FAIL, Status.ERROR, Status.RUNTIME_ERROR)

    @property
    def left_out(self) -> bool:
        """Whether a test was not run."""
        return self in (Status.NOT_RUN, Status.SKIPPED)


@dataclass(frozen=True)
class Beginning:
    """What was so before dbt was started.

    Args:
        facts: digests of the command, of the code and of what is installed.
        variables: the environment variables.
        profiles_dir: where profiles.yml is.
    """

    facts: dict[str, str]
    variables: dict[str, str] = field(repr=False)
    profiles_dir: Path


@dataclass
class RunRequest:
    """What the caller asked of one dbt invocation.

    Args:
        run_id: the id the run will have.
        started_at: when it was asked for, UTC.
        managed: the ``slipway`` command publishes and writes the records itself after dbt returned.
        force: build also what is unchanged.
        vars: dbt's ``--vars``.
        scratch: folder of a scratch environment to build in, instead of the target's own.
        pins: ``schema.table`` to metadata location, inputs fixed by the caller.
        isolated: with ``scratch``: read nothing of the target's tables, and land its files there as in a new environment.
        command: the command line, for the record.
        wait: seconds to wait for other runs on the same tables; None for the setting, or else the default.
        beginning: what was so before dbt was started; None for a run whose result is not to be used for the next one.
        staged_for: what its tables are to be published with, so that the run itself stages only; empty where it publishes.
    """

    run_id: str
    started_at: datetime
    managed: bool = False
    force: bool = False
    vars: dict[str, Any] = field(default_factory=dict)
    scratch: str | None = None
    pins: dict[str, str] | None = None
    isolated: bool = False
    command: list[str] = field(default_factory=list)
    wait: float | None = None
    beginning: Beginning | None = None
    staged_for: str = ""


SCHEMA_VERSION = 2
"""What is written; older ones are read, too. Version 2 added the checksums of a run's records, and optional fields."""


class Record(BaseModel):
    """A record that is written once and refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    uncommitted: list[str] = []
    packages: dict[str, str] = {}
    unpinned: list[str] = []
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


class LandedFile(Record):
    """A file that arrived, and what was decided about it; sizes in bytes.

    ``layout`` says how its rows are read, where that is not what the contract says by itself.
    """

    feed: str
    path: str
    size_bytes: int
    etag: str
    sha256: str
    rows: int | None
    verdict: Literal["accepted", "rejected", "duplicate"]
    reason: str
    landed_at: AwareDatetime
    run_id: str
    contract: str | None = None
    layout: str | None = None


class Definition(Record):
    """Code that made rows of a table: the key of the definition, and the run and commit that it was first used in.

    The key is empty for rows of which it is not recorded.
    """

    key: str = ""
    commit: str | None = None
    dirty: bool = False
    run_id: str | None = None


class Outstanding(Record):
    """Something in the landing area, or that was there, whose rows are not in raw, and why.

    ``blocks`` means that runs fail in scheduled and production environments until it is dealt with.
    """

    feed: str | None = None
    path: str
    reason: str
    since: AwareDatetime | None = None
    blocks: bool = False


class Node(Record):
    """What happened to one node; bytes as DuckDB counted them, seconds of wall time.

    ``stale`` says why rows of the table are not what its present code makes, ``kept`` why that is intended; both are empty
    for a table that was made by its present code. ``volatile`` says what else than code and inputs its query depends on.
    ``descriptions`` is a hash of those that ``persist_docs`` asks to be written to the table, empty for none.
    ``cpu_seconds`` is processor time, ``peak_memory_bytes`` what DuckDB held at most; both only of nodes that ran while no other did.
    """

    unique_id: str
    table: str | None
    status: Status
    change: Change
    message: str = ""
    node_key: str | None = None
    definition_key: str | None = None
    made_by: list[Definition] = Field(default_factory=list)
    stale: str = ""
    kept: str = ""
    volatile: str = ""
    descriptions: str = ""
    base_snapshot: str | None = None
    candidate_snapshot: str | None = None
    metadata_location: str | None = None
    schema_id: int | None = None
    schema_fingerprint: str | None = None
    rows_before: int | None = None
    rows_after: int | None = None
    rows_added: int | None = None
    rows_removed: int | None = None
    files: int | None = None
    files_added: int | None = None
    files_removed: int | None = None
    bytes_total: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    digest: str | None = None
    seconds: float = 0.0
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    phases: dict[str, float] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)


def said(message: str) -> str:
    """A node's message on one line; dbt's first line of an error says only where it happened."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if len(lines) > 1 and " Error in " in lines[0]:
        del lines[0]
    return " ".join(lines)


_SHOWN = 5


def shortened(problems: Sequence[str]) -> list[str]:
    """The first of several sentences, and how many there are besides."""
    more = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]


class TestResult(Record):
    """A data or unit test.

    ``carried`` means it passed before on the same tables and code (a unit test: as the same SQL), ``volatile`` says what else its query depends on, so that
    it never is. ``problems`` is what it found, in sentences, where its query says so (at most 100).
    """

    __test__ = False

    unique_id: str
    status: Status
    carried: bool = False
    failures: int | None = None
    key: str | None = None
    tables: list[str] = Field(default_factory=list)
    message: str = ""
    problems: list[str] = Field(default_factory=list)
    volatile: str = ""

    @property
    def explanation(self) -> str:
        """What it found and what dbt says of it, as a text."""
        return "; ".join(filter(None, [*shortened(self.problems), self.message]))

    @property
    def name(self) -> str:
        """The test's name: a unit test's id ends with it, a data test's has a hash behind it."""
        parts = self.unique_id.split(".")
        return parts[-1] if parts[0] == "unit_test" else parts[2]


class TestCounts(Record):
    """Tests the selection asks for, and what became of each: expected = executed + carried + not run."""

    __test__ = False

    expected: int
    executed: int
    carried: int
    not_run: int
    failed: int
    warned: int


class Tests(TestCounts):
    """The counts, and what became of each test."""

    results: list[TestResult] = Field(default_factory=list)


class Freshness(Record):
    """When a feed last brought a file, against the thresholds of its dbt source (seconds, None for none)."""

    source: str
    last_landed_at: AwareDatetime | None
    age_seconds: float | None
    warn_after_seconds: float | None = None
    error_after_seconds: float | None = None

    @property
    def status(self) -> Status:
        """Whether the feed is fresh; a feed that never brought a file has no age and is not, nor has one from the future."""
        known = self.age_seconds is not None and self.age_seconds >= -AHEAD.total_seconds()
        age = self.age_seconds if self.age_seconds is not None and known else float("inf")
        if self.error_after_seconds is not None and age > self.error_after_seconds:
            return Status.ERROR
        late = self.warn_after_seconds is not None and age > self.warn_after_seconds
        return Status.WARN if late else Status.PASS


class InputVolume(Record):
    """How much a run read of a feed that raw did not hold before, against the bounds of its contract.

    ``least`` and ``most`` are ``min`` and ``max`` of ``inputRowsPerRun`` or ``inputBytesPerRun`` in the contract's file, None for no bound.
    Bytes are those of files as they landed.
    """

    feed: str
    contract: str
    unit: Literal["rows", "bytes"]
    found: int
    files: int
    least: int | None = None
    most: int | None = None

    @property
    def problem(self) -> str:
        """Which bound is not kept, and what to do; empty for none."""
        setting = f"input{self.unit.capitalize()}PerRun"
        if self.most is not None and self.found > self.most:
            bound = f"at most {self.most:,}"
        elif self.least is not None and self.found < self.least:
            bound = f"at least {self.least:,}"
        else:
            return ""
        return (
            f"Feed {self.feed} brought {plural(self.found, self.unit[:-1])} in {plural(self.files, 'file')}, and {setting} of {self.contract} expects {bound}: "
            f"ask the producer whether the files are complete and not sent twice, then correct them or change {setting}"
        )


class Limit(Record):
    """How many rows a rule may put into quarantine, and how many it has put there; ``rule`` is ``*`` for all rules together.

    ``contract`` is the file of the feed's contract that says so; empty for ``conserves`` of the quarantine model.
    The words are those of the Open Data Contract Standard. Percent are of the rows that landed.
    """

    rule: str
    operator: Literal["mustBeLessThan", "mustBeLessOrEqualTo"]
    value: float
    unit: Literal["rows", "percent"] = "rows"
    severity: Literal["error", "warning"] = "error"
    contract: str = ""
    rows: int = 0
    landed: int = 0

    @property
    def problem(self) -> str:
        """What is exceeded, and what to do; empty for nothing."""
        found = self.rows if self.unit == "rows" else 100 * self.rows / max(self.landed, 1)
        if found < self.value or (self.operator == "mustBeLessOrEqualTo" and found == self.value):
            return ""
        which = "All rules together put" if self.rule == "*" else f"Rule {self.rule} puts"
        share = f", {found:.3g} percent of {self.landed:,}" if self.unit == "percent" else ""
        bound = "less than" if self.operator == "mustBeLessThan" else "at most"
        unit = " percent" if self.unit == "percent" else ""
        return (
            f"{which} {plural(self.rows, 'row')} into quarantine{share}, and {bound} {self.value:g}{unit} are allowed: look at them with "
            f"slipway quarantine list --run latest, have the files or the rule corrected, or set another limit in {self.contract or 'conserves or in the contract of the feed'}"
        )


class Conservation(Record):
    """Rows landed = rows curated + rows quarantined + rows deduplicated + rows expired.

    Where files replace earlier ones, ``landed`` are the current rows; ``superseded`` are those of files that newer ones replaced.
    ``counted`` is ``rows`` where each row was followed by file and line, ``numbers`` where a table lacks these columns, and empty
    where nothing but the three totals is known. ``unaccounted`` are rows in no place that repeat no other in the columns of ``key``,
    ``doubled`` rows in more places than one, or from nowhere.

    Of a feed with ``quarantineRetention``, which is ``retention_seconds``, ``expired`` are rows that break a rule, landed before ``expired_before``, and are in neither table any more;
    ``newly_expired`` of them had not when the rows were counted before. ``overdue`` are rows in quarantine that landed before that time. ``returns_from``
    is the time before which rows had expired in the run before, if it was a later one.
    """

    raw: str
    curated: str
    quarantine: str
    landed: int
    curated_rows: int
    quarantined_rows: int
    deduplicated: int
    by_rule: dict[str, int]
    counted: Literal["", "numbers", "rows"] = ""
    key: list[str] = Field(default_factory=list)
    unaccounted: int = 0
    doubled: int = 0
    superseded: int = 0
    expired: int = 0
    newly_expired: int = 0
    retention_seconds: float | None = None
    expired_before: AwareDatetime | None = None
    overdue: int = 0
    returns_from: AwareDatetime | None = None
    limits: list[Limit] = Field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """Limits that are exceeded, and rows that have come back, which does not keep a run from being published."""
        found = [one.problem for one in self.limits if one.severity == "warning" and one.problem]
        if self.returns_from and self.expired_before:
            found.append(
                f"rows of {self.quarantine} that had expired are there again: they go when they landed before {self.expired_before:%Y-%m-%d %H:%M}, and "
                f"in the run before it was {self.returns_from:%Y-%m-%d %H:%M}, so give a later as_of unless that is meant"
            )
        return found

    @property
    def problem(self) -> str:
        """Why the rows do not add up or are too many in quarantine, and what to do; empty when all is well."""
        exceeded = (one.problem for one in self.limits if one.severity == "error")
        return self._lost or next(filter(None, exceeded), "")

    @property
    def _lost(self) -> str:
        if self.doubled:
            return (
                f"{plural(self.doubled, 'row')} of {self.curated} and {self.quarantine} stand there more often than in {self.raw}: "
                "let each row go to one of them"
            )
        placed = self.curated_rows + self.quarantined_rows
        if self.deduplicated < 0 or self.landed != placed + self.deduplicated + self.expired:
            return f"more rows came out of {self.raw} than landed there"
        if self.overdue:
            return (
                f"{plural(self.overdue, 'row')} of {self.quarantine} {'is' if self.overdue == 1 else 'are'} past the quarantineRetention of the feed's "
                "contract: have its model take them from quarantined(feed), or add the condition within_retention(feed)"
            )
        if self.unaccounted:
            return (
                f"{plural(self.unaccounted, 'row')} of {self.raw} {'is' if self.unaccounted == 1 else 'are'} neither in {self.curated} "
                f"nor in {self.quarantine}, and no row that is there has the same {', '.join(self.key)}: let a rule take what is left "
                "out, or name the columns of which one row is kept in deduplicated_by of conserves"
            )
        return ""


class NotCounted(Record):
    """A raw table whose rows were not counted through to curated and quarantine, and why."""

    raw: str
    reason: str


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
    started by ``slipway``.
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


_NAMED = 3


def outstanding_lines(found: Sequence[Outstanding], printed: Collection[str] = ()) -> list[str]:
    """Lines for every run until it is dealt with: how many there are, and the first of them with reasons that were not printed already."""
    files = [item for item in found if item.feed]
    lines = []
    if files:
        lines.append(f"outstanding: {plural(len(files), 'landed file', 'are', 'is')} not in raw")
        old = [item for item in files if item.path not in printed]
        lines += [f"  {item.path}: {item.reason}" for item in old[:_NAMED]]
        lines += [f"  … and {len(old) - _NAMED} more"] if len(old) > _NAMED else []
    if others := [item.path for item in found if not item.feed]:
        more = " …" if len(others) > _NAMED else ""
        lines.append(
            f"not a feed: {', '.join(others[:_NAMED])}{more} in the landing area; no contract describes it"
        )
    return [one_line(line) for line in lines]  # a name with a line break in it is still one line


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
