"""Processes of this machine: which one something belongs to, whether it still runs, and what Ctrl-C does to this one.

Source: proc(5), "/proc/pid/stat", "/proc/sys/kernel/random/boot_id" and namespaces(7).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from stat import S_ISDIR
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


_OWNED = re.compile(rf"{PREFIX}(?P<purpose>[a-z]+)-(?P<pid>\d+)-(?:(?P<mark>[0-9a-f]{{8}})-)?\w+")


def mark(home: Path) -> str:
    """What names of temporary folders say of the environment that they belong to: 8 hexadecimal digits for its home."""
    return hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:8]


class OwnFolder:
    """A temporary folder whose name says which process made it, and which is locked as long as that process runs.

    Args:
        purpose: lower-case letters; a part of the name.
        home: of the environment that it belongs to; None if it belongs to none.
        parent: where the folder is made; None for the system's place for temporary files.

    Attributes:
        path: of the folder. It is removed with this object, or at the end of the process.
    """

    def __init__(self, purpose: str, home: Path | None = None, parent: Path | None = None) -> None:
        owner = f"{os.getpid()}-{mark(home)}-" if home else f"{os.getpid()}-"
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-{owner}", dir=parent))
        lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _lock(lock)
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)

    def remove(self) -> None:
        """Remove it now."""
        self._finalizer()


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


def left_over(home: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Folders of one environment, or of none, that processes of this user made and that are gone: purpose and path, in order of their names.

    A process in another container has another id, or another process has its id here; while it runs, its folder is locked.
    """
    wanted = mark(home) if home else None
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        owner = _OWNED.fullmatch(path.name)
        if owner is None or owner["mark"] != wanted or is_alive(int(owner["pid"])):
            continue
        with suppress(OSError):  # removed meanwhile
            is_own = S_ISDIR(path.lstat().st_mode) and path.lstat().st_uid == os.getuid()
            if is_own and not is_held(path):
                yield owner["purpose"], path


def remove_left_over(purpose: str, home: Path | None = None) -> None:
    """Remove folders of one purpose whose process is gone."""
    for found, path in left_over(home):
        if found == purpose:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def temporary(
    purpose: str, home: Path | None = None, *, keep: bool = False, guarded: bool = False
) -> Iterator[Path]:
    """A temporary folder whose name says whose it is; one that is to be kept does not.

    Args:
        purpose: as for ``OwnFolder``.
        home: as for ``OwnFolder``.
        keep: it stays when the block is left.
        guarded: it is removed also if this process is killed, by another one that waits for that.
    """
    if keep:
        yield Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
        return
    folder = OwnFolder(purpose, home)
    try:
        with _removed_with_this_process(folder.path) if guarded else nullcontext():
            yield folder.path
    finally:
        folder.remove()


@contextmanager
def _removed_with_this_process(folder: Path) -> Iterator[None]:
    """Have a process of its own session remove a folder as soon as this one has ended, however that comes.

    It waits for the end of a pipe, which the kernel closes with this process; programs that this one starts do not have it.
    """
    script = 'read -r _; exec rm -rf -- "$1"'
    guard = subprocess.Popen(
        ["sh", "-c", script, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.communicate()


def hold(stream: IO[str]) -> None:
    """Lock a file for as long as this process, and those it forks, have it open."""
    _lock(stream.fileno())


def _lock(handle: int) -> None:
    with suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether a process has a lock on a file or folder, as every run has on its log."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # gone meanwhile, or not ours to look at
        return path.exists()
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return path.exists()
    finally:
        os.close(handle)
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
def queries_end(others: Callable[[], None] = lambda: None) -> Iterator[threading.Event]:
    """Interrupt the queries of dbt's threads on Ctrl-C until the block is left.

    dbt interrupts them once; a query that a thread begins a moment later would run to its end, and dbt waits for it.

    Args:
        others: interrupts what else the threads wait for; called again and again.

    Yields:
        what is set by Ctrl-C. dbt may report the error of a query that was interrupted, and not the interrupt.
    """
    interruption, left = threading.Event(), threading.Event()
    if not _is_main():
        yield interruption
        return

    def interrupted(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        interruption.set()
        threading.Thread(target=_keep_interrupting, args=(left, others), daemon=True).start()
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


def _keep_interrupting(left: threading.Event, others: Callable[[], None]) -> None:
    from dbt.adapters.factory import FACTORY

    while not left.wait(_EVERY):
        adapter = FACTORY.adapters.get("slipway")
        for connection in list(adapter.connections.thread_connections.values()) if adapter else []:
            with suppress(Exception):  # one that is closed or not open yet has nothing to end
                connection.handle.cursor().interrupt()
        with suppress(Exception):
            others()


def _is_main() -> bool:
    """Python delivers signals only to the main thread."""
    return threading.current_thread() is threading.main_thread()
