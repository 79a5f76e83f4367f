"""Which data tests and unit tests fail on which side of a comparison, and what the report says of that."""

from __future__ import annotations

import pytest

from slipway.comparison.failing_tests import compare_tests
from slipway.comparison.html_report import to_html
from slipway.comparison.report import ComparisonReport, make_report
from slipway.comparison.results import Coverage, Method, Side, TableComparison, judge
from slipway.comparison.text_report import to_markdown, to_text
from slipway.records.node_results import Status, TestResult, Tests

ROWS = judge(
    TableComparison(
        name="serving.a",
        coverage=Coverage(method=Method.KEY, key=("id",)),
        base=Side(rows=1),
        head=Side(rows=1),
    )
)


def ran(**statuses: str) -> Tests:
    """The tests of a side: name to how each ended; ``unit_…`` is a unit test."""
    results = [
        TestResult(
            unique_id=f"unit_test.shop.a.{name}" if name.startswith("unit_") else f"test.shop.{name}.0f1e",
            status=status,
            message=f"Got {len(name)} results" if status in ("fail", "error") else "",
        )
        for name, status in statuses.items()
    ]
    failed = sum(test.status.failed for test in results)
    return Tests(
        expected=len(results),
        executed=len(results),
        carried=0,
        not_run=0,
        failed=failed,
        warned=sum(test.status is Status.WARN for test in results),
        results=results,
    )


def report(base: Tests | None, head: Tests | None) -> ComparisonReport:
    return make_report([ROWS], tests=compare_tests(base, head))


@pytest.mark.parametrize(
    ("base", "head", "passes", "said"),
    [
        (ran(t="pass"), ran(t="pass"), True, ""),
        (ran(t="pass"), ran(t="warn"), True, ""),
        (ran(t="fail"), ran(t="fail"), True, "1 data test fails on both sides: t"),
        (ran(t="fail"), ran(t="error"), True, "1 data test fails on both sides: t"),
        (ran(t="fail"), ran(t="pass"), True, "1 data test fails on base only: t"),
        (ran(t="fail"), ran(), True, "1 data test fails on base only: t"),
        (ran(t="pass"), ran(t="fail"), False, "1 data test fails on head only: t"),
        (ran(t="pass"), ran(t="runtime error"), False, "1 data test fails on head only: t"),
        (ran(), ran(t="fail"), False, "1 data test fails on head only: t"),
        (None, ran(t="fail"), False, "1 data test fails on head only: t"),
        (
            ran(),
            ran(a="fail", b="fail", c="fail", d="fail", unit_e="fail"),
            False,
            "4 data tests and 1 unit test fail on head only: a, b, c and 2 more",
        ),
    ],
    ids=[
        "both pass",
        "head warns",
        "both fail",
        "both fail in another way",
        "repaired",
        "removed",
        "broken",
        "not to be run",
        "new",
        "base ran none",
        "many",
    ],
)
def test_a_test_that_fails_on_head_only_fails_the_comparison(
    base: Tests | None, head: Tests, *, passes: bool, said: str
) -> None:
    made = report(base, head)
    assert made.passed is passes
    for text in (to_text(made), to_markdown(made), to_html(made)):
        assert said in text.replace("`", "")
        assert ("fails on" in text or "fail on" in text) is bool(said)
    assert (
        to_text(made).splitlines()[0]
        == f"Comparison: {'' if passes else f'failed, {said}; '}{'passed, ' if passes else ''}1 table (1 identical)"
    )


def test_the_result_of_a_test_is_reported_for_head_and_that_base_lacks_it() -> None:
    made = report(ran(old="fail", both="fail"), ran(both="fail", newer="fail"))
    lines = to_text(made).splitlines()
    at = lines.index("tests: base 2 executed, 2 failed; head 2 executed, 2 failed")
    assert lines[at + 1 : at + 7] == [
        "1 data test fails on head only: newer",
        "  newer: Got 5 results (base does not have this test)",
        "1 data test fails on both sides: both",
        "  both: Got 4 results",
        "1 data test fails on base only: old",
        "  old: Got 3 results (head does not have this test)",
    ]
    assert "does not have" not in to_text(report(None, ran(newer="fail")))


def test_a_message_is_neither_markdown_nor_html() -> None:
    failing = ran(a="fail").model_copy(
        update={"results": [TestResult(unique_id="test.shop.a.1", status="fail", message="<b>*x* @ada")]}
    )
    made = report(None, failing)
    assert "<b>" not in to_html(made)
    assert "\\<b\\>\\*x\\* @\u2060ada" in to_markdown(made)


def test_many_failing_tests_are_all_in_the_json_report() -> None:
    made = report(None, ran(**{f"t{number:02}": "fail" for number in range(12)}))
    assert "2 tests more: see the JSON report" in to_text(made)
    assert made.tests is not None
    assert len(made.tests.failing) == 12
