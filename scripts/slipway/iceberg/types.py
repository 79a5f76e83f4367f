"""DuckDB types and their Iceberg v2 counterparts.

Types that Iceberg cannot hold are either mapped to one that keeps every value (and the query is cast
before it is written) or refused. Nothing is narrowed silently. The mapping is documented in
docs/reference/types.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from duckdb.sqltypes import DuckDBPyType
from pyiceberg import types as ice

from slipway.errors import ContractError
from slipway.sql_text import quote

_FIELD_ID = "__duckdb_field_id"  # what COPY calls a struct's own id in FIELD_IDS

_PRIMITIVES: dict[str, ice.PrimitiveType] = {
    "boolean": ice.BooleanType(),
    "tinyint": ice.IntegerType(),
    "smallint": ice.IntegerType(),
    "integer": ice.IntegerType(),
    "utinyint": ice.IntegerType(),
    "usmallint": ice.IntegerType(),
    "uinteger": ice.LongType(),
    "bigint": ice.LongType(),
    "ubigint": ice.DecimalType(20, 0),
    "hugeint": ice.DecimalType(38, 0),
    "uhugeint": ice.DecimalType(38, 0),
    "float": ice.FloatType(),
    "double": ice.DoubleType(),
    "varchar": ice.StringType(),
    "enum": ice.StringType(),
    "bit": ice.StringType(),
    "blob": ice.BinaryType(),
    "uuid": ice.UUIDType(),
    "date": ice.DateType(),
    "time": ice.TimeType(),
    "timestamp": ice.TimestampType(),
    "timestamp_s": ice.TimestampType(),
    "timestamp_ms": ice.TimestampType(),
    "timestamp with time zone": ice.TimestamptzType(),
}

_SQL: dict[type[ice.IcebergType], str] = {
    ice.BooleanType: "BOOLEAN",
    ice.IntegerType: "INTEGER",
    ice.LongType: "BIGINT",
    ice.FloatType: "FLOAT",
    ice.DoubleType: "DOUBLE",
    ice.StringType: "VARCHAR",
    ice.BinaryType: "BLOB",
    ice.UUIDType: "UUID",
    ice.DateType: "DATE",
    ice.TimeType: "TIME",
    ice.TimestampType: "TIMESTAMP",
    ice.TimestamptzType: "TIMESTAMP WITH TIME ZONE",
}

REFUSED: dict[str, str] = {
    "interval": "store its parts or seconds as a number",
    "timestamp_ns": "cast it to TIMESTAMP; Iceberg keeps microseconds",
    "time_ns": "cast it to TIME; Iceberg keeps microseconds",
    "time with time zone": "cast it to TIME or VARCHAR",
    "bignum": "cast it to DECIMAL or VARCHAR",
    "union": "store each member in a column of its own",
    "variant": "cast it to JSON or to a struct",
    "geometry": "store it as BLOB with ST_AsWKB or as VARCHAR with ST_AsText",
    "type": "cast it to VARCHAR",
}
"""What to do instead, by DuckDB's name of a type that is refused."""


def iceberg_type(kind: DuckDBPyType, column: str, ids: Iterator[int]) -> ice.IcebergType:
    """The Iceberg type that holds every value of a DuckDB type; field ids of nested fields are taken depth first.

    Raises:
        ContractError: Iceberg v2 has no type that could hold it.
    """
    match kind.id:
        case "decimal":
            parts = _parts(kind)
            return ice.DecimalType(int(parts["precision"]), int(parts["scale"]))
        case "struct":
            children: list[tuple[str, Any]] = list(kind.children)
            if unusable := [name for name, _ in children if name in ("", _FIELD_ID)]:
                raise ContractError(
                    f"Column {column} has a struct field " + (unusable[0] or "without a name"),
                    "its values could not be distinguished from others",
                    "Name it, for example with struct_pack(a := 1)",
                )
            named = [(name, next(ids), child) for name, child in children]
            return ice.StructType(
                *(
                    ice.NestedField(field_id, name, iceberg_type(child, f"{column}.{name}", ids))
                    for name, field_id, child in named
                )
            )
        case "list" | "array":
            element_id = next(ids)
            return ice.ListType(
                element_id, iceberg_type(_parts(kind)["child"], column, ids), element_required=False
            )
        case "map":
            key_id, value_id = next(ids), next(ids)
            parts = _parts(kind)
            return ice.MapType(
                key_id,
                iceberg_type(parts["key"], f"{column}.key", ids),
                value_id,
                iceberg_type(parts["value"], f"{column}.value", ids),
                value_required=False,
            )
    found = _PRIMITIVES.get(kind.id)
    if found is None:
        fix = REFUSED.get(kind.id, "cast it to a type that Iceberg has")
        raise ContractError(f"Column {column} has type {kind}", "Iceberg v2 has no such type", fix)
    return found


def _parts(kind: DuckDBPyType) -> dict[str, Any]:
    return dict(kind.children)


def duckdb_type(kind: ice.IcebergType) -> str:
    """The DuckDB type, as SQL text, that an Iceberg type is read as."""
    match kind:
        case ice.DecimalType():
            return f"DECIMAL({kind.precision},{kind.scale})"
        case ice.FixedType():
            return "BLOB"
        case ice.StructType():
            return (
                "STRUCT("
                + ", ".join(f"{quote(f.name)} {duckdb_type(f.field_type)}" for f in kind.fields)
                + ")"
            )
        case ice.ListType():
            return f"{duckdb_type(kind.element_type)}[]"
        case ice.MapType():
            return f"MAP({duckdb_type(kind.key_type)}, {duckdb_type(kind.value_type)})"
    return _SQL[type(kind)]


def parts_of(kind: ice.IcebergType) -> Sequence[ice.NestedField]:
    """What a type consists of: the fields of a struct, ``element`` of a list, ``key`` and ``value`` of a map."""
    match kind:
        case ice.StructType():
            return kind.fields
        case ice.ListType():
            return (kind.element_field,)
        case ice.MapType():
            return kind.key_field, kind.value_field
    return ()


def same_type(left: ice.IcebergType, right: ice.IcebergType) -> bool:
    """Whether two types are equal when their field ids are left out."""
    return shape(left) == shape(right)


def shape(kind: ice.IcebergType) -> object:
    """A type without its field ids, comparable and hashable."""
    inner = tuple((one.name, shape(one.field_type)) for one in parts_of(kind))
    return (type(kind), inner) if inner else str(kind)


def promotable(old: ice.IcebergType, new: ice.IcebergType) -> bool:
    """Whether Iceberg allows ``old`` to become ``new`` under the same field id.

    Source: the Iceberg table specification, "Schema Evolution".
    """
    match old, new:
        case (ice.IntegerType(), ice.LongType()) | (ice.FloatType(), ice.DoubleType()):
            return True
        case ice.DecimalType(), ice.DecimalType():
            return old.scale == new.scale and old.precision <= new.precision
    return same_type(old, new)
