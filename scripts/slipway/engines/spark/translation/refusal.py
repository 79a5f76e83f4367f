"""How the translator refuses: what, on which line, and what to write instead."""

from __future__ import annotations

from sqlglot import ErrorLevel, exp

from slipway.errors import ConfigError

PAGE = "docs/reference/spark-sql.md"

ANYTHING = f"Write it with what {PAGE} lists"


class TranslationError(ConfigError):
    """A query that is not known to have the same result on Spark as on DuckDB.

    Args:
        what: whose query cannot be computed.
        why: the function, operator, type or clause, and its line.
        fix: what to write instead.
        function: the function, operator, type or clause by itself.
        line_number: where it is in the query as dbt compiled it, counted from 1; 0 where that is not known.
    """

    def __init__(self, what: str, why: str, fix: str, *, function: str, line_number: int) -> None:
        super().__init__(what, why, fix)
        self.function, self.line_number = function, line_number


def not_known(function: str, model: str, line_number: int, form: str) -> TranslationError:
    """The refusal of a function, operator, type or clause of a model."""
    place = f" (line {line_number} of its compiled SQL)" if line_number else ""
    return TranslationError(
        f"{model} cannot be computed by Spark",
        f"{function}{place} is not known to have the same result there as in DuckDB",
        form,
        function=function,
        line_number=line_number,
    )


def line_of(node: exp.Expression) -> int:
    """The line on which an expression stands: its own, that of its first part, or that of what it is a part of."""
    at: exp.Expr | None = node
    while at is not None:
        for part in at.walk(bfs=False):
            if "line" in part.meta:
                return int(part.meta["line"])
        at = at.parent
    return 0


def excerpt(node: exp.Expression) -> str:
    """An expression as text, short enough for a message."""
    text = " ".join(node.sql(dialect="duckdb", comments=False, unsupported_level=ErrorLevel.IGNORE).split())
    return text if len(text) <= 60 else text[:59] + "…"
