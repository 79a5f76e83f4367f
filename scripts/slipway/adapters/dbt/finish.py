"""The end of a run: decide, publish all or nothing, and write down what happened."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from slipway.adapters import code
from slipway.adapters.dbt import evidence, slices
from slipway.adapters.dbt.code_read import code_read
from slipway.adapters.dbt.contracts import check_batched
from slipway.adapters.dbt.definitions import judged
from slipway.adapters.dbt.events import with_reason
from slipway.adapters.dbt.invocation import Invocation
from slipway.adapters.dbt.session import Session
from slipway.adapters.disk import writing_below
from slipway.adapters.releases import figures, release
from slipway.domain.decision import RunFacts, decide
from slipway.domain.errors import ContractError, SlipwayError, UnavailableError, UnrecordedError
from slipway.domain.manifest import Conservation, Freshness, InputSnapshot, Node, RunManifest, Tests
from slipway.domain.release import Intent
from slipway.domain.run import Outcome
from slipway.domain.secrets import hide, hide_in

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
    made = conclude(session, done)
    said = [f"{node.table}: {note}" for node in made.nodes for note in node.notes]
    return [*notes_of(made), *said, summary_line(session, made)]


def conclude(session: Session, done: Invocation) -> RunManifest:
    """Decide the outcome of a run, publish it if it passed, and write its run manifest.

    Raises:
        SlipwayError: the environment is on hold; recorded, and raised again.
        ConflictError: someone else published a table of this run; recorded, and raised again.
        UnavailableError: the catalog or the store could not be written; recorded, and raised again.
    """
    made_by = session.code = code_read(
        session.code, session.project, done.manifest, list(sys.modules.values())
    )
    session.unstaged.stage_all()
    if done.success and not _failed(done):
        try:
            check_batched(session, done.manifest)
        except ContractError as error:
            done = replace(done, success=False, error=error.line())
    nodes = judged(session, done.manifest, evidence.nodes(session, done.results))
    nodes = [node.model_copy(update={"message": hide(_told(node, done))}) for node in nodes]
    tests = evidence.tests(session, done.manifest, done.results)
    told = [test.model_copy(update={"message": hide(test.message)}) for test in tests.results]
    tests = tests.model_copy(update={"results": told})
    fresh = evidence.freshness(session, done.manifest)
    conserved = evidence.conservation(session, done.manifest)
    outcome, reason = decide(_facts(session, done, nodes, tests, fresh, conserved))
    failure: SlipwayError | None = None
    if outcome is Outcome.PUBLISHED:
        intent = Intent(number=session.release, run_id=session.request.run_id, code=made_by)
        try:
            staged = [*session.staged.values(), *session.retired.values()]
            release(session.outputs, session.records, staged, intent)
        except UnrecordedError as error:
            failure, reason = error, error.line()
        except SlipwayError as error:
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
        command=[hide(part) for part in session.request.command],
        vars=session.request.vars,
        options=evidence.options(),
        as_of=evidence.as_of(session),
        code=made_by,
        versions=code.versions_of(session.project),
        inputs=_inputs(session),
        landed_files=[*(session.continues.landed_files if session.continues else []), *session.landed],
        outstanding=session.intake.outstanding,
        nodes=nodes,
        tests=tests,
        freshness=fresh,
        conservation=conserved,
        release=session.release if outcome is Outcome.PUBLISHED else None,
        outcome=outcome,
        reason=hide(reason),
    )
    try:
        _write_records(session, run_manifest, done)
    except UnavailableError as error:
        if failure:
            raise failure from error
        if outcome is not Outcome.PUBLISHED:
            raise
        raise UnrecordedError(
            f"release {session.release} is published, but the records of its run are not complete",
            f"{error.what}: {error.why}",
            "nothing needs to be done again; slipway show tells what is known of this run",
        ) from error
    if failure:
        raise failure
    return run_manifest


def notes_of(manifest: RunManifest) -> list[str]:
    """Tables with rows that other code made, one line each."""
    return [f"stale: {node.table}: {node.stale}" for node in manifest.nodes if node.stale]


def summary_line(session: Session, manifest: RunManifest) -> str:
    """What happened to the run, in one line."""
    where = f" in scratch environment {session.scratch}" if session.scratch else ""
    match manifest.outcome:
        case Outcome.PUBLISHED:
            return f"published release {manifest.release}: {len(session.staged)} tables of run {manifest.run_id}{where}"
        case Outcome.UNCHANGED:
            return f"nothing changed: no release, run {manifest.run_id}{where}"
    return f"not published ({manifest.outcome}): {manifest.reason}; run {manifest.run_id}{where}"


def _failed(done: Invocation) -> list[str]:
    return [result.node.name for result in done.results if str(result.status) in _FAILED]


def _facts(
    session: Session,
    done: Invocation,
    nodes: Sequence[Node],
    tests: Tests,
    fresh: Sequence[Freshness],
    conserved: Sequence[Conservation],
) -> RunFacts:
    from dbt.flags import get_flags

    flags = get_flags()
    return RunFacts(
        run_id=session.request.run_id,
        environment=session.environment,
        scratch=session.scratch is not None,
        managed=session.request.managed,
        interrupted=done.interrupted,
        error="" if done.success else done.error or "dbt reports a failure",
        nodes=len(done.results),
        failed=_failed(done),
        skipped=any(str(result.status) == "skipped" for result in done.results),
        empty_slice=slices.empty_slice(session, done.manifest),
        staged=len(session.staged),
        partial=bool(getattr(flags, "EMPTY", False) or getattr(flags, "SAMPLE", None)),
        tests_not_run=tests.not_run,
        stale=[item.source for item in fresh if item.status == "error"],
        broken=[item.raw for item in conserved if item.deduplicated < 0],
        replaced=_replaced(session),
        unknown_code=session.code.unknown,
        other_code={node.table or node.unique_id: node.stale for node in nodes if node.stale},
        set_aside=[item.path for item in session.intake.outstanding if item.blocks],
    )


def _replaced(session: Session) -> str:
    try:
        return session.landing.replaced() if session.staged else ""
    except UnavailableError as error:  # it is not known, which is no reason to leave the run without a record
        return error.line()


def _inputs(session: Session) -> list[InputSnapshot]:
    """Tables the run read and did not make, those of the run that it continues with them."""
    made = {f"{session.environment.name}.{'.'.join(identifier)}" for identifier in session.staged}
    before = session.continues.inputs if session.continues else []
    found = [read for read in before if read.table not in made and read.table not in session.read]
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


def _write_records(session: Session, run_manifest: RunManifest, done: Invocation) -> None:
    records, run_id = session.records, session.request.run_id
    missing: UnavailableError | None = None
    for name, artifact in (("manifest.json", done.manifest), ("run_results.json", done.execution)):
        if artifact is not None:
            content = _artifact(session.project, name, artifact, run_manifest)
            try:
                if name == "manifest.json":
                    records.write_dbt_manifest(run_id, content)
                else:
                    records.write_compressed(run_id, f"dbt/{name}", _without_secrets(content))
            except UnavailableError as error:  # they are large; there may be room for what matters more
                missing = error
    records.write(run_id, "run_manifest.json", run_manifest.model_dump_json(indent=1))
    records.seal(run_id)
    if missing:
        raise missing


def _artifact(project: Path, name: str, artifact: Any, run_manifest: RunManifest) -> bytes:
    """A file that dbt wrote, or, where another run of this checkout has put its own there by now, the same made again."""
    with suppress(OSError):
        content = (evidence.target_path(project) / name).read_bytes()
        if run_manifest.invocation_id.encode() in content:
            return content
    with writing_below(gettempdir()), TemporaryDirectory() as folder:
        artifact.write(str(Path(folder) / name))
        return (Path(folder) / name).read_bytes()


def _without_secrets(run_results: bytes) -> bytes:
    """dbt's run results, whose messages are those of the engine and of the store."""
    described = json.loads(run_results)
    for result in described["results"]:
        result["message"] = hide_in(result.get("message"))
    return json.dumps(described).encode()


def _told(node: Node, done: Invocation) -> str:
    return with_reason(node.status, node.message, done.reasons.get(node.unique_id, ""))
