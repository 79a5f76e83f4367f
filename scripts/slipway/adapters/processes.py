"""Whether the process that something belongs to still runs."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

PREFIX = "slipway-"
"""What the names of temporary folders begin with."""


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
