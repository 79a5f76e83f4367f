"""Every DuckDB type has the Iceberg type that holds all its values, or is refused."""

from __future__ import annotations

import itertools

import duckdb
import pytest
from pyiceberg import types as ice

from slipway.iceberg.types import duckdb_type, iceberg_type, promotable, same_type

# DuckDB's type, Iceberg's type, and what it is read as
PAIRS = [
    ("BOOLEAN", "boolean", "BOOLEAN"),
    ("TINYINT", "int", "INTEGER"),
    ("USMALLINT", "int", "INTEGER"),
    ("INTEGER", "int", "INTEGER"),
    ("UINTEGER", "long", "BIGINT"),
    ("BIGINT", "long", "BIGINT"),
    ("UBIGINT", "decimal(20, 0)", "DECIMAL(20,0)"),
    ("HUGEINT", "decimal(38, 0)", "DECIMAL(38,0)"),
    ("UHUGEINT", "decimal(38, 0)", "DECIMAL(38,0)"),
    ("FLOAT", "float", "FLOAT"),
    ("DOUBLE", "double", "DOUBLE"),
    ("DECIMAL(18,4)", "decimal(18, 4)", "DECIMAL(18,4)"),
    ("VARCHAR", "string", "VARCHAR"),
    ("ENUM('a', 'b')", "string", "VARCHAR"),
    ("BIT", "string", "VARCHAR"),
    ("BLOB", "binary", "BLOB"),
    ("UUID", "uuid", "UUID"),
    ("DATE", "date", "DATE"),
    ("TIME", "time", "TIME"),
    ("TIMESTAMP", "timestamp", "TIMESTAMP"),
    ("TIMESTAMP_S", "timestamp", "TIMESTAMP"),
    ("TIMESTAMP_MS", "timestamp", "TIMESTAMP"),
    ("TIMESTAMP WITH TIME ZONE", "timestamptz", "TIMESTAMP WITH TIME ZONE"),
]


@pytest.mark.parametrize(("kind", "iceberg", "read"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_types_and_their_counterparts(
    connection: duckdb.DuckDBPyConnection, kind: str, iceberg: str, read: str
) -> None:
    found = iceberg_type(connection.sql(f"select null::{kind} as c").types[0], "c", itertools.count(1))
    assert str(found) == iceberg
    assert duckdb_type(found) == read


def test_nested_types_number_every_field_once(connection: duckdb.DuckDBPyConnection) -> None:
    kind = "struct(a integer, b struct(c varchar[], d map(varchar, decimal(9, 2))))[]"
    found = iceberg_type(connection.sql(f"select null::{kind} as c").types[0], "c", itertools.count(10))
    assert duckdb_type(found) == (
        'STRUCT("a" INTEGER, "b" STRUCT("c" VARCHAR[], "d" MAP(VARCHAR, DECIMAL(9,2))))[]'
    )
    ids = sorted(ids_of(found))
    assert ids == list(range(10, 10 + len(ids)))
    assert len(ids) == 8


def ids_of(kind: ice.IcebergType) -> list[int]:
    match kind:
        case ice.StructType(fields=fields):
            return [number for field in fields for number in [field.field_id, *ids_of(field.field_type)]]
        case ice.ListType():
            return [kind.element_id, *ids_of(kind.element_type)]
        case ice.MapType():
            return [kind.key_id, kind.value_id, *ids_of(kind.key_type), *ids_of(kind.value_type)]
    return []


PROMOTIONS = [
    (ice.IntegerType(), ice.LongType(), True),
    (ice.LongType(), ice.IntegerType(), False),
    (ice.FloatType(), ice.DoubleType(), True),
    (ice.DoubleType(), ice.FloatType(), False),
    (ice.IntegerType(), ice.DoubleType(), False),
    (ice.DecimalType(9, 2), ice.DecimalType(18, 2), True),
    (ice.DecimalType(18, 2), ice.DecimalType(9, 2), False),
    (ice.DecimalType(9, 2), ice.DecimalType(18, 3), False),
    (ice.DateType(), ice.TimestampType(), False),
    (ice.StringType(), ice.BinaryType(), False),
    (ice.TimestampType(), ice.TimestamptzType(), False),
]


@pytest.mark.parametrize(("old", "new", "allowed"), PROMOTIONS, ids=str)
def test_promotions_are_those_of_the_specification(
    old: ice.IcebergType, new: ice.IcebergType, allowed: bool
) -> None:
    assert promotable(old, new) is allowed
    assert promotable(old, old)


def test_field_ids_do_not_make_a_type_another() -> None:
    one = ice.StructType(ice.NestedField(1, "a", ice.ListType(2, ice.IntegerType())))
    two = ice.StructType(ice.NestedField(7, "a", ice.ListType(8, ice.IntegerType())))
    other = ice.StructType(ice.NestedField(1, "b", ice.ListType(2, ice.IntegerType())))
    assert same_type(one, two)
    assert not same_type(one, other)
