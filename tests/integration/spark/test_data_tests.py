"""Data tests of a table that is larger than the bound: Spark finds what DuckDB finds, by dbt's own rules of what fails."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.projects import Meters
from tests.integration.spark.conftest import left_behind, starts_soon

MODELS = """\
models:
  - name: consumption
    data_tests:
      - positive: {name: negative_limited, config: {limit: 1}}
      - positive: {name: negative_summed, config: {fail_calc: "coalesce(sum(wrong), 0)", warn_if: ">= 3", error_if: "> 5"}}
      - positive: {name: negative_stored, config: {store_failures: true, limit: 2, severity: warn}}
      - positive: {name: negative_of_may, config: {where: "read_on < date '2024-05-02'"}}
      - positive: {name: negative_tolerated, config: {error_if: "> 100", warn_if: "> 99"}}
    columns:
      - name: meter
        data_tests:
          - not_null
          - unique: {name: unique_meter, config: {severity: warn}}
          - unique: {name: unique_meter_of_a_day, config: {where: "read_on = date '2024-05-01'"}}
          - accepted_values: {name: known_meters, values: [m1, m2], config: {severity: warn}}
          - accepted_values: {name: all_meters, values: [m1, m2, m3, m4]}
          - relationships: {name: meters_of_the_list, to: ref('meters'), field: meter}
      - name: kwh
        data_tests: [not_null]
  - name: sites
    config: {contract: {enforced: true}}
    data_tests:
      - meets_contract: {name: keeps_its_contract, config: {severity: warn}}
      - meets_contract: {name: keeps_its_warnings, rules: warning}
    columns:
      - name: site
        data_type: varchar
        data_tests:
          - not_null
          - accepted_values: {name: only_north, values: [north], config: {severity: error}}
      - {name: meters, data_type: bigint}
      - {name: kwh, data_type: "decimal(38,3)"}
"""
POSITIVE = """\
{% test positive(model) %}
select meter, read_on, kwh, 1 as wrong, 'The meter ' || meter || ' has a negative reading' as problem
from {{ model }}
where kwh < 0
{% endtest %}
"""
CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: sites
version: 1.0.0
status: active
schema:
  - name: sites
    physicalName: serving.sites
    logicalType: object
    properties:
      - name: site
        logicalType: string
        physicalType: varchar
        quality:
          - {type: library, metric: duplicateValues, mustBe: 0, id: once}
          - {type: library, metric: nullValues, mustBe: 0, unit: percent, id: named}
          - {type: library, metric: invalidValues, arguments: {pattern: "nor.*"}, mustBeLessThan: 10, unit: percent, id: northern}
      - {name: meters, logicalType: integer, physicalType: bigint}
      - {name: kwh, logicalType: number, physicalType: "decimal(38,3)"}
    quality:
      - {type: library, metric: rowCount, mustBe: 7, id: seven_sites}
      - {type: sql, query: "select sum(meters) from ${object}", mustBeLessThan: 3, id: few_meters}
      - {type: sql, query: "select max(kwh) from ${object}", mustBeGreaterThan: 1000, severity: warning, id: much}
"""
MEDIAN = "select site from {{ ref('sites') }} group by site having median(kwh) > 1000\n"


@pytest.fixture
def tested(project: Meters) -> Meters:
    """Tests of all kinds, of which some fail."""
    project.readings(
        "day-2.csv", "m1,2024-05-02,1.25,", "m2,2024-05-02,-3,", "m3,2024-05-02,-1,", "m4,2024-05-02,-2,"
    )
    project.write("models/_models.yml", MODELS)
    project.remove("tests/dbt/consumption_is_not_negative.sql")  # without it nothing is skipped
    project.write("macros/positive.sql", POSITIVE)
    project.write("contracts/sites.odcs.yaml", CONTRACT)
    project.write("tests/dbt/median_is_small.sql", MEDIAN)
    starts_soon(project)
    return project


def configured(project: Meters, given: str) -> None:
    """Have data tests configured so."""
    text = project.read("dbt_project.yml").partition("\ndata_tests:")[0]
    project.write("dbt_project.yml", f"{text}\ndata_tests:\n  meters: {{+severity: warn{given}}}\n")


def results(manifest: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {
        test["unique_id"].split(".")[2]: (
            test["status"],
            test["failures"],
            test["message"],
            tuple(test["problems"]),
        )
        for test in manifest["tests"]["results"]
    }


def engines(manifest: dict[str, Any]) -> dict[str, str]:
    return {test["unique_id"].split(".")[2]: test["engine"] for test in manifest["tests"]["results"]}


def test_both_engines_find_the_same(tested: Meters) -> None:
    configured(tested, "")
    by_duckdb = tested.run(code=1)
    assert set(engines(by_duckdb).values()) == {"duckdb"}
    found = results(by_duckdb)
    assert found["negative_limited"][:2] == ("warn", 1)
    assert found["negative_summed"][:2] == ("warn", 3)
    assert found["negative_stored"][:2] == ("warn", 2)
    assert found["negative_of_may"][:2] == ("pass", 0)
    assert found["unique_meter"][:2] == ("warn", 3)
    assert found["known_meters"][:2] == ("warn", 2)
    assert found["meters_of_the_list"][:2] == ("warn", 1)
    assert found["only_north"][:2] == ("fail", 1)
    assert found["keeps_its_contract"][:2] == ("warn", 3)  # seven_sites, few_meters and northern

    configured(tested, ", +engine: auto, +spark_above: 1 B")
    by_spark = tested.run(code=1)
    assert engines(by_spark) == dict.fromkeys(found, "spark") | {"median_is_small": "duckdb"}
    assert results(by_spark) == found
    said = {test["unique_id"].split(".")[2]: test["notes"] for test in by_spark["tests"]["results"]}
    (why,) = said["median_is_small"]
    assert why.startswith("run by DuckDB, although the tables that it reads have ")
    assert ", and spark_above is 1 B: the function median (line 1 " in why
    assert said["unique_meter"][0].startswith("run by Spark, because the tables that it reads have ")
    assert not left_behind(tested, 0)


def test_what_spark_found_is_carried_where_there_is_no_java(project: Meters) -> None:
    starts_soon(project)
    project.edit(
        "dbt_project.yml",
        "    serving: {+schema: serving}",
        "    serving: {+schema: serving, sites: {+engine: auto}}",
    )
    project.write(
        "models/serving/_serving.yml",
        "models:\n  - name: sites\n    columns: [{name: site, data_tests: [unique]}]\n",
    )
    # the bound of the model is that of its tests, and is not exceeded
    first = project.run(JAVA_HOME="/nowhere")
    assert set(engines(first).values()) == {"duckdb"}
    assert not any(test["notes"] for test in first["tests"]["results"])

    configured(project, ", +engine: auto, +spark_above: 1 B")
    done = project.slipway("run", "--force")
    assert done.code == 0, done
    second = project.manifests()[-1]
    assert set(engines(second).values()) == {"spark"}
    assert f"  {len(engines(second))} data tests run by Spark" in done.out.splitlines()
    assert not left_behind(project, 0)

    third = project.run(JAVA_HOME="/nowhere")
    assert third["tests"]["carried"] == third["tests"]["expected"] == len(engines(second))
    assert set(engines(third).values()) == {"spark"}
    # neither the bound nor an engine that is named otherwise runs them again
    configured(project, ", +engine: auto, +spark_above: 1 GB")
    assert project.run(JAVA_HOME="/nowhere")["tests"]["carried"] == len(engines(second))
    project.readings("day-3.csv", "m1,2024-05-03,1,")
    assert set(engines(project.run(JAVA_HOME="/nowhere")).values()) == {"duckdb"}
