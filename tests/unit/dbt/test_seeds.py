"""Seeds hold what their files say, in dbt's dialect, whatever the first lines look like."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.dbt.seeds import load_seed, read_seed, seed_types
from slipway.errors import SlipwayError

Row = tuple[object, ...]


@pytest.fixture(scope="module")
def cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def loaded(
    cursor: duckdb.DuckDBPyConnection,
    path: Path,
    declared: Mapping[str, str] | None = None,
    guessed: Sequence[str] = (),
    delimiter: str = ",",
) -> list[Row]:
    seed = read_seed("s", path, delimiter)
    kinds = seed_types(seed, guessed, declared or {})
    named = {name.lower() for name in declared or {}}
    cursor.execute("drop table if exists s")
    load_seed(cursor, "s", seed, kinds, [name.lower() not in named for name in seed.columns])
    return cursor.execute("from s").fetchall()


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "s.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_quotes_that_begin_late_are_quotes(cursor: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    plain = "".join(f"{at},plain\n" for at in range(25_000))
    path = write(tmp_path, "k,t\n" + plain + '25000,"a ""b"", c"\n25001,"two\r\nlines"\n')
    rows = loaded(cursor, path)
    assert len(rows) == 25_002
    assert rows[-2:] == [("25000", 'a "b", c'), ("25001", "two\r\nlines")]


@pytest.mark.parametrize(
    ("content", "delimiter", "expected"),
    [
        pytest.param("k,t\n1,'abc'\n2,\"'x'\"\n", ",", [("1", "'abc'"), ("2", "'x'")], id="apostrophes"),
        pytest.param("k;t\n1;a,b\n", ";", [("1", "a,b")], id="delimiter"),
        pytest.param("k\tt\n1\ta,b\n", "\t", [("1", "a,b")], id="tab"),
        pytest.param("k|t\n1|a\n", ",", [("1|a",)], id="other-delimiter-is-no-delimiter"),
        pytest.param("\ufeffk,t\r\n1,a\r\n\r\n2,b", ",", [("1", "a"), ("2", "b")], id="bom-and-blank-line"),
        pytest.param('k,t\n1,\n2,""\n3, \n', ",", [("1", None), ("2", None), ("3", " ")], id="empty"),
        pytest.param("k,t\n# 1,a\n1,\\N\n", ",", [("# 1", "a"), ("1", "\\N")], id="no-comments-no-escapes"),
        pytest.param("k,t\n", ",", [], id="only-a-header"),
    ],
)
def test_the_dialect_is_fixed(
    cursor: duckdb.DuckDBPyConnection, tmp_path: Path, content: str, delimiter: str, expected: list[Row]
) -> None:
    assert loaded(cursor, write(tmp_path, content), delimiter=delimiter) == expected


def test_types_are_declared_in_any_case_and_guessed_without_loss(
    cursor: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = write(tmp_path, "Zip,n,amount,on,flag,land\n01234,1,1.50,2024-05-01,true,NO\n,null,2,,false,no\n")
    guesses = ["integer", "integer", "float8", "date", "boolean", "boolean"]
    rows = loaded(cursor, path, {"AMOUNT": "decimal(9, 2)"}, guesses)
    kinds = [str(kind) for kind in cursor.sql("from s").types]
    assert kinds == ["VARCHAR", "INTEGER", "DECIMAL(9,2)", "DATE", "BOOLEAN", "VARCHAR"]
    assert [str(value) for value in rows[0]] == ["01234", "1", "1.50", "2024-05-01", "True", "NO"]
    assert rows[1][:2] == (None, None)
    assert rows[1][5] == "no"


@pytest.mark.parametrize(
    ("content", "declared", "guessed", "message"),
    [
        pytest.param('k\n1\n"2\n3\n', {}, [], "Seed s is not CSV: line 4", id="quote-that-is-never-closed"),
        pytest.param('k,t\n"a" ,b\n', {}, [], "line 2", id="text-after-a-quote"),
        pytest.param("k,t\n1\n", {}, [], "ends at line 2 has 1 field: the seed has 2 columns", id="short"),
        pytest.param("k,t\n1,2\n1,2,3\n", {}, [], "ends at line 3 has 3 fields", id="long"),
        pytest.param(b"k\n\xe9\n", {}, [], "is not UTF-8", id="latin-1"),
        pytest.param("k,K\n1,2\n", {}, [], "two columns k", id="name-twice"),
        pytest.param("k,\n1,2\n", {}, [], "column 2 has no name", id="no-name"),
        pytest.param("", {}, [], "Seed s is empty", id="empty"),
        pytest.param(
            "key,t\n1,2\n", {"kye": "integer"}, [], "names kye: no such column. Did you mean key", id="typo"
        ),
        pytest.param("k\n1\n", {"k": "integer", "K": "text"}, [], "names K twice", id="declared-twice"),
        pytest.param(
            "k\n1\nx\n", {"K": "integer"}, [], "'x' at line 3 is no integer: column k", id="no-integer"
        ),
        pytest.param("k\n0.12345678901234567\n", {}, ["float8"], "would be rounded", id="rounded"),
    ],
)
def test_what_cannot_be_loaded_is_named(
    cursor: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    content: str | bytes,
    declared: dict[str, str],
    guessed: list[str],
    message: str,
) -> None:
    with pytest.raises(SlipwayError, match=message):
        loaded(cursor, write(tmp_path, content), declared, guessed)


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n"])
def test_a_delimiter_is_one_character(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(SlipwayError, match="delimiter"):
        read_seed("s", write(tmp_path, "k\n"), delimiter)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)


@settings(max_examples=60)
@given(st.lists(st.tuples(texts, texts), max_size=6), st.sampled_from([",", ";", "\t", "|"]))
def test_every_row_that_is_written_is_stored(
    cursor: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    delimiter: str,
) -> None:
    path = tmp_path_factory.mktemp("seed") / "s.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("a", "b"), *rows])
    expected = [tuple(value or None for value in row) for row in rows]
    assert loaded(cursor, path, delimiter=delimiter) == expected
