"""What a query of a person may name, and what its connection can still reach."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from slipway.errors import UsageError
from slipway.query import sandbox


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from duckdb_settings()", "duckdb_settings is refused: settings may hold secrets"),
        ("select CURRENT_SETTING ('s3_secret')", "current_setting is refused"),
        ("select \"getenv\"('HOME')", "getenv is refused"),
        ("from pg_settings", "pg_settings is refused"),
        ("select * from duckdb_secrets()", "duckdb_secrets is refused: secrets are not shown"),
        ("from query('select 1')", "query is refused: "),
        ("select kg from query_table('serving.weights')", "query_table is refused"),
        ("select 'ä', * from read_parquet('x')", "read_parquet is refused"),
        ("select * from 'orders.csv'", r"orders\.csv is refused"),
        ("select * from a join 's3://b/c' using (d)", "s3://b/c is refused"),
    ],
)
def test_what_is_refused_by_its_name(sql: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        sandbox.check_names(sql, files=False)


@pytest.mark.parametrize(
    "sql",
    [
        "select duckdb_secrets, query, glob from serving.t",
        "select 'read_csv(x)' as text -- read_csv('x')",
        "select * from serving.orders where path = 'a/b.csv'",
    ],
)
def test_columns_texts_and_comments_may_have_these_names(sql: str) -> None:
    sandbox.check_names(sql, files=False)


def test_files_may_be_allowed_and_secrets_may_not() -> None:
    sandbox.check_names("from read_csv('x') join 'y.csv' using (z)", files=True)
    with pytest.raises(UsageError, match="which_secret is refused"):
        sandbox.check_names("from which_secret('x', 's3')", files=True)


def test_a_connection_is_left_with_the_files_that_it_is_given(tmp_path: Path) -> None:
    given, other = tmp_path / "given.csv", tmp_path / "other.csv"
    for file in (given, other):
        file.write_text("a\n1\n", encoding="utf-8")
    with duckdb.connect() as connection:
        sandbox.shut(connection, [f"file://{given}"], files=False)
        assert connection.execute(f"select a from read_csv('{given}')").fetchall() == [(1,)]
        for sql in (f"from read_csv('{other}')", f"copy (select 1) to '{tmp_path}/new.csv'"):
            with pytest.raises(duckdb.PermissionException):
                connection.execute(sql)
        with pytest.raises(duckdb.InvalidInputException, match="locked"):
            connection.execute("set enable_external_access = true")
    assert not (tmp_path / "new.csv").exists()
