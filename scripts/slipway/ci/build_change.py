"""What a change touches, built in a throw-away environment as a run would build it, tested, and compared with a release.

The environment begins as the release is: with clones of its tables, of which no data is copied. So incremental models add to what is there, and what is
the same stays the same, as in a run. Incremental models whose code changed are then built from everything as well, on top of that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from slipway.ci.base_release import BaseRelease, base_release
from slipway.ci.released_code import released_code
from slipway.ci.result import CiResult, Rebuild, described
from slipway.code.git import files_at
from slipway.code.versions import code_of
from slipway.comparison.compare import BuiltTable, compare_builds, scratch_manifest
from slipway.comparison.consequences import definitions_of, parents_of
from slipway.comparison.report import ComparisonReport, make_report
from slipway.comparison.results import Method, TableComparison, Verdict
from slipway.contracts.contract_changes import ContractDiff, compare_all
from slipway.contracts.contract_files import (
    FOLDER,
    documents,
    files_in,
    look_at,
    look_at_contents,
    without_repeated_ids,
)
from slipway.counts import plural
from slipway.dbt.command import target_path
from slipway.dbt.configuration import ON_CODE_CHANGE
from slipway.dbt.invocation import parse
from slipway.dbt.nodes import DbtNode, table_of
from slipway.dbt.stale import Changed, changed
from slipway.dbt.start import NothingSelectedError, RunOptions, run
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import DamagedError, NotFoundError, SlipwayError, UnavailableError
from slipway.iceberg.clones import clone_all
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.processes import remove_left_over, temporary
from slipway.records.node_results import Change, Node
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.records.store import Records
from slipway.releases.lookup import is_table
from slipway.releases.rollback_rules import affected
from slipway.runs.pinned_tables import INPUT_LAYERS
from slipway.runs.progress import Note, Progress

_VIEWS = "config.materialized:view"  # of published views there is nothing to read


def ci(
    project: Path,
    target: str | None,
    show: Callable[[Progress], None],
    *,
    base: str | None = None,
    full: bool = False,
    samples: bool = False,
) -> CiResult:
    """Build what a run would, and ``state:modified+``, in a throw-away environment, deferring to the tables of a release.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        show: gets what happens.
        base: as for ``base_release``.
        full: build everything, whatever a release has recorded of its code; from the landed files where no release can be read.
        samples: give examples of rows that differ; a comment in a code review is kept by others than who may see the rows.

    Raises:
        NotFoundError: the environment has no release, or what it showed is gone.
        DamagedError: a record of it is damaged, of a newer version, or of another project.
        UnavailableError: the environment cannot be read.
    """
    profile = Profile(project)
    environment = profile.environment(target).read_only()
    remove_left_over("ci", environment.home)  # of a machine that was switched off
    with temporary("ci", environment.home, guarded=True) as folder:
        at = _Place(project, environment, folder, show, samples=samples)
        if full:
            return _everything(at, base)
        with _offering_a_full_build():
            found = base_release(project, environment, at.records, base)
            described = released_code(at.records, found.releases, profile.project_name)
            change = _Change(at, found, described)
            differing = change.begin()
        return change.with_readers(change.result(differing))


def _everything(at: _Place, base: str | None) -> CiResult:
    """Build everything, and compare it with a release as far as there is one."""
    try:
        found = base_release(at.project, at.environment, at.records, base)
    except SlipwayError as error:
        why = f"Built from the landed files and compared with nothing, because no release can be read: {error.line()}"
        at.show(Note(why))
        done = run(RunOptions(**at.options(), isolated=True), at.show).manifest
        return CiResult(done, None, None, (why,))
    try:
        described = released_code(at.records, found.releases, Profile(at.project).project_name)
    except SlipwayError as error:
        described = None
        found = replace(found, remarks=(*found.remarks, f"Everything was built: {error.line()}"))
    change = _Change(at, found, described)
    return change.with_readers(change.everything())


@contextmanager
def _offering_a_full_build() -> Iterator[None]:
    """Say of a state that cannot be used how to do without it."""
    try:
        yield
    except (NotFoundError, DamagedError, UnavailableError) as error:
        if "--full" not in error.fix:
            error.fix = f"{error.fix.rstrip('.')}, or build everything with slipway ci --full".removeprefix(
                ", "
            )
        raise


@dataclass(frozen=True)
class _Place:
    """Where a change is, and where it is built.

    Args:
        project: folder of dbt_project.yml.
        environment: the target, which is only read.
        folder: the temporary one.
        show: gets what happens.
        samples: give examples of rows that differ.
    """

    project: Path
    environment: Environment
    folder: Path
    show: Callable[[Progress], None]
    samples: bool

    @cached_property
    def records(self) -> Records:
        """Those of the target."""
        return Records(self.environment)

    @property
    def scratch(self) -> Path:
        """The folder of the throw-away environment."""
        return self.folder / "scratch"

    def options(self) -> dict[str, Any]:
        """What all runs have in common."""
        return {
            "project": self.project,
            "target": self.environment.name,
            "scratch": self.scratch,
            "command": ["slipway", "ci"],
        }


class _Change:
    """A change while it is built.

    Args:
        at: where.
        base: the release that it is compared with.
        described: dbt's manifest of that release; None where there is none that can be used.
    """

    def __init__(self, at: _Place, base: BaseRelease, described: Mapping[str, Any] | None) -> None:
        self._at, self._base, self._described = at, base, described
        self._project, self._environment, self._show = at.project, at.environment, at.show
        self._scratch, self._state = at.scratch, at.folder / "state"
        release = base.release
        self._show(
            Note(
                f"comparing with release {release.number} of {self._environment.name} (run {release.run_id})"
            )
        )
        for remark in base.remarks:
            self._show(Note(remark))

    def everything(self) -> CiResult:
        """Build all of it from the inputs of the release, and compare."""
        done = self._run([])
        head = scratch_manifest(self._scratch, done.run_id)
        built = BuiltTable.all_of(done if done.is_built else None)
        return CiResult(done, self._compare(built, done, head), self._base.release, self._base.remarks)

    def result(self, differing: Changed) -> CiResult:
        """Build what differs and what is downstream of it, and compare."""
        against = self._base.release
        touched = ["state:modified", *differing.selectors]
        try:
            done = self._run([*(f"{one}+" for one in touched), *(f"@{one},{_VIEWS}" for one in touched)])
        except NothingSelectedError:
            head = (target_path(self._project) / "manifest.json").read_bytes()  # as dbt parsed it just now
            report = self._compare({}, None, head)
            return CiResult(
                None, report, against, self._base.remarks, stale=differing.stale, kept=differing.kept
            )
        head = scratch_manifest(self._scratch, done.run_id)
        built = BuiltTable.all_of(done if done.is_built else None)
        report = self._compare(built, done, head)
        # a full refresh is for a release, and there is none while a test fails
        judged = _Judged({})
        if done.outcome is Outcome.PUBLISHED:
            judged = self._judge(differing, done, built, _behind(json.loads(head), done, report))
        stale = {
            name: why
            for name, why in {**differing.stale, **judged.stale}.items()
            if name not in judged.remade
        }
        return CiResult(
            done,
            report,
            against,
            self._base.remarks,
            judged.rebuild,
            stale,
            differing.kept,
            judged.remade,
        )

    def with_readers(self, result: CiResult) -> CiResult:
        """The same with who reads what differs, and what changes in contracts."""
        path = target_path(self._project) / "manifest.json"
        described = json.loads(path.read_bytes()) if path.is_file() else {"nodes": {}}
        reports = [result.report, result.rebuild.report if result.rebuild else None]
        differing = {
            one.name
            for report in reports
            for one in (report.tables if report else ())
            if one.verdict not in (Verdict.IDENTICAL, Verdict.NO_EVIDENCE)
        }
        commit = self._base.commit
        return replace(
            result,
            parents=parents_of(described),
            exposures=affected(described, differing),
            contracts=_changed_contracts(self._project, commit) if commit else (),
            base_commit=commit,
            former_tests=self._tests(),
        )

    def begin(self) -> Changed:
        """Enter clones of what is published into the throw-away environment, and find what differs from it.

        Raises:
            DamagedTableError: a table of the release cannot be read.
        """
        self._state.mkdir()
        (self._state / "manifest.json").write_text(json.dumps(self._described), encoding="utf-8")
        manifest = parse(self._project, self._environment.name)
        if manifest is None:  # dbt says why when it is asked to build
            return Changed()
        pins, tables = self._base.pins, Tables(self._environment)
        differing = changed(manifest, tables, pins, Profile(self._project).vars)
        scratch = Tables(self._environment.scratch(self._scratch))
        names = {name for name in map(_cloned, manifest.nodes.values()) if name and str(name) in pins}
        clone_all(scratch, {name: tables.load(name, pins[str(name)]) for name in sorted(names)})
        return differing

    def _run(self, select: Sequence[str], *, full_refresh: bool = False) -> RunManifest:
        options = RunOptions(
            **self._at.options(),
            select=select,
            full_refresh=full_refresh,
            pins=self._base.pins,
            state=self._state if self._state.exists() else None,
            despite_tests=True,
        )
        return run(options, self._show).manifest

    def _judge(
        self,
        differing: Changed,
        done: RunManifest,
        built: Mapping[str, BuiltTable],
        behind: Mapping[str, str],
    ) -> _Judged:
        """Build incremental models from everything whose code changed, or that read what differs, unless a run does so itself.

        Args:
            differing: what differs from what is published.
            done: what a run does.
            built: its tables.
            behind: incremental tables whose code is the same and that read a table which differs, to the selectors of their models.
        """
        nodes = {node.table: node for node in done.nodes if node.table in built}
        recoded = {name: selector for name, selector in differing.rebuilds.items() if name in nodes}
        remade = {name: _REMADE for name in recoded if not nodes[name].stale}
        wanted = {name: selector for name, selector in recoded.items() if name not in remade}
        more = {
            name: selector
            for name, selector in behind.items()
            if name in built and name not in {*recoded, *differing.stale, *differing.kept}
        }
        if not wanted and not more:
            return _Judged(remade)
        for why, names in (("their code changed", wanted), ("what they read differs", more)):
            if names:
                self._show(Note(f"building from everything, because {why}: {', '.join(sorted(names))}"))
        wanted |= more
        rebuilt = self._run([f"{selector}+" for selector in wanted.values()], full_refresh=True)
        if rebuilt.outcome is not Outcome.PUBLISHED:
            return _Judged(remade, Rebuild(rebuilt, None))
        head = scratch_manifest(self._scratch, rebuilt.run_id)
        after = BuiltTable.all_of(rebuilt)
        before, now = ({name: tables[name] for name in wanted} for tables in (built, after))
        left = compare_builds(before, now, head, self._environment, self._project, samples=False)
        otherwise = {
            str(node.table)
            for node in rebuilt.nodes
            if node.table in after and not _is_same(node, nodes.get(node.table))
        }
        tables = {name: table for name, table in after.items() if name in otherwise}
        report = self._compare(tables, rebuilt, head, of_gone=False) if tables else None
        stale = {
            one.name: f"{_left(one)}; {differing.stale[one.name]}" for one in left if one.name not in more
        }
        stale |= {
            one.name: f"{_left(one)}, because what it reads differs in rows that a run does not read again; rebuild it with"
            f" slipway run --target {self._environment.name} --full-refresh --select {more[one.name]}+"
            for one in left
            if one.name in more and one.verdict is not Verdict.IDENTICAL
        }
        return _Judged(remade, Rebuild(rebuilt, report), stale)

    def _compare(
        self,
        head: Mapping[str, BuiltTable],
        run: RunManifest | None,
        dbt_manifest: bytes,
        *,
        of_gone: bool = True,
    ) -> ComparisonReport | None:
        """What was built, compared with the release, and what the release shows of models that are gone."""
        against = self._base.release
        gone = self._names() - _names(json.loads(dbt_manifest)) if of_gone else set()
        base = {
            name: BuiltTable(table.metadata_location)
            for name, table in against.tables.items()
            if name in head or name in gone
        }
        if not head and not base:
            return None
        here = {node.table: node.definition_key for node in (run.nodes if run else ()) if node.table}
        definitions = definitions_of(self._at.records, against, base.keys())
        comparisons = compare_builds(
            base,
            head,
            dbt_manifest,
            self._environment,
            self._project,
            definitions=(definitions, {name: here.get(name) for name in head}),
            inputs={name: table.metadata_location for name, table in against.tables.items()},
            samples=self._at.samples,
        )
        return make_report(
            comparisons,
            title=f"Difference from release {against.number}",
            base=f"release {against.number}",
            head="this change",
            context=self._context(),
            remarks=[" ".join(described(run))] if run else (),
        )

    def _context(self) -> dict[str, str]:
        """Which code is compared with which."""
        code = code_of(self._project)
        changed = " with uncommitted changes" if code.dirty else ""
        head = {"commit": f"{code.commit[:12]}{changed}"} if code.commit else {}
        cut = {"cut from": self._base.commit[:12]} if self._base.commit else {}
        return {"environment": self._environment.name, **head, **cut}

    def _tests(self) -> set[str] | None:
        """Tests of the code of the release."""
        if self._described is None:
            return None
        nodes = self._described.get("nodes") or {}
        tests = {name for name, node in nodes.items() if node["resource_type"] == "test"}
        return tests | {*(self._described.get("unit_tests") or {})}

    def _names(self) -> set[str]:
        """Tables that the code of the release makes; without dbt's manifest, those that its runs made."""
        if self._described is not None:
            return _names(self._described)
        return {name for name, table in self._base.release.tables.items() if table.run_id}


_DIFFERING = (Verdict.DIFFERENT, Verdict.EXPLAINED)
_REMADE = "a run makes all of its rows by the new code, so that no full refresh is needed"


def _behind(
    dbt_manifest: Mapping[str, Any], done: RunManifest, report: ComparisonReport | None
) -> dict[str, str]:
    """Incremental tables that read a table which differs, and of which a run did not write all rows anew, to the names of their models.

    Which rows a run of such a model reads again is decided by its query, so only a full rebuild tells whether the others are right. Those that are never rebuilt, and
    those whose rows are declared to stay, are left out.
    """
    differs = {one.name for one in (report.tables if report else ()) if one.verdict in _DIFFERING}
    parents, nodes = parents_of(dbt_manifest), {node.table: node for node in done.nodes}
    found = {}
    for model in dbt_manifest["nodes"].values():
        config = model.get("config") or {}
        name = f"{model['schema']}.{model.get('alias')}"
        if (
            config.get("materialized") == "incremental"
            and config.get("full_refresh") is not False
            and not config.get(ON_CODE_CHANGE)
            and differs.intersection(parents.get(name, ()))
            and (node := nodes.get(name))
            and not _is_made_anew(node)
        ):
            found[name] = model["name"]
    return found


def _is_made_anew(node: Node) -> bool:
    """Whether a run wrote all rows of a table, so that none of before is left."""
    return node.change is Change.BUILT and (not node.rows_before or node.rows_removed == node.rows_before)


@dataclass(frozen=True)
class _Judged:
    """What was found out about incremental models whose code changed: the fields are those of ``CiResult``."""

    remade: Mapping[str, str]
    rebuild: Rebuild | None = None
    stale: Mapping[str, str] = field(default_factory=dict)


def _cloned(node: DbtNode) -> TableName | None:
    """The table of a node that begins as it is in the release; inputs and the histories of snapshots are read there."""
    if node.resource_type not in ("model", "seed"):
        return None
    name = table_of(node)
    return None if name[0] in INPUT_LAYERS else name


def _is_same(node: Node, before: Node | None) -> bool:
    """Whether a full refresh left the content that a run had left."""
    return before is not None and node.candidate_snapshot == before.candidate_snapshot


def _left(found: TableComparison) -> str:
    """What a run leaves otherwise than a full rebuild."""
    if found.verdict is Verdict.IDENTICAL:
        return "a run and a full rebuild leave the same rows"
    if found.coverage.method is Method.NONE:
        return "what a run leaves cannot be compared with a full rebuild"
    rows = found.rows
    parts = [
        f"{plural(number, 'row')} {what}"
        for number, what in (
            (rows.changed + rows.within_tolerance, "with other values"),
            (rows.added, "more"),
            (rows.removed, "less"),
        )
        if number
    ]
    return f"a full rebuild leaves {', '.join(parts) or 'other columns'} than a run"


def _names(described: Mapping[str, Any]) -> set[str]:
    return {f"{node['schema']}.{node['alias']}" for node in described["nodes"].values() if is_table(node)}


def _changed_contracts(project: Path, commit: str) -> Sequence[ContractDiff]:
    """Contracts that differ from those of a commit; those that are no YAML are reported by ``slipway contracts lint``."""
    place = project / FOLDER
    earlier = look_at_contents(files_at(project, commit, place))
    later = without_repeated_ids(look_at(path) for path in files_in(place))
    return compare_all(documents(earlier), documents(later), datetime.now(UTC).date())
