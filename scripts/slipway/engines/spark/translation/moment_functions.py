"""Functions of dates and times."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from slipway.engines.spark.translation.casts import checked
from slipway.engines.spark.translation.listed import Call, Function
from slipway.engines.spark.translation.scopes import Scope, Value, text_literal
from slipway.engines.spark.translation.translator import Translator

PARTS = {
    "year": "YEAR({0})",
    "quarter": "QUARTER({0})",
    "month": "MONTH({0})",
    "week": "WEEKOFYEAR({0})",
    "day": "DAYOFMONTH({0})",
    "isodow": "(WEEKDAY({0}) + 1)",
    "dayofweek": "(DAYOFWEEK({0}) - 1)",
    "dayofyear": "DAYOFYEAR({0})",
    "hour": "HOUR({0})",
    "minute": "MINUTE({0})",
    "second": "SECOND({0})",
}
"""Parts of dates and times, by DuckDB's names: a week begins on Monday, and ``dayofweek`` counts from 0 for Sunday."""

_SYNONYMS = {
    "dow": "dayofweek",
    "weekday": "dayofweek",
    "doy": "dayofyear",
    "weekofyear": "week",
    "dayofmonth": "day",
}
_CLOCK = {"hour", "minute", "second"}
_UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_MICROSECONDS = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}

ZONES = frozenset(
    {
        *("UTC", "Europe/London", "Europe/Paris", "Europe/Berlin", "Europe/Madrid", "Europe/Rome"),
        *("Europe/Amsterdam", "Europe/Brussels", "Europe/Vienna", "Europe/Zurich"),
        *("Europe/Warsaw", "Europe/Athens", "America/New_York", "America/Chicago", "America/Denver"),
        *("America/Los_Angeles", "America/Toronto", "Asia/Tokyo", "Asia/Kolkata", "Asia/Singapore"),
        *("Asia/Dubai", "Australia/Sydney", "Pacific/Auckland"),
    }
)
"""Time zones in which both engines were compared around every change of the clock from 1970 to 2037."""

_FORMATS = {"%Y": "yyyy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss"}


def part(call: Call, name: str) -> str:
    """A part of a date or time as a whole number."""
    name = _SYNONYMS.get(name, name)
    value = call.arguments[-1]
    if name not in PARTS or (name in _CLOCK and value.kind.id == "date"):
        call.translator.refuse(
            call.node, f"the part {name} of {value.kind.text}", f"Use one of {', '.join(PARTS)}"
        )
    return PARTS[name].format(value.spark)


def _part_named(name: str) -> Callable[[Call], str]:
    return lambda call: part(call, name)


def _unit(call: Call) -> str:
    unit = (call.arguments[0].text or "").lower()
    if unit not in _UNITS:
        call.translator.refuse(call.node, f"the unit {unit!r}", f"Use one of {', '.join(_UNITS)}")
    return unit


def _trunc(call: Call) -> str:
    """A timestamp, also of a date. Spark gives an instant for a timestamp, which is the same in UTC."""
    unit, value = _unit(call), call.arguments[1]
    if value.kind.id == "date":
        if unit in {"day", *_CLOCK}:
            return f"CAST({value.spark} AS TIMESTAMP_NTZ)"
        return f"CAST(TRUNC({value.spark}, '{unit}') AS TIMESTAMP_NTZ)"
    truncated = f"DATE_TRUNC('{unit}', {value.spark})"
    return truncated if value.kind.id == "timestamp with time zone" else f"CAST({truncated} AS TIMESTAMP_NTZ)"


def _diff(call: Call) -> str:
    """How many boundaries of a unit lie between two moments; Spark's own counts whole units."""
    unit, start, end = _unit(call), call.arguments[1], call.arguments[2]
    if start.kind.text != end.kind.text:
        call.translator.refuse(
            call.node, f"date_diff of {start.kind.text} and {end.kind.text}", "Cast both to one type"
        )
    a, b = start.spark, end.spark
    months = f"((YEAR({b}) - YEAR({a})) * 12 + MONTH({b}) - MONTH({a}))"
    match unit:
        case "year":
            return f"(YEAR({b}) - YEAR({a}))"
        case "quarter":
            return f"((YEAR({b}) - YEAR({a})) * 4 + QUARTER({b}) - QUARTER({a}))"
        case "month":
            return months
        case "week":
            return f"(DATEDIFF({b}, {a}) DIV 7)"
        case "day":
            return f"DATEDIFF({b}, {a})"
    a, b = (f"UNIX_MICROS(CAST(DATE_TRUNC('{unit}', {one}) AS TIMESTAMP))" for one in (a, b))
    return f"(({b} - {a}) DIV {_MICROSECONDS[unit]})"


def zoned(call: Call) -> str:
    """``timezone(zone, x)``: the local time of an instant, or the instant of a local time.

    Of a local time that comes twice, DuckDB takes the later instant, and Spark the earlier one.
    """
    zone, value = call.arguments[0], call.arguments[1]
    if zone.text not in ZONES:
        call.translator.refuse(
            call.node, f"the time zone {zone.text}", f"Use one of {', '.join(sorted(ZONES))}"
        )
    name, x = text_literal(zone.text), value.spark
    said = "Slipway: a time before 1970 in a time zone"
    if value.kind.id == "timestamp with time zone":
        local = f"CAST(FROM_UTC_TIMESTAMP({{x}}, {name}) AS TIMESTAMP_NTZ)"
        return checked(x, "{x} >= TIMESTAMP'1970-01-01 00:00:00+00:00'", local, said)
    clock = "CAST({x} AS TIMESTAMP)"
    first = f"TO_UTC_TIMESTAMP({clock}, {name})"
    later = f"({first} + INTERVAL '1' HOUR)"
    instant = f"CASE WHEN FROM_UTC_TIMESTAMP({later}, {name}) = {clock} THEN {later} ELSE {first} END"
    return checked(x, "{x} >= TIMESTAMP_NTZ'1970-01-02 00:00:00'", instant, said)


def at_time_zone(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``x at time zone 'zone'``, which is ``timezone('zone', x)``."""
    translator.only(node, "this", "zone")
    if not isinstance(node.this, exp.Column | exp.Paren | exp.Anonymous | exp.Cast):
        translator.refuse(node, form="Write it as timezone('zone', x)")
    call = exp.Anonymous(this="timezone", expressions=[node.args["zone"].copy(), node.this.copy()])
    node.replace(call)
    return translator.expression(call, scope)


def extract(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``extract(part from x)``, which is ``date_part('part', x)``."""
    translator.only(node, "this", "expression")
    value = translator.expression(node.expression, scope)
    call = Call(translator, node, (value,), scope)
    if value.kind.id not in {"date", "timestamp", "timestamp with time zone"}:
        translator.refuse(node, f"a part of {value.kind.text}", "Cast it to a date or timestamp")
    name = node.this.name.lower()
    return translator.made(
        node, part(call, name), f"date_part('{name}', {value.probe})", (value,), gives="INT"
    )


def _formatted(call: Call) -> str:
    value, text = call.arguments[0], call.arguments[1].text or ""
    written = ""
    if "{" in text:
        call.translator.refuse(
            call.node, f"a brace in the format {text!r}", "Put it around the text: '{' || strftime(…)"
        )
    for one in re.findall(r"%.|[^%]+|%", text):
        if one.startswith("%"):
            if one not in _FORMATS:
                call.translator.refuse(
                    call.node, f"{one} in the format {text!r}", f"Use {' '.join(_FORMATS)}"
                )
            written += _FORMATS[one]
        else:
            written += "'" + one.replace("'", "''") + "'"
    formatted = f"DATE_FORMAT({{x}}, {text_literal(written)})"
    years = "CAST({x} AS DATE) BETWEEN DATE'1000-01-01' AND DATE'9999-12-31'"
    return checked(value.spark, years, formatted, "Slipway: a date before year 1000 or after year 9999")


MOMENTS: tuple[Function, ...] = (
    *(
        Function(
            name,
            ("moment",),
            PARTS[_SYNONYMS.get(name, name)],
            gives="INT",
            build=_part_named(name),
        )
        for name in (*PARTS, "weekofyear", "dayofmonth", "weekday")
    ),
    Function(
        "date_part",
        ("constant text", "moment"),
        "as the function of that name",
        gives="INT",
        build=lambda call: part(call, (call.arguments[0].text or "").lower()),
    ),
    Function(
        "date_trunc",
        ("constant text", "moment"),
        "TRUNC or DATE_TRUNC",
        build=_trunc,
        remark="a TIMESTAMP, also of a date",
    ),
    *(
        Function(
            name,
            ("constant text", "moment", "moment"),
            "by the difference of the parts",
            build=_diff,
            gives="several",
            remark="boundaries between the two, as in DuckDB; whole weeks",
        )
        for name in ("date_diff", "datediff")
    ),
    Function("last_day", ("date",), "LAST_DAY({0})"),
    Function(
        "make_date",
        ("whole number", "whole number", "whole number"),
        "MAKE_DATE({0}, {1}, {2})",
        build=lambda call: "MAKE_DATE(" + ", ".join(f"CAST({one} AS INT)" for one in call.texts()) + ")",
    ),
    Function("epoch_us", ("timestamp",), "UNIX_MICROS(CAST({0} AS TIMESTAMP))"),
    Function("epoch_us", ("timestamptz",), "UNIX_MICROS({0})"),
    Function(
        "strftime",
        ("date", "constant text"),
        "DATE_FORMAT({0}, …)",
        build=_formatted,
        remark=f"with {' '.join(_FORMATS)}",
    ),
    Function(
        "strftime",
        ("timestamp", "constant text"),
        "DATE_FORMAT({0}, …)",
        build=_formatted,
        remark=f"with {' '.join(_FORMATS)}",
    ),
    Function(
        "timezone",
        ("constant text", "timestamp"),
        "TO_UTC_TIMESTAMP, and the later of two instants",
        build=zoned,
        remark="from 1970",
    ),
    Function(
        "timezone", ("constant text", "timestamptz"), "FROM_UTC_TIMESTAMP", build=zoned, remark="from 1970"
    ),
)
