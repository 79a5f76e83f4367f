"""Which runs retention removed, so that nobody takes their records for lost: below ``removed/``, compressed, one file as a rule."""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

from slipway.errors import DamagedError, UnavailableError
from slipway.records.record_files import read_record
from slipway.records.run_manifest import RemovedRuns
from slipway.storage.objects import ObjectStore

FOLDER = "removed"
_SUFFIX = ".json.gz"
_ATTEMPTS = 5


def stored_run_ids(store: ObjectStore) -> Iterator[str]:
    """Ids of all runs of which there is a folder, newest first, one date folder at a time."""
    for day in reversed(store.folders("runs")):
        yield from reversed(store.folders(f"runs/{day}"))


def run_ids(store: ObjectStore) -> Iterator[str]:
    """The same without runs whose removal was interrupted.

    The newest run is never removed, so whoever needs no other does not pay for looking.
    """
    removed: Mapping[str, str] | None = None
    for number, run_id in enumerate(stored_run_ids(store)):
        if number and removed is None:
            try:
                removed = removed_runs(store)
            except DamagedError:
                removed = {}  # slipway doctor tells of it; all folders but one that is half gone are right
        if not removed or run_id not in removed:
            yield run_id


def removed_runs(store: ObjectStore) -> dict[str, str]:
    """Ids of the runs that retention removed, to the day on which it did, ``YYYY-MM-DD``.

    Raises:
        DamagedError: a list of them cannot be read.
        UnavailableError: the store does not answer, or the lists are replaced all the time.
    """
    return _lists(store)[1]


def note_removed(store: ObjectStore, name: str, run_ids: Collection[str], day: str) -> None:
    """Write down that runs are removed, before they are; earlier lists are put together with the new one.

    Raises:
        DamagedError: an earlier list cannot be read.
    """
    earlier, before = _lists(store)
    if len(earlier) == 1 and before.keys() >= set(run_ids):
        return
    runs = dict.fromkeys(sorted(run_ids), day) | before
    content = RemovedRuns(runs=dict(sorted(runs.items()))).model_dump_json().encode()
    store.create(f"{FOLDER}/{name}{_SUFFIX}", gzip.compress(content, mtime=0))
    store.delete(earlier)  # what they say, the new one says


def why_missing(store: ObjectStore, text: str) -> str:
    """Why there is no run whose id has a text in it: retention removed it; empty where it did not."""
    removed = removed_runs(store)
    found = [run_id for run_id in removed if text and text in run_id]
    if not found:
        return ""
    if len(found) > 1:
        return f"retention removed the records of {len(found)} such runs: vars keep_run_days"
    return f"retention removed the records of run {found[0]} on {removed[found[0]]}: vars keep_run_days"


def _lists(store: ObjectStore) -> tuple[list[str], dict[str, str]]:
    """The keys of the lists, and what they say together."""
    for _ in range(_ATTEMPTS):
        keys = [item.key for item in store.entries(FOLDER) if item.key.endswith(_SUFFIX)]
        with suppress(FileNotFoundError):  # put together with another meanwhile
            lists = [read_record(store, RemovedRuns, key).runs for key in keys]
            return keys, {run_id: day for runs in lists for run_id, day in runs.items()}
    raise UnavailableError(
        f"{store.root}/{FOLDER} cannot be read", "its files change all the time", "Try again"
    )
