"""Columns of which older data files cannot be read back, because fields of their structs changed since.

Data files are read by field id at the top level and by name below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pyiceberg import types as ice
from pyiceberg.schema import Schema


def misread(schema: Schema, history: Iterable[Schema]) -> list[str]:
    """Columns of which older files may be read wrongly, because fields of a struct were renamed or replaced.

    Args:
        schema: the table's.
        history: every schema that the table ever had.
    """
    known = [*history, schema]
    unlike = moved(known) | emptied(known, schema)
    return [one.name for one in schema.fields if one.field_id in unlike]


def moved(schemas: Iterable[Schema]) -> set[int]:
    """Ids of columns in which a field was renamed, or a name was used again for another field.

    Such columns cannot be told apart in older files.
    """
    ids: dict[tuple[object, ...], int] = {}
    paths: dict[int, tuple[object, ...]] = {}
    return {
        top.field_id
        for schema in schemas
        for top in schema.fields
        for path, number in _nested(top.field_type, (top.field_id,))
        if ids.setdefault(path, number) != number or paths.setdefault(number, path) != path
    }


def emptied(history: Iterable[Schema], now: Schema) -> set[int]:
    """Ids of columns in which a struct has no field any more of those that it had in one of the older schemas."""
    kept = dict(_structs(now))
    return {
        path[0]
        for schema in history
        for path, names in _structs(schema)
        if path in kept and names.isdisjoint(kept[path])
    }


def _structs(schema: Schema) -> Iterator[tuple[tuple[Any, ...], set[str]]]:
    """Every struct of a schema: its path from the id of its column on, and the names of its fields."""
    for top in schema.fields:
        kinds: list[tuple[tuple[Any, ...], ice.IcebergType]] = [((top.field_id,), top.field_type)]
        for path, kind in kinds:
            children = _children(kind)
            kinds += [((*path, name), inner) for name, _, inner in children]
            if isinstance(kind, ice.StructType):
                yield path, {name for name, _, _ in children}


def _nested(kind: ice.IcebergType, path: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], int]]:
    for name, number, inner in _children(kind):
        yield (*path, name), number
        yield from _nested(inner, (*path, name))


def _children(kind: ice.IcebergType) -> list[tuple[str, int, ice.IcebergType]]:
    """Name, id and type of what a type consists of."""
    match kind:
        case ice.StructType():
            return [(one.name.lower(), one.field_id, one.field_type) for one in kind.fields]
        case ice.ListType():
            return [("", kind.element_id, kind.element_type)]
        case ice.MapType():
            return [("key", kind.key_id, kind.key_type), ("value", kind.value_id, kind.value_type)]
    return []
