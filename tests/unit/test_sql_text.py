"""Names, texts and paths reach DuckDB as they are."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.sql_text import exact, literal, quote

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
