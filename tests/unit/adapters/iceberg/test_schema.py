"""Schemas from queries, and how they change without losing what readers hold on to: field ids."""

from __future__ import annotations

import duckdb
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
)

from slipway.adapters.iceberg.schema import casts, evolved, field_ids, parquet_schema, query_schema, replaced
from slipway.domain.errors import ContractError


def schema(**columns: tuple[int, IcebergType]) -> Schema:
    return Schema(*(NestedField(number, name, kind) for name, (number, kind) in columns.items()))


def ids(found: Schema) -> dict[str, int]:
    return {field.name: field.field_id for field in found.fields}


BASE = schema(a=(1, IntegerType()), b=(2, StringType()), c=(5, IntegerType()))


def test_a_query_has_a_schema(connection: duckdb.DuckDBPyConnection) -> None:
    relation = connection.sql("select 1 as a, [{x: 'y'}] as nested, 2.5::double as z")
    found = query_schema(list(zip(relation.columns, relation.types, strict=True)))
    assert ids(found) == {"a": 1, "nested": 2, "z": 3}
    assert not any(field.required for field in found.fields)
    assert found.highest_field_id == 5


def test_a_query_without_columns_or_with_one_name_twice_is_refused(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    kind = connection.sql("select 1").types[0]
    with pytest.raises(ContractError, match="the query has no columns"):
        query_schema([])
    with pytest.raises(ContractError, match="column A occurs twice: also as a"):
        query_schema([("a", kind), ("A", kind)])


def test_replacing_keeps_the_id_of_what_stays() -> None:
    query = schema(c=(1, LongType()), b=(2, IntegerType()), new=(3, StringType()))
    found = replaced(BASE, query, 9)
    # c was widened and stays; b has another type and is another column; the order is the query's
    assert ids(found) == {"c": 5, "b": 10, "new": 11}
    assert [str(field.field_type) for field in found.fields] == ["long", "int", "string"]


def test_replacing_narrows_to_what_the_query_says() -> None:
    wide = schema(a=(1, LongType()))
    found = replaced(wide, schema(a=(1, IntegerType())), 4)
    assert (ids(found), str(found.fields[0].field_type)) == ({"a": 5}, "int")


def test_nested_columns_get_ids_that_were_never_used() -> None:
    nested = ListType(2, StructType(NestedField(3, "x", StringType())))
    found = replaced(BASE, Schema(NestedField(1, "n", nested)), 20)
    kind = found.fields[0].field_type
    assert isinstance(kind, ListType)
    assert isinstance(kind.element_type, StructType)
    assert (found.fields[0].field_id, kind.element_id, kind.element_type.fields[0].field_id) == (21, 22, 23)


QUERY = schema(a=(1, LongType()), c=(2, IntegerType()), d=(3, DoubleType()))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("ignore", {"a": 1, "b": 2, "c": 5}, id="ignore"),
        pytest.param("append_new_columns", {"a": 1, "b": 2, "c": 5, "d": 10}, id="append"),
        pytest.param("sync_all_columns", {"a": 1, "c": 5, "d": 10}, id="sync"),
    ],
)
def test_evolution_by_mode(mode: str, expected: dict[str, int]) -> None:
    found = evolved(BASE, QUERY, 9, mode, "m")
    assert ids(found) == expected
    assert isinstance(found.fields[0].field_type, LongType)


def test_evolution_that_fails_says_everything() -> None:
    with pytest.raises(ContractError, match=r"m: .*new d; missing b; a int -> long"):
        evolved(BASE, QUERY, 9, "fail", "m")
    assert evolved(BASE, BASE, 9, "fail", "m").as_struct() == BASE.as_struct()


def test_a_type_that_cannot_change_is_refused() -> None:
    with pytest.raises(ContractError, match="column b is string in the table and int in the query"):
        evolved(BASE, schema(b=(1, IntegerType())), 9, "ignore", "m")


def test_names_are_the_same_in_any_case() -> None:
    assert ids(
        evolved(BASE, schema(A=(1, IntegerType()), B=(2, StringType())), 9, "sync_all_columns", "m")
    ) == {
        "a": 1,
        "b": 2,
    }


def test_field_ids_for_copy_name_every_level() -> None:
    nested = StructType(NestedField(7, "x", ListType(8, IntegerType())))
    found = Schema(NestedField(1, 'a"b', IntegerType()), NestedField(2, "s", nested))
    assert (
        field_ids(found, ['a"b', "s"])
        == '{"a""b": 1, "s": {__duckdb_field_id: 2, "x": {__duckdb_field_id: 7, element: 8}}}'
    )


def test_casts_follow_the_target() -> None:
    target = schema(a=(1, LongType()), gone=(2, StringType()))
    query = schema(A=(1, IntegerType()), extra=(2, IntegerType()))
    assert casts(query, target, "t") == 'select "a"::BIGINT as "a", NULL::VARCHAR as "gone" from t'


def test_files_are_read_by_field_id(
    connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "it's.parquet"
    target = str(path).replace("'", "''")
    connection.execute(
        f"copy (select 7 as old_name, 'x' as t) to '{target}' (format parquet, field_ids {{old_name: 1, t: 2}})"
    )
    renamed = Schema(NestedField(1, "it's", LongType()), NestedField(9, "later", StringType()))
    found = connection.sql(f"from read_parquet(['{target}'], schema = {parquet_schema(renamed)})")
    assert (found.columns, found.fetchall()) == (["it's", "later"], [(7, None)])
