"""Where does this table come from: release, run, commit, sources, landed files and tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from slipway.engines.duckdb import engine
from slipway.engines.duckdb.constraints import Held
from slipway.engines.duckdb.scan import scanning, whole_scan
from slipway.engines.writers import engine_in
from slipway.errors import DamagedError, NotFoundError
from slipway.iceberg.snapshots import current_content, snapshot_with
from slipway.names import TableName
from slipway.records.node_results import TestResult
from slipway.records.release_records import Release
from slipway.records.run_manifest import RunManifest
from slipway.releases.approvals import approved_by
from slipway.releases.lookup import environment_of
from slipway.releases.published import Published
from slipway.releases.signatures import signature_of
from slipway.releases.table_state import INPUTS, read_state

LANDING = "landing."
UNVERSIONED = "read by "
"""Begins the version of what has none of its own: the run that read it follows."""


@dataclass(frozen=True)
class Source:
    """A table in one state, among what another table comes from.

    Args:
        table: ``layer.table``, or ``landing.feed``.
        version: snapshot id, or the key of a set of landed files.
        run_id: the run that wrote the snapshot; None if another tool did.
        written_at: when the snapshot was written.
        rows: rows of the table in this state.
        files: data files of the table in this state.
        bytes_total: their bytes.
        operation: Iceberg's name for what the snapshot did.
        is_published: the catalog still shows this state.
        inputs: what it was built from, table to version.
        engine: what computed its rows; empty if another tool wrote it.
    """

    table: str
    version: str
    run_id: str | None = None
    written_at: datetime | None = None
    rows: int | None = None
    files: int | None = None
    bytes_total: int | None = None
    operation: str | None = None
    is_published: bool = False
    inputs: dict[str, str] = field(default_factory=dict)
    engine: str = ""


@dataclass(frozen=True)
class SourceFile:
    """A landed file whose rows are in a raw table."""

    file: str
    rows: int
    sha256: str
    landed_at: datetime | None


@dataclass(frozen=True)
class SourceFiles:
    """The landed files in one state of a raw table: how many, their rows, and the newest of them."""

    feed: str
    table: str
    files: int
    rows: int
    newest: list[SourceFile]


def sources(published: Published, table: str) -> list[Source]:
    """A published table and everything it comes from, each once, nearest first."""
    queue = [(table, current_content(load(published, table)) or "none")]
    found: dict[tuple[str, str], Source] = {}
    while queue:
        key = queue.pop(0)
        if key not in found:
            found[key] = _source(published, *key)
            queue += found[key].inputs.items()
    return list(found.values())


def load(published: Published, table: str) -> Table:
    """A table as the catalog shows it; raises KeyError."""
    name = TableName.parse(table)
    return published.tables.load(name, published.locations[name])


def source_files(published: Published, source: Source, newest: int) -> Iterator[SourceFiles]:
    """The landed files of each feed that a raw table was read from, as its own rows name them.

    Args:
        published: the environment.
        source: a table that reads ``landing.…``.
        newest: how many files to name.
    """
    feeds = [name for name in source.inputs if name.startswith(LANDING)]
    if not feeds or not source.version.isdigit():
        return
    table = load(published, source.table)
    snapshot = snapshot_with(table, source.version)
    if snapshot is None:  # expired
        return
    scan = whole_scan(table, snapshot)
    environment = published.environment
    extensions = engine.extensions_of(environment)
    connection = engine.connect(environment, environment.home, extensions=extensions)
    try:
        with scanning(connection, table):
            connection.execute(
                "create temp table files as select any_value(_source_file) as file, count(*) as row_count, "
                f"_file_sha256 as sha256, min(_landed_at) as landed_at from {scan} group by _file_sha256"
            )
    except duckdb.BinderException:  # a raw table without lineage columns
        return
    totals = connection.execute("select count(*), coalesce(sum(row_count), 0) from files").fetchall()[0]
    rows = connection.execute(f"from files order by landed_at desc, file desc limit {newest}").fetchall()
    named = [SourceFile(file, count, sha256, landed_at) for file, count, sha256, landed_at in rows]
    for feed in feeds:
        yield SourceFiles(feed.removeprefix(LANDING), source.table, int(totals[0]), int(totals[1]), named)


def _source(published: Published, name: str, version: str) -> Source:
    if TableName.parse(name) not in published.locations or not version.isdigit():
        return Source(name, version)
    table = load(published, name)
    snapshot = snapshot_with(table, version)
    if snapshot is None:  # expired
        return Source(name, version)
    is_published = current_content(table) == version
    summary = _summary(snapshot)
    inputs = read_state(table).inputs if is_published else json.loads(summary.get(INPUTS, "{}"))
    return Source(
        table=name,
        version=version,
        run_id=summary.get("slipway.run-id"),
        written_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        rows=_number(summary, "total-records"),
        files=_number(summary, "total-data-files"),
        bytes_total=_number(summary, "total-files-size"),
        operation=summary.get("slipway.strategy")
        or (snapshot.summary.operation.value if snapshot.summary else None),
        is_published=is_published,
        inputs=dict(sorted(inputs.items())),
        engine=engine_in(summary),
    )


def _summary(snapshot: Snapshot) -> dict[str, str]:
    return snapshot.summary.additional_properties if snapshot.summary else {}


def _number(summary: dict[str, str], name: str) -> int | None:
    return int(summary[name]) if name in summary else None


_NEWEST_FILES = 3
_LOOK_BACK = 50  # runs that are searched for the last one that dealt with the table


@dataclass(frozen=True)
class ColumnInfo:
    """A column as the table's schema has it; ``required`` also where the rows were checked for NULL when they were written."""

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
        promoted: the release of another environment that it came with; empty for none.
        sources: the table itself and what it comes from, nearest first.
        runs: who made each of them, by run id.
        files: landed files at the end of the chain.
        tested: tests in the run that wrote it, and in the last run that dealt with it.
        columns: its schema.
        made_by: the code that made its rows: key of the definition, and the run and commit that it was first used in.
        stale: why rows of it are not what the code makes that last ran; empty if all are.
        kept: the declared reason why such rows stay.
        notes: records that cannot be read, so that what they tell is left out.
        signature: who signed the release that brought the present content; empty if there is none.
        approved_by: who approved its promotion, or why that does not count; empty where nobody had to.
    """

    table: str
    target: str
    description: str
    metadata_location: str
    release: int | None
    released_at: datetime | None
    latest_release: int | None
    promoted: str
    sources: list[Source]
    runs: dict[str, MadeBy]
    files: list[SourceFiles]
    tested: list[Tested]
    columns: list[ColumnInfo]
    made_by: list[dict[str, Any]]
    stale: str
    kept: str
    notes: list[str]
    signature: str = ""
    approved_by: str = ""


def table_origin(project_dir: Path | None, target: str | None, table: str) -> TableOrigin:
    """Trace a published table back to code and landed files.

    Args:
        project_dir: the dbt project.
        target: the environment.
        table: ``layer.table``, ``target.layer.table``, or only the name where it is the only one.

    Raises:
        NotFoundError: no such table is published.
    """
    published = Published(environment_of(project_dir, target))
    name = _resolve(published, table)

    def manifest_of(run_id: str) -> RunManifest | None:
        try:
            if own := published.records.manifest(run_id):
                return own
            came = published.records.promoted_manifest(run_id)
            return came[0] if came else None
        except DamagedError as error:
            notes.append(error.line())
            return None

    manifest_of = lru_cache(maxsize=None)(manifest_of)
    chain = sources(published, name)
    releases, damaged = published.records.readable_releases()
    notes = [error.line() for error in damaged.values()]
    release = _release_of(releases, name, chain[0].version)
    loaded = load(published, name)
    state = read_state(loaded)
    without_null = Held.after(snapshot_with(loaded, chain[0].version)).not_null
    return TableOrigin(
        table=name,
        target=published.environment.name,
        description=loaded.properties.get("comment", ""),
        metadata_location=loaded.metadata_location,
        release=release.number if release else None,
        released_at=release.published_at if release else None,
        latest_release=releases[-1].number if release else None,
        promoted=release.promoted.described() if release and release.promoted else "",
        sources=chain,
        runs={run_id: made for run_id in _runs(chain) if (made := _made_by(manifest_of(run_id)))},
        files=[files for source in chain for files in source_files(published, source, _NEWEST_FILES)],
        tested=list(_tested(published, name, chain[0], loaded.metadata.current_snapshot_id, manifest_of)),
        columns=[
            ColumnInfo(
                column.name,
                str(column.field_type),
                column.required or column.name.lower() in without_null,
                column.doc or "",
            )
            for column in loaded.schema().fields
        ],
        made_by=[one.model_dump() for one in state.made_by if state.definition.key],
        stale=state.stale,
        kept=state.kept,
        notes=list(dict.fromkeys(notes)),
        signature=signature_of(published.environment, release.number) if release else "",
        approved_by=approved_by(published.environment, release.number)
        if release and release.promoted
        else "",
    )


def _resolve(published: Published, text: str) -> str:
    cut = published.now()
    name = text.removeprefix(f"{published.environment.name}.") if text.count(".") > 1 else text
    if name in cut.tables:
        return name
    same = [table for table in cut.tables if TableName.parse(table).name == name]
    if len(same) == 1:
        return same[0]
    close = same or cut.close_to(name)
    raise NotFoundError(
        f"{cut.label} has no table {text}",
        fix=f"Perhaps {' or '.join(sorted(close))} is meant"
        if close
        else "List the tables with slipway sql 'show tables'",
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
