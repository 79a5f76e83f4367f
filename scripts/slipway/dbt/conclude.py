"""The end of a run of dbt: its results as plain records, with which the run is ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from slipway.code import versions
from slipway.dbt import evidence, slices
from slipway.dbt.code_read import code_read, own_files
from slipway.dbt.contracts import check_batched
from slipway.dbt.definitions import judged
from slipway.dbt.events import with_reason
from slipway.dbt.invocation import Invocation
from slipway.dbt.repeatable import basis_of
from slipway.dbt.session import Session
from slipway.errors import ContractError, UnavailableError
from slipway.records.run_manifest import InputSnapshot, Node, Outcome, RunManifest, Status
from slipway.releases.publication import figures
from slipway.runs.decision import RunFacts
from slipway.runs.end import DBT_MANIFEST, BuiltRun, end_run, stale_lines, summary_line
from slipway.secrets import hide, hide_in
from slipway.storage.objects import writing_below

_FAILED = frozenset({Status.ERROR, Status.FAIL, Status.RUNTIME_ERROR, Status.PARTIAL_SUCCESS})


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
    return [*stale_lines(made), *said, summary_line(made)]


def conclude(session: Session, done: Invocation) -> RunManifest:
    """Describe in records what dbt did, and end the run; raises what ``end_run`` raises."""
    session.code = code_read(session.code, session.project, done.manifest, list(sys.modules.values()))
    session.batched.stage_all()
    if done.success and not _failed(done):
        try:
            check_batched(session.candidate.staged, session.views, done.manifest)
        except ContractError as error:
            done = replace(done, success=False, error=error.line())
    manifest = _described(session, done)
    built = BuiltRun(
        facts=_facts(session, done, manifest),
        manifest=manifest,
        staged=[*session.candidate.staged.values(), *session.candidate.retired.values()],
        number=lambda: session.candidate.number,
        artifacts=_artifacts(session.project, done),
        basis=lambda run: basis_of(
            session, done.manifest, done.results, run, own_files(done.manifest, session.project)
        ),
    )
    return end_run(session.places.outputs, session.records, built)


def _described(session: Session, done: Invocation) -> RunManifest:
    """The run manifest as far as it is known before the run is decided."""
    nodes = judged(session, done.manifest, evidence.nodes(session, done.results))
    nodes = [node.model_copy(update={"message": hide(_message(node, done))}) for node in nodes]
    tests = evidence.tests(session, done.manifest, done.results)
    hidden = [test.model_copy(update={"message": hide(test.message)}) for test in tests.results]
    request, continued = session.request, session.continues
    return RunManifest(
        run_id=request.run_id,
        invocation_id=done.invocation_id,
        target=session.environment.name,
        mode=session.environment.mode,
        scratch=str(session.scratch) if session.scratch else None,
        who=versions.who(),
        host=versions.host(),
        started_at=request.started_at,
        finished_at=datetime.now(UTC),
        command=[hide(part) for part in request.command],
        vars=request.vars,
        options=evidence.options(),
        as_of=evidence.as_of(session),
        code=session.code,
        versions=versions.versions_of(session.project),
        inputs=_inputs(session),
        landed_files=[*(continued.landed_files if continued else []), *session.intake.landed],
        outstanding=session.intake.outstanding,
        nodes=nodes,
        tests=tests.model_copy(update={"results": hidden}),
        freshness=evidence.freshness(session, done.manifest),
        conservation=evidence.conservation(session, done.manifest),
        release=None,
        outcome=Outcome.FAILED,
        reason="",
    )


def _failed(done: Invocation) -> list[str]:
    return [result.node.name for result in done.results if str(result.status) in _FAILED]


def _facts(session: Session, done: Invocation, manifest: RunManifest) -> RunFacts:
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
        skipped=any(str(result.status) == Status.SKIPPED for result in done.results),
        empty_slice=slices.empty_slice(session.slice, session.nodes, done.manifest),
        staged=len(session.candidate.staged),
        partial=bool(getattr(flags, "EMPTY", False) or getattr(flags, "SAMPLE", None)),
        tests_not_run=manifest.tests.not_run,
        late_sources=[item.source for item in manifest.freshness if item.status is Status.ERROR],
        broken=[item.raw for item in manifest.conservation if item.deduplicated < 0],
        replaced=_replaced(session),
        unknown_code=session.code.unknown,
        other_code={node.table or node.unique_id: node.stale for node in manifest.nodes if node.stale},
        set_aside=[item.path for item in manifest.outstanding if item.blocks],
    )


def _replaced(session: Session) -> str:
    try:
        return session.intake.landing.replaced() if session.candidate.staged else ""
    except UnavailableError as error:  # it is not known, which is no reason to leave the run without a record
        return error.line()


def _inputs(session: Session) -> list[InputSnapshot]:
    """Tables the run read and did not make, those of the run that it continues with them."""
    made = {f"{session.environment.name}.{identifier}" for identifier in session.candidate.staged}
    before = session.continues.inputs if session.continues else []
    found = [read for read in before if read.table not in made and read.table not in session.inputs.read]
    for name, table in sorted(session.inputs.read.items()):
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


def _artifacts(project: Path, done: Invocation) -> dict[str, Callable[[], bytes]]:
    """dbt's manifest and run results, as far as there are any."""
    found: dict[str, Callable[[], bytes]] = {}
    if (manifest := done.manifest) is not None:
        found[DBT_MANIFEST] = lambda: _artifact(project, DBT_MANIFEST, manifest, done)
    if (results := done.execution) is not None:
        name = "run_results.json"
        found[name] = lambda: _without_secrets(_artifact(project, name, results, done))
    return found


def _artifact(project: Path, name: str, artifact: Any, done: Invocation) -> bytes:
    """A file that dbt wrote, or, where another run of this checkout has put its own there by now, the same made again."""
    with suppress(OSError):
        content = (evidence.target_path(project) / name).read_bytes()
        if done.invocation_id.encode() in content:
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


def _message(node: Node, done: Invocation) -> str:
    return with_reason(node.status, node.message, done.reasons.get(node.unique_id, ""))
