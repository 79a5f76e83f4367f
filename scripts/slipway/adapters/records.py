"""Records of runs and releases in the warehouse, under ``_slipway/``: written once, never changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import ValidationError

from slipway.adapters.objects import ObjectStore, object_store
from slipway.domain.environment import Environment
from slipway.domain.errors import NotFoundError, SlipwayError
from slipway.domain.manifest import Intent, Release, RunManifest
from slipway.domain.run import run_date

ROOT = "_slipway"
_R = TypeVar("_R", RunManifest, Release, Intent)


class Records:
    """Run folders and release records of one environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
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
        self.store.create(
            f"{self.folder(run_id)}/{name}", content.encode() if isinstance(content, str) else content
        )

    def read(self, run_id: str, name: str) -> bytes:
        """Read one object of a run's folder.

        Raises:
            NotFoundError: the run has no such object.
        """
        try:
            return self.store.read(f"{self.folder(run_id)}/{name}")
        except FileNotFoundError:
            raise NotFoundError(f"run {run_id} has no {name}", fix="list runs with slipway runs") from None

    def candidate(self, run_id: str) -> list[dict[str, Any]]:
        """The staged tables that a run wrote down, each as it was in the end."""
        return self._staged(f"{self.folder(run_id)}/candidate")

    def write_rollback(self, number: int, table: str, content: str) -> None:
        """Write down a table that was staged for a rollback."""
        self.store.create(f"rollbacks/{number:06d}/{table}.json", content.encode())

    def staged_for(self, intent: Intent) -> list[dict[str, Any]]:
        """The staged tables that a publication is of: a run's, or those of a rollback."""
        if intent.rolls_back:
            return self._staged(f"rollbacks/{intent.number:06d}")
        return self.candidate(intent.run_id)

    def _staged(self, folder: str) -> list[dict[str, Any]]:
        last: dict[str, str] = {}
        for item in sorted(self.store.entries(folder), key=lambda item: item.key):
            last[item.key.rpartition(".json")[0]] = item.key
        return [json.loads(self.store.read(key)) for key in last.values()]

    def run_ids(self) -> Iterator[str]:
        """Ids of all runs, newest first, one date folder at a time."""
        for day in reversed(self.store.folders("runs")):
            yield from reversed(self.store.folders(f"runs/{day}"))

    def manifest(self, run_id: str) -> RunManifest | None:
        """A run's manifest, None when the run did not come to write one.

        Raises:
            SlipwayError: the file is not a run manifest of a version this program knows.
        """
        try:
            content = self.store.read(f"{self.folder(run_id)}/run_manifest.json")
        except FileNotFoundError:
            return None
        return _parse(RunManifest, content, f"run manifest of {run_id}")

    def find_run(self, text: str) -> str:
        """The run that an id, a unique part of it or ``latest`` names.

        Raises:
            NotFoundError: none or several.
        """
        if text == "latest":
            for run_id in self.run_ids():
                return run_id
            raise NotFoundError("there is no run yet", fix="start one with slipway run")
        matching = [run_id for run_id in self.run_ids() if text in run_id]
        if len(matching) != 1:
            why = f"{len(matching)} runs match" if matching else "no such run"
            raise NotFoundError(f"run {text}", why, "list runs with slipway runs")
        return matching[0]

    def reserve(self) -> int:
        """Take the next release number; it is not given out again even when it is never used."""
        taken = [int(item.key.rsplit("/", 1)[-1].split(".")[0]) for item in self.store.entries("releases")]
        number = max(taken, default=0) + 1
        while True:
            try:
                self.store.create(f"releases/{number:06d}.reserved", b"")
                return number
            except FileExistsError:
                number += 1

    def write_intent(self, intent: Intent) -> None:
        """Say that a release is about to be published; again when an earlier attempt did not come to its end."""
        key = f"releases/{intent.number:06d}.publishing"
        try:
            self.store.create(key, intent.model_dump_json(indent=1).encode())
        except FileExistsError:
            if _parse(Intent, self.store.read(key), key).run_id != intent.run_id:
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
        """Keys of everything that tells of publications: another list means that one began or ended meanwhile."""
        return [item.key for item in self.store.entries("releases") if not item.key.endswith(".reserved")]

    def open_intents(self) -> list[Intent]:
        """Releases that were to be published, and neither recorded nor withdrawn."""
        keys = self.publications()
        ended = {key.rsplit(".", 1)[0] for key in keys if key.endswith((".json", ".withdrawn"))}
        return [
            _parse(Intent, self.store.read(key), key)
            for key in keys
            if key.endswith(".publishing") and key.rsplit(".", 1)[0] not in ended
        ]

    def write_release(self, release: Release) -> None:
        """Record a release that was published; one that another command recorded meanwhile stays as it is."""
        with suppress(FileExistsError):
            self.store.create(
                f"releases/{release.number:06d}.json", release.model_dump_json(indent=1).encode()
            )

    def last_release(self) -> Release | None:
        """The recorded release of the highest number."""
        keys = [item.key for item in self.store.entries("releases") if item.key.endswith(".json")]
        return _parse(Release, self.store.read(keys[-1]), keys[-1]) if keys else None

    def releases(self) -> list[Release]:
        """Published releases in the order they were published."""
        found = [
            _parse(Release, self.store.read(item.key), item.key)
            for item in self.store.entries("releases")
            if item.key.endswith(".json")
        ]
        return sorted(found, key=lambda release: release.published_at)


def _parse(kind: type[_R], content: bytes, name: str) -> _R:
    try:
        version = json.loads(content).get("schema_version")
        known: int = kind.model_fields["schema_version"].default
        if version != known:
            raise SlipwayError(
                f"{name} has schema version {version}", f"this slipway reads {known}", "upgrade slipway"
            )
        return kind.model_validate_json(content)
    except (ValidationError, json.JSONDecodeError, AttributeError) as error:
        raise SlipwayError(f"{name} cannot be read", str(error).split("\n", 1)[0], "restore it") from None
