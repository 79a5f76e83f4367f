"""The end of a run: decide, publish all or nothing, and write down what happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.adapters import code
from slipway.adapters.dbt import evidence, slices
from slipway.adapters.dbt.invocation import Invocation
from slipway.adapters.dbt.session import Session
from slipway.adapters.releases import figures, release
from slipway.domain.environment import Mode
from slipway.domain.errors import ConflictError, SlipwayError, UnavailableError
from slipway.domain.manifest import InputSnapshot, Intent, RunManifest
from slipway.domain.run import Outcome

_FAILED = frozenset({"error", "fail", "runtime error", "partial success"})


def finish(session: Session, manifest: Any, results: Sequence[Any]) -> list[str]:
    """Publish from the on-run-end hook of plain dbt.

    Returns:
        Lines for the person who watches.
    """
    if not session.begun:
        return []
    done = Invocation(
        success=True, results=results, manifest=manifest, error="", invocation_id=evidence.invocation_id()
    )
    return [summary_line(session, conclude(session, done))]


def conclude(session: Session, done: Invocation) -> RunManifest:
    """Decide the outcome of a run, publish it if it passed, and write its run manifest.

    Raises:
        ConflictError: someone else published a table of this run; recorded, and raised again.
        UnavailableError: the catalog could not be written; recorded, and raised again.
    """
    made_by = session.code
    outcome, reason = _verdict(session, done)
    nodes, tests = evidence.nodes(session, done.results), evidence.tests(session, done.manifest, done.results)
    gated = (
        session.request.managed and session.environment.mode is not Mode.EXPLORATORY and not session.scratch
    )
    if outcome is Outcome.PUBLISHED and tests.not_run and gated:
        outcome, reason = Outcome.STAGED, f"{tests.not_run} tests were not run; {_how_to_publish(session)}"
    fresh = evidence.freshness(session, done.manifest)
    stale = [item.source for item in fresh if item.status == "error"]
    if outcome is Outcome.PUBLISHED and stale and gated:
        outcome, reason = Outcome.FAILED, f"{', '.join(stale)} is older than its source allows"
    conserved = evidence.conservation(session, done.manifest)
    if outcome is Outcome.PUBLISHED and (broken := [item.raw for item in conserved if item.deduplicated < 0]):
        outcome, reason = Outcome.FAILED, f"more rows came out of {', '.join(broken)} than landed there"
    failure: SlipwayError | None = None
    if outcome is Outcome.PUBLISHED:
        intent = Intent(number=session.release, run_id=session.request.run_id, code=made_by)
        try:
            release(session.outputs, session.records, list(session.staged.values()), intent)
        except (ConflictError, UnavailableError) as error:
            failure, outcome, reason = error, Outcome.REFUSED, error.line()
    run_manifest = RunManifest(
        run_id=session.request.run_id,
        invocation_id=done.invocation_id,
        target=session.environment.name,
        mode=session.environment.mode,
        scratch=str(session.scratch) if session.scratch else None,
        who=code.who(),
        host=code.host(),
        started_at=session.request.started_at,
        finished_at=datetime.now(UTC),
        command=session.request.command,
        vars=session.request.vars,
        as_of=evidence.as_of(session),
        code=made_by,
        versions=code.versions_of(session.project),
        inputs=_inputs(session),
        landed_files=session.landed,
        nodes=nodes,
        tests=tests,
        freshness=fresh,
        conservation=conserved,
        release=session.release if outcome is Outcome.PUBLISHED else None,
        outcome=outcome,
        reason=reason,
    )
    _write_records(session, run_manifest)
    if failure:
        raise failure
    return run_manifest


def summary_line(session: Session, manifest: RunManifest) -> str:
    """What happened to the run, in one line."""
    where = f" in scratch environment {session.scratch}" if session.scratch else ""
    match manifest.outcome:
        case Outcome.PUBLISHED:
            return f"published release {manifest.release}: {len(session.staged)} tables of run {manifest.run_id}{where}"
        case Outcome.UNCHANGED:
            return f"nothing changed: no release, run {manifest.run_id}{where}"
    return f"not published ({manifest.outcome}): {manifest.reason}; run {manifest.run_id}{where}"


def _verdict(session: Session, done: Invocation) -> tuple[Outcome, str]:
    from dbt.flags import get_flags

    if nothing := slices.empty_slice(session, done.manifest):
        return Outcome.FAILED, nothing
    flags, results = get_flags(), done.results
    failed = [result for result in results if str(result.status) in _FAILED]
    if failed:
        names = ", ".join(result.node.name for result in failed[:3]) + (" …" if len(failed) > 3 else "")
        return Outcome.FAILED, f"{len(failed)} of {len(results)} nodes failed: {names}"
    if any(str(result.status) == "skipped" for result in results):
        return Outcome.FAILED, "nodes were skipped"
    if not done.success:
        return Outcome.FAILED, done.error or "dbt reports a failure"
    if not session.staged:
        return Outcome.UNCHANGED, "every selected node is as it was"
    if getattr(flags, "EMPTY", False) or getattr(flags, "SAMPLE", None):
        return Outcome.DISCARDED, "built with --empty or --sample, which is never published"
    if not session.request.publish:
        return Outcome.STAGED, _how_to_publish(session)
    if not (session.scratch or session.environment.publishes_from_dbt or session.request.managed):
        return (
            Outcome.STAGED,
            f"plain dbt does not publish in {session.environment.name}; {_how_to_publish(session)}",
        )
    if session.environment.mode is Mode.PRODUCTION and not session.scratch:
        return Outcome.STAGED, f"{session.environment.name} publishes on approval; {_how_to_publish(session)}"
    return Outcome.PUBLISHED, "every node and every test passed"


def _how_to_publish(session: Session) -> str:
    return f"publish it with slipway publish {session.request.run_id} --target {session.environment.name}"


def _inputs(session: Session) -> list[InputSnapshot]:
    """Tables the run read and did not make."""
    made = {f"{session.environment.name}.{'.'.join(identifier)}" for identifier in session.staged}
    found = []
    for name, table in sorted(session.read.items()):
        if name in made:
            continue
        current = table.current_snapshot()
        found.append(
            InputSnapshot(
                table=name,
                snapshot_id=str(current.snapshot_id) if current else None,
                schema_id=table.schema().schema_id,
                rows=figures(table)["rows"],
                metadata_location=table.metadata_location,
            )
        )
    return found


def _write_records(session: Session, run_manifest: RunManifest) -> None:
    records, run_id = session.records, session.request.run_id
    target = Path(evidence.target_path(session.project))
    for name in ("manifest.json", "run_results.json"):
        if (target / name).is_file() and (session.request.managed or name == "manifest.json"):
            records.write(run_id, f"dbt/{name}", (target / name).read_bytes())
    records.write(run_id, "run_manifest.json", run_manifest.model_dump_json(indent=1))
