"""Which tables come to the limits of one machine, from what their builds needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.engines.writers import SPARK
from slipway.runs.sizing import Build, Fit, sizing

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
LIMIT = 1000


def builds(*shares: float | None, spilled: int | None = 0, days: float = 1) -> list[Build]:
    """One build a day, each with its part of the memory, in percent; None for one that was not measured."""
    return [
        Build(
            FIRST + timedelta(days=days * at),
            seconds=1.0,
            bytes_read=100,
            peak_memory=None if share is None else round(share * LIMIT / 100),
            spilled=None if share is None else spilled,
            limit=LIMIT,
        )
        for at, share in enumerate(shares)
    ]


@pytest.mark.parametrize(
    ("known", "fit"),
    [
        (builds(10), Fit.FITS),
        (builds(69.9), Fit.FITS),
        (builds(70), Fit.CLOSE),
        (builds(10, 90, 10), Fit.CLOSE),
        (builds(10, spilled=1), Fit.SPILLS),
        (builds(None), Fit.UNKNOWN),
        (builds(None, 20, None), Fit.FITS),
        (builds(90, *[10] * 5), Fit.FITS),  # it was changed since
        (builds(90, None, None, None, None, None, None), Fit.CLOSE),
    ],
)
def test_how_a_table_fits(known: Sequence[Build], fit: Fit) -> None:
    assert sizing("serving.orders", known).fit is fit


def test_a_limit_that_is_not_known_is_no_measure() -> None:
    (known,) = builds(50)
    assert sizing("t", [Build(known.at, 1.0, 1, known.peak_memory, 0, None)]).fit is Fit.UNKNOWN


def test_what_spilled_did_so_whatever_the_limit_was() -> None:
    (known,) = builds(50, spilled=7)
    found = sizing("t", [replace(known, limit=None)])
    assert (found.fit, found.spilled, found.measured) == (Fit.SPILLS, 7, 0)


@pytest.mark.parametrize("before", [builds(None, None), builds(10, 20, 30), builds(10, spilled=5)])
def test_memory_is_not_known_of_what_spark_computes(before: list[Build]) -> None:
    by_spark = Build(FIRST + timedelta(days=9), 1.0, None, None, None, LIMIT, SPARK)
    found = sizing("t", [*before, by_spark])
    assert (found.engine, found.fit) == (SPARK, Fit.UNKNOWN)
    assert (found.measured, found.peak_memory, found.share, found.spilled, found.days_left) == (
        0,
        *[None] * 4,
    )
    assert found.builds == len(before) + 1
    # DuckDB computes it again, and what is known of DuckDB counts
    after = sizing("t", [by_spark, *before])
    assert (after.fit, after.share) == (sizing("t", before).fit, sizing("t", before).share)


@pytest.mark.parametrize(
    ("known", "days"),
    [
        (builds(10, 20, 30), 7),  # 10 percent a day, and 70 are left
        (builds(10, None, 20, 30), 11),  # by the line 9.3 + 6.43 days
        (builds(30, 20, 10), None),
        (builds(20, 20, 20), None),
        (builds(10, 20), None),  # of two builds nothing is said
        (builds(10, 20, 30, days=0.1), None),  # nor of one day
        (builds(10, 10.01, 10.02), None),  # more than a year
        (builds(10, 20, 30, spilled=1), None),  # it is already too large
    ],
)
def test_when_the_memory_is_taken(known: Sequence[Build], days: int | None) -> None:
    assert sizing("t", known).days_left == days


@given(st.lists(st.none() | st.floats(0, 200), min_size=1, max_size=12), st.integers(0, 5))
def test_it_is_the_most_of_builds_that_were_measured(shares: list[float | None], spilled: int) -> None:
    known = builds(*shares, spilled=spilled)
    found = sizing("t", known)
    measured = [one for one in known if one.share is not None]
    assert (found.builds, found.measured) == (len(known), len(measured))
    assert (found.fit is Fit.UNKNOWN) == (not measured)
    if measured:
        assert found.share == max(one.share or 0 for one in measured[-5:])
        assert (found.fit is Fit.SPILLS) == (spilled > 0)
    assert found.days_left is None or 0 <= found.days_left <= 365
