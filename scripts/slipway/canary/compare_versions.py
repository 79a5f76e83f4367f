"""A canary: two versions of the code built on the same pinned inputs, and compared; and its verdict as a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.canary.builds import Build, build
from slipway.canary.compared_engines import WantedEngine
from slipway.canary.published_base import PUBLISHED, PublishedBase, published_base
from slipway.canary.samples import same_sample, sample_remarks, with_sample
from slipway.canary.shares import compared_rows, least_compared, with_whole_rows
from slipway.canary.side_environments import side_environments
from slipway.code import git
from slipway.code.lock_files import PackageDifference
from slipway.code.versions import code_of, who
from slipway.comparison.compare import BuiltTable, compare_builds, cost_of, scratch_manifest
from slipway.comparison.consequences import Definitions, other_code
from slipway.comparison.costs import ComparedCosts, Cost, slowdowns
from slipway.comparison.failing_tests import ComparedTests, compare_tests
from slipway.comparison.report import ComparisonReport, make_report, why_failed
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError, SlipwayError, UsageError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.processes import temporary
from slipway.records.code_comparisons import keep_comparison
from slipway.records.node_results import Change
from slipway.records.promotion_records import WHOLE_INPUT, CodeComparison
from slipway.records.run_ids import new_run_id
from slipway.records.run_manifest import RunManifest, Sample
from slipway.records.store import Records
from slipway.releases.published import visible_tables
from slipway.runs.replayable import is_history

_WHOLE = json.dumps(WHOLE_INPUT)


def canary(
    project: Path,
    target: str | None,
    base: str | PublishedBase | None,
    variables: dict[str, Any],
    select: Sequence[str],
    tell: Callable[[str], None],
    *,
    keep: bool,
    sample: str | None = None,
    show_classified: bool = False,
    max_slowdown: float | None = None,
    title: str = "Canary",
    engine: WantedEngine | None = None,
) -> tuple[ComparisonReport, Path | None]:
    """Build both versions and compare every table.

    Args:
        project: folder of dbt_project.yml, the head version.
        target: whose published inputs are read.
        base: git ref of the other version, ``published`` for what the target shows, None for the default. Or what the target showed.
        variables: dbt variables for both, with the slice.
        select: dbt selectors for both.
        tell: gets lines for the person who watches.
        keep: leave the scratch environments behind.
        sample: the share of the keys that both are built from, as ``5%``; None for all of them.
        show_classified: show values of columns that a contract classifies.
        max_slowdown: how many times the time of base head may take. Both are then built by one thread of dbt.
        title: of the report.
        engine: compare what this engine computes with what the configured ones do, by the code of the work tree; ``base`` is not looked at then.

    Returns:
        The comparison, and the folder that was kept, if it was.

    Raises:
        UsageError: a bound of time is asked for where base is not built.
        NotFoundError: nothing is published to build from, there is no such base, or no git repository.
        SlipwayError: the tables of a version cannot be built; its own message is passed on. Or what is published was not built
            from the same.
    """
    profile = Profile(project)
    environment = profile.environment(target)
    variables = with_sample(variables, profile.vars, sample)
    with temporary("canary", environment.home, keep=keep) as folder:
        given = _Canary(
            project,
            environment,
            folder,
            variables,
            select,
            show_classified=show_classified,
            max_slowdown=max_slowdown,
            title=title,
        )
        if engine is not None:
            return given.with_engine(engine, tell), folder if keep else None
        if base == PUBLISHED:
            base = published_base(profile, target, variables)
        if isinstance(base, PublishedBase):
            if max_slowdown is not None:
                raise UsageError(
                    "--max-slowdown cannot be used with --base published",
                    "nothing but head is built, so there is no time to compare with",
                    "Name a commit with --base",
                )
            report = given.with_published(base, tell)
        else:
            report = given.with_commit(base, tell)
        return report, folder if keep else None


class _Canary:
    """What both kinds of base have in common; the arguments are those of ``canary``, with the folder to build in."""

    def __init__(
        self,
        project: Path,
        environment: Environment,
        folder: Path,
        variables: dict[str, Any],
        select: Sequence[str],
        *,
        show_classified: bool,
        max_slowdown: float | None,
        title: str,
    ) -> None:
        self._project, self._environment, self._folder = project, environment, folder
        self._variables, self._select, self._show_classified = variables, select, show_classified
        self._max_slowdown, self._title = max_slowdown, title

    def with_commit(self, base: str | None, tell: Callable[[str], None]) -> ComparisonReport:
        """Build base and head, and compare them."""
        project = self._project
        pins = _pins(self._environment)
        commit, where = (git.resolve(project, base), base) if base else git.default_base(project)
        tell(f"base is {commit[:12]}, {where}")
        with git.worktree(project, commit, self._folder / "code") as base_project:
            versions = {"base": base_project, "head": project}
            environments = side_environments(versions, self._environment.home, tell)
            tell(f"building base {commit[:12]} and head on the same {len(pins)} pinned inputs")
            manifests = build(replace(self._build(pins), interpreters=environments.interpreters), versions)
        environments.check(manifests)
        then, now = manifests.get("base"), manifests.get("head")
        # what is selected may be in only one of them
        built = ("head", now) if now else ("base", manifests["base"])
        sample = same_sample(then, now)
        remarks = list(sample_remarks(sample, built[1], self._environment)) if sample else []
        return self._report(
            BuiltTable.all_of(then),
            built,
            pins,
            definitions=(_definitions(then), _definitions(now)) if then and now else ({}, {}),
            label=commit[:12],
            remarks=[
                *remarks,
                *environments.remarks(),
                *(_not_rebuilt(then, now) if then and now else []),
                *self._not_judged(then, now),
            ],
            packages=environments.packages,
            tests=compare_tests(*(manifest.tests if manifest else None for manifest in (then, now))),
            sample=sample,
            costs=compare_costs(then, now, self._max_slowdown) if then and now else None,
        )

    def with_engine(self, wanted: WantedEngine, tell: Callable[[str], None]) -> ComparisonReport:
        """Build the work tree by the configured engines, and by the wanted one, and compare both."""
        pins = _pins(self._environment)
        engines = dict.fromkeys(wanted.models, wanted.engine)
        tell(
            f"building the work tree by the configured engines (base) and by {wanted.name} (head) on the same {len(pins)} pinned inputs"
        )
        what = replace(self._build(pins), engines={"head": engines})
        manifests = build(what, {"base": self._project, "head": self._project})
        then, now = manifests["base"], manifests["head"]
        other = wanted.computed(then, now)
        sample = same_sample(then, now)
        return self._report(
            BuiltTable.all_of(then),
            ("head", now),
            pins,
            definitions=(_definitions(then), _definitions(now)),
            label="configured engines",
            remarks=[
                *(sample_remarks(sample, now, self._environment) if sample else []),
                *wanted.remarks(then, now, other),
                *self._not_judged(then, now),
            ],
            tests=compare_tests(then.tests, now.tests),
            sample=sample,
            costs=compare_costs(then, now, self._max_slowdown),
            engine=wanted.engine,
        )

    def _not_judged(self, base: RunManifest | None, head: RunManifest | None) -> list[str]:
        """A sentence where no table is in both versions, so that the bound of time says nothing."""
        both = base and head and _costs_of_tables(base).keys() & _costs_of_tables(head).keys()
        if self._max_slowdown is None or both:
            return []
        return ["No table is in both versions, so --max-slowdown was not judged"]

    def with_published(self, base: PublishedBase, tell: Callable[[str], None]) -> ComparisonReport:
        """Build head, and compare it with what is published."""
        pins = _pins(self._environment, base.locations)
        if not self._select:
            base.check(base.modelled() - pins.keys())
        tell(f"base is {base.label}")
        tell(f"building head on the same {len(pins)} pinned inputs")
        head = build(self._build(pins), {"head": self._project})["head"]
        built = BuiltTable.all_of(head)
        tables = base.tables(built.keys(), pins.keys(), whole=not self._select)
        both = built.keys() & tables.keys()
        base.check(both)
        return self._report(
            tables,
            ("head", head),
            pins,
            definitions=(base.definitions(both), _definitions(head)),
            label=base.label,
            remarks=[*base.remarks(both), *_pinned_code(base, head)],
            tests=compare_tests(None, head.tests),
        )

    def _build(self, pins: Mapping[str, str]) -> Build:
        return Build(
            self._project,
            self._environment,
            self._folder,
            pins,
            self._variables,
            self._select,
            # what a node takes is known only if no other one runs meanwhile
            threads=None if self._max_slowdown is None else 1,
        )

    def _report(
        self,
        base: Mapping[str, BuiltTable],
        built: tuple[str, RunManifest],
        pins: Mapping[str, str],
        *,
        definitions: tuple[Definitions, Definitions],
        label: str,
        remarks: Sequence[str],
        tests: ComparedTests,
        packages: Sequence[PackageDifference] = (),
        sample: Sample | None = None,
        costs: ComparedCosts | None = None,
        engine: str = "",
    ) -> ComparisonReport:
        side, manifest = built
        comparisons = compare_builds(
            base,
            BuiltTable.all_of(manifest if side == "head" else None),
            scratch_manifest(self._folder / side, manifest.run_id),
            self._environment,
            self._project,
            definitions=definitions,
            inputs=pins,
            whole=bool(packages),
            show_classified=self._show_classified,
        )
        part = self._variables.get("slice")
        if part:
            comparisons = with_whole_rows(comparisons, self._environment)
            remarks = [*remarks, *least_compared(comparisons)]
        context = {"slice": json.dumps(part or WHOLE_INPUT, default=str)}
        context |= {"inputs": ", ".join(f"{name} at {_snapshot(manifest, name)}" for name in sorted(pins))}
        code = code_of(self._project)
        name = f"{(code.commit or 'no commit')[:12]}{' with uncommitted changes' if code.dirty else ''}"
        if engine:  # both sides are this code
            context["code"], name = name, f"engine {engine}"
        return make_report(
            comparisons,
            title=self._title,
            base=label,
            head=name,
            context=context,
            remarks=remarks,
            packages=packages,
            sample=sample,
            tests=tests,
            costs=costs,
        )


def compare_costs(base: RunManifest, head: RunManifest, max_slowdown: float | None) -> ComparedCosts:
    """What the runs cost that built both sides, judged by a bound if there is one."""
    then, now = (_costs_of_tables(manifest) for manifest in (base, head))
    both = {name: (then[name], now[name]) for name in then.keys() & now.keys()}
    return ComparedCosts(
        base=_cost_of_run(base),
        head=_cost_of_run(head),
        max_slowdown=max_slowdown,
        slowdowns=slowdowns(both, max_slowdown) if max_slowdown is not None else (),
    )


def _costs_of_tables(manifest: RunManifest) -> dict[str, Cost]:
    return {
        node.table: cost_of(node)
        for node in manifest.nodes
        if node.table and node.change is not Change.PINNED
    }


def _cost_of_run(manifest: RunManifest) -> Cost:
    nodes = [node for node in manifest.nodes if node.change is not Change.PINNED]
    read = [node.bytes_read for node in nodes if node.bytes_read is not None]
    return Cost(
        seconds=round((manifest.finished_at - manifest.started_at).total_seconds(), 3),
        cpu_seconds=manifest.cpu_seconds,
        bytes=sum(node.bytes_total or 0 for node in nodes),
        bytes_read=sum(read) if len(read) == len(nodes) else None,
        bytes_written=sum(node.bytes_written or 0 for node in nodes),
        peak_memory_bytes=manifest.peak_memory_bytes,
    )


def recordable(project: Path, target: str | None, base: str | None, select: Sequence[str]) -> str:
    """The commit whose verdict can be recorded, if it is going to be compared as a whole, and with another one.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        base: as for ``canary``.
        select: as for ``canary``.

    Raises:
        UsageError: a part of it is selected, or it is compared with itself, which would find nothing whatever it does.
        NotFoundError: there is no such base.
        SlipwayError: the work tree is no commit, so that nobody could find out what was compared.
    """
    if select:
        raise UsageError(
            "--record and --select do not go together",
            "a verdict is evidence of all that a commit builds",
            "Leave one of them out",
        )
    commit = _clean_commit(project)
    if base == PUBLISHED:
        last = Records(Profile(project).environment(target)).last_release()
        other = last.code.commit if last else None
    else:
        other = git.resolve(project, base) if base else None
    if other == commit:
        raise UsageError(
            f"The verdict of a canary that compares commit {commit[:12]} with itself is not recorded",
            f"--base {base} has the same code as the work tree",
            "Name what the commit is to take the place of, or leave --base out",
        )
    return commit


def _clean_commit(project: Path) -> str:
    """The commit that the work tree is."""
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
    if (now := _clean_commit(project)) != commit:
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
        covers=report.context.get("slice", WHOLE_INPUT),
        verdicts={table.name: table.verdict.words for table in report.tables},
        compared=compared_rows(report.tables, is_whole=report.context.get("slice", _WHOLE) == _WHOLE),
        why_failed=why_failed(report),
    )
    keep_comparison(records, comparison)


def _pins(environment: Environment, shown: Mapping[str, str] | None = None) -> dict[str, str]:
    """Published inputs of both sides, ``layer.table`` to metadata file; ``shown`` is what is published, if that is known already."""
    records = Records(environment)
    if shown is None:
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
    """Inputs are taken as they are published, also those whose own code the change touches: the report says so."""
    return _untouched(_pinned(base), _pinned(head))


def _pinned_code(base: PublishedBase, head: RunManifest) -> list[str]:
    """The same where base is what is published."""
    pinned = _pinned(head)
    return _untouched(base.definitions(pinned.keys()), pinned)


def _pinned(manifest: RunManifest) -> dict[str, str | None]:
    nodes = (node for node in manifest.nodes if node.change is Change.PINNED)
    return {node.table or node.unique_id: node.definition_key for node in nodes}


def _untouched(base: Mapping[str, str | None], head: Mapping[str, str | None]) -> list[str]:
    touched = sorted(other_code(base, head))
    return [f"Not rebuilt, although its code differs: {', '.join(touched)}, an input"] if touched else []
