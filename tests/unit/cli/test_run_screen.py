"""What a run suggests at its end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.records import node

from slipway.cli import run_screen
from slipway.records.node_results import Change, Node, Status, TestResult, Tests
from slipway.records.run_manifest import Outcome, RunManifest


@pytest.mark.parametrize(
    ("changes", "suggested"),
    [
        ({"serving.b": Change.BUILT, "serving.a": Change.BUILT}, "serving.a"),
        ({"serving.a": Change.UNCHANGED, "serving.b": Change.BUILT}, "serving.b"),
        ({"serving.a": Change.SAME_CONTENT, "serving.b": Change.BUILT}, "serving.b"),
        ({"serving.b": Change.UNCHANGED, "serving.a": Change.UNCHANGED}, "serving.a"),
        ({"serving.a": Change.UNCHANGED, "curated.b": Change.BUILT}, "serving.a"),
        ({"curated.b": Change.BUILT}, None),
    ],
)
def test_it_suggests_a_served_table_that_was_built(changes: dict[str, Change], suggested: str | None) -> None:
    nodes = [
        Node(unique_id=f"model.shop.{table}", table=table, status=Status.SUCCESS, change=change)
        for table, change in changes.items()
    ]
    given: dict[str, Any] = {"run_id": "r", "outcome": Outcome.PUBLISHED, "scratch": None, "nodes": nodes}
    manifest = RunManifest.model_construct(**given)
    steps = run_screen._next_steps(manifest, " --target lake", "slipway")
    assert [step for step in steps if " show " in step] == (
        [f"  slipway show {suggested} --target lake"] if suggested else []
    )


def test_an_engine_is_named_where_it_is_not_duckdb() -> None:
    by_duckdb = node("curated.orders", engine="duckdb", rows_after=3, rows_added=3, seconds=0.1)
    of_before = node("curated.sums")  # of a record without the engine
    by_spark = node("serving.pairs", engine="spark", rows_after=5, rows_added=5, seconds=2.0)
    kept = node("serving.kept", change="unchanged", engine="spark", rows_after=4)
    read = node("serving.read", change="pinned", engine="spark", rows_after=4)
    assert not any("engine" in line for line in run_screen._built([by_duckdb, of_before, read]))
    lines = list(run_screen._built([by_duckdb, of_before, by_spark, kept, read]))
    at = lines[0].index("engine")
    assert [line[at:] for line in lines[1:]] == ["", "", "spark", "spark", ""]


@pytest.mark.parametrize(("status", "shown"), [(Status.SUCCESS, True), (Status.ERROR, False)])
def test_a_query_that_failed_is_not_called_always_built(status: Status, shown: bool) -> None:
    """What DuckDB says of a wrong column is the reason of the failure, not of a build in every run."""
    failed = Node(
        unique_id="model.shop.a",
        table="serving.a",
        status=status,
        change=Change.BUILT,
        volatile="it calls now",
    )
    given: dict[str, Any] = {"nodes": [failed]}
    manifest = RunManifest.model_construct(**given)
    assert run_screen._of_other_code(manifest) == (
        ["", "always built: serving.a: it calls now"] if shown else []
    )


def test_a_failed_test_says_what_it_found() -> None:
    problems = [f"rule {number} is broken" for number in range(7)]
    result = TestResult(
        unique_id="test.shop.meets.1", status=Status.FAIL, message="Got 7 results", problems=problems
    )
    tests = Tests(expected=1, executed=1, carried=0, not_run=0, failed=1, warned=0, results=[result])
    given: dict[str, Any] = {"tests": tests}
    lines = list(run_screen._tests_in_short(RunManifest.model_construct(**given)))
    assert lines[2:] == [
        "  fail  meets: Got 7 results",
        *(f"        {problem}" for problem in problems[:5]),
        "        and 2 more",
    ]
