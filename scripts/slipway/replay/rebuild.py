"""Replay: build a run again at its commit, from the inputs that it recorded, and compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from slipway import __version__
from slipway.canary.builds import Build, build
from slipway.code import git
from slipway.code.versions import versions_of
from slipway.comparison.compare import BuiltTable, compare_builds, scratch_manifest
from slipway.comparison.results import TableComparison
from slipway.counts import plural
from slipway.engines.duckdb import engine
from slipway.engines.duckdb.digest import digest_of
from slipway.engines.duckdb.scan import scanning, whole_scan
from slipway.environments.environment import Environment
from slipway.errors import ConfigError, DamagedTableError, NotFoundError, SlipwayError, UnavailableError
from slipway.iceberg.earlier_states import missing_file
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.processes import temporary
from slipway.records.node_results import Node
from slipway.records.run_manifest import RunManifest, Versions
from slipway.records.store import check_seal
from slipway.releases.lookup import environment_of, find_run
from slipway.replay.replay_verdict import (
    ReplayedTable,
    ReplayReport,
    ReplayVerdict,
    judge_replay,
    same_digest,
)
from slipway.runs.replayable import inputs_of, kept_by, made_by, selection_of, why_not_replayable

_SIDE = "replay"
_TESTS = ("resource_type:test", "resource_type:unit_test")  # rows are compared, whatever was tested


def replay(project: Path, target: str | None, run: str, tell: Callable[[str], None]) -> ReplayReport:
    """Build a run again in a scratch environment and compare every table with what it recorded.

    Raw tables are inputs: they are taken at the snapshot that the run left them at, and so are dbt's snapshots, whose
    history nothing else holds. Everything else is built from nothing, so tables that the run built in increments have to
    come to the same rows in one go.

    Args:
        project: folder of dbt_project.yml, in a git repository that has the commit.
        target: the environment that has the run.
        run: a run id, a unique part of one, or ``latest``.
        tell: gets lines for the person who watches.

    Raises:
        NotFoundError: there is no such run, or git does not know its commit.
        SlipwayError: the run cannot be replayed, or its code does not build any more.
    """
    environment = environment_of(project, target)
    manifest, described = _manifest(environment, run)
    commit = git.resolve(project, str(manifest.code.commit))
    tables = Tables(environment)
    pins = {name: location for name, (location, _) in inputs_of(manifest).items()}
    expired = [name for name, location in pins.items() if not _is_there(tables, name, location)]
    made = made_by(manifest)
    if expired:
        lost = [_expired(node, expired) for node in made.values()]
        return _report(manifest, commit, lost, [])
    with temporary("replay", environment.home) as folder:
        what = Build(
            project,
            environment,
            folder,
            pins,
            manifest.vars,
            selection_of(manifest, described),
            _TESTS,
            _window(manifest, described),
            # the choice by size may be another one where tables are built anew
            engines={_SIDE: {node.unique_id: node.engine for node in manifest.nodes if node.engine}},
        )
        with git.worktree(project, commit, folder / "code") as code:
            _check_layout(code, environment.name, manifest)
            tell(f"building {plural(len(made), 'table')} of run {manifest.run_id} again at {commit[:12]}")
            again = build(what, {_SIDE: code})[_SIDE]
        done = {node.table: node for node in again.nodes if node.table}
        held = _held(tables, environment, made)
        as_held = {
            name: node.model_copy(update={"digest": held.get(name, node.digest)})
            for name, node in made.items()
        }
        compared = _compare(project, environment, folder, again, as_held, done)
        judged = [
            judge_replay(node, done.get(name), compared.get(name), held.get(name))
            for name, node in sorted(made.items())
        ]
        now = again.versions.model_copy(update={"lock_sha256": versions_of(project).lock_sha256})
        return _report(manifest, commit, judged, [*_differences(manifest.versions, now), *kept_by(manifest)])


def _manifest(environment: Environment, run: str) -> tuple[RunManifest, Mapping[str, Any]]:
    """The manifest of a run, and dbt's."""
    found = find_run(environment, run)
    check_seal(found.records, found.run_id, f"replay of run {found.run_id}")
    manifest = found.records.manifest(found.run_id)
    refused = f"Run {found.run_id} cannot be replayed"
    if manifest is None:
        raise NotFoundError(refused, "it never came to its end", "Choose another")
    if why := why_not_replayable(manifest):
        raise SlipwayError(refused, why, "Choose a run that passed at a commit")
    described = found.records.dbt_manifest(found.run_id)
    if described is None:
        raise NotFoundError(refused, "it has no manifest of dbt", "Choose another")
    return manifest, described


def _check_layout(code: Path, target: str, manifest: RunManifest) -> None:
    """Refuse a commit whose target is not one of the installed Slipway, unless the commit holds a Slipway of its own.

    Raises:
        SlipwayError: the project was laid out for another version.
    """
    if (code / "scripts" / "slipway").is_dir() or not (code / "profiles.yml").is_file():
        return
    try:
        environment_of(code, target)
    except ConfigError as error:
        raise SlipwayError(
            f"Run {manifest.run_id} cannot be replayed",
            f"its commit {str(manifest.code.commit)[:12]} is laid out for another version of Slipway than the installed {__version__} "
            f"({error.what})",
            f"Choose a later run, or install Slipway {manifest.versions.slipway}, with which the run was made",
        ) from None


def _is_there(tables: Tables, name: str, location: str) -> bool:
    """Whether a table can be read whole as a run left it: metadata, manifests, and every data file."""
    try:
        found = tables.load(TableName.parse(name), location)
        return missing_file(found, tables.environment.catalog_properties) is None
    except UnavailableError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise
    except FileNotFoundError:
        return False


def _window(manifest: RunManifest, described: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """The window of event time that a run was given, None where its microbatch tables hold more than that."""
    start, end = manifest.options.event_time_start, manifest.options.event_time_end
    if not (start and end):
        return None
    grown = any(
        node.base_snapshot and not manifest.options.full_refresh
        for node in manifest.nodes
        if described["nodes"][node.unique_id]["config"].get("incremental_strategy") == "microbatch"
    )
    return None if grown else (start, end)


def _held(tables: Tables, environment: Environment, made: Mapping[str, Node]) -> dict[str, str]:
    """The digest of the rows that tables of a run hold today, of those that are kept; each is read as a whole.

    Raises:
        DamagedTableError: a file of one cannot be read.
    """
    found = {}
    connection = engine.connect(environment, environment.home)
    try:
        for name, node in made.items():
            try:
                table = tables.load(TableName.parse(name), str(node.metadata_location))
                scan = whole_scan(table)
            except DamagedTableError as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    continue
                raise
            with scanning(connection, table):
                found[name] = str(digest_of(connection, scan, table.schema()))
    finally:
        connection.close()
    return found


def _compare(
    project: Path,
    environment: Environment,
    folder: Path,
    again: RunManifest,
    made: Mapping[str, Node],
    done: Mapping[str, Node],
) -> dict[str, TableComparison]:
    """Comparisons of the tables whose digests are not the same."""
    other = [name for name, node in made.items() if name in done and not same_digest(node, done[name])]
    if not other:
        return {}
    found = compare_builds(
        {name: BuiltTable.of(made[name]) for name in other},
        {name: BuiltTable.of(done[name]) for name in other},
        scratch_manifest(folder / _SIDE, again.run_id),
        environment,
        project,
    )
    return {comparison.name: comparison for comparison in found}


def _expired(node: Node, inputs: list[str]) -> ReplayedTable:
    return ReplayedTable(
        table=node.table or node.unique_id,
        verdict=ReplayVerdict.INPUT_EXPIRED,
        rows=node.rows_after,
        recorded=node.digest,
        why=f"{', '.join(sorted(inputs))} is not there any more as the run read it",
    )


def _differences(then: Versions, now: Versions) -> list[str]:
    before, after = then.model_dump(), now.model_dump()
    return [
        f"{name}: {before[name]} then, {after[name]} now" for name in before if before[name] != after[name]
    ]


def _report(
    manifest: RunManifest, commit: str, tables: list[ReplayedTable], differences: list[str]
) -> ReplayReport:
    return ReplayReport(
        run_id=manifest.run_id,
        target=manifest.target,
        commit=commit,
        tables=sorted(tables, key=lambda table: table.table),
        differences=differences,
    )
