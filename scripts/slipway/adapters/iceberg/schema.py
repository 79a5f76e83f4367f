"""The schema of a table: from a query, evolved against what is published, and as FIELD_IDS for COPY."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from duckdb.sqltypes import DuckDBPyType
from pyiceberg import types as ice
from pyiceberg.schema import Schema

from slipway.adapters.iceberg.types import duckdb_type, iceberg_type, promotable, quote, same_type
from slipway.domain.errors import ContractError

Columns = Sequence[tuple[str, DuckDBPyType]]

ON_SCHEMA_CHANGE = ("ignore", "fail", "append_new_columns", "sync_all_columns")


def query_schema(columns: Columns) -> Schema:
    """The Iceberg schema of a query's result, ids from 1, every field optional.

    Raises:
        ContractError: no column, two columns of one name, or a type Iceberg cannot hold.
    """
    names = [name for name, _ in columns]
    if not names:
        raise ContractError("the query has no columns", fix="select at least one")
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.get(name.lower())) is not None:
            why = "" if other == name else f"also as {other}; DuckDB does not tell upper from lower case"
            raise ContractError(f"column {name} occurs twice", why, "give each column a name of its own")
        seen[name.lower()] = name
    ids = itertools.count(len(columns) + 1)
    return Schema(
        *(
            ice.NestedField(number, name, iceberg_type(kind, name, ids))
            for number, (name, kind) in enumerate(columns, start=1)
        )
    )


def replaced(base: Schema, query: Schema, last_column_id: int) -> Schema:
    """The schema after a full replacement: the query's columns in its order.

    A column keeps its field id when name and type still fit, so that time travel and readers by id
    stay right; otherwise it is a new field.
    """
    ids = itertools.count(last_column_id + 1)
    return Schema(*(_carried(_find(base, field.name), field, ids) for field in query.fields))


def evolved(base: Schema, query: Schema, last_column_id: int, on_schema_change: str, model: str) -> Schema:
    """The schema after an incremental write, by dbt's ``on_schema_change``.

    Raises:
        ContractError: ``fail`` and something differs, or a type cannot be promoted.
    """
    ids = itertools.count(last_column_id + 1)
    added = [field for field in query.fields if _find(base, field.name) is None]
    removed = [field for field in base.fields if _find(query, field.name) is None]
    if on_schema_change == "fail" and (added or removed or _changed(base, query)):
        raise ContractError(
            f"{model}: the query's columns differ from the table",
            _difference(added, removed, _changed(base, query)),
            "run with --full-refresh or set on_schema_change",
        )
    for old, new in _changed(base, query):
        if not promotable(old.field_type, new.field_type) and not promotable(new.field_type, old.field_type):
            raise ContractError(
                f"{model}: column {old.name} is {old.field_type} in the table and {new.field_type} in the query",
                "Iceberg cannot promote one to the other",
                "cast it in the model or run with --full-refresh",
            )
    keep = [field for field in base.fields if on_schema_change != "sync_all_columns" or field not in removed]
    fields = [_promoted(field, _find(query, field.name)) for field in keep]
    if on_schema_change in ("append_new_columns", "sync_all_columns"):
        fields += [_fresh(field, ids) for field in added]
    return Schema(*fields)


def documented(schema: Schema, docs: Mapping[str, str]) -> Schema:
    """The schema with column descriptions; columns without one keep what they have."""
    lowered = {name.lower(): text for name, text in docs.items() if text}
    return Schema(
        *(
            ice.NestedField(
                field.field_id,
                field.name,
                field.field_type,
                required=field.required,
                doc=lowered.get(field.name.lower(), field.doc),
            )
            for field in schema.fields
        )
    )


def same_schema(left: Schema, right: Schema) -> bool:
    """Whether two schemas have the same fields with the same ids, names and types, in the same order."""
    return left.as_struct() == right.as_struct()


def field_ids(schema: Schema, names: Sequence[str]) -> str:
    """The value of COPY's FIELD_IDS option for the named columns."""
    chosen = [schema.find_field(name, case_sensitive=False) for name in names]
    return "{" + ", ".join(f"{quote(field.name)}: {_field_id(field)}" for field in chosen) + "}"


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
    items = []
    for field in target.fields:
        kind = duckdb_type(field.field_type)
        source = quote(field.name) if _find(query, field.name) else "NULL"
        items.append(f"{source}::{kind} as {quote(field.name)}")
    return f"select {', '.join(items)} from {relation}"


def own_casts(query: Schema, target: Schema, relation: str) -> str:
    """A SELECT of all columns of the query in its own order; those that ``target`` has are cast and named as there."""
    items = []
    for column in query.fields:
        field = _find(target, column.name)
        cast = f"::{duckdb_type(field.field_type)}" if field else ""
        items.append(f"{quote(column.name)}{cast} as {quote(field.name if field else column.name)}")
    return f"select {', '.join(items)} from {relation}"


def _find(schema: Schema, name: str) -> ice.NestedField | None:
    lowered = name.lower()
    return next((field for field in schema.fields if field.name.lower() == lowered), None)


def _changed(base: Schema, query: Schema) -> list[tuple[ice.NestedField, ice.NestedField]]:
    pairs = ((field, _find(query, field.name)) for field in base.fields)
    return [(old, new) for old, new in pairs if new and not same_type(old.field_type, new.field_type)]


def _carried(old: ice.NestedField | None, new: ice.NestedField, ids: Iterator[int]) -> ice.NestedField:
    if old is None or not promotable(old.field_type, new.field_type):
        return _fresh(new, ids)
    kind = old.field_type if same_type(old.field_type, new.field_type) else new.field_type
    return ice.NestedField(old.field_id, new.name, kind, required=False, doc=old.doc)


def _promoted(old: ice.NestedField, new: ice.NestedField | None) -> ice.NestedField:
    if new is None or same_type(old.field_type, new.field_type):
        return old
    kind = new.field_type if promotable(old.field_type, new.field_type) else old.field_type
    return ice.NestedField(old.field_id, old.name, kind, required=old.required, doc=old.doc)


def _fresh(field: ice.NestedField, ids: Iterator[int]) -> ice.NestedField:
    number = next(ids)
    return ice.NestedField(
        number, field.name, _renumbered(field.field_type, ids), required=False, doc=field.doc
    )


def _renumbered(kind: ice.IcebergType, ids: Iterator[int]) -> ice.IcebergType:
    match kind:
        case ice.StructType():
            return ice.StructType(*(_fresh(field, ids) for field in kind.fields))
        case ice.ListType():
            return ice.ListType(next(ids), _renumbered(kind.element_type, ids), element_required=False)
        case ice.MapType():
            key, value = next(ids), next(ids)
            return ice.MapType(
                key,
                _renumbered(kind.key_type, ids),
                value,
                _renumbered(kind.value_type, ids),
                value_required=False,
            )
    return kind


def _field_id(field: ice.NestedField) -> str:
    return _nested_id(field.field_id, field.field_type)


def _nested_id(number: int, kind: ice.IcebergType) -> str:
    match kind:
        case ice.StructType():
            inner = ", ".join(f"{quote(f.name)}: {_field_id(f)}" for f in kind.fields)
        case ice.ListType():
            inner = f"element: {_nested_id(kind.element_id, kind.element_type)}"
        case ice.MapType():
            inner = f"key: {_nested_id(kind.key_id, kind.key_type)}, value: {_nested_id(kind.value_id, kind.value_type)}"
        case _:
            return str(number)
    return f"{{__duckdb_field_id: {number}, {inner}}}"


def _difference(
    added: Sequence[ice.NestedField],
    removed: Sequence[ice.NestedField],
    changed: Sequence[tuple[ice.NestedField, ice.NestedField]],
) -> str:
    parts = []
    if added:
        parts.append("new " + ", ".join(field.name for field in added))
    if removed:
        parts.append("missing " + ", ".join(field.name for field in removed))
    parts += [f"{old.name} {old.field_type} -> {new.field_type}" for old, new in changed]
    return "; ".join(parts)
