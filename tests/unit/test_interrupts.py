from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

from slipway.processes import queries_end


def test_an_interrupt_is_remembered_when_another_error_hides_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    with queries_end() as interrupted:
        assert not interrupted.is_set()
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(5)
    assert interrupted.is_set()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_gets_no_signals() -> None:
    visible: list[bool] = []

    def work() -> None:
        with queries_end() as interrupted:
            visible.append(interrupted.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert visible == [False]
