"""Objects, arrays and maps of a feed, which raw keeps as JSON: from text to STRUCT, LIST and MAP, each value inside as strictly as a column.

DuckDB reads a number in JSON as a float of 64 bits, which loses digits. So numbers are put between quotes first, and every value is read as the text that
the file has.
"""

from __future__ import annotations

from collections.abc import Callable

from slipway.contracts.model import Column, Inner
from slipway.errors import ConfigError
from slipway.names import twins
from slipway.sql_text import literal, quote

NESTED = ("object", "array", "map")
"""Logical types that are made of other ones."""
Leaf = Callable[[Column, str], str]
"""An expression for a text as a value of a column; NULL where it is none."""

_STRING = r'("(?:[^"\\]|\\.)*")'
_TOKEN, _QUOTED = rf"{_STRING}|(-?[0-9][0-9.eE+-]*)", r'\1"\2"'
_SURPLUS, _KEPT = rf'{_STRING}(?:"")?', r"\1"


def nested_sql(column: Column, text: str, leaf: Leaf, origin: str) -> str:
    """An expression for a text as a nested value; NULL where a part of it is not as the contract says.

    Keys that the contract does not name are left out; a key that is missing is NULL.

    Raises:
        ConfigError: the contract does not say what is inside, or says something that is not checked there.
    """
    part = _part(column)
    parsed = f"case when json_valid({text}) then ({exact_numbers(text)})::json end"
    holds, value = (
        _holds(part, "d0", 0, leaf, origin, column.name),
        _value(part, "d0", 0, leaf, origin, column.name),
    )
    return f"list_transform([{parsed}], lambda d0: case when {holds} then {value} end)[1]"


def exact_numbers(text: str) -> str:
    """An expression for text of valid JSON with each number as a string, which keeps its digits."""
    # a number becomes "5", a string gets "" behind it, which goes again: strings of JSON never stand next to each other
    return (
        f"regexp_replace(regexp_replace({text}, {literal(_TOKEN)}, {literal(_QUOTED)}, 'g'), "
        f"{literal(_SURPLUS)}, {literal(_KEPT)}, 'g')"
    )


def nested_type(column: Column, type_of: Callable[[Column], str], origin: str) -> str:
    """The engine's type of a nested column; raises as ``nested_sql``."""
    return _type(_part(column), type_of, origin, column.name)


def _part(column: Column) -> Inner:
    return Inner(
        name=column.name,
        logical_type=column.logical_type,
        logicalTypeOptions=column.options.model_dump(by_alias=True, exclude_none=True),
        properties=column.properties,
        items=column.items,
        map=column.map,
    )


def _type(part: Inner, type_of: Callable[[Column], str], origin: str, where: str) -> str:
    match part.logical_type:
        case "object":
            inside = (
                f"{quote(one.name)} {_type(one, type_of, origin, f'{where}.{one.name}')}"
                for one in _properties(part, origin, where)
            )
            return f"struct({', '.join(inside)})"
        case "array":
            return f"{_type(_items(part, origin, where), type_of, origin, f'{where} items')}[]"
        case "map":
            return f"map(varchar, {_type(_values(part, origin, where), type_of, origin, f'{where} values')})"
    return type_of(_leaf(part, origin, where))


def _holds(part: Inner, json: str, depth: int, leaf: Leaf, origin: str, where: str) -> str:
    """A condition: everything of a JSON value is as the contract says."""
    absent = f"({json} is null or json_type({json}) = 'NULL')"
    inner, kind = f"d{depth + 1}", "OBJECT"
    match part.logical_type:
        case "object":
            inside = [
                _holds(one, at_key(json, one.header), depth, leaf, origin, f"{where}.{one.name}")
                for one in _properties(part, origin, where)
            ]
            rest = " and ".join(inside)
        case "array":
            kind = "ARRAY"
            each = _holds(_items(part, origin, where), inner, depth + 1, leaf, origin, f"{where} items")
            rest = _all(f"json_extract({json}, '$[*]')", inner, each)
        case "map":
            found = f"json_extract({json}, {_pointer(inner)})"
            # the value has a name of its own, so that it is looked up once
            value = f"d{depth + 2}"
            each = _holds(_values(part, origin, where), value, depth + 2, leaf, origin, f"{where} values")
            every = _all(f"list_transform(json_keys({json}), lambda {inner}: {found})", value, each)
            rest = f"(len(list_distinct(json_keys({json}))) = len(json_keys({json})) and {every})"
        case _:
            holds = f"({_value(part, json, depth, leaf, origin, where)}) is not null"
            return holds if part.required else f"({absent} or {holds})"
    holds = f"(json_type({json}) = '{kind}' and {rest})"
    return holds if part.required else f"({absent} or {holds})"


def _value(part: Inner, json: str, depth: int, leaf: Leaf, origin: str, where: str) -> str:
    """The value of JSON that holds."""
    inner = f"d{depth + 1}"
    match part.logical_type:
        case "object":
            fields = [
                f"{quote(one.name)} := {_value(one, at_key(json, one.header), depth, leaf, origin, f'{where}.{one.name}')}"
                for one in _properties(part, origin, where)
            ]
            return f"case when json_type({json}) = 'OBJECT' then struct_pack({', '.join(fields)}) end"
        case "array":
            each = _value(_items(part, origin, where), inner, depth + 1, leaf, origin, f"{where} items")
            return f"case when json_type({json}) = 'ARRAY' then list_transform(json_extract({json}, '$[*]'), lambda {inner}: {each}) end"
        case "map":
            found = f"json_extract({json}, {_pointer(inner)})"
            each = _value(_values(part, origin, where), found, depth + 1, leaf, origin, f"{where} values")
            keys = f"json_keys({json})"
            return f"case when json_type({json}) = 'OBJECT' then map({keys}, list_transform({keys}, lambda {inner}: {each})) end"
    text = f"case when json_type({json}) not in ('OBJECT', 'ARRAY') then json_extract_string({json}, '$') end"
    return leaf(_leaf(part, origin, where), f"({text})")


def _leaf(part: Inner, origin: str, where: str) -> Column:
    """A single value inside as a column; refused if something is said of it that would not be checked."""
    if part.logical_type in ("vector", *NESTED):
        raise _unsaid(origin, where, f"is of the logical type {part.logical_type}")
    if part.options.default_timezone:
        raise _unsaid(origin, where, "has a defaultTimezone")
    _refuse(part, origin, where)
    return Column(
        name=part.name or "item",
        logical_type=part.logical_type,
        physical_type=part.physical_type,
        logicalTypeOptions=part.options.model_dump(by_alias=True, exclude_none=True),
    )


def _properties(part: Inner, origin: str, where: str) -> tuple[Inner, ...]:
    _refuse(part, origin, where)
    if not part.properties:
        raise _undescribed(origin, where, "`properties:` with the keys of the object")
    for one, other in twins([inner.name for inner in part.properties]):
        raise ConfigError(
            f"{origin}: {where} has the properties {one} and {other}",
            "DuckDB does not distinguish upper and lower case",
            "Give one of them another name, and the key of the file as its physicalName",
        )
    return part.properties


def _items(part: Inner, origin: str, where: str) -> Inner:
    _refuse(part, origin, where)
    if part.items is None:
        raise _undescribed(origin, where, "`items: {logicalType: …}`")
    return part.items


def _values(part: Inner, origin: str, where: str) -> Inner:
    _refuse(part, origin, where)
    if part.map is None:
        raise _undescribed(origin, where, "`map: {key: {logicalType: string}, value: {logicalType: …}}`")
    if part.map.key.logical_type not in (None, "string"):
        raise _unsaid(origin, where, f"has keys of the logical type {part.map.key.logical_type}")
    return part.map.value


def _refuse(part: Inner, origin: str, where: str) -> None:
    if said := part.unchecked():
        raise _unsaid(origin, where, f"has {said}")


def _undescribed(origin: str, where: str, what: str) -> ConfigError:
    return ConfigError(
        f"{origin}: {where} cannot be typed", "the contract does not say what is in it", f"Write {what}"
    )


def _unsaid(origin: str, where: str, what: str) -> ConfigError:
    return ConfigError(
        f"{origin}: {where} {what}",
        "inside of objects, arrays and maps only types and required are checked",
        "Write it as a rule of quality with a query, or leave it out",
    )


def _all(values: str, name: str, holds: str) -> str:
    return f"coalesce(list_bool_and(list_transform({values}, lambda {name}: {holds})), true)"


def at_key(json: str, key: str) -> str:
    """The value under a key, by a JSON pointer (RFC 6901)."""
    return f"json_extract({json}, {literal('/' + key.replace('~', '~0').replace('/', '~1'))})"


def _pointer(key: str) -> str:
    return f"'/' || replace(replace({key}, '~', '~0'), '/', '~1')"
