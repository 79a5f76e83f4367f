"""The one place where a database of DuckDB is opened.

Threads of a process open databases at the same time: those of dbt, one for each model, and those of a query. A process
whose threads were opening several at once has ended by a segmentation fault within DuckDB 1.5.5, so that they take turns.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import duckdb

OPENING = threading.Lock()
"""Held while a database is opened, or extensions are loaded, which are shared libraries of the process."""


def open_database(
    path: str = ":memory:", config: Mapping[str, Any] | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection to a database of its own, opened while no other thread opens one.

    Args:
        path: a file, or nothing for one in memory.
        config: settings that have to be there when it is opened.

    Raises:
        duckdb.Error: it cannot be opened, or a setting is not known.
    """
    with OPENING:
        return duckdb.connect(path, config=dict(config or {}))  # noqa: TID251 - for all others
