"""Processes of this machine: which one something belongs to, and whether it still runs.

Source: proc(5), "/proc/pid/stat", "/proc/sys/kernel/random/boot_id" and namespaces(7).
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

PREFIX = "slipway-"
"""What the names of temporary folders begin with."""
_PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # fields of /proc/<pid>/stat behind the name, which stands in brackets
_ENDED = ("Z", "X")


def place() -> str:
    """The running system and its space of process ids; empty where it does not say."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(pid: int | None = None) -> str:
    """When a process started, in the kernel's ticks; empty when there is none that runs.

    Args:
        pid: default this process.
    """
    try:
        text = (_PROC / str(pid or os.getpid()) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[_STATE] in _ENDED else fields[_STARTED]


def temporary(purpose: str, *, keep: bool = False) -> Path:
    """A temporary folder that tells whose it is; one that is to be kept does not."""
    owner = "" if keep else f"{os.getpid()}-"
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-{owner}"))


def hold(stream: IO[str]) -> None:
    """Lock a file for as long as this process, and those it forks, have it open."""
    with suppress(OSError):  # a file system without locks
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether a process has a lock on a file, as every run has on its log."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # gone meanwhile, or a file system without locks
        return path.exists()
    return False


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is someone else's
        return True
    return True
