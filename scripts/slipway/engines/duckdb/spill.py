"""Where DuckDB puts what does not fit in memory.

A folder of each process, below the environment's home: DuckDB's own default is the current folder, and a
system's temporary folder is often in memory itself. DuckDB removes the folder when it ends; what a killed
process left is removed by the next one.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from slipway.errors import UnavailableError, first_line
from slipway.processes import is_alive

_OWNER = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{8}")
_M_MMAP_THRESHOLD = -3  # of malloc.h
_MMAP_THRESHOLD = 128 * 1024  # bytes, as glibc begins with
ONCE = frozenset({"temp_directory", "memory_limit", "max_memory", "max_temp_directory_size", "threads"})
"""Settings of the whole database: DuckDB refuses to set some of them again once they are in use."""


def configure(settings: dict[str, Any], config: dict[str, Any], home: Path) -> None:
    """Give a database its limits when it is opened, instead of each connection again.

    Args:
        settings: ``settings`` of the dbt target, which dbt-duckdb repeats on every connection; limits move out of it.
        config: what the database is opened with.
        home: the environment's home.
    """
    for key in ONCE & settings.keys():
        config.setdefault(key, settings.pop(key))
    config.setdefault("temp_directory", str(folder(home)))
    _return_freed_memory()


def _return_freed_memory() -> None:
    """Have glibc give every block of DuckDB's back to the system when it is freed.

    Once a block of some MB was freed, as batches of Arrow are, glibc keeps all blocks up to that size in heaps of
    its own, where DuckDB's lie between others: many hundred MB more than its ``memory_limit``. A threshold that
    is set does not move. Other C libraries do not have the function, or the habit.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def folder(home: Path) -> Path:
    """A folder that does not exist yet, for this process; left-overs of ended ones are removed."""
    parent = parent_of(home)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        parent = Path(tempfile.gettempdir())
    for other in left_over(parent):
        shutil.rmtree(other, ignore_errors=True)
    return parent / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def parent_of(home: Path) -> Path:
    """Where the processes of a home have their folders."""
    return home / "spill"


def left_over(parent: Path) -> list[Path]:
    """Folders of processes of this machine that are gone."""
    host = socket.gethostname()
    owned = [(path, _OWNER.fullmatch(path.name)) for path in sorted(parent.glob(f"{host}-*"))]
    return [
        path for path, owner in owned if owner and owner["host"] == host and not is_alive(int(owner["pid"]))
    ]


@contextmanager
def limits(model: str) -> Iterator[None]:
    """Tell in one line that memory or disk did not suffice.

    Raises:
        UnavailableError: in place of DuckDB's error.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise UnavailableError(
            f"{model}: memory did not suffice",
            first_line(error),
            "Raise memory_limit, lower threads, or choose partitions of more rows (docs/reference/settings.md, Memory)",
        ) from error
    except duckdb.IOException as error:
        if "No space left" not in str(error):
            raise
        raise UnavailableError(
            f"{model}: the disk is full", first_line(error), "Make room for the warehouse and temp_directory"
        ) from error
