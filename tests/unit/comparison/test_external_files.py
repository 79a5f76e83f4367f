"""Rows of files, in the types of a table."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from slipway.comparison.external_files import read_file
from slipway.errors import ContractError, UnavailableError

TYPES = {
    "id": "BIGINT",
    "amount": "DECIMAL(9,2)",
    "wide": "DECIMAL(38,3)",
    "day": "DATE",
    "word": "VARCHAR",
    "x": "DOUBLE",
}


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def read(
    con: duckdb.DuckDBPyConnection, folder: Path, text: str
) -> tuple[list[tuple[Any, ...]], dict[str, str]]:
    file = folder / "rows [1].csv"
    file.write_text(text, encoding="utf-8")
    rows = read_file(con, str(file), TYPES)
    types = {row[0]: row[1] for row in con.execute(f"describe from {rows.relation}").fetchall()}
    return con.execute(f"from {rows.relation}").fetchall(), types


def test_numbers_are_taken_as_they_are_written(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows, types = read(con, tmp_path, "id,amount,wide\n1,2.5,1\n 20 ,-0.125,3.25\n")
    assert rows == [(1, Decimal("2.500"), Decimal("1.00")), (20, Decimal("-0.125"), Decimal("3.25"))]
    assert types == {"id": "DECIMAL(2,0)", "amount": "DECIMAL(4,3)", "wide": "DECIMAL(3,2)"}


def test_numbers_that_no_decimal_holds_are_floats(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    _, types = read(con, tmp_path, "id,amount,wide\n1e3,nan,12.2499999999999\n")
    assert types == dict.fromkeys(("id", "amount", "wide"), "DOUBLE")


def test_a_time_of_day_is_not_cut_off_and_empty_is_null(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows, types = read(con, tmp_path, 'DAY,word,x\n2024-05-01 10:00:00,"",\n2024-05-02,,0.1\n')
    assert types == {"day": "TIMESTAMP", "word": "VARCHAR", "x": "DOUBLE"}
    assert [row[1:] for row in rows] == [("", None), (None, 0.1)]
    assert [row[0].hour for row in rows] == [10, 0]


def test_days_are_dates_and_shown_without_a_time(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows, types = read(con, tmp_path, "day\n2024-05-01\n2024-05-02 00:00:00\n")
    assert types == {"day": "DATE"}
    assert [str(row[0]) for row in rows] == ["2024-05-01", "2024-05-02"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("id\n1\nmany\n", "1 value of column id is no number, such as 'many'", id="number"),
        pytest.param("day\n2024-13-01\n2024-14-01\n", "2 values of column day are no DATE, such as '2024-13-01'", id="date"),
    ],
)  # fmt: skip
def test_a_value_of_another_type(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        read(con, tmp_path, text)


def test_no_message_shows_a_value_that_is_hidden(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("Id\nsecret\n", encoding="utf-8")
    with pytest.raises(ContractError, match="1 value of column Id is no number") as caught:
        read_file(con, str(file), {"id": "INTEGER"}, {"id"})
    assert "secret" not in caught.value.line()


def test_a_file_that_is_no_such_file(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"no parquet at all")
    with pytest.raises(UnavailableError, match=r"rows\.parquet cannot be read"):
        read_file(con, str(file), TYPES)
