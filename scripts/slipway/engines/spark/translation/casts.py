"""Casts: which pairs of types agree, and how.

DuckDB rounds where it casts to a whole number, and Spark cuts off. Texts are read by different rules, so only those forms are cast that both read alike; another form ends the
query on Spark.
"""

from __future__ import annotations

import re

import duckdb
from sqlglot import exp

from slipway.engines.spark.translation.refusal import excerpt
from slipway.engines.spark.translation.regular_expressions import whole
from slipway.engines.spark.translation.scopes import Scope, Value, computed_once, text_literal
from slipway.engines.spark.translation.translator import Translator
from slipway.engines.spark.translation.type_kinds import EXACT_IN_DOUBLE, Kind, named

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,6})?)?"
READ_ALIKE = {
    "integer": r"[+-]?[0-9]+",
    "decimal": r"[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)",
    "date": r"(?!0000)" + _DAY,
    "timestamp": r"(?!0000)" + _DAY + "[ T]" + _TIME,
}
"""Patterns of Java for the texts that both engines read as the same value, or as none."""

_FORMS = {
    ("double", "decimal"): "Compute in DECIMAL from the beginning, or cast to BIGINT what is to be rounded",
    ("double", "varchar"): "Cast it to a DECIMAL first: cast(cast(x as decimal(18, 4)) as varchar)",
    ("decimal", "double"): f"Cast it to a DECIMAL of at most {EXACT_IN_DOUBLE} digits first",
    (
        "timestamp with time zone",
        "varchar",
    ): "Take it to a time zone first: cast(timezone('UTC', x) as varchar)",
    ("varchar", "double"): "Cast the text to a DECIMAL",
    ("varchar", "boolean"): "Compare the text: x in ('true', 't')",
}

KINDS = {
    "boolean": "BOOLEAN",
    "whole number": "INTEGER",
    "hugeint": "HUGEINT",
    f"decimal of at most {EXACT_IN_DOUBLE} digits": f"DECIMAL({EXACT_IN_DOUBLE},4)",
    "decimal": "DECIMAL(38,4)",
    "double": "DOUBLE",
    "text": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
}
"""Kinds of types between which casts are tried, by their names in the reference, each with one of its types."""

YEARS = "CAST({x} AS DATE) BETWEEN DATE'0001-01-01' AND DATE'9999-12-31'"


def checked(value: str, condition: str, result: str, said: str) -> str:
    """A result where a condition on a value holds, NULL where the value is NULL, and otherwise an error that ends the query.

    Args:
        value: the text for Spark of the value, which is computed once.
        condition: with ``{x}`` in place of the value.
        result: the same.
        said: the message of the error.
    """
    return computed_once(
        value,
        lambda x: (
            f"CASE WHEN {x} IS NULL THEN NULL WHEN {condition.replace('{x}', x)} THEN {result.replace('{x}', x)} "
            f"ELSE RAISE_ERROR({text_literal(said)}) END"
        ),
    )


def cast(
    translator: Translator, node: exp.Expression, value: Value, kind: Kind, *, tried: bool = False
) -> Value:
    """A value as another type, as DuckDB casts it.

    Raises:
        TranslationError: the two engines are not known to cast between these types alike.
    """
    if value.kind.text == kind.text:
        return value
    if kind.spark is None:
        translator.refuse(node, f"the type {kind.text}", "Use a type that Spark has, too")
    if value.kind.id == "null":
        return Value(f"CAST(NULL AS {kind.spark})", kind, f"CAST(NULL AS {kind.text})", is_constant=True)
    if value.text is not None and kind.id != "blob":
        return constant(translator, node, value, kind, tried=tried)
    written = _written(value, kind, tried=tried)
    if written is None:
        form = _FORMS.get(
            (value.kind.id, kind.id), "Cast it by a type between the two, or compute with one type"
        )
        what = "try_cast" if tried else "cast"
        translator.refuse(node, f"{what} from {value.kind.text} to {kind.text} in {excerpt(node)}", form)
    probe = f"CAST({value.probe} AS {kind.text})" if value.is_constant else kind.probe
    return Value(written, kind, probe, value.is_constant)


_WHOLE = ("tinyint", "smallint", "integer", "bigint")
_MOMENTS = ("date", "timestamp", "timestamp with time zone")
_PLAIN = frozenset(
    {(one, target) for one in _WHOLE for target in ("boolean", "double", "varchar")}
    | {("boolean", target) for target in (*_WHOLE, "varchar")}
    | {(one, other) for one in _MOMENTS for other in _MOMENTS}
    | {("hugeint", "varchar"), ("decimal", "varchar")}
)
"""Pairs that both engines cast alike."""


def _written(value: Value, kind: Kind, *, tried: bool) -> str | None:
    function = "TRY_CAST" if tried else "CAST"
    x, source, target = value.spark, value.kind, kind.id
    plain = f"{function}({x} AS {kind.spark})"
    if source.is_exact and kind.is_exact:
        is_rounded = source.scale and target != "decimal"
        return f"{function}(ROUND({x}, 0) AS {kind.spark})" if is_rounded else plain
    if source.id == "varchar":
        return _read(x, kind, function)
    if tried:
        return None
    if source.id in {"date", "timestamp"} and target == "varchar":
        plain = f"CAST({{x}} AS {kind.spark})"
        return checked(x, YEARS, plain, "Slipway: a date before year 1 or after year 9999")
    if source.id == "double" and kind.is_integer:
        return f"CAST(RINT({x}) AS {kind.spark})"
    is_near = source.id == "decimal" and target == "double" and source.digits <= EXACT_IN_DOUBLE
    return plain if is_near or (source.id, target) in _PLAIN else None


def pairs() -> list[tuple[str, str, bool]]:
    """Source, target, and whether it is ``try_cast``, of every cast of columns that is translated."""
    found = []
    for source, one in KINDS.items():
        for target, other in KINDS.items():
            value = Value("x", named(one), "x")
            found += [
                (source, target, tried)
                for tried in (False, True)
                if one != other and _written(value, named(other), tried=tried) is not None
            ]
    return found


def _read(x: str, kind: Kind, function: str) -> str | None:
    pattern = READ_ALIKE.get("integer" if kind.is_integer else kind.id)
    if pattern is None:
        return None
    said = f"Slipway: a text that is cast to {kind.text} has a form that DuckDB and Spark read differently"
    return checked(
        x, f"{{x}} RLIKE {text_literal(whole(pattern))}", f"{function}({{x}} AS {kind.spark})", said
    )


def constant(
    translator: Translator, node: exp.Expression, value: Value, kind: Kind, *, tried: bool = False
) -> Value:
    """The value that DuckDB reads from a text literal, or a number that is written as another type.

    Raises:
        TranslationError: the constant has no value of that type, or one that Spark cannot be given.
    """
    probe = f"{'TRY_CAST' if tried else 'CAST'}({value.probe} AS {kind.text})"
    try:
        text = translator.types.constant(probe, kind)
    except duckdb.Error:
        translator.refuse(
            node, f"{excerpt(node)} as {kind.text}", f"Write a constant that has a value as {kind.text}"
        )
    written = _constant_text(text, kind)
    if written is None:
        translator.refuse(
            node,
            f"{excerpt(node)} as {kind.text}",
            "Write a constant within the years 1 to 9999, or a finite number",
        )
    return Value(written, kind, probe, is_constant=True)


def _constant_text(text: str, kind: Kind) -> str | None:
    if text == "None":
        return f"CAST(NULL AS {kind.spark})"
    match kind.id:
        case "date":
            return f"DATE'{text}'" if re.fullmatch(_DAY, text) else None
        case "timestamp":
            return f"TIMESTAMP_NTZ'{text}'" if re.fullmatch(_DAY + " " + _TIME, text) else None
        case "timestamp with time zone":
            return f"TIMESTAMP'{text}:00'" if re.fullmatch(_DAY + " " + _TIME + r"\+00", text) else None
        case "boolean":
            return text.upper()
        case "decimal" | "hugeint":
            return f"CAST('{text}' AS {kind.spark})"
        case "varchar":
            return text_literal(text)
        case "double":
            special = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
            return f"CAST('{special.get(text, text)}' AS DOUBLE)"
    return f"CAST('{text}' AS {kind.spark})" if kind.is_integer else None


def coerced(translator: Translator, node: exp.Expression, value: Value, kind: Kind) -> Value:
    """A value as the type that an operation needs, where DuckDB casts it by itself.

    Raises:
        TranslationError: the cast could change the value, or is not known to agree.
    """
    source = value.kind
    is_harmless = (
        source.text == kind.text
        or source.id == "null"
        or (value.text is not None and kind.id != "varchar")
        or (source.is_exact and (kind.is_exact or kind.id == "double"))
        or (source.id == "date" and kind.id == "timestamp")
    )
    if not is_harmless:
        translator.refuse(
            node,
            f"{source.text} where {kind.text} is needed in {excerpt(node)}",
            f"Cast it: cast(… as {kind.text.lower()})",
        )
    return cast(translator, node, value, kind)


def _cast(translator: Translator, node: exp.Expression, scope: Scope, *, tried: bool) -> Value:
    translator.only(node, "this", "to", "safe")
    value = translator.expression(node.this, scope)
    target = node.args["to"].sql(dialect="duckdb")
    try:
        kind = named(target)
    except (duckdb.Error, ValueError, RuntimeError):
        translator.refuse(node, f"the type {target}", "Use a type that Spark has, too")
    return cast(translator, node, value, kind, tried=tried)


def handle_cast(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``cast(x as t)``, ``x::t`` and typed constants such as ``date '2025-01-01'``."""
    return _cast(translator, node, scope, tried=False)


def handle_try_cast(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``try_cast(x as t)``."""
    return _cast(translator, node, scope, tried=True)
