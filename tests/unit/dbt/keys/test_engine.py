"""The engine's part of a key covers the code that writes, wherever that stands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import pytest
from tests.harness.environments import place

import slipway
from slipway.dbt.keys import node_key
from slipway.engines.duckdb import engine as duckdb_engine
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import local_catalog

SLIPWAY = Path(slipway.__file__).parent
# called by the writer, and shaping no row: access to files, names in messages, and masks
OUTSIDE = ("environments", "errors", "names", "secrets", "settings", "storage", "write_limits")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    node_key.engine.cache_clear()
    yield
    node_key.engine.cache_clear()


def test_every_module_that_takes_part_in_writing_is_covered(tmp_path: Path) -> None:
    """Derived from the functions that are called while tables are written, so it notices code that moved or is new."""
    properties = local_catalog(tmp_path)
    here = place(f"file://{tmp_path}/warehouse", **{k: v for k, v in properties.items() if k != "warehouse"})
    duckdb_engine.count_reads(here.connection)
    called: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code.co_filename)

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
    ours = {Path(name) for name in called if name.startswith(f"{SLIPWAY}/")} - set(node_key.code_files())
    assert {str(path.relative_to(SLIPWAY)).removesuffix(".py").partition("/")[0] for path in ours} <= {
        *OUTSIDE
    }
    assert len(called & set(map(str, node_key.code_files()))) > 15


def test_a_change_of_a_writer_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = node_key.engine()
    for path in node_key.code_files():
        copied = tmp_path / path.relative_to(SLIPWAY)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    monkeypatch.setattr(node_key, "_SOURCES", tmp_path)
    for name in (
        "engines/duckdb/metrics.py",
        "dbt/package/macros/relations/ref.sql",
        "dbt/package/dbt_project.yml",
    ):
        path = tmp_path / name
        text = path.read_text()
        for changed, same in ((f"{text}\n", False), (text, True)):
            path.write_text(changed)
            node_key.engine.cache_clear()
            assert (node_key.engine() == before) is same


def test_versions_of_what_computes_and_writes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = node_key.engine()
    assert {part.split()[0] for part in before[:-1]} >= {
        "duckdb",
        "pyiceberg",
        "pyarrow",
        "dbt-duckdb",
        "dbt-core",
    }
    monkeypatch.setattr(
        "slipway.dbt.keys.node_key.version", lambda name: "9" if name == "pyiceberg" else version(name)
    )
    node_key.engine.cache_clear()
    assert node_key.engine() != before


def test_what_spark_needs_besides_counts_for_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.dbt.keys.node_key.computing", lambda: ["pyspark 9", "a jar"])
    node_key.spark.cache_clear()
    found = node_key.spark()
    node_key.spark.cache_clear()
    assert found[:2] == ["pyspark 9", "a jar"]
    assert found[2] == f"sqlglot {version('sqlglot')}"
    ours = {str(path.relative_to(SLIPWAY)) for path in node_key.code_files(node_key._ROOMS_OF_SPARK)}
    assert ours >= {
        "engines/spark/spark_writer.py",
        "engines/spark/translation/casts.py",
        "run_catalog/catalog.py",
    }
