"""Commands around a run treat a table that Spark computed as every other: replay, promotion, pull requests, slices, compaction, two runs at once."""

from __future__ import annotations

import json
import os
import signal

import pytest
from tests.harness.projects import Meters, Workshop
from tests.integration.spark.both_engines import LATE, compute_by_spark, late
from tests.integration.spark.conftest import left_behind, starts_soon
from tests.integration.spark.test_engine_of_models import built

from slipway.engines.duckdb.digest import DIGEST
from slipway.engines.writers import ENGINE
from slipway.iceberg.metadata_files import summary_of

NO_JAVA = "/nowhere"
BY_DAY = """\
{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        table_properties={'write.target-file-size-bytes': '3000'},
    )
}}
select parcel, depot, kg, weighed_on
from {{ ref('weights') }}
{% if is_incremental() %}
where weighed_on > (select max(weighed_on) as last_day from {{ this }})
{% endif %}
"""


@pytest.fixture
def released(project: Meters) -> Meters:
    """Two releases of a commit, in which Spark computed two tables, and a target prod in a folder."""
    compute_by_spark(project, "sites", "late")
    project.write("models/serving/late.sql", LATE)
    starts_soon(project)
    project.keep_locally("prod")
    project.write("promotion.yml", "environments:\n  prod: {from: [dev]}\n")
    project.commit()
    project.run()
    project.readings("day-2.csv", "m1,2024-05-02,1.25,", "m2,2024-05-02,3,")
    project.run()
    return project


def test_releases_of_spark_are_compared_promoted_replayed_and_rolled_back(released: Meters) -> None:
    rows, state = late(released), released.state()
    found = json.loads(released.slipway("diff", "1", "2", "--output", "json", JAVA_HOME=NO_JAVA).out)
    (table,) = (one for one in found["tables"] if one["name"] == "serving.late")
    assert (table["base"]["rows"], table["head"]["rows"]) == (3, 5)

    released.answer("rollback", "--to", "1", "--yes", "--reason", "test", JAVA_HOME=NO_JAVA)
    assert len(late(released)) == 3
    released.answer("rollback", "--to", "2", "--yes", "--reason", "forward", JAVA_HOME=NO_JAVA)
    assert (late(released), released.state()) == (rows, state)
    assert "Release 4 of dev is verified" in released.answer("verify", "--content", JAVA_HOME=NO_JAVA)

    # what was made elsewhere needs no Spark to be read, copied or verified
    released.answer("promote", "--from", "dev", "--to", "prod", "--yes", JAVA_HOME=NO_JAVA)
    assert "serving.late" in released.published("prod")
    assert released.table("serving.late", "prod").scan().to_arrow().num_rows == 5
    assert ", computed by spark" in released.answer(
        "show", "serving.late", "--target", "prod", JAVA_HOME=NO_JAVA
    )

    # but to be built again
    second = released.manifests()[1]["run_id"]
    done = released.slipway("replay", second, JAVA_HOME=NO_JAVA)
    assert done.code == 1
    assert "replay does not build: Spark cannot be started: JAVA_HOME is /nowhere" in done.err
    verdicts = json.loads(released.answer("replay", second, "--output", "json"))["tables"]
    assert {one["table"]: one["verdict"] for one in verdicts}["serving.late"] == "identical"
    assert {one["table"]: one["verdict"] for one in verdicts}["serving.sites"] == "identical"
    assert not left_behind(released, 0)


def test_a_pull_request_builds_by_spark_what_a_change_touches(released: Meters) -> None:
    released.edit("models/serving/sites.sql", "count(*) as meters", "count(*) + 1 as meters")
    folder = released.folder / "ci"
    before = released.locations()
    done = released.slipway("ci", "--output-dir", str(folder))
    assert done.code == 1, done
    written = json.loads((folder / "ci.json").read_text(encoding="utf-8"))
    engines = {node["table"]: node["engine"] for node in written["run"]["nodes"]}
    assert engines == {"serving.sites": "spark"}
    assert [(one["name"], one["verdict"]) for one in written["comparison"]["tables"]] == [
        ("serving.sites", "different")
    ]
    assert released.locations() == before
    assert not left_behind(released, 0)


def test_a_table_of_spark_is_sliced_compacted_and_kept_by_an_interrupted_run(workshop: Workshop) -> None:
    workshop.edit(
        "dbt_project.yml", "serving: {+schema: serving}", "serving: {+schema: serving, +engine: spark}"
    )
    workshop.write("models/serving/by_day.sql", BY_DAY)
    starts_soon(workshop)
    workshop.commit()
    workshop.run()
    sliced = workshop.run("--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    rows = {node["table"]: (node["engine"], node["rows_after"]) for node in sliced["nodes"]}
    assert rows["serving.by_day"] == ("spark", len([row for row in workshop.rows("serving.by_day", "weighed_on") if str(row[0]) == "2024-05-01"]))  # fmt: skip
    assert workshop.releases()[-1]["number"] == 1

    for number in (1, 2):
        workshop.land(
            f"june-{number}.csv", (f"q{number},N,2024-06-0{number},1.5", f"r{number},S,2024-06-0{number},2")
        )
        assert "serving.by_day" in built(workshop.run())
    before, files = workshop.rows("serving.by_day"), workshop.files("serving.by_day")
    said = summary_of(workshop.table("serving.by_day").current_snapshot())
    workshop.answer("maintain", JAVA_HOME=NO_JAVA)
    after = summary_of(workshop.table("serving.by_day").current_snapshot())
    assert len(workshop.files("serving.by_day")) < len(files)
    assert workshop.rows("serving.by_day") == before
    assert (after[DIGEST], after[ENGINE]) == (said[DIGEST], "spark")
    assert "is verified" in workshop.answer("verify", "--content", JAVA_HOME=NO_JAVA)
    assert workshop.run(SPARK_HOME="/nowhere")["outcome"] == "unchanged"

    # two at once: the second waits for the first, and finds its rows there
    workshop.land("june-3.csv", ("q3,N,2024-06-03,1.5",))
    at_once = [
        workshop.start("run", *more, DBT_TARGET_PATH=f"{workshop.folder}/target-{number}", DBT_LOG_PATH=f"{workshop.folder}/logs-{number}")
        for number, more in enumerate(((), ("--select", "by_day")))
    ]  # fmt: skip
    assert [running.wait(400).code for running in at_once] == [0, 0]
    assert len(workshop.rows("serving.by_day")) == len(before) + 1

    # ended by a scheduler while Spark computes
    workshop.land("june-4.csv", ("q4,N,2024-06-04,1.5",))
    running = workshop.start("run", stop_before="slipway.engines.spark.spark_writer:_Write._compute")
    running.stopped()
    os.kill(running.pid, signal.SIGTERM)
    os.kill(running.pid, signal.SIGCONT)
    assert running.wait(200).code not in (0, None)
    assert not left_behind(workshop, 20)
    assert len(workshop.rows("serving.by_day")) == len(before) + 1
    workshop.run()
    assert len(workshop.rows("serving.by_day")) == len(before) + 2
