"""Tables and columns of any name, and of any number."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from slipway.adapters.iceberg.schema import query_schema
from slipway.domain.errors import ContractError

if TYPE_CHECKING:
    from tests.unit.adapters.iceberg.conftest import Lake

NAMES = [
    pytest.param("order", id="reserved"),
    pytest.param("Größe 日本 🚲", id="unicode"),
    pytest.param("a b  c ", id="spaces"),
    pytest.param('say "hi"', id="quotes"),
    pytest.param("it's", id="apostrophe"),
    pytest.param("a.b.c", id="dots"),
    pytest.param("two\nlines", id="newline"),
    pytest.param("back\\slash", id="backslash"),
    pytest.param("{}()[];,:=%?#&--/*", id="signs"),
    pytest.param("rowid", id="rowid"),
    pytest.param("__row", id="underscores"),
    pytest.param("c0", id="position"),
    pytest.param("x" * 300, id="long"),
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_any_name_can_partition_and_sort(lake: Lake, name: str) -> None:
    column = quoted(name)
    sql = f"select * from (values (1, 'a'), (2, 'b'), (null, 'c'), (2, 'd')) as given({column}, other)"
    rows = [(1, "a"), (2, "b"), (None, "c"), (2, "d")]
    for partitioned_by in ([], [column], ["other"]):
        for sorted_by in ([], [f"{column} desc", "other"]):
            lake.write(sql, partitioned_by=partitioned_by, sorted_by=sorted_by)
            lake.check(rows)
    assert sorted(row[0] or 0 for row in lake.by_pyiceberg(columns=(name,))) == [0, 1, 2, 2]


@pytest.mark.parametrize("name", NAMES)
def test_a_nested_field_of_any_name(lake: Lake, name: str) -> None:
    lake.write(f"select 1 as k, {{{quoted(name)}: 5, 'b': 'x'}} as s")
    assert lake.by_duckdb() == [(1, {name: 5, "b": "x"})]
    assert lake.by_pyiceberg() == [(1, {name: 5, "b": "x"})]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_of_any_name(lake: Lake, name: str) -> None:
    lake.name = name
    lake.write("select unnest([1, 2]) as k, 'a' as t", partitioned_by=["k"], sorted_by=["t"])
    lake.write("select 2 as k, 'b' as t", "merge", unique_key=["k"], partitioned_by=["k"])
    lake.check([(1, "a"), (2, "b")])


@pytest.mark.parametrize("sorted_by", [[], ["t"]], ids=["unsorted", "sorted"])
def test_partition_values_longer_than_a_file_name(lake: Lake, sorted_by: list[str]) -> None:
    long = ["x" * 400, "ż" * 300, "/" * 200]
    listed = ", ".join(f"('{value}', {number})" for number, value in enumerate(long))
    lake.write(f"from (values {listed}) as given(t, k)", partitioned_by=["t"], sorted_by=sorted_by)
    lake.check([(value, number) for number, value in enumerate(long)])


def test_no_columns_are_refused() -> None:
    """DuckDB refuses such queries itself; a data frame can come without any."""
    with pytest.raises(ContractError, match="the query has no columns"):
        query_schema([])


def test_one_row_of_nulls(lake: Lake) -> None:
    lake.write("select null::integer as k, null::varchar as t", partitioned_by=["k"], sorted_by=["t"])
    lake.check([(None, None)])


def test_two_thousand_columns_take_no_square_of_the_work(lake: Lake) -> None:
    def calls(count: int) -> int:
        """Functions that Python calls for a write, which unlike time are the same on every machine."""
        listed = ", ".join(f"range + {n} as column_{n}" for n in range(count))
        counted: Counter[str] = Counter()
        sys.setprofile(lambda _, event, __: counted.update((event,)))
        try:
            lake.write(f"select {listed} from range(20)", sorted_by=["column_7"])
        finally:
            sys.setprofile(None)
        return counted["call"] + counted["c_call"]

    calls(10)
    few, many = calls(500), calls(2000)
    assert many < 6 * few  # four times the columns; sixteen times would be the square
    row = lake.connection.execute(f"select count(*), sum(column_1999) from {lake.scan}").fetchone()
    assert row == (20, 190 + 20 * 1999)
    assert len(lake.table.scan(selected_fields=("column_0", "column_1999")).to_arrow()) == 20


@pytest.mark.parametrize("name", ["at_month", "AT_MONTH", "n_bucket_4"])
def test_a_new_column_cannot_have_the_name_of_a_partition_field(lake: Lake, name: str) -> None:
    rows = "select range as n, timestamp '2024-01-05' + to_days((range * 40)::integer) as at"
    kept = {"partitioned_by": ["month(at)"], "on_schema_change": "append_new_columns", "unique_key": ["n"]}
    lake.write(f"{rows} from range(4)", partitioned_by=["bucket(4, n)"])
    lake.write(f"{rows} from range(4)", "merge", **kept)
    before = lake.by_duckdb()
    with pytest.raises(ContractError, match=f"column {name} is new and has the name of a partition field"):
        lake.write(f"{rows}, 'x' as {name} from range(2)", "merge", **kept)
    lake.write(f"{rows}, 'x' as other from range(2)", "merge", **kept)
    assert [row[:2] for row in lake.by_datafusion()] == before
    lake.write(f"{rows}, 'x' as {name} from range(2)", "replace", **kept)
    lake.write(f"{rows}, 'y' as {name} from range(1, 2)", "merge", **kept)
    assert [row[2] for row in lake.by_datafusion()] == ["x", "y"]


def test_a_partition_field_of_a_column_that_avro_cannot_name(lake: Lake) -> None:
    lake.write("select 1 as größe, 2 as column_1", partitioned_by=["größe"])
    lake.check([(1, 2)], datafusion=False)
