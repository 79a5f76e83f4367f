"""Records that are damaged: told with their place, never changed; a release record is made anew from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from slipway.adapters.health.examination import Examination
from slipway.adapters.health.runs import run_ids
from slipway.adapters.holds import Holds
from slipway.adapters.iceberg.catalogs.commit import guarantee
from slipway.adapters.record_files import REPAIRED, parse_record
from slipway.adapters.releases import released_table
from slipway.adapters.removed import removed_runs
from slipway.domain.errors import DamagedError, ForeignError, SlipwayError
from slipway.domain.health import Finding, WriteBeside
from slipway.domain.manifest import Code
from slipway.domain.release import Intent, Move, Release


def finding(error: DamagedError) -> Finding:
    """What a record that cannot be read is told as, whoever reads it."""
    where, _, what = error.what.partition(" cannot be ")
    return Finding(where, f"cannot be {what}: {error.why}", error.fix)


def of_releases(at: Examination) -> Iterator[Finding]:
    """Release records, write-ahead records and holds."""
    _, damaged = at.releases
    for number, error in damaged.items():
        found = finding(error)
        made = None if isinstance(error, ForeignError) else _made_anew(at, number)
        yield Finding(found.where, found.what, found.fix, [made] if made else [])
    for key in at.records.open_keys():
        try:
            at.records.read_intent(key)
        except DamagedError as error:
            found = finding(error)
            made = None if isinstance(error, ForeignError) else _intent(at, key)
            yield Finding(found.where, found.what, found.fix, [made] if made else [])
    yield from _told(lambda: Holds(at.records).current())
    yield from _told(lambda: removed_runs(at.records.store))


def of_runs(at: Examination) -> Iterator[Finding]:
    """Run manifests, candidate records and dbt's manifests."""
    shown = {release.run_id for release in at.releases[0][-1:]}
    for run_id in run_ids(at):
        yield from _told(lambda run_id=run_id: at.records.manifest(run_id))  # type: ignore[misc]
        yield from _told(lambda run_id=run_id: at.records.candidate(run_id))  # type: ignore[misc]
        yield from _told(lambda run_id=run_id: at.records.closed(run_id))  # type: ignore[misc]
        if at.deep or run_id in shown:  # dbt's are large
            yield from _told(lambda run_id=run_id: at.records.dbt_manifest(run_id))  # type: ignore[misc]


def _told(read: Callable[[], object]) -> Iterator[Finding]:
    try:
        read()
    except DamagedError as error:
        yield finding(error)


def _made_anew(at: Examination, number: int) -> WriteBeside | None:
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
    return WriteBeside(key + REPAIRED, text)


def _before(at: Examination, intent: Intent) -> Release | None:
    """The last release that showed all tables of a publication as they were before it."""
    bases = {name: move.base for name, move in intent.tables.items()}
    alike = [
        release
        for release in at.releases[0]
        if all(_location(release, name) == base for name, base in bases.items())
    ]
    if alike:
        return alike[-1]
    # another program set a property in between: the one with the number before
    lower = [release for release in at.releases[0] if release.number < intent.number]
    return max(lower, key=lambda release: release.number, default=None)


def _location(release: Release, name: str) -> str | None:
    known = release.tables.get(name)
    return known.metadata_location if known else None


def _intent(at: Examination, key: str) -> WriteBeside | None:
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
        if candidate and all(record["release"] == number for record in candidate):
            moves = {
                ".".join(record["table"]): Move(
                    base=record["base"],
                    metadata_location=None if record["retires"] else record["metadata_location"],
                )
                for record in candidate
            }
            code = manifest.code if manifest else Code(commit=None, dirty=True)
            made = Intent(number=number, run_id=run_id, code=code, tables=moves)
            return WriteBeside(key + REPAIRED, made.model_dump_json(indent=1))
    return None


def _release(at: Examination, intent: Intent, before: Release | None) -> Release:
    tables = {
        name: table.model_copy(update={"changed": False})
        for name, table in (before.tables if before else {}).items()
    }
    staged_at = before.published_at + timedelta(milliseconds=1) if before else datetime.fromtimestamp(0, UTC)
    for name, move in intent.tables.items():
        namespace, _, table = name.rpartition(".")
        if move.metadata_location is None:
            tables.pop(name, None)
            continue
        loaded = at.tables.load((namespace, table), move.metadata_location)
        tables[name] = released_table(loaded, intent)
        staged_at = max(staged_at, datetime.fromtimestamp(loaded.metadata.last_updated_ms / 1000, UTC))
    return Release(
        number=intent.number,
        run_id=intent.run_id,
        target=at.environment.name,
        published_at=staged_at,
        code=intent.code,
        guarantee=guarantee(at.tables.catalog),
        tables=tables,
        rolls_back=intent.rolls_back,
        retirement=intent.retirement,
        retired={
            name: move.base
            for name, move in intent.tables.items()
            if move.metadata_location is None and move.base
        },
        returns_to=intent.returns_to,
        reason=intent.reason,
        previous=at.records.previous(before),
    )
