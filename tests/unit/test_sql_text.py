"""Names, texts and paths reach DuckDB as they are."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.sql_text import exact, literal, quote, value_literal

NUMBERED = settings(derandomize=True, deadline=None, max_examples=60)


@NUMBERED
@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1))
def test_quoted_text_comes_back_as_it_was(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    relation = connection.sql(f"select {literal(text)} as {quote(text)}")
    assert (relation.columns, relation.fetchall()) == ([text], [(text,)])


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a/b.csv", "a/b.csv"),
        ("a[1].csv", "a[[]1].csv"),
        ("*?.csv", "[*][?].csv"),
        ("{a,b}.csv", "{a,b}.csv"),
    ],
)
def test_a_path_is_no_pattern(path: str, pattern: str) -> None:
    assert exact(path) == pattern


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        -5,
        2**63,
        -(2**63),
        "it's",
        "",
        "a\0b\0",
        date(2024, 2, 29),
        datetime.fromisoformat("2024-02-29T23:59:59.999999"),
        datetime(2024, 2, 29, 1, 2, 3, tzinfo=timezone(timedelta(hours=-5))),
    ],
    ids=repr,
)
def test_a_value_in_sql_is_what_it_is_as_a_parameter(
    connection: duckdb.DuckDBPyConnection, value: str | int | date | None
) -> None:
    written = value_literal(value)
    query = f"select {written}, $1, typeof({written}), typeof($1)"
    found = connection.execute(query, [value]).fetchone()
    assert found is not None
    assert found[0] == found[1]
    assert type(value) in (int, type(None)) or found[2] == found[3]
