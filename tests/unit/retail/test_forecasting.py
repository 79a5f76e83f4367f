import math
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail.backtesting import backtest, seasonal_naive
from retail.forecasting import (
    HORIZON,
    SHORTEST_HISTORY,
    TradingDay,
    fit,
    forecast,
    next_trading_days,
    trading_weekdays,
)

MONDAY = date(2011, 1, 3)


def every_day_but_saturday(count: int) -> list[date]:
    days = [MONDAY + timedelta(days=number) for number in range(2 * count)]
    return [day for day in days if day.weekday() != 5][:count]


def history(revenues: list[float]) -> list[TradingDay]:
    return [TradingDay(*pair) for pair in zip(every_day_but_saturday(len(revenues)), revenues, strict=True)]


def weekly(day: date) -> float:
    """The same revenue every Monday, every Tuesday, and so on."""
    return 100.0 * (day.weekday() + 1)


revenue_lists = st.lists(st.floats(1, 1e6), min_size=SHORTEST_HISTORY, max_size=70)


def test_a_week_that_repeats_is_forecast_exactly() -> None:
    days = every_day_but_saturday(60)
    ahead = forecast([TradingDay(day, weekly(day)) for day in days])
    assert [one.revenue_date for one in ahead] == every_day_but_saturday(60 + HORIZON)[60:]
    assert [one.horizon for one in ahead] == list(range(1, HORIZON + 1))
    assert {one.last_trading_date for one in ahead} == {days[-1]}
    for one in ahead:
        for value in (one.mean_revenue, one.lower_80, one.upper_80, one.lower_95, one.upper_95):
            assert math.isclose(value, weekly(one.revenue_date), rel_tol=1e-9)


def test_a_weekday_with_half_of_its_weeks_is_a_trading_weekday() -> None:
    mondays = [MONDAY + timedelta(weeks=week) for week in range(20)]
    # of the latest eight weeks, Tuesdays in four and Wednesdays in three
    tuesdays = [day + timedelta(days=1) for day in mondays[-8:-4]]
    wednesdays = [day + timedelta(days=2) for day in mondays[-4:-1]]
    thursdays_long_ago = [day + timedelta(days=3) for day in mondays[:10]]
    days = sorted([*mondays, *tuesdays, *wednesdays, *thursdays_long_ago])
    assert trading_weekdays(days) == {0, 1}
    assert next_trading_days(days, 3) == [days[-1] + timedelta(days=number) for number in (1, 7, 8)]


def test_days_far_apart_give_no_forecast() -> None:
    days = [date(2024, 1, 1) + timedelta(days=17 * number) for number in range(30)]
    assert next_trading_days(days, 5) == []
    assert forecast([TradingDay(day, 100.0) for day in days]) == []


def test_no_days_have_no_trading_weekdays() -> None:
    assert trading_weekdays([]) == frozenset()


@pytest.mark.parametrize("count", [0, 1, SHORTEST_HISTORY - 1])
def test_a_short_history_gives_no_forecast(count: int) -> None:
    assert forecast(history([1.0] * count)) == []


@pytest.mark.parametrize(
    ("days", "message"),
    [
        pytest.param(history([1.0] * 3), "3 trading days are too few", id="short"),
        pytest.param(history([1.0] * 30)[::-1], "not in order of date", id="backwards"),
        pytest.param(history([1.0] * 29 + [0.0]), "no revenue above zero", id="zero"),
    ],
)
def test_fit_refuses(days: list[TradingDay], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(days)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(revenues=revenue_lists)
def test_intervals_nest_and_widen(revenues: list[float]) -> None:
    ahead = forecast(history(revenues))
    for one in ahead:
        assert one.lower_95 <= one.lower_80 <= one.upper_80 <= one.upper_95
        assert one.lower_80 <= one.mean_revenue
    by_weekday = {one.revenue_date.weekday(): [] for one in ahead}  # type: dict[int, list[float]]
    for one in ahead:
        by_weekday[one.revenue_date.weekday()].append(math.log(one.upper_95 / one.lower_95))
    assert all(widths == sorted(widths) or max(widths) - min(widths) < 1e-9 for widths in by_weekday.values())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(revenues=revenue_lists, factor=st.floats(0.01, 100))
def test_pence_are_forecast_like_pounds(revenues: list[float], factor: float) -> None:
    """The model works on ratios: revenue in another unit gives the same forecast in that unit."""
    one, other = forecast(history(revenues)), forecast(history([revenue * factor for revenue in revenues]))
    # with nothing but noise two weights can fit equally well but for rounding
    for here, there in zip(one, other, strict=True):
        assert math.isclose(here.mean_revenue * factor, there.mean_revenue, rel_tol=1e-6)


def test_seasonal_naive_repeats_the_last_week() -> None:
    known = history([float(number) for number in range(1, 13)])
    ahead = [known[-1].day + timedelta(days=number) for number in range(1, 9)]
    # the last six days have revenues 7 to 12, Monday to Sunday without Saturday
    assert seasonal_naive(known, ahead) == [7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 12.0, 7.0]


@pytest.mark.parametrize("count", [1, SHORTEST_HISTORY + HORIZON - 1])
def test_a_short_history_is_not_run(count: int) -> None:
    days = history([1.0] * count)
    (score,) = backtest(days)
    assert (score.status, score.origin_date, score.mae) == ("not_run", days[-1].day, None)
    assert (
        score.reason
        == f"{count} trading days are too few for a back-test: it takes {SHORTEST_HISTORY + HORIZON}"
    )


def test_nothing_is_scored_without_history() -> None:
    assert backtest([]) == []


def test_the_shortest_history_has_one_origin() -> None:
    days = history([100.0] * (SHORTEST_HISTORY + HORIZON))
    (score,) = backtest(days)
    assert (score.status, score.trained_days, score.scored_days) == ("passed", SHORTEST_HISTORY, HORIZON)
    assert score.origin_date == days[SHORTEST_HISTORY - 1].day
    assert score.mae == pytest.approx(0, abs=1e-9)
    assert score.naive_mae == 0


def test_coverage_is_the_share_of_days_inside_the_interval() -> None:
    """Days between 80 and 125 for four weeks, then far below, amid, far above and amid the intervals by turns."""
    known = history([(80.0, 100.0, 125.0, 90.0, 111.0)[number % 5] for number in range(SHORTEST_HISTORY)])
    days = every_day_but_saturday(SHORTEST_HISTORY + HORIZON)[SHORTEST_HISTORY:]
    actual = [TradingDay(day, (1.0, 100.0, 10_000.0, 100.0)[number % 4]) for number, day in enumerate(days)]
    (score,) = backtest([*known, *actual])
    assert (score.coverage_80, score.coverage_95) == (0.5, 0.5)


def test_a_forecast_that_naive_beats_warns() -> None:
    """The level doubles in the last known week and stays: naive follows at once, a smoothed level does not."""
    days = history([100.0] * (SHORTEST_HISTORY - 6) + [200.0] * (6 + HORIZON))
    (score,) = backtest(days)
    assert score.status == "warn"
    assert score.naive_mae == 0
    assert score.mae is not None
    assert score.mae > 0


def test_noise_around_a_weekly_pattern_passes() -> None:
    """Naive repeats last week's deviation, up 20 % and down 20 % by turns; a smoothed level sits between."""
    days = every_day_but_saturday(90)
    swing = [1.2 if number // 6 % 2 else 0.8 for number in range(len(days))]
    scores = backtest(
        [TradingDay(day, weekly(day) * factor) for day, factor in zip(days, swing, strict=True)]
    )
    assert {score.status for score in scores} == {"passed"}


@settings(max_examples=20, deadline=None, derandomize=True)
@given(revenues=st.lists(st.floats(1, 1e6), min_size=SHORTEST_HISTORY + HORIZON + 6, max_size=80))
def test_a_score_knows_nothing_of_later_days(revenues: list[float]) -> None:
    """Without the last trading week every origin but the latest is scored as before."""
    assert backtest(history(revenues))[1:12] == backtest(history(revenues[:-6]))[:11]
