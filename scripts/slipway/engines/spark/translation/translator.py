"""One translation: whose query it is, what the tables are, and the handler of each kind of expression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import duckdb
from sqlglot import exp

from slipway.engines.spark.translation.asking import Types
from slipway.engines.spark.translation.refusal import ANYTHING, excerpt, line_of, not_known
from slipway.engines.spark.translation.scopes import Column, Scope, Value
from slipway.engines.spark.translation.type_kinds import Kind

Handler = Callable[["Translator", exp.Expression, Scope], Value]


@dataclass(frozen=True)
class Query:
    """A translated query: its text, its columns, and whether it uses columns of the query around it."""

    spark: str
    columns: list[Column]
    is_correlated: bool = False


Tables = Mapping[str, Sequence[Column]]
QueryHandler = Callable[["Translator", exp.Expression, "Tables", "Scope | None"], Query]


@dataclass
class Translator:
    """What every handler is given.

    Args:
        model: whose query it is, for messages.
        types: asks DuckDB for types.
        handlers: by class of sqlglot; a class without one is refused.
        query_handler: translates a query inside of an expression.
        tables: columns by the lower case of the name of a table or CTE, as the query writes it.
    """

    model: str
    types: Types
    handlers: Mapping[type[exp.Expression], Handler]
    query_handler: QueryHandler
    tables: Tables = field(default_factory=dict)
    _names: int = 0

    def refuse(self, node: exp.Expression, what: str = "", form: str = ANYTHING) -> NoReturn:
        """Refuse a part of the query.

        Raises:
            TranslationError: always.
        """
        raise not_known(what or f"the expression {excerpt(node)}", self.model, line_of(node), form)

    def only(self, node: exp.Expression, *known: str) -> None:
        """Refuse a part that says more than is translated of it.

        Raises:
            TranslationError: it has arguments other than those that are known.
        """
        for name, value in node.args.items():
            if name not in known and value not in (None, False, [], ""):
                said = name.rstrip("_").replace("_", " ")
                self.refuse(node, f"“{said}” in {excerpt(node)}")

    def new_name(self, of: str) -> str:
        """A name that no author would write."""
        self._names += 1
        return f"__slipway_{of}_{self._names}"

    def expression(self, node: exp.Expression, scope: Scope) -> Value:
        """The translation of an expression.

        Raises:
            TranslationError: it is not known to have the same result on Spark.
        """
        handler = self.handlers.get(type(node))
        if handler is None:
            self.refuse(node)
        return handler(self, node, scope)

    def query(self, node: exp.Expression, outer: Scope | None) -> Query:
        """The translation of a query inside of an expression."""
        return self.query_handler(self, node, self.tables, outer)

    def kind(self, node: exp.Expression, probe: str) -> Kind:
        """The type that DuckDB gives an expression.

        Raises:
            TranslationError: DuckDB does not know such an expression.
        """
        try:
            return self.types.of(probe)
        except duckdb.Error:
            self.refuse(
                node, form="DuckDB does not know it either in this place; give it types that DuckDB does"
            )

    def made(
        self,
        node: exp.Expression,
        spark: str,
        probe: str,
        parts: Sequence[Value],
        *,
        gives: str | None = None,
        is_constant: bool = True,
    ) -> Value:
        """A value of the type that DuckDB gives it.

        Args:
            node: the expression, for messages.
            spark: its text for Spark.
            probe: the same for DuckDB, of the probes of its parts.
            parts: what it consists of.
            gives: the type that Spark gives the text, where that may be another one.
            is_constant: false for aggregates and whatever else is no constant though its parts are.
        """
        kind = self.kind(node, probe)
        if gives is not None and kind.spark != gives:
            if kind.spark is None:
                self.refuse(
                    node, f"the type {kind.text} of {excerpt(node)}", "Cast it to a type that Spark has"
                )
            spark = f"CAST({spark} AS {kind.spark})"
        constant = is_constant and all(part.is_constant for part in parts)
        return Value(spark, kind, probe if constant else kind.probe, constant)
