"""Names, texts and paths as DuckDB's SQL writes them."""

from __future__ import annotations

import re

_PATTERN = re.compile(r"([\[*?])")


def quote(name: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def unquoted(name: str) -> str:
    """A name as it is, which may be written in double quotes."""
    is_quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if is_quoted else name


def exact(path: str) -> str:
    """A path for ``read_csv`` and ``read_parquet``, which would take ``[1]``, ``*`` and ``?`` for patterns."""
    return _PATTERN.sub(r"[\1]", path)
