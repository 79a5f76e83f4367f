"""What building both sides cost, and when head is slower than is allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.comparison.costs import FLOOR, ComparedCosts, Cost, slowdowns
from slipway.comparison.html_report import to_html
from slipway.comparison.report import ComparisonReport, make_report
from slipway.comparison.results import Coverage, Method, Side, TableComparison, judge
from slipway.comparison.text_report import to_markdown, to_text


def cpu(seconds: float | None, elapsed: float | None = 60) -> Cost:
    return Cost(seconds=elapsed, cpu_seconds=seconds)


@pytest.mark.parametrize(
    ("base", "head", "found"),
    [
        (cpu(10), cpu(15), []),
        (cpu(10), cpu(15.1), ["processor time", "processor time"]),
        (cpu(0.1), cpu(1.1), []),
        (cpu(0.1), cpu(1.2), ["processor time", "processor time"]),
        (cpu(0), cpu(1.1), ["processor time", "processor time"]),
        (cpu(None, 10), cpu(None, 16), ["elapsed time", "elapsed time"]),
        (cpu(1, 10), cpu(None, 10), []),
        (cpu(None, None), cpu(5), [""]),
        (cpu(5), cpu(None, None), [""]),
        (cpu(10), cpu(1), []),
    ],
    ids=[
        "as much as is allowed",
        "more",
        "less than a second more",
        "more than a second more",
        "base took no time",
        "elapsed time where there is no other",
        "processor time of only one side",
        "nothing known of base",
        "nothing known of head",
        "faster",
    ],
)
def test_a_bound_of_one_and_a_half(base: Cost, head: Cost, found: list[str]) -> None:
    """The sum of the only table is that table."""
    assert [one.measure for one in slowdowns({"a.b": (base, head)}, 1.5)] == found


def test_many_small_tables_together_may_break_the_bound() -> None:
    tables = {f"a.t{number}": (cpu(0.5), cpu(1)) for number in range(5)}
    assert [(one.name, one.base, one.head) for one in slowdowns(tables, 1.5)] == [("all", 2.5, 5)]


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=5), st.floats(1, 100))
def test_what_is_found_is_slower_by_the_factor_and_by_the_floor(
    times: list[tuple[float, float]], most: float
) -> None:
    found = slowdowns({f"a.t{at}": (cpu(base), cpu(head)) for at, (base, head) in enumerate(times)}, most)
    expected = {
        f"a.t{at}" for at, (base, head) in enumerate(times) if head > most * base and head > base + FLOOR
    }
    assert {one.name for one in found} - {"all"} == expected


def test_no_table_in_common_breaks_no_bound() -> None:
    assert slowdowns({}, 1) == ()


def report(*, most: float | None = None, head: Cost | None = None) -> ComparisonReport:
    cost = Cost(
        seconds=4, cpu_seconds=2, bytes=1024, bytes_read=2048, bytes_written=1024, peak_memory_bytes=3 << 20
    )
    table = TableComparison(
        name="serving.a",
        coverage=Coverage(method=Method.KEY, key=("id",)),
        base=Side(rows=1, **cost.model_dump()),
        head=Side(rows=1, **(head or cost).model_dump()),
    )
    costs = ComparedCosts(
        base=Cost(seconds=9, peak_memory_bytes=5 << 20),
        head=Cost(seconds=8, cpu_seconds=7),
        max_slowdown=most,
        slowdowns=slowdowns({"serving.a": (cost, head or cost)}, most) if most else (),
    )
    return make_report([judge(table)], costs=costs)


def test_costs_are_side_by_side() -> None:
    made = report()
    assert made.passed
    lines = to_text(made).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("cost, base → head"))
    assert lines[at + 1].split("  ")[0] == "serving.a"
    assert "4.0 s → 4.0 s" in lines[at + 1]
    assert "2.0 s → 2.0 s" in lines[at + 1]
    assert "2.0 KiB → 2.0 KiB" in lines[at + 1]
    assert "3.0 MiB → 3.0 MiB" in lines[at + 1]
    assert lines[at + 2].startswith("all of the run")
    assert "9.0 s → 8.0 s" in lines[at + 2]
    assert "- → 7.0 s" in lines[at + 2]
    for text in (to_markdown(made), to_html(made)):
        assert "What building cost" in text
        assert "- → 7.0 s" in text
        assert "3.0 MiB → 3.0 MiB" in text


def test_a_broken_bound_fails_a_comparison_without_a_difference() -> None:
    slow = Cost(seconds=9, cpu_seconds=6)
    assert report(head=slow).passed
    made = report(head=slow, most=2)
    assert not made.passed
    slower = "serving.a: 3 times as much processor time (2.0 s → 6.0 s)"
    assert to_text(made).startswith(f"Comparison: failed, slower than 2 times base: {slower}, all: 3 times")
    assert "slower than 2 times base" in to_markdown(made)
    assert "slower than 2 times base" in to_html(made)


def test_what_was_not_measured_fails_a_comparison_with_a_bound() -> None:
    made = report(head=Cost(), most=2)
    assert "serving.a: the time of head was not measured" in to_text(made).splitlines()[0]
