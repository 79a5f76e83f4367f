"""The engine's part of node keys: versions of what computes and writes, and Slipway's own code that does.

Every process computes it, so files are read as they are: syntax trees would leave comments out, and cost a third of a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

_SOURCES = Path(__file__).parents[2]
_PACKAGES = ("duckdb", "dbt-core", "dbt-adapters", "dbt-duckdb", "pyarrow", "pyiceberg")
_CODE = (".py", ".sql", ".yml")
_ROOMS = ("dbt", "engines", "iceberg", "landing", "runs")
"""Rooms whose code makes rows or files of them; the others say where tables are, and what is known of runs."""


@cache
def engine() -> list[str]:
    """Versions, and a hash of the code that writes tables."""
    code = hashlib.sha256()
    for path in code_files():
        code.update(f"{path.relative_to(_SOURCES)}\0".encode() + path.read_bytes() + b"\0")
    return [*(f"{name} {version(name)}" for name in _PACKAGES), code.hexdigest()]


def code_files() -> Iterator[Path]:
    """Files of Slipway whose code takes part in writing a table: Python, and the dbt package of its macros."""
    for room in _ROOMS:
        yield from sorted(path for path in (_SOURCES / room).rglob("*.*") if path.suffix in _CODE)
