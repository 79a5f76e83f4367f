"""The entry: a query that dbt compiled for DuckDB, as Spark runs it with the same result."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
from sqlglot import exp

from slipway.engines.spark.translation import calls, casts, operators, query_clauses
from slipway.engines.spark.translation.asking import Types
from slipway.engines.spark.translation.parsing import parse
from slipway.engines.spark.translation.refusal import ANYTHING, not_known
from slipway.engines.spark.translation.scopes import Column
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
        tables = {
            name.lower(): [Column(column, named(kind)) for column, kind in columns.items()]
            for name, columns in schemas.items()
        }
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
