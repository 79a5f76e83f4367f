"""What a contract says of columns stands in the Iceberg schema: required columns, identifier fields, descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.table.update.schema import UpdateSchema

from slipway.engines.duckdb.constraints import Contract
from slipway.engines.duckdb.target import stay_optional
from slipway.errors import ContractError, SlipwayError
from slipway.iceberg.earlier_states import stage_state
from slipway.iceberg.snapshots import Staging
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

COLUMNS: dict[str, str | None] = {"k": None, "t": None}
PLAIN = Contract(COLUMNS)
KEY = Contract(COLUMNS, not_null=["k"], unique=[["k"]], key=["k"])


def required(lake: Lake) -> list[str]:
    return [field.name for field in lake.table.schema().fields if field.required]


def identifying(lake: Lake) -> set[str]:
    schema = lake.table.schema()
    return {str(schema.find_column_name(number)) for number in schema.identifier_field_ids}


def test_a_new_table_has_required_columns_and_identifier_fields(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as t", contract=Contract(COLUMNS, not_null=["K"], key=["K"]))
    assert (required(lake), identifying(lake)) == (["k"], {"k"})
    # DuckDB writes every field of a Parquet file as optional, which all readers accept
    lake.check([(1, "a")])


@pytest.mark.parametrize(
    ("query", "key", "expected"),
    [
        ("select 1 as a, 'x' as b, 1 as c", ["b", "a"], {"a", "b"}),
        ("select 1 as a, 1.5::double as b, 1 as c", ["a", "b"], set()),
        ("select 1 as a, [1] as b, 1 as c", ["a", "b"], set()),
        ("select 1 as a, {'x': 1} as b, 1 as c", ["b"], set()),
    ],
    ids=["composite", "double", "list", "struct"],
)
def test_a_key_identifies_rows_if_iceberg_allows_its_columns(
    lake: Lake, query: str, key: list[str], expected: set[str]
) -> None:
    contract = Contract({"a": None, "b": None, "c": None}, not_null=key, unique=[key], key=key)
    lake.write(query, contract=contract)
    assert identifying(lake) == expected
    assert required(lake) == sorted(key)


def test_a_full_build_makes_columns_required_and_optional_again(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as t")
    assert required(lake) == []
    before = lake.table.metadata_location
    lake.write("select 1 as k, 'a' as t", contract=KEY)
    assert (required(lake), identifying(lake)) == (["k"], {"k"})
    lake.check([(1, "a")])
    lake.write("select null::integer as k, 'b' as t")
    assert (required(lake), identifying(lake)) == ([], set())
    lake.check([(None, "b")])

    back = stage_state(
        lake.tables, TableName("layer", "thing"), lake.table.metadata_location, before, "release-9"
    )
    lake.base = back.table
    assert required(lake) == []
    lake.check([(1, "a")])


def test_an_increment_leaves_a_column_optional_as_iceberg_does(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as t")
    update = UpdateSchema(Staging(lake.table), allow_incompatible_changes=False)
    with pytest.raises(ValueError, match="Cannot change column nullability"):  # pyiceberg's own rule
        update.update_column("k", required=True)
    assert stay_optional(lake.table.metadata, KEY) == ["k"]
    lake.write("select 2 as k, 'b' as t", "append", contract=KEY)
    assert (required(lake), identifying(lake)) == ([], set())
    # it has been said once
    assert stay_optional(lake.table.metadata, KEY) == []
    with pytest.raises(ContractError, match="not_null k: 1 row"):
        lake.write("select null::integer as k, 'c' as t", "append", contract=KEY)
    lake.check([(1, "a"), (2, "b")])


def test_an_increment_lets_a_column_be_null_when_the_contract_does(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as t", contract=KEY)
    lake.write("select 2 as k, 'b' as t", "append", contract=KEY)
    assert (required(lake), identifying(lake)) == (["k"], {"k"})
    lake.write("select null::integer as k, 'c' as t", "append")
    assert (required(lake), identifying(lake)) == ([], set())
    lake.check([(1, "a"), (2, "b"), (None, "c")])


def test_an_increment_changes_identifier_fields_with_the_contract(lake: Lake) -> None:
    both = Contract(COLUMNS, not_null=["k", "t"], unique=[["k", "t"]], key=["k", "t"])
    lake.write("select 1 as k, 'a' as t", contract=both)
    assert identifying(lake) == {"k", "t"}
    only_k = Contract(COLUMNS, not_null=["k", "t"], unique=[["k"]], key=["k"])
    lake.write("select 2 as k, 'a' as t", "append", contract=only_k)
    assert (required(lake), identifying(lake)) == (["k", "t"], {"k"})
    lake.write("select 3 as k, 'a' as t", "append", contract=Contract(COLUMNS, not_null=["k", "t"]))
    assert (required(lake), identifying(lake)) == (["k", "t"], set())


def test_null_in_a_required_column_is_a_violation_of_the_contract(lake: Lake) -> None:
    """One message names all of them, and none says that another tool made the column required."""
    both = Contract(COLUMNS, not_null=["k", "t"])
    lake.write("select 1 as k, 'a' as t", contract=both)
    with pytest.raises(ContractError, match="not_null k: 1 row; not_null t: 1 row"):
        lake.write("select null::integer as k, null::varchar as t", "append", contract=both)


def test_a_column_that_is_gone_from_contract_and_query_becomes_optional(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as t", contract=Contract(COLUMNS, not_null=["k", "t"]))
    lake.write("select 2 as k", "append", contract=Contract({"k": None}, not_null=["k"]))
    assert required(lake) == ["k"]
    lake.check([(1, "a"), (2, None)])


def test_the_same_rows_with_other_descriptions_need_no_snapshot(lake: Lake) -> None:
    query = "select 1 as k, 'a' as t"
    lake.write(query, contract=KEY, column_docs={"k": "number"}, table_properties={"comment": "old"})
    before = lake.table.current_snapshot()
    result = lake.write(
        query, contract=KEY, column_docs={"K": "number of the row"}, table_properties={"comment": "new"}
    )
    assert result.same_content
    assert lake.table.current_snapshot() == before
    assert lake.table.schema().find_field("k").doc == "number of the row"
    assert lake.table.properties["comment"] == "new"
    assert (required(lake), identifying(lake)) == (["k"], {"k"})
    lake.check([(1, "a")])
    assert not lake.write(query, contract=KEY, table_properties={"owner": "shop"}).same_content


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["replace", "append", "merge"]),
        st.sampled_from(["none", "plain", "not_null", "key", "key_and_t"]),
        st.lists(st.tuples(st.none() | st.integers(0, 5), st.none() | st.sampled_from("ab")), max_size=3),
    ),
    min_size=1,
    max_size=6,
)
CONTRACTS = {
    "none": None,
    "plain": PLAIN,
    "not_null": Contract(COLUMNS, not_null=["k"]),
    "key": KEY,
    "key_and_t": Contract(COLUMNS, not_null=["k", "t"], unique=[["k", "t"]], key=["k", "t"]),
}


def values(rows: list[tuple[Any, ...]]) -> str:
    listed = ", ".join(
        f"({'null' if k is None else k}::integer, {'null' if t is None else repr(t)}::varchar)"
        for k, t in rows
    )
    source = f"(values {listed})" if rows else "(select null::integer, null::varchar where false)"
    return f"select * from {source} as given(k, t)"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=WRITES)
def test_required_columns_hold_through_any_history(lakes: Iterator[Lake], writes: list[Any]) -> None:
    """No NULL is in a required column, a contract that was refused leaves nothing, every state can be shown again."""
    lake, states = next(lakes), []
    for strategy, named, rows in writes:
        contract = CONTRACTS[named]
        before = lake.base
        try:
            lake.write(
                values(rows),
                strategy if lake.base else "replace",
                contract=contract,
                **({"unique_key": ["k"]} if strategy == "merge" and lake.base else {}),
            )
        except SlipwayError:  # the contract, or a key of merge that is NULL or there twice
            lake.base = before
            continue
        states.append(lake.table.metadata_location)
        _hold(lake)
        declared = set(contract.not_null) if contract else set()
        assert set(required(lake)) <= declared
        if strategy == "replace" or len(states) == 1:
            assert set(required(lake)) == declared
    for state in states[:-1]:
        newest = lake.table.metadata_location
        lake.base = stage_state(lake.tables, TableName("layer", "thing"), newest, state, "release-1").table
        _hold(lake)


def _hold(lake: Lake) -> None:
    rows = lake.by_duckdb()
    assert rows == lake.by_pyiceberg() == lake.by_datafusion()
    for field, at in (("k", 0), ("t", 1)):
        if field in required(lake):
            assert all(row[at] is not None for row in rows)
    assert identifying(lake) <= set(required(lake))
