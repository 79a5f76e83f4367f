"""Queries that list tables: they would find what this process has read so far, not what is published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from slipway.domain.errors import ConfigError

_MAY_LIST = re.compile(
    r"\b(?:show|information_schema|duckdb_\w+|pragma_\w+|pg_\w+|sqlite_\w+)\b", re.IGNORECASE
)
_LISTS = frozenset(
    f"DUCKDB_{what}"
    for what in (
        "COLUMNS",
        "CONSTRAINTS",
        "DATABASES",
        "DEPENDENCIES",
        "INDEXES",
        "SCHEMAS",
        "SEQUENCES",
        "TABLES",
        "VIEWS",
    )
)


def check_listings(cursor: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    """Refuse a query that lists tables, columns, views, schemas or databases.

    What the query names is only the reason to look; its plan says what it does, also through views of DuckDB's own.

    Raises:
        ConfigError: it does.
    """
    if not _MAY_LIST.search(sql):
        return
    try:
        rows = cursor.execute(f"explain (format json) {sql}").fetchall()
        functions = {
            function for _, plan in rows for node in json.loads(plan) for function in _functions(node)
        }
    except (
        duckdb.Error,
        json.JSONDecodeError,
    ):  # what cannot be planned cannot be run, and that is told then
        return
    if found := sorted(functions & _LISTS):
        raise ConfigError(
            f"{name} lists {' and '.join(one.removeprefix('DUCKDB_').lower() for one in found)} of DuckDB's catalog",
            "there are only those that this run has read so far, not what is published",
            "name the tables with ref or source; adapter.get_relation and adapter.get_columns_in_relation answer from the "
            "Iceberg catalog, and slipway sql lists what is published",
        )


def _functions(plan: dict[str, Any]) -> Iterator[str]:
    yield str((plan.get("extra_info") or {}).get("Function", ""))
    for child in plan.get("children", ()):
        yield from _functions(child)
