"""How well the revenue forecast would have done: rolling origins, against the same weekday of the week before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from retail.forecasting import (
    HORIZON,
    MOST_ORIGINS,
    SHORTEST_HISTORY,
    TradingDay,
    fit,
    trading_weekdays,
)

# errors that differ by less are equal
PENNY = 0.01


@dataclass(frozen=True)
class OriginScore:
    """The errors of a forecast made at the end of ``origin_date``, in pounds; shares are between 0 and 1.

    ``status`` is ``passed`` where the forecast was no worse than seasonal naive, ``warn`` where it was worse, ``not_run`` (errors are None)
    where there is too little history to tell.
    """

    origin_date: date
    status: str
    reason: str
    trained_days: int
    scored_days: int
    mae: float | None = None
    naive_mae: float | None = None
    mape: float | None = None
    coverage_80: float | None = None
    coverage_95: float | None = None


def backtest(history: Sequence[TradingDay], horizon: int = HORIZON) -> list[OriginScore]:
    """Score forecasts of ``horizon`` trading days from past origins, a trading week apart, the latest first.

    A forecast is scored on the days on which the shop did trade, so that a holiday counts as neither right nor wrong.

    Returns:
        One score an origin; a single ``not_run`` when the history is too short for one; nothing without history.

    Raises:
        ValueError: see `retail.forecasting.fit`.
    """
    if not history:
        return []
    shortest = SHORTEST_HISTORY + horizon
    if len(history) < shortest:
        reason = f"{len(history)} trading days are too few for a back-test: it takes {shortest}"
        return [OriginScore(history[-1].day, "not_run", reason, len(history), 0)]
    step = max(1, len(trading_weekdays([day.day for day in history])))
    origins = range(len(history) - horizon, SHORTEST_HISTORY - 1, -step)
    return [_score(history[:origin], history[origin : origin + horizon]) for origin in origins[:MOST_ORIGINS]]


def _score(known: Sequence[TradingDay], actual: Sequence[TradingDay]) -> OriginScore:
    model = fit(known)
    predicted = [model.predict(day.day, ahead) for ahead, day in enumerate(actual, start=1)]
    naive = seasonal_naive(known, [day.day for day in actual])
    pairs = list(zip(actual, predicted, strict=True))
    mae = _mean([abs(day.revenue - ahead.mean_revenue) for day, ahead in pairs])
    naive_mae = _mean([abs(day.revenue - value) for day, value in zip(actual, naive, strict=True)])
    worse = mae > naive_mae + PENNY
    return OriginScore(
        origin_date=known[-1].day,
        status="warn" if worse else "passed",
        reason=f"the forecast was {'worse' if worse else 'no worse'} than seasonal naive",
        trained_days=len(known),
        scored_days=len(actual),
        mae=mae,
        naive_mae=naive_mae,
        mape=_mean([abs(day.revenue - ahead.mean_revenue) / day.revenue for day, ahead in pairs]),
        coverage_80=_mean([float(ahead.lower_80 <= day.revenue <= ahead.upper_80) for day, ahead in pairs]),
        coverage_95=_mean([float(ahead.lower_95 <= day.revenue <= ahead.upper_95) for day, ahead in pairs]),
    )


def seasonal_naive(known: Sequence[TradingDay], days: Sequence[date]) -> list[float]:
    """For each day the last known revenue of its weekday, or the last known one where that weekday never traded."""
    last = {day.day.weekday(): day.revenue for day in known}
    return [last.get(day.weekday(), known[-1].revenue) for day in days]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
