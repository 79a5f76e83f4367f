"""Monitors in real runs: they warn by themselves, block by choice, say what they could not judge, and are never carried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

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


def test_service_levels_are_judged_by_the_clock_and_never_carried(project: Meters) -> None:
    today = datetime.now(UTC).date()
    project.write("contracts/readings.odcs.yaml", project.read("contracts/readings.odcs.yaml") + PROMISE)
    project.write("models/raw/_monitored.yml", TESTS)
    project.readings("today.csv", f"m1,{today},1,", f"m4,{today - timedelta(days=1)},2,")
    first = outcomes(project.run())
    assert {name: one["status"] for name, one in first.items()} == {
        "freshness_sla": "pass",
        "latency_sla": "warn",
        "relationships_with_tolerance": "pass",
    }
    assert first["freshness_sla"]["volatile"] == "it looks at the clock"
    assert first["latency_sla"]["message"].startswith("data of 2024-05-01 took up to ")

    again = outcomes(project.run())
    assert {name for name, one in again.items() if one["carried"]} == {"relationships_with_tolerance"}

    strict = "config: {severity: error, where: \"meter not in ('m1', 'm4')\"}"
    project.edit("models/raw/_monitored.yml", 'read_on::date"}', f'read_on::date"}}, {strict}')
    failed = project.run(code=1)
    assert outcomes(failed)["freshness_sla"]["message"].startswith("the newest data is of 2024-05-02, ")
