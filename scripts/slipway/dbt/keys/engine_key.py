"""The engine's part of node keys: versions of what computes and writes, and Slipway's own code that does.

Every process computes it, so files are read as text: syntax trees would leave comments out, and cost a third of a second.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

_SOURCES = Path(__file__).parents[3]
_PACKAGES = ("duckdb", "dbt-core", "dbt-adapters", "dbt-duckdb", "pyarrow", "pyiceberg")
_ROOTS = (
    "slipway.engines.duckdb.writer",
    "slipway.engines.duckdb.batches",
    "slipway.dbt.frames",
    "slipway.dbt.increments",
    "slipway.dbt.configuration",
)
_IMPORT = re.compile(r"^\s*from (slipway[\w.]*) import ([\w, ]+|\([^)]*\))", re.MULTILINE)
# how tables are reached, and how refusals are told, shapes no row
_OUTSIDE = frozenset(
    {
        "slipway.engines.duckdb.engine",
        "slipway.storage.s3",
        "slipway.engines.duckdb.spill",
        "slipway.environments.environment",
        "slipway.errors",
    }
)


@cache
def engine() -> list[str]:
    """Versions, and a hash of the code that writes tables."""
    code = hashlib.sha256()
    for name in writing_modules():
        code.update(f"{name}\0{_text(name)}\0".encode())
    return [*(f"{name} {version(name)}" for name in _PACKAGES), code.hexdigest()]


@cache
def writing_modules() -> tuple[str, ...]:
    """Modules of Slipway that take part in writing a table: the writer and what it imports, wherever that stands."""
    found: set[str] = set()
    waiting = list(_ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in found | _OUTSIDE and _path(name):
            found.add(name)
            waiting += _imported(_text(name))
    return tuple(sorted(found))


def _imported(code: str) -> Iterator[str]:
    """Names that may be modules of Slipway's; importing one runs the packages around it, too."""
    for origin, names in _IMPORT.findall(code):
        parts = origin.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
        yield from (f"{origin}.{name}" for name in re.findall(r"\w+", names))


def _text(name: str) -> str:
    path = _path(name)
    assert path is not None
    return path.read_text(encoding="utf-8")


def _path(name: str) -> Path | None:
    """The file of a module; None for a name that is imported from one."""
    place = _SOURCES.joinpath(*name.split("."))
    files = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((path for path in files if path.is_file()), None)
