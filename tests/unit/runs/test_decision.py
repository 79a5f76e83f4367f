"""What keeps a run from being published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.records import environment

from slipway.environments.environment import Environment, Mode
from slipway.records.run_manifest import Outcome
from slipway.runs.decision import RunFacts, decide


def here(mode: Mode, *, local: bool) -> Environment:
    return environment(Path("/w"), mode, "here", publishes_from_dbt=local)


DEV = here(Mode.EXPLORATORY, local=True)
CI = here(Mode.SCHEDULED, local=True)
STAGING = here(Mode.SCHEDULED, local=False)
PROD = here(Mode.PRODUCTION, local=False)
GOOD = RunFacts(run_id="r1", environment=DEV, managed=True, nodes=3, staged=2)


def test_a_run_that_passed_is_published() -> None:
    assert decide(GOOD)[0] is Outcome.PUBLISHED


@pytest.mark.parametrize(
    ("change", "outcome", "reason"),
    [
        ({"interrupted": True, "staged": 0}, Outcome.FAILED, "interrupted"),
        ({"replaced": "day-1.csv was replaced"}, Outcome.FAILED, "day-1.csv was replaced"),
        ({"empty_slice": "the slice holds no row"}, Outcome.FAILED, "the slice holds no row"),
        ({"failed": ["a", "b"]}, Outcome.FAILED, "2 of 3 nodes failed: a, b"),
        ({"failed": list("abcd"), "nodes": 9}, Outcome.FAILED, "4 of 9 nodes failed: a, b, c …"),
        ({"skipped": True}, Outcome.FAILED, "nodes were skipped"),
        ({"error": "no parse"}, Outcome.FAILED, "no parse"),
        ({"broken": ["1 row of raw.x is lost"]}, Outcome.FAILED, "1 row of raw.x is lost"),
        ({"staged": 0}, Outcome.UNCHANGED, "every selected node is as it was"),
        ({"partial": True}, Outcome.DISCARDED, "--empty or --sample"),
        ({"partial": True, "staged": 0}, Outcome.UNCHANGED, "every selected node is as it was"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_keeps_a_run_from_being_published(
    change: dict[str, object], outcome: Outcome, reason: str
) -> None:
    decided, why = decide(replace(GOOD, **change))  # type: ignore[arg-type]
    assert decided is outcome
    assert reason in why


@pytest.mark.parametrize(
    ("where", "managed", "outcome"),
    [
        (DEV, False, Outcome.PUBLISHED),
        (CI, False, Outcome.PUBLISHED),
        (CI, True, Outcome.PUBLISHED),
        (STAGING, True, Outcome.PUBLISHED),
        (STAGING, False, Outcome.STAGED),
        (PROD, True, Outcome.STAGED),
        (PROD, False, Outcome.STAGED),
    ],
)
def test_who_publishes_where(where: Environment, managed: bool, outcome: Outcome) -> None:
    decided, why = decide(replace(GOOD, environment=where, managed=managed))
    assert decided is outcome
    assert (outcome is Outcome.STAGED) == ("slipway publish r1 --target here" in why)


@pytest.mark.parametrize(
    "fact", [{"late_sources": ["landing.x"]}, {"tests_not_run": 1}], ids=["late", "untested"]
)
def test_gates_block_outside_exploration(fact: dict[str, object]) -> None:
    facts = replace(GOOD, **fact)  # type: ignore[arg-type]
    assert decide(facts)[0] is Outcome.PUBLISHED
    assert decide(replace(facts, environment=STAGING))[0] is Outcome.FAILED
    assert decide(replace(facts, environment=PROD))[0] is Outcome.FAILED
    assert decide(replace(facts, environment=PROD, scratch=True))[0] is Outcome.PUBLISHED


@pytest.mark.parametrize(
    ("where", "managed", "outcome"),
    [
        (DEV, True, Outcome.PUBLISHED),
        (STAGING, True, Outcome.PUBLISHED),
        (PROD, True, Outcome.FAILED),
        (PROD, False, Outcome.STAGED),  # slipway publish refuses it
    ],
)
def test_code_of_no_commit_blocks_in_production(where: Environment, managed: bool, outcome: Outcome) -> None:
    facts = replace(GOOD, environment=where, managed=managed, unknown_code="models/a.sql was changed")
    decided, why = decide(facts)
    assert decided is outcome
    assert (outcome is Outcome.FAILED) == (
        why == "no commit holds the code that was read: models/a.sql was changed"
    )


def test_a_scratch_environment_takes_what_passed() -> None:
    assert decide(replace(GOOD, environment=PROD, scratch=True, managed=False))[0] is Outcome.PUBLISHED


@pytest.mark.parametrize("change", [{}, {"managed": False}, {"staged": 0}], ids=["run", "dbt", "unchanged"])
def test_rows_of_other_code_block_outside_exploration(change: dict[str, object]) -> None:
    facts = replace(GOOD, other_code={"serving.b": "rebuild b", "serving.a": "rebuild a"}, **change)  # type: ignore[arg-type]
    for where in (CI, STAGING, PROD):
        decided, why = decide(replace(facts, environment=where))
        assert decided is Outcome.FAILED
        assert why == "serving.a is stale, and 1 more are stale: rebuild a"
    assert decide(facts)[0] is not Outcome.FAILED
    assert decide(replace(facts, environment=PROD, partial=True, staged=1))[0] is Outcome.DISCARDED
    assert decide(replace(facts, environment=PROD, scratch=True))[0] is not Outcome.FAILED


MODES = pytest.mark.parametrize(
    ("environment", "scratch", "staged", "outcome"),
    [
        (DEV, False, 2, Outcome.PUBLISHED),
        (CI, False, 2, Outcome.FAILED),
        (STAGING, False, 0, Outcome.FAILED),
        (PROD, False, 2, Outcome.FAILED),
        (STAGING, True, 2, Outcome.PUBLISHED),
    ],
    ids=["exploratory", "scheduled", "scheduled and unchanged", "production", "a scratch environment"],
)


@MODES
def test_unexpected_input_stops_runs_that_others_rely_on(
    environment: Environment, *, scratch: bool, staged: int, outcome: Outcome
) -> None:
    facts = replace(
        GOOD, environment=environment, scratch=scratch, staged=staged, unexpected=["feed f brought 1 row"]
    )
    decided, why = decide(facts)
    assert decided is outcome
    assert (why == "feed f brought 1 row") is (outcome is Outcome.FAILED)


@MODES
def test_files_that_are_set_aside_stop_runs_that_others_rely_on(
    environment: Environment, *, scratch: bool, staged: int, outcome: Outcome
) -> None:
    aside = [f"orders/{day}.csv" for day in range(4)]
    facts = replace(GOOD, environment=environment, scratch=scratch, staged=staged, set_aside=aside)
    decided, why = decide(facts)
    assert decided is outcome
    if outcome is Outcome.FAILED:
        assert (
            "4 landed files are set aside and not in raw: orders/0.csv, orders/1.csv, orders/2.csv …" in why
        )
        assert "onRejectedFiles" in why
