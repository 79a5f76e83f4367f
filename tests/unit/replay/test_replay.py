from __future__ import annotations

import pytest
from tests.harness import records

from slipway.comparison.results import (
    ColumnComparison,
    Coverage,
    Difference,
    DifferenceKind,
    Example,
    Method,
    TableComparison,
    Verdict,
)
from slipway.records.node_results import Node
from slipway.replay.replay_verdict import ReplayReport, ReplayVerdict, judge_replay


def node(digest: str | None) -> Node:
    return records.node("serving.t", rows_after=2, digest=digest)


def comparison(verdict: Verdict, **facts: object) -> TableComparison:
    return TableComparison(
        name="serving.t", coverage=Coverage(method=Method.KEY, key=("k",)), verdict=verdict
    ).model_copy(update=facts)


CHANGED = comparison(
    Verdict.DIFFERENT,
    columns=(
        ColumnComparison(
            name="v",
            type="INTEGER",
            compared=2,
            matching=1,
            examples=(Example(key={"k": "7"}, base="1", head="2"),),
        ),
    ),
    differences=(Difference(kind=DifferenceKind.VALUES_CHANGED, detail="1 of 2 values differ", column="v"),),
)
MISSING = comparison(
    Verdict.DIFFERENT,
    removed_examples=({"k": "9"},),
    differences=(Difference(kind=DifferenceKind.ROWS_REMOVED, detail="1 row removed"),),
)


def test_equal_digests_need_no_look_at_the_rows() -> None:
    assert judge_replay(node("a:1"), node("a:1"), None, "a:1").verdict is ReplayVerdict.IDENTICAL


@pytest.mark.parametrize(
    ("recorded", "replayed", "found", "verdict", "why"),
    [
        pytest.param(
            "a:1", "a:2", CHANGED, "diverged", "1 of 2 values differ; first k 7: v 1 is now 2", id="value"
        ),
        pytest.param("a:1", "a:2", MISSING, "diverged", "1 row removed; first missing: k 9", id="row"),
        pytest.param(
            "a:1", "a:2", comparison(Verdict.WITHIN_TOLERANCE), "within tolerance", "", id="tolerated"
        ),
        pytest.param("a:1", "b:1", comparison(Verdict.IDENTICAL), "identical", "", id="another engine"),
        pytest.param(
            "a:1", "a:2", comparison(Verdict.IDENTICAL), "diverged", "in lineage columns", id="lineage"
        ),
        pytest.param(
            "a:1",
            "a:2",
            comparison(Verdict.EXPLAINED),
            "diverged",
            "in lineage columns",
            id="expected changes do not count",
        ),
    ],
)
def test_otherwise_the_rows_tell(
    recorded: str, replayed: str, found: TableComparison, verdict: str, why: str
) -> None:
    judged = judge_replay(node(recorded), node(replayed), found, recorded)
    assert (judged.verdict, judged.why) == (verdict, why)


def test_a_table_that_was_not_built() -> None:
    judged = judge_replay(node("a:1"), None, None, "a:1")
    assert (judged.verdict, judged.why, judged.replayed) == ("diverged", "it was not built", None)


def test_the_rows_count_and_not_what_was_recorded_of_them() -> None:
    changed = judge_replay(node("a:1"), node("a:1"), CHANGED, "a:2")
    assert changed.verdict == "diverged"
    assert changed.why.startswith("its table does not hold the rows any more that the run recorded; 1 of 2")
    forged = judge_replay(node("a:9"), node("a:1"), None, "a:1")
    assert (forged.verdict, forged.why != "") == ("identical", True)
    gone = judge_replay(node("a:1"), node("a:1"), None, None)
    assert (gone.verdict, "not kept any more" in gone.why) == ("identical", True)


@pytest.mark.parametrize(("digest", "passed"), [("a:1", True), ("a:2", False)])
def test_a_report_passes_when_every_table_does(digest: str, *, passed: bool) -> None:
    tables = [judge_replay(node("a:1"), node(other), MISSING, "a:1") for other in ("a:1", digest)]
    report = ReplayReport(run_id="r", target="dev", commit="c", tables=tables, differences=[])
    assert report.passed is passed


def test_digests_of_another_engine_do_not_say_that_a_table_changed() -> None:
    judged = judge_replay(node("a:1"), node("b:5"), None, "b:5")
    assert (judged.verdict, judged.why) == ("identical", "")


def test_tables_without_digests_are_not_taken_for_the_same() -> None:
    assert judge_replay(node(None), node(None), None, None).verdict == "diverged"
