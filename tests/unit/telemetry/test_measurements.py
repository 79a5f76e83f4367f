"""What a run's records become as spans and gauges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.harness.records import NOW, manifest, node, release, released

from slipway.records.conservation import Conservation
from slipway.records.landed_files import Freshness, Outstanding
from slipway.records.node_results import Status, TestResult, Tests
from slipway.records.release_records import Release
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.telemetry.measurements import gauges_of, trace_of

TEST = "test.shop.not_null_orders_id.1a2b3c"


def _result(unique_id: str, start: float, end: float, **more: object) -> dict[str, Any]:
    moments = [(NOW + timedelta(seconds=one)).isoformat().replace("+00:00", "Z") for one in (start, end)]
    timing = [
        {"name": "compile", "started_at": moments[0], "completed_at": moments[0]},
        {"name": "execute", "started_at": moments[0], "completed_at": moments[1]},
    ]
    return {
        "unique_id": unique_id,
        "status": "success",
        "timing": timing,
        "thread_id": "Thread-1",
        "message": "",
    } | more


def _tests(*results: TestResult, **counts: int) -> Tests:
    given = dict.fromkeys(("expected", "executed", "carried", "not_run", "failed", "warned"), 0) | counts
    return Tests(**given, results=list(results))


def _run(**more: object) -> RunManifest:
    return manifest(
        node("curated.orders", rows_added=5, bytes_written=871),
        node("raw.orders", change="unchanged"),
        finished_at=NOW + timedelta(seconds=90),
        **more,
    )


def test_a_run_is_a_span_with_what_dbt_executed_below_it() -> None:
    tests = _tests(TestResult(unique_id=TEST, status=Status.PASS, failures=0), expected=1, executed=1)
    results = [_result(TEST, 3, 4), _result("model.shop.orders", 1, 3)]
    run = manifest(
        node("curated.orders", rows_added=5, bytes_written=871),
        tests=tests,
        finished_at=NOW + timedelta(seconds=9),
    )
    trace = trace_of(run, {"results": results})
    assert (trace.name, trace.start, trace.end, trace.error) == (
        "slipway run",
        NOW,
        NOW + timedelta(seconds=9),
        "",
    )
    assert [one.name for one in trace.children] == ["model curated.orders", "test not_null_orders_id"]
    model = trace.children[0]
    assert (model.start - NOW, model.end - NOW) == (timedelta(seconds=1), timedelta(seconds=3))
    assert model.attributes["slipway.rows.added"] == 5
    assert model.attributes["slipway.bytes.written"] == 871
    assert trace.attributes["vcs.ref.head.revision"] == run.code.commit


def test_what_was_not_executed_has_no_span() -> None:
    carried = TestResult(unique_id=TEST, status=Status.PASS, carried=True)
    results = [_result("model.shop.orders", 1, 2, timing=[]), _result(TEST, 2, 3)]
    trace = trace_of(_run(tests=_tests(carried, expected=1, carried=1)), {"results": results})
    assert trace.children == []
    assert (trace.attributes["slipway.nodes"], trace.attributes["slipway.tests.carried"]) == (2, 1)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_a_run_that_published_nothing_because_of_an_error_is_one(outcome: Outcome) -> None:
    trace = trace_of(_run(outcome=outcome, reason="1 of 7 nodes failed"), {})
    assert bool(trace.error) is (outcome in (Outcome.FAILED, Outcome.REFUSED))


def test_a_node_that_failed_says_why() -> None:
    failed = node("curated.orders", change="none", status="error", message="Runtime Error\n  out of memory")
    found = trace_of(manifest(failed), {"results": [_result("model.shop.orders", 1, 2)]}).children[0]
    assert "out of memory" in found.error
    assert found.attributes["dbt.status"] == "error"


def test_a_node_of_which_the_run_knows_nothing_is_there_too() -> None:
    result = _result("model.other.view", 1, 2, status="error", message="no such column")
    found = trace_of(manifest(), {"results": [result]}).children[0]
    assert (found.name, found.error) == ("model model.other.view", "no such column")


def _values(run: RunManifest, shown: Release | None = None) -> dict[tuple[str, str], float]:
    """Metric and its last label to value."""
    return {
        (gauge.name, str(list(labels.values())[-1])): value
        for gauge in gauges_of(run, shown)
        for labels, value in gauge.samples
    }


def test_gauges_say_how_the_run_ended_and_what_readers_see() -> None:
    shown = release(7, {"curated.orders": released("1", "m", rows=5), "raw.gone": released("2", "n")})
    found = _values(
        _run(
            outcome=Outcome.FAILED,
            tests=_tests(expected=9, executed=6, carried=2, not_run=1, failed=1, warned=2),
        ),
        shown,
    )
    assert found["slipway.run.duration", "dev"] == 90
    assert found["slipway.run.finished", "dev"] == (NOW + timedelta(seconds=90)).timestamp()
    assert {key[1]: value for key, value in found.items() if key[0] == "slipway.run.outcome"} == {
        str(one): float(one is Outcome.FAILED) for one in Outcome
    }
    assert found["slipway.run.tests", "passed"] == 3
    assert found["slipway.run.nodes", "built"] == found["slipway.run.nodes", "unchanged"] == 1
    assert found["slipway.release.number", "dev"] == 7
    assert found["slipway.table.rows", "curated.orders"] == 5
    assert ("slipway.table.rows", "raw.gone") not in found


def test_gauges_of_feeds_add_up() -> None:
    books = Conservation(
        raw="raw.orders",
        curated="curated.orders",
        quarantine="quarantine.orders",
        landed=10,
        curated_rows=7,
        quarantined_rows=2,
        deduplicated=1,
        by_rule={},
    )
    fresh = Freshness(source="landing.orders", last_landed_at=NOW, age_seconds=5)
    never = Freshness(source="landing.returns", last_landed_at=None, age_seconds=None)
    waiting = [
        Outstanding(feed="orders", path="a.csv", reason=""),
        Outstanding(path="notes.txt", reason=""),
    ]
    found = _values(_run(conservation=[books], freshness=[fresh, never], outstanding=waiting))
    rows = {key[1]: value for key, value in found.items() if key[0] == "slipway.feed.rows"}
    assert rows["landed"] == rows["curated"] + rows["quarantined"] + rows["deduplicated"] == 10
    assert found["slipway.feed.landed", "orders"] == NOW.timestamp()
    assert ("slipway.feed.landed", "returns") not in found
    assert (found["slipway.feed.outstanding", "orders"], found["slipway.feed.outstanding", ""]) == (1, 1)


def test_that_nothing_is_outstanding_is_reported() -> None:
    assert _values(_run())["slipway.feed.outstanding", ""] == 0
