"""What is shown of a run, and what is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.harness.records import NOW, manifest, node

from slipway.records.landed_files import LandedFile
from slipway.records.node_results import Status, TestResult, Tests
from slipway.site.runs_shown import RunShown, timings, without_values, without_variables


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Conversion Error: Could not convert string 'Ada' to INT32", "Conversion Error"),
        ("Runtime Error in model x: Ada is no number", "Runtime Error"),
        (
            'Runtime Error in model trips (trips.sql)\n  Binder Error: Referenced column "fare" not found in FROM clause!\nAda',
            'Binder Error: Referenced column "fare" not found in FROM clause!',
        ),
        (
            "1 of 2 nodes failed: Catalog Error: No table a!\nAda",
            "1 of 2 nodes failed: Catalog Error: No table a!",
        ),
        (
            "Runtime Error in model a (a.sql)\n  curated.a breaks its contract: n is INTEGER, declared VARCHAR. Change it.\nAda",
            "curated.a breaks its contract: n is INTEGER, declared VARCHAR. Change it.",
        ),
        ("Conversion Error: Could not convert 'Binder Error: Ada'", "Conversion Error"),
        ("Runtime Error in model a (a.sql)\n  Conversion Error: 'x\nBinder Error: Ada'", "Runtime Error"),
        ("Out Of Memory Error: 12345", "Out Of Memory Error"),
        ("every node and every test passed", "every node and every test passed"),
        ("", ""),
    ],
)
def test_a_message_ends_with_the_kind_of_an_error(text: str, shown: str) -> None:
    assert without_values(text) == shown


def test_variables_are_masked_in_a_command() -> None:
    assert without_variables(["slipway", "run", "--vars", "a: 1", "--vars=b: 2", "-t", "prod"]) == [
        "slipway", "run", "--vars", "***", "--vars=***", "-t", "prod",
    ]  # fmt: skip


def test_counts_are_those_of_the_manifest() -> None:
    tests = [
        TestResult(
            unique_id="test.shop.a.1", status=Status.FAIL, failures=3, tables=["raw.a"], problems=["Ada"]
        ),
        TestResult(unique_id="test.shop.b.1", status=Status.WARN, failures=1),
        TestResult(unique_id="test.shop.c.1", status=Status.PASS),
        TestResult(unique_id="test.shop.d.1", status=Status.NOT_RUN),
    ]
    landed = LandedFile(
        feed="a", path="a/1.csv", size_bytes=1, etag="", sha256="", rows=1, verdict="accepted", reason="", landed_at=NOW, run_id="r1"
    )  # fmt: skip
    run = manifest(
        node("raw.a", rows_after=5, bytes_total=7, rows_added=2, rows_removed=1, bytes_read=3),
        node("raw.b", change="unchanged", rows_after=1),
        node("raw.c", change="none", status="error", message="Conversion Error: Ada"),
        tests=Tests(expected=4, executed=3, carried=0, not_run=1, failed=1, warned=1, results=tests),
        landed_files=[landed, landed.model_copy(update={"verdict": "rejected"})],
        finished_at=NOW + timedelta(seconds=90),
    )
    shown = RunShown.of(run)
    assert (shown.built, shown.unchanged, shown.failed, shown.seconds) == (1, 1, 1, 90)
    assert shown.tables == {"raw.a": [5, 7, 2, 1]}
    assert [(test.name, test.status, test.failures) for test in shown.failing] == [
        ("a", "fail", 3),
        ("b", "warn", 1),
    ]
    assert shown.landed == {"accepted": 1, "rejected": 1}
    assert "Ada" not in str(shown)


def test_engines_are_named_that_are_not_duckdb() -> None:
    run = manifest(
        node("raw.a", engine="duckdb"),
        node("raw.b", engine="spark"),
        node("raw.c", change="same_content", engine="spark"),
        node("raw.d", change="unchanged", engine="spark"),
        node("raw.e", change="pinned", engine="spark"),
        node("raw.f"),
    )
    assert RunShown.of(run).engines == {"raw.b": "spark", "raw.c": "spark"}
    drawn = {bar.table: bar.engine for bar in timings(run, None)}
    assert {table for table, engine in drawn.items() if engine} == {"raw.b", "raw.c", "raw.d"}


def test_a_run_is_the_same_after_it_was_written_down() -> None:
    import json
    from dataclasses import asdict

    shown = RunShown.of(manifest(node("raw.a", rows_after=5, engine="spark")))
    assert RunShown.from_json(json.loads(json.dumps(asdict(shown)))) == shown


def test_nodes_are_in_the_order_in_which_they_began() -> None:
    def result(name: str, second: int) -> dict[str, object]:
        timing = [{"name": "compile", "started_at": f"2024-05-02T12:00:{second:02}Z"}, {"name": "execute"}]
        return {"unique_id": f"model.shop.{name}", "timing": timing, "thread_id": "Thread-1"}

    run = manifest(
        node("raw.a", seconds=2.0),
        node("raw.b", seconds=1.5),
        node("raw.c", change="none", status="error", message="Runtime Error: Ada"),
    )
    bars = timings(run, {"results": [result("a", 7), result("b", 3)]})
    assert [(bar.table, bar.begins, bar.seconds) for bar in bars] == [
        ("raw.b", 0, 1.5),
        ("raw.c", 0, 0),
        ("raw.a", 4, 2),
    ]
    assert [(bar.change, bar.message) for bar in bars] == [
        ("built", ""),
        ("failed", "Runtime Error"),
        ("built", ""),
    ]
    assert [bar.begins for bar in timings(run, None)] == [0, 0, 0]
