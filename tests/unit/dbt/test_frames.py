"""What a Python model may return, and that it is read batch by batch."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from slipway.dbt.frames import register
from slipway.engines.duckdb.engine import prepare
from slipway.errors import ContractError

ROWS: dict[str, list[Any]] = {"k": [1, 2, 3], "t": ["a", "b", "c"]}


def read(frame: object) -> list[Any]:
    with duckdb.connect() as connection:
        register(connection, "frame", frame, "thing")
        return connection.execute("select k, t from frame order by k").fetchall()


def each(make: Callable[[dict[str, list[Any]]], Any]) -> Iterator[Any]:
    for at in range(3):
        yield make({name: values[at : at + 1] for name, values in ROWS.items()})


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(lambda: pa.table(ROWS), id="table"),
        pytest.param(lambda: pa.table(ROWS).to_batches()[0], id="batch"),
        pytest.param(lambda: pa.table(ROWS).to_reader(1), id="reader"),
        pytest.param(lambda: pd.DataFrame(ROWS), id="pandas"),
        pytest.param(lambda: each(pa.table), id="tables"),
        pytest.param(lambda: each(pa.RecordBatch.from_pydict), id="batches"),
        pytest.param(lambda: iter([pa.table(ROWS).slice(0, 0), pa.table(ROWS)]), id="first-empty"),
        pytest.param(lambda: each(pd.DataFrame), id="data-frames"),
    ],
)
def test_rows_are_read_whatever_holds_them(frame: Callable[[], object]) -> None:
    assert read(frame()) == [(1, "a"), (2, "b"), (3, "c")]


def test_a_batch_without_any_value_in_a_column_has_the_type_of_the_first() -> None:
    parts = [pd.DataFrame({"k": [1, 2], "t": ["a", None]}), pd.DataFrame({"k": [3], "t": [None]})]
    assert read(iter(parts)) == [(1, "a"), (2, None), (3, None)]


def test_a_refusal_of_a_later_batch_is_kept() -> None:
    parts = [pd.DataFrame({"k": [1]}), pd.DataFrame({"k": ["a"]})]
    with duckdb.connect() as connection:
        refused = register(connection, "frame", iter(parts), "thing")
        with pytest.raises(duckdb.Error):
            connection.execute("from frame").fetchall()
    assert [error.what for error in refused] == ["thing: the model yielded batches of different columns"]


MANY = 3_000  # more than DuckDB would look at by itself


@pytest.mark.parametrize(
    ("usual", "odd"),
    [
        pytest.param(1, 2.5, id="float-among-integers"),
        pytest.param(Decimal("1.5"), Decimal("1.25"), id="decimals-of-two-scales"),
        pytest.param(dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5), id="time-among-dates"),  # noqa: DTZ001
        pytest.param([1], [2.5], id="list"),
        pytest.param(5, 2**70, id="large-integer"),
    ],
)
def test_an_odd_object_keeps_its_value(usual: object, odd: object) -> None:
    frame = pd.DataFrame({"c": pd.Series([*[usual] * MANY, odd, *[usual] * MANY], dtype=object)})
    with duckdb.connect() as connection:
        prepare(connection, "file:///warehouse")
        register(connection, "frame", frame, "thing")
        assert connection.execute(f"select c from frame offset {MANY} limit 1").fetchone() == (odd,)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(lambda: pd.DataFrame([[1, 2]], columns=["a", "A"]), id="pandas"),
        pytest.param(lambda: pa.table([[1], [2]], names=["a", "a"]), id="table"),
        pytest.param(lambda: iter([pa.table([[1], [2]], names=["a", "a"])]), id="tables"),
    ],
)
def test_columns_of_one_name_are_refused(frame: Callable[[], object]) -> None:
    with duckdb.connect() as connection, pytest.raises(ContractError, match=r"column [aA] occurs twice"):
        register(connection, "frame", frame(), "thing")


@pytest.mark.parametrize(
    "part",
    [pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)})],
)
def test_a_yielded_data_frame_that_arrow_cannot_hold(part: pd.DataFrame) -> None:
    with (
        duckdb.connect() as connection,
        pytest.raises(ContractError, match="that Arrow cannot hold") as refused,
    ):
        register(connection, "frame", iter([part]), "thing")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "odd", [dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], ids=["date", "with-a-zone"]
)
def test_times_of_two_kinds_in_a_yielded_data_frame(odd: object) -> None:
    part = pd.DataFrame({"a": pd.Series([dt.datetime(2024, 1, 1, 5), odd][::-1], dtype=object)})  # noqa: DTZ001
    with duckdb.connect() as connection, pytest.raises(ContractError, match="in one column"):
        register(connection, "frame", iter([part]), "thing")


def test_a_relation_of_the_same_connection_is_read() -> None:
    with duckdb.connect() as connection:
        register(connection, "frame", connection.sql("select 1 as k"), "thing")
        assert connection.execute("from frame").fetchall() == [(1,)]


def test_batches_are_not_kept() -> None:
    """What was read is free long before the last batch is made."""
    size, before, most = 4_000_000, pa.total_allocated_bytes(), 0

    def big() -> Iterator[pa.RecordBatch]:
        nonlocal most
        for number in range(50):
            most = max(most, pa.total_allocated_bytes() - before)
            yield pa.RecordBatch.from_arrays([pa.repeat(pa.scalar(number, pa.int64()), size // 8)], ["k"])

    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        register(connection, "frame", big(), "thing")
        row = connection.execute("select count(*), sum(k) from frame").fetchone()
    assert row == (50 * size // 8, sum(range(50)) * size // 8)
    assert most < 25 * size  # some are read ahead, whatever their number


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        pytest.param(None, "thing: what the model returned cannot be read", id="nothing"),
        pytest.param({"k": [1]}, "cannot be read.*Return a relation, a data frame", id="dict"),
        pytest.param(pd.DataFrame(), "cannot be read.*at least one column", id="no-columns"),
        pytest.param(iter([]), "the model yielded no batch", id="no-batches"),
        pytest.param(iter([(1, "a")]), "the model yielded a tuple: it is no batch", id="tuples"),
    ],
)
def test_what_has_no_columns_is_refused(frame: object, why: str) -> None:
    with pytest.raises(ContractError, match=why):
        read(frame)


def test_batches_of_other_columns_are_an_error() -> None:
    other = pa.table({"k": ["x"], "t": ["a"]})
    with pytest.raises(
        duckdb.Error, match="batches of different columns: first k int64, t string, then k string"
    ):
        read(iter([pa.table(ROWS), other]))
