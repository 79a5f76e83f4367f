"""Verdicts about days: bounds, history by weekday, too little history, and what later days cannot change."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.monitors.verdicts import (
    DRIFT,
    DayOfValues,
    History,
    Verdict,
    judge_drift,
    judge_nulls,
    judge_volume,
)

FIRST = date(2024, 1, 1)  # a Monday
SHORT = History(days=28, least=14, deviations=4)


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=one) for one in range(count)]


def texts(verdict: Verdict) -> list[str]:
    return [one.text for one in verdict.findings]


def test_a_day_is_compared_with_days_of_its_weekday() -> None:
    """Sundays are quiet: 100 rows are usual then, and far too few on a Monday."""
    rows = {day: 100 + one % 3 if day.weekday() == 6 else 1000 + one % 7 for one, day in enumerate(days(56))}
    sunday, monday = FIRST + timedelta(days=55), FIRST + timedelta(days=56)
    assert judge_volume(rows, [sunday]) == Verdict()
    (found,) = texts(judge_volume({**rows, monday: 100}, [monday]))
    assert found.startswith("2024-02-26 has 100 rows, and ")
    assert found.endswith(" are usual on a Monday")


def test_bounds_need_no_history() -> None:
    verdict = judge_volume({FIRST: 5}, [FIRST], least=10, history=SHORT)
    assert texts(verdict) == ["2024-01-01 has 5 rows, and at least 10 are expected"]
    verdict = judge_volume({FIRST: 5}, [FIRST], most=4, history=None)
    assert texts(verdict) == ["2024-01-01 has 5 rows, and at most 4 are expected"]


def test_too_little_history_is_reported() -> None:
    rows = dict.fromkeys(days(4), 10)
    verdict = judge_volume(rows, [days(4)[-1]], history=SHORT)
    assert verdict == Verdict((), "3 of 14 days of history before 2024-01-04")
    assert verdict.line == "not evaluated: 3 of 14 days of history before 2024-01-04"
    verdict = judge_volume(rows, days(4)[-2:], history=SHORT)
    assert verdict.not_evaluated.endswith(", and too few before 1 other day")


@given(
    st.lists(st.integers(0, 10_000), min_size=15, max_size=40),
    st.lists(st.integers(0, 10_000), max_size=10),
)
def test_later_days_do_not_change_a_verdict(counts: list[int], later: list[int]) -> None:
    known = dict(zip(days(len(counts)), counts, strict=True))
    judged = [max(known)]
    more = dict(zip(days(len(counts) + len(later)), [*counts, *later], strict=True))
    assert judge_volume(more, judged, history=SHORT) == judge_volume(known, judged, history=SHORT)


@given(st.integers(0, 100_000), st.integers(15, 60))
def test_a_day_like_all_others_is_never_unusual(count: int, length: int) -> None:
    rows = dict.fromkeys(days(length), count)
    assert judge_volume(rows, [max(rows)], history=SHORT) == Verdict()
    nulls = dict.fromkeys(rows, (count // 2, count))
    assert judge_nulls(nulls, [max(rows)], "note") == Verdict()
    values = {day: DayOfValues(count, quantiles=[float(one) for one in range(100)]) for day in rows}
    assert judge_drift(values, [max(rows)], "kwh") == Verdict()


def test_a_spike_of_nulls_is_found_and_chance_is_not() -> None:
    nulls = {day: (10 + one % 3, 1000) for one, day in enumerate(days(20))}
    last = FIRST + timedelta(days=20)
    assert judge_nulls({**nulls, last: (14, 1000)}, [last], "note") == Verdict()
    (found,) = texts(judge_nulls({**nulls, last: (200, 1000)}, [last], "note"))
    assert found.startswith("2024-01-21 has 20.00% NULLs in note, and up to ")
    (found,) = texts(judge_nulls({last: (2, 1000)}, [last], "note", most=0.001))
    assert found == "2024-01-21 has 0.20% NULLs in note, and at most 0.10% are expected"
    # one row of five is no spike
    assert judge_nulls({**nulls, last: (0, 5)}, [last], "note") == Verdict()


def measured(factor: float) -> DayOfValues:
    return DayOfValues(2000, quantiles=[factor * (1 + one) ** 1.5 for one in range(100)])


def test_another_unit_is_another_distribution() -> None:
    values = {day: measured(1 + one % 5 / 50) for one, day in enumerate(days(20))}
    last = FIRST + timedelta(days=20)
    assert judge_drift({**values, last: measured(1.05)}, [last], "kwh") == Verdict()
    (found,) = texts(judge_drift({**values, last: measured(100)}, [last], "kwh"))
    assert "has values of kwh that are distributed otherwise" in found


def test_categories_are_compared_by_share() -> None:
    usual = DayOfValues(1000, shares={"north": 600, "south": 390, "west": 10})
    values = dict.fromkeys(days(20), usual)
    last = FIRST + timedelta(days=20)
    assert judge_drift(
        {**values, last: DayOfValues(500, shares={"north": 310, "south": 190})}, [last], "site"
    ) == (Verdict())
    dropped = DayOfValues(400, shares={"south": 390, "west": 10})
    (found,) = texts(judge_drift({**values, last: dropped}, [last], "site"))
    assert "distributed otherwise" in found
    new = DayOfValues(1000, shares={"north": 600, "south": 350, "moon": 50})
    (found,) = texts(judge_drift({**values, last: new}, [last], "site"))
    assert (
        found
        == "2024-01-21 has new values of site in 5.0% of its rows, such as 'moon', and up to 3.0% are usual"
    )


def test_a_column_that_differs_every_day_differs_by_itself() -> None:
    """Each day sells one thing: the index is large every day, so that it says nothing."""
    values = {day: DayOfValues(100, shares={f"item {one % 7}": 100}) for one, day in enumerate(days(28))}
    assert judge_drift(values, [max(values)], "item", history=DRIFT) == Verdict()


@pytest.mark.parametrize("count", [0, 13])
def test_days_without_values_are_no_history(count: int) -> None:
    values = {
        day: measured(1) if one < count else DayOfValues(0, quantiles=[]) for one, day in enumerate(days(30))
    }
    last = FIRST + timedelta(days=30)
    verdict = judge_drift({**values, last: measured(1)}, [last], "kwh")
    assert verdict.not_evaluated == f"{count} of 14 days of history before {last}"
