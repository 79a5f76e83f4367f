"""What is asked once more before a staged run is published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.harness import records
from tests.harness.records import NOW, node

from slipway.environments.environment import Mode
from slipway.records.conservation import Conservation, Limit
from slipway.records.landed_files import Freshness, InputVolume, Outstanding
from slipway.records.node_results import Status, TestResult, Tests
from slipway.records.run_ids import AHEAD
from slipway.records.run_manifest import Code, Outcome, RunManifest
from slipway.runs.decision import closed_gate

LANDED = NOW - timedelta(hours=30)


def result(status: str, name: str = "a_test", **more: Any) -> TestResult:  # noqa: ANN401
    return TestResult(unique_id=f"test.parcels.{name}", status=status, **more)


def counted(*results: TestResult, **counts: int) -> Tests:
    not_run = sum(one.status in ("not run", "skipped") for one in results)
    carried = sum(one.carried for one in results)
    counts_of = {
        "expected": len(results),
        "executed": len(results) - not_run - carried,
        "carried": carried,
        "not_run": not_run,
        "failed": 0,
        "warned": 0,
    }
    return Tests(**(counts_of | counts), results=list(results))


def fresh(hours: float | None) -> list[Freshness]:
    """A feed that brought its last file thirty hours ago, when it was one hour old, and may be so many hours old."""
    allowed = hours * 3600 if hours else None
    return [
        Freshness(
            source="landing.parcels", last_landed_at=LANDED, age_seconds=3600, error_after_seconds=allowed
        )
    ]


def conserved(
    landed: int = 5, curated: int = 3, quarantined: int = 1, deduplicated: int = 1
) -> list[Conservation]:
    return [
        Conservation(
            raw="raw.parcels",
            curated="c",
            quarantine="q",
            landed=landed,
            curated_rows=curated,
            quarantined_rows=quarantined,
            deduplicated=deduplicated,
            by_rule={},
        )
    ]


def limited(**bound: Any) -> Conservation:  # noqa: ANN401
    return conserved()[0].model_copy(update={"limits": [Limit(rule="broken", landed=10, **bound)]})


def manifest(**changes: Any) -> RunManifest:  # noqa: ANN401
    given: dict[str, Any] = {
        "target": "prod",
        "mode": "production",
        "nodes": [node("raw.parcels")],
        "tests": counted(result("pass"), result("warn"), result("pass", carried=True)),
        "freshness": fresh(None),
        "conservation": conserved(),
        "release": None,
        "outcome": Outcome.STAGED,
        "reason": "prod publishes on approval",
    }
    return records.manifest(**(given | changes))


def test_what_passed_may_be_published() -> None:
    for mode in Mode:
        assert closed_gate(manifest(), mode, NOW) == ""
    assert closed_gate(manifest(freshness=fresh(31)), Mode.PRODUCTION, NOW) == ""
    assert closed_gate(manifest(conservation=[], freshness=[]), Mode.PRODUCTION, NOW) == ""
    for bound in ({"value": 2, "severity": "warning"}, {"value": 3}, {"value": 21, "unit": "percent"}):
        kept = limited(operator="mustBeLessThan", rows=2, **bound)
        assert closed_gate(manifest(conservation=[kept]), Mode.PRODUCTION, NOW) == ""
        assert len(kept.warnings) == ("severity" in bound)
    ahead = Freshness(source="landing.x", last_landed_at=NOW + AHEAD, age_seconds=1, error_after_seconds=3600)
    assert closed_gate(manifest(freshness=[ahead]), Mode.PRODUCTION, NOW) == ""
    allowed = [Outstanding(feed="parcels", path="parcels/a.csv", reason="empty file")]
    assert closed_gate(manifest(outstanding=allowed), Mode.PRODUCTION, NOW) == ""


Changes = dict[str, Any]
ALWAYS: dict[str, tuple[Changes, str]] = {
    **{
        outcome: ({"outcome": outcome, "reason": "it ended so"}, f"{outcome}: it ended so")
        for outcome in Outcome
        if outcome is not Outcome.STAGED
    },
    **{
        f"node {status}": (
            {"nodes": [node("raw.parcels", status=status)]},
            "raw.parcels was not built",
        )
        for status in (Status.ERROR, Status.SKIPPED, Status.PARTIAL_SUCCESS, Status.OPEN)
    },
    "failed": ({"tests": counted(result("fail", "weights"))}, "weights failed"),
    "unknown status": ({"tests": counted(result("", "weights"))}, "weights failed"),
    "fewer results": ({"tests": counted(result("pass"), expected=2, executed=2)}, "do not add up"),
    "wrong count": ({"tests": counted(result("not run"), executed=1, not_run=0)}, "do not add up"),
    "executed was not": ({"tests": counted(result("pass"), executed=0)}, "do not add up"),
    "carried was not": ({"tests": counted(result("pass"), carried=1)}, "do not add up"),
    "failed and passed": ({"tests": counted(result("pass"), failed=1)}, "do not add up"),
    "rows appeared": (
        {"conservation": conserved(5, 5, 1, -1)},
        "more rows came out of raw.parcels than landed",
    ),
    "rows are lost": (
        {"conservation": [conserved()[0].model_copy(update={"unaccounted": 2, "key": ["a", "b"]})]},
        "2 rows of raw.parcels are neither in c nor in q, and no row that is there has the same a, b",
    ),
    "too many in quarantine": (
        {"conservation": [limited(operator="mustBeLessThan", value=2, rows=2)]},
        "Rule broken puts 2 rows into quarantine, and less than 2 are allowed: look at them with slipway quarantine list",
    ),
    "too large a share": (
        {"conservation": [limited(operator="mustBeLessOrEqualTo", value=9.9, unit="percent", rows=1)]},
        "Rule broken puts 1 row into quarantine, 10 percent of 10, and at most 9.9 percent are allowed",
    ),
    "rows are doubled": (
        {"conservation": [conserved()[0].model_copy(update={"doubled": 1})]},
        "1 row of c and q stand there more often than in raw.parcels",
    ),
    "rows do not add up": ({"conservation": conserved(9)}, "more rows came out of raw.parcels than landed"),
}


@pytest.mark.parametrize(("changes", "message"), ALWAYS.values(), ids=ALWAYS.keys())
def test_gates_of_every_mode(changes: Changes, message: str) -> None:
    for mode in Mode:
        assert message in closed_gate(manifest(**changes), mode, NOW)


STRICT: dict[str, tuple[Changes, str]] = {
    "unexpected input": (
        {
            "input_volumes": [
                InputVolume(feed="parcels", contract="p.odcs.yaml", unit="bytes", found=9, files=1, most=8)
            ]
        },
        "Feed parcels brought 9 bytes in 1 file, and inputBytesPerRun of p.odcs.yaml expects at most 8",
    ),
    "set aside": (
        {
            "outstanding": [
                Outstanding(feed="parcels", path="parcels/a.csv", reason="empty file", blocks=True)
            ]
        },
        "1 landed file is set aside and not in raw: parcels/a.csv",
    ),
    "not run": (
        {"tests": counted(result("pass"), result("not run"))},
        "1 test of what was built was not run",
    ),
    "stale since": (
        {"freshness": fresh(29)},
        "landing.parcels brought its last file of this run at 2024-05-01 06:00 UTC, which is longer ago than its source",
    ),
    "landed by a clock that was ahead": (
        {
            "freshness": [
                Freshness(
                    source="landing.x",
                    last_landed_at=datetime(2106, 1, 1, tzinfo=UTC),
                    age_seconds=1,
                    error_after_seconds=1,
                )
            ]
        },
        "landing.x brought its last file by a clock that said 2106-01-01 00:00 UTC: how old it is is not known",
    ),
    "never fresh": (
        {
            "freshness": [
                Freshness(source="landing.x", last_landed_at=None, age_seconds=None, error_after_seconds=1)
            ]
        },
        "landing.x never brought a file",
    ),
}


@pytest.mark.parametrize(("changes", "message"), STRICT.values(), ids=STRICT.keys())
def test_gates_where_others_rely_on_it(changes: Changes, message: str) -> None:
    for mode in (Mode.SCHEDULED, Mode.PRODUCTION):
        assert message in closed_gate(manifest(**changes), mode, NOW)
    assert closed_gate(manifest(**changes), Mode.EXPLORATORY, NOW) == ""


@pytest.mark.parametrize("code", [Code(commit="c0ffee", dirty=True), Code(commit=None, dirty=False)])
def test_production_wants_a_commit(code: Code) -> None:
    assert "uncommitted changes" in closed_gate(manifest(code=code), Mode.PRODUCTION, NOW)
    assert closed_gate(manifest(code=code), Mode.SCHEDULED, NOW) == ""


def test_rows_of_other_code_are_not_published_after_all() -> None:
    staged = manifest(nodes=[node("serving.a", stale="rebuild it")])
    assert closed_gate(staged, Mode.PRODUCTION, NOW) == "serving.a is stale: rebuild it"
    assert closed_gate(staged, Mode.SCHEDULED, NOW) == "serving.a is stale: rebuild it"
    assert closed_gate(staged, Mode.EXPLORATORY, NOW) == ""
