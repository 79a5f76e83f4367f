"""GROUP BY, DISTINCT, ORDER BY and LIMIT: what they may name, and of which types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from slipway.engines.spark.translation.calls import AGGREGATES, JOINED, ordering
from slipway.engines.spark.translation.operators import COMPARED
from slipway.engines.spark.translation.refusal import excerpt
from slipway.engines.spark.translation.scopes import Column, Scope, Source, Value
from slipway.engines.spark.translation.translator import Translator


@dataclass(frozen=True)
class Projection:
    """One column of a select list.

    Args:
        node: its expression.
        value: its translation.
        name: its name, or None where it has none.
    """

    node: exp.Expression
    value: Value
    name: str | None


def group_by(translator: Translator, node: exp.Select, scope: Scope, projections: list[Projection]) -> str:
    """GROUP BY with what it groups by; empty where the query has none.

    Raises:
        TranslationError: a part of it is not known to have the same result on Spark.
    """
    clause = node.args.get("group")
    if clause is None:
        return ""
    translator.only(clause, "expressions", "all")
    if clause.args.get("all"):
        keys = [one.value for one in projections if not has_aggregate(one.node)]
        for one in projections:
            if (
                has_aggregate(one.node)
                and not isinstance(one.node, exp.Anonymous | exp.Filter)
                and _has_column_outside(one.node)
            ):
                translator.refuse(
                    one.node, f"GROUP BY ALL with {excerpt(one.node)}", "List the columns to group by"
                )
    else:
        keys = [_group_key(translator, one, scope, projections) for one in clause.expressions]
    for key in keys:
        if key.kind.id not in COMPARED and not key.kind.is_exact:
            translator.refuse(
                clause, f"GROUP BY {key.kind.text}", "Group by texts, whole numbers, DECIMAL, dates or times"
            )
    if any(one.is_constant for one in keys):
        translator.refuse(clause, "GROUP BY a constant", "Leave it out")
    return f" GROUP BY {', '.join(one.spark for one in keys)}" if keys else ""


def _group_key(
    translator: Translator, node: exp.Expression, scope: Scope, projections: list[Projection]
) -> Value:
    if isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit():
        position = int(node.this)
        if not 1 <= position <= len(projections):
            translator.refuse(node)
        return projections[position - 1].value
    check_unambiguous(translator, node, scope)
    return translator.expression(node, scope)


def check_distinct(translator: Translator, projections: list[Projection]) -> None:
    """Refuse DISTINCT of columns whose values engines compare differently.

    Raises:
        TranslationError: a part of it is not known to have the same result on Spark.
    """
    for one in projections:
        if one.value.kind.id not in COMPARED and not one.value.kind.is_exact:
            translator.refuse(one.node, f"DISTINCT {one.value.kind.text}", "Cast it to a text or DECIMAL")


def has_aggregate(node: exp.Expr) -> bool:
    """Whether an expression has an aggregate or a window in it."""
    names = {one.name for one in AGGREGATES} | set(JOINED)
    return any(
        (isinstance(part, exp.Anonymous) and part.name.lower() in names) or isinstance(part, exp.Window)
        for part in node.walk()
    )


def _has_column_outside(node: exp.Expression) -> bool:
    """Whether columns stand outside of the aggregates of an expression."""
    return any(
        not any(
            has_aggregate(up) and isinstance(up, exp.Anonymous | exp.Filter) for up in _ancestors(part, node)
        )
        for part in node.find_all(exp.Column)
    )


def _ancestors(part: exp.Expr, top: exp.Expr) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    at = part.parent
    while at is not None and at is not top:
        found.append(at)
        at = at.parent
    return [*found, top]


def check_unambiguous(translator: Translator, node: exp.Expression, scope: Scope) -> None:
    """Refuse a name that is both a column and an alias of another expression: engines prefer different ones.

    Raises:
        TranslationError: there is such a name.
    """
    for one in node.find_all(exp.Column):
        if one.args.get("table") is not None or not isinstance(one.this, exp.Identifier):
            continue
        aliased = scope.aliases.get(one.name.lower())
        if aliased is None or not list(scope.matches(one.name, None)):
            continue
        if not (isinstance(aliased, exp.Column) and aliased.name.lower() == one.name.lower()):
            translator.refuse(
                one,
                f"the name {one.name}, which is a column and an alias of another expression",
                "Write its table in front of it, or choose another alias",
            )


def order_and_limit(
    translator: Translator,
    node: exp.Expression,
    scope: Scope,
    columns: Sequence[Column],
) -> str:
    """ORDER BY, LIMIT and OFFSET of a query with these columns; empty where it has none of them.

    Raises:
        TranslationError: a part of it is not known to have the same result on Spark.
    """
    order, limit, offset = (node.args.get(one) for one in ("order", "limit", "offset"))
    written = ""
    if order is not None:
        translator.only(order, "expressions")
        items = []
        for one in order.expressions:
            check_unambiguous(translator, one, scope)
            items.append(_order_item(translator, one, scope, columns))
        written = f" ORDER BY {', '.join(items)}"
    elif limit is not None or offset is not None:
        translator.refuse(
            next(one for one in (limit, offset) if one is not None),
            "LIMIT without ORDER BY",
            "Say which rows: order by …",
        )
    for word, clause in (("LIMIT", limit), ("OFFSET", offset)):
        if clause is not None:
            translator.only(clause, "expression")
            count = clause.expression
            if not (isinstance(count, exp.Literal) and str(count.this).isdigit()):
                translator.refuse(clause, form="A constant number of rows")
            written += f" {word} {count.this}"
    return written


def _order_item(translator: Translator, node: exp.Expression, scope: Scope, columns: Sequence[Column]) -> str:
    """An item that names a column of the result is ordered by that column."""
    inner = node.this
    position = int(inner.this) if isinstance(inner, exp.Literal) and str(inner.this).isdigit() else 0
    if position > len(columns):
        translator.refuse(node)
    name = inner.name.lower() if isinstance(inner, exp.Column) and not inner.args.get("table") else ""
    found = (
        columns[position - 1]
        if position
        else next((one for one in columns if one.name.lower() == name), None)
    )
    if found is None:
        return ordering(translator, [node], scope)
    stand_in = node.copy()
    stand_in.set("this", exp.column(found.name, quoted=True))
    return ordering(
        translator, [stand_in], Scope(sources=[Source("", [found])], merged={found.name.lower(): found})
    )
