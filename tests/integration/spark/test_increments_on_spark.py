"""New rows of an input lead a table of Spark to where the same increments lead one of DuckDB, and where a full build does."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.projects import Meters
from tests.integration.spark.conftest import QUICKLY

LATEST = """
qualify row_number() over (partition by meter, read_on order by _landed_at desc, _source_file desc, _source_line desc) = 1
"""
MODEL = """\
{{{{ config(materialized='incremental', incremental_strategy='{strategy}', engine='{engine}'{key}) }}}}
with typed as (
    select meter, cast(read_on as date) as read_on, cast(kwh as decimal(18, 3)) as kwh, _landed_at, _source_file, _source_line, _run_id
    from {{{{ ref('readings') }}}}
)
select meter, read_on, kwh
from typed
{{% if is_incremental() %}}where {{{{ rows_added(ref('readings')) }}}}{{% endif %}}
{last}"""
DAYS = """\
{{{{ config(materialized='incremental', incremental_strategy='append', engine='{engine}') }}}}
select meter, read_on, kwh from {{{{ ref('consumption') }}}}
{{% if is_incremental() %}}where {{{{ partitions_changed(ref('consumption'), 'read_on') }}}}{{% endif %}}
"""
KINDS = {
    "latest": ("merge", ", unique_key=['meter', 'read_on']", LATEST),
    "replaced": ("delete+insert", ", unique_key=['meter', 'read_on']", LATEST),
    "keyed": ("merge", ", unique_key=['meter', 'read_on', 'kwh']", ""),
    "redone": ("delete+insert", ", unique_key=['meter']", ""),
    "every": ("append", "", ""),
}
ENGINES = ("duckdb", "spark")


@pytest.fixture
def increments(project: Meters) -> Meters:
    """Pairs of models, one for each engine, for each strategy."""
    project.put("../spark/spark-defaults.conf", QUICKLY)
    project.settings["SPARK_CONF_DIR"] = str(project.folder / "spark")
    (project.landing / "readings" / "day-2.csv").unlink()
    for engine in ENGINES:
        for name, (strategy, key, last) in KINDS.items():
            text = MODEL.format(strategy=strategy, engine=engine, key=key, last=last)
            project.write(f"models/serving/{name}_{engine}.sql", text)
        project.write(f"models/serving/days_{engine}.sql", DAYS.format(engine=engine))
    return project


def rows(project: Meters, table: str) -> list[tuple[Any, ...]]:
    return sorted(project.rows(f"serving.{table}", "meter", "read_on", "kwh"), key=str)


def reported(run: dict[str, Any], name: str, engine: str) -> tuple[str, str]:
    (node,) = [one for one in run["nodes"] if one["table"] == f"serving.{name}_{engine}"]
    return node["change"], node["message"].replace(" by Spark", "")


def check(project: Meters, run: dict[str, Any]) -> None:
    for name in (*KINDS, "days"):
        first, second = (rows(project, f"{name}_{engine}") for engine in ENGINES)
        assert first == second, name
        assert reported(run, name, "duckdb") == reported(run, name, "spark")


def test_increments_of_both_engines_are_the_same(increments: Meters) -> None:
    check(increments, increments.run())
    # new keys, on a new day
    increments.readings("day-2.csv", "m1,2024-05-02,1.25,", "m9,2024-05-02,3,")
    second = increments.run()
    check(increments, second)
    assert reported(second, "keyed", "spark")[1] == "MERGE 2 rows"
    assert "REBUILT" in reported(second, "redone", "spark")[1]
    assert "would be replaced that come of rows of raw.readings" in reported(second, "redone", "spark")[1]
    # a row that comes again otherwise, and one of a day that was there
    increments.readings("day-3.csv", "m1,2024-05-02,7.5,", "m4,2024-05-01,1,")
    third = increments.run()
    check(increments, third)
    assert "REBUILT" in reported(third, "days", "spark")[1]
    # and what a full build gives
    before = {name: rows(increments, f"{name}_spark") for name in (*KINDS, "days")}
    check(increments, increments.run("--full-refresh", "--force"))
    assert {name: rows(increments, f"{name}_spark") for name in (*KINDS, "days")} == before
