"""The end of a run: which code it has read, decide, publish all or nothing, and write down what happened."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from types import ModuleType
from typing import Any

from slipway.code import versions
from slipway.code.commits import Finding
from slipway.code.installation import installation, is_installed
from slipway.code.versions import code_of, settled
from slipway.dbt import evidence, slices
from slipway.dbt.contracts import check_batched
from slipway.dbt.definitions import judged
from slipway.dbt.events import with_reason
from slipway.dbt.invocation import Invocation
from slipway.dbt.repeatable import basis_of
from slipway.dbt.session import Session
from slipway.errors import ContractError, SlipwayError, UnavailableError, UnrecordedError
from slipway.records.basis import BASIS
from slipway.records.release_records import Intent
from slipway.records.run_manifest import (
    Code,
    Conservation,
    Freshness,
    InputSnapshot,
    Node,
    Outcome,
    RunManifest,
    Tests,
)
from slipway.releases.publication import figures, release
from slipway.runs.decision import RunFacts, decide
from slipway.secrets import hide, hide_in
from slipway.storage.objects import writing_below

_OWN = "slipway"


def code_read(begun: Code, project: Path, manifest: Any, imported: Iterable[ModuleType]) -> Code:
    """The code of a run that is over.

    Args:
        begun: the code as the run began.
        project: folder of dbt_project.yml.
        manifest: dbt's, None where it could not parse.
        imported: the modules of this process.
    """
    files = _parsed(manifest, project) if manifest else {}
    ours = {path: file for path, file in files.items() if not is_installed(path)}
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    modules = {
        path: module
        for module in imported
        if getattr(module, "__file__", None) not in (None, program) and (path := _own_file(module, project))
    }
    changed = [*_parsed_otherwise(ours), *_compiled_otherwise(modules)]
    return settled(begun, code_of(project, [*ours, *modules]), changed)


def _parsed(manifest: Any, project: Path) -> dict[Path, Any]:
    """The files that dbt has parsed, where they are now: a parse taken over from a project that was moved names its old folder."""
    own = manifest.metadata.project_name
    before = {file.path.project_root for file in manifest.files.values() if file.project_name == own}
    found = {}
    for file in manifest.files.values():
        path = Path(file.path.absolute_path)
        root = next((root for root in before if path.is_relative_to(os.path.normpath(root))), None)
        found[project / path.relative_to(os.path.normpath(root)) if root else path] = file
    return found


def _parsed_otherwise(files: dict[Path, Any]) -> Iterator[Finding]:
    """Files of which dbt has parsed another content, now or in the parse that it took over from an earlier command."""
    for path, file in files.items():
        if file.checksum.name != "sha256":  # of a large seed dbt keeps no digest
            continue
        try:
            content = path.read_bytes().decode("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue  # compared with the commit by itself
        if hashlib.sha256(content.encode()).hexdigest() != file.checksum.checksum:
            yield (
                str(path),
                "dbt parsed another content; remove partial_parse.msgpack from dbt's target folder",
            )


def _compiled_otherwise(modules: dict[Path, ModuleType]) -> Iterator[Finding]:
    """Modules of which Python has kept other bytecode than their source gives, under the same time and size."""
    for path, module in modules.items():
        cached = getattr(module, "__cached__", None)
        loader = getattr(module.__spec__, "loader", None)
        if module.__name__.partition(".")[0] == _OWN or not cached or not Path(cached).exists():
            continue
        try:
            kept = loader.get_code(module.__name__) if loader else None
            if kept is not None and kept != compile(path.read_bytes(), str(path), "exec", dont_inherit=True):
                yield str(path), f"Python has other bytecode of it; remove {cached}"
        except (OSError, ImportError, SyntaxError, ValueError):
            yield str(path), "its bytecode cannot be compared with its source"


def _own_file(module: ModuleType, project: Path) -> Path | None:
    """The file of a module that is neither Python's nor of an installed package."""
    name, place = getattr(module, "__name__", ""), os.path.normpath(Path(str(module.__file__)).absolute())
    if place.startswith(installation()):
        return None
    path = Path(place)
    if path.suffix == ".pyc" and (source := _source(path)):
        path = source
    if path.is_relative_to(project):
        return path
    # slipway itself may be a tool that is kept elsewhere
    own = name.partition(".")[0] == _OWN
    return None if own or is_installed(path) or _is_of_distribution(name, path) else path


def _own_files(manifest: Any, project: Path) -> list[Path]:
    """Files that dbt has parsed, and modules of this process, that are the project's own or those of its packages."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    named = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
    modules = [path for one in named if one.__file__ != program and (path := _own_file(one, project))]
    return [*(path for path in _parsed(manifest, project) if not is_installed(path)), *modules]


def _source(path: Path) -> Path | None:
    try:
        return Path(importlib.util.source_from_cache(str(path)))
    except ValueError:
        return None


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in packages_distributions().items()}


def _is_of_distribution(name: str, path: Path) -> bool:
    """Whether a module lies where a distribution was installed, in a folder of its own on the path."""
    for found in _distributions().get(name.partition(".")[0], []):
        try:
            root = Path(str(distribution(found).locate_file(""))).resolve()
        except PackageNotFoundError:
            continue
        if any(root.glob(f"{found.replace('-', '_')}-*.dist-info")) and path.resolve().is_relative_to(root):
            return True
    return False


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
    nodes = [node.model_copy(update={"message": hide(_message(node, done))}) for node in nodes]
    tests = evidence.tests(session, done.manifest, done.results)
    results = [test.model_copy(update={"message": hide(test.message)}) for test in tests.results]
    tests = tests.model_copy(update={"results": results})
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
        who=versions.who(),
        host=versions.host(),
        started_at=session.request.started_at,
        finished_at=datetime.now(UTC),
        command=[hide(part) for part in session.request.command],
        vars=session.request.vars,
        options=evidence.options(),
        as_of=evidence.as_of(session),
        code=made_by,
        versions=versions.versions_of(session.project),
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
            f"Release {session.release} is published, but the records of its run are not complete",
            f"{error.what}: {error.why}",
            "Nothing needs to be done again; slipway show tells what is known of this run",
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
        late_sources=[item.source for item in fresh if item.status == "error"],
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
    made = {f"{session.environment.name}.{identifier}" for identifier in session.staged}
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
    own = _own_files(done.manifest, session.project) if run_manifest.outcome is Outcome.UNCHANGED else []
    if basis := basis_of(session, done.manifest, done.results, run_manifest, own):
        records.write(run_id, BASIS, basis.model_dump_json(indent=1))
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


def _message(node: Node, done: Invocation) -> str:
    return with_reason(node.status, node.message, done.reasons.get(node.unique_id, ""))
