"""The engine's part of node keys: versions of what computes and writes, and Slipway's own code that does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from slipway.adapters.dbt.keys.python import imports, python_form

_PACKAGES = ("duckdb", "dbt-core", "dbt-adapters", "dbt-duckdb", "pyarrow", "pyiceberg")
_ROOTS = (
    "slipway.adapters.iceberg.write.writer",
    "slipway.adapters.iceberg.write.batches",
    "slipway.adapters.dbt.frames",
    "slipway.adapters.dbt.increments",
    "slipway.adapters.dbt.strategy",
)
# how tables are reached, and how refusals are told, shapes no row
_OUTSIDE = frozenset(
    {
        "slipway.adapters.engine",
        "slipway.adapters.s3",
        "slipway.adapters.spill",
        "slipway.domain.environment",
        "slipway.domain.errors",
    }
)


@cache
def engine() -> list[str]:
    """Versions, and a hash of the code that writes tables without comments and docstrings."""
    code = hashlib.sha256()
    for name in writing_modules():
        code.update(f"{name}\0{_form(name)}\0".encode())
    return [*(f"{name} {version(name)}" for name in _PACKAGES), code.hexdigest()]


@cache
def writing_modules() -> tuple[str, ...]:
    """Modules of Slipway that take part in writing a table: the writer and what it imports, wherever that stands."""
    found: set[str] = set()
    waiting = list(_ROOTS)
    while waiting:
        name = waiting.pop()
        if name in found | _OUTSIDE or not name.startswith("slipway.") or (path := _path(name)) is None:
            continue
        found.add(name)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += _imported(path, package)
    return tuple(sorted(found))


def _imported(path: Path, package: str) -> Iterator[str]:
    return imports(path.read_text(encoding="utf-8"), package)


def _form(name: str) -> str:
    path = _path(name)
    assert path is not None
    return python_form(path.read_text(encoding="utf-8"), docstrings=False)


@cache
def _path(name: str) -> Path | None:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # a name that is imported from a module
        return None
    return Path(spec.origin) if spec and spec.origin else None
