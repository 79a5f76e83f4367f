"""The engine's part of a key covers the code that writes, wherever that stands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import pytest
from tests.integration.environments import place

from slipway.dbt.keys import engine_key
from slipway.engines.duckdb import engine as duckdb_engine
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import local_catalog


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    caches = (engine_key.engine, engine_key.writing_modules)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_every_module_that_takes_part_in_writing_is_covered(tmp_path: Path) -> None:
    """Told from functions that are called while tables are written, so it notices code that moved or is new."""
    properties = local_catalog(tmp_path)
    here = place(f"file://{tmp_path}/warehouse", **{k: v for k, v in properties.items() if k != "warehouse"})
    duckdb_engine.count_reads(here.connection)
    called: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(str(frame.f_globals.get("__name__")))

    base = None
    requests = [
        WriteRequest(
            here.id("a.t"),
            "",
            "replace",
            "run",
            "release-1",
            partitioned_by=["bucket(2, n)"],
            sorted_by=["m"],
        ),
        WriteRequest(here.id("a.t"), "", "merge", "run", "release-2", unique_key=["n"]),
        WriteRequest(here.id("a.t"), "", "delete+insert", "run", "release-3", unique_key=["n"]),
        WriteRequest(here.id("a.t"), "", "append", "run", "release-4"),
    ]
    for number, request in enumerate(requests):
        sql = f"select i as n, {number} / 2 as m, 'x' as t from range({number}, 9) as r(i)"
        sys.setprofile(note)
        try:
            base = write(here.connection, here.tables, base, replace(request, sql=sql)).staged.table
        finally:
            sys.setprofile(None)
    ours = {name for name in called if name.startswith("slipway.")}
    assert len(ours) > 15
    assert ours <= {*engine_key.writing_modules(), *engine_key._OUTSIDE}


def test_a_change_of_a_writer_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before, known = engine_key.engine(), engine_key._path
    name = "slipway.engines.duckdb.metrics"
    path = known(name)
    assert path is not None
    text = path.read_text(encoding="utf-8")
    changed = tmp_path / "metrics.py"
    monkeypatch.setattr(engine_key, "_path", lambda asked: changed if asked == name else known(asked))
    for edited, same in ((text, True), (text + "\nX = 1\n", False)):
        changed.write_text(edited, encoding="utf-8")
        engine_key.engine.cache_clear()
        assert (engine_key.engine() == before) is same


def test_versions_of_what_computes_and_writes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = engine_key.engine()
    assert {part.split()[0] for part in before[:-1]} >= {
        "duckdb",
        "pyiceberg",
        "pyarrow",
        "dbt-duckdb",
        "dbt-core",
    }
    monkeypatch.setattr(
        "slipway.dbt.keys.engine_key.version", lambda name: "9" if name == "pyiceberg" else version(name)
    )
    engine_key.engine.cache_clear()
    assert engine_key.engine() != before
