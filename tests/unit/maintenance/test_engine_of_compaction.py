"""Which engine compacts a table, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.cli.maintain import _chosen, _step
from slipway.maintenance.retention import Bin, LiveFile
from slipway.maintenance.steps import Compact, OtherEngine, Plan
from slipway.maintenance.survey import bounds_of_spark

FOUND = Compact("serving.b", (Bin((LiveFile("a", 2048), LiveFile("b", 2048))),))


@pytest.mark.parametrize(
    ("other", "engine", "why"),
    [
        (OtherEngine("spark", 4096), "duckdb", ""),
        (OtherEngine("spark", 4095), "spark", "by Spark, because 4.0 KiB are written again, and spark_above is 4.0 KiB"),
        (OtherEngine("spark", 1, "Java is not installed."), "duckdb", "by DuckDB, although 4.0 KiB are written again, and spark_above is 1 B: Java is not installed."),
        (OtherEngine("spark", 8192, "Java is not installed."), "duckdb", ""),
    ],
)  # fmt: skip
def test_the_bytes_that_are_written_again_decide(other: OtherEngine, engine: str, why: str) -> None:
    found = other.compaction(FOUND)
    assert (found.engine, found.why, found.bins) == (engine, why, FOUND.bins)
    said = _chosen(Plan([found]))
    assert said == ([f"serving.b is compacted {why.rstrip('.')}."] if why else [])
    recorded = _step(found)
    assert (recorded["engine"], recorded["why"], recorded["bytes"]) == (engine, why, 4096)


def test_bounds_are_those_of_models_that_spark_may_compute() -> None:
    def node(name: str, kind: str = "model", **config: str) -> dict[str, Any]:
        return {"resource_type": kind, "schema": "serving", "alias": name, "config": config}

    nodes = [
        node("a", engine="spark"),
        node("b", engine="auto", spark_above="2 GB"),
        node("c", engine="duckdb"),
        node("d"),
        node("e", "test", engine="auto"),
    ]
    found = bounds_of_spark({"nodes": {str(at): one for at, one in enumerate(nodes)}})
    assert found == {"serving.a": 20 * 10**9, "serving.b": 2 * 10**9}
    assert bounds_of_spark({}) == {}
