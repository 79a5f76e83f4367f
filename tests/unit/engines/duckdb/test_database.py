"""Threads open databases one at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from slipway.engines.duckdb import engine
from slipway.engines.duckdb.database import open_database


def test_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while extensions are loaded, and each gets a database of its own."""
    real, at_once, most = duckdb.connect, [0], [0]

    class Loading:
        def execute(self, _: str) -> None:
            opening()

    def opening(*_: object, **__: object) -> duckdb.DuckDBPyConnection:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        time.sleep(0.005)
        at_once[0] -= 1
        return real()

    monkeypatch.setattr(duckdb, "connect", opening)
    with ThreadPoolExecutor(8) as pool:
        opened = [pool.submit(open_database) for _ in range(16)]
        loaded = [pool.submit(engine.load_extensions, Loading(), ("one", "two")) for _ in range(16)]  # type: ignore[arg-type]
    for done in loaded:
        done.result()
    assert most == [1]
    opened[0].result().execute("create table a as select 1")
    with pytest.raises(duckdb.CatalogException):
        opened[1].result().execute("from a")


def test_settings_are_there_when_it_is_opened() -> None:
    with open_database(config={"threads": 1}) as connection:
        assert connection.execute("select current_setting('threads')").fetchone() == (1,)
    with pytest.raises(duckdb.Error, match="no_such_setting"):
        open_database(config={"no_such_setting": 1})
