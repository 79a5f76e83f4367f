"""Every rule of a policy, met and not met; what cannot be evaluated is not met."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.harness.records import COMMIT, NO_COMMIT, NOW, manifest, node

from slipway.environments.environment import Mode
from slipway.promotion.evidence import Facts, best_comparison, evaluate
from slipway.promotion.promotion_policy import Require
from slipway.records.conservation import Conservation, NotCounted
from slipway.records.landed_files import Freshness
from slipway.records.node_results import Status, TestResult, Tests
from slipway.records.promotion_records import CodeComparison, ComparedRows, Finding

EVERYTHING: dict[str, Any] = {
    "tests_passed": True,
    "rows_balance": True,
    "clean_commit": True,
    "commit_on": "main",
    "run_max_age": "3d",
    "comparison_max_age": "2d",
    "comparison_min_percent": 20,
    "sources_fresh": True,
    "contracts_compatible": True,
    "signed": True,
    "quarantine_max_percent": 10,
}


def ended(*statuses: Status, carried: int = 0) -> Tests:
    results = [
        TestResult(unique_id=f"test.shop.t{number}.abc", status=status, carried=number < carried)
        for number, status in enumerate(statuses)
    ]
    not_run = sum(status.left_out for status in statuses)
    return Tests(
        expected=len(results),
        executed=len(results) - carried - not_run,
        carried=carried,
        not_run=not_run,
        failed=sum(status.failed for status in statuses),
        warned=statuses.count(Status.WARN),
        results=results,
    )


def books(landed: int = 100, curated: int = 95, quarantined: int = 5) -> Conservation:
    return Conservation(
        raw="raw.lines",
        curated="curated.lines",
        quarantine="quarantine.lines",
        landed=landed,
        curated_rows=curated,
        quarantined_rows=quarantined,
        deduplicated=landed - curated - quarantined,
        by_rule={},
        counted="numbers",
    )


def fresh(hours: float) -> Freshness:
    landed = NOW - timedelta(hours=hours)
    return Freshness(
        source="landing.lines", last_landed_at=landed, age_seconds=0, error_after_seconds=24 * 3600
    )


def canary(**more: Any) -> CodeComparison:  # noqa: ANN401
    given = {
        "comparison_id": "c",
        "made_at": NOW - timedelta(hours=40),
        "who": "ada",
        "commit": COMMIT.commit,
    }
    return CodeComparison(
        **{
            **given,
            "base": "b",
            "passed": True,
            "covers": "the whole input",
            "verdicts": {"a.b": "identical"},
            **more,
        }
    )


GOOD: dict[str, Any] = {
    "tests": ended(Status.PASS, Status.PASS, carried=1),
    "conservation": [books()],
    "freshness": [fresh(2)],
    "code": COMMIT,
}


def findings(
    require: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    **run: Any,  # noqa: ANN401
) -> dict[str, Finding]:
    made = manifest(node("serving.orders"), **(GOOD | run))
    given: dict[str, Any] = {
        "mode": Mode.PRODUCTION,
        "now": NOW,
        "runs": {"r1": made},
        "vouched": {"serving.orders": "r1"},
        "off_branch": lambda *_: "",
        "compared": {COMMIT.commit: canary()},
        "contracts": [],
    }
    found = evaluate(
        Require.model_validate(EVERYTHING if require is None else require), Facts(**(given | (facts or {})))
    )
    return {one.rule: one for one in found}


def unmet(**given: Any) -> dict[str, str]:  # noqa: ANN401
    return {name: one.why for name, one in findings(**given).items() if not one.met}


def test_a_run_that_has_everything_meets_every_rule() -> None:
    found = findings()
    assert found.keys() == {"records", "gates of mode production", *EVERYTHING}
    assert unmet() == {}


def test_only_what_is_asked_for_is_judged() -> None:
    assert findings({}).keys() == {"records", "gates of mode production"}
    assert unmet(require={}, facts={"mode": Mode.EXPLORATORY}, code=NO_COMMIT, freshness=[]) == {}


@pytest.mark.parametrize(
    ("rule", "run", "why"),
    [
        pytest.param("tests_passed", {"tests": ended()}, "it has no tests", id="no-tests"),
        pytest.param(
            "tests_passed", {"tests": ended(Status.PASS, Status.NOT_RUN)}, "was not run: t1", id="left-out"
        ),
        pytest.param("tests_passed", {"tests": ended(Status.PASS, Status.FAIL)}, "t1 failed", id="failed"),
        pytest.param(
            "tests_passed",
            {"tests": ended(Status.PASS).model_copy(update={"expected": 2})},
            "the tests of its run manifest do not add up",
            id="not-complete",
        ),
        pytest.param(
            "rows_balance", {"conservation": []}, "it counted the rows of no feed", id="not-counted"
        ),
        pytest.param(
            "rows_balance",
            {"not_counted": [NotCounted(raw="raw.lines", reason="it has no key")]},
            "the rows of raw.lines were not counted: it has no key",
            id="left-uncounted",
        ),
        pytest.param(
            "rows_balance", {"conservation": [books(landed=10)]}, "more rows came out of raw.lines", id="lost"
        ),
        pytest.param("clean_commit", {"code": NO_COMMIT}, "not in a git repository", id="no-commit"),
        pytest.param(
            "clean_commit",
            {"code": COMMIT.model_copy(update={"dirty": True})},
            "uncommitted changes",
            id="dirty",
        ),
        pytest.param("commit_on", {"code": NO_COMMIT}, "not in a git repository", id="no-commit-on-a-branch"),
        pytest.param(
            "run_max_age",
            {"started_at": NOW - timedelta(days=3, seconds=1)},
            "longer ago than 3 days",
            id="old",
        ),
        pytest.param(
            "run_max_age",
            {"started_at": NOW + timedelta(hours=1)},
            "by a clock that was wrong",
            id="from-the-future",
        ),
        pytest.param(
            "sources_fresh", {"freshness": []}, "the freshness of no source", id="freshness-unknown"
        ),
        pytest.param(
            "sources_fresh", {"freshness": [fresh(25)]}, "longer ago than its source allows", id="late"
        ),
        pytest.param(
            "quarantine_max_percent", {"conservation": []}, "counted the rows of no feed", id="rate-unknown"
        ),
        pytest.param(
            "quarantine_max_percent",
            {"conservation": [books(curated=80, quarantined=11)]},
            "11 percent of the rows of raw.lines are in quarantine.lines, and 10 are allowed",
            id="too-many",
        ),
    ],
)
def test_a_rule_that_is_not_met_says_why(rule: str, run: dict[str, Any], why: str) -> None:
    found = unmet(**run)
    assert why in found[rule]
    assert found[rule].startswith("run r1: ")
    # asked for by itself, it is found as well
    assert why in unmet(require={rule: EVERYTHING[rule]}, **run)[rule]


@pytest.mark.parametrize(
    ("rule", "facts", "why"),
    [
        pytest.param(
            "commit_on",
            {"off_branch": lambda commit, branch: f"{commit[:6]} is not on {branch}"},
            "c0ffee is not on main",
            id="branch",
        ),
        pytest.param(
            "comparison_max_age",
            {"compared": {}},
            "no canary of commit c0ffee000000 is recorded",
            id="not-compared",
        ),
        pytest.param(
            "comparison_max_age",
            {
                "compared": {
                    COMMIT.commit: canary(passed=False, verdicts={"a.b": "identical", "a.c": "different"})
                }
            },
            "and did not pass: a.c",
            id="differs",
        ),
        pytest.param(
            "comparison_max_age",
            {"compared": {COMMIT.commit: canary(passed=False, verdicts={})}},
            "and did not pass: it compared nothing",
            id="compared-nothing",
        ),
        pytest.param(
            "comparison_max_age",
            {"compared": {COMMIT.commit: canary(base="c0ffee000000")}},
            "and compared it with itself",
            id="compared-with-itself",
        ),
        pytest.param(
            "comparison_max_age",
            {"compared": {COMMIT.commit: canary(made_at=NOW - timedelta(hours=49))}},
            "which is longer ago than 2 days",
            id="compared-long-ago",
        ),
        pytest.param(
            "comparison_min_percent",
            {"compared": {}},
            "no canary is recorded of commit c0ffee000000",
            id="nothing-compared-of-the-commit",
        ),
        pytest.param(
            "comparison_min_percent",
            {"compared": {COMMIT.commit: canary(covers="sample 1%")}},
            "a part of the input (sample 1%), and its record does not say how much",
            id="share-not-recorded",
        ),
        pytest.param(
            "comparison_min_percent",
            {
                "compared": {
                    COMMIT.commit: canary(
                        covers="sample 1%",
                        compared={
                            "a.b": ComparedRows(rows=9, of=1_000),
                            "a.c": ComparedRows(rows=5, of=5),
                        },
                    )
                }
            },
            "compared 0.9 percent of the rows of a.b (9 of 1,000), of other tables more, and 20 percent are demanded",
            id="share-too-small",
        ),
        pytest.param(
            "comparison_min_percent",
            {"compared": {COMMIT.commit: canary(compared={"a.b": ComparedRows(rows=9, of=None)})}},
            "compared of a.b is not known, because the whole table is not published",
            id="share-not-known",
        ),
        pytest.param("contracts_compatible", {"contracts": ["It breaks."]}, "It breaks.", id="contracts"),
        pytest.param(
            "contracts_compatible", {"contracts": None}, "contracts were not compared", id="contracts-unknown"
        ),
        pytest.param(
            "signed", {"unsigned": "release 1 of staging is not signed"}, "is not signed", id="signed"
        ),
        pytest.param(
            "records",
            {"unknown": {"r0": "it has no run manifest"}},
            "run r0: it has no run manifest",
            id="unknown",
        ),
        pytest.param(
            "records", {"vouched": {"a.b": None, "a.c": None}}, "no run vouches for a.b, a.c", id="no-witness"
        ),
    ],
)
def test_what_is_known_besides_the_runs_counts(rule: str, facts: dict[str, Any], why: str) -> None:
    assert why in unmet(facts=facts)[rule]


def test_a_plan_shows_how_much_was_compared() -> None:
    part = canary(
        covers="sample 5%",
        compared={"a.b": ComparedRows(rows=50, of=1_000), "a.c": ComparedRows(rows=3, of=3)},
    )
    for require, met in (
        ({"comparison_max_age": "2d"}, True),  # where nothing else is written, 1 percent is demanded
        ({"comparison_min_percent": 5}, True),
        ({"comparison_min_percent": 5.5}, False),
        ({"comparison_min_percent": 0}, True),
    ):
        found = findings(require, {"compared": {COMMIT.commit: part}})["comparison_min_percent"]
        assert found.met is met
        assert "compared 5 percent of the rows of a.b (50 of 1,000)" in found.why


@pytest.mark.parametrize(
    ("later", "counts"),
    [
        pytest.param(
            {"covers": "sample 1%", "compared": {"a.b": ComparedRows(rows=1, of=1_000)}},
            "whole",
            id="smaller",
        ),
        pytest.param({}, "later", id="as-good"),
        pytest.param({"passed": False, "verdicts": {"a.b": "different"}}, "later", id="failed"),
        pytest.param({"base": "c0ffee"}, "later", id="other-base"),
        pytest.param({"made_at": NOW + timedelta(days=1)}, "whole", id="by-a-wrong-clock"),
    ],
)
def test_the_newest_canary_that_meets_the_policy_counts(later: dict[str, Any], counts: str) -> None:
    require = Require.model_validate({"comparison_max_age": "2d", "comparison_min_percent": 20})
    whole = canary(comparison_id="whole", made_at=NOW - timedelta(hours=2))
    newer = canary(**{"comparison_id": "later", "made_at": NOW - timedelta(hours=1), **later})
    for known in ((whole, newer), (newer, whole)):
        found = best_comparison(known, require, NOW)
        assert found is not None
        assert found.comparison_id == counts
    assert best_comparison((), require, NOW) is None
    # one that is too old is no evidence either: then the newest says why
    old = whole.model_copy(update={"made_at": NOW - timedelta(days=3)})
    assert best_comparison((old, newer), require, NOW) == newer


def test_a_failure_hides_all_that_was_compared_before() -> None:
    require = Require.model_validate({"comparison_max_age": "2d"})
    passed, failed, small = (
        canary(comparison_id=name, made_at=NOW - timedelta(hours=hours), **given)
        for name, hours, given in (
            ("passed", 3, {}),
            ("failed", 2, {"passed": False}),
            ("small", 1, {"compared": {"a.b": ComparedRows(rows=1, of=1_000)}}),
        )
    )
    assert best_comparison((passed, failed, small), require, NOW) == small


def test_without_a_manifest_nothing_is_met() -> None:
    found = unmet(facts={"runs": {}, "unknown": {"r1": "retention removed it"}})
    assert found.keys() == {"records", "gates of mode production", *EVERYTHING} - {
        "contracts_compatible",
        "signed",
    }


def test_one_run_of_several_is_enough_to_refuse() -> None:
    old = manifest(node("raw.lines"), **(GOOD | {"run_id": "r0", "started_at": NOW - timedelta(days=9)}))
    new = manifest(node("serving.orders"), **GOOD)
    found = unmet(
        facts={"runs": {"r0": old, "r1": new}, "vouched": {"raw.lines": "r0", "serving.orders": "r1"}}
    )
    assert found.keys() == {"run_max_age"}
    assert found["run_max_age"].startswith("run r0: ")


@pytest.mark.parametrize("mode", list(Mode))
def test_the_gates_are_those_of_the_target(mode: Mode) -> None:
    found = unmet(require={}, facts={"mode": mode}, freshness=[fresh(25)], code=NO_COMMIT)
    assert set(found) == (set() if mode is Mode.EXPLORATORY else {f"gates of mode {mode}"})
