"""What Ctrl-C does while dbt runs: queries end, and what is being published is published to its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_EVERY = 0.2  # seconds


@contextmanager
def queries_end() -> Iterator[threading.Event]:
    """Interrupt the queries of dbt's threads on Ctrl-C until the block is left.

    dbt interrupts them once; a query that a thread begins a moment later would run to its end, and dbt waits for it.

    Yields:
        what is set by Ctrl-C. dbt may report the error of a query that was interrupted, and not the interrupt.
    """
    seen, left = threading.Event(), threading.Event()
    if not _is_main():
        yield seen
        return

    def interrupted(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        seen.set()
        threading.Thread(target=_keep_interrupting, args=(left,), daemon=True).start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield seen
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
        adapter = FACTORY.adapters.get("duckdb")
        for connection in list(adapter.connections.thread_connections.values()) if adapter else []:
            with suppress(Exception):  # one that is closed or not open yet has nothing to end
                connection.handle.cursor().interrupt()


def _is_main() -> bool:
    """Python delivers signals to the main thread alone."""
    return threading.current_thread() is threading.main_thread()
