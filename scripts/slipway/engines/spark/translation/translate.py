"""The entry: a query that dbt compiled for DuckDB, as Spark runs it with the same result."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
from sqlglot import exp

from slipway.engines.spark.translation import calls, casts, grouping, operators, query_clauses
from slipway.engines.spark.translation.asking import Types
from slipway.engines.spark.translation.parsing import parse
from slipway.engines.spark.translation.refusal import ANYTHING, TranslationError, not_known
from slipway.engines.spark.translation.scopes import Column, Scope, Source
from slipway.engines.spark.translation.translator import Handler, Translator
from slipway.engines.spark.translation.type_kinds import named

HANDLERS: Mapping[type[exp.Expression], Handler] = {
    **operators.HANDLERS,
    **calls.HANDLERS,
    **query_clauses.HANDLERS,
    exp.Cast: casts.handle_cast,
    exp.TryCast: casts.handle_try_cast,
}
"""What is translated, by class of sqlglot. Queries and their clauses are in ``query_clauses``."""


def translate(sql: str, schemas: Mapping[str, Mapping[str, str]], model: str = "The query") -> str:
    """A query of DuckDB as one of Spark 4.1 that has the same columns, types and rows.

    Spark has to have ``spark.sql.ansi.enabled`` on, ``spark.sql.session.timeZone`` on UTC, and ``spark.sql.caseSensitive`` off.

    Args:
        sql: one SELECT, as dbt compiles it.
        schemas: DuckDB types by column, by the name of each table that the query reads, as it is written there without quotes
            (``dev.curated.orders``).
        model: whose query it is, for messages.

    Raises:
        TranslationError: a part of it is not known to have the same result on Spark.
    """
    types = Types()
    try:
        tables = {name.lower(): _columns(columns) for name, columns in schemas.items()}
        translator = Translator(model, types, HANDLERS, query_clauses.inner_query, tables)
        try:
            tree = parse(sql)
        except ValueError as error:
            raise not_known(f"SQL that cannot be parsed ({error})", model, 0, ANYTHING) from error
        try:
            found = query_clauses.query(translator, tree, tables, None)
        except RecursionError:
            raise not_known(
                "an expression that is nested too deeply", model, 0, "Split it into CTEs"
            ) from None
        for column in found.columns:
            if column.kind.spark is None:
                raise not_known(
                    f"the type {column.kind.text} of the column {column.name}",
                    model,
                    0,
                    "Name its fields: struct_pack(a := x)",
                )
        return found.spark
    except duckdb.Error as error:
        raise not_known(f"a type that cannot be read ({error})", model, 0, ANYTHING) from error
    finally:
        types.close()


def translate_expression(
    text: str, sources: Mapping[str, Mapping[str, str]], kind: str, what: str, model: str = "The query"
) -> str:
    """An expression of DuckDB as one of Spark that has the same value, in a statement that joins tables.

    Args:
        text: the expression, as configuration has it.
        sources: DuckDB types by column, by the alias that each table has in the statement of Spark, too.
        kind: the type that it is cast to, as DuckDB casts what it assigns to a column; ``BOOLEAN`` takes a condition only. Empty for its own type.
        what: where it was written, for messages: ``incremental_predicates``.
        model: whose it is.

    Raises:
        TranslationError: a part of it is not known to have the same result on Spark, or it has a query or an aggregate in it.
    """
    types = Types()
    try:
        scope = Scope(sources=[Source(name, _columns(columns)) for name, columns in sources.items()])
        translator = Translator(model, types, HANDLERS, query_clauses.inner_query)
        node = _only_expression(translator, text)
        if kind == "BOOLEAN":
            return operators.condition(translator, node, scope).spark
        value = translator.expression(node, scope)
        if kind:
            value = casts.cast(translator, node, value, named(kind))
        elif value.kind.spark is None:
            translator.refuse(node, f"the type {value.kind.text}", "Cast it to a type that Spark has")
        return value.spark
    except TranslationError as error:
        raise not_known(f"{error.function} in {what}, “{text}”,", model, 0, error.fix) from None
    finally:
        types.close()


def _only_expression(translator: Translator, text: str) -> exp.Expression:
    """The tree of a text that is one expression, and has neither a query nor an aggregate in it."""
    try:
        tree = parse(f"select ({text}\n)")
    except ValueError as error:
        raise not_known(f"SQL that cannot be parsed ({error})", translator.model, 0, ANYTHING) from error
    (found,) = tree.expressions if isinstance(tree, exp.Select) and len(tree.expressions) == 1 else (tree,)
    if not isinstance(found, exp.Paren):
        translator.refuse(found, form="Write one expression")
    if found.find(exp.Query):
        translator.refuse(found, "a query", "Compute it as a column of the model's query")
    if grouping.has_aggregate(found):
        translator.refuse(found, "an aggregate", "Compute it as a column of the model's query")
    return found.this  # type: ignore[no-any-return]


def _columns(kinds: Mapping[str, str]) -> list[Column]:
    return [Column(column, named(kind)) for column, kind in kinds.items()]
