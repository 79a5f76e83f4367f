"""The schema of a table: from a query, as COPY and ``read_parquet`` get it, and how it follows a query that changes.

Data files are read by field id at the top level and by name below it. Field ids decide what a reader finds in which column,
so a field keeps its id exactly as long as it is the same field. Source: the Iceberg table specification, "Schema Evolution".
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from duckdb.sqltypes import DuckDBPyType
from pyiceberg import types as ice
from pyiceberg.schema import Schema

from slipway.errors import ConfigError, ContractError
from slipway.iceberg.types import duckdb_type, iceberg_type, parts_of, promotable, same_type
from slipway.names import Kind, nearest, shown, twins, why_not
from slipway.sql_text import quote, unquoted

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
        why = "" if other == name else f"also as {other}; DuckDB does not distinguish upper and lower case"
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
        ),
        identifier_field_ids=schema.identifier_field_ids,
    )


def constrained(schema: Schema, never_null: Iterable[str], key: Sequence[str]) -> Schema:
    """The schema of rows that are all new, with columns that are never NULL as required, and the key as its identifier fields.

    Args:
        schema: of which nothing is required.
        never_null: columns without NULL.
        key: columns that identify a row; they become identifier fields if Iceberg allows all of them as such.
    """
    required = {name.lower() for name in never_null}
    fields = [
        field.model_copy(update={"required": field.required or field.name.lower() in required})
        for field in schema.fields
    ]
    return Schema(*fields, identifier_field_ids=identifiers(Schema(*fields), key))


def relaxed(schema: Schema, may_be_null: Iterable[str]) -> Schema:
    """The schema in which some columns are optional, which Iceberg allows at any time; none of them is an identifier field then."""
    optional = {name.lower() for name in may_be_null}
    fields = [
        field.model_copy(update={"required": field.required and field.name.lower() not in optional})
        for field in schema.fields
    ]
    still = {field.field_id for field in fields if field.required}
    ids = schema.identifier_field_ids if still.issuperset(schema.identifier_field_ids) else []
    return Schema(*fields, identifier_field_ids=ids)


def identifiers(schema: Schema, key: Sequence[str]) -> list[int]:
    """Ids of the columns of a key; empty unless all of them can be identifier fields.

    Source: the Iceberg table specification, "Identifier Field IDs": required fields of primitive types, none of which is a float.
    """
    found = [top_level(schema, name) for name in key]
    allowed = [
        field.field_id
        for field in found
        if field
        and field.required
        and field.field_type.is_primitive
        and not isinstance(field.field_type, ice.FloatType | ice.DoubleType)
    ]
    return allowed if len(allowed) == len(key) else []


def same_schema(left: Schema, right: Schema) -> bool:
    """Whether two schemas have the same fields with the same ids, names, types and descriptions, in the same order, and the same identifier fields."""
    return left.as_struct() == right.as_struct() and set(left.identifier_field_ids) == set(
        right.identifier_field_ids
    )


def undescribed(schema: Schema) -> Schema:
    """The schema without descriptions of columns."""
    fields = (field.model_copy(update={"doc": None}) for field in schema.fields)
    return Schema(*fields, identifier_field_ids=schema.identifier_field_ids)


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


def misread(schema: Schema, history: Iterable[Schema]) -> list[str]:
    """Columns of which older files may be read wrongly, because fields of a struct were renamed or replaced."""
    known = [*history, schema]
    unlike = _moved(known) | _emptied(known, schema)
    return [one.name for one in schema.fields if one.field_id in unlike]


def _moved(schemas: Iterable[Schema]) -> set[int]:
    """Ids of columns in which a field was renamed, or a name was used again for another field.

    Such columns cannot be distinguished in older files.
    """
    ids: dict[_Path, int] = {}
    paths: dict[int, _Path] = {}
    return {
        path[0]
        for schema in schemas
        for path, one in _walk(schema)
        if ids.setdefault(path, one.field_id) != one.field_id or paths.setdefault(one.field_id, path) != path
    }


def _emptied(history: Iterable[Schema], now: Schema) -> set[int]:
    """Ids of columns in which a struct has no field any more of those that it had in one of the older schemas."""
    kept = _structs(now)
    return {
        path[0]
        for schema in history
        for path, names in _structs(schema).items()
        if path in kept and names.isdisjoint(kept[path])
    }


_Path = tuple[Any, ...]
"""Where a field is: the id of its column, then names in lower case."""


def _walk(schema: Schema) -> Iterator[tuple[_Path, ice.NestedField]]:
    found: list[tuple[_Path, ice.NestedField]] = [((one.field_id,), one) for one in schema.fields]
    for path, one in found:
        yield path, one
        found += [((*path, inner.name.lower()), inner) for inner in parts_of(one.field_type)]


def _structs(schema: Schema) -> dict[_Path, set[str]]:
    """The names of the fields of every struct of a schema."""
    return {
        path: {inner.name.lower() for inner in one.field_type.fields}
        for path, one in _walk(schema)
        if isinstance(one.field_type, ice.StructType)
    }


ON_SCHEMA_CHANGE = ("ignore", "fail", "append_new_columns", "sync_all_columns")


def replaced(base: Schema, query: Schema, last_column_id: int, history: Sequence[Schema] = ()) -> Schema:
    """The schema after a full replacement: the query's columns in its order.

    A column keeps its field id when name and type still fit, so that time travel and readers by id
    stay right; otherwise it is a new field.
    """
    ids = itertools.count(last_column_id + 1)
    unlike = misread(base, history)
    kept = by_name(Schema(*(one for one in base.fields if one.name not in unlike)))
    return Schema(*(_carried(kept.get(one.name.lower()), one, ids) for one in query.fields))


def evolved(
    base: Schema,
    query: Schema,
    last_column_id: int,
    on_schema_change: str,
    model: str,
    history: Sequence[Schema] = (),
) -> Schema:
    """The schema after an incremental write, by dbt's ``on_schema_change`` (``ON_SCHEMA_CHANGE``), inside structs, lists and maps too.

    ``ignore`` leaves new columns out, as dbt has it, but refuses a new field inside a struct: its values
    would be lost from a column that is written.

    Raises:
        ConfigError: an unknown ``on_schema_change``.
        ContractError: ``fail`` and something differs, or something that Iceberg cannot change; all at once.
    """
    if on_schema_change not in ON_SCHEMA_CHANGE:
        raise ConfigError(
            f"{model}: on_schema_change {on_schema_change}", "unknown", f"Use {', '.join(ON_SCHEMA_CHANGE)}"
        )
    change = _Change(on_schema_change, itertools.count(last_column_id + 1))
    fields = change.fields(base.fields, query.fields, "")
    if on_schema_change == "fail" and (differences := change.differences()):
        raise ContractError(
            f"{model}: the query's columns differ from the table",
            differences,
            "Run with --full-refresh or set on_schema_change",
        )
    if change.refused:
        raise ContractError(
            f"{model}: {'; '.join(change.refused)}",
            "Iceberg cannot change the table so without losing values",
            "Cast it in the model or run with --full-refresh",
        )
    check_paths(fields)
    result = Schema(*fields)
    for ids, what, why in (
        (
            _moved([*history, result]),
            "a field was renamed, or removed and added again",
            "older files identify the fields of a struct by name, so the fields would be mixed up",
        ),
        (
            _emptied(history, result),
            "a struct keeps none of the fields that older files have",
            "DuckDB does not read such files",
        ),
    ):
        if names := [one.name for one in result.fields if one.field_id in ids]:
            raise ContractError(
                f"{model}: in column {', '.join(names)} {what}", why, "Run with --full-refresh"
            )
    return result


@dataclasses.dataclass
class _Change:
    """One walk over both schemas, collecting what differs and what cannot be done."""

    mode: str
    ids: Iterator[int]
    added: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    retyped: list[str] = dataclasses.field(default_factory=list)
    refused: list[str] = dataclasses.field(default_factory=list)

    def fields(
        self, old: Sequence[ice.NestedField], new: Sequence[ice.NestedField], prefix: str
    ) -> list[ice.NestedField]:
        named = {one.name.lower(): one for one in new}
        known = {one.name.lower() for one in old}
        result = []
        for one in old:
            path = prefix + one.name
            if prefix or not one.field_type.is_primitive:
                self._check_optional(path, required=one.required)
            if (found := named.get(one.name.lower())) is None:
                self.missing.append(path)
                if self.mode == "sync_all_columns":
                    continue
                if one.required:
                    self.refused.append(f"{path} is required in the table and the query does not have it")
                result.append(one)
                continue
            kind = self.kind(one.field_type, found.field_type, path)
            result.append(ice.NestedField(one.field_id, one.name, kind, required=one.required, doc=one.doc))
        for one in new:
            if one.name.lower() in known:
                continue
            self.added.append(prefix + one.name)
            if self.mode in ("append_new_columns", "sync_all_columns"):
                result.append(_fresh(one, self.ids))
            elif self.mode == "ignore" and prefix:
                self.refused.append(f"{prefix}{one.name} is not in the table and would be lost")
        return result

    def kind(self, old: ice.IcebergType, new: ice.IcebergType, path: str) -> ice.IcebergType:
        match old, new:
            case ice.StructType(), ice.StructType():
                if {one.name.lower() for one in old.fields}.isdisjoint(
                    one.name.lower() for one in new.fields
                ):
                    self.refused.append(f"column {path} has none of the table's fields in the query")
                return ice.StructType(*self.fields(old.fields, new.fields, f"{path}."))
            case ice.ListType(), ice.ListType():
                self._check_optional(f"{path}.element", required=old.element_required)
                element = self.kind(old.element_type, new.element_type, f"{path}.element")
                return ice.ListType(old.element_id, element, element_required=old.element_required)
            case ice.MapType(), ice.MapType():
                self._check_optional(f"{path}.value", required=old.value_required)
                self._check_key(old.key_type, new.key_type, path)
                value = self.kind(old.value_type, new.value_type, f"{path}.value")
                return ice.MapType(
                    old.key_id, old.key_type, old.value_id, value, value_required=old.value_required
                )
        if old == new:
            return old
        self.retyped.append(f"{path} {old} -> {new}")
        if promotable(old, new):
            return new
        if not promotable(new, old):
            self.refused.append(f"column {path} is {old} in the table and {new} in the query")
        return old

    def _check_optional(self, path: str, *, required: bool) -> None:
        if required:
            self.refused.append(f"{path} is required in the table and NULL in it is not looked for")

    def _check_key(self, old: ice.IcebergType, new: ice.IcebergType, path: str) -> None:
        """The keys of a map take part in what makes them equal, so Iceberg lets nothing of them change."""
        if not same_type(old, new):
            self.retyped.append(f"{path}.key {old} -> {new}")
        if not promotable(new, old):
            self.refused.append(f"the keys of the map {path} cannot change from {old} to {new}")

    def differences(self) -> str:
        parts = [f"new {', '.join(self.added)}"] if self.added else []
        parts += [f"missing {', '.join(self.missing)}"] if self.missing else []
        return "; ".join(parts + self.retyped)


def _carried(old: ice.NestedField | None, new: ice.NestedField, ids: Iterator[int]) -> ice.NestedField:
    if old is None or not promotable(old.field_type, new.field_type):
        return _fresh(new, ids)
    kind = old.field_type if same_type(old.field_type, new.field_type) else new.field_type
    return ice.NestedField(
        old.field_id, new.name, _optional(kind, lambda known: known), required=False, doc=old.doc
    )


def _fresh(one: ice.NestedField, ids: Iterator[int]) -> ice.NestedField:
    number = next(ids)
    kind = _optional(one.field_type, lambda _: next(ids))
    return ice.NestedField(number, one.name, kind, required=False, doc=one.doc)


def _optional(kind: ice.IcebergType, number: Callable[[int], int]) -> ice.IcebergType:
    """The same type where anything may be NULL, which is what a query's result is, with ids made of those it has."""
    match kind:
        case ice.StructType():
            return ice.StructType(
                *(
                    ice.NestedField(
                        number(one.field_id),
                        one.name,
                        _optional(one.field_type, number),
                        required=False,
                        doc=one.doc,
                    )
                    for one in kind.fields
                )
            )
        case ice.ListType():
            element_id = number(kind.element_id)
            return ice.ListType(element_id, _optional(kind.element_type, number), element_required=False)
        case ice.MapType():
            key_id, value_id = number(kind.key_id), number(kind.value_id)
            key, value = _optional(kind.key_type, number), _optional(kind.value_type, number)
            return ice.MapType(key_id, key, value_id, value, value_required=False)
    return kind
