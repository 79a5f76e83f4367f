"""What becomes of a run: every rule that keeps it from being published, now or when a person publishes it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway.counts import plural
from slipway.environments.environment import Environment, Mode
from slipway.records.conservation import Conservation
from slipway.records.landed_files import Freshness
from slipway.records.node_results import Status, Tests
from slipway.records.run_ids import AHEAD
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.secrets import one_line

Decision = tuple[Outcome, str]
"""An outcome and its reason in one line."""


@dataclass(frozen=True)
class RunFacts:
    """What is known at the end of a run, before anything is published.

    Args:
        run_id: the run.
        environment: where it would be published.
        scratch: it was built in a scratch environment.
        managed: the slipway command runs it, not plain dbt.
        staged_for: what its tables are to be published with later; empty where the run publishes them.
        interrupted: Ctrl-C or SIGTERM ended it.
        error: what stopped dbt outside of the nodes, empty for nothing.
        nodes: how many nodes dbt came to.
        failed: names of those that failed.
        skipped: whether any was skipped.
        empty_slice: why its slice is refused, empty when it is not.
        staged: how many tables it staged.
        partial: dbt's --empty or --sample was given.
        tests_not_run: tests that the built nodes ask for and that were not executed.
        late_sources: sources that are older than they allow.
        broken: why rows of raw tables do not add up.
        unexpected: which feeds brought more or less than their contracts expect of a run.
        replaced: which landed files were replaced while they were read, empty for none.
        unknown_code: which of the code that was read no commit holds, empty for none.
        other_code: tables with rows that other code made than the present, and what to do about each.
        set_aside: paths of landed files that are not in raw, of feeds that do not allow it.
    """

    run_id: str
    environment: Environment
    scratch: bool = False
    managed: bool = False
    staged_for: str = ""
    interrupted: bool = False
    error: str = ""
    nodes: int = 0
    failed: Sequence[str] = ()
    skipped: bool = False
    empty_slice: str = ""
    staged: int = 0
    partial: bool = False
    tests_not_run: int = 0
    late_sources: Sequence[str] = ()
    broken: Sequence[str] = ()
    unexpected: Sequence[str] = ()
    replaced: str = ""
    unknown_code: str = ""
    other_code: Mapping[str, str] = field(default_factory=dict)
    set_aside: Sequence[str] = ()

    @classmethod
    def of(cls, manifest: RunManifest, environment: Environment, **others: Any) -> RunFacts:
        """The facts that a run manifest tells, with others that it does not."""
        return cls(
            run_id=manifest.run_id,
            environment=environment,
            tests_not_run=manifest.tests.not_run,
            late_sources=[item.source for item in manifest.freshness if item.status is Status.ERROR],
            broken=[item.problem for item in manifest.conservation if item.problem],
            unexpected=[item.problem for item in manifest.input_volumes if item.problem],
            unknown_code=manifest.code.unknown,
            other_code={node.table or node.unique_id: node.stale for node in manifest.nodes if node.stale},
            set_aside=[item.path for item in manifest.outstanding if item.blocks],
            **others,
        )


def decide(facts: RunFacts) -> Decision:
    """The outcome of a run. ``published`` means that it may be published now."""
    kept_back = _not_passed(facts) or _of_other_code(facts) or _held_back(facts)
    return kept_back or (Outcome.PUBLISHED, "every node and every test passed")


def _not_passed(facts: RunFacts) -> Decision | None:
    if facts.interrupted:
        return Outcome.FAILED, "interrupted"
    if facts.empty_slice:
        return Outcome.FAILED, facts.empty_slice
    if facts.failed:
        names = ", ".join(facts.failed[:3]) + (" …" if len(facts.failed) > 3 else "")
        return Outcome.FAILED, f"{len(facts.failed)} of {plural(facts.nodes, 'node')} failed: {names}"
    if facts.skipped:
        return Outcome.FAILED, "nodes were skipped"
    if facts.error:
        return Outcome.FAILED, facts.error
    if facts.replaced:
        return Outcome.FAILED, facts.replaced
    if facts.set_aside and not facts.scratch and facts.environment.mode is not Mode.EXPLORATORY:
        return Outcome.FAILED, set_aside_reason(facts.set_aside)
    if facts.broken and not facts.scratch:  # there the comparison shows what a change loses
        return Outcome.FAILED, "; ".join(facts.broken)
    if facts.unexpected and not facts.scratch and facts.environment.mode is not Mode.EXPLORATORY:
        return Outcome.FAILED, "; ".join(facts.unexpected)
    return None


def _of_other_code(facts: RunFacts) -> Decision | None:
    is_free = facts.environment.mode is Mode.EXPLORATORY or facts.scratch  # there a comparison tells
    if not facts.other_code or facts.partial or is_free:
        return None
    table, why = min(facts.other_code.items())
    more = f", and {len(facts.other_code) - 1} more are stale" if len(facts.other_code) > 1 else ""
    return Outcome.FAILED, f"{table} is stale{more}: {why}"


def set_aside_reason(paths: Sequence[str]) -> str:
    """Why files that are set aside stop a run or a publication, in one line."""
    names = one_line(", ".join(paths[:3])) + (" …" if len(paths) > 3 else "")
    count = plural(len(paths), "landed file", "are", "is")
    return (
        f"{count} set aside and not in raw: {names}; land them corrected under the same names, "
        "or allow it with onRejectedFiles or ignoredFiles in the feed's contract"
    )


def _held_back(facts: RunFacts) -> Decision | None:
    if not facts.staged:
        return Outcome.UNCHANGED, "every selected node is as it was"
    if facts.partial:
        return Outcome.DISCARDED, "built with --empty or --sample, which is never published"
    if facts.scratch:
        return None
    name, mode = facts.environment.name, facts.environment.mode
    publish_it = f"publish it with slipway publish {facts.run_id} --target {name}"
    if not (facts.managed or facts.environment.publishes_from_dbt):
        return Outcome.STAGED, f"plain dbt does not publish in {name}; {publish_it}"
    if facts.managed and mode is not Mode.EXPLORATORY:
        if facts.late_sources:
            return (
                Outcome.FAILED,
                f"{', '.join(facts.late_sources)} is older than its source allows: land a newer file, or change error_after there",
            )
        if facts.tests_not_run:
            what = f"{_not_run(facts.tests_not_run)}"
            return Outcome.FAILED, f"{what}: select them, too, or run without --exclude"
    if facts.managed and mode is Mode.PRODUCTION and facts.unknown_code:
        return Outcome.FAILED, f"no commit holds the code that was read: {facts.unknown_code}"
    if facts.staged_for or mode is Mode.PRODUCTION:
        by = f"built for {facts.staged_for}, which publishes it"
        return Outcome.STAGED, by if facts.staged_for else f"{name} publishes on approval; {publish_it}"
    return None


def closed_gate(manifest: RunManifest, mode: Mode, now: datetime) -> str:
    """Why a run may not be published now, empty when it may.

    Nothing is taken on trust that can be counted again from the run manifest; how old the sources are is asked anew.

    Args:
        manifest: the run.
        mode: of the environment.
        now: an aware datetime.
    """
    if manifest.outcome is not Outcome.STAGED:
        return f"{manifest.outcome}: {manifest.reason}"
    return why_not_published(manifest, mode, now)


def why_not_published(manifest: RunManifest, mode: Mode, now: datetime) -> str:
    """Why what a run built may not be shown in an environment of a mode, whatever became of it; empty when it may."""
    if failed := [
        node.table or node.unique_id for node in manifest.nodes if node.status is not Status.SUCCESS
    ]:
        return f"{', '.join(failed)} was not built"
    if mode is not Mode.EXPLORATORY and (other := [node for node in manifest.nodes if node.stale]):
        return f"{other[0].table} is stale: {other[0].stale}"
    if why := tests_problem(manifest.tests, mode) or _conservation(manifest.conservation):
        return why
    if mode is not Mode.EXPLORATORY and (why := late_sources(manifest, now)):
        return why
    volumes = (item.problem for item in manifest.input_volumes)
    if mode is not Mode.EXPLORATORY and (why := next(filter(None, volumes), "")):
        return why
    aside = [item.path for item in manifest.outstanding if item.blocks]
    if mode is not Mode.EXPLORATORY and aside:
        return set_aside_reason(aside)
    if mode is Mode.PRODUCTION and (why := manifest.code.unknown):
        return f"it was built from a work tree with uncommitted changes, or from more than one commit ({why})"
    return ""


def late_sources(manifest: RunManifest, now: datetime) -> str:
    """Which sources of a run are older at a moment than they allow; empty for none."""
    return "; ".join(_description(item, now) for item in manifest.freshness if _stale(item, now))


def tests_problem(tests: Tests, mode: Mode) -> str:
    """Why the tests of a run do not suffice for an environment of a mode; empty when they do."""
    statuses = [test.status for test in tests.results]
    good = (Status.PASS, Status.WARN)
    if failed := [
        test.name for test in tests.results if test.status not in good and not test.status.left_out
    ]:
        return f"{', '.join(failed)} failed"
    not_run = sum(status.left_out for status in statuses)
    carried = sum(test.carried for test in tests.results)
    counted = (len(statuses), len(statuses) - carried - not_run, carried, not_run, 0)
    if counted != (tests.expected, tests.executed, tests.carried, tests.not_run, tests.failed):
        return "its evidence is not complete: the tests of its run manifest do not add up"
    if not_run and mode is not Mode.EXPLORATORY:
        names = [test.name for test in tests.results if test.status.left_out]
        named = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        return f"{_not_run(not_run)}: {named}; slipway run builds and runs them"
    return ""


def _conservation(found: list[Conservation]) -> str:
    return next((item.problem for item in found if item.problem), "")


def _stale(item: Freshness, now: datetime) -> bool:
    age = (now - item.last_landed_at).total_seconds() if item.last_landed_at else None
    return item.model_copy(update={"age_seconds": age}).status is Status.ERROR


def _description(item: Freshness, now: datetime) -> str:
    if item.last_landed_at is None:
        return f"{item.source} never brought a file"
    if item.last_landed_at > now + AHEAD:
        when = f"{item.last_landed_at:%Y-%m-%d %H:%M} UTC"
        return f"{item.source} brought its last file by a clock that said {when}: how old it is is not known"
    return (
        f"{item.source} brought its last file of this run at {item.last_landed_at:%Y-%m-%d %H:%M} UTC, "
        "which is longer ago than its source allows"
    )


def _not_run(count: int) -> str:
    """How many tests of a run's tables did not run."""
    return f"{plural(count, 'test')} of what was built {'was' if count == 1 else 'were'} not run"
