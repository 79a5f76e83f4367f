"""Formulas against what is known of them: by hand, by symmetry, and by samples of a distribution."""

from __future__ import annotations

from math import log
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.monitors.formulas import binned, quantile_edges, spread, stability_index, usual_range

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)
VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


def test_the_spread_of_a_normal_sample_is_its_standard_deviation() -> None:
    normal = NormalDist(100, 7)
    sample = [normal.inv_cdf((one + 0.5) / 2000) for one in range(2000)]
    assert spread(sample) == pytest.approx(7, rel=0.01)


@given(VALUES, st.floats(-1e6, 1e6))
def test_fewer_than_half_of_the_values_do_not_move_the_spread_without_bound(
    values: list[float], wild: float
) -> None:
    same = [5.0] * (len(values) + 1)
    assert spread([*same, *values]) == 0
    assert usual_range([*same, *values, wild][: 2 * len(values) + 1], 3, 1) == (2, 8)


def test_the_stability_index_by_hand() -> None:
    # shares with half a row added to each bin: 10.5/21 and 10.5/21, 15.5/21 and 5.5/21
    expected = (15.5 - 10.5) / 21 * log(15.5 / 10.5) + (5.5 - 10.5) / 21 * log(5.5 / 10.5)
    assert stability_index([10, 10], [15, 5]) == pytest.approx(expected)


@given(COUNTS, st.data())
def test_the_stability_index_is_a_divergence(expected: list[int], data: st.DataObject) -> None:
    actual = data.draw(st.lists(st.integers(0, 10_000), min_size=len(expected), max_size=len(expected)))
    index = stability_index(expected, actual)
    assert index >= 0
    assert index == pytest.approx(stability_index(actual, expected))
    assert stability_index(expected, expected) == 0


def test_histograms_of_other_bins_are_not_compared() -> None:
    with pytest.raises(ValueError, match="2 bins are compared with 3"):
        stability_index([1, 2], [1, 2, 3])


@given(st.lists(VALUES, min_size=1, max_size=5), st.integers(2, 10))
def test_every_row_is_in_one_bin(days: list[list[float]], bins: int) -> None:
    sketches = [(sorted(values), len(values)) for values in days]
    edges = quantile_edges(sketches, bins)
    assert edges == sorted(set(edges))
    assert len(edges) < bins
    for values, rows in sketches:
        found = binned((values, rows), edges)
        assert sum(found) == pytest.approx(rows)
        assert [round(one) for one in found] == [
            sum(low < value <= high for value in values)
            for low, high in zip([float("-inf"), *edges], [*edges, float("inf")], strict=True)
        ]


def test_different_values_fill_bins_evenly() -> None:
    sketch = (list(map(float, range(100))), 1000)
    assert binned(sketch, quantile_edges([sketch], 4)) == pytest.approx([250] * 4)
