"""Checks of records: damaged ones, runs whose process is gone, and records that contradict each other or the tables."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from pyiceberg.table import Table

from slipway.counts import plural
from slipway.doctor.examination import (
    CloseRun,
    EndLease,
    Examination,
    Finding,
    KeepLog,
    Remove,
    Sign,
    Step,
    WriteReplacement,
)
from slipway.errors import (
    DamagedError,
    DamagedTableError,
    ForeignError,
    NotFoundError,
    SlipwayError,
    UnavailableError,
)
from slipway.iceberg.catalogs.movers import can_be_published_on
from slipway.iceberg.snapshots import release_tags
from slipway.names import TableName
from slipway.records.record_files import REPAIRED, parse_record
from slipway.records.release_records import CandidateTable, Intent, Move, Release, ReleasedTable
from slipway.records.run_manifest import Code, Outcome, RunManifest
from slipway.records.store import RESTORE, SEAL, Records, broken, made_anew, removed_runs, seal_of
from slipway.releases.holds import Holds
from slipway.releases.lease_rules import Standing
from slipway.releases.publication import released_table
from slipway.releases.signatures import signed_numbers
from slipway.signing.signing_keys import has_key

LOG = "log.jsonl"
"""Name of a run's log among its records, where it is compressed."""
NEWEST = 50
"""Runs whose records are read, unless all are wanted."""
_UNENDED = "its process ended before it wrote a run manifest: it was killed, or could not write"


def run_ids(at: Examination) -> list[str]:
    """The runs to look at, newest first."""
    return list(islice(at.records.run_ids(), None if at.deep else NEWEST))


def signatures(at: Examination) -> Iterator[Finding]:
    """Releases that could be signed and are not: their process died, or had no key. Those from before anything was signed are left as they are."""
    if not has_key(at.environment):
        return
    signed, known = signed_numbers(at.records), at.releases[0]
    begun = min(signed, default=known[-1].number if known else 0)
    for release in known:
        wanted = release.signing_key or release.number >= begun
        if not wanted or release.number in signed or not _can_be_signed(at, release):
            continue
        yield Finding(
            f"release {release.number}",
            "it is not signed: its process died before that, or had no key",
            f"Check it with slipway show {release.run_id}; signed now, its statement says that it was signed afterwards",
            [Sign(release.number)],
        )


def _can_be_signed(at: Examination, release: Release) -> bool:
    if not release.by_run:
        return True
    if at.may_be_alive(release.run_id) or seal_of(at.records, release.run_id) is None:
        return False
    return not any(broken(at.records, release.run_id))


def leases(at: Examination) -> Iterator[Finding]:
    """Leases of runs that are gone; the next run on the same tables takes them over."""
    for run_id, found in at.leases.items():
        if found.standing is not Standing.LIVE:
            why = "its process is gone" if found.standing is Standing.DEAD else "nobody renews it"
            steps = [EndLease(run_id)]
            yield Finding(f"lease of run {run_id}", why, "The next run on its tables takes it over", steps)


def killed(at: Examination) -> Iterator[Finding]:
    """Runs that have no run manifest, or a log that nobody writes any more."""
    known = run_ids(at)
    for run_id in [*known, *(name for name in at.logs if name not in known)]:
        if at.is_gone(run_id) and (found := _killed(at, run_id)):
            yield found


def _killed(at: Examination, run_id: str) -> Finding | None:
    try:
        ended = any(
            read(run_id) is not None
            for read in (at.records.manifest, at.records.closed, partial(seal_of, at.records))
        )
        staged = len(at.records.candidate(run_id))
    except DamagedError:  # reported where records are examined
        ended, staged = True, 0
    steps: list[Step] = []
    if run_id in at.logs:
        log, kept = str(at.logs[run_id]), kept_log(at.records, run_id, LOG)
        is_kept = kept == at.logs[run_id].read_bytes()
        steps.append(Remove(log) if is_kept else KeepLog(run_id, log))
    if not ended:
        steps.append(CloseRun(run_id, _UNENDED))
    if not steps:
        return None
    had_staged = f"{_UNENDED}; it had staged {plural(staged, 'table')}"
    what = "its log was left behind" if ended else had_staged
    return Finding(f"run {run_id}", what, "Readers are not affected; run again", steps)


def kept_log(records: Records, run_id: str, name: str) -> bytes | None:
    """A log among the records of a run, which an older slipway did not compress; None where there is none that can be read."""
    for kept in (f"{name}.gz", name):
        with suppress(NotFoundError, OSError, EOFError, zlib.error):
            content = records.read(run_id, kept)
            return gzip.decompress(content) if kept.endswith(".gz") else content
    return None


def superseded(at: Examination) -> Iterator[Finding]:
    """The newest staged run, when a table that it builds on was published by another since."""
    released = {release.run_id for release in at.releases[0]}
    for run_id in run_ids(at):
        try:
            manifest = at.records.manifest(run_id)
            if manifest is None or manifest.outcome is not Outcome.STAGED or run_id in released:
                continue
            if at.records.closed(run_id) is not None:
                return
            candidate = at.records.candidate(run_id)
        except DamagedError:
            continue
        moved = [str(record.name) for record in candidate if not _can_follow(at, record)]
        if moved:
            why = f"another published {', '.join(moved)} since"
            yield Finding(
                f"run {run_id}",
                f"it is staged and cannot be published any more: {why}",
                "Run again, and publish that run",
                [CloseRun(run_id, why.replace("another", "another run"))],
            )
        return


def _can_follow(at: Examination, record: CandidateTable) -> bool:
    now = at.locations.get(record.name)
    try:
        return now == record.metadata_location or can_be_published_on(
            at.tables, record.name, record.base, now
        )
    except UnavailableError:
        return False


def scratch(at: Examination) -> Iterator[Finding]:
    """Scratch environments of slices whose run did not end."""
    folder = at.environment.home / "scratch"
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not at.is_gone(path.name) or path.name in at.logs:
            continue  # with a log it is a finding of its own, and this one after it
        try:
            ended = Records(at.environment.scratch(path)).manifest(path.name) is not None
        except DamagedError:  # of another target, whose slice may be whole; or reported to nobody, and kept
            ended = True
        if not ended:
            yield Finding(
                f"scratch environment {path}",
                "the run that made it did not end",
                "Nothing of it was published; delete it",
                [Remove(str(path))],
            )


def finding(error: DamagedError, made_anew: Callable[[], WriteReplacement | None] = lambda: None) -> Finding:
    """How a record that cannot be read is reported, whoever reads it.

    Args:
        error: why it cannot be read.
        made_anew: makes it from other records, unless it is another version's or environment's.
    """
    where, _, what = error.what.partition(" cannot be ")
    step = None if isinstance(error, ForeignError) else made_anew()
    return Finding(where, f"cannot be {what}: {error.why}", error.fix, [step] if step else [])


def of_releases(at: Examination) -> Iterator[Finding]:
    """Release records, write-ahead records and holds."""
    _, damaged = at.releases
    for number, error in damaged.items():
        yield finding(error, partial(_made_anew, at, number))
    for key in at.records.open_keys():
        try:
            at.records.read_intent(key)
        except DamagedError as error:
            yield finding(error, partial(_intent, at, key))
    yield from _damage(Holds(at.records).current)
    yield from _damage(partial(removed_runs, at.records.store))


def of_runs(at: Examination) -> Iterator[Finding]:
    """Run manifests, candidate records and dbt's manifests."""
    shown = {release.run_id for release in at.releases[0][-1:]}
    for run_id in run_ids(at):
        for read in (at.records.manifest, at.records.candidate, at.records.closed):
            yield from _damage(partial(read, run_id))
        if at.deep or run_id in shown:  # dbt's are large
            yield from _damage(partial(at.records.dbt_manifest, run_id))


def _damage(read: Callable[[], object]) -> Iterator[Finding]:
    try:
        read()
    except DamagedError as error:
        yield finding(error)


def _made_anew(at: Examination, number: int) -> WriteReplacement | None:
    """The release record that follows from the record before it and the write-ahead record.

    None where something else is missing.
    """
    if at.has_no_catalog:
        return None
    key = f"releases/{number:06d}.json"
    try:
        intent = at.records.intent(number)
        if intent is None or at.records.has(f"{key}{REPAIRED}"):
            return None
        made = _release(at, intent, _before(at, intent))
    except SlipwayError:
        return None
    text = made.model_dump_json(indent=1)
    parse_record(Release, text.encode(), key, number=number, target=at.environment.name)
    return WriteReplacement(key + REPAIRED, text)


def _before(at: Examination, intent: Intent) -> Release | None:
    """The last release that showed all tables of a publication as they were before it."""
    bases = {name: move.base for name, move in intent.tables.items()}
    alike = [
        release
        for release in at.releases[0]
        if all(
            getattr(release.tables.get(name), "metadata_location", None) == base
            for name, base in bases.items()
        )
    ]
    if alike:
        return alike[-1]
    # another program set a property in between: the one with the number before
    lower = [release for release in at.releases[0] if release.number < intent.number]
    return max(lower, key=lambda release: release.number, default=None)


def _intent(at: Examination, key: str) -> WriteReplacement | None:
    """The write-ahead record that follows from the candidate with its number; what was published is then found out.

    None for a rollback, whose candidate does not say what it returns to, and where a record is missing.
    """
    number = int(key.rpartition("/")[2].partition(".")[0])
    if at.records.has(f"{key}{REPAIRED}"):
        return None
    for run_id in run_ids(at):
        try:
            candidate, manifest = at.records.candidate(run_id), at.records.manifest(run_id)
        except DamagedError:
            continue
        if candidate and all(record.release == number for record in candidate):
            moves = {
                str(record.name): Move(
                    base=record.base,
                    metadata_location=None if record.retires else record.metadata_location,
                )
                for record in candidate
            }
            code = manifest.code if manifest else Code(commit=None, dirty=True)
            made = Intent(number=number, run_id=run_id, code=code, tables=moves)
            return WriteReplacement(key + REPAIRED, made.model_dump_json(indent=1))
    return None


def _release(at: Examination, intent: Intent, before: Release | None) -> Release:
    tables = {
        name: table.model_copy(update={"changed": False})
        for name, table in (before.tables if before else {}).items()
    }
    staged_at = before.published_at + timedelta(milliseconds=1) if before else datetime.fromtimestamp(0, UTC)
    for name, move in intent.tables.items():
        if move.metadata_location is None:
            tables.pop(name, None)
            continue
        loaded = at.tables.load(TableName.parse(name), move.metadata_location)
        tables[name] = released_table(loaded, intent)
        staged_at = max(staged_at, datetime.fromtimestamp(loaded.metadata.last_updated_ms / 1000, UTC))
    return intent.published(
        target=at.environment.name,
        published_at=staged_at,
        guarantee=at.tables.kind.guarantee(whole=False),
        tables=tables,
        previous=at.records.previous(before),
    )


_NUMBER = re.compile(r"releases/(\d+)\.")


def seals(at: Examination) -> Iterator[Finding]:
    """Records of runs that are not what the run wrote; dbt's large ones only when all is looked at."""
    for run_id in run_ids(at):
        where = at.records.location(run_id)
        with suppress(DamagedError):  # reported where records are examined
            for name, why in broken(at.records, run_id, large=at.deep):
                yield Finding(f"{where}/{name}", why, RESTORE)
            if made := made_anew(at.records, run_id):
                key = f"{at.records.folder(run_id)}/{SEAL}"
                what = "it is missing: it was removed, or the run was killed before it wrote it"
                yield Finding(f"{where}/{SEAL}", what, RESTORE, [WriteReplacement(key, made)])


def releases(at: Examination) -> Iterator[Finding]:
    """Release records, compared with their runs, their write-ahead records and the record before them."""
    known = {release.number for release in at.releases[0]} | at.releases[1].keys()
    for release in at.releases[0]:
        where = f"{at.records.store.root}/releases/{release.number:06d}.json"
        for why in (*_previous(at, release), *_intended(at, release), *_run(at, release)):
            yield Finding(where, why, RESTORE)
    yield from _unrecorded(at, known)


def tags(at: Examination) -> Iterator[Finding]:
    """Tags of releases in the published tables that no record is of, or that name another snapshot than it does."""
    changed = {
        (release.number, name): table
        for release in at.releases[0]
        for name, table in release.tables.items()
        if table.changed
    }
    ended = _numbers(at)
    lost: dict[int, list[str]] = {}
    for identifier, location in sorted(at.locations.items()):
        name = str(identifier)
        try:
            metadata = at.tables.load(identifier, location).metadata
            named = {tag: metadata.refs[tag].snapshot_id for tag in release_tags(metadata)}
        except UnavailableError:  # reported where files are examined
            continue
        for tag, snapshot_id in named.items():
            number = int(tag.removeprefix("release-"))
            if number not in ended:
                lost.setdefault(number, []).append(name)
            elif (table := changed.get((number, name))) and str(snapshot_id) not in (
                table.snapshot_id,
                table.rewrites,
            ):
                yield Finding(
                    name,
                    f"its tag {tag} names snapshot {snapshot_id}, and the record of release {number} snapshot "
                    f"{table.snapshot_id}",
                    f"Restore releases/{number:06d}.json from a copy, or tag the right snapshot",
                )
    for number, names in sorted(lost.items()):
        yield Finding(
            f"{at.records.store.root}/releases/{number:06d}.json",
            f"it is missing: {', '.join(names)} has the tag of release {number}, which was published",
            "Restore it from a copy",
        )


def states(at: Examination) -> Iterator[Finding]:
    """Metadata files that are not what the release recorded: of the newest release, or of all when all is looked at."""
    if at.has_no_catalog:  # which is reported, and whoever opens it makes it
        return
    looked_at: set[str] = set()
    for release in reversed(at.releases[0] if at.deep else at.releases[0][-1:]):
        for name, table in sorted(release.tables.items()):
            if table.metadata_location in looked_at:
                continue
            looked_at.add(table.metadata_location)
            try:
                loaded = at.tables.load(TableName.parse(name), table.metadata_location)
            except DamagedTableError as error:
                if not isinstance(error.__cause__, FileNotFoundError):  # or else removed by maintenance
                    yield Finding(name, f"it cannot be read as a whole: {error.why}", RESTORE)
                continue
            if why := _difference(table, loaded):
                yield Finding(name, f"its metadata {table.metadata_location} {why}", RESTORE)


def _difference(table: ReleasedTable, loaded: Table) -> str:
    """What a release's table and its metadata file do not agree about, if anything."""
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
        return  # reported where records are examined, or made anew since
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
            killed = at.is_gone(release.run_id) and release.run_id in run_ids(at)  # which is reported
            if not known and not at.may_be_alive(release.run_id) and not killed:
                yield f"run {release.run_id} has no run manifest, and nothing says that it was killed"
            return
    except DamagedError:  # reported where records are examined
        return
    yield from _contradictions(release, manifest)


def _contradictions(release: Release, manifest: RunManifest) -> Iterator[str]:
    """What a release and the manifest of its run do not agree about."""
    of = f"the manifest of run {release.run_id}"
    if manifest.code.commit != release.code.commit:
        yield f"it is of commit {release.code.commit}, and {of} of commit {manifest.code.commit}"
    if manifest.release not in (None, release.number):
        yield f"{of} says that it became release {manifest.release}"
    for node in manifest.nodes:
        shown = release.tables.get(node.table or "")
        if shown is None or not shown.changed or not node.change.stages:
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
                    "Restore it from a copy",
                )


def _numbers(at: Examination) -> set[int]:
    """Numbers of which there is a record, a write-ahead record, or the note that they were withdrawn."""
    return {int(found[1]) for key in at.records.publications() if (found := _NUMBER.match(key))}
