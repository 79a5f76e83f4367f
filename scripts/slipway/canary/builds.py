"""Versions of the code, each built by its own ``slipway run`` in a scratch environment, on inputs that are given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slipway.code import git
from slipway.code.versions import install
from slipway.environments.environment import Environment
from slipway.errors import SlipwayError
from slipway.records.node_results import Status, said
from slipway.records.run_manifest import RunManifest
from slipway.runs.run_request import NOTHING_SELECTED
from slipway.settings import Settings

_POLL = 0.05  # seconds
_PINS, _PRINTED, _LOG = "pins.json", "run.json", "run.log"
_ENGINES = "engines.json"
_BUILT = (Status.SUCCESS, Status.NO_OP)
_GRACE = 10.0  # seconds that an interrupted build has to end by itself


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
        threads: of dbt, None for the profile's.
        interpreters: version to the interpreter that builds it; others are built by the running one.
        engines: version to the engines of models, by unique id, that it is built by in place of the configured ones.
    """

    project: Path
    environment: Environment
    folder: Path
    pins: Mapping[str, str]
    vars: Mapping[str, Any] = field(default_factory=dict)
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    window: tuple[datetime, datetime] | None = None
    threads: int | None = None
    interpreters: Mapping[str, Path] = field(default_factory=dict)
    engines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class NotBuiltError(SlipwayError):
    """A table of a version could not be built, whoever runs it."""


def build(what: Build, versions: Mapping[str, Path]) -> dict[str, RunManifest]:
    """Build versions at the same time; the first whose tables cannot be built ends the others.

    A failing test keeps nothing from being built: its result is in the manifest.

    Args:
        what: what to build.
        versions: name to the folder of that version's dbt_project.yml.

    Returns:
        Name to run manifest, without versions in which the selection names no node.

    Raises:
        NotBuiltError: a node of a version fails, with the reason it gave.
        SlipwayError: a version does not begin; or the selection names no node in any of them.
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
    engines = folder / _ENGINES
    engines.write_text(json.dumps(dict(what.engines.get(side, {}))), encoding="utf-8")
    given = Settings(
        home=str(what.environment.home),
        landing=what.environment.landing,
        # relative to the folder that was asked from, not to that version's
        warehouse=what.environment.warehouse if Settings.read().warehouse else None,
        scratch=str(folder),
        pins=str(what.folder / _PINS),
        engines=str(engines) if side in what.engines else None,
    )
    variables = {
        **os.environ,
        "PYTHONPATH": str(project / "scripts"),
        **given.variables(),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    variables.pop("DBT_PROJECT_DIR", None)
    if side in what.interpreters:
        variables.pop("PYTHONHOME", None)
    if profiles := variables.pop("DBT_PROFILES_DIR", None):
        variables["DBT_PROFILES_DIR"] = str(git.of_version(what.project, project, Path(profiles)))
    python = str(what.interpreters.get(side, sys.executable))
    install(what.project, project, python)
    command = [python, "-m", "slipway.cli.main", "run", "--output", "json"]
    command += ["--target", what.environment.name]
    command += [part for selector in what.select for part in ("--select", selector)]
    command += [part for selector in what.exclude for part in ("--exclude", selector)]
    if what.window:
        start, end = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" for moment in what.window)
        command += ["--event-time-start", start, "--event-time-end", end]
    if what.threads:
        command += ["--threads", str(what.threads)]
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
    if _has_empty_sample(manifest):
        raise SlipwayError(
            "Nothing was compared",
            f"in {side} no row is in {manifest.sample.words if manifest.sample else 'it'}",
            "Ask for a larger share, or for other dates or values",
        )
    if not manifest.is_built:
        raise NotBuiltError(f"{side} does not build", _reason(manifest), "Run it on its own with slipway run")
    return manifest


def _has_empty_sample(manifest: RunManifest) -> bool:
    """Whether a version was built from a sample that has no row, whatever its tests make of that."""
    sample = manifest.sample
    built = all(node.status in _BUILT for node in manifest.nodes)
    return built and sample is not None and not sample.rows and any(one.key for one in sample.inputs)


def _reason(manifest: RunManifest) -> str:
    """Why a run failed, with the first message of a node or a test that did."""
    messages = [node.message for node in manifest.nodes if node.status is Status.ERROR]
    messages += [
        test.explanation for test in manifest.tests.results if test.status in (Status.FAIL, Status.ERROR)
    ]
    if not messages:
        return manifest.reason
    return f"{manifest.reason}: {said(messages[0])[:300]}"
