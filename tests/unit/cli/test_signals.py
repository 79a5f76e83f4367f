"""Signals that end a command as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from slipway.cli.main import _end_like_an_interrupt


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_interrupts(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    noted = _end_like_an_interrupt()
    with pytest.raises(KeyboardInterrupt):
        _send(number)
    assert noted == [number]


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait(5)


def test_what_nohup_has_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    noted = _end_like_an_interrupt()
    os.kill(os.getpid(), signal.SIGHUP)
    assert noted == []
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
