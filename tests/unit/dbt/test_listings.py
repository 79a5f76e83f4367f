"""The plan of a query shows what lists tables, not its text."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from slipway.dbt.query_checks import check_listings
from slipway.dbt.volatility import Volatility
from slipway.engines.duckdb.scan import Views
from slipway.errors import ConfigError


@pytest.fixture(scope="module")
def cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("create table t as select 'information_schema.tables' as pg_name")
        opened.execute("create view listed as select table_name from information_schema.tables")
        opened.execute('create view "Listed Again" as from listed')
        opened.execute("create macro all_tables() as table from duckdb_tables()")
        opened.execute("create macro count_columns() as (select count(*) from duckdb_columns())")
        opened.execute("create view counted as select count_columns() as n")
        opened.execute("attach ':memory:' as dev")
        opened.execute("create macro twice(x) as 2 * x")
        opened.execute("create view harmless as select twice(count(*)) as n from t")
        yield opened


@pytest.fixture(scope="module")
def made(cursor: duckdb.DuckDBPyConnection) -> frozenset[str]:
    return Volatility(Views(cursor)).made()


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("select table_name from information_schema.tables", "tables and views"),
        ('select count(*) from "information_schema"."columns" where table_name = \'t\'', "columns"),
        ("select distinct table_name from dev.information_schema.tables", "tables"),
        ('from "dev"."Information_Schema"."COLUMNS"', "columns"),
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
        ("from query('from inform' || 'ation_schema.tables')", "tables and views"),
        ("from \"query_table\"('duckdb_tables')", "tables"),
        ("select count(*) from listed", "tables and views"),
        ('from "Listed Again"', "tables and views"),
        ("from all_tables()", "tables"),
        ("select Count_Columns() as n", "columns"),
        ("from counted", "columns"),
    ],
)
def test_what_lists_tables_is_refused(
    cursor: duckdb.DuckDBPyConnection, made: frozenset[str], sql: str, what: str
) -> None:
    with pytest.raises(ConfigError, match=rf"m lists .*{what} of DuckDB's catalog: there are only those"):
        check_listings(cursor, "m", sql, made)


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
        "select n, twice(n) from harmless",
        "from query('from t')",
    ],
)
def test_what_only_names_them_is_not(
    cursor: duckdb.DuckDBPyConnection, made: frozenset[str], sql: str
) -> None:
    assert "harmless" in made
    check_listings(cursor, "m", sql, made)
