"""Checks of tables: the newest release and what the catalog names, their files, and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
from pyiceberg.table import Table

from slipway.counts import plural
from slipway.doctor.examination import Examination, Finding, Register, Tag
from slipway.engines.duckdb.digest import digest_of, recorded
from slipway.engines.duckdb.scan import damages, whole_scan
from slipway.errors import DamagedError, UnavailableError
from slipway.iceberg.file_io import RESTORE
from slipway.iceberg.metadata_files import check_whole, data_files, files_of, manifests_of, rows_of
from slipway.iceberg.snapshots import current_content
from slipway.names import TableName
from slipway.records.release_records import Release, ReleasedTable
from slipway.releases.published import LEDGER, elsewhere, lost
from slipway.storage.locations import uri
from slipway.storage.objects import object_store


def rows(at: Examination, table: Table) -> Iterator[Finding]:
    """Data files of a table that cannot be read, and rows that are not those that were written.

    Raises:
        DamagedTableError: its metadata is missing or damaged.
    """
    name, connection = str(TableName.of(table.name())), at.connection
    files = data_files(table)
    wanted = recorded(table.current_snapshot())
    scan = whole_scan(table)
    try:
        found = digest_of(connection, scan, table.schema()) if wanted else None
    except duckdb.Error:
        found = None
    if wanted and found == wanted:
        return
    reported = False
    for damage in damages(connection, table, files):
        reported = True
        yield Finding(name, f"it cannot be read as a whole: {damage.why}", RESTORE)
    if wanted and found and not reported:
        yield Finding(
            name,
            f"its rows are not those that were written: their digest is {found}, and {wanted} was recorded",
            "Restore its data files from a copy, or build it again with slipway run --full-refresh",
        )


def catalog(at: Examination) -> Iterator[Finding]:
    """A catalog that is gone, or of another environment."""
    if where := elsewhere(at.environment, at.locations):
        yield Finding(
            f"the catalog of {at.environment.name}",
            f"it is of another environment: its tables are in {where}, and the warehouse is {at.environment.warehouse}",
            "Check SLIPWAY_WAREHOUSE, SLIPWAY_HOME and --target",
        )
    elif newest := _lost_release(at):
        error = lost(at.records, "it names no table")
        steps = [
            Register(name, table.metadata_location)
            for name, table in sorted(newest.tables.items())
            if at.tables.io(location := table.metadata_location).new_input(location).exists()
        ]
        yield Finding(error.what, error.why, error.fix, steps)


def released(at: Examination) -> Iterator[Finding]:
    """Tables that are not as the newest release left them."""
    newest = _newest(at)
    if newest is None or _lost_release(at) or elsewhere(at.environment, at.locations):
        return
    if len(at.intents) < len(at.records.open_keys()):  # what one of them moves is not known
        return
    moving = {name for intent in at.intents for name in intent.tables}
    for name, table in sorted(newest.tables.items()):
        if name not in moving:
            yield from _table(at, newest, name, table)


def abandoned(at: Examination) -> Iterator[Finding]:
    """Published tables that the project of the last run does not make any more."""
    newest, described = _newest(at), _described(at)
    if newest is None or described is None:
        return
    made = {
        f"{node['schema']}.{node.get('alias') or node['name']}"
        for node in described.get("nodes", {}).values()
        if node.get("resource_type") in ("model", "seed", "snapshot")
    }
    for name in newest.without_model(made):
        if TableName.parse(name) in at.locations:
            yield Finding(
                name,
                "no model makes it any more, and readers still see what was published",
                f"Take it away with slipway retire {name}, or, if another model continues it, set was: {name} there",
            )


def _described(at: Examination) -> dict[str, Any] | None:
    """dbt's manifest of the newest run whose tables are published, or that found nothing new."""
    for run_id in at.records.run_ids():
        try:
            manifest = at.records.manifest(run_id)
            if manifest is not None and manifest.outcome.is_current:
                return at.records.dbt_manifest(run_id)
        except DamagedError:  # found where records are examined
            continue
    return None


def files(at: Examination) -> Iterator[Finding]:
    """Files that current snapshots name and that are missing, or of another size."""
    if elsewhere(at.environment, at.locations):
        return
    for identifier, location in sorted(at.locations.items()):
        try:
            table = at.tables.load(identifier, location)
        except UnavailableError as error:
            yield _broken(identifier, error.why)
            continue
        broken = list(_files(at, identifier, table))
        if broken or not (at.deep or identifier == LEDGER):
            yield from broken
        elif identifier == LEDGER:
            try:  # what keeps a run from reading it
                rows_of(table)
            except UnavailableError as error:
                yield _broken(LEDGER, error.why)
        else:
            yield from rows(at, table)


def _newest(at: Examination) -> Release | None:
    """The release that was published last; None where that may be one whose record cannot be read.

    A number is given when a run stages its first table, so that one with a lower number may have been published later.
    """
    found, damaged = at.releases
    if not found:
        return None
    newest = found[-1]
    surely_older = min(release.number for release in found[-2:])
    return None if any(number > surely_older for number in damaged) else newest


def _lost_release(at: Examination) -> Release | None:
    """The newest release, of a catalog that names none of its tables."""
    newest = _newest(at)
    if newest is None or any(TableName.parse(name) in at.locations for name in newest.tables):
        return None
    return newest


def _table(at: Examination, newest: Release, name: str, table: ReleasedTable) -> Iterator[Finding]:
    location = at.locations.get(TableName.parse(name))
    if location is None:
        yield Finding(
            name,
            f"release {newest.number} has it, and the catalog does not: another program dropped it",
            f"If that was not meant, bring it back: slipway rollback --to {newest.number} --select {name}",
        )
        return
    try:
        loaded = at.tables.load(TableName.parse(name), location)
    except UnavailableError:  # reported where files are examined
        return
    current = loaded.metadata.current_snapshot_id
    if current_content(loaded) != table.content:
        yield Finding(
            name,
            f"its snapshot {current} is of no release: another program committed on top of release {newest.number}",
            "Keep it with the next run, or have what is not meant removed by who made it",
        )
    elif changed := _columns(at, name, table, loaded):
        yield Finding(
            name,
            f"its columns are not those of release {newest.number}: {changed}",
            "Have what is not meant changed back by who made it, or build it again with slipway run --full-refresh",
        )
    elif table.changed and newest.number and current is not None and str(current) == str(table.snapshot_id):
        # a compaction leaves the tag where it was: on the snapshot that the release made
        yield from _tag(newest, name, loaded, current)


def _columns(at: Examination, name: str, table: ReleasedTable, loaded: Table) -> str:
    """What another program did to the columns since a release, in words; empty for nothing, or when it is not known."""
    if loaded.metadata_location == table.metadata_location:
        return ""
    try:
        then = at.tables.load(TableName.parse(name), table.metadata_location).schema()
    except UnavailableError:
        return ""
    before = {field.field_id: f"{field.name} {field.field_type}" for field in then.fields}
    after = {field.field_id: f"{field.name} {field.field_type}" for field in loaded.schema().fields}
    reported = [
        f"{before.get(key, 'no column')} is now {after.get(key, 'gone')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    return ", ".join(reported)


def _tag(newest: Release, name: str, table: Table, current: int) -> Iterator[Finding]:
    tag = f"release-{newest.number}"
    ref = table.metadata.refs.get(tag)
    if ref is None or ref.snapshot_id != current:
        what = f"points to snapshot {ref.snapshot_id}" if ref else "is not there"
        yield Finding(
            name,
            f"tag {tag} {what}: expiring snapshots could take what the release shows",
            f"Tag snapshot {current}",
            [Tag(name, current, tag)],
        )


def _files(at: Examination, identifier: TableName, table: Table) -> Iterator[Finding]:
    current = table.current_snapshot()
    if current is None:
        return
    whole = at.deep or identifier == LEDGER  # a run reads all of the ledger, and nothing else of its files
    wanted: dict[str, int] = {}
    try:
        for manifest in manifests_of(current, table.io, str(identifier)):
            wanted[manifest.manifest_path] = manifest.manifest_length
        check_whole(table)
        if whole:
            wanted |= {file.file_path: file.file_size_in_bytes for file in files_of(table)}
    except UnavailableError as error:
        yield _broken(identifier, error.why)
        return
    root = uri(table.metadata.location.rstrip("/"))
    listed = object_store(root, at.environment.catalog_properties).entries("" if whole else "metadata")
    there = {f"{root}/{item.key}": item.size for item in listed}
    for path, size in sorted(wanted.items()):
        found = there.get(uri(path))
        if not uri(path).startswith(f"{root}/"):
            continue  # another program put it elsewhere, where nothing was listed
        if found is None:
            yield _broken(identifier, f"{path} is missing")
        elif found != size:
            yield _broken(identifier, f"{path} has {plural(found, 'byte')}, not {size:,}")


def _broken(identifier: TableName, why: str) -> Finding:
    return Finding(
        str(identifier),
        f"it cannot be read as a whole: {why}",
        "Restore the file from a copy, or show an earlier release with slipway rollback",
    )
