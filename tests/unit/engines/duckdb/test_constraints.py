"""Contracts hold for the whole table that is going to be published, not only for what a run adds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import some

from slipway.engines.duckdb.constraints import HELD, Contract, Question
from slipway.errors import ConfigError, ContractError

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

COLUMNS: dict[str, str | None] = {"k": "integer", "t": None}
ROWS = "select unnest([1, 1, null]) as k, unnest(['a', 'b', 'c']) as t"
NOT_NULL = Contract(COLUMNS, not_null=["k"])
UNIQUE = Contract(COLUMNS, unique=[["k"]])
CHECK = Contract(COLUMNS, checks=["t <> 'b'"])
NEW = "select 7 as k, 'x' as t"
NOTHING = f"{NEW} where false"


@pytest.mark.parametrize("new", [NEW, NOTHING], ids=["a-row", "no-row"])
@pytest.mark.parametrize("strategy", some(2, ["append", "merge", "delete+insert", "insert_overwrite"]))
@pytest.mark.parametrize(
    ("contract", "violation"),
    [
        pytest.param(NOT_NULL, "not_null k: 1 row", id="not-null"),
        pytest.param(UNIQUE, "unique k: 1 row", id="unique"),
        pytest.param(CHECK, "check t <> 'b': 1 row", id="check"),
    ],
)
def test_a_constraint_that_is_new_is_checked_on_every_row(
    lake: Lake, contract: Contract, violation: str, strategy: str, new: str
) -> None:
    lake.write(ROWS, partitioned_by=["t"])
    options: dict[str, Any] = {"unique_key": ["k"], "partitioned_by": ["t"], "contract": contract}
    with pytest.raises(ContractError, match=violation):
        lake.write(new, strategy, **options)
    lake.write("select 1 as k, 'a' as t")
    lake.write(new, strategy, **options)


def test_a_constraint_that_held_is_not_checked_again_on_the_same_rows(lake: Lake) -> None:
    nested = "{a: 1} as c"
    contract = Contract({"k": "integer", "t": None, "c": None}, not_null=["k", "c"], checks=["t <> 'b'"])
    lake.write(f"select 1 as k, 'a' as t, {nested}", contract=contract)
    current = lake.table.current_snapshot()
    assert current is not None
    assert current.summary is not None
    known = current.summary.additional_properties[HELD]
    assert json.loads(known) == {"not_null": ["c", "k"], "check": ["t <> 'b'"]}
    # the file is gone: whoever looked at it would fail
    for path in lake.files():
        lake.connection.execute(f"copy (select 1) to '{path.removeprefix('file://')}' (format csv)")
    lake.write(f"{NEW}, {nested}", "append", contract=contract)
    with pytest.raises(ContractError, match="not_null k: 1 row; check t <> 'b': 1 row"):
        lake.write(f"select null::integer as k, 'b' as t, {nested}", "append", contract=contract)


def test_a_check_with_a_subquery_looks_at_the_whole_table(lake: Lake) -> None:
    contract = Contract(COLUMNS, checks=["k <= (select 2)"])
    lake.write("select 1 as k, 'a' as t", contract=contract)
    lake.write("select 2 as k, 'b' as t", "append", contract=contract)
    for path in lake.files():
        lake.connection.execute(f"copy (select 1) to '{path.removeprefix('file://')}' (format csv)")
    with pytest.raises(duckdb.Error):
        lake.write("select 2 as k, 'b' as t", "append", contract=contract)


def test_a_write_without_the_contract_forgets_what_held(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as t", contract=NOT_NULL)
    lake.write("select null::integer as k, 'b' as t", "append")
    with pytest.raises(ContractError, match="not_null k: 1 row"):
        lake.write(NEW, "append", contract=NOT_NULL)


def test_all_violations_of_a_table_are_reported_at_once(lake: Lake) -> None:
    lake.write(ROWS)
    contract = Contract(
        COLUMNS, not_null=["k", "t"], unique=[["k"], ["k", "t"], ["T"]], checks=["t <> 'b'", "k > 1"]
    )
    with pytest.raises(ContractError) as refused:
        lake.write(
            "select null::integer as k, null::varchar as t union all select 2, 'a'",
            "append",
            contract=contract,
        )
    for part in (
        "not_null k: 2 rows",
        "not_null t: 1 row",
        "unique k: 1 row",
        "unique T: 1 row",
        "check t <> 'b': 1 row",
        "check k > 1: 2 rows",
    ):
        assert part in str(refused.value)
    assert "unique k, t" not in str(refused.value)


@pytest.mark.parametrize("column", ["{a: 1, b: null}", "[1, null]", "map {'k': null}"])
def test_not_null_of_a_nested_column_looks_at_the_column_itself(lake: Lake, column: str) -> None:
    contract = Contract({"k": None, "c": None}, not_null=["c"])
    lake.write(f"select 1 as k, {column} as c", contract=contract)
    lake.write(f"select 2 as k, {column} as c", "append", contract=contract)
    with pytest.raises(ContractError, match="not_null c: 1 row"):
        lake.write(
            f"select 3 as k, case when random() > 2 then {column} end as c", "append", contract=contract
        )


@pytest.mark.parametrize(
    "constraint", [{"checks": ["nothing > 1"]}, {"checks": ["k >"]}, {"not_null": ["nothing"]}]
)
def test_a_constraint_that_is_no_sql_for_the_table_is_reported_in_one_line(
    lake: Lake,
    constraint: Any,  # noqa: ANN401
) -> None:
    with pytest.raises(ConfigError, match=r"layer.thing: its constraints cannot be checked") as refused:
        lake.write("select 1 as k, 'a' as t", contract=Contract(COLUMNS, **constraint))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("declared", "query"),
    [
        pytest.param("struct(a integer, b varchar)", "{a: 1, b: 'x'}", id="struct"),
        pytest.param(
            "struct(a integer, b decimal(9, 2)[])[]", "[{a: 1, b: [1.25::decimal(9, 2)]}]", id="list"
        ),
        pytest.param("map(varchar, struct(x double))", "map {'k': {x: 1::double}}", id="map"),
    ],
)
def test_nested_types_are_compared_exactly(lake: Lake, declared: str, query: str) -> None:
    lake.write(f"select {query} as c", contract=Contract({"c": declared}))
    for other in (
        declared.replace("integer", "bigint").replace("double", "float"),
        declared.replace("(a ", "(z ").replace("(x ", "(z "),
    ):
        with pytest.raises(ContractError, match=r"c is .*, declared "):
            lake.write(f"select {query} as c", contract=Contract({"c": other}))


@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(0, 3), st.none() | st.sampled_from("aAb"), st.none() | st.integers(0, 1)
        ),
        max_size=12,
    )
)
def test_the_query_that_engines_have_in_common_counts_the_same(
    rows: list[tuple[int | None, str | None, int | None]],
) -> None:
    asked = [
        Question("not_null", "k is null"),
        Question("check", "not (k > 1 or t = 'a')"),
        Question("one", unique=("k",)),
        Question("two", unique=("t", "k")),
        Question("three", unique=("k", "t", "n")),
    ]
    with duckdb.connect() as connection:
        connection.execute("create table given (k int, t varchar, n int)")
        for row in rows:
            connection.execute("insert into given values (?, ?, ?)", row)
        for one in asked:
            by_query = connection.execute(one.query("given")).fetchall()
            assert by_query == connection.execute(f"select {one.counted} from given").fetchall(), one
