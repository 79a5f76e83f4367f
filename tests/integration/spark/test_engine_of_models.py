"""A model that is configured so is computed by Spark, and is otherwise like every other: kept, tested, published, rolled back."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.harness.projects import Meters
from tests.integration.spark.both_engines import FIRST, LATE, SECOND, compute_by_spark, late
from tests.integration.spark.conftest import java_of, left_behind, starts_soon

from slipway.engines.writers import ENGINE

SEEN = """\
{{ config(materialized='incremental', incremental_strategy='append', engine='spark') }}
select meter, read_on
from {{ ref('late') }}
{% if is_incremental() %}
where read_on > (select max(read_on) as last_day from {{ this }})
{% endif %}
"""
BY_SPARK = {"serving.sites", "serving.late", "serving.seen"}


def built(manifest: dict[str, Any]) -> set[str]:
    return {node["table"] for node in manifest["nodes"] if node["change"] in ("built", "same_content")}


@pytest.fixture
def mixed(project: Meters) -> Meters:
    """Three models of Spark after two of DuckDB: by folder, in the model, and one that reads another."""
    compute_by_spark(project, "sites", "late")
    project.write("models/serving/late.sql", LATE)
    starts_soon(project)
    project.write("models/serving/seen.sql", SEEN)
    return project


def test_runs_of_a_project_with_both_engines(mixed: Meters) -> None:
    first = mixed.run()
    assert {node["table"]: node["engine"] for node in first["nodes"]} == {
        node["table"]: "spark" if node["table"] in BY_SPARK else "duckdb" for node in first["nodes"]
    }
    assert {node["table"] for node in first["nodes"]} >= BY_SPARK
    assert all(node["cpu_seconds"] is None for node in first["nodes"] if node["table"] in BY_SPARK)
    assert late(mixed) == FIRST
    assert {row[0] for row in mixed.rows("serving.late", "made_by")} == {"spark"}
    for name in BY_SPARK:
        snapshot = mixed.table(name).current_snapshot()
        assert snapshot is not None
        assert snapshot.summary is not None
        assert snapshot.summary.additional_properties[ENGINE] == "spark"
        assert mixed.table(name).metadata.refs.keys() == {"main", "release-1"}
    assert not left_behind(mixed, 0)

    shown = {
        line.split()[0]: line.split()[-1] for line in mixed.answer("show", "latest").splitlines() if line
    }
    assert {name for name, last in shown.items() if last == "spark"} == BY_SPARK
    assert ", computed by spark" in mixed.answer("show", "serving.sites")
    (line,) = json.loads(mixed.answer("log", "serving.sites", "--output", "json"))
    assert line["engine"] == "spark"
    site = mixed.folder / "site"
    mixed.answer("site", "build", "--output-dir", str(site))
    tables = {one["name"]: one["engine"] for one in json.loads((site / "api/tables.json").read_bytes())}
    assert {name for name, engine in tables.items() if engine == "spark"} == BY_SPARK
    assert set(tables.values()) == {"spark", "duckdb"}
    (run,) = json.loads((site / "api/runs.json").read_bytes())
    assert run["engines"] == dict.fromkeys(BY_SPARK, "spark")

    # nothing has changed: dbt looks and starts no Spark, and then is not started itself
    assert mixed.run(SPARK_HOME="/nowhere")["outcome"] == "unchanged"
    assert mixed.run(JAVA_HOME="/nowhere")["outcome"] == "unchanged"
    state = mixed.state()

    # a second day
    mixed.readings("day-2.csv", "m1,2024-05-02,1.25,", "m2,2024-05-02,3,")
    second = mixed.run()
    assert second["release"] == 2
    assert late(mixed) == [*FIRST, *SECOND]
    assert len(mixed.rows("serving.seen")) == 5
    assert built(second) >= BY_SPARK
    assert not left_behind(mixed, 0)

    # an edit of one of them, and the change of the engine of another
    mixed.edit("models/serving/sites.sql", "count(*) as meters", "count(*) + 0 as meters")
    mixed.edit("dbt_project.yml", "late: {+engine: spark}", "late: {+engine: duckdb}")
    third = mixed.run()
    engines = {node["table"]: (node["engine"], node["change"]) for node in third["nodes"]}
    assert engines["serving.sites"] == ("spark", "same_content")
    assert engines["serving.late"][0] == "duckdb"
    assert engines["serving.late"][1] == "built"
    assert engines["serving.daily_consumption"] == ("duckdb", "unchanged")

    # readers see the first release again
    mixed.answer("rollback", "--to", "1", "--yes", "--reason", "test")
    assert mixed.state() == {**mixed.state(), **{name: state[name] for name in BY_SPARK}}
    assert late(mixed) == FIRST


def test_a_test_that_fails_publishes_nothing_of_either_engine(mixed: Meters) -> None:
    mixed.write("tests/dbt/nothing_is_late.sql", "-- Nobody reads late.\nselect * from {{ ref('late') }}\n")
    failed = mixed.run(code=1)
    assert failed["outcome"] == "failed"
    assert mixed.published() == {}
    mixed.remove("tests/dbt/nothing_is_late.sql")


def test_what_cannot_be_translated_is_named_with_model_and_line(mixed: Meters) -> None:
    mixed.write(
        "models/serving/seen.sql",
        "{{ config(engine='spark') }}\nselect\n    count(*) as n,\n    median(kwh) as middle\nfrom {{ ref('consumption') }}\n",
    )
    mixed.edit("dbt_project.yml", ", sites: {+engine: spark}, late: {+engine: spark}", "")
    failed = mixed.run(code=1)
    (message,) = [node["message"] for node in failed["nodes"] if node["table"] == "serving.seen"]
    assert "seen cannot be computed by Spark: the function median" in message
    assert "line 4 of its compiled SQL" in message
    assert mixed.published() == {}


def test_no_java_is_one_line_and_nothing_has_landed(mixed: Meters) -> None:
    said = mixed.refusal("run", code=2, JAVA_HOME="/nowhere")
    assert said.startswith("Spark cannot be started: ")
    assert mixed.ledger() == []


@pytest.mark.parametrize("when", ["slipway.engines.spark.spark_writer:_Write._stage"])
def test_a_run_that_is_killed_leaves_the_last_release_and_no_java(mixed: Meters, when: str) -> None:
    mixed.remove("models/serving/seen.sql")
    mixed.run()
    before = mixed.locations()
    mixed.readings("day-2.csv", "m1,2024-05-02,1.25,", "m2,2024-05-02,3,")
    mixed.killed(when, "run", program="slipway")
    assert not left_behind(mixed, 60)
    assert {
        name: place
        for name, place in mixed.locations().items()
        if name in before and not name.startswith("ops.")
    } == {name: place for name, place in before.items() if not name.startswith("ops.")}
    mixed.run()
    assert late(mixed) == [*FIRST, *SECOND]
    assert not list(mixed.temporary.glob("slipway-spark-*"))


def test_ctrl_c_ends_what_spark_computes(mixed: Meters) -> None:
    mixed.remove("models/serving/late.sql", "models/serving/seen.sql")
    many = "\n".join(f"cross join {{{{ ref('consumption') }}}} as c{number}" for number in range(22))
    mixed.write(
        "models/serving/sites.sql", f"select count(*) as n\nfrom {{{{ ref('consumption') }}}} as c\n{many}\n"
    )
    running = mixed.start("run", stop_before="slipway.engines.spark.spark_writer:_Write._compute")
    running.stopped()
    os.kill(running.pid, signal.SIGCONT)
    time.sleep(10)  # by then it computes 94 thousand million rows
    (java,) = java_of(mixed)
    assert b"token" not in Path(f"/proc/{java}/cmdline").read_bytes()
    began = time.monotonic()
    os.kill(running.pid, signal.SIGINT)
    done = running.wait()
    assert done.code == 130, done
    assert time.monotonic() - began < 120
    assert mixed.published() == {}
    assert not left_behind(mixed, 0)
