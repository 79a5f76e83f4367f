"""What lists tables is told by the plan of a query, not by its words."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from slipway.dbt.volatility import check_listings
from slipway.errors import ConfigError


@pytest.fixture(scope="module")
def cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("create table t as select 'information_schema.tables' as pg_name")
        yield opened


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("select table_name from information_schema.tables", "tables and views"),
        ('select count(*) from "information_schema"."columns" where table_name = \'t\'', "columns"),
        ("from duckdb_tables()", "tables"),
        ("from duckdb_tables", "tables"),
        ("FROM DuckDB_Columns() where column_name = 'k'", "columns"),
        ("with a as (select * from (show tables)) from a", "tables and views"),
        ("from (show all tables)", "columns and tables and views"),
        ("from sqlite_master", "indexes and tables and views"),
        ("from pg_catalog.pg_tables", "tables"),
        ("select relname from pg_class", ""),
        ("from pragma_database_list", "databases"),
        ("select 1 where exists (from information_schema.schemata where schema_name = 'raw')", "schemas"),
    ],
)
def test_what_lists_tables_is_refused(cursor: duckdb.DuckDBPyConnection, sql: str, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"m lists .*{what} of DuckDB's catalog: there are only those"):
        check_listings(cursor, "m", sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from t where pg_name = 'information_schema.tables'",
        "select 1 as show -- information_schema.tables",
        "from pragma_table_info('t')",
        "from duckdb_settings()",
        "from (describe t)",
        "from (summarize t)",
        "from information_schema.nothing",
        "this is no SQL, information_schema",
    ],
)
def test_what_only_names_them_is_not(cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
    check_listings(cursor, "m", sql)
