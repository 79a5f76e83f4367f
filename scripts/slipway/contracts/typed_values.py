"""How a text is read as a value of a column, in DuckDB's SQL: blanks and spellings of nothing, numbers, dates and times."""

from __future__ import annotations

import re
from typing import Any

from slipway.contracts.model import (
    Column,
    FileSettings,
)
from slipway.contracts.nested_values import NESTED, nested_sql, nested_type
from slipway.contracts.products import plain_type
from slipway.errors import ConfigError
from slipway.sql_text import literal, quote

_BLANKS = r"[\s\x0b\x1c-\x1f\x{85}\p{Z}]+"
_INTEGERS = {
    "i8": "tinyint", "i16": "smallint", "i32": "integer", "i64": "bigint", "i128": "hugeint",
    "u8": "utinyint", "u16": "usmallint", "u32": "uinteger", "u64": "ubigint", "u128": "uhugeint",
}  # fmt: skip
_FLOATS = {"f32": "real", "f64": "double"}
_TEXTS = ("varchar", "csv", "")
_DATE = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"
_OFFSET = "(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_FORMAT = {
    "yyyy": ("%Y", "[0-9]{4}"), "yy": ("%y", "[0-9]{2}"), "MMMM": ("%B", "[A-Za-z]+"), "MMM": ("%b", "[A-Za-z]{3}"),
    "MM": ("%m", "[0-9]{2}"), "M": ("%m", "[0-9]{1,2}"), "dd": ("%d", "[0-9]{2}"), "d": ("%d", "[0-9]{1,2}"),
    "HH": ("%H", "[0-9]{2}"), "H": ("%H", "[0-9]{1,2}"), "hh": ("%I", "[0-9]{2}"), "h": ("%I", "[0-9]{1,2}"),
    "mm": ("%M", "[0-9]{2}"), "ss": ("%S", "[0-9]{2}"), "SSSSSS": ("%f", "[0-9]{6}"), "SSS": ("%g", "[0-9]{3}"),
    "a": ("%p", "[AaPp][Mm]"), "XXX": ("%z", "(Z|[+-][0-9]{2}:[0-9]{2})"), "xx": ("%z", "[+-][0-9]{4}"),
}  # fmt: skip
"""Letters of Java's ``DateTimeFormatter`` to those of DuckDB's ``strptime``, and what they look like."""


def text_sql(column: Column, files: FileSettings) -> str:
    """An expression for what a raw column holds as text: without blanks around it, NULL for what stands for no value."""
    text = quote(column.header)
    if column.settings.trim:
        text = f"regexp_replace({text}, {literal(f'^{_BLANKS}|{_BLANKS}$')}, '', 'g')"
    text = f"nullif({text}, '')"
    for spelling in dict.fromkeys((*files.null_values, *column.settings.null_values)):
        text = f"nullif({text}, {literal(spelling)})"
    return text


def is_local(column: Column) -> bool:
    """Whether a column is written by a clock whose zone the contract names, without an offset."""
    return bool(
        column.logical_type == "timestamp" and column.options.default_timezone and not column.options.timezone
    )


def type_sql(column: Column, origin: str) -> str:
    """The engine's type of the values of a column, once they are typed.

    Raises:
        ConfigError: the contract, whose file ``origin`` names, does not say enough.
    """
    plain = plain_type(column.physical_type or "")
    if column.logical_type in NESTED:
        return nested_type(column, lambda one: type_sql(one, origin), origin)
    if column.logical_type in (None, "string"):
        return "varchar"
    if plain and plain not in _TEXTS:
        return plain
    if column.logical_type == "integer":
        return _INTEGERS[column.options.format or "i32"]
    if column.logical_type == "number":
        if column.options.format in _FLOATS:
            return _FLOATS[str(column.options.format)]
        raise ConfigError(
            f"{origin}: the number {column.name} cannot be typed",
            "the contract does not say how exact it is",
            "Write `physicalType: decimal(18, 4)`, or `logicalTypeOptions: {format: f64}`",
        )
    zoned = column.options.timezone or column.options.default_timezone
    return (
        "timestamp with time zone"
        if column.logical_type == "timestamp" and zoned
        else str(column.logical_type)
    )


def value_sql(column: Column, text: str, files: FileSettings, origin: str) -> str:
    """An expression for a text as a value of a column; NULL where it is none.

    Args:
        column: of a contract.
        text: an expression, without blanks around it; NULL for no value.
        files: marks of numbers.
        origin: name of the contract's file.

    Raises:
        ConfigError: the contract does not say enough, or has a type that is not read from text.
    """
    kind = column.logical_type
    if kind in NESTED:
        return nested_sql(
            column, text, lambda one, value: value_sql(one, value, FileSettings(), origin), origin
        )
    target = type_sql(column, origin)
    if kind in (None, "string"):
        return text
    if kind in ("integer", "number"):
        return _number(column, text, files, target)
    if kind == "boolean":
        return (
            f"case when lower({text}) in ('true', 't', 'yes', 'y', '1') then true "
            f"when lower({text}) in ('false', 'f', 'no', 'n', '0') then false end"
        )
    if kind in ("date", "timestamp", "time"):
        return _moment(column, text, target, origin)
    raise ConfigError(
        f"{origin}: {column.name} of the logical type {kind} cannot be typed",
        "it is not read from text",
        "Leave its logicalType out, and read it in the model",
    )


_DIGITS = 18
"""Of a decimal that DuckDB keeps in eight bytes."""


def _number(column: Column, text: str, files: FileSettings, target: str) -> str:
    plain = text
    mark, groups = files.decimal_mark, files.thousands_mark
    if groups:
        grouped = f"[+-]?[0-9]{{1,3}}({_class(groups)}[0-9]{{3}})+({_class(mark)}[0-9]*)?"
        whole = f"[+-]?[0-9]*({_class(mark)}[0-9]*)?"
        plain = f"case when regexp_full_match({text}, {literal(f'{grouped}|{whole}')}) then replace({text}, {literal(groups)}, '') end"
    if mark != ".":
        plain = f"case when not contains({plain}, '.') then replace({plain}, {literal(mark)}, '.') end"
    if column.logical_type == "integer":
        return (
            f"case when regexp_full_match({plain}, '[+-]?[0-9]+([.]0*)?') "
            f"then try_cast(regexp_extract({plain}, '^[+-]?[0-9]+') as {target}) end"
        )
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", target):
        scale = decimal[2]
        digits = (
            f"[+-]?([0-9]+([.][0-9]{{0,{scale}}}0*)?|[.][0-9]{{1,{scale}}}0*)"
            if scale != "0"
            else "[+-]?[0-9]+([.]0*)?"
        )
        read = f"try_cast({plain} as {target})"
        if int(decimal[1]) > _DIGITS >= int(scale):
            # DuckDB reads a decimal of more digits fifty times as slowly; nothing is rounded, as there are no more digits after the point
            read = f"coalesce(try_cast({plain} as decimal({_DIGITS},{scale}))::{target}, {read})"
        return f"case when regexp_full_match({plain}, {literal(digits)}) then {read} end"
    floating = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?"
    value = f"try_cast({plain} as {target})"
    return f"case when regexp_full_match({plain}, {literal(floating)}) and isfinite({value}) then {value} end"


def _moment(column: Column, text: str, target: str, origin: str) -> str:
    kind, zoned = column.logical_type, column.options.timezone
    if column.options.format:
        pattern, looks = _strptime(column, origin)
        read = f"try_strptime({text}, {literal(pattern)})"
        cast = read if kind == "timestamp" else f"cast({read} as {target})"
        return f"case when regexp_full_match({text}, {literal(looks)}) then {cast} end"
    if kind == "date":
        return f"case when regexp_full_match({text}, {literal(_DATE)}) then try_cast({text} as date) end"
    if kind == "time":
        return f"case when regexp_full_match({text}, {literal(_CLOCK)}) then try_cast({text} as time) end"
    looks = f"{_DATE}[ T]{_CLOCK}{_OFFSET if zoned else ''}"
    read = "timestamp with time zone" if zoned else "timestamp"
    return f"case when regexp_full_match({text}, {literal(looks)}) then try_cast(replace({text}, 'T', ' ') as {read}) end"


def _strptime(column: Column, origin: str) -> tuple[str, str]:
    """The form of a date or time for ``strptime``, and as a regular expression.

    Source: documentation of Java's DateTimeFormatter, section "Patterns for Formatting and Parsing".
    """
    pattern, looks = "", ""
    for found in re.finditer(
        r"(?P<letters>([A-Za-z])\2*)|'(?P<quoted>[^']*)'|(?P<other>.)", str(column.options.format)
    ):
        if letters := found["letters"]:
            if letters not in _FORMAT:
                raise ConfigError(
                    f"{origin}: {column.name} has the format {column.options.format}",
                    f"`{letters}` in it is not known",
                    f"Known are {', '.join(_FORMAT)}",
                )
            pattern, looks = pattern + _FORMAT[letters][0], looks + _FORMAT[letters][1]
        else:
            sign = found["quoted"] or found["other"] or "'"
            pattern, looks = pattern + sign.replace("%", "%%"), looks + re.escape(sign)
    return pattern, looks


def _class(sign: str) -> str:
    return f"[{re.escape(sign)}]"


def literal_of(value: Any, column: Column) -> str:  # noqa: ANN401 - of the column's type
    """A value from the contract in SQL, with the type of the column that it is compared with."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    kind = {
        "date": "date ",
        "time": "time ",
        "timestamp": "timestamptz "
        if column.options.timezone or column.options.default_timezone
        else "timestamp ",
    }
    return f"{kind.get(str(column.logical_type), '')}{literal(str(value))}"
