"""What a run manifest says of causes, and who dbt's manifest says is affected."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.harness.records import NO_TESTS, environment, manifest, node

from slipway.alerts.causes import Affected, Cause, Event
from slipway.alerts.lineage import Lineage
from slipway.alerts.observed import of_run
from slipway.contracts.model import (
    Column,
    Contract,
    ContractSettings,
    Server,
    Severity,
    Table,
    TeamMember,
)
from slipway.environments.environment import Mode
from slipway.records.landed_files import Freshness, InputVolume, Outstanding
from slipway.records.node_results import Change, Node, Status, TestResult
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.runs.decision import RunFacts, decide

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)


def feed(name: str, **settings: Any) -> Contract:  # noqa: ANN401
    return Contract(
        origin=f"{name}.odcs.yaml",
        digest="d",
        id=name,
        version="1.0.0",
        api_version="v3.2.0",
        tables=(Table(name=name, columns=(Column(name="a"),)),),
        servers=(Server(server="landing", type="local", path=f"{name}/*.csv", format="csv"),),
        settings=ContractSettings(**settings),
        team=(TeamMember(username="shop-systems"),),
    )


def outcome_of(status: Status, *tables: str) -> TestResult:
    return TestResult(
        unique_id="test.shop.unique_a.1a2b", status=status, tables=list(tables), message="Got 3 results"
    )


def with_tests(*results: TestResult, **more: Any) -> RunManifest:  # noqa: ANN401
    return manifest(tests=NO_TESTS.model_copy(update={"results": list(results)}), **more)


def causes(found: RunManifest) -> dict[str, Cause]:
    observation = of_run(found)
    assert observation is not None
    return {cause.key: cause for cause in observation.causes}


def decided(found: RunManifest, folder: Path) -> RunManifest:
    """The run as its own decision ends it in a scheduled environment."""
    outcome, reason = decide(RunFacts.of(found, environment(folder, Mode.SCHEDULED), managed=True, staged=1))
    return found.model_copy(update={"outcome": outcome, "reason": reason})


@pytest.mark.parametrize(
    "more",
    [
        {"scratch": "somewhere"},
        {"outcome": Outcome.FAILED, "reason": "interrupted"},
        {"outcome": Outcome.DISCARDED},
    ],
)
def test_a_run_that_says_nothing_of_the_environment_is_not_looked_at(more: dict[str, Any]) -> None:
    assert of_run(manifest(**more)) is None


def test_a_model_that_fails_and_the_tests_of_its_table_are_one_cause() -> None:
    broken = node("curated.a", "none", "error", message="no such column")
    found = causes(
        with_tests(
            outcome_of(Status.FAIL, "dev.curated.a"), nodes=[broken], outcome=Outcome.FAILED, reason="x"
        )
    )
    assert [*found] == ["run_failed:curated.a"]
    assert found["run_failed:curated.a"].first == "slipway show r1 --target dev"


def test_a_table_whose_test_fails_has_not_passed() -> None:
    observation = of_run(
        with_tests(outcome_of(Status.FAIL, "curated.a"), nodes=[node("curated.a"), node("curated.b")])
    )
    assert observation
    assert "run_failed:curated.b" in observation.keys
    assert "run_failed:curated.a" not in observation.keys


def test_a_table_whose_test_was_left_out_has_not_passed() -> None:
    observation = of_run(with_tests(outcome_of(Status.NOT_RUN, "curated.a"), nodes=[node("curated.a")]))
    assert observation
    assert "run_failed:curated.a" not in observation.keys


def test_a_test_that_passes_by_itself_shows_that_its_table_is_right() -> None:
    observation = of_run(with_tests(outcome_of(Status.PASS, "curated.a")))
    assert observation
    assert "run_failed:curated.a" in observation.keys


def test_a_model_that_failed_before_its_table_was_known_is_the_same_cause_as_later() -> None:
    early = Node(unique_id="model.shop.a", table=None, status=Status.ERROR, change=Change.NONE)
    observation = of_run(manifest(nodes=[early], outcome=Outcome.FAILED), {"model.shop.a": "curated.a"})
    assert observation
    assert [cause.key for cause in observation.causes] == ["run_failed:curated.a"]


def test_a_run_that_did_not_come_to_land_ends_no_cause_of_a_file() -> None:
    skipped = node("curated.a", "none", "skipped")
    observation = of_run(
        manifest(nodes=[skipped], outcome=Outcome.FAILED, reason="the catalog does not answer")
    )
    assert observation
    assert Event.FILE_SET_ASIDE not in observation.events
    passed = of_run(manifest())
    assert passed
    assert Event.FILE_SET_ASIDE in passed.events


def test_a_run_that_failed_for_no_table_is_a_cause_of_its_own() -> None:
    found = causes(manifest(outcome=Outcome.REFUSED, reason="a table moved"))
    assert found["run_failed:"].what == "Run r1 ended as refused: a table moved"


def test_files_that_are_set_aside_are_the_cause_and_not_the_run_that_they_stop(tmp_path: Path) -> None:
    aside = Outstanding(feed="f", path="f/a.csv", reason="a column is missing", blocks=True)
    found = decided(manifest(outstanding=[aside]), tmp_path)
    assert found.outcome is Outcome.FAILED
    assert [*causes(found)] == ["file_set_aside:f/a.csv"]


def test_a_late_source_is_the_cause_and_not_the_run_that_it_stops(tmp_path: Path) -> None:
    old = Freshness(source="landing.f", last_landed_at=NOON, age_seconds=200_000, error_after_seconds=86_400)
    found = decided(manifest(freshness=[old]), tmp_path)
    assert found.outcome is Outcome.FAILED
    (cause,) = causes(found).values()
    assert (
        cause.what
        == "landing.f brought its last file at 2024-05-02 12:00 UTC, and its source allows 24 hours"
    )
    assert (cause.event, cause.table, cause.severity) == (Event.FRESHNESS, "raw.f", Severity.ERROR)


def test_a_test_that_warns_is_an_anomaly_until_it_passes() -> None:
    (cause,) = causes(with_tests(outcome_of(Status.WARN, "dev.curated.a"))).values()
    assert (cause.event, cause.table, cause.severity) == (Event.ANOMALY, "curated.a", Severity.WARNING)
    observation = of_run(with_tests(outcome_of(Status.PASS, "dev.curated.a")))
    assert observation
    assert cause.key in observation.keys
    observation = of_run(with_tests(outcome_of(Status.NOT_RUN, "dev.curated.a")))
    assert observation
    assert cause.key not in observation.keys


def volume(found: int = 10, least: int | None = None, most: int | None = None) -> InputVolume:
    return InputVolume(
        feed="f", contract="f.odcs.yaml", unit="rows", found=found, files=2, least=least, most=most
    )


@pytest.mark.parametrize(
    ("mode", "severity"), [("exploratory", Severity.WARNING), ("scheduled", Severity.ERROR)]
)
def test_a_run_that_reads_another_number_of_rows_than_the_contract_expects(
    mode: str, severity: Severity
) -> None:
    (cause,) = causes(manifest(mode=mode, input_volumes=[volume(most=9)])).values()
    assert (cause.key, cause.table, cause.severity) == ("budget:f rows", "raw.f", severity)
    assert cause.what == volume(most=9).problem
    kept = of_run(manifest(input_volumes=[volume(least=10, most=10)]))
    assert kept
    assert (kept.causes, cause.key in kept.keys) == ([], True)
    silent = of_run(manifest())  # nothing landed, which says nothing of it
    assert silent
    assert cause.key not in silent.keys


def test_input_that_keeps_a_run_from_being_published_is_one_cause(tmp_path: Path) -> None:
    found = decided(manifest(mode="scheduled", input_volumes=[volume(least=11)]), tmp_path)
    assert found.outcome is Outcome.FAILED
    assert list(causes(found)) == ["budget:f rows"]


DBT: dict[str, Any] = {
    "nodes": {
        "model.shop.f": {
            "resource_type": "model",
            "schema": "raw",
            "name": "f",
            "config": {"materialized": "incremental", "meta": {"owner": "Ada"}},
            "depends_on": {"nodes": []},
        },
        "model.shop.v": {
            "resource_type": "model",
            "schema": "curated",
            "name": "v",
            "config": {"materialized": "view", "group": "sales"},
            "depends_on": {"nodes": ["model.shop.f"]},
        },
        "model.shop.takings": {
            "resource_type": "model",
            "schema": "serving",
            "name": "takings",
            "config": {"materialized": "table"},
            "depends_on": {"nodes": ["model.shop.v"]},
        },
        "model.shop.other": {
            "resource_type": "model",
            "schema": "serving",
            "name": "other",
            "config": {"materialized": "table", "meta": {"owner": "Cy"}},
            "depends_on": {"nodes": []},
        },
    },
    "groups": {"group.shop.sales": {"name": "sales", "owner": {"email": "sales@example.org"}}},
    "exposures": {
        "exposure.shop.board": {
            "name": "board",
            "type": "dashboard",
            "owner": {"name": "Bo"},
            "depends_on": {"nodes": ["model.shop.takings"]},
        }
    },
}


def test_what_is_made_from_a_table_is_affected_with_who_reads_and_owns_it() -> None:
    found = Lineage(DBT, [feed("f")]).affected("raw.f")
    assert found == Affected(
        tables=["curated.v", "raw.f", "serving.takings"],
        exposures=["dashboard board of Bo"],
        owners=["Ada", "Bo", "sales", "sales@example.org", "shop-systems"],
    )


def test_a_table_that_dbt_does_not_know_is_affected_by_itself() -> None:
    assert Lineage({}).affected("raw.f") == Affected(tables=["raw.f"])
    assert Lineage({}).affected("") == Affected()


def test_the_cause_of_a_failed_test_says_what_it_found() -> None:
    problem = (
        "Rule kg_missing of parcels.odcs.yaml is broken: 12 of 300 rows, and the contract says required: true"
    )
    for status, outcome in ((Status.FAIL, Outcome.FAILED), (Status.WARN, Outcome.PUBLISHED)):
        result = outcome_of(status, "dev.curated.parcels").model_copy(update={"problems": [problem]})
        (cause,) = causes(with_tests(result, outcome=outcome)).values()
        assert f"{problem}; Got 3 results" in cause.what
