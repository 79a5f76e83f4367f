"""What the site tells of a run: what its run manifest holds, without any value of a row. Rules without input or output."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from slipway.records.conservation import Conservation
from slipway.records.node_results import Change, Node, Status, TestResult
from slipway.records.run_ids import started_at
from slipway.records.run_manifest import RunManifest
from slipway.secrets import MASK

_KIND_OF_ERROR = re.compile(r"\b[A-Z]\w*(?: [A-Z]\w*)* Error\b")
_WRAPPER = r"(?:(?:Runtime|Database) Error[^\n]*\n\s*)?"
_OF_CODE = re.compile(
    _WRAPPER + r"(?P<said>(?:Binder|Catalog|Parser) Error: [^\n]+|[\w.]+ breaks its contract: [^\n]+)"
)
"""What DuckDB says of a query before it reads a row, and Slipway of columns and their types: no value of a row is in it."""
MOST_BARS = 200
"""Nodes of a run whose timings are drawn; the others are counted."""
FEW_BARS = 40
"""Up to so many nodes, those that are unchanged are drawn, too."""


def moment(at: datetime | None) -> str:
    """A time as ISO 8601 in UTC, to the second; empty for none."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def without_values(text: str) -> str:
    """A reason or message up to the kind of an error: what an engine says after it may quote values of rows.

    What is wrong with the code itself is said in full, to the end of its line.
    """
    found = _KIND_OF_ERROR.search(text)
    if found is None:
        return text
    before = text[: found.start()]
    if of_code := _OF_CODE.match(text, found.start()):
        return f"{before}{of_code['said']}"
    return text[: found.end()]


def without_variables(command: Sequence[str]) -> list[str]:
    """A command line in which the values of dbt's variables are masked: they are for those who may read the records."""
    found: list[str] = []
    for word in command:
        if found and found[-1] == "--vars":
            found.append(MASK)
        else:
            found.append(f"--vars={MASK}" if word.startswith("--vars=") else word)
    return found


@dataclass(frozen=True)
class FeedShown:
    """When a feed last brought a file, with its thresholds in seconds."""

    source: str
    last_landed_at: str
    warn_after_seconds: float | None
    error_after_seconds: float | None


@dataclass(frozen=True)
class BooksShown:
    """Where the rows of a raw table are: landed = curated + quarantined + deduplicated + expired.

    ``landed`` are the current rows; those of files that newer ones replaced are ``superseded``.
    """

    raw: str
    curated: str
    quarantine: str
    landed: int
    curated_rows: int
    quarantined_rows: int
    deduplicated: int
    expired: int
    superseded: int
    by_rule: dict[str, int]
    problem: str

    @property
    def rows(self) -> int:
        """All rows that landed."""
        return self.landed + self.superseded

    @classmethod
    def of(cls, item: Conservation) -> BooksShown:
        """What a run counted."""
        return cls(
            raw=item.raw,
            curated=item.curated,
            quarantine=item.quarantine,
            landed=item.landed,
            curated_rows=item.curated_rows,
            quarantined_rows=item.quarantined_rows,
            deduplicated=item.deduplicated,
            expired=item.expired,
            superseded=item.superseded,
            by_rule=item.by_rule,
            problem=item.problem,
        )


@dataclass(frozen=True)
class TestShown:
    """A test that failed or warned."""

    __test__ = False

    unique_id: str
    name: str
    status: str
    failures: int | None
    tables: list[str]


@dataclass(frozen=True)
class RunShown:
    """A run as lists and plots show it; times UTC, bytes as DuckDB counted them.

    ``release`` is the one that its tables were published as. ``tables`` are those that it staged: rows, bytes, rows added and rows removed; ``engines`` names the engine of
    those that DuckDB did not compute. A run without a run manifest is
    ``incomplete`` and has only its id.
    """

    run_id: str
    started_at: str
    outcome: str
    reason: str = ""
    release: int | None = None
    seconds: float | None = None
    who: str = ""
    mode: str = ""
    command: list[str] = field(default_factory=list)
    commit: str = ""
    branch: str = ""
    dirty: bool = False
    built: int = 0
    unchanged: int = 0
    failed: int = 0
    stale: int = 0
    tests: dict[str, int] = field(default_factory=dict)
    failing: list[TestShown] = field(default_factory=list)
    bytes_read: int = 0
    bytes_written: int = 0
    tables: dict[str, list[int | None]] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    feeds: list[FeedShown] = field(default_factory=list)
    books: list[BooksShown] = field(default_factory=list)
    landed: dict[str, int] = field(default_factory=dict)
    outstanding: int = 0

    @classmethod
    def of(cls, manifest: RunManifest) -> RunShown:
        """What a run manifest tells."""
        nodes = manifest.nodes
        verdicts = [file.verdict for file in manifest.landed_files]
        tests = manifest.tests
        return cls(
            run_id=manifest.run_id,
            started_at=moment(manifest.started_at),
            outcome=str(manifest.outcome),
            reason=without_values(manifest.reason),
            release=manifest.release,
            seconds=round((manifest.finished_at - manifest.started_at).total_seconds(), 1),
            who=manifest.who,
            mode=manifest.mode,
            command=without_variables(manifest.command),
            commit=manifest.code.commit or "",
            branch=manifest.code.branch or "",
            dirty=manifest.code.dirty,
            built=sum(node.change is Change.BUILT for node in nodes),
            unchanged=sum(
                node.change in (Change.UNCHANGED, Change.SAME_CONTENT, Change.PINNED) for node in nodes
            ),
            failed=sum(node.status.failed for node in nodes),
            stale=sum(bool(node.stale) for node in nodes),
            tests={
                "expected": tests.expected,
                "executed": tests.executed,
                "carried": tests.carried,
                "not_run": tests.not_run,
                "failed": tests.failed,
                "warned": tests.warned,
            },
            failing=[_failing(test) for test in tests.results if _stands_out(test)],
            bytes_read=sum(node.bytes_read or 0 for node in nodes),
            bytes_written=sum(node.bytes_written or 0 for node in nodes),
            tables={
                node.table: [node.rows_after, node.bytes_total, node.rows_added, node.rows_removed]
                for node in nodes
                if node.table and node.change.stages
            },
            engines={
                node.table: node.other_engine
                for node in nodes
                if node.table and node.change.stages and node.other_engine
            },
            feeds=[
                FeedShown(
                    one.source,
                    moment(one.last_landed_at),
                    one.warn_after_seconds,
                    one.error_after_seconds,
                )
                for one in manifest.freshness
            ],
            books=list(map(BooksShown.of, manifest.conservation)),
            landed={name: verdicts.count(name) for name in sorted(set(verdicts))},
            outstanding=sum(bool(one.feed) for one in manifest.outstanding),
        )

    @classmethod
    def without_manifest(cls, run_id: str, outcome: str, reason: str = "") -> RunShown:
        """A run of which only the id is known, and why."""
        return cls(run_id, moment(started_at(run_id)), outcome, reason)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RunShown:
        """What an earlier build of the site wrote down."""
        given = dict(record)
        given["failing"] = [TestShown(**one) for one in given["failing"]]
        given["feeds"] = [FeedShown(**one) for one in given["feeds"]]
        given["books"] = [BooksShown(**one) for one in given["books"]]
        return cls(**given)


def _stands_out(test: TestResult) -> bool:
    return test.status.failed or test.status is Status.WARN


def _failing(test: TestResult) -> TestShown:
    return TestShown(test.unique_id, test.name, str(test.status), test.failures, test.tables)


@dataclass(frozen=True)
class Bar:
    """A node in the plot of a run: when it began and how long it took, in seconds since the first one, and the thread that carried it out."""

    name: str
    table: str
    change: str
    begins: float
    seconds: float
    thread: str
    rows: int | None
    bytes_written: int | None
    message: str
    engine: str


def timings(manifest: RunManifest, results: Mapping[str, Any] | None) -> list[Bar]:
    """The nodes of a run in the order in which they began, without those that dbt did not come to.

    Args:
        manifest: of the run.
        results: dbt's run_results.json, which says when each node began.
    """
    began = dict(_began(results or {}))
    known = [began[node.unique_id][0] for node in manifest.nodes if node.unique_id in began]
    first = min(known, default=0.0)
    bars = []
    for node in manifest.nodes:
        at, thread = began.get(node.unique_id, (first, ""))
        bars.append(_bar(node, at - first, thread))
    return sorted(bars, key=lambda bar: (bar.begins, bar.name))


def _bar(node: Node, begins: float, thread: str) -> Bar:
    what = node.status if node.change is Change.NONE else node.change
    return Bar(
        name=node.unique_id.split(".")[-1],
        table=node.table or "",
        change="failed" if node.status.failed else str(what),
        begins=round(begins, 2),
        seconds=round(node.seconds, 2),
        thread=thread,
        rows=node.rows_after,
        bytes_written=node.bytes_written,
        message=without_values(node.message) if node.status.failed else node.stale,
        engine=node.other_engine,
    )


def _began(results: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float, str]]]:
    for one in results.get("results", ()):
        starts = [part["started_at"] for part in one.get("timing", ()) if part.get("started_at")]
        if starts:
            at = datetime.fromisoformat(min(starts)).timestamp()
            yield one["unique_id"], (at, str(one.get("thread_id", "")))
