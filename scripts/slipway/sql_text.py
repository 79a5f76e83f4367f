"""Names, texts and paths as DuckDB's SQL writes them."""

from __future__ import annotations

import re
from datetime import date, datetime

_PATTERN = re.compile(r"([\[*?])")


def quote(name: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def value_literal(value: str | int | date | None) -> str:
    """A text, number, truth value, date or time that DuckDB gave to Python, as an SQL expression of its type.

    For the first parameter of a statement DuckDB imports pandas, which takes longer than many a query.
    """
    match value:
        case None | bool() | int():
            return "null" if value is None else f"({str(value).lower()})"
        case datetime():
            return f"timestamp{'' if value.tzinfo is None else 'tz'} {literal(str(value))}"
        case date():
            return f"date {literal(str(value))}"
    # DuckDB reads a query up to this sign
    return f"({' || chr(0) || '.join(map(literal, value.split(chr(0))))})"


def unquoted(name: str) -> str:
    """A name as it is, which may be written in double quotes."""
    is_quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if is_quoted else name


def exact(path: str) -> str:
    """A path for ``read_csv`` and ``read_parquet``, which would take ``[1]``, ``*`` and ``?`` for patterns."""
    return _PATTERN.sub(r"[\1]", path)
