"""DuckDB SQL as a tree of sqlglot in which functions are what the author wrote."""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.parsers.duckdb import DuckDBParser

_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT")


class _Parser(DuckDBParser):
    """sqlglot takes several functions for one (``len`` and ``length``) and rewrites others; here each stays a call of its name."""

    FUNCTIONS: ClassVar = {}
    FUNCTION_PARSERS: ClassVar = {name: DuckDBParser.FUNCTION_PARSERS[name] for name in _SYNTAX}
    NO_PAREN_FUNCTIONS: ClassVar = {}


class _Source(DuckDB):
    Parser = _Parser


def parse(sql: str) -> exp.Expression:
    """The tree of one query.

    Raises:
        ValueError: sqlglot cannot parse it, or it is not one statement; with what sqlglot says.
    """
    try:
        statements = [one for one in _Source().parse(sql) if one is not None]
    except (SqlglotError, RecursionError) as error:
        raise ValueError(str(error).split("\n", 1)[0] or type(error).__name__) from error
    if len(statements) != 1:
        raise ValueError(f"{len(statements)} statements instead of one")
    tree = statements[0]
    assert isinstance(tree, exp.Expression)
    return tree
