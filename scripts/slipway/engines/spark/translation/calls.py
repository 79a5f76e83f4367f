"""Calls of functions and aggregates, with DISTINCT, ORDER BY, FILTER and OVER."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from slipway.engines.spark.translation.listed import Call, Function, takes
from slipway.engines.spark.translation.moment_functions import MOMENTS, at_time_zone, extract
from slipway.engines.spark.translation.operators import (
    COMPARED,
    common_values,
    comparable,
    condition,
    interval_parts,
)
from slipway.engines.spark.translation.refusal import ANYTHING, excerpt
from slipway.engines.spark.translation.scopes import Scope, Value, computed_once, quoted, text_literal
from slipway.engines.spark.translation.text_functions import TEXTS
from slipway.engines.spark.translation.translator import Handler, Translator
from slipway.engines.spark.translation.type_kinds import VARCHAR, Kind

# ------------------------------------------------------------------------------------------------ plain functions


def _common(name: str) -> Callable[[Call], str]:
    def build(call: Call) -> str:
        values = common_values(call.translator, call.node, call.arguments)
        return f"{name}({', '.join(one.spark for one in values)})"

    return build


def _extreme(name: str) -> Callable[[Call], str]:
    def build(call: Call) -> str:
        values = common_values(call.translator, call.node, call.arguments)
        if not _is_ordered(values[0].kind):
            call.translator.refuse(call.node, f"{name.lower()} of {values[0].kind.text}", ANYTHING)
        return f"{name}({', '.join(one.spark for one in values)})"

    return build


def _null_if(call: Call) -> str:
    left, right = comparable(call.translator, call.node, *call.arguments)
    given = call.arguments[0]
    if right.is_constant and left.spark == given.spark:
        return computed_once(given.spark, lambda x: f"CASE WHEN {x} = {right.spark} THEN NULL ELSE {x} END")
    return f"CASE WHEN {left.spark} = {right.spark} THEN NULL ELSE {given.spark} END"


def _round(call: Call) -> str:
    places = call.arguments[1].spark if len(call.arguments) > 1 else "0"
    return f"ROUND({call.arguments[0].spark}, {places})"


def _row(call: Call) -> str:
    return (
        "NAMED_STRUCT(" + ", ".join(f"'v{at}', {one.spark}" for at, one in enumerate(call.arguments, 1)) + ")"
    )


def _is_ordered(kind: Kind) -> bool:
    return kind.is_exact or kind.id in COMPARED or kind.id == "double"


GENERAL: tuple[Function, ...] = (
    Function("coalesce", ("any…",), "COALESCE({0}, …)", build=_common("COALESCE")),
    Function("ifnull", ("any", "any"), "COALESCE({0}, {1})", build=_common("COALESCE")),
    Function("nullif", ("any", "any"), "CASE WHEN {0} = {1} THEN NULL ELSE {0} END", build=_null_if),
    Function(
        "greatest", ("any…",), "GREATEST({0}, …)", build=_extreme("GREATEST"), remark="NULL only if all are"
    ),
    Function("least", ("any…",), "LEAST({0}, …)", build=_extreme("LEAST"), remark="NULL only if all are"),
    Function("abs", ("exact number",), "ABS({0})"),
    Function("abs", ("double",), "ABS({0})"),
    Function("sign", ("number",), "CAST(SIGN({0}) AS TINYINT)", gives="DOUBLE"),
    Function("round", ("decimal",), "ROUND({0}, 0)", build=_round, gives="several"),
    Function("round", ("decimal", "positive constant"), "ROUND({0}, {1})", build=_round, gives="several"),
    Function("floor", ("decimal",), "FLOOR({0})", gives="several"),
    Function("ceil", ("decimal",), "CEIL({0})", gives="several"),
    Function("isnan", ("double",), "IF({0} IS NULL, NULL, ISNAN({0}))"),
    Function(
        "row",
        ("any…",),
        "NAMED_STRUCT('v1', {0}, …)",
        build=_row,
        remark="to compare and order by, not to store",
    ),
)

FUNCTIONS: tuple[Function, ...] = (*GENERAL, *TEXTS, *MOMENTS)

# ------------------------------------------------------------------------------------------------ aggregates


@dataclass(frozen=True)
class Aggregate:
    """An aggregate of DuckDB that is translated.

    Args:
        name: as DuckDB calls it.
        takes: the kinds of argument, in words, for the reference.
        accepts: whether it takes arguments of these types.
        spark: how it is written.
        gives: the type that Spark gives this, where DuckDB's may be another one.
        windowed: whether it may have OVER.
        filtered: whether FILTER is Spark's own; else it is refused.
        remark: what a reader must know.
    """

    name: str
    takes: str
    accepts: Callable[[Sequence[Kind]], bool]
    spark: Callable[[Sequence[str], Sequence[Kind]], str]
    shown: str
    gives: str | None = None
    windowed: bool = True
    remark: str = ""


def _one(test: Callable[[Kind], bool]) -> Callable[[Sequence[Kind]], bool]:
    return lambda kinds: len(kinds) == 1 and test(kinds[0])


def _plain(function: str) -> Callable[[Sequence[str], Sequence[Kind]], str]:
    return lambda texts, _: f"{function}({texts[0]})"


def _order_key(text: str, kind: Kind) -> str:
    """A value to order by in which NULL is last, as DuckDB orders the fields of a row."""
    if kind.id != "struct":
        return text
    parts = []
    for at, (name, inner) in enumerate(kind.fields, 1):
        field = f"{text}.{quoted(name or f'v{at}')}"
        parts.append(f"'n{at}', {field} IS NULL, 'k{at}', {_order_key(field, inner)}")
    return f"NAMED_STRUCT({', '.join(parts)})"


def _by(function: str) -> Callable[[Sequence[str], Sequence[Kind]], str]:
    """Rows of which either argument is NULL do not count."""

    def spark(texts: Sequence[str], kinds: Sequence[Kind]) -> str:
        value, key = texts
        return f"{function}({value}, CASE WHEN {value} IS NOT NULL AND {key} IS NOT NULL THEN {_order_key(key, kinds[1])} END)"

    return spark


def _orderable(kind: Kind) -> bool:
    return _is_ordered(kind) or (kind.id == "struct" and all(_orderable(inner) for _, inner in kind.fields))


def _average(texts: Sequence[str], _kinds: Sequence[Kind]) -> str:
    return f"(CAST(SUM(CAST({texts[0]} AS DECIMAL(28,0))) AS DOUBLE) / NULLIF(COUNT({texts[0]}), 0))"


_BY_REMARK = (
    "rows where either is NULL do not count; of rows with equal second arguments either engine may take any"
)

AGGREGATES: tuple[Aggregate, ...] = (
    Aggregate(
        "count", "any", lambda kinds: len(kinds) == 1, lambda texts, _: f"COUNT({texts[0]})", "COUNT({0})"
    ),
    Aggregate(
        "sum",
        "whole number",
        _one(lambda kind: kind.is_integer),
        lambda texts, _: f"SUM(CAST({texts[0]} AS DECIMAL(28,0)))",
        "SUM(CAST({0} AS DECIMAL(28,0)))",
    ),
    Aggregate(
        "sum",
        "decimal, hugeint",
        _one(lambda kind: kind.id in {"decimal", "hugeint"}),
        lambda texts, _: f"SUM({texts[0]})",
        "SUM({0})",
        gives="several",
    ),
    Aggregate(
        "avg",
        "whole number",
        _one(lambda kind: kind.is_integer),
        _average,
        "CAST(SUM({0}) AS DOUBLE) / COUNT({0})",
        windowed=False,
    ),
    *(
        Aggregate(
            name,
            "number, text, boolean, date or time",
            _one(_is_ordered),
            _plain(name.upper()),
            f"{name.upper()}({{0}})",
        )
        for name in ("min", "max")
    ),
    Aggregate(
        "bool_and",
        "boolean",
        _one(lambda kind: kind.id == "boolean"),
        lambda texts, _: f"BOOL_AND({texts[0]})",
        "BOOL_AND({0})",
    ),
    Aggregate(
        "bool_or",
        "boolean",
        _one(lambda kind: kind.id == "boolean"),
        lambda texts, _: f"BOOL_OR({texts[0]})",
        "BOOL_OR({0})",
    ),
    *(
        Aggregate(
            name,
            "any, and something to order by",
            lambda kinds: len(kinds) == 2 and _orderable(kinds[1]),
            _by(function),
            f"{function}({{0}}, {{1}})",
            windowed=False,
            remark=_BY_REMARK,
        )
        for name, function in (
            ("arg_max", "MAX_BY"),
            ("argmax", "MAX_BY"),
            ("max_by", "MAX_BY"),
            ("arg_min", "MIN_BY"),
            ("argmin", "MIN_BY"),
            ("min_by", "MIN_BY"),
        )
    ),
)

RANKS = {"row_number": "INT", "rank": "INT", "dense_rank": "INT"}
"""Window functions without arguments, and the type that Spark gives them."""

JOINED = ("string_agg", "listagg", "group_concat")
OFFSETS = ("lag", "lead")
EDGES = ("first_value", "last_value")


def _parts(translator: Translator, node: exp.Expression) -> tuple[exp.Anonymous, exp.Expression | None]:
    """The function of a call with FILTER, and the condition."""
    if isinstance(node, exp.Filter):
        translator.only(node, "this", "expression")
        if isinstance(node.this, exp.Anonymous) and isinstance(node.expression, exp.Where):
            return node.this, node.expression.this
    if not isinstance(node, exp.Anonymous):
        translator.refuse(node)
    return node, None


def aggregate(translator: Translator, node: exp.Expression, scope: Scope, *, over: str = "") -> Value | None:
    """A call of an aggregate, or None where it is none that is listed."""
    call, only_if = _parts(translator, node)
    name = call.name.lower()
    if name in JOINED:
        return _texts_joined(translator, call, only_if, scope, over)
    if name not in {one.name for one in AGGREGATES}:
        return None
    found, spark, probe, values = _counted(translator, call) or _aggregated(translator, call, scope, over)
    if over and not found.windowed:
        translator.refuse(node, f"{name} with OVER", "Compute it in a query with GROUP BY, and join that")
    if only_if is not None:
        if over or name == "avg":
            translator.refuse(node, f"{name} with FILTER here", f"Write {name}(case when … then x end)")
        spark += f" FILTER (WHERE {condition(translator, only_if, scope).spark})"
    return translator.made(node, f"{spark}{over}", probe, values, gives=found.gives, is_constant=False)


_Aggregated = tuple[Aggregate, str, str, Sequence[Value]]


def _counted(translator: Translator, call: exp.Anonymous) -> _Aggregated | None:
    """``count(*)`` and ``count()``."""
    arguments = call.expressions
    if call.name.lower() != "count" or not (not arguments or isinstance(arguments[0], exp.Star)):
        return None
    if arguments:
        translator.only(arguments[0])
    return next(one for one in AGGREGATES if one.name == "count"), "COUNT(*)", "count(*)", ()


def _aggregated(translator: Translator, call: exp.Anonymous, scope: Scope, over: str) -> _Aggregated:
    name, arguments = call.name.lower(), list(call.expressions)
    is_distinct = len(arguments) == 1 and isinstance(arguments[0], exp.Distinct)
    if is_distinct:
        translator.only(arguments[0], "expressions")
        arguments = list(arguments[0].expressions)
        if name != "count" or over or len(arguments) != 1:
            translator.refuse(
                call, f"DISTINCT in {excerpt(call)}", "count(distinct x) of one column, without OVER"
            )
    values = [translator.expression(one, scope) for one in arguments]
    kinds = [one.kind for one in values]
    found = next((one for one in AGGREGATES if one.name == name and one.accepts(kinds)), None)
    if found is None:
        translator.refuse(call, f"{name} of {', '.join(one.text for one in kinds)}", _forms_of(name))
    if is_distinct and values[0].kind.id == "double":
        translator.refuse(call, f"DISTINCT of {values[0].kind.text}", "Cast it to DECIMAL")
    spark = (
        f"COUNT(DISTINCT {values[0].spark})"
        if is_distinct
        else found.spark([one.spark for one in values], kinds)
    )
    return found, spark, f"{name}({', '.join(one.kind.probe for one in values)})", values


def _forms_of(name: str) -> str:
    return {
        "sum": "Sums of DOUBLE depend on the order of rows: cast to DECIMAL",
        "avg": "Write sum(x) and count(x) as columns, and divide whole numbers; means of DOUBLE and DECIMAL depend on how an engine adds them up",
    }.get(name, ANYTHING)


def _texts_joined(
    translator: Translator, call: exp.Anonymous, only_if: exp.Expression | None, scope: Scope, over: str
) -> Value:
    """``string_agg(x, ',' order by y)``; without an order the result is not determined."""
    last = call.expressions[-1] if call.expressions else None
    if over or len(call.expressions) != 2 or not isinstance(last, exp.Order):
        translator.refuse(call, form="string_agg(x, ',' order by y)")
    value, separator = (
        translator.expression(call.expressions[0], scope),
        translator.expression(last.this, scope),
    )
    if value.kind.id != "varchar" or separator.text is None:
        translator.refuse(call, form="string_agg of a text, with a constant text between")
    order = ordering(translator, last.expressions, scope)
    spark = f"LISTAGG({value.spark}, {separator.spark}) WITHIN GROUP (ORDER BY {order})"
    if only_if is not None:
        spark += f" FILTER (WHERE {condition(translator, only_if, scope).spark})"
    return Value(spark, VARCHAR, VARCHAR.probe)


def ordering(translator: Translator, nodes: Sequence[exp.Expression], scope: Scope) -> str:
    """The items of an ORDER BY, with NULLs where DuckDB has them. A row is ordered by its fields."""
    items = []
    for node in nodes:
        if not isinstance(node, exp.Ordered):
            translator.refuse(node)
        translator.only(node, "this", "desc", "nulls_first")
        value = translator.expression(node.this, scope)
        if not _orderable(value.kind):
            translator.refuse(
                node, f"the order of {value.kind.text}", "Order by texts, numbers, dates or times"
            )
        words = f"{'DESC' if node.args.get('desc') else 'ASC'} NULLS {'FIRST' if node.args.get('nulls_first') else 'LAST'}"
        if value.kind.id == "struct" and (node.args.get("desc") or node.args.get("nulls_first")):
            translator.refuse(node, "a row in descending order", "Order by its fields one by one")
        items += [f"{key} {words}" for key in _keys(value.spark, value.kind)]
    return ", ".join(items)


def _keys(text: str, kind: Kind) -> list[str]:
    if kind.id != "struct":
        return [text]
    inner = [
        key
        for at, (name, one) in enumerate(kind.fields, 1)
        for key in _keys(f"{text}.{quoted(name or f'v{at}')}", one)
    ]
    return [f"({text} IS NULL)", *inner]


# ------------------------------------------------------------------------------------------------ windows


def window(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """A function with OVER."""
    translator.only(node, "this", "partition_by", "order", "spec", "alias", "over")
    call, _ = _parts(translator, node.this)
    name = call.name.lower()
    over = f" OVER ({_definition(translator, node, scope)})"
    if name in RANKS or name in OFFSETS or name in EDGES:
        return _ranked(translator, node, call, scope, over)
    found = aggregate(translator, node.this, scope, over=over)
    if found is None:
        translator.refuse(node, f"{name} with OVER")
    return found


def _definition(translator: Translator, node: exp.Expression, scope: Scope) -> str:
    alias = node.args.get("alias")
    if alias is not None:
        named = scope.windows.get(alias.name.lower())
        if named is None or any(node.args.get(one) for one in ("partition_by", "order", "spec")):
            translator.refuse(node, form="Write the window out, or name one of the WINDOW clause")
        translator.only(named, "this", "partition_by", "order", "spec", "over")
        return _definition_parts(translator, named, scope)
    return _definition_parts(translator, node, scope)


def _definition_parts(translator: Translator, node: exp.Expression, scope: Scope) -> str:
    words = []
    if node.args.get("partition_by"):
        keys = [translator.expression(one, scope) for one in node.args["partition_by"]]
        for one, key in zip(node.args["partition_by"], keys, strict=True):
            if key.kind.id not in COMPARED and not key.kind.is_exact:
                translator.refuse(
                    one,
                    f"PARTITION BY {key.kind.text}",
                    "Partition by texts, whole numbers, DECIMAL, dates or times",
                )
        words.append("PARTITION BY " + ", ".join(one.spark for one in keys))
    order = node.args.get("order")
    if order is not None:
        translator.only(order, "expressions")
        words.append("ORDER BY " + ordering(translator, order.expressions, scope))
    spec = node.args.get("spec")
    if spec is not None:
        words.append(_frame(translator, spec))
    return " ".join(words)


def _frame(translator: Translator, spec: exp.Expression) -> str:
    translator.only(spec, "kind", "start", "start_side", "end", "end_side")
    kind = str(spec.args.get("kind")).upper()
    if kind not in {"ROWS", "RANGE"}:
        translator.refuse(spec, f"a frame of {kind}", "Write ROWS BETWEEN … AND …")
    start = _bound(translator, spec, kind, "start")
    end = _bound(translator, spec, kind, "end") if spec.args.get("end") else "CURRENT ROW"
    return f"{kind} BETWEEN {start} AND {end}"


def _bound(translator: Translator, spec: exp.Expression, kind: str, which: str) -> str:
    bound, side = spec.args.get(which), str(spec.args.get(f"{which}_side") or "").upper()
    if isinstance(bound, str):
        word = bound.upper()
        return word if word == "CURRENT ROW" else f"{word} {side}"
    if kind == "ROWS" and isinstance(bound, exp.Literal) and str(bound.this).isdigit():
        return f"{bound.this} {side}"
    if kind == "RANGE" and isinstance(bound, exp.Interval):
        count, unit = interval_parts(translator, bound)
        if unit == "DAY":
            return f"INTERVAL '{count}' DAY {side}"
    return translator.refuse(spec, form="Constants: ROWS BETWEEN 6 PRECEDING AND CURRENT ROW")


def _has_frame(node: exp.Expression, scope: Scope) -> bool:
    alias = node.args.get("alias")
    return bool((scope.windows[alias.name.lower()] if alias is not None else node).args.get("spec"))


def _ranked(
    translator: Translator, node: exp.Expression, call: exp.Anonymous, scope: Scope, over: str
) -> Value:
    name = call.name.lower()
    if not isinstance(node.this, exp.Anonymous):
        translator.refuse(node, f"{name} with FILTER")
    values = [translator.expression(one, scope) for one in call.expressions]
    if _has_frame(node, scope) and name not in EDGES:
        translator.refuse(
            node, f"{name} with a frame", "Leave the frame out; DuckDB does not look at it either"
        )
    if "ORDER BY" not in over:
        translator.refuse(node, f"{name} without ORDER BY", "Say in which order")
    probe = f"{name}({', '.join(one.probe for one in values)}) OVER ()"
    if name in RANKS:
        if values:
            translator.refuse(node)
        return translator.made(
            node, f"{name.upper()}(){over}", probe, (), gives=RANKS[name], is_constant=False
        )
    if name in EDGES:
        if len(values) != 1:
            translator.refuse(node)
        return translator.made(
            node, f"{name.upper()}({values[0].spark}){over}", probe, values, is_constant=False
        )
    if not 1 <= len(values) <= 2 or (
        len(values) == 2 and not str(getattr(call.expressions[1], "this", "")).isdigit()
    ):
        translator.refuse(node, form=f"{name}(x), or {name}(x, 2) with a constant")
    texts = ", ".join(one.spark for one in values)
    return translator.made(node, f"{name.upper()}({texts}){over}", probe, values, is_constant=False)


# ------------------------------------------------------------------------------------------------ dispatch


def struct_pack(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``struct_pack(a := x, …)``."""
    names, values = [], []
    for one in node.expressions:
        if not isinstance(one, exp.PropertyEQ) or not isinstance(one.this, exp.Identifier):
            translator.refuse(node, form="struct_pack(a := x, b := y)")
        names.append(one.this.name)
        values.append(translator.expression(one.expression, scope))
    if len({name.lower() for name in names}) < len(names):
        translator.refuse(node, "two fields of one name")
    spark = ", ".join(f"{text_literal(name)}, {one.spark}" for name, one in zip(names, values, strict=True))
    inner = ", ".join(
        '"' + name.replace('"', '""') + f'" := {one.probe}' for name, one in zip(names, values, strict=True)
    )
    return translator.made(node, f"NAMED_STRUCT({spark})", f"struct_pack({inner})", values)


def call(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """A call without OVER."""
    name = node.name.lower()
    translator.only(node, "this", "expressions")
    if name == "struct_pack":
        return struct_pack(translator, node, scope)
    found_aggregate = aggregate(translator, node, scope)
    if found_aggregate is not None:
        return found_aggregate
    if name not in {one.name for one in FUNCTIONS}:
        translator.refuse(node, f"the function {name}", FORMS.get(name, ANYTHING))
    values = [translator.expression(one, scope) for one in node.expressions]
    listed = next(
        (one for one in FUNCTIONS if one.name == name and takes(one, values, node.expressions)), None
    )
    if listed is None:
        given = ", ".join("a constant text" if one.text is not None else one.kind.text for one in values)
        forms = " or ".join(f"{one.name}({', '.join(one.takes)})" for one in FUNCTIONS if one.name == name)
        translator.refuse(node, f"{name} of ({given})", f"Write {forms}")
    made = Call(translator, node, values, scope)
    spark = listed.build(made) if listed.build else listed.spark.format(*made.texts())
    probe = f"{name}({', '.join(one.probe for one in values)})"
    return translator.made(node, spark, probe, values, gives=listed.gives)


def filtered(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """An aggregate with FILTER."""
    found = aggregate(translator, node, scope)
    if found is None:
        translator.refuse(node)
    return found


FORMS = {
    "array_agg": "string_agg(x, ',' order by y), or one row for each element",
    "list": "string_agg(x, ',' order by y), or one row for each element",
    "any_value": "min(x) or max(x)",
    "first": "arg_min(x, y) with an order that has no equals",
    "last": "arg_max(x, y) with an order that has no equals",
    "log": "Compute it in a model of DuckDB",
    "hash": "md5(x)",
    "median": "Compute it in a model of DuckDB",
    "now": "A var such as as_of; models use no clock",
    "current_date": "A var such as as_of; models use no clock",
    "today": "A var such as as_of; models use no clock",
    "epoch_ms": "epoch_us(x) // 1000",
    "epoch": "epoch_us(x)",
    "strptime": "cast(x as timestamp) of a text such as 2025-01-31 10:00:00",
    "try_strptime": "cast(x as timestamp) of a text such as 2025-01-31 10:00:00",
    "ilike": "lower(x) like 'pattern'",
    "if": "case when … then … else … end",
    "string_split": "split_part(x, ',', 1)",
}
"""What to write instead, by function."""

HANDLERS: dict[type[exp.Expression], Handler] = {
    exp.Anonymous: call,
    exp.Filter: filtered,
    exp.Window: window,
    exp.Extract: extract,
    exp.AtTimeZone: at_time_zone,
}
