"""What a run did with each node, and how it and each test ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from slipway.counts import plural
from slipway.records.record import Record


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


_USUAL_ENGINE = "duckdb"


class Definition(Record):
    """Code that made rows of a table: the key of the definition, and the run and commit that it was first used in.

    The key is empty for rows of which it is not recorded.
    """

    key: str = ""
    commit: str | None = None
    dirty: bool = False
    run_id: str | None = None


class Node(Record):
    """What happened to one node; bytes as DuckDB counted them, seconds of wall time.

    ``stale`` says why rows of the table are not what its present code makes, ``kept`` why that is intended; both are empty
    for a table that was made by its present code. ``volatile`` says what else than code and inputs its query depends on.
    ``engine`` computes the table, ``duckdb`` or ``spark``; empty in records that are older than the choice.
    ``descriptions`` is a hash of those that ``persist_docs`` asks to be written to the table, empty for none.
    ``cpu_seconds`` is processor time, ``peak_memory_bytes`` what DuckDB held at most, ``spilled_bytes`` what it had in temporary files at
    most, for want of memory; all three only of nodes that ran while no other did, and not of those that Spark computed, which is a
    process of its own.
    """

    unique_id: str
    table: str | None
    status: Status
    change: Change
    message: str = ""
    engine: str = ""
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
    spilled_bytes: int | None = None
    phases: dict[str, float] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)

    @property
    def other_engine(self) -> str:
        """The engine that computes its table, if it is not DuckDB; empty for a table that the run only read as it was."""
        return "" if self.engine == _USUAL_ENGINE or self.change is Change.PINNED else self.engine


def said(message: str) -> str:
    """A node's message on one line; dbt's first line of an error says only where it happened."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if len(lines) > 1 and " Error in " in lines[0]:
        del lines[0]
    return " ".join(lines)


_SHOWN = 5


def shortened(problems: Sequence[str]) -> list[str]:
    """The first of several sentences, and how many more there are."""
    more = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]


class TestResult(Record):
    """A data or unit test.

    ``carried`` means it passed before on the same tables and code (a unit test: as the same SQL), ``volatile`` says what else its query depends on, so that
    it never is. ``problems`` is what it found, in sentences, where its query says so (at most 100). ``engine`` ran its query, ``duckdb`` or ``spark``, also of a
    carried one; empty if it was not run, and in records that are older than the choice. ``notes`` says why it is this engine, where that was chosen.
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
    engine: str = ""
    notes: list[str] = Field(default_factory=list)

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

    @property
    def notes(self) -> list[str]:
        """How many data tests another engine ran in this run, and a line for each that it could not run."""
        chosen = [test for test in self.results if test.notes]
        other = Counter(test.engine for test in chosen if test.engine != _USUAL_ENGINE)
        return [
            *(
                f"{plural(count, 'data test')} run by {engine.capitalize()}"
                for engine, count in sorted(other.items())
            ),
            *(
                f"{test.name}: {note}"
                for test in chosen
                if test.engine == _USUAL_ENGINE
                for note in test.notes
            ),
        ]
