"""Where does this table come from: release, run, commit, sources, landed files and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from slipway.adapters import lineage
from slipway.adapters.dbt.state import read_state
from slipway.adapters.published import Published
from slipway.domain.errors import DamagedError, NotFoundError
from slipway.domain.lineage import Source, SourceFiles
from slipway.domain.manifest import RunManifest, TestResult
from slipway.domain.release import Release
from slipway.services.environments import environment_of

_NEWEST_FILES = 3
_LOOK_BACK = 50  # runs that are searched for the last one that dealt with the table


@dataclass(frozen=True)
class ColumnInfo:
    """A column as the table's schema has it."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True)
class MadeBy:
    """The run that wrote a state of a table."""

    run_id: str
    who: str
    host: str
    command: list[str]
    started_at: datetime
    commit: str | None
    dirty: bool
    branch: str | None


@dataclass(frozen=True)
class Tested:
    """Tests of one run that read the table; the outcome is of the run."""

    run_id: str
    outcome: str
    started_at: datetime
    tests: list[TestResult]


@dataclass(frozen=True)
class TableOrigin:
    """Everything known about how a published table came to be.

    Args:
        table: ``layer.table``.
        target: the environment.
        description: what it holds, as its model describes it.
        metadata_location: its current Iceberg metadata.
        release: the release that brought the present content.
        released_at: when that was published.
        latest_release: the newest release, which shows the same content.
        sources: the table itself and what it comes from, nearest first.
        runs: who made each of them, by run id.
        files: landed files at the end of the chain.
        tested: tests in the run that wrote it, and in the last run that dealt with it.
        columns: its schema.
        made_by: the code that made its rows: key of the definition, and the run and commit that it was first used in.
        stale: why rows of it are not what the code makes that last ran; empty if all are.
        kept: the declared reason why such rows stay.
        notes: records that cannot be read, so that what they tell is left out.
    """

    table: str
    target: str
    description: str
    metadata_location: str
    release: int | None
    released_at: datetime | None
    latest_release: int | None
    sources: list[Source]
    runs: dict[str, MadeBy]
    files: list[SourceFiles]
    tested: list[Tested]
    columns: list[ColumnInfo]
    made_by: list[dict[str, Any]]
    stale: str
    kept: str
    notes: list[str]


def table_origin(project_dir: Path | None, target: str | None, table: str) -> TableOrigin:
    """Trace a published table back to code and landed files.

    Args:
        project_dir: the dbt project.
        target: the environment.
        table: ``layer.table``, ``target.layer.table``, or the name alone where it is the only one.

    Raises:
        NotFoundError: no such table is published.
    """
    published = Published(environment_of(project_dir, target))
    name = _resolve(published, table)

    def manifest_of(run_id: str) -> RunManifest | None:
        try:
            return published.records.manifest(run_id)
        except DamagedError as error:
            notes.append(error.line())
            return None

    manifest_of = lru_cache(maxsize=None)(manifest_of)
    chain = lineage.sources(published, name)
    releases, damaged = published.records.readable_releases()
    notes = [error.line() for error in damaged.values()]
    release = _release_of(releases, name, chain[0].version)
    loaded = lineage.load(published, name)
    state = read_state(loaded)
    return TableOrigin(
        table=name,
        target=published.environment.name,
        description=loaded.properties.get("comment", ""),
        metadata_location=loaded.metadata_location,
        release=release.number if release else None,
        released_at=release.published_at if release else None,
        latest_release=releases[-1].number if release else None,
        sources=chain,
        runs={run_id: made for run_id in _runs(chain) if (made := _made_by(manifest_of(run_id)))},
        files=[files for source in chain for files in lineage.source_files(published, source, _NEWEST_FILES)],
        tested=list(_tested(published, name, chain[0], loaded.metadata.current_snapshot_id, manifest_of)),
        columns=[
            ColumnInfo(column.name, str(column.field_type), column.required, column.doc or "")
            for column in loaded.schema().fields
        ],
        made_by=[one.model_dump() for one in state.made_by if state.definition.key],
        stale=state.stale,
        kept=state.kept,
        notes=list(dict.fromkeys(notes)),
    )


def _resolve(published: Published, text: str) -> str:
    cut = published.now()
    name = text.removeprefix(f"{published.environment.name}.") if text.count(".") > 1 else text
    if name in cut.tables:
        return name
    same = [table for table in cut.tables if table.rpartition(".")[2] == name]
    if len(same) == 1:
        return same[0]
    close = same or cut.close_to(name)
    raise NotFoundError(
        f"{cut.label} has no table {text}",
        fix=f"perhaps {' or '.join(sorted(close))} is meant"
        if close
        else "list the tables with slipway sql 'show tables'",
    )


def _release_of(releases: list[Release], table: str, content: str) -> Release | None:
    """The release that brought a content, the last time if it came back after a rollback."""
    found = None
    before: str | None = None
    for release in releases:
        shown = release.tables[table].content if table in release.tables else None
        if shown == content != before:
            found = release
        before = shown
    return found


def _runs(chain: list[Source]) -> list[str]:
    return list(dict.fromkeys(source.run_id for source in chain if source.run_id))


def _made_by(manifest: RunManifest | None) -> MadeBy | None:
    if manifest is None:
        return None
    return MadeBy(
        run_id=manifest.run_id,
        who=manifest.who,
        host=manifest.host,
        command=manifest.command,
        started_at=manifest.started_at,
        commit=manifest.code.commit,
        dirty=manifest.code.dirty,
        branch=manifest.code.branch,
    )


def _tested(
    published: Published,
    table: str,
    source: Source,
    snapshot_id: int | None,
    manifest_of: Callable[[str], RunManifest | None],
) -> Iterator[Tested]:
    """Tests of the run that wrote the table, then of the last run that dealt with this very content."""
    same = (source.version, str(snapshot_id))
    wrote = manifest_of(source.run_id) if source.run_id else None
    if wrote:
        yield _tests_of(wrote, table)
    for number, run_id in enumerate(published.records.run_ids()):
        if number >= _LOOK_BACK or run_id == source.run_id:
            return
        manifest = manifest_of(run_id)
        if manifest and any(
            node.table == table and node.candidate_snapshot in same for node in manifest.nodes
        ):
            yield _tests_of(manifest, table)
            return


def _tests_of(manifest: RunManifest, table: str) -> Tested:
    tests = [test for test in manifest.tests.results if table in test.tables]
    return Tested(manifest.run_id, str(manifest.outcome), manifest.started_at, tests)
