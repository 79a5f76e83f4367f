"""What a change touches, built in a throw-away environment, tested, and compared with the release that it was cut from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from slipway.ci.base_release import base_release
from slipway.comparison.compare import BuiltTable, compare_builds, scratch_manifest
from slipway.comparison.consequences import definitions_of, other_code
from slipway.comparison.report import ComparisonReport, make_report
from slipway.dbt.command import target_path
from slipway.dbt.invocation import parse
from slipway.dbt.stale import Changed, changed
from slipway.dbt.start import NothingSelectedError, RunOptions, run
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError
from slipway.processes import temporary
from slipway.records.release_records import Release
from slipway.records.run_manifest import Change, Outcome, RunManifest
from slipway.records.store import Records
from slipway.releases.lookup import is_table, newest_runs_of_nodes, tables_of
from slipway.runs.progress import Note, Progress

_VIEWS = "config.materialized:view"  # of published views there is nothing to read


@dataclass(frozen=True)
class CiResult:
    """What came of a change.

    Args:
        run: the run of the changed nodes, None when nothing is touched.
        report: the comparison with the release; None when there was nothing to compare. Tables of models that are gone
            are compared, too.
        against: the release that the change was compared with.
        remarks: sentences about how that release was found.
        stale: published tables with rows that other code made and that a run would not make again, and what the release needs.
        kept: such tables whose rows are declared to stay, with the reason.
    """

    run: RunManifest | None
    report: ComparisonReport | None
    against: Release
    remarks: tuple[str, ...] = ()
    stale: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything built and passed, and every difference is declared."""
        # unchanged: only a test differs
        built = self.run is None or self.run.outcome.is_current
        return built and not self.why_nothing_was_checked and (self.report is None or self.report.passed)

    @property
    def why_nothing_was_checked(self) -> str:
        """Why a run of changed nodes says nothing about them; empty where something was compared or tested."""
        if self.run is None or self.report is not None or self.run.tests.executed:
            return ""
        if not self.run.outcome.is_current:  # its own reason is why
            return ""
        inputs = [node.table or node.unique_id for node in self.run.nodes if node.change is Change.PINNED]
        if not inputs:
            return ""
        return f"nothing was compared: {', '.join(inputs)} is an input, which is taken as published; add a test of it"


def ci(
    project: Path,
    target: str | None,
    show: Callable[[Progress], None],
    *,
    base: str | None = None,
    samples: bool = False,
) -> CiResult:
    """Build what a run would, and ``state:modified+``, in a throw-away environment, deferring to the tables of a release.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        show: gets what happens.
        base: as for ``base_release``.
        samples: give examples of rows that differ; a comment in a code review is kept by others than who may see the rows.

    Raises:
        NotFoundError: the environment has no release, or what it showed is gone.
    """
    environment = Profile(project).environment(target)
    records = Records(environment)
    found = base_release(project, environment, records, base)
    against, pins = found.release, found.pins
    described, place = _released_code(records, found.releases), _Place(project, environment, records, samples)
    with temporary("ci", environment.home) as folder:
        state = folder / "state"
        state.mkdir()
        (state / "manifest.json").write_text(json.dumps(described), encoding="utf-8")
        show(Note(f"comparing with release {against.number} of {environment.name} (run {against.run_id})"))
        for remark in found.remarks:
            show(Note(remark))
        manifest = parse(project, environment.name)
        differing = changed(manifest, environment, pins, Profile(project).vars) if manifest else Changed()
        touched = ["state:modified", *differing.selectors]
        said = partial(
            CiResult, against=against, remarks=found.remarks, stale=differing.stale, kept=differing.kept
        )
        try:
            done = run(
                RunOptions(
                    project=project,
                    target=environment.name,
                    select=[*(f"{one}+" for one in touched), *(f"@{one},{_VIEWS}" for one in touched)],
                    scratch=folder / "scratch",
                    pins=pins,
                    state=state,
                    command=["slipway", "ci"],
                ),
                show,
            )
        except NothingSelectedError:
            head = (target_path(project) / "manifest.json").read_bytes()  # as dbt parsed it just now
            report = _compare(None, against, described, head, place)
            return said(None, report)
        head = scratch_manifest(folder / "scratch", done.manifest.run_id)
        report = _compare(done.manifest, against, described, head, place)
        return said(done.manifest, report)


def _released_code(records: Records, releases: Sequence[Release]) -> dict[str, Any]:
    """dbt's manifest of the last release, each node in it as the last release built or looked at it.

    A release of a part says nothing of the code of the other tables. What no release ever looked at is left out, so that it
    counts as new.

    Raises:
        NotFoundError: the run of the last release has no manifest of dbt.
    """
    against = releases[-1]
    described = records.dbt_manifest(against.run_id)
    if described is None:
        raise NotFoundError(
            f"Run {against.run_id} has no manifest of dbt",
            "slim CI compares with it",
            "Make one with slipway run --force",
        )
    nodes = described["nodes"]
    remaining = tables_of(nodes)
    for run_id, found in newest_runs_of_nodes(records, releases, remaining.copy()):
        older = records.dbt_manifest(run_id) if run_id != against.run_id else None
        nodes |= {unique_id: older["nodes"][unique_id] for unique_id in found} if older else {}
        remaining -= found
    for unique_id in remaining:
        del nodes[unique_id]
    return described


def _names(described: Mapping[str, Any]) -> set[str]:
    return {f"{node['schema']}.{node['alias']}" for node in described["nodes"].values() if is_table(node)}


@dataclass(frozen=True)
class _Place:
    project: Path
    environment: Environment
    records: Records
    samples: bool


def _compare(
    manifest: RunManifest | None,
    against: Release,
    described: Mapping[str, Any],
    dbt_manifest: bytes,
    place: _Place,
) -> ComparisonReport | None:
    """What was built, compared with what is published, and what is published of models that are gone."""
    head = BuiltTable.all_of(manifest if manifest and manifest.outcome is Outcome.PUBLISHED else None)
    compared = {*head, *(_names(described) - _names(json.loads(dbt_manifest)))}
    base = {
        name: BuiltTable(table.metadata_location)
        for name, table in against.tables.items()
        if name in compared
    }
    if not head and not base:
        return None
    here = {node.table: node.definition_key for node in (manifest.nodes if manifest else ()) if node.table}
    edited = other_code(
        definitions_of(place.records, against, base.keys()), {name: here.get(name) for name in head}
    )
    comparisons = compare_builds(
        base, head, dbt_manifest, place.environment, place.project, edited=edited, samples=place.samples
    )
    return make_report(
        comparisons,
        title=f"Difference from release {against.number}",
        base=f"release {against.number}",
        head="this change",
    )
