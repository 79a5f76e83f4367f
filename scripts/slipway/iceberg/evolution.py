"""How a table's schema follows its query, and which older data files cannot be read back after it changed.

Data files are read by field id at the top level and by name below it.

Field ids decide what a reader finds in which column, so a field keeps its id exactly as long as it is the
same field. Source: the Iceberg table specification, "Schema Evolution".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyiceberg import types as ice
from pyiceberg.schema import Schema

from slipway.errors import ConfigError, ContractError
from slipway.iceberg.schema import by_name, check_paths
from slipway.iceberg.types import parts_of, promotable, same_type


def misread(schema: Schema, history: Iterable[Schema]) -> list[str]:
    """Columns of which older files may be read wrongly, because fields of a struct were renamed or replaced."""
    known = [*history, schema]
    unlike = moved(known) | emptied(known, schema)
    return [one.name for one in schema.fields if one.field_id in unlike]


def moved(schemas: Iterable[Schema]) -> set[int]:
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


def emptied(history: Iterable[Schema], now: Schema) -> set[int]:
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
    """The schema after an incremental write, by dbt's ``on_schema_change``, inside structs, lists and maps too.

    ``ignore`` leaves new columns out, as dbt has it, but refuses a new field inside a struct: its values
    would be lost from a column that is written.

    Args:
        base: the table's schema.
        query: the query's, ids of its own.
        last_column_id: the highest id that the table ever used.
        on_schema_change: one of ``ON_SCHEMA_CHANGE``.
        model: for messages.
        history: every schema that the table ever had.

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
    renamed = moved([*history, result])
    if names := [one.name for one in result.fields if one.field_id in renamed]:
        raise ContractError(
            f"{model}: in column {', '.join(names)} a field was renamed, or removed and added again",
            "older files tell the fields of a struct by name and would mix them up",
            "Run with --full-refresh",
        )
    lost = emptied(history, result)
    if names := [one.name for one in result.fields if one.field_id in lost]:
        raise ContractError(
            f"{model}: in column {', '.join(names)} a struct keeps none of the fields that older files have",
            "DuckDB does not read such files",
            "Run with --full-refresh",
        )
    return result


@dataclass
class _Change:
    """One walk over both schemas, collecting what differs and what cannot be done."""

    mode: str
    ids: Iterator[int]
    added: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    retyped: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

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
