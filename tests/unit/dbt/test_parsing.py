"""Python code is parsed by many threads at once, as nodes of a run are."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slipway.dbt.keys import python_code

SOURCES = [path.read_text(encoding="utf-8") for path in Path(python_code.__file__).parent.glob("*.py")]


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns whenever garbage is collected, also in the middle of making a syntax tree."""

    def turn(*_: object) -> None:
        time.sleep(0.0001)

    before = gc.get_threshold()
    gc.callbacks.append(turn)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(turn)


@pytest.mark.usefixtures("switching")
def test_threads_parse_at_once() -> None:
    python_code.tree_of.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(python_code.python_form, SOURCES))
    python_code.tree_of.cache_clear()
    assert together == [python_code.python_form(code) for code in SOURCES]
