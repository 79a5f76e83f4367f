"""Ends of the calendar, names that meet, and columns that older files are partitioned by."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import some

from slipway.errors import ConfigError, ContractError

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

ENDS = {
    "before Christ": ("date", "date '0044-03-15 (BC)'", ""),
    "beyond Python": ("date", "date '290000-01-01'", ""),
    "the last day": ("date", "date '9999-12-31'", "year(k)"),
    "the last month": ("date", "date '9999-12-31'", "month(k)"),
    "the first day": ("date", "date '0001-01-01'", "year(k)"),
    "open end": ("timestamp", "timestamp '9999-12-31 23:59:59.999999'", "year(k)"),
    "open end with zone": ("timestamptz", "timestamptz '9999-12-31 23:59:59.999999+00'", "day(k)"),
}


@pytest.mark.parametrize("strategy", ["merge", "delete+insert"])
@pytest.mark.parametrize(
    ("kind", "end", "partitioned_by"), some(3, [pytest.param(*end, id=name) for name, end in ENDS.items()])
)
@pytest.mark.parametrize("more", [0, 600], ids=["few", "many"])
def test_a_key_at_the_end_of_the_calendar(
    lake: Lake, kind: str, end: str, partitioned_by: str, strategy: str, more: int
) -> None:
    others = f"select (date '2020-01-01' + range::integer)::{kind} as k, 1 as v from range({more + 1})"
    partition = [partitioned_by.replace("day", "month")] if partitioned_by else []  # days would be many files
    lake.write(f"{others} union all select {end}, 1", partitioned_by=partition)
    changed = f"select {end} as k, 2 as v"
    if more:
        changed += f" union all select k, 1 from ({others})"
    lake.write(changed, strategy, unique_key=["k"], partitioned_by=partition)
    found = lake.connection.execute(f"select v, count(*) from {lake.scan} group by v order by v").fetchall()
    assert found == [(1, more + 1), (2, 1)]
    assert lake.connection.execute(f"select v from {lake.scan} where k = {end}").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "predicate",
    ["<= date '9999-12-31'", ">= date '0001-01-01'", "< date '9999-12-31'", "> date '0001-01-01'"],
)
@pytest.mark.parametrize("partitioned_by", ["year(d)", "month(d)"])
def test_a_predicate_at_the_end_of_the_calendar(lake: Lake, predicate: str, partitioned_by: str) -> None:
    options: dict[str, Any] = {"unique_key": ["k"], "partitioned_by": [partitioned_by]}
    lake.write("select 1 as k, date '2024-05-01' as d, 1 as v", **options)
    predicates = [f"DBT_INTERNAL_DEST.d {predicate}"]
    lake.write("select 1 as k, date '2024-05-01' as d, 2 as v", "merge", predicates=predicates, **options)
    lake.check([(1, date(2024, 5, 1), 2)])


def test_a_column_that_files_are_partitioned_by_stays(lake: Lake) -> None:
    rows = "select 1 as id, date '2024-05-01' as sold_on, 10 as amount"
    lake.write(rows, partitioned_by=["day(sold_on)"])
    without = "select 2 as id, 20 as amount"
    for strategy in ("append", "merge"):
        with pytest.raises(ContractError, match="column sold_on is gone from the query"):
            lake.write(without, strategy, unique_key=["id"], on_schema_change="sync_all_columns")
    lake.write(without)  # a full build has no older files
    lake.check([(2, 20)])
    lake.write("select 3 as id", "append", on_schema_change="sync_all_columns")
    lake.check([(2,), (3,)])


@pytest.mark.parametrize(
    ("partitioned_by", "taken"),
    [("month(sold_on)", "sold_on_month"), ("bucket(4, k)", "k_bucket_4"), ("truncate(2, T)", "t_TRUNCATE_2")],
)
def test_a_column_may_have_the_name_of_a_partition(lake: Lake, partitioned_by: str, taken: str) -> None:
    sql = f"select 1 as k, date '2024-05-17' as sold_on, 'abc' as t, '2024-05' as \"{taken}\""
    for _ in range(2):
        lake.write(sql, "insert_overwrite", partitioned_by=[partitioned_by])
        lake.check([(1, date(2024, 5, 17), "abc", "2024-05")])


@pytest.mark.parametrize("entry", ["bucket(99999999999, k)", "truncate(2147483648, k)"])
def test_a_parameter_that_is_too_large(lake: Lake, entry: str) -> None:
    with pytest.raises(ConfigError, match=r"is too large.*2147483647"):
        lake.write("select 1 as k", partitioned_by=[entry])


@pytest.mark.parametrize("strategy", ["append", "merge", "delete+insert", "insert_overwrite"])
@pytest.mark.parametrize("name", ["größe", "GRÖßE", "grÖße"])
def test_a_column_that_comes_in_another_case(lake: Lake, name: str, strategy: str) -> None:
    """DuckDB takes only letters of ASCII for the same in upper and lower case; a table has the column once."""
    options: dict[str, Any] = {"unique_key": ["k"], "partitioned_by": ["k"]}
    lake.write('select 1 as k, 10 as "GRöße"', **options)
    lake.write(f'select 2 as K, 20 as "{name}"', strategy, **options)
    assert [field.name for field in lake.table.schema().fields] == ["k", "GRöße"]
    lake.check([(1, 10), (2, 20)])
