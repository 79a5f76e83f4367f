"""Operators, conditions, constants and names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp

from slipway.engines.spark.translation.casts import cast, coerced, constant
from slipway.engines.spark.translation.nesting import check_nesting
from slipway.engines.spark.translation.refusal import excerpt
from slipway.engines.spark.translation.scopes import Scope, Value, computed_once, quoted, text_literal
from slipway.engines.spark.translation.translator import Handler, Translator
from slipway.engines.spark.translation.type_kinds import (
    BOOLEAN,
    DECIMAL_DIGITS,
    DOUBLE,
    NULL,
    TIMESTAMP,
    VARCHAR,
    Kind,
    product_of,
    sum_of,
)

COMPARED = {"boolean", "varchar", "date", "timestamp", "timestamp with time zone", "blob"}
_INTERVALS = {"YEAR": 1, "MONTH": 1, "DAY": 1, "HOUR": 1, "MINUTE": 1, "SECOND": 1}
_SYMBOLS: dict[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "<=>",
    exp.NullSafeNEQ: "<=>",
}


# ------------------------------------------------------------------------------------------------ constants and names


def literal(translator: Translator, node: exp.Expression, _scope: Scope) -> Value:
    """Texts and numbers as they are written."""
    translator.only(node, "this", "is_string")
    text = str(node.this)
    if node.args.get("is_string"):
        return Value(
            text_literal(text), VARCHAR, "'" + text.replace("'", "''") + "'", is_constant=True, text=text
        )
    if not re.fullmatch(r"[0-9]+|[0-9]*\.[0-9]+|[0-9]+\.|[0-9]*\.?[0-9]+[eE][+-]?[0-9]+", text):
        translator.refuse(node)
    return number(translator, node, text)


def number(translator: Translator, node: exp.Expression, text: str) -> Value:
    """A constant number, of the type that DuckDB gives it."""
    kind = translator.kind(node, text)
    if not (kind.is_exact or kind.id == "double"):
        translator.refuse(node, f"the number {text}", "Cast a text to DECIMAL")
    if kind.id == "integer":
        return Value(text if not text.startswith("-") else f"({text})", kind, text, is_constant=True)
    return constant(translator, node, Value("", kind, text), kind)


def boolean(translator: Translator, node: exp.Expression, _scope: Scope) -> Value:
    """``true`` and ``false``."""
    translator.only(node, "this")
    text = "TRUE" if node.this else "FALSE"
    return Value(text, BOOLEAN, text, is_constant=True)


def null(translator: Translator, node: exp.Expression, _scope: Scope) -> Value:
    """``null``."""
    translator.only(node)
    return Value("NULL", NULL, "NULL", is_constant=True)


def column(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """A column of this query's FROM, else an alias of its select list, else a column of the query around it."""
    translator.only(node, "this", "table")
    if not isinstance(node.this, exp.Identifier):
        translator.refuse(node)
    name, table = node.this.name, node.args.get("table")
    table_name = table.name if table is not None else None
    passed: list[Scope] = []
    at: Scope | None = scope
    while at is not None:
        found = list(at.matches(name, table_name))
        if len(found) > 1:
            translator.refuse(
                node,
                f"the name {excerpt(node)}, which stands for several columns",
                "Write its table in front of it",
            )
        if found:
            for inner in passed:
                inner.is_correlated = True
            return _known(translator, node, found[0][0], found[0][1].kind)
        if table_name is None and name.lower() in at.aliases:
            return _alias(translator, node, at, name.lower())
        passed.append(at)
        at = at.outer
    if table_name is not None and not scope.has_source(table_name):
        whole = column(translator, exp.Column(this=table.copy()), scope)  # type: ignore[union-attr]
        return struct_field(translator, node, whole, name)
    return translator.refuse(node, f"the name {excerpt(node)}", "Name the table that has it in FROM")


def resolved_name(node: exp.Column, scope: Scope) -> str:
    """The name that DuckDB gives a column without an alias: as its table spells it, and a field of a struct as the query does."""
    table = node.args.get("table")
    at: Scope | None = scope
    while at is not None:
        for _, found in at.matches(node.name, table.name if table is not None else None):
            return found.name
        if table is not None and any(at.matches(table.name, None)):
            return node.name
        at = at.outer
    return node.name


def _known(translator: Translator, node: exp.Expression, text: str, kind: Kind) -> Value:
    is_row = kind.id == "struct" and not all(name for name, _ in kind.fields)
    if kind.spark is None and not is_row:
        translator.refuse(
            node,
            f"the type {kind.text} of {excerpt(node)}",
            "Cast it to a type that Spark has, in a model of DuckDB",
        )
    return Value(text, kind, kind.probe)


def _alias(translator: Translator, node: exp.Expression, scope: Scope, name: str) -> Value:
    if name in scope.expanding:
        translator.refuse(node, f"the alias {excerpt(node)}, which stands for itself")
    scope.expanding.append(name)
    try:
        return translator.expression(scope.aliases[name], scope)
    finally:
        scope.expanding.pop()


def struct_field(translator: Translator, node: exp.Expression, whole: Value, name: str) -> Value:
    """A named field of a struct."""
    for given, kind in whole.kind.fields:
        if given and given.lower() == name.lower():
            return Value(f"{whole.spark}.{quoted(given)}", kind, kind.probe)
    return translator.refuse(node, form="Name a column, or a field of a struct")


def bracket(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``x['field']`` of a struct."""
    translator.only(node, "this", "expressions", "offset")
    whole = translator.expression(node.this, scope)
    index = node.expressions[0]
    if whole.kind.id != "struct" or not isinstance(index, exp.Literal) or not index.is_string:
        translator.refuse(node, form="Only the fields of structs, by name: x['field']")
    return struct_field(translator, node, whole, index.name)


def paren(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """An expression in parentheses."""
    translator.only(node, "this")
    return translator.expression(node.this, scope)


# ------------------------------------------------------------------------------------------------ conditions


def condition(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """An expression that is true, false or NULL."""
    value = translator.expression(node, scope)
    if value.kind.id == "null":
        return Value("CAST(NULL AS BOOLEAN)", BOOLEAN, BOOLEAN.probe, is_constant=True)
    if value.kind.id != "boolean":
        translator.refuse(node, f"{value.kind.text} as a condition in {excerpt(node)}", "Compare it: x <> 0")
    return value


def _logical(word: str) -> Handler:
    def handler(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
        translator.only(node, "this", "expression")
        check_nesting(translator, node)
        left, right = (condition(translator, one, scope) for one in (node.this, node.expression))
        return _truth(f"({left.spark} {word} {right.spark})", left, right)

    return handler


def _truth(spark: str, *parts: Value) -> Value:
    constant = all(part.is_constant for part in parts)
    return Value(spark, BOOLEAN, BOOLEAN.probe, constant)


def negation(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``not x``, and what is written as ``is not``, ``not in``, ``not like``."""
    translator.only(node, "this")
    check_nesting(translator, node)
    value = condition(translator, node.this, scope)
    return _truth(f"(NOT {value.spark})", value)


def comparable(
    translator: Translator, node: exp.Expression, left: Value, right: Value
) -> tuple[Value, Value]:
    """Two values as types that both engines compare alike.

    Raises:
        TranslationError: they are not known to be compared alike.
    """
    a, b = left.kind, right.kind
    if "null" in {a.id, b.id}:
        target = next((kind for kind in (a, b) if kind.id != "null"), BOOLEAN)
        return coerced(translator, node, left, target), coerced(translator, node, right, target)
    if left.text is not None and right.text is None and b.id != "varchar":
        return constant(translator, node, left, b), right
    if right.text is not None and left.text is None and a.id != "varchar":
        return left, constant(translator, node, right, a)
    if a.text == b.text and (a.id in COMPARED or a.is_exact or a.id == "double"):
        return left, right
    if a.is_exact and b.is_exact and _fit_together(a, b):
        return left, right
    target = next((kind for kind in (DOUBLE, TIMESTAMP) if kind.id in {a.id, b.id}), NULL)
    if target is NULL:
        translator.refuse(
            node,
            f"{a.text} compared with {b.text} in {excerpt(node)}",
            "Cast one of them to the other's type",
        )
    return coerced(translator, node, left, target), coerced(translator, node, right, target)


def _fit_together(a: Kind, b: Kind) -> bool:
    """Whether Spark compares two exact numbers without dropping digits."""
    whole = max(a.digits - a.scale, b.digits - b.scale)
    return whole + max(a.scale, b.scale) <= DECIMAL_DIGITS or a.scale == b.scale


def _row(node: exp.Expression) -> Sequence[exp.Expression] | None:
    if isinstance(node, exp.Tuple):
        return node.expressions
    if isinstance(node, exp.Anonymous) and node.name.lower() == "row":
        return node.expressions
    return None


def comparison(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``=``, ``<>``, ``<``, ``<=``, ``>``, ``>=``, ``is [not] distinct from``."""
    translator.only(node, "this", "expression")
    check_nesting(translator, node)
    rows = _row(node.this), _row(node.expression)
    if rows[0] is not None and rows[1] is not None:
        return _rows(translator, node, rows[0], rows[1], scope)
    left, right = comparable(
        translator,
        node,
        translator.expression(node.this, scope),
        translator.expression(node.expression, scope),
    )
    written = f"({_compared(left)} {_SYMBOLS[type(node)]} {_compared(right)})"
    return _truth(f"(NOT {written})" if isinstance(node, exp.NullSafeNEQ) else written, left, right)


def _compared(value: Value) -> str:
    """The text of a value that is compared: a DOUBLE in a form that Spark does not pass on to Iceberg.

    To both engines NaN is larger than every number, and -0.0 equal to 0.0. Iceberg leaves out files by their bounds, in which NaN do not count, and
    to it -0.0 is less than 0.0. It is given columns, and no expressions.
    """
    return f"({value.spark} + 0D)" if value.kind.id == "double" and not value.is_constant else value.spark


def _rows(
    translator: Translator,
    node: exp.Expression,
    left: Sequence[exp.Expression],
    right: Sequence[exp.Expression],
    scope: Scope,
) -> Value:
    """The order of two rows: by their first fields that differ, NULL last. Spark has it first."""
    if not isinstance(node, exp.LT | exp.LTE | exp.GT | exp.GTE) or len(left) != len(right):
        translator.refuse(node, form="Compare the fields one by one")
    if isinstance(node, exp.GT | exp.LTE):
        left, right = right, left
    pairs = [
        comparable(translator, node, translator.expression(one, scope), translator.expression(other, scope))
        for one, other in zip(left, right, strict=True)
    ]
    written = ""
    for a, b in reversed(pairs):
        less = f"COALESCE({a.spark} < {b.spark}, {a.spark} IS NOT NULL AND {b.spark} IS NULL)"
        written = f"({less} OR ({a.spark} <=> {b.spark} AND {written}))" if written else less
    if isinstance(node, exp.LTE | exp.GTE):
        written = f"(NOT {written})"
    return _truth(written, *(part for pair in pairs for part in pair))


def is_(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``is null``, ``is true``, ``is false``."""
    translator.only(node, "this", "expression")
    check_nesting(translator, node)
    if isinstance(node.expression, exp.Boolean):
        value = condition(translator, node.this, scope)
        return _truth(f"({value.spark} IS {'TRUE' if node.expression.this else 'FALSE'})", value)
    if not isinstance(node.expression, exp.Null):
        translator.refuse(node)
    value = translator.expression(node.this, scope)
    return _truth(f"({value.spark} IS NULL)", value)


def between(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``x between a and b``."""
    translator.only(node, "this", "low", "high")
    check_nesting(translator, node)
    value, low, high = (translator.expression(node.args[name], scope) for name in ("this", "low", "high"))
    above, below = comparable(translator, node, value, low), comparable(translator, node, value, high)
    return _truth(
        f"(({_compared(above[0])} >= {_compared(above[1])}) AND ({_compared(below[0])} <= {_compared(below[1])}))",
        value,
        low,
        high,
    )


def membership(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``x in (…)``, of values or of a query with one column."""
    translator.only(node, "this", "expressions", "query")
    check_nesting(translator, node)
    value = translator.expression(node.this, scope)
    inner = node.args.get("query")
    if inner is not None:
        _only_filters(translator, node)
        query = translator.query(inner.this if isinstance(inner, exp.Subquery) else inner, scope)
        if len(query.columns) != 1 or query.columns[0].kind.text != value.kind.text:
            translator.refuse(
                node,
                f"IN with columns of other types in {excerpt(node)}",
                f"Cast the column to {value.kind.text}",
            )
        return Value(f"({value.spark} IN ({query.spark}))", BOOLEAN, BOOLEAN.probe)
    pairs = [
        comparable(translator, node, value, translator.expression(one, scope)) for one in node.expressions
    ]
    if len({left.spark for left, _ in pairs}) > 1:
        translator.refuse(
            node, f"IN with values of several types in {excerpt(node)}", "Cast them to one type"
        )
    items = ", ".join(right.spark for _, right in pairs)
    return _truth(f"({_compared(pairs[0][0])} IN ({items}))", value, *(right for _, right in pairs))


def _only_filters(translator: Translator, node: exp.Expression) -> None:
    """Refuse IN with a query where NULL is not the same as false: outside of a filter Spark gives false for both.

    Raises:
        TranslationError: it is no condition of WHERE or HAVING, or is negated together with others.
    """
    at: exp.Expr = node
    while isinstance(at.parent, exp.Paren):
        at = at.parent
    if isinstance(at.parent, exp.Not):
        at = at.parent
    while isinstance(at.parent, exp.Paren | exp.And | exp.Or):
        at = at.parent
    if not isinstance(at.parent, exp.Where | exp.Having) or isinstance(at.parent.parent, exp.Filter):
        translator.refuse(node, f"{excerpt(node)} outside of WHERE", "Use it in WHERE, or write EXISTS")


def like(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``x like 'pattern'``; DuckDB has no escape character there, Spark has the backslash."""
    translator.only(node, "this", "expression", "negate")
    check_nesting(translator, node)
    value, pattern = translator.expression(node.this, scope), translator.expression(node.expression, scope)
    if value.kind.id != "varchar" or pattern.text is None:
        translator.refuse(node, form="LIKE with a constant pattern on a text")
    word = "NOT LIKE" if node.args.get("negate") else "LIKE"
    escaped = text_literal(pattern.text.replace("\\", "\\\\"))
    probe = f"({value.probe} {word} {pattern.probe})"
    return translator.made(node, f"({value.spark} {word} {escaped})", probe, (value,), gives="BOOLEAN")


def case(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``case when … then … end`` and ``case x when … then … end``."""
    translator.only(node, "this", "ifs", "default")
    subject = translator.expression(node.this, scope) if node.this is not None else None
    conditions, results, is_constant = [], [], subject is not None
    for one in node.args["ifs"]:
        translator.only(one, "this", "true")
        if subject is None:
            conditions.append(condition(translator, one.this, scope).spark)
        else:
            compared = translator.expression(one.this, scope)
            left, right = comparable(translator, one, subject, compared)
            is_constant = is_constant and compared.is_constant and left is subject
            conditions.append(f"{left.spark} = {right.spark}")
        results.append(translator.expression(one.args["true"], scope))
    if node.args.get("default") is not None:
        results.append(translator.expression(node.args["default"], scope))
    common = _common(translator, node, results)
    texts = [one.spark for one in common]
    otherwise = f" ELSE {texts[-1]}" if len(texts) > len(conditions) else ""

    def written(given: list[str]) -> str:
        return (
            "CASE "
            + " ".join(f"WHEN {one} THEN {then}" for one, then in zip(given, texts, strict=False))
            + f"{otherwise} END"
        )

    spark = written(conditions)
    if subject is not None and is_constant and all(one.is_constant for one in results):
        start = len(subject.spark)
        spark = computed_once(subject.spark, lambda x: written([x + one[start:] for one in conditions]))
    return Value(spark, common[0].kind, common[0].kind.probe)


def _common(translator: Translator, node: exp.Expression, values: Sequence[Value]) -> list[Value]:
    """Values as the type that DuckDB gives all of them together."""
    kind = translator.kind(node, "CASE " + " ".join(f"WHEN true THEN {one.probe}" for one in values) + " END")
    if kind.id in {"null", '"null"'} or kind.spark is None:
        translator.refuse(
            node, f"the type {kind.text} of {excerpt(node)}", "Cast it to a type that Spark has"
        )
    return [coerced(translator, node, one, kind) for one in values]


common_values = _common


# ------------------------------------------------------------------------------------------------ arithmetic


def arithmetic(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``+``, ``-`` and ``*`` of numbers, and ``+`` and ``-`` of dates and times."""
    translator.only(node, "this", "expression")
    check_nesting(translator, node)
    symbol = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}[type(node)]  # type: ignore[index]
    if isinstance(node.expression, exp.Interval) and symbol != "*":
        return _moved(translator, node, symbol, translator.expression(node.this, scope))
    left, right = translator.expression(node.this, scope), translator.expression(node.expression, scope)
    if left.kind.id == "date" and symbol != "*":
        return _days(translator, node, symbol, left, right)
    _numbers(translator, node, left, right)
    probe = f"({left.probe} {symbol} {right.probe})"
    kind = translator.kind(node, probe)
    if kind.id == "decimal":
        digits, places = (product_of if symbol == "*" else sum_of)(left.kind, right.kind)
        if places < kind.scale:
            translator.refuse(
                node,
                f"{excerpt(node)}, of which Spark would keep {places} of {kind.scale} decimals,",
                "Cast its parts to fewer digits",
            )
        a, b = (
            one.spark if one.kind.id == "decimal" else f"CAST({one.spark} AS DECIMAL({one.kind.digits},0))"
            for one in (left, right)
        )
        return translator.made(
            node, f"({a} {symbol} {b})", probe, (left, right), gives=f"DECIMAL({digits},{places})"
        )
    a, b = (coerced(translator, node, one, kind).spark for one in (left, right))
    return translator.made(node, f"({a} {symbol} {b})", probe, (left, right), gives=kind.spark)


def _numbers(translator: Translator, node: exp.Expression, *values: Value) -> None:
    for one in values:
        if not (one.kind.is_exact or one.kind.id == "double"):
            translator.refuse(node, f"{one.kind.text} in {excerpt(node)}", "Cast it to a number")


def division(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``/``, which is in DOUBLE for all numbers."""
    translator.only(node, "this", "expression", "typed", "safe")
    check_nesting(translator, node)
    left, right = translator.expression(node.this, scope), translator.expression(node.expression, scope)
    _numbers(translator, node, left, right)
    probe = f"({left.probe} / {right.probe})"
    a, b = (coerced(translator, node, one, DOUBLE).spark for one in (left, right))
    return translator.made(node, f"({a} / {b})", probe, (left, right), gives="DOUBLE")


def whole_division(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``//`` and ``%`` of whole numbers; NULL where the divisor is zero."""
    translator.only(node, "this", "expression")
    check_nesting(translator, node)
    symbol = "//" if isinstance(node, exp.IntDiv) else "%"
    left, right = translator.expression(node.this, scope), translator.expression(node.expression, scope)
    probe = f"({left.probe} {symbol} {right.probe})"
    kind = translator.kind(node, probe)
    if not all(one.kind.is_integer or one.kind.id == "hugeint" for one in (left, right)):
        translator.refuse(node, form="Cast both to whole numbers: cast(… as bigint)")
    a, b = (coerced(translator, node, one, kind).spark for one in (left, right))
    if symbol == "//" and kind.id == "hugeint":
        # DIV of DECIMAL wraps around where the quotient has more than 64 bits
        exact = f"(({a} - {a} % NULLIF({b}, 0)) / NULLIF({b}, 0))"
        return translator.made(node, exact, probe, (left, right), gives="DECIMAL(38,6)")
    if symbol == "//":
        return translator.made(node, f"({a} DIV NULLIF({b}, 0))", probe, (left, right), gives="BIGINT")
    return translator.made(node, f"({a} % NULLIF({b}, 0))", probe, (left, right), gives=kind.spark)


def minus(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``-x``."""
    translator.only(node, "this")
    check_nesting(translator, node)
    if isinstance(node.this, exp.Literal) and not node.this.is_string:
        return number(translator, node, f"-{node.this.this}")
    value = translator.expression(node.this, scope)
    _numbers(translator, node, value)
    return translator.made(node, f"(- {value.spark})", f"(- {value.probe})", (value,))


def _days(translator: Translator, node: exp.Expression, symbol: str, left: Value, right: Value) -> Value:
    probe = f"({left.probe} {symbol} {right.probe})"
    if right.kind.is_integer:
        function = "DATE_ADD" if symbol == "+" else "DATE_SUB"
        return translator.made(node, f"{function}({left.spark}, {right.spark})", probe, (left, right))
    if right.kind.id == "date" and symbol == "-":
        return translator.made(
            node, f"DATEDIFF({left.spark}, {right.spark})", probe, (left, right), gives="INT"
        )
    return translator.refuse(
        node,
        f"{left.kind.text} {symbol} {right.kind.text} in {excerpt(node)}",
        "Add days, or an interval such as interval 1 month",
    )


def interval_parts(translator: Translator, node: exp.Interval) -> tuple[int, str]:
    """Number and unit of a constant interval.

    Raises:
        TranslationError: it is no whole number of one unit.
    """
    translator.only(node, "this", "unit")
    unit = node.args["unit"].name.upper() if node.args.get("unit") else ""
    unit = unit.removesuffix("S")
    count = node.this.name if isinstance(node.this, exp.Literal) else ""
    if unit == "WEEK" and count.isdigit():
        unit, count = "DAY", str(7 * int(count))
    if unit not in _INTERVALS or not re.fullmatch(r"[0-9]{1,6}", count):
        translator.refuse(
            node, f"the interval {excerpt(node)}", "Write a constant of one unit: interval 1 month"
        )
    return int(count), unit


def _moved(translator: Translator, node: exp.Expression, symbol: str, value: Value) -> Value:
    interval = node.expression
    assert isinstance(interval, exp.Interval)
    count, unit = interval_parts(translator, interval)
    if value.kind.id not in {"date", "timestamp", "timestamp with time zone"}:
        translator.refuse(
            node, f"{value.kind.text} {symbol} INTERVAL in {excerpt(node)}", "Cast it to a date or timestamp"
        )
    start = f"CAST({value.spark} AS TIMESTAMP_NTZ)" if value.kind.id == "date" else value.spark
    probe = f"({value.probe} {symbol} INTERVAL {count} {unit})"
    return translator.made(node, f"({start} {symbol} INTERVAL '{count}' {unit})", probe, (value,))


def concatenation(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``||`` of texts, and of numbers and truth values, which become text."""
    translator.only(node, "this", "expression", "safe")
    check_nesting(translator, node)
    values = [translator.expression(one, scope) for one in (node.this, node.expression)]
    left, right = (as_text(translator, node, one).spark for one in values)
    probe = f"({values[0].probe} || {values[1].probe})"
    return translator.made(node, f"({left} || {right})", probe, values, gives="STRING")


def as_text(translator: Translator, node: exp.Expression, value: Value) -> Value:
    """A value as the text that both engines write for it."""
    if value.kind.id in {"varchar", "null"} or value.kind.is_exact or value.kind.id == "boolean":
        return cast(translator, node, value, VARCHAR)
    return translator.refuse(
        node, f"{value.kind.text} as text in {excerpt(node)}", "Cast it: cast(… as varchar)"
    )


HANDLERS: dict[type[exp.Expression], Handler] = {
    exp.Literal: literal,
    exp.Boolean: boolean,
    exp.Null: null,
    exp.Column: column,
    exp.Bracket: bracket,
    exp.Paren: paren,
    exp.And: _logical("AND"),
    exp.Or: _logical("OR"),
    exp.Not: negation,
    **dict.fromkeys(_SYMBOLS, comparison),
    exp.Is: is_,
    exp.Between: between,
    exp.In: membership,
    exp.Like: like,
    exp.Case: case,
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul), arithmetic),
    exp.Div: division,
    exp.IntDiv: whole_division,
    exp.Mod: whole_division,
    exp.Neg: minus,
    exp.DPipe: concatenation,
}
