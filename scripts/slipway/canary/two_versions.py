"""Canary: two versions of the code on the same pinned inputs, each in a scratch environment, compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.canary.builds import Build, build
from slipway.code import git
from slipway.code.versions import code_of
from slipway.comparison.compare import BuiltTable, compare_builds, scratch_manifest
from slipway.comparison.report import ComparisonReport, make_report
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.processes import temporary
from slipway.records.run_manifest import Change, RunManifest
from slipway.records.store import Records
from slipway.releases.published import visible_tables
from slipway.runs.replayable import is_history

_INPUT_LAYERS = ("raw",)


def canary(
    project: Path,
    target: str | None,
    base: str | None,
    variables: dict[str, Any],
    select: Sequence[str],
    tell: Callable[[str], None],
    *,
    keep: bool,
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
    folder = temporary("canary", keep=keep)
    try:
        pin_file = folder / "pins.json"
        pin_file.write_text(json.dumps(pins), encoding="utf-8")
        what = Build(project, environment, folder, variables, select)
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
            datetime.now(UTC).date(),
        )
        context = {"slice": json.dumps(variables.get("slice") or "the whole input", default=str)}
        context |= {"inputs": ", ".join(f"{name} at {_snapshot(built, name)}" for name in sorted(pins))}
        context |= _not_rebuilt(then, now) if then and now else {}
        code = code_of(project)
        name = f"{(code.commit or 'no commit')[:12]}{' with uncommitted changes' if code.dirty else ''}"
        report = make_report(comparisons, title="Canary", base=commit[:12], head=name, context=context)
        return report, folder if keep else None
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _pins(environment: Environment) -> dict[str, str]:
    records = Records(environment)
    shown = {
        str(identifier): location
        for identifier, location in visible_tables(Tables(environment), records).locations.items()
    }
    found = {
        name: location for name, location in shown.items() if TableName.parse(name).layer in _INPUT_LAYERS
    }
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


def _snapshot(manifest: RunManifest, table: str) -> str:
    found = [item.snapshot_id for item in manifest.inputs if item.table.endswith(f".{table}")]
    return f"snapshot {found[0]}" if found else "no snapshot"


def _not_rebuilt(base: RunManifest, head: RunManifest) -> dict[str, str]:
    """Inputs are taken as they are published, also those whose own code the change touches: that is said."""
    before = {node.unique_id: node.definition_key for node in base.nodes if node.change is Change.PINNED}
    touched = sorted(
        node.table or node.unique_id
        for node in head.nodes
        if node.change is Change.PINNED and before.get(node.unique_id) != node.definition_key
    )
    return {"not rebuilt": f"{', '.join(touched)}: pinned, although its code differs"} if touched else {}
