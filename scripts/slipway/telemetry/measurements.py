"""What a run's records say as spans and gauges, before they take the form of any tool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway.records.node_results import Node, Status, TestResult, said
from slipway.records.release_records import Release
from slipway.records.run_manifest import Outcome, RunManifest

Attributes = Mapping[str, str | int | float | bool]
"""Values of a span or sample by name. Names that OpenTelemetry's semantic conventions have are used where they fit."""


@dataclass(frozen=True)
class Span:
    """A piece of work.

    Args:
        name: what it was, without what differs from run to run.
        start: when it began, UTC.
        end: when it ended, UTC.
        attributes: what is known of it.
        error: why it failed; empty if it did not.
        children: pieces that it consists of.
    """

    name: str
    start: datetime
    end: datetime
    attributes: Attributes
    error: str = ""
    children: list[Span] = field(default_factory=list)


@dataclass(frozen=True)
class Gauge:
    """A quantity as it is after the run.

    Args:
        name: as OpenTelemetry names metrics, ``slipway.run.duration``.
        description: one sentence.
        unit: of the Unified Code for Units of Measure: ``s``, ``{row}``, ``1``.
        samples: labels and value.
        is_moment: the value is a moment, in seconds since 1970.
    """

    name: str
    description: str
    unit: str
    samples: list[tuple[Mapping[str, str], float]]
    is_moment: bool = False


def trace_of(manifest: RunManifest, run_results: Mapping[str, Any]) -> Span:
    """The run as a span, with one child for each node and test that dbt executed.

    Nodes that are unchanged and tests that are carried were not executed: they are counted in the attributes of the run.

    Args:
        manifest: of the run.
        run_results: dbt's ``run_results.json``; empty for a run that did not start dbt.
    """
    known: dict[str, Node | TestResult] = {one.unique_id: one for one in manifest.nodes}
    known |= {one.unique_id: one for one in manifest.tests.results}
    children = [
        span
        for result in run_results.get("results") or []
        if (span := _executed(result, known.get(result["unique_id"]))) is not None
    ]
    failed = manifest.outcome in (Outcome.FAILED, Outcome.REFUSED)
    attributes = {
        "slipway.run.id": manifest.run_id,
        "slipway.run.mode": manifest.mode,
        "slipway.run.outcome": str(manifest.outcome),
        "slipway.release": manifest.release,
        "slipway.nodes": len(manifest.nodes),
        "slipway.nodes.built": sum(node.change.stages for node in manifest.nodes),
        "slipway.tests.executed": manifest.tests.executed,
        "slipway.tests.carried": manifest.tests.carried,
        "slipway.tests.failed": manifest.tests.failed,
        "vcs.ref.head.revision": manifest.code.commit,
    }
    return Span(
        "slipway run",
        manifest.started_at,
        manifest.finished_at,
        _present(attributes),
        said(manifest.reason) or str(manifest.outcome) if failed else "",
        sorted(children, key=lambda span: span.start),
    )


def _executed(result: Mapping[str, Any], found: Node | TestResult | None) -> Span | None:
    """The span of one of dbt's results, None for one that dbt did not execute."""
    moments = [
        datetime.fromisoformat(str(timing[end]))
        for timing in result.get("timing") or []
        for end in ("started_at", "completed_at")
        if timing.get(end)
    ]
    if not moments or (isinstance(found, TestResult) and found.carried):
        return None
    unique_id = str(result["unique_id"])
    status = found.status if found else Status(str(result["status"]))
    attributes: dict[str, Any] = {
        "dbt.unique_id": unique_id,
        "dbt.status": str(status),
        "thread.name": result.get("thread_id"),
    }
    if isinstance(found, Node):
        attributes |= {
            "slipway.table": found.table,
            "slipway.change": str(found.change),
            "slipway.rows.added": found.rows_added,
            "slipway.rows.removed": found.rows_removed,
            "slipway.bytes.read": found.bytes_read,
            "slipway.bytes.written": found.bytes_written,
        }
    elif found is not None:
        attributes["dbt.failures"] = found.failures
    explained = found.explanation if isinstance(found, TestResult) else found.message if found else ""
    message = explained or str(result.get("message") or "")
    kind, name = unique_id.split(".", maxsplit=1)[0], (found.name if isinstance(found, TestResult) else "")
    table = found.table if isinstance(found, Node) else None
    return Span(
        f"{kind} {table or name or unique_id}",
        min(moments),
        max(moments),
        _present(attributes),
        said(message) or str(status) if status.failed else "",
    )


def gauges_of(manifest: RunManifest, release: Release | None) -> list[Gauge]:
    """The run, what readers see after it, and the feeds, as quantities.

    Args:
        manifest: of the run.
        release: the one that readers see, None if nothing is published.
    """
    here = {"environment": manifest.target}
    seconds = (manifest.finished_at - manifest.started_at).total_seconds()
    changes: dict[str, int] = {}
    for node in manifest.nodes:
        what = "failed" if node.status.failed else str(node.change)
        changes[what] = changes.get(what, 0) + 1
    tests = manifest.tests
    results = {
        "passed": tests.executed - tests.failed - tests.warned,
        "warned": tests.warned,
        "failed": tests.failed,
        "carried": tests.carried,
        "not_run": tests.not_run,
    }
    found = [
        Gauge(
            "slipway.run.finished",
            "When the last run ended.",
            "s",
            [(here, manifest.finished_at.timestamp())],
            is_moment=True,
        ),
        Gauge("slipway.run.duration", "How long the last run took.", "s", [(here, seconds)]),
        Gauge(
            "slipway.run.outcome",
            "1 for how the last run ended, 0 for every other outcome.",
            "1",
            [({**here, "outcome": str(one)}, float(one is manifest.outcome)) for one in Outcome],
        ),
        Gauge(
            "slipway.run.nodes",
            "Nodes of the last run by what became of them.",
            "{node}",
            [({**here, "change": name}, value) for name, value in sorted(changes.items())],
        ),
        Gauge(
            "slipway.run.tests",
            "Tests of the last run by result.",
            "{test}",
            [({**here, "result": name}, value) for name, value in results.items()],
        ),
        Gauge(
            "slipway.table.build.duration",
            "How long the last run took for the table.",
            "s",
            [
                ({**here, "table": node.table}, node.seconds)
                for node in manifest.nodes
                if node.table and node.change.stages
            ],
        ),
        *_of_release(here, release),
        *_of_feeds(here, manifest),
    ]
    return [gauge for gauge in found if gauge.samples]


def _of_release(here: Mapping[str, str], release: Release | None) -> Iterator[Gauge]:
    if release is None:
        return
    yield Gauge(
        "slipway.release.published",
        "When the release that readers see was published.",
        "s",
        [(here, release.published_at.timestamp())],
        is_moment=True,
    )
    yield Gauge("slipway.release.number", "The release that readers see.", "1", [(here, release.number)])
    yield Gauge(
        "slipway.table.rows",
        "Rows of a table that readers see.",
        "{row}",
        [
            ({**here, "table": name}, table.rows)
            for name, table in sorted(release.tables.items())
            if table.rows is not None
        ],
    )


def _of_feeds(here: Mapping[str, str], manifest: RunManifest) -> Iterator[Gauge]:
    yield Gauge(
        "slipway.feed.landed",
        "When a file of the feed last landed.",
        "s",
        [
            ({**here, "feed": item.source.rpartition(".")[2]}, item.last_landed_at.timestamp())
            for item in manifest.freshness
            if item.last_landed_at
        ],
        is_moment=True,
    )
    yield Gauge(
        "slipway.feed.rows",
        "Where the rows of a feed are, since the beginning.",
        "{row}",
        [
            ({**here, "feed": item.raw.partition(".")[2], "place": place}, rows)
            for item in manifest.conservation
            for place, rows in (
                ("landed", item.landed),
                ("curated", item.curated_rows),
                ("quarantined", item.quarantined_rows),
                ("deduplicated", item.deduplicated),
                ("expired", item.expired),
            )
        ],
    )
    yield Gauge(
        "slipway.feed.outstanding",
        "Files in the landing area whose rows are not in raw.",
        "{file}",
        _counted(here, [item.feed or "" for item in manifest.outstanding]),
    )


def _counted(here: Mapping[str, str], feeds: Iterable[str]) -> list[tuple[Mapping[str, str], float]]:
    """Files by feed, and 0 for no feed at all, so that an alert on the sum can end."""
    found: dict[str, int] = {"": 0}
    for feed in feeds:
        found[feed] = found.get(feed, 0) + 1
    return [({**here, "feed": feed}, value) for feed, value in sorted(found.items())]


def _present(attributes: Mapping[str, Any]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
