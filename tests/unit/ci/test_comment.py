"""When a change passes, what the comment of a pull request says, and which code the published tables are of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.harness.records import COMMIT, manifest, node, release

from slipway.ci.comment import MOST_CHARACTERS, for_page, to_markdown, to_text
from slipway.ci.released_code import released_code
from slipway.ci.result import CiResult, Rebuild
from slipway.comparison.report import ComparisonReport, make_report
from slipway.comparison.results import Coverage, Method, RowCounts, Side, TableComparison, judge
from slipway.contracts.contract_changes import ContractDiff
from slipway.errors import NotFoundError
from slipway.records.node_results import TestResult, Tests
from slipway.records.release_records import Release
from slipway.records.run_manifest import Outcome
from slipway.releases.rollback_rules import Exposure

AGAINST = release(3, code=COMMIT)
ONE_TEST = Tests(expected=1, executed=1, carried=0, not_run=0, failed=0, warned=0)
PINNED = node("raw.a", "pinned")


def compared(added: int) -> ComparisonReport:
    table = TableComparison(
        name="serving.a",
        coverage=Coverage(method=Method.KEY, key=("id",), columns=("id",)),
        base=Side(rows=10),
        head=Side(rows=10 + added),
        rows=RowCounts(identical=10, added=added),
    )
    return make_report([judge(table)], title="t", base="release 3", head="this change")


@pytest.mark.parametrize(
    ("run", "report", "passed", "title"),
    [
        (None, None, True, "nothing to build"),
        (None, compared(1), False, "failed, 1 table differs, 0 declared"),
        (manifest(node("serving.a")), compared(0), True, "passed"),
        (manifest(node("serving.a")), compared(1), False, "failed, 1 table differs, 0 declared"),
        (manifest(outcome=Outcome.UNCHANGED, tests=ONE_TEST), None, True, "passed"),
        (
            manifest(node("serving.a"), outcome=Outcome.FAILED, reason="1 of 2 nodes failed: a"),
            None,
            False,
            "failed, 1 of 2 nodes failed: a",
        ),
        (
            manifest(PINNED),
            None,
            False,
            "failed, nothing was compared: raw.a is an input, which is taken as published; add a test of it",
        ),
        (manifest(PINNED, tests=ONE_TEST), None, True, "passed"),
        (manifest(PINNED, outcome=Outcome.FAILED, reason="no"), None, False, "failed, no"),
        (manifest(PINNED, node("serving.a")), compared(0), True, "passed"),
    ],
    ids=[
        "nothing is touched",
        "a model is gone",
        "same rows",
        "other rows",
        "only a test is new",
        "does not build",
        "only an input",
        "an input and its test",
        "an input and a failure",
        "an input and a model",
    ],
)
def test_a_change_passes_when_something_was_looked_at_and_nothing_is_unexplained(
    run: Any,  # noqa: ANN401 - a run manifest or none
    report: ComparisonReport | None,
    passed: bool,
    title: str,
) -> None:
    result = CiResult(run, report, AGAINST)
    assert result.passed is passed
    # the style of Markdown marks what would be a sign of its own
    assert to_markdown(result).splitlines()[0].replace("\\", "").replace("`", "") == f"### Slipway: {title}"


def test_the_comment_names_what_failed_and_what_a_release_needs() -> None:
    results = [
        TestResult(unique_id="test.shop.positive", status="fail", message="Got 2 results"),
        TestResult(unique_id="test.shop.unique", status="pass"),
    ]
    run = manifest(
        node("serving.a", "none", status="error", message="the scales are broken"),
        node("serving.b"),
        PINNED,
        outcome=Outcome.FAILED,
        reason="2 of 3 nodes failed",
        tests=Tests(expected=2, executed=2, carried=0, not_run=0, failed=1, warned=0, results=results),
    )
    text = to_markdown(
        CiResult(run, None, AGAINST, stale={"serving.c": "rebuild it"}, kept={"serving.d": "old"})
    )
    lines = text.splitlines()
    assert lines[0] == "### Slipway: failed, 2 of 3 nodes failed"
    assert lines[2] == (
        "Compared with release 3 (c0ffee000000). Built 1 table in 0.0 s (0 B);"
        " tests: 2 executed, 1 failed, 0 warned, 0 not run."
        " Not rebuilt, although selected: `raw.a`, an input is taken as published."
    )
    assert "- `positive`: Got 2 results" in lines
    assert not any("unique" in line for line in lines)
    assert "- `serving.a`: the scales are broken" in lines
    assert "#### What the release needs" in lines
    assert "- `serving.c`: rebuild it" in lines
    assert "- `serving.d`: old" in lines


def test_a_terminal_gets_the_same_without_markdown() -> None:
    run = manifest(node("serving.a"), PINNED)
    result = CiResult(
        run, compared(1), AGAINST, stale={"serving.c": "rebuild it"}, base_commit="c0ffee0000001"
    )
    text = to_text(result)
    lines = text.splitlines()
    assert lines[0] == "Slipway: failed, 1 table differs, 0 declared"
    assert "- serving.c: rebuild it" in lines
    assert "If it is meant to differ, say so in the configuration of the model, here of serving.a:" in lines
    assert "    compare_expected:" in lines
    assert any(line.split()[:2] == ["serving.a", "different"] for line in lines), text
    page = for_page(result)
    assert page is not None
    assert page.tables == compared(1).tables
    assert (
        page.remarks[-1]
        == f"The same report on a laptop: slipway ci --target {run.target} --base c0ffee000000"
    )
    assert {"serving.c: rebuild it", "What the release needs"} <= set(page.remarks)
    for sign in ("#", "`", "**", "|", "<details>", "mermaid"):
        assert sign not in text
    assert (
        to_text(CiResult(None, None, None))
        == "Slipway: nothing to build\n\nNo model, seed or test differs.\n"
    )


def test_a_long_comment_fits_and_loses_its_details_first() -> None:
    tables = [
        judge(
            TableComparison(
                name=f"serving.table_{number:04d}",
                coverage=Coverage(method=Method.KEY, key=("id",), columns=("id",)),
                base=Side(rows=10),
                head=Side(rows=11),
                rows=RowCounts(identical=10, added=1),
                notes=("a long note " * 20,),
            )
        )
        for number in range(600)
    ]
    contract = ContractDiff(
        "orders", "orders.odcs.yaml", is_feed=False, base="1.0.0", head="1.1.0", changes=()
    )
    report = make_report(tables, title="t", base="release 3", head="this change")
    readers = [Exposure("sales @all", "dashboard", "Ada", ("serving.table_0001",))]
    result = CiResult(manifest(node("serving.a")), report, AGAINST, exposures=readers, contracts=[contract])
    text = to_markdown(result)
    assert len(text) <= MOST_CHARACTERS
    head, _, _ = text.partition("<details>")
    assert head.splitlines()[0] == "### Slipway: failed, 600 tables differ, 0 declared"
    assert len(head.splitlines()) < 40
    assert "580 more tables: see ci.html and ci.json." in head
    assert "- exposure `sales @all` (dashboard of Ada) reads `serving.table_0001`" in head
    assert "- contract `orders` `1.0.0` → `1.1.0`: 0 breaking changes, 0 compatible" in head
    assert "more: see ci.html and ci.json." in text
    assert text.count("<details>") == text.count("</details>")
    assert text.count("```") % 2 == 0
    assert "slipway ci --target dev" in text


FULL = manifest(node("serving.a"), run_id="r2")


@pytest.mark.parametrize(
    ("rebuild", "title"),
    [
        (Rebuild(FULL, None), "passed"),
        (Rebuild(FULL, compared(0)), "passed"),
        (Rebuild(FULL, compared(1)), "failed, after a full refresh: 1 table differs, 0 declared"),
        (
            Rebuild(manifest(outcome=Outcome.FAILED, reason="1 of 1 node failed: a"), None),
            "failed, after a full refresh: 1 of 1 node failed: a",
        ),
    ],
    ids=["nothing else", "the same", "other rows", "does not build"],
)
def test_a_change_of_incremental_code_passes_when_a_full_refresh_does_too(
    rebuild: Rebuild, title: str
) -> None:
    result = CiResult(manifest(node("serving.a")), compared(0), AGAINST, rebuild=rebuild)
    assert result.passed is (title == "passed")
    text = to_markdown(result)
    assert text.splitlines()[0] == f"### Slipway: {title}"


def dbt_node(name: str, code: str, kind: str = "table") -> dict[str, Any]:
    return {
        "resource_type": "model",
        "schema": "serving",
        "alias": name,
        "raw_code": code,
        "config": {"materialized": kind},
    }


class Recorded:
    """The records of runs: run id to the code of each model that dbt knew, and the models that the run looked at."""

    def __init__(self, **runs: tuple[dict[str, str], list[str]]) -> None:
        self.runs = runs

    def dbt_manifest(self, run_id: str) -> dict[str, Any] | None:
        known = self.runs.get(run_id.replace("-", "_"))
        return {"nodes": {f"model.shop.{n}": dbt_node(n, c) for n, c in known[0].items()}} if known else None

    def manifest(self, run_id: str) -> Any:  # noqa: ANN401 - a run manifest or none
        known = self.runs.get(run_id.replace("-", "_"))
        return SimpleNamespace(nodes=[node(f"serving.{n}") for n in known[1]]) if known else None

    def promoted_manifest(self, _: str) -> None:
        """Nothing came from another environment."""


RELEASES: list[Release] = [release(1), release(2), release(3)]


def code_of(records: Recorded) -> dict[str, str]:
    described = released_code(records, RELEASES)  # type: ignore[arg-type]
    return {one["alias"]: one["raw_code"] for one in described["nodes"].values()}


def test_each_model_is_as_the_last_release_that_looked_at_it_had_it() -> None:
    records = Recorded(
        run_1=({"a": "1", "b": "1", "c": "1"}, ["a", "b", "c"]),
        run_2=({"a": "2", "b": "2", "c": "2"}, ["b"]),
        run_3=({"a": "3", "b": "3", "c": "3"}, ["c"]),
    )
    assert code_of(records) == {"a": "1", "b": "2", "c": "3"}


def test_a_model_that_no_release_looked_at_counts_as_new() -> None:
    records = Recorded(run_1=({"a": "1"}, ["a"]), run_3=({"a": "3", "new": "3"}, []))
    assert code_of(records) == {"a": "1"}


def test_a_run_without_dbts_manifest_cannot_be_compared_with() -> None:
    with pytest.raises(NotFoundError, match=r"Run run-3 has no manifest of dbt: slim CI compares with it"):
        released_code(Recorded(), RELEASES)  # type: ignore[arg-type]
