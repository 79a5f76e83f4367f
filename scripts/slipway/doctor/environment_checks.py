"""Checks of what surrounds tables: store and clock, interrupted publications, holds, files of processes that are gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slipway.counts import plural
from slipway.doctor.examination import Examination, Finding, Heal, Remove
from slipway.engines.duckdb import engine
from slipway.errors import DamagedError
from slipway.iceberg.catalogs.next_step import Position
from slipway.iceberg.commit import positions
from slipway.processes import left_over
from slipway.records.release_records import Intent
from slipway.releases.holds import Holds
from slipway.releases.publication import check_store
from slipway.releases.published import check_file
from slipway.storage.objects import UNFINISHED


def conditional_writes(at: Examination) -> Iterator[Finding]:
    """A store that does not keep what is written once."""
    if at.has_no_catalog:  # which is reported, and whoever asks for its kind would make it
        return
    if problem := check_store(at.tables, at.records):
        what, _, fix = problem.partition(": ")
        yield Finding(at.records.store.root, what.removeprefix(f"{at.records.store.root} "), fix)


def clock(at: Examination) -> Iterator[Finding]:
    """A clock that is behind the newest release."""
    newest = max((release.published_at for release in at.releases[0]), default=at.now)
    if newest - at.now > timedelta(minutes=1):
        yield Finding(
            "clock of this machine",
            f"the newest release was published at {newest:%Y-%m-%d %H:%M:%S} UTC, which is in the future",
            "Set it: releases are ordered by time, and landed files are dated",
        )


def interrupted(at: Examination) -> Iterator[Finding]:
    """Releases that were published in part, or as a whole and not recorded."""
    if not at.intents:
        return
    try:
        check_file(at.records)
    except DamagedError:  # reported where the catalog is examined; nothing can be said of these without it
        return
    for intent in at.intents:
        if what := _state(at, intent):
            yield Finding(
                f"release {intent.number} of run {intent.run_id}",
                what,
                "The next run or publication does it, too",
                [Heal()],
            )


def holds(at: Examination) -> Iterator[Finding]:
    """A hold that was placed by a rollback which never moved anything."""
    try:
        hold = Holds(at.records).current()
    except DamagedError:  # reported where records are examined
        return
    found, damaged = at.releases
    known = {release.number for release in found} | damaged.keys() | {item.number for item in at.intents}
    if hold and hold.release not in known:
        yield Finding(
            f"hold of {hold.placed_at:%Y-%m-%d %H:%M} UTC",
            f"{hold.who} placed it with release {hold.release}, which was never published: {hold.reason}",
            "Roll back, or lift it with slipway hold --lift",
        )


def _state(at: Examination, intent: Intent) -> str:
    found = positions(at.tables, intent, at.locations)
    shown = [name for name, where in found.items() if where.shows_release]
    if len(shown) == len(found):
        return "it is published and not recorded"
    if shown:
        return f"it is published in part: {', '.join(shown)} of {plural(len(found), 'table')}"
    if at.records.is_taken_back(intent.number):
        return "it is taken back and not closed"
    if Position.ELSEWHERE in found.values():
        return "it was not published, and another was published since"
    return ""  # not begun: its process may be about to; a later publication closes it


_STILL_WRITTEN = timedelta(hours=1)


def spilled(at: Examination) -> Iterator[Finding]:
    """What DuckDB spilled for a process that is gone."""
    for path in engine.left_over_spills(engine.spills_below(at.environment.home)):
        yield _left(path, "what DuckDB spilled for a process that is gone")


_HOLDS: Mapping[str, str] = {
    "canary": "the builds of a canary",
    "ci": "the builds of slipway ci",
    "landing": "copies of landed files",
    "replay": "the builds of a replay",
    "retry": "the builds of slipway quarantine retry --dry-run",
}


def temporary_folders(at: Examination) -> Iterator[Finding]:
    """Folders for temporary files of the environment whose process is gone, such as those of a canary; the next one has git forget work trees in them."""
    for purpose, path in left_over(at.environment.home):
        held = _HOLDS.get(purpose, "temporary files")
        yield _left(path, f"it holds {held}, and the process that made it is gone")


def half_written(at: Examination) -> Iterator[Finding]:
    """Files of records that a process did not finish writing; on S3 there are none."""
    root = Path(at.records.store.root.removeprefix("file://"))
    if not root.is_dir():
        return
    for path in sorted(root.rglob(f"{UNFINISHED}*")):
        with suppress(FileNotFoundError):  # it was written meanwhile
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if at.now - written > _STILL_WRITTEN:
                yield _left(path, "a record that a process did not finish writing")


def _left(path: Path, what: str) -> Finding:
    return Finding(str(path), what, "Delete it", [Remove(str(path))])
