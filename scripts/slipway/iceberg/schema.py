"""The schema of a table: from a query, and as COPY and ``read_parquet`` get it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from duckdb.sqltypes import DuckDBPyType
from pyiceberg import types as ice
from pyiceberg.schema import Schema

from slipway.errors import ContractError
from slipway.iceberg.types import duckdb_type, iceberg_type, parts_of, quote, unquoted
from slipway.names import Kind, nearest, shown, twins, why_not

Columns = Sequence[tuple[str, DuckDBPyType]]


def query_schema(columns: Columns) -> Schema:
    """The Iceberg schema of a query's result, ids from 1, every field optional.

    Raises:
        ContractError: no column, two columns of one name, a name that a column cannot have, or a type that Iceberg cannot hold.
    """
    names = [name for name, _ in columns]
    if not names:
        raise ContractError("The query has no columns", fix="Select at least one")
    _check_names(names)
    ids = itertools.count(len(columns) + 1)
    fields = [
        ice.NestedField(number, name, iceberg_type(kind, name, ids))
        for number, (name, kind) in enumerate(columns, start=1)
    ]
    check_paths(fields)
    schema = Schema(*fields)
    if nested := [name for name in _nested_names(schema.as_struct()) if why_not(Kind.COLUMN, name)]:
        raise ContractError(
            f"A field of a struct has the name {shown(nested[0])}",
            why_not(Kind.COLUMN, nested[0]),
            _renamed(nested[0]),
        )
    return schema


def _check_names(names: Sequence[str]) -> None:
    if bad := [(name, why) for name in names if (why := why_not(Kind.COLUMN, name))]:
        what = "; ".join(f"column {shown(name)}: {why}" for name, why in bad)
        raise ContractError(what, fix=f"Give it another name: {', '.join(_renamed(name) for name, _ in bad)}")
    for other, name in twins(names):
        why = "" if other == name else f"also as {other}; DuckDB does not tell upper from lower case"
        raise ContractError(f"Column {name} occurs twice", why, "Give each column a name of its own")


def _renamed(name: str) -> str:
    return f"select … as {quote(nearest(Kind.COLUMN, name))}"


def _nested_names(kind: ice.IcebergType) -> Iterator[str]:
    for field in parts_of(kind):
        if isinstance(kind, ice.StructType):
            yield field.name
        yield from _nested_names(field.field_type)


def check_paths(fields: Iterable[ice.NestedField]) -> None:
    """Readers look nested fields up by dotted names, so those must be unique as well.

    Raises:
        ContractError: two fields have one such name.
    """
    used: dict[str, str] = {}

    def walk(name: str, kind: ice.IcebergType) -> None:
        if (other := used.get(name.lower())) is not None:
            raise ContractError(
                f"{name} names two fields" + ("" if other == name else f", also as {other}"),
                "a name with a dot reads like a field of a struct",
                "Rename one of them",
            )
        used[name.lower()] = name
        for child in parts_of(kind):
            walk(f"{name}.{child.name}", child.field_type)

    for field in fields:
        walk(field.name, field.field_type)


def top_level(schema: Schema, name: str) -> ice.NestedField | None:
    """The column of a name in any case, None if there is none.

    A dot is part of a name here. pyiceberg's own ``find_field`` also finds ``b`` of a struct ``a`` as ``a.b``,
    of which only the name may be that of another column.
    """
    return by_name(schema).get(name.lower())


def by_name(schema: Schema) -> dict[str, ice.NestedField]:
    """The same for many names: columns by their name in lower case, the first of several."""
    return {field.name.lower(): field for field in reversed(schema.fields)}


def documented(schema: Schema, docs: Mapping[str, str]) -> Schema:
    """The schema with column descriptions; columns without one keep what they have."""
    lowered = {name.lower(): text for name, text in docs.items() if text}
    return Schema(
        *(
            field.model_copy(update={"doc": lowered.get(field.name.lower(), field.doc)})
            for field in schema.fields
        )
    )


def same_schema(left: Schema, right: Schema) -> bool:
    """Whether two schemas have the same fields with the same ids, names and types, in the same order."""
    return left.as_struct() == right.as_struct()


def fingerprint(schema: Schema) -> str:
    """A hash of column names, ids and types in order."""
    text = ";".join(f"{field.field_id}:{field.name}:{field.field_type}" for field in schema.fields)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find_column(schema: Schema, text: str) -> ice.NestedField | None:
    """The column that configuration names, in double quotes or as it is; upper and lower case are one."""
    return top_level(schema, text) or top_level(schema, unquoted(text.strip()))


def listed(schema: Schema) -> str:
    """The names of the columns, for messages."""
    return ", ".join(field.name for field in schema.fields)


def field_ids(schema: Schema) -> str:
    """The value of COPY's FIELD_IDS option."""
    return "{" + ", ".join(map(_field_id, schema.fields)) + "}"


def parquet_schema(schema: Schema) -> str:
    """The ``schema`` argument of ``read_parquet``: columns are found by field id, missing ones are NULL."""
    fields = (
        f"{field.field_id}: {{name: '{field.name.replace(chr(39), chr(39) * 2)}', "
        f"type: '{duckdb_type(field.field_type).replace(chr(39), chr(39) * 2)}', default_value: NULL}}"
        for field in schema.fields
    )
    return "map {" + ", ".join(fields) + "}"


def casts(query: Schema, target: Schema, relation: str) -> str:
    """A SELECT over ``relation`` that gives every query column its Iceberg type, named as in ``target``.

    Columns of ``target`` that the query does not have are NULL; columns it has in excess are left out.
    """
    items, given = [], by_name(query)
    for field in target.fields:
        kind = duckdb_type(field.field_type)
        # under its own name: DuckDB takes only letters of ASCII for the same in upper and lower case
        column = given.get(field.name.lower())
        source = quote(column.name) if column else "NULL"
        items.append(f"{source}::{kind} as {quote(field.name)}")
    return f"select {', '.join(items)} from {relation}"


def own_casts(query: Schema, target: Schema, relation: str) -> str:
    """A SELECT of all columns of the query in its own order; those that ``target`` has are cast and named as there."""
    items, known = [], by_name(target)
    for column in query.fields:
        field = known.get(column.name.lower())
        cast = f"::{duckdb_type(field.field_type)}" if field else ""
        items.append(f"{quote(column.name)}{cast} as {quote(field.name if field else column.name)}")
    return f"select {', '.join(items)} from {relation}"


def _field_id(field: ice.NestedField) -> str:
    """A field of the option; DuckDB's own names of what lists and maps consist of may be quoted as well."""
    number, inner = str(field.field_id), ", ".join(map(_field_id, parts_of(field.field_type)))
    if inner:
        number = f"{{__duckdb_field_id: {number}, {inner}}}"
    return f"{quote(field.name)}: {number}"
