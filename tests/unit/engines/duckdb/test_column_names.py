"""Tables and columns of any name, and of any number."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table.sorting import SortOrder
from tests.conftest import some

from slipway.engines.duckdb.constraints import Contract
from slipway.errors import ContractError
from slipway.iceberg.schema import query_schema
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

NAMES = [
    pytest.param("order", id="reserved"),
    pytest.param("Größe 日本 🚲", id="unicode"),
    pytest.param("a b  c", id="spaces"),
    pytest.param('say "hi"', id="quotes"),
    pytest.param("it's", id="apostrophe"),
    pytest.param("a.b.c", id="dots"),
    pytest.param("back\\slash", id="backslash"),
    pytest.param("{}()[];,:=%?#&--/*", id="signs"),
    pytest.param("rowid", id="rowid"),
    pytest.param("__row", id="underscores"),
    pytest.param("c0", id="position"),
    pytest.param("x" * 255, id="long"),
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("name", some(3, NAMES))
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


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        pytest.param(
            'select 1 as "two\nlines"',
            r"column 'two\\nlines': it has the invisible .* as \"two lines\"",
            id="line",
        ),
        pytest.param(
            'select 1 as "a ", 2 as b, 3 as "\u200b"', r"column 'a ': .*; column '.u200b': ", id="all-at-once"
        ),
        pytest.param(
            "select {'a ': 1} as s", "A field of a struct has the name 'a ': it begins or ends", id="nested"
        ),
        pytest.param(
            "select [{k: {'\u202e': 1}}] as l", r"A field of a struct has the name '.u202e'", id="deep"
        ),
        pytest.param('select 1 as "żó", 2 as "ŻÓ"', "Column ŻÓ occurs twice: also as żó", id="twins"),
    ],
)
def test_invisible_names_are_refused_before_anything_is_written(lake: Lake, sql: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        lake.write(sql)
    assert not list(Path(lake.tables.environment.warehouse.removeprefix("file://")).rglob("*"))


@pytest.mark.parametrize("name", ["..", ".", "_slipway", ".hidden", "a/../../b", ""])
def test_a_folder_never_leads_out_of_the_warehouse(lake: Lake, name: str) -> None:
    """Names are refused before; a table that comes here all the same stays in a folder of its own."""
    schema = query_schema([("k", duckdb.sqltypes.INTEGER)])
    for identifier in (TableName(name, "t"), TableName("layer", name)):
        table = lake.tables.new(identifier, schema, PartitionSpec(), SortOrder(), {})
        below = table.location().removeprefix(f"{lake.tables.environment.warehouse}/").split("/")
        assert len(below) == 2
        assert all(part[0] not in "._" for part in below)


@pytest.mark.parametrize("strategy", ["replace", "merge", "append"])
def test_an_enforced_contract_tells_upper_from_lower_case(lake: Lake, strategy: str) -> None:
    contract = Contract({"parcel": "integer"})
    with pytest.raises(
        ContractError, match="column Parcel is declared as parcel, and other readers distinguish"
    ):
        lake.write('select 1 as "Parcel"', contract=contract)
    lake.write('select 1 as "Parcel"')
    if strategy == "replace":
        lake.write("select 2 as parcel", contract=contract)
        assert lake.table.schema().column_names == ["parcel"]
        return
    with pytest.raises(ContractError, match="its table has the column Parcel, declared as parcel"):
        lake.write("select 2 as parcel", strategy, unique_key=["parcel"], contract=contract)
    lake.write(
        'select 2 as "Parcel"', strategy, unique_key=["parcel"], contract=Contract({"Parcel": "integer"})
    )
    lake.check([(1,), (2,)])


@pytest.mark.parametrize("name", some(3, NAMES))
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
    with pytest.raises(ContractError, match="The query has no columns"):
        query_schema([])


def test_one_row_of_nulls(lake: Lake) -> None:
    lake.write("select null::integer as k, null::varchar as t", partitioned_by=["k"], sorted_by=["t"])
    lake.check([(None, None)])


@pytest.mark.long
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
