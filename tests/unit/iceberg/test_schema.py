"""Schemas from queries, and how files are written and read by them."""

from __future__ import annotations

import duckdb
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import (
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
)

from slipway.errors import ContractError
from slipway.iceberg.schema import casts, field_ids, parquet_schema, query_schema


def schema(**columns: tuple[int, IcebergType]) -> Schema:
    return Schema(*(NestedField(number, name, kind) for name, (number, kind) in columns.items()))


def ids(found: Schema) -> dict[str, int]:
    return {field.name: field.field_id for field in found.fields}


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
    with pytest.raises(ContractError, match="The query has no columns"):
        query_schema([])
    with pytest.raises(ContractError, match="Column A occurs twice: also as a"):
        query_schema([("a", kind), ("A", kind)])


def test_field_ids_for_copy_name_every_level() -> None:
    nested = StructType(NestedField(7, "x", ListType(8, IntegerType())))
    found = Schema(NestedField(1, 'a"b', IntegerType()), NestedField(2, "s", nested))
    assert (
        field_ids(found)
        == '{"a""b": 1, "s": {__duckdb_field_id: 2, "x": {__duckdb_field_id: 7, "element": 8}}}'
    )


def test_casts_follow_the_target() -> None:
    target = schema(a=(1, LongType()), gone=(2, StringType()))
    query = schema(A=(1, IntegerType()), extra=(2, IntegerType()))
    assert casts(query, target, "t") == 'select "A"::BIGINT as "a", NULL::VARCHAR as "gone" from t'


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
