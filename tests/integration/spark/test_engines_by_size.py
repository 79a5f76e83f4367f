"""Spark computes what is larger than a bound, and a canary compares what both engines make of the same code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.harness.projects import Meters
from tests.integration.spark.both_engines import LATE
from tests.integration.spark.conftest import left_behind, starts_soon

SITES = "    serving: {+schema: serving, sites: {+engine: auto, +spark_above: 1 B}}"


@pytest.fixture
def sized(project: Meters) -> Meters:
    """The engine of one model is chosen by size, and its text has a branch for each engine."""
    project.edit("dbt_project.yml", "    serving: {+schema: serving}", SITES)
    project.edit("models/serving/sites.sql", "    site,\n", "    site,\n    '{{ engine() }}' as made_by,\n")
    starts_soon(project)
    return project


def sites(manifest: dict[str, Any]) -> dict[str, Any]:
    (found,) = (node for node in manifest["nodes"] if node["table"] == "serving.sites")
    return dict(found)


def test_spark_computes_what_is_larger_than_the_bound(sized: Meters) -> None:
    sized.edit("dbt_project.yml", "1 B", "1 GB")
    assert sites(sized.run())["engine"] == "duckdb"
    # beyond the bound: what DuckDB made of the same code and inputs stays
    sized.edit("dbt_project.yml", "1 GB", "1 B")
    kept = sites(sized.run())
    assert (kept["engine"], kept["change"]) == ("duckdb", "unchanged")

    sized.readings("day-3.csv", "m1,2024-05-03,1,")
    built = sites(sized.run())
    assert (built["engine"], built["change"]) == ("spark", "built")
    (note,) = built["notes"]
    assert note.startswith("computed by Spark, because the tables that it reads have ")
    assert note.endswith(" KiB, and spark_above is 1 B")
    assert {row[0] for row in sized.rows("serving.sites", "made_by")} == {"spark"}
    assert not left_behind(sized, 0)

    # and below it again, what Spark made
    sized.edit("dbt_project.yml", "1 B", "1 GB")
    kept = sites(sized.run(JAVA_HOME="/nowhere"))
    assert (kept["engine"], kept["change"]) == ("spark", "unchanged")
    sized.readings("day-4.csv", "m1,2024-05-04,1,")
    built = sites(sized.run(JAVA_HOME="/nowhere"))
    assert (built["engine"], built["change"]) == ("duckdb", "built")
    assert {row[0] for row in sized.rows("serving.sites", "made_by")} == {"duckdb"}


def test_a_canary_compares_engines(project: Meters) -> None:
    starts_soon(project)
    project.write("models/serving/late.sql", LATE)  # a column of it names the engine
    project.write(
        "models/serving/middle.sql", "select median(kwh) as middle\nfrom {{ ref('consumption') }}\n"
    )
    project.run()
    before = project.locations()
    folder = project.folder / "canary"
    done = project.slipway("canary", "--engine", "spark", "--output-dir", str(folder), "--output", "json")
    assert done.code == 1, done
    report = json.loads(done.out)
    verdicts = {table["name"]: table["verdict"] for table in report["tables"]}
    assert verdicts["serving.late"] == "different"
    assert {name for name, verdict in verdicts.items() if verdict == "identical"} == {
        "reference.meters",
        "curated.consumption",
        "serving.daily_consumption",
        "serving.middle",
        "serving.sites",
    }
    (late,) = (table for table in report["tables"] if table["name"] == "serving.late")
    assert "made_by" in json.dumps(late)
    assert (report["base"], report["head"]) == ("configured engines", "engine spark")
    compared, *stay = report["remarks"]
    assert compared.startswith("Engines were compared by 2 tables of the same code: base by DuckDB ")
    assert "head by Spark (pyspark 4.1." in compared
    assert compared.endswith(": serving.late, serving.sites")
    reasons = {said.split(" stays ")[0]: said for said in stay}
    assert "the function median" in reasons["serving.middle"]
    assert "alias of another expression" in reasons["curated.consumption"]
    assert "partitions_changed" in reasons["serving.daily_consumption"]
    assert compared in (folder / "canary.html").read_text(encoding="utf-8")
    assert project.locations() == before
    assert not left_behind(project, 0)

    # where the engines agree
    done = project.slipway(
        "canary", "--engine", "spark", "--select", "sites", "consumption", "--output", "json"
    )
    assert done.code == 0, done
    assert json.loads(done.out)["passed"]
