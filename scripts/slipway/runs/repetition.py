"""Whether a run would find nothing to do, decided before dbt is started: rules without input or output.

A run that dbt was started for, and that found every node unchanged, writes down what that depended on (``run_manifest.Basis``).
While all of it is the same, the next run has the same result. Whatever is not known makes dbt start.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from slipway.environments.environment import Environment
from slipway.records.run_manifest import (
    Basis,
    Change,
    Code,
    Freshness,
    Node,
    Outcome,
    RunManifest,
    Status,
    Tests,
    Versions,
)
from slipway.runs.decision import RunFacts, decide

FACTS = ("command", "settings", "versions", "code", "landing", "tables")
"""What has a digest in a basis, in the order in which it is compared: what costs least comes first."""
_KEPT = (Change.UNCHANGED, Change.NONE)
_PASSED = (Status.PASS, Status.NOT_RUN)


def cannot_be_repeated(manifest: RunManifest) -> str:
    """Why dbt has to look again after a run, as far as its run manifest shows; empty for no reason."""
    if manifest.outcome is not Outcome.UNCHANGED:
        return f"the run before ended as {manifest.outcome}"
    if manifest.scratch or manifest.landed_files:
        return "the run before landed files or was a scratch run"
    if manifest.options.full_refresh or manifest.options.event_time_start or manifest.options.event_time_end:
        return "tables are rebuilt"
    for node in manifest.nodes:
        if node.volatile:
            return f"{node.table or node.unique_id} is always built: {node.volatile}"
        if node.status is not Status.SUCCESS or node.change not in _KEPT or node.notes:
            return f"{node.table or node.unique_id} was not simply unchanged"
    for test in manifest.tests.results:
        if test.volatile:
            return f"test {test.name} is never carried: {test.volatile}"
        if test.status not in _PASSED:
            return f"test {test.name} did not pass"
    return ""


def difference(basis: Basis, facts: Mapping[str, str]) -> str:
    """The first fact that is not what a run wrote down, empty for none.

    Args:
        basis: of that run.
        facts: as they are now; those that are not given are not compared.
    """
    return next((name for name in FACTS if name in facts and basis.facts.get(name) != facts[name]), "")


def repeated(
    before: RunManifest,
    environment: Environment,
    now: datetime,
    *,
    run_id: str,
    started_at: datetime,
    command: list[str],
    by: tuple[str, str],
    code: Code,
    versions: Versions,
) -> RunManifest | None:
    """The run manifest of a run that depends on the same things as the one before; None where the gates decide otherwise.

    Args:
        before: the run manifest of that one.
        environment: where both run.
        now: how old sources are is asked at this moment.
        run_id: of the new run.
        started_at: when it began.
        command: its command line.
        by: the user and the host.
        code: that of the run before, whose files are the same at the same commit.
        versions: of what is installed.
    """
    if now < before.finished_at:
        return None  # by a clock that went back, moments of landing may be in the future
    fresh = [_aged(item, now) for item in before.freshness]
    tests = _carried(before.tests)
    facts = RunFacts(
        run_id=run_id,
        environment=environment,
        managed=True,
        nodes=len(before.nodes),
        tests_not_run=tests.not_run,
        late_sources=[item.source for item in fresh if item.status is Status.ERROR],
        broken=[item.raw for item in before.conservation if item.deduplicated < 0],
        unknown_code=code.unknown,
        other_code={node.table or node.unique_id: node.stale for node in before.nodes if node.stale},
        set_aside=[item.path for item in before.outstanding if item.blocks],
    )
    outcome, reason = decide(facts)
    if outcome is not Outcome.UNCHANGED:
        return None
    return before.model_copy(
        update={
            "run_id": run_id,
            "invocation_id": "",
            "who": by[0],
            "host": by[1],
            "started_at": started_at,
            "finished_at": now,
            "command": command,
            "code": code,
            "versions": versions,
            "nodes": [_left(node) for node in before.nodes],
            "tests": tests,
            "freshness": fresh,
            "release": None,
            "outcome": outcome,
            "reason": reason,
        }
    )


def _aged(item: Freshness, now: datetime) -> Freshness:
    age = round((now - item.last_landed_at).total_seconds(), 3) if item.last_landed_at else None
    return item.model_copy(update={"age_seconds": age})


def _left(node: Node) -> Node:
    return node.model_copy(update={"seconds": 0.0, "phases": {}})


def _carried(tests: Tests) -> Tests:
    results = [
        test.model_copy(update={"carried": True}) if test.status is Status.PASS else test
        for test in tests.results
    ]
    carried = sum(test.carried for test in results)
    return tests.model_copy(update={"results": results, "carried": carried, "executed": 0})
