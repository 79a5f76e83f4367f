"""Looks at an environment as it is: catalog, records and project, and the files that kept states name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from slipway.engines.duckdb.compact import check_compactable
from slipway.engines.duckdb.scan import live_files
from slipway.engines.writers import AUTO, SPARK, SPARK_ABOVE, bytes_above
from slipway.errors import DamagedTableError, SlipwayError, UnavailableError
from slipway.iceberg import metadata_files
from slipway.iceberg.carried import FROM
from slipway.iceberg.catalogs.movers import can_be_published_on
from slipway.iceberg.metadata_files import data_files, entries_of, manifests_of, reading, summary_of
from slipway.iceberg.snapshots import release_tags
from slipway.iceberg.tables import Tables
from slipway.maintenance.protection import ENDED, Kept, kept
from slipway.maintenance.retention import (
    Candidate,
    Damage,
    History,
    LiveFile,
    RecordedRun,
    Retention,
    Superseded,
    TableHistory,
    parse_retention,
)
from slipway.maintenance.steps import Folder, Found, Layout, OtherEngine
from slipway.names import TableName
from slipway.records.release_records import CandidateTable, Release
from slipway.records.run_ids import started_at
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.records.store import ROOT, Records
from slipway.releases.cut import TableVersion
from slipway.runs.replayable import inputs_of, made_by, why_not_replayable
from slipway.storage.objects import canonical, object_store


class References:
    """Locations that are in use; each manifest is read once, whichever states share it.

    Args:
        tables: the environment.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lists: set[str] = set()
        self._manifests: set[str] = set()
        self.named: set[str] = set()
        """Canonical locations."""
        self.states: set[str] = set()
        """Metadata files of kept states, as they are recorded."""

    def add(self, identifier: TableName, current: str | None, keep: Iterable[Kept]) -> str:
        """Take in the kept states of a table.

        Args:
            identifier: namespace and name.
            current: the metadata file that the catalog names, None when it names none.
            keep: what is kept; a state whose metadata file is gone protects nothing any more.

        Returns:
            Why the table's folder must be left as it is: a state that is kept is not whole. Empty when all are.

        Raises:
            DamagedTableError: the metadata file that the catalog names is damaged.
            UnavailableError: the store does not answer, so nobody knows what is in use.
        """
        newest = self._tables.load(identifier, current).metadata if current else None
        name, broken = str(identifier), ""
        for one in keep:
            location = one.state.metadata_location
            self.states.add(location)
            self.named.add(canonical(location))
            try:
                loaded = newest if location == current else None
                for snapshot in self._snapshots(loaded, newest, one, name):
                    self._add_snapshot(snapshot, name)
            except DamagedTableError as error:
                # what is gone from an earlier state protects nothing; what is damaged may be put right from a copy
                if location == current or not isinstance(error.__cause__, FileNotFoundError):
                    broken = broken or error.line()
        return broken

    def _snapshots(
        self, loaded: TableMetadata | None, newest: TableMetadata | None, one: Kept, table: str
    ) -> list[Snapshot]:
        """The snapshots that are read through a state; its own metadata file is opened only if no other knows them."""
        if not one.whole:
            if one.state.snapshot_id is None:
                return []
            number = int(one.state.snapshot_id)
            if newest and (found := newest.snapshot_by_id(number)):
                return [found]
        metadata = loaded or self._load(one.state.metadata_location, table)
        if metadata is None:
            return []
        self.named |= {canonical(item.statistics_path) for item in metadata.statistics}
        self.named |= {canonical(item.statistics_path) for item in metadata.partition_statistics}
        if one.whole:
            return list(metadata.snapshots)
        return [found] if (found := metadata.snapshot_by_id(number)) else []

    def _load(self, location: str, table: str) -> TableMetadata | None:
        try:
            with reading(f"metadata of {table}", location):
                return metadata_files.read_metadata(self._tables.io(location), location)
        except DamagedTableError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def _add_snapshot(self, snapshot: Snapshot, table: str) -> None:
        """Take in a snapshot; raises DamagedTableError, each time anew."""
        if snapshot.manifest_list in self._lists:
            return
        self.named.add(canonical(snapshot.manifest_list))
        io = self._tables.io(snapshot.manifest_list)
        for manifest in manifests_of(snapshot, io, table):
            if manifest.manifest_path in self._manifests:
                continue
            self.named.add(canonical(manifest.manifest_path))
            for entry in entries_of(manifest, io, table):
                self.named.add(canonical(entry.data_file.file_path))
            self._manifests.add(manifest.manifest_path)
        self._lists.add(snapshot.manifest_list)


def read_history(
    tables: Tables, records: Records, variables: Mapping[str, Any], now: datetime, older_than: timedelta
) -> History:
    """Everything that decides what is kept; arguments are those of ``survey``.

    Raises:
        UnavailableError: the catalog or the store cannot be read.
        SlipwayError: a record within the policy's days cannot be read, so nobody knows what it needs.
        ConfigError: a policy is not one.
    """
    default = parse_retention("vars of dbt_project.yml", variables, Retention())
    releases, locations = records.releases(), managed(tables)
    loaded, damaged = _loaded(tables, locations)
    policies = _policies(records, default, releases)
    longest = max([older_than, default.period, *(policy.period for policy in policies.values())])
    published = {release.run_id for release in releases if release.by_run}
    runs: list[RecordedRun] = []
    candidates: list[Candidate] = []
    for run_id in records.run_ids():
        began = started_at(run_id)
        if began is None:
            continue
        if began < now - longest:
            break
        manifest = records.manifest(run_id)
        if manifest is not None and not why_not_replayable(manifest):
            runs.append(_recorded(manifest))
        if run_id not in published and (manifest is None or manifest.outcome not in ENDED):
            outcome = manifest.outcome if manifest else None
            candidates += [
                _candidate(tables, locations, record, run_id, began, outcome)
                for record in records.candidate(run_id)
            ]
    return History(
        now=now,
        older_than=older_than,
        tables={
            name: _table(table.metadata, table.metadata_location, releases) for name, table in loaded.items()
        },
        damaged=damaged,
        releases=releases,
        runs=runs,
        candidates=candidates,
        intents=records.open_intents(),
        policies=policies,
        default=default,
    )


def _loaded(tables: Tables, locations: Mapping[TableName, str]) -> tuple[dict[str, Table], dict[str, Damage]]:
    """Tables by name, and why the others cannot be read."""
    found: dict[str, Table] = {}
    damaged: dict[str, Damage] = {}
    for identifier, location in locations.items():
        try:
            found[str(identifier)] = tables.load(identifier, location)
        except DamagedTableError as error:
            damaged[str(identifier)] = Damage(location, error.line())
    return found, damaged


def managed(tables: Tables) -> dict[TableName, str]:
    """Tables of the catalog that lie in the environment's warehouse; a catalog may hold others, too."""
    root = canonical(tables.environment.warehouse)
    return {
        identifier: location
        for identifier, location in tables.locations().items()
        if canonical(location).startswith(f"{root}/")
    }


def _policies(records: Records, default: Retention, releases: Sequence[Release]) -> dict[str, Retention]:
    """Policies in the meta of models, seeds and snapshots, as the last run had them that was published or found nothing new.

    The manifest of a run that waited for approval says for ever that it is staged; the releases say that it is published. What is
    promoted brings its policies along.
    """
    return dict(_declared(described_tables(records, releases), default))


def described_tables(records: Records, releases: Sequence[Release]) -> Mapping[str, Any]:
    """dbt's manifest of the last run that was published or found nothing new; empty where there is none."""
    released = {release.run_id for release in releases}
    if releases and releases[-1].promoted and (described := records.dbt_manifest(releases[-1].run_id)):
        return described
    for run_id in records.run_ids():
        manifest = records.manifest(run_id)
        if manifest is None or not (run_id in released or manifest.outcome.is_current):
            continue
        if described := records.dbt_manifest(run_id):
            return described
    return {}


def bounds_of_spark(described: Mapping[str, Any]) -> dict[str, int]:
    """Bytes above which Spark compacts a table, by the tables of models that it may compute.

    Args:
        described: dbt's manifest.
    """
    found = {}
    for node in described.get("nodes", {}).values():
        config = node.get("config") or {}
        if node.get("resource_type") == "model" and config.get("engine") in (SPARK, AUTO):
            found[f"{node['schema']}.{node['alias']}"] = bytes_above(config.get(SPARK_ABOVE))
    return found


def _declared(described: Mapping[str, Any], default: Retention) -> Iterator[tuple[str, Retention]]:
    for node in described.get("nodes", {}).values():
        if node.get("resource_type") in ("model", "seed", "snapshot"):
            name = f"{node['schema']}.{node['alias']}"
            meta = (node.get("config") or {}).get("meta") or {}
            policy = parse_retention(f"meta of {node['name']}", meta, default)
            if policy != default:
                yield name, policy


def _recorded(manifest: RunManifest) -> RecordedRun:
    return RecordedRun(
        run_id=manifest.run_id,
        started_at=manifest.started_at,
        inputs={name: TableVersion(*where) for name, where in inputs_of(manifest).items()},
        made={
            name: TableVersion(node.metadata_location, node.candidate_snapshot)
            for name, node in made_by(manifest).items()
            if node.metadata_location
        },
    )


def _candidate(
    tables: Tables,
    locations: Mapping[TableName, str],
    record: CandidateTable,
    run_id: str,
    began: datetime,
    outcome: Outcome | None,
) -> Candidate:
    table = record.name
    base, now = record.base, locations.get(table)
    try:
        stands = can_be_published_on(tables, table, base, now)
    except UnavailableError:
        stands = False
    return Candidate(
        run_id=run_id,
        started_at=began,
        table=str(table),
        base=now if stands else base,  # a property that another program set is no obstacle
        state=TableVersion(record.metadata_location, record.snapshot_id),
        outcome=outcome,
    )


def _table(metadata: TableMetadata, location: str, releases: list[Release]) -> TableHistory:
    shown: dict[str, datetime] = {}
    for release in releases:
        for state in release.tables.values():
            shown.setdefault(state.metadata_location, release.published_at)
    entries = [(entry.metadata_file, _moment(entry.timestamp_ms)) for entry in metadata.metadata_log]
    following = [*entries[1:], (location, _moment(metadata.last_updated_ms))]  # one too many without entries
    return TableHistory(
        location=location,
        snapshot_id=None if (current := metadata.current_snapshot_id) is None else str(current),
        snapshots={str(one.snapshot_id): _moment(one.timestamp_ms) for one in metadata.snapshots},
        refs={name: str(ref.snapshot_id) for name, ref in metadata.refs.items()},
        release_tags=release_tags(metadata),
        log=[
            # what was staged is named by the catalog only when it is published
            Superseded(file, max(moment, shown.get(after, moment)))
            for (file, _), (after, moment) in zip(entries, following, strict=False)
        ],
        made_by={made for one in metadata.snapshots if (made := summary_of(one).get("slipway.run-id"))},
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


_FOLDERS = ("data", "metadata")
_SPARED = ("version-hint.text",)  # of catalogs that are files


@dataclass(frozen=True)
class Survey:
    """An environment as it was found.

    Args:
        history: what decides what is kept.
        folders: what lies in the folder of every table.
        roots: where these folders are.
        there: metadata files that are kept and exist, as they are recorded.
    """

    history: History
    folders: Mapping[str, Folder]
    roots: Mapping[str, str]
    there: Collection[str] = field(repr=False)


def survey(
    tables: Tables, records: Records, variables: Mapping[str, Any], now: datetime, older_than: timedelta
) -> Survey:
    """List the tables' folders and find out what of them is in use.

    Args:
        tables: the environment.
        records: its records.
        variables: the project's vars, which may set the default policy.
        now: the moment that ages are counted from.
        older_than: how long files are kept.

    Raises:
        UnavailableError: the catalog or the store cannot be read.
        SlipwayError: a record cannot be read.
    """
    history = read_history(tables, records, variables, now, older_than)
    roots = _roots(tables, history)
    # a folder that two names share is listed under the first
    first = {root: name for name, root in reversed(roots.items())}
    listed = {name: _listed(tables, root) for root, name in first.items()}
    references, damaged = References(tables), dict(history.damaged)
    for name in sorted(roots.keys() | history.tables.keys()):
        known = history.tables.get(name)
        location = known.location if known else None
        if why := references.add(TableName.parse(name), location, kept(history, name)):
            damaged.setdefault(name, Damage(location or "", why))
    why_not = {roots[name]: found.why for name, found in damaged.items() if name in roots}
    folders = {
        name: Folder(
            objects,
            references.named,
            why_not.get(roots[name], "") or _linked(roots[name]) or _why_not(tables, history, name, objects),
        )
        for name, objects in listed.items()
    }
    present = {one.location for objects in listed.values() for one in objects}
    there = {state for state in references.states if canonical(state) in present}
    return Survey(replace(history, damaged=damaged), folders, roots, there)


def layout_of(tables: Tables, history: History, name: str, other: OtherEngine | None = None) -> Layout:
    """The data files of a table that may be compacted, and by which engine if not by DuckDB.

    None of one that shows what was promoted: the files of the source are compacted there, and the next promotion copies those
    that the target does not have.
    """
    table = tables.load(TableName.parse(name), history.tables[name].location)
    if FROM in summary_of(table.current_snapshot()):
        return Layout()
    try:
        target = check_compactable(table).target
        files = live_files(table)
    except SlipwayError as error:
        return Layout(why_not=error.line())
    spec = table.metadata.default_spec_id
    return Layout(
        [
            LiveFile(file.file_path, file.file_size_in_bytes, str(file.partition))
            for file in files
            if file.spec_id == spec
        ],
        target,
        other=other,
    )


def _roots(tables: Tables, history: History) -> dict[str, str]:
    """The folder of every table that lies in the warehouse, those of the catalog first."""
    names = sorted(history.names(), key=lambda one: (one not in history.tables, one))
    return {name: root for name in names if (root := _root(tables, history, name))}


def _root(tables: Tables, history: History, name: str) -> str | None:
    if known := history.tables.get(name):
        root = tables.load(TableName.parse(name), known.location).metadata.location
    elif name in history.damaged:
        root = history.damaged[name].location.rpartition("/metadata/")[0]
    else:
        recorded = [release.tables[name] for release in history.releases if name in release.tables]
        staged = [one.state.metadata_location for one in history.candidates if one.table == name]
        location = recorded[-1].metadata_location if recorded else staged[-1]
        root = location.rpartition("/metadata/")[0]
    warehouse = canonical(tables.environment.warehouse)
    here = canonical(root.rstrip("/")) if root else ""
    inside = here.startswith(f"{warehouse}/") and not f"{here}/".startswith(f"{warehouse}/{ROOT}/")
    return root.rstrip("/") if inside else None


def _listed(tables: Tables, root: str) -> list[Found]:
    store = object_store(root, tables.environment.catalog_properties)
    base = canonical(root)
    return [
        Found(f"{base}/{item.key}", item.size, item.modified)
        for folder in _FOLDERS
        for item in store.entries(folder)
        if item.key.rsplit("/", 1)[-1] not in _SPARED
    ]


def _linked(root: str) -> str:
    """Why nothing may be removed below links: what lies there has another name than it is listed by."""
    base = f"{canonical(root)}/"
    led = [folder for folder in _FOLDERS if not canonical(f"{root}/{folder}/x").startswith(base)]
    return f"its folder {led[0]} is a link that leads out of it" if led else ""


def _why_not(tables: Tables, history: History, name: str, objects: Collection[Found]) -> str:
    """Why nothing of a folder may be removed: the catalog and the store do not agree about it."""
    known = history.tables.get(name)
    if known is None:
        dropped = history.releases and name in history.releases[-1].tables
        return "the last release has it, and the catalog does not name it" if dropped else ""
    table = tables.load(TableName.parse(name), known.location)
    base, present = f"{canonical(table.metadata.location)}/", {one.location for one in objects}
    live = [canonical(file.file_path) for file in data_files(table)]
    lost = [path for path in live if path.startswith(base) and path not in present]
    return f"{lost[0].rsplit('/', 1)[-1]} is a file of it and is not there" if lost else ""
