"""Canary: two versions of the code on the same pinned inputs, each in a scratch environment, compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.domain.environment import Environment
from slipway.domain.errors import NotFoundError, SlipwayError
from slipway.domain.manifest import RunManifest
from slipway.domain.run import Outcome
from slipway.services.compare import BuiltTable, compare_builds

if TYPE_CHECKING:
    from slipway.domain.comparison.report import ComparisonReport

_INPUT_LAYERS = ("raw",)


@dataclass(frozen=True)
class CanaryOptions:
    """What to compare.

    Args:
        project: folder of dbt_project.yml, the head version.
        target: whose published inputs are read.
        base: git ref of the other version, None for the default.
        vars: dbt variables for both, with the slice.
        select: dbt selectors for both.
        keep: leave the scratch environments behind.
    """

    project: Path
    target: str | None = None
    base: str | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    select: Sequence[str] = ()
    keep: bool = False


@dataclass(frozen=True)
class Canary:
    """The comparison, and the folder that was kept, if it was."""

    report: ComparisonReport
    kept: Path | None


def canary(options: CanaryOptions, tell: Callable[[str], None]) -> Canary:
    """Build both versions and compare every table.

    Raises:
        NotFoundError: nothing is published to build from, or there is no such base.
        SlipwayError: a version does not build; its own message is passed on.
    """
    from slipway.adapters import git
    from slipway.adapters.profile import Profile
    from slipway.domain.comparison.report import make_report

    environment = Profile(options.project).environment(options.target)
    pins = _pins(environment)
    commit = git.resolve(options.project, options.base) if options.base else git.default_base(options.project)
    folder = Path(tempfile.mkdtemp(prefix="slipway-canary-"))
    try:
        pin_file = folder / "pins.json"
        pin_file.write_text(json.dumps(pins), encoding="utf-8")
        with (
            git.worktree(options.project, commit, folder / "code") as base_project,
            ThreadPoolExecutor(2) as pool,
        ):
            tell(f"building base {commit[:12]} and head on the same {len(pins)} pinned inputs")
            sides = {"base": base_project, "head": options.project}
            building = {
                side: pool.submit(_build, side, project, folder, environment, options)
                for side, project in sides.items()
            }
            manifests = {side: future.result() for side, future in building.items()}
        head = manifests["head"]
        records = folder / "head" / "warehouse" / "_slipway" / "runs"
        dbt_manifest = next(records.glob(f"*/{head.run_id}/dbt/manifest.json")).read_bytes()
        comparisons = compare_builds(
            _tables(manifests["base"]),
            _tables(head),
            dbt_manifest,
            environment.catalog_properties,
            datetime.now(UTC).date(),
        )
        context = {"slice": json.dumps(options.vars.get("slice") or "the whole input", default=str)}
        context |= {"inputs": ", ".join(f"{name} at {_snapshot(head, name)}" for name in sorted(pins))}
        report = make_report(
            comparisons, title="Canary", base=commit[:12], head=_head_name(options.project), context=context
        )
        return Canary(report, folder if options.keep else None)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _pins(environment: Environment) -> dict[str, str]:
    from slipway.adapters.iceberg.tables import Tables

    found = {
        ".".join(identifier): location
        for identifier, location in Tables(environment).locations().items()
        if identifier[0] in _INPUT_LAYERS
    }
    if not found:
        raise NotFoundError(
            f"no input is published in {environment.name}",
            "a canary builds from published raw tables",
            "slipway run",
        )
    return found


def _build(
    side: str, project: Path, folder: Path, environment: Environment, options: CanaryOptions
) -> RunManifest:
    """Run ``slipway run`` of that version in a process of its own, with its own code on the path."""
    variables = {
        **os.environ,
        "PYTHONPATH": str(project / "scripts"),
        "SLIPWAY_HOME": str(environment.home),
        "SLIPWAY_LANDING": environment.landing,
        "SLIPWAY_SCRATCH": str(folder / side),
        "SLIPWAY_PINS": str(folder / "pins.json"),
        "DBT_TARGET_PATH": str(folder / side / "target"),
        "DBT_LOG_PATH": str(folder / side / "logs"),
    }
    variables.pop("DBT_PROJECT_DIR", None)
    variables.pop("DBT_PROFILES_DIR", None)
    command = [
        sys.executable,
        "-m",
        "slipway.cli.main",
        "run",
        "--output",
        "json",
        "--target",
        environment.name,
    ]
    command += [part for selector in options.select for part in ("--select", selector)]
    if options.vars:
        command += ["--vars", json.dumps(options.vars, default=str)]
    done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False)
    try:
        manifest = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("slipway: ")
        raise SlipwayError(f"{side} does not build", last, "run it alone with slipway run") from None
    manifest.pop("folder", None)
    run = RunManifest.model_validate(manifest)
    if run.outcome is not Outcome.PUBLISHED:
        raise SlipwayError(f"{side} does not build", run.reason, f"run it alone: {_alone(options)}")
    return run


def _tables(manifest: RunManifest) -> dict[str, BuiltTable]:
    return {
        node.table: BuiltTable.of(node)
        for node in manifest.nodes
        if node.table and node.metadata_location and node.change != "pinned"
    }


def _snapshot(manifest: RunManifest, table: str) -> str:
    found = [item.snapshot_id for item in manifest.inputs if item.table.endswith(f".{table}")]
    return f"snapshot {found[0]}" if found else "no snapshot"


def _head_name(project: Path) -> str:
    from slipway.adapters.code import code_of

    code = code_of(project)
    return f"{(code.commit or 'no commit')[:12]}{' with uncommitted changes' if code.dirty else ''}"


def _alone(options: CanaryOptions) -> str:
    return f"slipway run --vars '{json.dumps(options.vars, default=str)}'"
