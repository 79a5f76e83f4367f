"""New rows of an input lead a table of Spark to where the same increments lead one of DuckDB, and where a full build does."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.projects import Meters
from tests.integration.spark.conftest import QUICKLY, starts_soon

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
    "overwritten": ("insert_overwrite", ", partitioned_by=['read_on']", LATEST),
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


BY_DAY = """\
{{{{ config(materialized='incremental', incremental_strategy='{strategy}', engine='{engine}'{more}) }}}}
select {columns} from {{{{ ref('consumption') }}}}
{{% if is_incremental() %}}where {{{{ partitions_changed(ref('consumption'), 'read_on') }}}}{{% endif %}}
{group}"""
CHANGED = {
    # strategy, configuration, columns, groups
    "daily": (
        "insert_overwrite",
        ", partitioned_by=['read_on']",
        "read_on, sum(kwh) as kwh",
        "group by read_on",
    ),
    "monthly": (
        "insert_overwrite",
        ", partitioned_by=['month(read_on)']",
        "read_on, sum(kwh) as kwh",
        "group by read_on",
    ),
    "by_meter": ("insert_overwrite", ", partitioned_by=['meter']", "meter, read_on, kwh", ""),
    "merged": ("merge", ", unique_key=['read_on']", "read_on, sum(kwh) as kwh", "group by read_on"),
    "lines": ("merge", ", unique_key=['meter', 'read_on']", "meter, read_on, kwh", ""),
    "meters": ("delete+insert", ", unique_key=['meter']", "meter, read_on, kwh", ""),
    "days": (
        "delete+insert",
        ", unique_key=['read_on']",
        "read_on, count(*) as n, sum(kwh) as kwh",
        "group by read_on",
    ),
}
NEWEST = """\
{{ config(materialized='incremental', unique_key='meter', partitioned_by=['read_on']) }}
select meter, cast(read_on as date) as read_on, cast(kwh as decimal(18, 3)) as kwh
from {{ ref('readings') }}
{% if is_incremental() %}where {{ rows_added(ref('readings')) }}{% endif %}
qualify row_number() over (partition by meter order by _landed_at desc, _source_file desc, _source_line desc) = 1
"""
"""One row of each meter, the last that landed: a reading of another day takes the row from the day where it was, which may lose all rows."""


def by_day(project: Meters) -> list[str]:
    """Pairs of models that read changed days, one for each engine; returns their names."""
    starts_soon(project)
    project.remove("models/serving/daily_consumption.sql", "models/serving/sites.sql", "models/_models.yml")
    project.write("models/curated/consumption.sql", NEWEST)
    for engine in ENGINES:
        for name, (strategy, more, columns, group) in CHANGED.items():
            text = BY_DAY.format(strategy=strategy, engine=engine, more=more, columns=columns, group=group)
            project.write(f"models/serving/{name}_{engine}.sql", text)
    return list(CHANGED)


def same(project: Meters, run: dict[str, Any], names: list[str]) -> dict[str, tuple[str, str]]:
    """What was reported of each model, once its tables and what was reported are found to be the same on both engines."""
    found = {}
    for name in names:
        first, second = (project.content(f"serving.{name}_{engine}") for engine in ENGINES)
        assert first == second, name
        found[name] = reported(run, name, "spark")
        assert reported(run, name, "duckdb") == found[name], name
    return found


def test_models_that_read_changed_partitions_are_the_same(project: Meters) -> None:
    names = by_day(project)
    same(project, project.run(), names)
    # a new day, and nothing else
    project.readings("day-3.csv", "m4,2024-05-03,1.25,", "m5,2024-05-03,3,", "m6,2024-06-01,1,")
    found = same(project, project.run(), names)
    # May has other days, which a query of the new ones does not give
    assert [name for name, (_, message) in found.items() if "REBUILT" in message] == ["monthly"], found
    # rows of days that were there
    project.readings("day-4.csv", "m4,2024-05-03,7.5,", "m7,2024-05-02,1,")
    found = same(project, project.run(), names)
    assert "REBUILT" not in found["daily"][1] + found["merged"][1] + found["lines"][1] + found["days"][1], (
        found
    )
    # a meter goes to another day, and the day where it was keeps others
    project.readings("day-5.csv", "m5,2024-05-02,9,")
    found = same(project, project.run(), names)
    # the only meter of a day goes to another month
    project.readings("day-6.csv", "m6,2024-05-03,2,")
    found = same(project, project.run(), names)
    assert found["daily"][0] == "built"
    assert "REBUILT" not in found["daily"][1]
    assert "1 key is not in the changed partitions of curated.consumption any more" in found["merged"][1]
    assert {str(day) for day, *_ in project.content("serving.daily_spark")} == {
        "2024-05-01",
        "2024-05-02",
        "2024-05-03",
    }
    before = {name: project.content(f"serving.{name}_spark") for name in names}
    again = project.run("--full-refresh", "--force", "--exclude", "readings")
    assert {name: project.content(f"serving.{name}_spark") for name in names} == before
    assert again["outcome"] == "published"
