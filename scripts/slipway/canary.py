"""Versions of the code built on the same pinned inputs, each by its own ``slipway run`` in a scratch environment, and compared.

Imports ``comparison``, ``dbt`` and what is below them. Start with ``canary``; ``build`` is what a replay uses, too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slipway.code import git
from slipway.code.versions import code_of, install, who
from slipway.comparison.compare import BuiltTable, compare_builds, scratch_manifest
from slipway.comparison.consequences import other_code
from slipway.comparison.masking import MASKED, has_masked
from slipway.comparison.report import ComparisonReport, make_report
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError, SlipwayError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.processes import temporary
from slipway.records.code_comparisons import keep_comparison
from slipway.records.promotion_records import CodeComparison
from slipway.records.run_manifest import (
    NOTHING_SELECTED,
    Change,
    Outcome,
    RunManifest,
    Status,
    new_run_id,
    said,
)
from slipway.records.store import Records
from slipway.releases.published import visible_tables
from slipway.runs.replayable import is_history
from slipway.settings import Settings

_POLL = 0.05  # seconds
_PINS, _PRINTED, _LOG = "pins.json", "run.json", "run.log"
_GRACE = 10.0  # seconds that an interrupted build has to end by itself


def canary(
    project: Path,
    target: str | None,
    base: str | None,
    variables: dict[str, Any],
    select: Sequence[str],
    tell: Callable[[str], None],
    *,
    keep: bool,
    show_classified: bool = False,
) -> tuple[ComparisonReport, Path | None]:
    """Build both versions and compare every table.

    Args:
        project: folder of dbt_project.yml, the head version.
        target: whose published inputs are read.
        base: git ref of the other version, None for the default.
        variables: dbt variables for both, with the slice.
        select: dbt selectors for both.
        tell: gets lines for the person who watches.
        keep: leave the scratch environments behind.
        show_classified: show values of columns that a contract classifies.

    Returns:
        The comparison, and the folder that was kept, if it was.

    Raises:
        NotFoundError: nothing is published to build from, there is no such base, or no git repository.
        SlipwayError: a version does not build; its own message is passed on.
    """
    environment = Profile(project).environment(target)
    pins = _pins(environment)
    commit, where = (git.resolve(project, base), base) if base else git.default_base(project)
    tell(f"base is {commit[:12]}, {where}")
    with temporary("canary", environment.home, keep=keep) as folder:
        what = Build(project, environment, folder, pins, variables, select)
        with git.worktree(project, commit, folder / "code") as base_project:
            tell(f"building base {commit[:12]} and head on the same {len(pins)} pinned inputs")
            manifests = build(what, {"base": base_project, "head": project})
        then, now = manifests.get("base"), manifests.get("head")
        # what is selected may be in only one of them
        side, built = ("head", now) if now else ("base", manifests["base"])
        comparisons = compare_builds(
            BuiltTable.all_of(then),
            BuiltTable.all_of(now),
            scratch_manifest(folder / side, built.run_id),
            environment,
            project,
            edited=other_code(*map(_definitions, (then, now))) if then and now else (),
            show_classified=show_classified,
        )
        context = {"slice": json.dumps(variables.get("slice") or "the whole input", default=str)}
        context |= {"inputs": ", ".join(f"{name} at {_snapshot(built, name)}" for name in sorted(pins))}
        remarks = _not_rebuilt(then, now) if then and now else []
        remarks += [MASKED] if any(map(has_masked, comparisons)) else []
        code = code_of(project)
        name = f"{(code.commit or 'no commit')[:12]}{' with uncommitted changes' if code.dirty else ''}"
        report = make_report(
            comparisons, title="Canary", base=commit[:12], head=name, context=context, remarks=remarks
        )
        return report, folder if keep else None


def recordable(project: Path) -> str:
    """The commit whose verdict can be recorded.

    Raises:
        SlipwayError: the work tree is none, so that nobody could find out what was compared.
    """
    code = code_of(project)
    if code.commit is None or (why := code.unknown):
        raise SlipwayError(
            "The verdict of a canary is recorded only for a clean work tree at a commit",
            code.unknown if code.commit is None else why,
            "Commit the change first, or leave --record out",
        )
    return code.commit


def keep_verdict(project: Path, target: str | None, commit: str, report: ComparisonReport) -> None:
    """Record how a commit compares with its base, as evidence for promotions.

    Raises:
        SlipwayError: the code is not what it was when the canary began.
        UnavailableError: the target cannot be written.
    """
    if (now := recordable(project)) != commit:
        raise SlipwayError(
            "The verdict of the canary was not recorded",
            f"the work tree was at commit {commit[:12]} when it began, and is at {now[:12]}",
            "Run it again",
        )
    moment = datetime.now(UTC)
    records = Records(Profile(project).environment(target))
    comparison = CodeComparison(
        comparison_id=new_run_id(moment),
        made_at=moment,
        who=who(),
        commit=commit,
        base=report.base,
        passed=report.passed,
        covers=report.context.get("slice", "the whole input"),
        verdicts={table.name: table.verdict.words for table in report.tables},
    )
    keep_comparison(records, comparison)


def _pins(environment: Environment) -> dict[str, str]:
    records = Records(environment)
    visible = visible_tables(Tables(environment), records).locations
    shown = {str(identifier): location for identifier, location in visible.items()}
    found = {name: location for name, location in shown.items() if TableName.parse(name).layer == "raw"}
    if not found:
        raise NotFoundError(
            f"No input is published in {environment.name}",
            "a canary builds from published raw tables",
            "Publish some with slipway run",
        )
    return found | {name: shown[name] for name in _histories(records) & shown.keys()}


def _histories(records: Records) -> set[str]:
    """Tables of dbt's snapshots as the last release that has dbt's manifest knows them: no input holds their history."""
    for release in reversed(records.releases()):
        if described := records.dbt_manifest(release.run_id):
            nodes = described["nodes"].items()
            return {f"{node['schema']}.{node['alias']}" for unique_id, node in nodes if is_history(unique_id)}
    return set()


def _definitions(manifest: RunManifest) -> dict[str, str | None]:
    return {node.table: node.definition_key for node in manifest.nodes if node.table}


def _snapshot(manifest: RunManifest, table: str) -> str:
    found = [item.snapshot_id for item in manifest.inputs if item.table.endswith(f".{table}")]
    return f"snapshot {found[0]}" if found else "no snapshot"


def _not_rebuilt(base: RunManifest, head: RunManifest) -> list[str]:
    """Inputs are taken as they are published, also those whose own code the change touches: that is said."""
    before, after = (
        {
            node.table or node.unique_id: node.definition_key
            for node in manifest.nodes
            if node.change is Change.PINNED
        }
        for manifest in (base, head)
    )
    touched = sorted(other_code(before, after))
    return [f"Not rebuilt, although its code differs: {', '.join(touched)}, an input"] if touched else []


@dataclass(frozen=True)
class Build:
    """What to build.

    Args:
        project: folder of dbt_project.yml as it is now, whose packages and profiles are taken where a version has none.
        environment: whose settings and pinned inputs are used.
        folder: gets a folder per version, which is its scratch environment.
        pins: inputs, ``layer.table`` to the metadata file that is read.
        vars: dbt variables.
        select: dbt selectors.
        exclude: dbt selectors.
        window: from when to when microbatch models are built, None for all of their time.
    """

    project: Path
    environment: Environment
    folder: Path
    pins: Mapping[str, str]
    vars: Mapping[str, Any] = field(default_factory=dict)
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    window: tuple[datetime, datetime] | None = None


def build(what: Build, versions: Mapping[str, Path]) -> dict[str, RunManifest]:
    """Build versions in one column; the first that fails ends the others.

    Args:
        what: what to build.
        versions: name to the folder of that version's dbt_project.yml.

    Returns:
        Name to run manifest, without versions in which the selection names no node.

    Raises:
        SlipwayError: a version does not build, with the reason it gave; or the selection names no node in any of them.
    """
    for side, project in versions.items():
        if not (project / "dbt_project.yml").is_file():
            raise SlipwayError(f"{side} does not build", "it has no dbt_project.yml", "Name another version")
    (what.folder / _PINS).write_text(json.dumps(dict(what.pins)), encoding="utf-8")
    with _running(what, versions) as processes:
        done: dict[str, RunManifest | None] = {}
        while len(done) < len(processes):
            for side, process in processes.items():
                if side not in done and process.poll() is not None:
                    done[side] = _manifest(side, what.folder / side)
            time.sleep(_POLL)
    if not (built := {side: manifest for side, manifest in done.items() if manifest}):
        raise SlipwayError("Nothing to do", NOTHING_SELECTED, "List nodes with dbt ls")
    return built


@contextmanager
def _running(what: Build, versions: Mapping[str, Path]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The processes of all versions; none is left behind."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for side, project in versions.items():
            processes[side] = _start(what, side, project)
        yield processes
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes.values():
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(what: Build, side: str, project: Path) -> subprocess.Popen[bytes]:
    """Run that version in a process of its own, with its own code on the path."""
    folder = what.folder / side
    folder.mkdir()
    given = Settings(
        home=str(what.environment.home),
        landing=what.environment.landing,
        # relative to the folder that was asked from, not to that version's
        warehouse=what.environment.warehouse if Settings.read().warehouse else None,
        scratch=str(folder),
        pins=str(what.folder / _PINS),
    )
    variables = {
        **os.environ,
        "PYTHONPATH": str(project / "scripts"),
        **given.variables(),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    variables.pop("DBT_PROJECT_DIR", None)
    if profiles := variables.pop("DBT_PROFILES_DIR", None):
        variables["DBT_PROFILES_DIR"] = str(git.of_version(what.project, project, Path(profiles)))
    install(what.project, project)
    command = [sys.executable, "-m", "slipway.cli.main", "run", "--output", "json"]
    command += ["--target", what.environment.name]
    command += [part for selector in what.select for part in ("--select", selector)]
    command += [part for selector in what.exclude for part in ("--exclude", selector)]
    if what.window:
        start, end = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" for moment in what.window)
        command += ["--event-time-start", start, "--event-time-end", end]
    if what.vars:
        command += ["--vars", json.dumps(what.vars, default=str)]
    with (folder / _PRINTED).open("wb") as out, (folder / _LOG).open("wb") as err:
        return subprocess.Popen(command, cwd=project, env=variables, stdout=out, stderr=err)


def _manifest(side: str, folder: Path) -> RunManifest | None:
    try:
        printed = json.loads((folder / _PRINTED).read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        errors = (folder / _LOG).read_text(encoding="utf-8").strip().splitlines() or ["no message"]
        if NOTHING_SELECTED in errors[-1]:
            return None
        raise SlipwayError(
            f"{side} does not build",
            errors[-1].removeprefix("slipway: "),
            "Run it on its own with slipway run",
        ) from None
    printed.pop("folder", None)
    try:
        manifest = RunManifest.model_validate(printed)
    except ValidationError as error:
        first = error.errors()[0]
        why = f"its run manifest has another form ({'.'.join(map(str, first['loc']))}: {first['msg']})"
        raise SlipwayError(f"{side} cannot be compared", why, "Name a later version") from None
    if manifest.outcome is not Outcome.PUBLISHED:
        raise SlipwayError(f"{side} does not build", _reason(manifest), "Run it on its own with slipway run")
    return manifest


def _reason(manifest: RunManifest) -> str:
    """Why a run failed, with the first message of a node or a test that did."""
    messages = [node.message for node in manifest.nodes if node.status is Status.ERROR]
    messages += [
        test.explanation for test in manifest.tests.results if test.status in (Status.FAIL, Status.ERROR)
    ]
    if not messages:
        return manifest.reason
    return f"{manifest.reason}: {said(messages[0])[:300]}"
