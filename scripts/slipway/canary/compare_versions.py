"""A canary: two versions of the code built on the same pinned inputs, and compared; and its verdict as a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.canary.builds import Build, build
from slipway.code import git
from slipway.code.versions import code_of, who
from slipway.comparison.compare import BuiltTable, compare_builds, scratch_manifest
from slipway.comparison.consequences import other_code
from slipway.comparison.failing_tests import compare_tests
from slipway.comparison.masking import MASKED, has_masked
from slipway.comparison.report import ComparisonReport, make_report, why_failed
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError, SlipwayError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.processes import temporary
from slipway.records.code_comparisons import keep_comparison
from slipway.records.promotion_records import CodeComparison
from slipway.records.run_manifest import Change, RunManifest, new_run_id
from slipway.records.store import Records
from slipway.releases.published import visible_tables
from slipway.runs.replayable import is_history


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
        SlipwayError: the tables of a version cannot be built; its own message is passed on.
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
            comparisons,
            title="Canary",
            base=commit[:12],
            head=name,
            context=context,
            remarks=remarks,
            tests=compare_tests(*(manifest.tests if manifest else None for manifest in (then, now))),
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
        why_failed=why_failed(report),
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
