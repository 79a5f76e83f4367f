"""Spark compacts the tables of its models from a bound on: the same rows, partitions and order, checked as DuckDB's are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyarrow.parquet import read_table
from tests.harness.projects import Meters
from tests.integration.spark.conftest import left_behind, starts_soon

BOUND = "1 GB"
MODEL = """\
{{{{ config(materialized='incremental', incremental_strategy='append'{more}) }}}}
select meter, read_on, kwh
from {{{{ ref('consumption') }}}}
{{% if is_incremental() %}}
where read_on > (select max(read_on) as last_day from {{{{ this }}}})
{{% endif %}}
"""
DAYS = 5
ORDERED, PLAIN = "serving.ordered", "serving.plain"


@pytest.fixture
def scattered(project: Meters) -> Meters:
    """Two tables with a file for each day, one of them for each meter, too; made by DuckDB, because they are small."""
    project.edit(
        "dbt_project.yml",
        "    serving: {+schema: serving}",
        f"    serving: {{+schema: serving, ordered: {{+engine: auto, +spark_above: {BOUND}}}, plain: {{+engine: auto, +spark_above: {BOUND}}}}}",
    )
    project.write(
        "models/serving/ordered.sql", MODEL.format(more=", partitioned_by=['meter'], sorted_by=['kwh']")
    )
    project.write("models/serving/plain.sql", MODEL.format(more=""))
    starts_soon(project)
    (project.landing / "readings" / "day-1.csv").unlink()
    (project.landing / "readings" / "day-2.csv").unlink()
    for day in range(1, DAYS + 1):
        project.readings(f"of-{day}.csv", f"m1,2024-05-0{day},{day},", f"m2,2024-05-0{day},{9 - day},")
        project.run("--select", "+ordered", "+plain", JAVA_HOME="/nowhere")
    assert (len(project.files(ORDERED)), len(project.files(PLAIN))) == (2 * DAYS, DAYS)
    return project


def compactions(project: Meters, *argv: str, **settings: str) -> dict[str, dict[str, Any]]:
    report = json.loads(project.answer("maintain", "--output", "json", *argv, **settings))
    return {step["table"]: step for step in report["steps"] if step["step"] == "compact"}


def test_spark_compacts_above_the_bound(scattered: Meters) -> None:
    rows = {name: scattered.rows(name) for name in (ORDERED, PLAIN)}
    (found,) = {step["why"] for step in compactions(scattered, "--select", ORDERED, "--dry-run").values()}
    assert found == ""
    scattered.write("dbt_project.yml", scattered.read("dbt_project.yml").replace(BOUND, "1 B"))
    assert scattered.run("--select", "+ordered", "+plain")["outcome"] == "unchanged"

    # where there is no Java, DuckDB does it, and says why
    planned = compactions(scattered, "--select", "serving.*", "--dry-run", JAVA_HOME="/nowhere")
    assert {step["engine"] for step in planned.values()} == {"duckdb"}
    assert "are written again, and spark_above is 1 B: Spark cannot be started: " in planned[PLAIN]["why"]

    said = scattered.slipway("maintain", "--select", "serving.*", "--dry-run")
    assert f"{PLAIN} is compacted by Spark, because " in said.err
    before = scattered.locations()
    killed = scattered.start(
        "maintain", "--select", "serving.*", kill_before="slipway.maintenance.apply:publish"
    ).wait()
    assert killed.code is None, killed
    assert scattered.locations() == before
    assert not left_behind(scattered, 20)

    done = compactions(scattered, "--select", "serving.*")
    assert {name: step["engine"] for name, step in done.items()} == {ORDERED: "spark", PLAIN: "spark"}
    assert not left_behind(scattered, 0)
    assert (len(scattered.files(ORDERED)), len(scattered.files(PLAIN))) == (2, 1)
    for name, expected in rows.items():
        assert scattered.rows(name) == expected
        snapshot = scattered.table(name).current_snapshot()
        assert snapshot is not None
        assert snapshot.summary is not None
        summary = snapshot.summary.additional_properties
        assert snapshot.summary.operation.value == "replace"
        assert "slipway.rewrites" in summary
    table = scattered.table(ORDERED)
    assert {task.file.partition[0] for task in table.scan().plan_files()} == {"m1", "m2"}
    for task in table.scan().plan_files():
        kwh = read_table(task.file.file_path.removeprefix("file://")).column("kwh").to_pylist()
        assert kwh == sorted(kwh)

    # what was compacted is the content that was published: nothing is built, tested or compacted again
    assert scattered.run("--select", "+ordered", "+plain")["outcome"] == "unchanged"
    assert not compactions(scattered, "--select", "serving.*", "--dry-run")
    scattered.readings("late.csv", "m1,2024-05-09,1,")
    assert scattered.run("--select", "+ordered", "+plain")["outcome"] == "published"
    assert len(scattered.rows(PLAIN)) == 2 * DAYS + 1
