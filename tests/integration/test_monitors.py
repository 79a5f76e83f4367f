"""Monitors in real runs: they warn by themselves, block by choice, say what they could not judge, and are never carried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Meters

PROMISE = """
slaProperties:
  - {property: freshness, value: 36, unit: h, element: readings}
"""
TESTS = """
models:
  - name: readings
    data_tests:
      - freshness_sla: {arguments: {column_name: "read_on::date"}}
    columns:
      - name: _landed_at
        data_tests:
          - latency_sla: {arguments: {happened_at: "read_on::timestamp", max_latency: 3 days}}
      - name: meter
        data_tests:
          - relationships_with_tolerance: {arguments: {to: ref('consumption'), field: meter, max_rate: 0.3}}
"""


def outcomes(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Results of tests by the monitor's name."""
    names = ("freshness_sla", "latency_sla", "relationships_with_tolerance")
    results = {one["unique_id"].split(".")[2]: one for one in run["tests"]["results"]}
    return {name: found for name in names for test, found in results.items() if test.startswith(name)}


@pytest.mark.long
def test_service_levels_are_judged_by_the_clock_and_never_carried(project: Meters) -> None:
    today = datetime.now(UTC).date()
    project.write("contracts/readings.odcs.yaml", project.read("contracts/readings.odcs.yaml") + PROMISE)
    project.write("models/raw/_monitored.yml", TESTS)
    project.readings("today.csv", f"m1,{today},1,", f"m4,{today - timedelta(days=1)},2,", "m2,2999-01-01,1,")
    first = outcomes(project.run())
    assert {name: one["status"] for name, one in first.items()} == {
        "freshness_sla": "pass",
        "latency_sla": "warn",
        "relationships_with_tolerance": "pass",
    }
    assert first["freshness_sla"]["volatile"] == "it looks at the clock"
    assert first["latency_sla"]["message"].startswith("data of 2024-05-01 took up to ")

    project.run()
    again = outcomes(project.run())  # after a run that found nothing new
    assert {name for name, one in again.items() if one["carried"]} == {"relationships_with_tolerance"}

    strict = "config: {severity: error, where: \"meter not in ('m1', 'm4')\"}"
    project.edit("models/raw/_monitored.yml", 'read_on::date"}', f'read_on::date"}}, {strict}')
    failed = project.run(code=1)
    assert outcomes(failed)["freshness_sla"]["message"].startswith("the newest data is of 2024-05-02, ")


VOLUME = """  - name: consumption
    data_tests:
      - volume_in_range: {name: days_of_consumption, arguments: {date_column: read_on, min_history: 5}, config: {severity: error}}
"""
ADDED = """
models:
  - name: readings
    data_tests:
      - volume_in_range: {arguments: {max_rows: 100}}
"""


@pytest.mark.long
def test_an_unusual_number_of_rows_is_not_published(project: Meters) -> None:
    project.edit("models/_models.yml", "  - name: consumption\n", VOLUME)
    project.write("models/raw/_monitored.yml", ADDED)
    first = {one["unique_id"].split(".")[2]: one for one in project.run()["tests"]["results"]}
    short = "not evaluated: 1 of 5 days of history before 2024-05-02"
    assert first["days_of_consumption"]["message"] == short
    assert f"pass: days_of_consumption: {short}" in project.answer("show", "latest")
    for day in range(3, 10):
        project.readings(f"day-{day}.csv", *(f"m{one},2024-05-0{day},1," for one in range(1, 10 + day % 2)))
    assert project.run()["outcome"] == "published"
    project.readings("day-10.csv", "m1,2024-05-10,1,")
    failed = project.run(code=1)
    assert failed["outcome"] == "failed"
    results = {one["unique_id"].split(".")[2]: one for one in failed["tests"]["results"]}
    found = results["days_of_consumption"]
    assert found["message"].startswith("2024-05-10 has 1 row, and ")
    assert found["volatile"] == "it looks at earlier snapshots"
    assert "days_of_consumption: 2024-05-10 has 1 row, and " in project.dbt("build", code=1)
    # what is known to be right is excepted, and is no history later
    project.edit("models/_models.yml", "min_history: 5", "min_history: 5, except_dates: [2024-05-10]")
    assert project.run()["outcome"] == "published"


PROFILED = """  - name: consumption
    data_tests:
      - null_rate:
          {name: nulls, arguments: {column_name: kwh, date_column: read_on, min_history: 5, max_rate: 0.5}}
      - distribution_drift:
          name: drift
          arguments: {column_name: kwh, date_column: read_on, min_history: 5}
          config: {severity: error}
    columns:
      - name: meter
        config: {meta: {classification: internal}}
"""
COLUMNS = ("column_name", "business_date", "row_count", "top_values", "content")


@pytest.mark.long
def test_profiles_are_made_once_for_each_day_that_changed(project: Meters) -> None:
    _, _, tail = project.read("models/_models.yml").partition("  - name: daily_consumption\n")
    project.write("models/_models.yml", f"models:\n{PROFILED}  - name: daily_consumption\n{tail}")

    def land(day: int, factor: float) -> None:
        rows = (f"m{one},2024-05-{day:02},{factor * (one + day % 3):.2f}," for one in range(1, 60))
        project.readings(f"day-{day}.csv", *rows)

    for day in range(3, 9):
        land(day, 0.5)
    first = results(project.run())
    assert (first["drift"]["status"], first["drift"]["message"]) == ("pass", "")
    assert first["nulls"]["volatile"] == "it looks at earlier profiles"
    kept = project.rows("ops.column_profiles", *COLUMNS)
    assert len(kept) == 3 * 8  # columns and days
    assert {values for name, _, _, values, _ in kept if name == "meter"} == {None}

    # a unit error: what is not published has no profile
    land(9, 500)
    failed = project.run(code=1)
    assert (
        "2024-05-09 has values of kwh that are distributed otherwise" in results(failed)["drift"]["message"]
    )
    assert project.rows("ops.column_profiles", *COLUMNS) == kept

    # corrected: one day is profiled, whatever else the table has
    project.edit(
        "models/_models.yml",
        "min_history: 5}\n          config",
        "min_history: 5, max_index: 99}\n          config",
    )
    assert project.run()["outcome"] == "published"
    new = [row for row in project.rows("ops.column_profiles", *COLUMNS) if row not in kept]
    assert {(row[1].day, row[2]) for row in new} == {(9, 59)}
    assert results(project.run())["drift"]["carried"] is False
    assert len(project.rows("ops.column_profiles", *COLUMNS)) == len(kept) + len(new)
    project.answer("doctor")
    project.answer("maintain")


def results(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Results of tests by name."""
    return {one["unique_id"].split(".")[2]: one for one in run["tests"]["results"]}


MISTAKEN = """
models:
  - name: readings
    data_tests:
      - freshness_sla: {name: unlimited, arguments: {column_name: _landed_at}}
      - freshness_sla: {name: no_time, arguments: {column_name: meter, max_age: 1 d}}
      - latency_sla: {name: no_latency, arguments: {column_name: _landed_at, happened_at: _landed_at}}
      - freshness_sla: {name: no_contract, arguments: {column_name: _landed_at, contract: orders}}
      - volume_in_range: {name: not_by_day, arguments: {date_column: read_on}}
      - volume_in_range: {name: other_count, arguments: {count: most}}
      - volume_in_range: {name: conditional, config: {where: "kwh is null"}}
      - null_rate: {name: no_column, arguments: {column_name: litres, date_column: _landed_at}}
      - null_rate: {name: no_day, arguments: {column_name: kwh, date_column: note}}
      - null_rate: {name: no_such_day, arguments: {column_name: kwh, date_column: day}}
      - distribution_drift: {name: hidden, arguments: {column_name: note, date_column: _landed_at}}
      - distribution_drift: {name: nested, arguments: {column_name: parts, date_column: _landed_at}}
    columns:
      - {name: note, config: {meta: {classification: personal}}}
  - name: shown
    data_tests:
      - volume_in_range: {name: of_view}
"""
REFUSALS = (
    "unlimited has no limit: neither the test says max_age or due nor the table's contract freshness or timeOfAvailability",
    "meter holds no times: its type is VARCHAR",
    "no_latency has no limit: neither the test says max_latency nor the table's contract latency",
    "No contract orders: none in contracts/ has this id",
    "not_by_day: the metadata of raw.readings does not say how many rows have which read_on",
    "other_count: count is most",
    "conditional has a where",
    "raw.readings has no column litres",
    "note of raw.readings holds no days",
    "raw.readings has no column day",
    "hidden looks at note, which is classified",
    "nested looks at parts: values of type list<string> are not compared",
    "of_view looks at curated.shown: it is no Iceberg table, and so has no history",
)


@pytest.mark.long
def test_monitors_that_cannot_be_judged_are_refused(project: Meters) -> None:
    project.write("models/raw/_monitored.yml", MISTAKEN)
    project.write(
        "models/raw/readings.sql", project.read("models/raw/readings.sql").replace("*", "*, [meter] as parts")
    )
    project.write(
        "models/curated/shown.sql", "{{ config(materialized='view') }}\nselect * from {{ ref('readings') }}\n"
    )
    project.dbt("run", "-s", "readings", "shown")
    output = " ".join(project.refused("test", "-s", "readings", "shown").split())
    assert [text for text in REFUSALS if text not in output] == []
    project.edit("dbt_project.yml", "kwh_factor: 1000", "kwh_factor: 1000\n  keep_profile_days: long")
    assert "keep_profile_days is long: it is no number of days" in project.refused("build", "-s", "readings")
