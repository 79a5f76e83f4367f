"""A query of which DuckDB makes several statements is written as any other, and what is written is counted.

``pivot … on k`` without a list of values first makes a type of the values, and around a COPY a transaction. Expected rows are
worked out by hand from the three rows of ``BASE``.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from slipway.engines.duckdb import copying, engine
from slipway.engines.duckdb.batches import BatchedTable, Window
from slipway.engines.duckdb.constraints import Contract
from slipway.engines.duckdb.metrics import WrittenFile
from slipway.engines.duckdb.request import WriteRequest
from slipway.errors import ConfigError, DamagedError
from slipway.iceberg import file_io
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

BASE = "(select * from (values (1, 'a', 10.5), (2, 'b', 20.25), (3, 'a', 5.0)) as t(id, k, v))"
PIVOT = f"pivot {BASE} on k using sum(v) group by id"
A, B = Decimal("10.50"), Decimal("20.25")
WIDE = [(1, A, None), (2, None, B), (3, Decimal("5.00"), None)]
WAYS = {
    "statement": PIVOT,
    "with a comment": f"{PIVOT} -- one row per id",
    "wider": f"pivot_wider {BASE} on k using sum(v) group by id",
    "select from": f"select * from ({PIVOT})",
    "from first": f"from ({PIVOT}) where id > 0",
    "in a CTE": f"with wide as ({PIVOT}) select * from wide",
    "in a nested CTE": f"with outside as (with wide as ({PIVOT}) from wide) select * from outside",
    "SQL standard": f"select * from {BASE} pivot (sum(v) for k in ('a', 'b') group by id)",
    "joined": f"select p.* from ({PIVOT}) as p join (pivot {BASE} on k using count(*) group by id) as q using (id)",
    "in a union": f"select id, null::decimal(38, 2) as a, b from ({PIVOT}) where id = 2 "
    f"union all by name select * from ({PIVOT}) where id <> 2",
    "in a predicate": f"select * from ({PIVOT}) where id in (select id from (pivot {BASE} on k using count(*) group by id))",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_table(lake: Lake, way: str) -> None:
    lake.write(WAYS[way])
    lake.check(WIDE, datafusion=False)


@pytest.mark.parametrize(
    "layout",
    [
        {"partitioned_by": ["id"]},
        {"sorted_by": ["a desc"]},
        {"partitioned_by": ["bucket(2, id)"], "sorted_by": ["b"]},
    ],
    ids=["partitioned", "sorted", "both"],
)
def test_a_layout(lake: Lake, layout: dict[str, Any]) -> None:
    lake.write(PIVOT, **layout)
    lake.check(WIDE, datafusion=False)


def test_a_contract(lake: Lake) -> None:
    contract = Contract(
        {"id": "integer", "a": "decimal(38,2)", "b": "decimal(38,2)"},
        not_null=["id"],
        unique=[["id"]],
        checks=["id > 0"],
    )
    lake.write(PIVOT, contract=contract)
    lake.check(WIDE, datafusion=False)


@pytest.mark.parametrize("strategy", ["append", "merge", "delete+insert", "insert_overwrite"])
def test_a_strategy(lake: Lake, strategy: str) -> None:
    """Both its first build and the next one, which replaces the row with id 1 and brings one with id 4."""
    options: dict[str, Any] = {"unique_key": ["id"]} if strategy in ("merge", "delete+insert") else {}
    if strategy == "insert_overwrite":
        options = {"partitioned_by": ["id"]}
    lake.write(PIVOT, strategy, **options)
    lake.check(WIDE, datafusion=False)
    more = "(values (1, 'a', 0.25), (1, 'b', 7.0), (4, 'b', 8.0)) as t(id, k, v)"
    lake.write(f"pivot (from {more}) on k using sum(v) group by id", strategy, **options)
    kept = WIDE if strategy == "append" else WIDE[1:]
    lake.check([*kept, (1, Decimal("0.25"), Decimal("7.00")), (4, None, Decimal("8.00"))], datafusion=False)


def test_a_batch(lake: Lake) -> None:
    day = dt.datetime(2024, 2, 28, tzinfo=dt.UTC)
    table = BatchedTable(lake.tables, None)
    timed = f"select timestamp '2024-02-28 10:00' as at, * from ({PIVOT})"
    request = WriteRequest(
        TableName("layer", "thing"), timed, "microbatch", run_id="run-1", release="release-1"
    )
    window = Window("at", day, day + dt.timedelta(days=1))
    assert table.write(lake.connection.cursor(), request, window, last=True) == 3
    lake.base = table.stage(request).staged.table
    assert [row[1:] for row in lake.by_duckdb()] == WIDE


def test_what_a_python_model_returns(lake: Lake) -> None:
    lake.connection.register("__frame", lake.connection.sql(PIVOT))
    try:
        lake.write("from __frame")
    finally:
        lake.connection.unregister("__frame")
    lake.check(WIDE, datafusion=False)


def test_the_connection_goes_on_after_a_failure(lake: Lake) -> None:
    """DuckDB leaves its transaction open, in which every later statement would fail."""
    cursor = lake.connection.cursor()
    lake.connection, before = cursor, lake.connection
    try:
        layouts: list[dict[str, Any]] = [{}, {"partitioned_by": ["id"], "sorted_by": ["a"]}]
        for options in layouts:
            broken = (
                f"pivot {BASE} on k using sum(case when v > 20 then error('too much') else v end) group by id"
            )
            with pytest.raises(duckdb.Error, match="too much"):
                lake.write(broken, **options)
            assert cursor.execute("select 1").fetchall() == [(1,)]
        lake.write(PIVOT)
        lake.check(WIDE, datafusion=False)
    finally:
        lake.connection = before
        cursor.close()


def test_a_failing_copy_leaves_no_transaction(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    cursor = connection.cursor()
    broken = f"pivot {BASE} on k using sum(case when v > 20 then error('too much') else v end) group by id"
    with pytest.raises(duckdb.Error, match="too much"):
        engine.execute(
            cursor, f"copy ({broken}) to '{tmp_path}' (format parquet, return_stats, per_thread_output)"
        )
    assert cursor.execute("select 1").fetchall() == [(1,)]
    policy = "select current_setting('current_transaction_invalidation_policy')"
    before = cursor.execute(policy).fetchall()
    cursor.execute("select 1")  # while a result is open, DuckDB changes a setting instead
    with pytest.raises(duckdb.Error, match="too much"):
        engine.execute(
            cursor, f"copy ({broken}) to '{tmp_path}' (format parquet, return_stats, per_thread_output)"
        )
    assert cursor.execute(policy).fetchall() == before


def test_rows_of_a_copy(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Also inside of a transaction of the caller's, which stays open."""
    cursor = connection.cursor()
    statement = f"copy ({PIVOT}) to '{tmp_path}' (format parquet, return_stats, per_thread_output, overwrite_or_ignore)"
    assert sum(row[1] for row in engine.execute(cursor, statement)) == 3
    cursor.begin()
    cursor.execute("create temp table mine as select 1")
    assert sum(row[1] for row in engine.execute(cursor, statement)) == 3
    cursor.rollback()
    assert not cursor.execute("from duckdb_tables() where table_name = 'mine'").fetchall()


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("", 0),
        ("-- nothing", 0),
        ("select 1;", 1),
        ("select 1; select 2", 2),
        (PIVOT, 1),
        (f"{PIVOT}; {PIVOT}", 2),
        (f"copy ({PIVOT}) to 'x.parquet'", 1),
        (f"copy ({PIVOT}) to 'x.parquet'; {PIVOT}", 2),
        (f"create table t as ({PIVOT}); {PIVOT}", 2),
        (f"explain {PIVOT}", 1),
        ("set threads = 2", 1),
        ("create type mood as enum ('good'); select 1", 2),
        ("begin; select 1; commit", 3),
    ],
)
def test_statements_that_are_written(sql: str, count: int) -> None:
    assert len(engine.written(duckdb.extract_statements(sql))) == count


def test_more_than_one_statement_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ConfigError, match="not one statement"):
        engine.execute(connection, f"{PIVOT}; select 1")


def test_files_without_statistics(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As before statements were distinguished: the rows were written, and the result was that of another statement."""

    execute = engine.execute

    def other_result(*arguments: Any) -> list[Any]:  # noqa: ANN401 - of engine.execute
        execute(*arguments)
        return []

    monkeypatch.setattr(engine, "execute", other_result)
    with pytest.raises(DamagedError, match="was written and not returned"):
        lake.write("select 1 as id")


def test_statistics_without_files(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "sizes", lambda *_: {})
    with pytest.raises(DamagedError, match="was returned and is not there"):
        lake.write("select 1 as id")


def test_a_file_of_another_size(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(io: Any, folder: str, prefix: str) -> dict[str, int]:  # noqa: ANN401 - of file_io.sizes
        return {name: size - 1 for name, size in file_io.sizes(io, folder, prefix).items()}

    monkeypatch.setattr(copying, "sizes", cut)
    with pytest.raises(DamagedError, match="bytes and was returned with"):
        lake.write("select 1 as id")


@pytest.mark.parametrize("strategy", ["replace", "append", "merge", "delete+insert", "insert_overwrite"])
def test_rows_are_counted_again(lake: Lake, monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    lake.write("select 1 as id")
    original = WrittenFile.from_row

    def one_less(row: Any) -> WrittenFile:  # noqa: ANN401 - of RETURN_STATS
        file = original(row)
        return WrittenFile(file.path, file.records - 1, file.size, file.statistics, file.partition)

    monkeypatch.setattr(WrittenFile, "from_row", one_less)
    options: dict[str, Any] = {"unique_key": ["id"]} if strategy in ("merge", "delete+insert") else {}
    with pytest.raises(DamagedError, match="2 rows are read from them, and they were written with 1"):
        lake.write("from (values (2), (3)) as t(id)", strategy, **options)
    lake.check([(1,)], datafusion=False)
