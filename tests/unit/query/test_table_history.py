"""In which release rows changed: the search, and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log2
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, LongType, NestedField, StringType
from tests.harness.environments import Place, place

from slipway.errors import NotFoundError, UsageError
from slipway.query.table_history import Found, History, Rows, _left_out, find_changes, history_of
from slipway.releases.published import Published


def watched(values: Sequence[int]) -> tuple[Callable[[int], int], set[int]]:
    """A function of positions, and those that it was asked for."""
    asked: set[int] = set()

    def value(at: int) -> int:
        asked.add(at)
        return values[at]

    return value, asked


@given(st.integers(1, 200), st.integers(1, 200))
def test_one_change_is_found_by_bisection(before: int, after: int) -> None:
    value, asked = watched([0] * before + [1] * after)
    assert find_changes(value, before + after).changes == [before]
    assert len(asked) <= log2(before + after) + 3


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_what_is_found_is_a_change(values: list[int]) -> None:
    value, asked = watched(values)
    found = find_changes(value, len(values))
    changes = [at for at in range(1, len(values)) if values[at] != values[at - 1]]
    if found.every:
        assert found.changes == changes
    else:
        # only the two values of the ends were seen
        (at,) = found.changes
        assert at in changes
        assert (values[at - 1], values[at]) == (values[0], values[-1])
        assert {values[one] for one in asked} == {values[0], values[-1]}


def test_there_and_back_is_found_one_by_one() -> None:
    value, asked = watched([0, 1, 0])
    assert find_changes(value, 3) == Found([1, 2], every=True)
    assert asked == {0, 1, 2}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, History]:
    """A table with the number of each release: 1, 1, 2, 3, 3."""
    folder = tmp_path_factory.mktemp("history")
    made = place(f"file://{folder}", type="sql", uri=f"sqlite:///{folder}/catalog.db")
    for number in (1, 1, 2, 3, 3):
        made.publish(serving_orders=number)
    return made, history_of(Published(made.environment), made.name("serving.orders"))


def test_releases_with_the_same_rows_are_one_state(history: tuple[Place, History]) -> None:
    _, found = history
    numbers = [[release.number for release in period.releases] for period in found.periods]
    assert (numbers, found.lost) == ([[1, 2], [3], [4, 5]], [])


def test_a_file_is_read_once_and_its_rows_are_those_of_the_state(history: tuple[Place, History]) -> None:
    _, found = history
    rows = Rows(found, "n > 1")
    assert [rows.digest(period.state).rows for period in found.periods] == [0, 1, 1]
    assert len(rows.files_read) == 3
    assert [rows.sums(period.state, ["n"]) for period in found.periods] == [(0, [None]), (1, [2]), (1, [3])]
    for path in rows.files_read:
        Path(path.removeprefix("file://")).rename(path.removeprefix("file://") + ".away")
    try:
        assert rows.digest(found.newest).rows == 1
        assert rows.sums(found.newest, ["n"]) == (1, [3])
    finally:
        for path in rows.files_read:
            Path(path.removeprefix("file://") + ".away").rename(path.removeprefix("file://"))


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("n = 1) or (n = 2", id="parentheses"),
        pytest.param("n = 1; drop table x", id="statements"),
        pytest.param("n =", id="half"),
        pytest.param("n = (select count(*) from read_csv('/etc/passwd'))", id="file"),
        pytest.param("getenv('HOME') = ''", id="environment"),
    ],
)
def test_a_condition_that_is_none_or_reads_more_than_the_row(
    history: tuple[Place, History], where: str
) -> None:
    _, found = history
    with pytest.raises(UsageError):
        Rows(found, where)


def test_a_table_of_no_release(history: tuple[Place, History]) -> None:
    made, _ = history
    with pytest.raises(NotFoundError, match=r"No release of staging has a table serving\.zebras"):
        history_of(Published(made.environment), "serving.zebras")


def test_columns_that_are_not_looked_at_are_known() -> None:
    """One was dropped, one has become narrower, one wider, and one is new."""
    before = Schema(
        NestedField(1, "city", StringType()),
        NestedField(2, "kg", LongType()),
        NestedField(3, "parcels", IntegerType()),
    )
    after = Schema(
        NestedField(2, "kg", IntegerType()),
        NestedField(3, "parcels", LongType()),
        NestedField(4, "depot", StringType()),
    )
    periods = [SimpleNamespace(state=SimpleNamespace(schema=schema)) for schema in (before, after)]
    history = cast("History", SimpleNamespace(periods=periods, newest=periods[-1].state))
    assert _left_out(history) == ["city", "kg"]
