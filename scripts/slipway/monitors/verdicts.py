"""What monitors make of counts: rules without input or output.

A day is compared with the days before it, and only with those: a verdict does not change when later days arrive. Where there are too few of them, the verdict says so
instead of guessing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import exp, log, sqrt
from statistics import median

from slipway.counts import plural
from slipway.monitors.formulas import Sketch, binned, quantile_edges, stability_index, usual_range

_SAME_WEEKDAY = 4
"""With so many days of the same weekday, only these are compared with; with fewer, all days are."""
_LEAST_VOLUME_SPREAD = 0.1
"""Row counts that differ by less than a tenth are never unusual by themselves."""
_LEAST_RATE_SPREAD = 0.005
"""Nor are shares of rows that differ by a few of a thousand."""
_LEAST_DRIFT_SPREAD = 0.1
"""A stability index varies by a tenth at least."""
_BINS = 10
_CATEGORIES = 20


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Args:
        business_date: of the rows; None where it is about no day.
        text: a sentence without the full stop.
    """

    business_date: date | None
    text: str


@dataclass(frozen=True)
class Verdict:
    """What a monitor says.

    Args:
        findings: what is wrong, in the order of days.
        not_evaluated: what could not be looked at and why, empty for nothing.
    """

    findings: tuple[Finding, ...] = ()
    not_evaluated: str = ""

    @property
    def line(self) -> str:
        """All of it in one line, empty when there is nothing to say."""
        found = [one.text for one in self.findings]
        if self.not_evaluated:
            found.append(f"not evaluated: {self.not_evaluated}")
        return "; ".join(found)


@dataclass(frozen=True)
class History:
    """Which earlier days a day is compared with.

    Args:
        days: how many days back they may lie.
        least: how many of them there have to be.
        deviations: how many spreads from their median are usual.
    """

    days: int
    least: int
    deviations: float

    def before(self, day: date, known: Collection[date]) -> list[date]:
        """The days that count, in order."""
        return sorted(one for one in known if one < day and (day - one).days <= self.days)


VOLUME = History(days=84, least=14, deviations=3.5)
RATES = History(days=56, least=14, deviations=4.0)
DRIFT = History(days=56, least=14, deviations=4.0)
MOST_DRIFT = 0.25
NEW_SHARE = 0.03


def judge_volume(
    rows: Mapping[date, int],
    judged: Collection[date],
    *,
    least: int | None = None,
    most: int | None = None,
    history: History | None = VOLUME,
) -> Verdict:
    """Whether days have as many rows as they should.

    Bounds count first. Otherwise a day is compared with earlier days of the same weekday, on a logarithmic scale: half and twice as many are equally far.

    Args:
        rows: by day.
        judged: the days that are judged; one without rows counts as 0.
        least: fewer rows are wrong.
        most: more rows are wrong.
        history: what a day is compared with; None for nothing.
    """

    def judge(day: date) -> str:
        count = rows.get(day, 0)
        if least is not None and count < least:
            return f"{day} has {plural(count, 'row')}, and at least {least:,} are expected"
        if most is not None and count > most:
            return f"{day} has {plural(count, 'row')}, and at most {most:,} are expected"
        if history is None:
            return ""
        earlier = history.before(day, rows)
        same = [one for one in earlier if one.weekday() == day.weekday()]
        name = f"on a {day:%A}" if len(same) >= _SAME_WEEKDAY else "on a day"
        compared = same if len(same) >= _SAME_WEEKDAY else earlier
        values = [log(1 + rows[one]) for one in compared]
        low, high = (
            exp(bound) - 1 for bound in usual_range(values, history.deviations, _LEAST_VOLUME_SPREAD)
        )
        if low <= count <= high:
            return ""
        return f"{day} has {plural(count, 'row')}, and {max(low, 0):,.0f} to {high:,.0f} are usual {name}"

    bounded = {
        day
        for day in judged
        if (least is not None and rows.get(day, 0) < least) or (most is not None and rows.get(day, 0) > most)
    }
    return _each(judged, rows, history, judge, always=bounded)


def judge_nulls(
    nulls: Mapping[date, tuple[int, int]],
    judged: Collection[date],
    column: str,
    *,
    most: float | None = None,
    history: History | None = RATES,
) -> Verdict:
    """Whether a column has no more NULLs than it should.

    Args:
        nulls: NULLs and rows by day.
        judged: the days that are judged.
        column: its name, for the text.
        most: a larger share is wrong.
        history: what a day is compared with; None for nothing.
    """
    rates = {day: (count / rows if rows else 0.0) for day, (count, rows) in nulls.items()}

    def judge(day: date) -> str:
        rate = rates[day]
        if most is not None and rate > most:
            return f"{day} has {rate:.2%} NULLs in {column}, and at most {most:.2%} are expected"
        if history is None:
            return ""
        values = [rates[one] for one in history.before(day, rates)]
        middle, rows = median(values), max(nulls[day][1], 1)
        by_chance = sqrt(middle * (1 - middle) / rows)  # of a binomial share
        high = usual_range(values, history.deviations, max(_LEAST_RATE_SPREAD, by_chance))[1]
        return (
            "" if rate <= high else f"{day} has {rate:.2%} NULLs in {column}, and up to {high:.2%} are usual"
        )

    known = [day for day in judged if day in rates]
    bounded = {day for day in known if most is not None and rates[day] > most}
    return _each(known, rates, history, judge, always=bounded)


@dataclass(frozen=True)
class DayOfValues:
    """How the values of a column are distributed on one day.

    Args:
        rows: without NULLs.
        quantiles: of numbers, evenly spaced; None where values are categories.
        shares: rows by value, of the most frequent values.
    """

    rows: int
    quantiles: Sequence[float] | None = None
    shares: Mapping[str, int] | None = None


def judge_drift(
    values: Mapping[date, DayOfValues],
    judged: Collection[date],
    column: str,
    *,
    most: float = MOST_DRIFT,
    new_share: float = NEW_SHARE,
    history: History = DRIFT,
) -> Verdict:
    """Whether the values of a column are distributed as on the days before.

    The index of a day has to be above ``most``, and above what is usual among the days before when each is compared with the others: columns that differ much
    from day to day differ by themselves.

    Args:
        values: by day; days without values are passed over.
        judged: the days that are judged.
        column: its name, for the text.
        most: the population stability index up to which nothing is reported.
        new_share: values that are among the most frequent ones of no earlier day are reported from this share of rows on.
        history: what a day is compared with.
    """
    known = {day: one for day, one in values.items() if one.rows}

    def judge(day: date) -> str:
        earlier = history.before(day, known)
        if new := _new_values(day, known, earlier, new_share, history.deviations):
            return f"{day} has new values of {column} in {new}"
        bins = _bins([known[one] for one in earlier])
        counted = [bins(known[one]) for one in earlier]
        total = [sum(column) for column in zip(*counted, strict=True)]
        index = stability_index(total, bins(known[day]))
        if index <= most:
            return ""
        each = [
            stability_index([all_ - own for all_, own in zip(total, one, strict=True)], one)
            for one in counted
        ]
        range_ = usual_range(each, history.deviations, _LEAST_DRIFT_SPREAD * median(each))
        high = max(most, range_[1], _of_weekday(day, dict(zip(earlier, each, strict=True))))
        if index <= high:
            return ""
        return f"{day} has values of {column} that are distributed otherwise: the stability index is {index:.2f}, and up to {high:.2f} is usual"

    return _each([day for day in judged if day in known], known, history, judge)


def _of_weekday(day: date, values: Mapping[date, float]) -> float:
    """What two earlier days of a weekday had at least: what they had is usual for it, and one of them may have been wrong."""
    same = sorted((value for one, value in values.items() if one.weekday() == day.weekday()), reverse=True)
    return same[1] if len(same) > 1 else 0.0


def _new_values(
    day: date, known: Mapping[date, DayOfValues], earlier: Sequence[date], least: float, deviations: float
) -> str:
    """How many rows have values that are among the most frequent ones of no earlier day; empty where that is usual.

    What is usual is how many rows of earlier days had values that no day before them had. That is asked of the later half of them: the first ones have too few before them.
    """
    shares = known[day].shares
    if not shares:
        return ""
    known_values: set[str] = set()
    usual: dict[date, float] = {}
    for at, one in enumerate(earlier):
        values = known[one].shares or {}
        if at >= len(earlier) // 2:
            usual[one] = (
                sum(rows for value, rows in values.items() if value not in known_values) / known[one].rows
            )
        known_values.update(values)
    new = {value: rows for value, rows in shares.items() if value not in known_values}
    share = sum(new.values()) / known[day].rows
    range_ = usual_range(list(usual.values()), deviations, _LEAST_RATE_SPREAD)
    high = max(least, range_[1], _of_weekday(day, usual))
    if share <= high:
        return ""
    value = min(new, key=lambda one: (-new[one], one))
    return f"{share:.1%} of its rows, such as {value!r}, and up to {high:.1%} are usual"


def _bins(days: Sequence[DayOfValues]) -> Callable[[DayOfValues], list[float]]:
    """What divides a day into bins that the rows of several days fill about equally; categories are bins, the rare ones one together."""
    if days[0].quantiles is not None:
        sketches: list[Sketch] = [(one.quantiles, one.rows) for one in days if one.quantiles]
        edges = quantile_edges(sketches, _BINS)
        return lambda day: binned((day.quantiles or [0.0], day.rows), edges)
    rows: dict[str, int] = {}
    for one in days:
        for value, count in (one.shares or {}).items():
            rows[value] = rows.get(value, 0) + count
    names = sorted(rows, key=lambda value: (-rows[value], value))[:_CATEGORIES]

    def counts(day: DayOfValues) -> list[float]:
        found = [float((day.shares or {}).get(name, 0)) for name in names]
        return [*found, max(0.0, day.rows - sum(found))]

    return counts


def _each(
    judged: Collection[date],
    known: Collection[date],
    history: History | None,
    judge: Callable[[date], str],
    always: Collection[date] = (),
) -> Verdict:
    """The verdict about several days; those without enough earlier days are counted as not evaluated."""
    findings, short = [], []
    for day in sorted(judged):
        there = len(history.before(day, known)) if history else 0
        if history and there < history.least and day not in always:
            short.append((day, there))
        elif text := judge(day):
            findings.append(Finding(day, text))
    missing = ""
    if short and history:
        day, there = short[-1]
        missing = f"{there} of {history.least} days of history before {day}"
        if len(short) > 1:
            missing += f", and too few before {plural(len(short) - 1, 'other day')}"
    return Verdict(tuple(findings), missing)
