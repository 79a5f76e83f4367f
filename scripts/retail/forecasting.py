"""Daily revenue ahead: weekday pattern times a smoothed level, and its error over past origins.

The logarithm of a day's revenue is taken as a level plus the effect of its weekday. The level follows simple exponential
smoothing, whose forecast is flat and whose variance grows with the horizon (Hyndman and Athanasopoulos, *Forecasting: Principles
and Practice*, 3rd ed., sections 8.1 and 8.7, model ETS(A,N,N)). The smoothing weight is taken from a fixed grid, not from
an optimiser, so that every machine finds the same one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from statistics import NormalDist

# trading days ahead
HORIZON = 28
# trading days without which there is no forecast
SHORTEST_HISTORY = 24
# weeks that say what the weekdays are like now, and on which weekdays the shop trades
RECENT_WEEKS = 8
SMOOTHING_WEIGHTS = tuple(step / 50 for step in range(1, 26))
MOST_ORIGINS = 12

DAYS_OF_WEEK = 7


@dataclass(frozen=True)
class TradingDay:
    """A day on which the shop sold something, and for how much (pounds, above zero)."""

    day: date
    revenue: float


@dataclass(frozen=True)
class DayForecast:
    """The forecast for one day: mean and central 80 % and 95 % intervals, in pounds."""

    revenue_date: date
    horizon: int
    last_trading_date: date
    mean_revenue: float
    lower_80: float
    upper_80: float
    lower_95: float
    upper_95: float


@dataclass(frozen=True)
class Model:
    """A fitted model, in logarithms: level, effect of each weekday, smoothing weight, variance of a one-step error."""

    last_trading_date: date
    level: float
    weekday_effects: dict[int, float]
    weight: float
    variance: float

    def predict(self, day: date, horizon: int) -> DayForecast:
        """The forecast for ``day``, the ``horizon``-th trading day after the history (1 is the next)."""
        centre = self.level + self.weekday_effects.get(day.weekday(), 0.0)
        # of an h-step forecast of simple exponential smoothing, and of the weekday effect, a mean over a few weeks
        variance = self.variance * (1 + self.weight**2 * (horizon - 1) + 1 / RECENT_WEEKS)

        def quantile(probability: float) -> float:
            return math.exp(centre + NormalDist().inv_cdf(probability) * math.sqrt(variance))

        return DayForecast(
            revenue_date=day,
            horizon=horizon,
            last_trading_date=self.last_trading_date,
            # the mean of a log-normal variable
            mean_revenue=math.exp(centre + variance / 2),
            lower_80=quantile(0.1),
            upper_80=quantile(0.9),
            lower_95=quantile(0.025),
            upper_95=quantile(0.975),
        )


def fit(history: Sequence[TradingDay]) -> Model:
    """Fit the model to trading days in order of date.

    Raises:
        ValueError: fewer than ``SHORTEST_HISTORY`` days, days out of order, or a revenue that is not above zero.
    """
    if len(history) < SHORTEST_HISTORY:
        raise ValueError(
            f"{len(history)} trading days are too few to forecast from: give at least {SHORTEST_HISTORY}"
        )
    if any(later.day <= earlier.day for earlier, later in pairwise(history)):
        raise ValueError("trading days are not in order of date: sort them, one row a day")
    if any(day.revenue <= 0 for day in history):
        raise ValueError("a trading day has no revenue above zero: leave out days without sales")
    effects = _weekday_effects(history)
    adjusted = [math.log(day.revenue) - effects[day.day.weekday()] for day in history]
    fits = [(*_smooth(adjusted, weight), weight) for weight in SMOOTHING_WEIGHTS]
    # rounded, so that of weights that fit equally well every machine takes the smallest
    variance, level, weight = min(fits, key=lambda fitted: (round(fitted[0], 12), fitted[2]))
    return Model(history[-1].day, level=level, weekday_effects=effects, weight=weight, variance=variance)


def _weekday_effects(history: Sequence[TradingDay]) -> dict[int, float]:
    """What a weekday adds to the logarithm of revenue, from its latest occurrences; the effects add up to zero."""
    means = {}
    for weekday in sorted({day.day.weekday() for day in history}):
        latest = [math.log(day.revenue) for day in history if day.day.weekday() == weekday][-RECENT_WEEKS:]
        means[weekday] = math.fsum(latest) / len(latest)
    overall = math.fsum(means.values()) / len(means)
    return {weekday: mean - overall for weekday, mean in means.items()}


def _smooth(values: Sequence[float], weight: float) -> tuple[float, float]:
    """Mean squared one-step error and last level of simple exponential smoothing; the first half warms it up."""
    level = values[0]
    errors = []
    for value in values[1:]:
        errors.append(value - level)
        level += weight * (value - level)
    scored = errors[len(errors) // 2 :]
    return math.fsum(error * error for error in scored) / len(scored), level


def trading_weekdays(days: Sequence[date]) -> frozenset[int]:
    """The weekdays (Monday is 0) on which the shop traded in at least half of the latest weeks up to the last day."""
    if not days:
        return frozenset()
    first = max(days[0], days[-1] - timedelta(weeks=RECENT_WEEKS) + timedelta(days=1))
    weeks = ((days[-1] - first).days + 1) / DAYS_OF_WEEK
    recent = [day.weekday() for day in days if day >= first]
    return frozenset(weekday for weekday in recent if recent.count(weekday) * 2 >= weeks)


def next_trading_days(days: Sequence[date], count: int) -> list[date]:
    """The next ``count`` days after the last one that fall on a trading weekday; holidays are not known ahead.

    None when there is no trading weekday.
    """
    weekdays = trading_weekdays(days)
    if not weekdays:
        return []
    ahead: list[date] = []
    day = days[-1]
    while len(ahead) < count:
        day += timedelta(days=1)
        if day.weekday() in weekdays:
            ahead.append(day)
    return ahead


def forecast(history: Sequence[TradingDay], horizon: int = HORIZON) -> list[DayForecast]:
    """Forecast the next ``horizon`` trading days; nothing when the history is too short, or no weekday is one of trading.

    Raises:
        ValueError: see `fit`.
    """
    if len(history) < SHORTEST_HISTORY:
        return []
    model = fit(history)
    days = next_trading_days([day.day for day in history], horizon)
    return [model.predict(day, ahead) for ahead, day in enumerate(days, start=1)]
