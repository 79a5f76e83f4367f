"""Records that contradict each other, the tags of tables, or what the run wrote: changed or removed by a careless hand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress

from pyiceberg.table import Table

from slipway.adapters.health.examination import Examination
from slipway.adapters.health.runs import run_ids
from slipway.adapters.iceberg.snapshots import release_tags
from slipway.adapters.record_files import REPAIRED
from slipway.adapters.records import SEAL
from slipway.adapters.seals import RESTORE, broken, made_anew, seal_of
from slipway.domain.errors import DamagedError, DamagedTableError, UnavailableError
from slipway.domain.health import Finding, WriteBeside
from slipway.domain.manifest import RunManifest
from slipway.domain.release import Release, ReleasedTable

_NUMBER = re.compile(r"releases/(\d+)\.")


def seals(at: Examination) -> Iterator[Finding]:
    """Records of runs that are not what the run wrote; dbt's large ones only when all is looked at."""
    for run_id in run_ids(at):
        where = at.records.location(run_id)
        with suppress(DamagedError):  # told where records are examined
            for name, why in broken(at.records, run_id, large=at.deep):
                yield Finding(f"{where}/{name}", why, RESTORE)
            if made := made_anew(at.records, run_id):
                key = f"{at.records.folder(run_id)}/{SEAL}"
                what = "it is missing: it was removed, or the run was killed before it wrote it"
                yield Finding(f"{where}/{SEAL}", what, RESTORE, [WriteBeside(key, made)])


def releases(at: Examination) -> Iterator[Finding]:
    """Release records beside their runs, their write-ahead records and the record before them."""
    known = {release.number for release in at.releases[0]} | at.releases[1].keys()
    for release in at.releases[0]:
        where = f"{at.records.store.root}/releases/{release.number:06d}.json"
        for why in (*_previous(at, release), *_intended(at, release), *_run(at, release)):
            yield Finding(where, why, RESTORE)
    yield from _unrecorded(at, known)


def tags(at: Examination) -> Iterator[Finding]:
    """Tags of releases in the published tables that no record is of, or that name another snapshot than it does."""
    found = {release.number: release for release in at.releases[0]}
    ended = _numbers(at)
    lost: dict[int, list[str]] = {}
    for identifier, location in sorted(at.locations.items()):
        name = ".".join(identifier)
        try:
            metadata = at.tables.load(identifier, location).metadata
            named = {tag: metadata.refs[tag].snapshot_id for tag in release_tags(metadata)}
        except UnavailableError:  # told where files are examined
            continue
        for tag, snapshot_id in named.items():
            number = int(tag.removeprefix("release-"))
            if number not in ended:
                lost.setdefault(number, []).append(name)
            elif (table := _table(found.get(number), name)) and str(snapshot_id) not in _shows(table):
                yield Finding(
                    name,
                    f"its tag {tag} names snapshot {snapshot_id}, and the record of release {number} snapshot "
                    f"{table.snapshot_id}",
                    f"restore releases/{number:06d}.json from a copy, or tag the right snapshot",
                )
    for number, names in sorted(lost.items()):
        yield Finding(
            f"{at.records.store.root}/releases/{number:06d}.json",
            f"it is missing: {', '.join(names)} has the tag of release {number}, which was published",
            "restore it from a copy",
        )


def states(at: Examination) -> Iterator[Finding]:
    """Metadata files that are not what the release recorded: of the newest release, or of all when all is looked at."""
    if at.has_no_catalog:  # which is told, and whoever opens it makes it
        return
    looked_at: set[str] = set()
    for release in reversed(at.releases[0] if at.deep else at.releases[0][-1:]):
        for name, table in sorted(release.tables.items()):
            if table.metadata_location in looked_at:
                continue
            looked_at.add(table.metadata_location)
            namespace, _, bare = name.rpartition(".")
            try:
                loaded = at.tables.load((namespace, bare), table.metadata_location)
            except DamagedTableError as error:
                if not isinstance(error.__cause__, FileNotFoundError):  # or else removed by maintenance
                    yield Finding(name, f"it cannot be read as a whole: {error.why}", RESTORE)
                continue
            if why := _difference(table, loaded):
                yield Finding(name, f"its metadata {table.metadata_location} {why}", RESTORE)


def _difference(table: ReleasedTable, loaded: Table) -> str:
    """What a release's table and its metadata file do not agree about; empty where they do."""
    current = loaded.metadata.current_snapshot_id
    if str(current) != str(table.snapshot_id):
        return f"shows snapshot {current}, and the release {table.snapshot_id}"
    if loaded.schema().schema_id != table.schema_id:
        return f"has schema {loaded.schema().schema_id}, and the release {table.schema_id}"
    return ""


def _previous(at: Examination, release: Release) -> Iterator[str]:
    if release.previous is None:
        return
    key = f"releases/{release.previous.number:06d}.json"
    if release.previous.number in at.releases[1] or at.records.has(key + REPAIRED):
        return  # told where records are examined, or made anew since
    try:
        found = hashlib.sha256(at.records.store.read(key)).hexdigest()
    except FileNotFoundError:
        yield f"the record before it, {key}, is missing"
        return
    if found != release.previous.sha256:
        yield f"the record before it, {key}, is not what it was: its checksum is another one"


def _intended(at: Examination, release: Release) -> Iterator[str]:
    with suppress(DamagedError):
        intent = at.records.intent(release.number)
        if intent is None:
            yield "its write-ahead record is missing"
            return
        if intent.run_id != release.run_id:
            yield f"it is of run {release.run_id}, and its write-ahead record of run {intent.run_id}"
        for name, move in intent.tables.items():
            shown = release.tables.get(name)
            if move.metadata_location is None and shown is None:
                continue  # it was retired
            if shown is None or shown.metadata_location != move.metadata_location:
                found = shown.metadata_location if shown else "nothing"
                yield f"it names {found} for {name}, and its write-ahead record {move.metadata_location}"


def _run(at: Examination, release: Release) -> Iterator[str]:
    if not release.by_run:
        return
    try:
        manifest = at.records.manifest(release.run_id)
        if manifest is None and release.run_id in at.removed:
            return
        if manifest is None:
            known = at.records.closed(release.run_id) or seal_of(at.records, release.run_id)
            if not known and not at.may_be_alive(release.run_id) and not _is_told(at, release.run_id):
                yield f"run {release.run_id} has no run manifest, and nothing says that it was killed"
            return
    except DamagedError:  # told where records are examined
        return
    yield from _contradictions(release, manifest)


def _is_told(at: Examination, run_id: str) -> bool:
    """Whether a run without a manifest is told of as one that was killed."""
    return at.is_gone(run_id) and run_id in run_ids(at)


def _contradictions(release: Release, manifest: RunManifest) -> Iterator[str]:
    """What a release and the manifest of its run do not agree about."""
    of = f"the manifest of run {release.run_id}"
    if manifest.code.commit != release.code.commit:
        yield f"it is of commit {release.code.commit}, and {of} of commit {manifest.code.commit}"
    if manifest.release not in (None, release.number):
        yield f"{of} says that it became release {manifest.release}"
    for node in manifest.nodes:
        shown = release.tables.get(node.table or "")
        if shown is None or not shown.changed or node.change not in ("built", "same_content"):
            continue
        if node.candidate_snapshot != shown.snapshot_id:
            yield f"it shows snapshot {shown.snapshot_id} of {node.table}, and {of} says {node.candidate_snapshot}"


def _unrecorded(at: Examination, known: set[int]) -> Iterator[Finding]:
    """Runs that say they were published as a release of which there is no record."""
    known = known | _numbers(at)
    for run_id in run_ids(at):
        with suppress(DamagedError):
            manifest = at.records.manifest(run_id)
            if manifest and manifest.release and manifest.release not in known:
                yield Finding(
                    f"{at.records.store.root}/releases/{manifest.release:06d}.json",
                    f"it is missing: run {run_id} was published as release {manifest.release}",
                    "restore it from a copy",
                )


def _numbers(at: Examination) -> set[int]:
    """Numbers of which there is a record, a write-ahead record, or the note that they were withdrawn."""
    return {int(found[1]) for key in at.records.publications() if (found := _NUMBER.match(key))}


def _table(release: Release | None, name: str) -> ReleasedTable | None:
    table = release.tables.get(name) if release else None
    return table if table and table.changed else None


def _shows(table: ReleasedTable) -> set[str]:
    return {str(one) for one in (table.snapshot_id, table.rewrites) if one}
