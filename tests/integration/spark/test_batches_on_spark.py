"""Batches whose rows Spark computes make the same table as those of DuckDB."""

from __future__ import annotations

from typing import Any

from tests.harness.projects import Meters
from tests.integration.spark.conftest import starts_soon
from tests.integration.test_materializations import bare, seed

from slipway.engines.duckdb.digest import DIGEST
from slipway.engines.writers import ENGINE

MODEL = """\
{{{{ config(materialized='incremental', incremental_strategy='microbatch', engine='{engine}', event_time='{time}', begin='2024-03-30',
    batch_size='day', partitioned_by=['day({time})'], sorted_by=['k'], concurrent_batches=true) }}}}
select k, seen_at, seen_on, seen_without_zone, upper(word) as "Word of it", amount / 8 as share, amount * amount as square,
    row_number() over (partition by seen_on order by k) as number
from {{{{ ref('input') }}}}
"""
SEEDS = """
seeds:
  - name: input
    config:
      event_time: {}
      column_types: {{k: integer, seen_at: timestamptz, seen_on: date, seen_without_zone: timestamp, word: varchar, amount: "decimal(9,3)"}}
"""
TIMES = ("seen_at", "seen_on")
FIRST = (
    "1,2024-03-30 00:00:00+00,2024-03-30,2024-03-30 00:00:00,a,1.5",
    "2,2024-03-30 23:59:59.999999+00,2024-03-30,2024-03-30 23:59:59.999999,,2",
    "3,2024-03-31 01:30:00+00,2024-03-31,2024-03-31 01:30:00,ß,-0.125",
    "4,2024-04-02 12:00:00+00,2024-04-02,2024-04-02 12:00:00,x y,",
)
LATE = (
    "3,2024-03-31 01:30:00+00,2024-03-31,2024-03-31 01:30:00,é,0.125",
    "5,2024-03-31 23:00:00+00,2024-03-31,2024-03-31 23:00:00,b,100",
)
WHOLE = ("--event-time-start", "2024-03-30", "--event-time-end", "2024-04-03")
LATER = ("--event-time-start", "2024-03-31", "--event-time-end", "2024-04-03")


def land(project: Meters, time: str, *rows: str) -> None:
    project.write("seeds/reference/_seeds.yml", SEEDS.format(time))
    seed(project, *rows, header="k,seen_at,seen_on,seen_without_zone,word,amount")


def said(project: Meters, name: str) -> tuple[list[Any], str, Any]:
    table = project.table(f"serving.{name}")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    summary = snapshot.summary.additional_properties
    assert (summary.get(ENGINE) == "spark") == name.endswith("spark")
    return sorted(table.scan().to_arrow().to_pylist(), key=str), summary[DIGEST], table.schema()


def test_batches_of_both_engines_are_the_same(project: Meters) -> None:
    bare(project)
    starts_soon(project)
    for time in TIMES:
        land(project, time, *FIRST)
        for engine in ("duckdb", "spark"):
            project.write(f"models/serving/by_{engine}.sql", MODEL.format(engine=engine, time=time))
        first = project.run(*WHOLE, "--full-refresh")
        assert said(project, "by_spark") == said(project, "by_duckdb")
        (node,) = [one for one in first["nodes"] if one["table"] == "serving.by_spark"]
        assert (node["engine"], node["rows_after"]) == ("spark", 4)
        assert project.run(*WHOLE, SPARK_HOME="/nowhere")["outcome"] == "unchanged"

        land(project, time, *FIRST[:2], *LATE)
        project.run(*LATER)
        rows, *_ = said(project, "by_spark")
        assert said(project, "by_spark") == said(project, "by_duckdb")
        assert [row["k"] for row in sorted(rows, key=lambda row: row["k"])] == [1, 2, 3, 5]
