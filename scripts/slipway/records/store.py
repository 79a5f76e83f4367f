"""Records of runs and releases in the warehouse, under ``_slipway/``: written once, never changed.

A run's records have checksums next to them. Which runs retention removed is noted below ``removed/``, compressed, one file as a rule.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from slipway.counts import plural
from slipway.environments.environment import Environment
from slipway.errors import DamagedError, NotFoundError, UnavailableError
from slipway.records.record_files import (
    REPAIRED,
    find_record,
    keep_dbt_manifest,
    name_again,
    read_dbt_manifest,
    read_record,
)
from slipway.records.release_records import CandidateTable, Intent, PreviousRelease, Release
from slipway.records.run_ids import run_date
from slipway.records.run_manifest import Checksums, Closed, RemovedRuns, RunManifest
from slipway.secrets import one_line
from slipway.storage.objects import ObjectStore, object_store

ROOT = "_slipway"
PROMOTIONS = "promotions"
"""Folder of what came with releases of other environments."""
SEAL = "checksums.json"
"""Name of the record in a run's folder that has the checksums of the others."""
RESTORE = "Restore it from a copy; slipway doctor says what else was changed"
_SEALED_FROM = 2  # schema version of the run manifests that have checksums next to them
_LARGE = "dbt/"
_REMOVED, _SUFFIX = "removed", ".json.gz"
_ATTEMPTS = 5
_OF_RELEASE = re.compile(r"releases/(\d{6,})\.\w+")
_OF_TABLE = re.compile(r"(?P<table>[^/]+?)\.json(\.\d{6})?")


class Records:
    """Run folders and release records of one environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._sums: dict[str, dict[str, str]] = {}
        self.store: ObjectStore = object_store(
            f"{environment.warehouse}/{ROOT}", environment.catalog_properties
        )

    def folder(self, run_id: str) -> str:
        """The run's folder, relative to the records' root."""
        return f"runs/{run_date(run_id)}/{run_id}"

    def location(self, run_id: str) -> str:
        """The run's folder as a URI."""
        return f"{self.store.root}/{self.folder(run_id)}"

    def write(self, run_id: str, name: str, content: bytes | str) -> None:
        """Create one object in a run's folder."""
        written = content.encode() if isinstance(content, str) else content
        self.store.create(f"{self.folder(run_id)}/{name}", written)
        self._sums.setdefault(run_id, {})[name] = hashlib.sha256(written).hexdigest()

    def write_compressed(self, run_id: str, name: str, content: bytes) -> None:
        """Create one object in a run's folder, compressed; it is named ``<name>.gz``."""
        self.write(run_id, f"{name}.gz", gzip.compress(content, mtime=0))

    def write_dbt_manifest(self, run_id: str, content: bytes) -> None:
        """Keep dbt's manifest of a run: what is the same in other runs once for all of them."""
        self.write(run_id, "dbt/manifest.json", keep_dbt_manifest(self.store, content))

    def dbt_manifest_again(self, run_id: str) -> bytes:
        """What a run keeps of dbt's manifest that has the same as an earlier run's.

        Raises:
            NotFoundError: that run kept none.
            DamagedError: what both name is not there.
        """
        content = self.read(run_id, "dbt/manifest.json")
        name_again(self.store, content, self.location(run_id))
        return content

    def seal(self, run_id: str) -> None:
        """Write down the checksums of what this process wrote in a run's folder, its run manifest among them."""
        sums = Checksums(run_id=run_id, sha256=dict(sorted(self._sums.get(run_id, {}).items())))
        self.write(run_id, SEAL, sums.model_dump_json(indent=1))

    def read(self, run_id: str, name: str) -> bytes:
        """Read one object of a run's folder.

        Raises:
            NotFoundError: the run has no such object.
        """
        try:
            return self.store.read(f"{self.folder(run_id)}/{name}")
        except FileNotFoundError:
            raise NotFoundError(f"Run {run_id} has no {name}", fix="List runs with slipway runs") from None

    def candidate(self, run_id: str) -> list[CandidateTable]:
        """The staged tables that a run wrote down, each as it was in the end.

        Raises:
            DamagedError: one of them cannot be read.
        """
        return self._staged(f"{self.folder(run_id)}/candidate")

    def write_rollback(self, number: int, table: str, content: str) -> None:
        """Write down a table that was staged for a rollback, a retirement or a promotion."""
        self.store.create(f"rollbacks/{number:06d}/{table}.json", content.encode())

    def staged_for(self, intent: Intent) -> list[CandidateTable]:
        """The staged tables that a publication is of: a run's, or those of a rollback, retirement or promotion."""
        if not intent.by_run:
            return self._staged(f"rollbacks/{intent.number:06d}")
        return self.candidate(intent.run_id)

    def _staged(self, folder: str) -> list[CandidateTable]:
        last: dict[str, str] = {}
        for item in self.store.entries(folder):
            if named := _OF_TABLE.fullmatch(item.key.removeprefix(f"{folder}/")):
                last[named["table"]] = item.key
        found = []
        for table, key in last.items():
            record = read_record(self.store, CandidateTable, key)
            if str(record.name) != table:
                raise DamagedError(
                    f"{self.store.root}/{key} cannot be used",
                    f"it is of {record.name}",
                    "Run again",
                )
            found.append(record)
        return found

    def run_ids(self) -> Iterator[str]:
        """Ids of all runs, newest first, one date folder at a time; without those that retention removed.

        The newest run is never removed, so whoever needs no other does not pay for looking.
        """
        removed: Mapping[str, str] | None = None
        for number, run_id in enumerate(stored_run_ids(self.store)):
            if number and removed is None:
                try:
                    removed = removed_runs(self.store)
                except DamagedError:
                    removed = {}  # slipway doctor reports it; all folders but one that is half gone are right
            if not removed or run_id not in removed:
                yield run_id

    def manifest(self, run_id: str) -> RunManifest | None:
        """A run's manifest, None when the run did not come to write one.

        Raises:
            DamagedError: the file is not this run's manifest in a version this program knows.
        """
        key, target = f"{self.folder(run_id)}/run_manifest.json", self.environment.name
        return find_record(self.store, RunManifest, key, run_id=run_id, target=target)

    def promoted_manifest(self, run_id: str) -> tuple[RunManifest, bytes] | None:
        """The manifest of a run of another environment that came with a promotion, and its bytes; None where none did.

        Raises:
            DamagedError: it cannot be read.
        """
        name = f"/runs/{run_id}.json"
        keys = [item.key for item in self.store.entries(PROMOTIONS) if item.key.endswith(name)]
        if not keys:
            return None
        return read_record(self.store, RunManifest, keys[-1], run_id=run_id), self.store.read(keys[-1])

    def dbt_manifest(self, run_id: str) -> dict[str, Any] | None:
        """dbt's manifest.json of a run, None when it was not kept; that of a run of another environment if it came with a promotion.

        Raises:
            DamagedError: the file is no manifest of dbt.
        """
        with suppress(FileNotFoundError):
            return read_dbt_manifest(self.store, f"{self.folder(run_id)}/dbt/manifest.json")
        name = f"/dbt/{run_id}.json"
        keys = [item.key for item in self.store.entries(PROMOTIONS) if item.key.endswith(name)]
        return read_dbt_manifest(self.store, keys[-1]) if keys else None

    def run_results(self, run_id: str) -> dict[str, Any] | None:
        """dbt's run_results.json of a run, None for a run that did not come to execute nodes.

        Raises:
            DamagedError: the file is no such file.
        """
        name = "dbt/run_results.json.gz"
        try:
            found: dict[str, Any] = json.loads(gzip.decompress(self.read(run_id, name)))
        except NotFoundError:
            return None
        except (OSError, EOFError, ValueError) as error:
            raise DamagedError(
                f"{name} of run {run_id} cannot be read", one_line(str(error)), "slipway doctor"
            ) from None
        return found

    def close(self, run_id: str, closed: Closed) -> None:
        """Record that a run which did not end will never end."""
        with suppress(FileExistsError):
            self.write(run_id, "closed.json", closed.model_dump_json(indent=1))

    def closed(self, run_id: str) -> Closed | None:
        """Why a run is not going to come to its end, None when nobody said so."""
        return find_record(self.store, Closed, f"{self.folder(run_id)}/closed.json")

    def find_run(self, text: str) -> str:
        """The run that an id, a unique part of it or ``latest`` names.

        Raises:
            NotFoundError: none or several.
        """
        if text == "latest":
            for run_id in self.run_ids():
                return run_id
            raise NotFoundError("There is no run yet", fix="Start one with slipway run")
        matching = [run_id for run_id in self.run_ids() if text and text in run_id]
        if len(matching) != 1:
            why = (
                f"{plural(len(matching), 'run', 'match', 'matches')}"
                if matching
                else why_missing(self.store, text) or "no such run"
            )
            raise NotFoundError(f"Run {text}", why, "List runs with slipway runs")
        return matching[0]

    def reserve(self) -> int:
        """Take the next release number; it is not given out again even when it is never used."""
        number = max((_number(key) for key in self._keys("")), default=0) + 1
        while True:
            try:
                self.store.create(f"releases/{number:06d}.reserved", b"")
                return number
            except FileExistsError:
                number += 1

    def write_intent(self, intent: Intent) -> None:
        """Say that a release is about to be published; again when an earlier attempt did not end."""
        key = f"releases/{intent.number:06d}.publishing"
        try:
            self.store.create(key, intent.model_dump_json(indent=1).encode())
        except FileExistsError:
            if self.read_intent(key).run_id != intent.run_id:
                raise

    def take_back(self, number: int) -> None:
        """Say that a release of which tables were moved is going to be taken back, by whoever goes on with it."""
        with suppress(FileExistsError):
            self.store.create(f"releases/{number:06d}.withdrawing", b"")

    def is_taken_back(self, number: int) -> bool:
        """Whether a release is going to be taken back."""
        try:
            self.store.read(f"releases/{number:06d}.withdrawing")
        except FileNotFoundError:
            return False
        return True

    def withdraw(self, number: int, kept: Sequence[str] = ()) -> None:
        """Say that a release was not published after all, except tables that could not be put back."""
        with suppress(FileExistsError):
            self.store.create(f"releases/{number:06d}.withdrawn", "\n".join(kept).encode())

    def publications(self) -> list[str]:
        """Keys of all records of publications: another list means that one began or ended meanwhile."""
        return [key for key in self._keys("") if not key.endswith(".reserved")]

    def open_intents(self) -> list[Intent]:
        """Releases that were to be published, and neither recorded nor withdrawn.

        Raises:
            DamagedError: one of them cannot be read, so it is not known what was published.
        """
        return [self.read_intent(key) for key in self.open_keys()]

    def open_keys(self) -> list[str]:
        """Keys of what ``open_intents`` reads."""
        keys = self.publications()
        ended = {_number(key) for key in keys if key.endswith((".json", ".withdrawn"))}
        return [key for key in keys if key.endswith(".publishing") and _number(key) not in ended]

    def intent(self, number: int) -> Intent | None:
        """The write-ahead record of a release, None when there is none."""
        return find_record(self.store, Intent, f"releases/{number:06d}.publishing", number=number)

    def has(self, key: str) -> bool:
        """Whether there is a record with a key."""
        return any(item.key == key for item in self.store.entries(key.rpartition("/")[0]))

    def write_release(self, release: Release) -> None:
        """Record a release that was published; one that another command recorded meanwhile stays as it is."""
        with suppress(FileExistsError):
            self.store.create(
                f"releases/{release.number:06d}.json", release.model_dump_json(indent=1).encode()
            )

    def last_release(self) -> Release | None:
        """The recorded release of the highest number.

        Raises:
            DamagedError: its record cannot be read.
        """
        keys = self.release_keys()
        return self._release(keys[-1]) if keys else None

    def releases(self) -> list[Release]:
        """Published releases in the order they were published.

        Raises:
            DamagedError: the record of one cannot be read.
        """
        found, damaged = self.readable_releases()
        for error in damaged.values():
            raise error
        return found

    def readable_releases(self) -> tuple[list[Release], dict[int, DamagedError]]:
        """Published releases whose records can be read, in the order they were published; the others by number."""
        found: list[Release] = []
        damaged: dict[int, DamagedError] = {}
        for key in self.release_keys():
            try:
                found.append(self._release(key))
            except DamagedError as error:
                damaged[_number(key)] = error
        return sorted(found, key=lambda release: release.published_at), damaged

    def previous(self, last: Release | None) -> PreviousRelease | None:
        """What the record of the next release says of the last one."""
        if last is None:
            return None
        content = self.store.read(f"releases/{last.number:06d}.json")
        return PreviousRelease(number=last.number, sha256=hashlib.sha256(content).hexdigest())

    def release_keys(self) -> list[str]:
        """Keys of all release records, in order of their number."""
        return self._keys(".json")

    def _keys(self, suffix: str) -> list[str]:
        """Keys of what there is about releases; what others put into the folder is none of it."""
        keys = (item.key for item in self.store.entries("releases"))
        named = [key for key in keys if _OF_RELEASE.fullmatch(key) and key.endswith(suffix)]
        return sorted(named, key=lambda key: (_number(key), key))

    def read_intent(self, key: str) -> Intent:
        """The write-ahead record with a key."""
        return read_record(self.store, Intent, key, number=_number(key))

    def _release(self, key: str) -> Release:
        target = self.environment.name
        return read_record(self.store, Release, key, number=_number(key), target=target)


def _number(key: str) -> int:
    return int(key.rpartition("/")[2].partition(".")[0])


def seal_of(records: Records, run_id: str) -> Checksums | None:
    """The checksums of a run's records; None for a run that did not end, or of an older slipway.

    Raises:
        DamagedError: they cannot be read.
    """
    return find_record(records.store, Checksums, f"{records.folder(run_id)}/{SEAL}", run_id=run_id)


def broken(records: Records, run_id: str, *, large: bool = True) -> Iterator[tuple[str, str]]:
    """Records of a run that are not what it wrote.

    A good copy next to a record counts for it.

    Yields:
        name of the record below the run's folder, and what is wrong with it.

    Raises:
        DamagedError: the checksums themselves cannot be read.
    """
    sums = seal_of(records, run_id)
    for name, wanted in sums.sha256.items() if sums else ():
        if not large and name.startswith(_LARGE):
            continue
        found = [hashlib.sha256(one).hexdigest() for one in _contents(records, run_id, name)]
        if not found:
            yield name, "it is missing, and the run wrote it"
        elif wanted not in found:
            yield name, "it is not what the run wrote: its checksum is another one"


def made_anew(records: Records, run_id: str) -> str:
    """Checksums for a run that ended without them, of its records as they are now; empty where they are not missing.

    Raises:
        DamagedError: its run manifest cannot be read.
    """
    manifest = records.manifest(run_id)
    if manifest is None or manifest.schema_version < _SEALED_FROM or seal_of(records, run_id):
        return ""
    folder = f"{records.folder(run_id)}/"
    names = [item.key.removeprefix(folder) for item in records.store.entries(folder.rstrip("/"))]
    sums = {
        name: hashlib.sha256(records.store.read(folder + name)).hexdigest()
        for name in sorted(names)
        if name == "run_manifest.json" or name.startswith(("candidate/", _LARGE))
    }
    return Checksums(run_id=run_id, sha256=sums).model_dump_json(indent=1)


def check_seal(records: Records, run_id: str, what: str) -> None:
    """Refuse to go on with a run whose records were changed.

    Raises:
        DamagedError: one of them was changed or removed.
    """
    for name, why in broken(records, run_id, large=False):
        raise DamagedError(f"{what} cannot go on: {records.location(run_id)}/{name}", why, RESTORE)


def _contents(records: Records, run_id: str, name: str) -> Iterator[bytes]:
    for key in (name, name + REPAIRED):
        with suppress(FileNotFoundError):
            yield records.store.read(f"{records.folder(run_id)}/{key}")


def stored_run_ids(store: ObjectStore) -> Iterator[str]:
    """Ids of all runs of which there is a folder, newest first, one date folder at a time."""
    for day in reversed(store.folders("runs")):
        yield from reversed(store.folders(f"runs/{day}"))


def removed_runs(store: ObjectStore) -> dict[str, str]:
    """Ids of the runs that retention removed, to the day on which it did, ``YYYY-MM-DD``.

    Raises:
        DamagedError: a list of them cannot be read.
        UnavailableError: the store does not answer, or the lists are replaced all the time.
    """
    return _lists(store)[1]


def note_removed(store: ObjectStore, name: str, run_ids: Collection[str], day: str) -> None:
    """Write down that runs are removed, before they are; earlier lists are merged with the new one.

    Raises:
        DamagedError: an earlier list cannot be read.
    """
    earlier, before = _lists(store)
    if len(earlier) == 1 and before.keys() >= set(run_ids):
        return
    runs = dict.fromkeys(sorted(run_ids), day) | before
    content = RemovedRuns(runs=dict(sorted(runs.items()))).model_dump_json().encode()
    store.create(f"{_REMOVED}/{name}{_SUFFIX}", gzip.compress(content, mtime=0))
    store.delete(earlier)  # what they say, the new one says


def why_missing(store: ObjectStore, text: str) -> str:
    """Why there is no run whose id has a text in it: retention removed it; empty where it did not."""
    removed = removed_runs(store)
    found = [run_id for run_id in removed if text and text in run_id]
    if not found:
        return ""
    if len(found) > 1:
        return f"retention removed the records of {plural(len(found), 'such run')}: vars keep_run_days"
    return f"retention removed the records of run {found[0]} on {removed[found[0]]}: vars keep_run_days"


def _lists(store: ObjectStore) -> tuple[list[str], dict[str, str]]:
    """The keys of the lists, and what they say together."""
    for _ in range(_ATTEMPTS):
        keys = [item.key for item in store.entries(_REMOVED) if item.key.endswith(_SUFFIX)]
        with suppress(FileNotFoundError):  # merged with another meanwhile
            lists = [read_record(store, RemovedRuns, key).runs for key in keys]
            return keys, {run_id: day for runs in lists for run_id, day in runs.items()}
    raise UnavailableError(
        f"{store.root}/{_REMOVED} cannot be read", "its files change all the time", "Try again"
    )
