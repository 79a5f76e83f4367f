"""Which operators may stand in one another without parentheses.

DuckDB, sqlglot and Spark bind operators in different orders in places: ``a = b is null`` is ``(a = b) is null`` to DuckDB and ``a = (b is null)`` to sqlglot. Where all three agree,
nothing is needed; elsewhere parentheses are.
"""

from __future__ import annotations

from sqlglot import exp

from slipway.engines.spark.translation.refusal import excerpt
from slipway.engines.spark.translation.translator import Translator

_OR, _AND, _NOT, _COMPARISON, _CONCATENATION, _SUM, _PRODUCT, _SIGN = range(1, 9)
_ATOM = 9

LEVELS: dict[type[exp.Expression], int] = {
    exp.Or: _OR,
    exp.And: _AND,
    exp.Not: _NOT,
    **dict.fromkeys(
        (
            *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ),
            *(exp.Is, exp.Between, exp.In, exp.Like),
        ),
        _COMPARISON,
    ),
    exp.DPipe: _CONCATENATION,
    **dict.fromkeys((exp.Add, exp.Sub), _SUM),
    **dict.fromkeys((exp.Mul, exp.Div, exp.IntDiv, exp.Mod), _PRODUCT),
    exp.Neg: _SIGN,
}

_CHAINS = {_OR, _AND, _CONCATENATION, _SUM, _PRODUCT}


def check_nesting(translator: Translator, node: exp.Expression) -> None:
    """Refuse an operator in another one where its place is not the same to everybody.

    Raises:
        TranslationError: parentheses are missing.
    """
    level = LEVELS[type(node)]
    for name, value in node.args.items():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, exp.Expression) and name not in {"query", "expressions"}:
                inner = LEVELS.get(type(child), _ATOM)
                is_chain = inner == level and level in _CHAINS and name == "this"
                if (
                    not (inner > level or is_chain)
                    or {level, inner} == {_CONCATENATION, _SUM}
                    or {
                        level,
                        inner,
                    }
                    == {_CONCATENATION, _PRODUCT}
                ):
                    translator.refuse(
                        node, f"{excerpt(node)} without parentheses", f"Write ({excerpt(child)})"
                    )
