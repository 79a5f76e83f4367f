"""Values and tables as they are printed, against independent readers of the same formats."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway.cli import output
from slipway.cli import sql as tabular
from slipway.query.queries import Column, QueryResult
from slipway.releases.cut import Cut

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
# capsys is emptied by every example
EVERY_EXAMPLE = settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def result(sql: str, *parameters: object) -> QueryResult:
    return QueryResult(Cut("here", {}), duckdb.connect().execute(sql, list(parameters)), is_plan=False)


def printed(capsys: pytest.CaptureFixture[str], form: str, sql: str, *parameters: object) -> str:
    tabular.write(result(sql, *parameters), form, limit=100)
    return capsys.readouterr().out


@EVERY_EXAMPLE
@given(rows=st.lists(st.tuples(TEXT, st.none() | TEXT), min_size=1, max_size=4))
def test_csv_is_read_back_by_python_and_by_duckdb(
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str | None]],
) -> None:
    values = ", ".join(["(?, ?)"] * len(rows))
    flat = [value for row in rows for value in row]
    text = printed(
        capsys, "csv", f"select a::varchar as a, b::varchar as b from (values {values}) t(a, b)", *flat
    )
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [
        ["a", "b"],
        *[[one, other or ""] for one, other in rows],
    ]
    # Python's reader cannot tell NULL from empty text, DuckDB's can
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_bytes(text.encode())
    reader = "read_csv(?, header = true, delim = ',', quote = '\"', escape = '\"', new_line = '\\r\\n', auto_detect = false, "
    reader += "columns = {'a': 'varchar', 'b': 'varchar'}, allow_quoted_nulls = false)"
    assert duckdb.connect().execute(f"from {reader}", [str(path)]).fetchall() == rows


@EVERY_EXAMPLE
@given(text=TEXT, number=st.decimals(-(10**17), 10**17, places=4), whole=st.integers(-(2**127), 2**127 - 1))
def test_json_keeps_values(
    capsys: pytest.CaptureFixture[str], text: str, number: Decimal, whole: int
) -> None:
    sql = "select ?::varchar as text, ?::decimal(38, 4) as number, ?::hugeint as whole, null as nothing"
    (row,) = json.loads(printed(capsys, "json", sql, text, number, whole))
    assert (row["text"], Decimal(row["number"]), row["whole"], row["nothing"]) == (text, number, whole, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(True, "true", id="boolean"),
        pytest.param(Decimal("1E+3"), "1000", id="decimal-with-exponent"),
        pytest.param(Decimal("0.0000001"), "0.0000001", id="small-decimal"),
        pytest.param(0.1, "0.1", id="double"),
        pytest.param(b"\x00\xff", "0x00ff", id="bytes"),
        pytest.param(datetime(2024, 5, 1, 12, tzinfo=UTC), "2024-05-01 12:00:00+00:00", id="time-with-zone"),
        pytest.param(date(2024, 5, 1), "2024-05-01", id="date"),
        pytest.param(time(12, 30), "12:30:00", id="time-of-day"),
        pytest.param(timedelta(days=1, seconds=1), "1 day, 0:00:01", id="interval"),
        pytest.param(UUID(int=1), "00000000-0000-0000-0000-000000000001", id="uuid"),
        pytest.param([Decimal("1.50"), None], '["1.50", null]', id="list"),
        pytest.param({"ä": [True]}, '{"ä": [true]}', id="struct"),
    ],
)
def test_values_as_text(value: object, expected: str) -> None:
    assert tabular.as_text(value) == expected


@pytest.mark.parametrize(
    ("kind", "is_number"),
    [
        *((kind, True) for kind in ("BIGINT", "INTEGER", "UTINYINT", "HUGEINT", "DECIMAL(18,4)", "DOUBLE")),
        *((kind, False) for kind in ("VARCHAR", "BIGINT[]", "DATE", "INTERVAL", "STRUCT(a INTEGER)")),
    ],
)
def test_numbers_are_known_by_their_type(kind: str, is_number: bool) -> None:
    assert Column("x", kind).is_number is is_number


def test_narrow_terminal_loses_optional_columns_in_order(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def headers(columns: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        output.table(("one", "two", "three"), [("1", "22", "333")], right=("one",), optional=("two", "one"))
        header, row = capsys.readouterr().out.splitlines()
        assert len(header.split()) == len(row.split())
        return header.split()

    # 3 + 2 + 3 + 2 + 5 columns
    assert headers(15) == ["one", "two", "three"]
    assert headers(14) == ["one", "three"]
    assert headers(9) == ["three"]
    assert headers(1) == ["three"]


def test_signs_that_the_terminal_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr("sys.stdout", stream)
    output.result("naïve")
    stream.flush()
    stream.seek(0)
    assert stream.buffer.read() == b"na\\xefve\n"
