"""Processes of this machine: which one something belongs to, whether it still runs, and what Ctrl-C does to this one.

Source: proc(5), "/proc/pid/stat", "/proc/sys/kernel/random/boot_id" and namespaces(7).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
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
    """When a process started, in the kernel's ticks; empty when there is none that runs."""
    try:
        text = (_PROC / str(pid or os.getpid()) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[_STATE] in _ENDED else fields[_STARTED]


@contextmanager
def temporary(purpose: str, *, keep: bool = False) -> Iterator[Path]:
    """A temporary folder that tells whose it is; one that is to be kept does not."""
    owner = "" if keep else f"{os.getpid()}-"
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-{owner}"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


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


_EVERY = 0.2  # seconds


@contextmanager
def queries_end() -> Iterator[threading.Event]:
    """Interrupt the queries of dbt's threads on Ctrl-C until the block is left.

    dbt interrupts them once; a query that a thread begins a moment later would run to its end, and dbt waits for it.

    Yields:
        what is set by Ctrl-C. dbt may report the error of a query that was interrupted, and not the interrupt.
    """
    interruption, left = threading.Event(), threading.Event()
    if not _is_main():
        yield interruption
        return

    def interrupted(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        interruption.set()
        threading.Thread(target=_keep_interrupting, args=(left,), daemon=True).start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield interruption
    finally:
        left.set()
        signal.signal(signal.SIGINT, before)


@contextmanager
def too_late() -> Iterator[None]:
    """Take no notice of Ctrl-C: what this block does is done as a whole."""
    if not _is_main():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _keep_interrupting(left: threading.Event) -> None:
    from dbt.adapters.factory import FACTORY

    while not left.wait(_EVERY):
        adapter = FACTORY.adapters.get("slipway")
        for connection in list(adapter.connections.thread_connections.values()) if adapter else []:
            with suppress(Exception):  # one that is closed or not open yet has nothing to end
                connection.handle.cursor().interrupt()


def _is_main() -> bool:
    """Python delivers signals only to the main thread."""
    return threading.current_thread() is threading.main_thread()
