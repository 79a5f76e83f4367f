"""The statistics of monitors: robust spread, and how far two distributions are apart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import log
from statistics import median

_NORMAL = 1.4826
"""1 / (the third quartile of the normal distribution): with it the MAD estimates a standard deviation."""


def spread(values: Sequence[float]) -> float:
    """The median absolute deviation from the median, scaled so that it estimates the standard deviation of a normal distribution.

    Half of the values may be anything without moving it far. Source: Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation",
    Journal of the American Statistical Association 88 (1993), section 1.

    Args:
        values: at least one.
    """
    middle = median(values)
    return _NORMAL * median(abs(value - middle) for value in values)


def usual_range(values: Sequence[float], deviations: float, least_spread: float = 0.0) -> tuple[float, float]:
    """Median plus and minus so many spreads: what is usual among values.

    Source of the rule: Leys and others, "Detecting outliers: Do not use standard deviation around the mean, use absolute deviation around the
    median", Journal of Experimental Social Psychology 49 (2013).

    Args:
        values: at least one.
        deviations: how many spreads from the median are usual.
        least_spread: taken for the spread where that of the values is smaller.
    """
    middle, width = median(values), deviations * max(spread(values), least_spread)
    return middle - width, middle + width


def stability_index(expected: Sequence[float], actual: Sequence[float]) -> float:
    """The population stability index (PSI) of two histograms over the same bins: the sum of (a - e) * ln(a / e) over their shares a and e.

    It is 0 for equal shares, and symmetric. By convention less than 0.1 is little, more than 0.25 much. Half a row is added to each bin, so that an empty
    one has a share. Source: Siddiqi, Credit Risk Scorecards (2006), chapter 8; the sum is Jeffreys' divergence ("An invariant form for the prior
    probability in estimation problems", 1946).

    Args:
        expected: rows by bin.
        actual: rows by bin, as many bins.

    Raises:
        ValueError: they do not have the same number of bins.
    """
    if len(expected) != len(actual):
        raise ValueError(f"{len(expected)} bins are compared with {len(actual)}")
    one, other = _shares(expected), _shares(actual)
    return sum((a - e) * log(a / e) for e, a in zip(one, other, strict=True))


def _shares(rows: Sequence[float]) -> list[float]:
    total = sum(rows) + 0.5 * len(rows)
    return [(count + 0.5) / total for count in rows]


Sketch = tuple[Sequence[float], int]
"""Evenly spaced quantiles of some rows, in ascending order, and how many rows they stand for."""


def quantile_edges(sketches: Sequence[Sketch], bins: int) -> list[float]:
    """Upper edges of bins that hold about equally many rows; fewer where values are equal, the last bin has none.

    Args:
        sketches: of the rows that are divided.
        bins: how many at most.
    """
    weighted = sorted((value, rows / len(values)) for values, rows in sketches for value in values)
    total, reached, passed = sum(weight for _, weight in weighted), 0.0, 0
    edges: list[float] = []
    for value, weight in weighted:
        reached += weight
        while passed < bins - 1 and reached >= total * (passed + 1) / bins - 1e-9:
            passed += 1
            if not edges or value > edges[-1]:
                edges.append(value)
    return edges


def binned(sketch: Sketch, edges: Sequence[float]) -> list[float]:
    """Rows by bin; a bin holds its upper edge."""
    values, rows = sketch
    found = [0.0] * (len(edges) + 1)
    for value in values:
        found[bisect_left(edges, value)] += rows / len(values)
    return found
