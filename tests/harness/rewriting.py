"""Rewrites the assertions of test modules once for all workers of a run.

Pytest keeps what it made of a module, but not in a fresh checkout: there each worker comes to each module at the same time and rewrites it itself.
That takes up to fifteen seconds of a processor in each of them. So every worker rewrites a share of the modules first, and finds the others' when it
collects. A module whose share is not ready is rewritten by pytest as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.assertion.rewrite import (
    PYC_TAIL,
    _read_pyc,
    _rewrite_test,
    _write_pyc,
    assertstate_key,
    get_cache_dir,
)


def rewrite_share(config: pytest.Config) -> None:
    """Rewrite this worker's share of the modules that are asked for; nothing in a run without workers."""
    worker: dict[str, object] | None = getattr(config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    folder = config.invocation_params.dir
    places = [folder / place.partition("::")[0] for place in config.args]
    left_out = [folder / place for place in config.getoption("ignore") or []]
    number, workers = int(str(worker["workerid"]).removeprefix("gw")), int(str(worker["workercount"]))
    for path in share(modules(places, left_out), number, workers):
        with suppress(OSError, SyntaxError, ValueError):  # pytest reports it when it collects
            rewrite(path, config)


def modules(places: Iterable[Path], left_out: Iterable[Path]) -> list[Path]:
    """Test modules at or below places, in the order in which they are collected."""
    found = [
        path for place in places for path in (sorted(place.rglob("test_*.py")) if place.is_dir() else [place])
    ]
    ignored = list(left_out)
    return [path for path in dict.fromkeys(found) if not any(map(path.is_relative_to, ignored))]


def share(paths: list[Path], number: int, workers: int) -> list[Path]:
    """What one of some workers takes: all of them begin with what is collected first."""
    return paths[number::workers]


def rewrite(path: Path, config: pytest.Config) -> None:
    """Keep a module's code with its assertions rewritten where pytest looks for it, if it is not there."""
    kept = get_cache_dir(path) / f"{path.stem}{PYC_TAIL}"
    if _read_pyc(path, kept) is not None:
        return
    digest, code = _rewrite_test(path, config)
    kept.parent.mkdir(parents=True, exist_ok=True)
    _write_pyc(config.stash[assertstate_key], code, digest, kept)
