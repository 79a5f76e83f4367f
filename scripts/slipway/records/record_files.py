"""Reading one record: whatever is wrong with it becomes one line that names it, and nothing is guessed."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from slipway.errors import DamagedError, ForeignError, first_line
from slipway.names import SEMANTIC_LAYER
from slipway.records.record import Record
from slipway.storage.objects import ObjectStore

REPAIRED = ".repaired"
"""A good copy of a damaged record lies next to it under its name and this."""

_T = TypeVar("_T")
_R = TypeVar("_R", bound=Record)
_REST = "slipway_rest_sha256"
DBT_MANIFESTS = "dbt_manifests"
"""Folder of what is the same in dbt's manifests of several runs."""
SHARED_AGAIN_AFTER = timedelta(days=1)
"""A run that names a stored manifest which is older writes it again, so that nobody removes it as unused."""
_CHECK = "Check SLIPWAY_WAREHOUSE, SLIPWAY_HOME and --target"


def read_record(store: ObjectStore, kind: type[_R], key: str, **expected: object) -> _R:
    """A record, or the copy of it that was put next to it when it was found damaged; ``expected`` are fields that its place tells as well.

    Raises:
        FileNotFoundError: there is no such record.
        DamagedError: it is no record of a version this program knows, or belongs elsewhere.
    """

    def parse(content: bytes, name: str) -> _R:
        plain = _decompressed(content, name) if key.endswith(".gz") else content
        return parse_record(kind, plain, name, **expected)

    return _read(store, key, parse)


def find_record(store: ObjectStore, kind: type[_R], key: str, **expected: object) -> _R | None:
    """The same, None where there is no such record."""
    try:
        return read_record(store, kind, key, **expected)
    except FileNotFoundError:
        return None


def read_dbt_manifest(store: ObjectStore, key: str) -> dict[str, Any]:
    """dbt's manifest.json, or the copy of it that was put next to it when it was found damaged.

    Source: dbt's schema of manifest.json, of which nodes, exposures and the semantic layer are used. All but its metadata is the same in run
    after run, and kept once; an older slipway kept all of it with each run.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is no manifest of dbt.
    """
    return _read(store, key, lambda content, name: _parse_dbt_manifest(store, content, name))


def keep_dbt_manifest(store: ObjectStore, content: bytes) -> bytes:
    """Keep what is the same in dbt's manifests once, compressed; one that was not written for a day is written again.

    Returns:
        What each run keeps: dbt's metadata and the checksum of the rest.

    Raises:
        UnavailableError: the store cannot be written.
    """
    described: dict[str, Any] = json.loads(content)
    metadata = described.pop("metadata", {})
    rest = json.dumps(described, sort_keys=True, separators=(",", ":")).encode()
    checksum = hashlib.sha256(rest).hexdigest()
    key = _rest_key(checksum)
    if not _is_recent(store, key):
        # the highest level takes twice as long for the hundredth part of the bytes
        store.replace(key, gzip.compress(rest, 6, mtime=0))
    return json.dumps({"metadata": metadata, _REST: checksum}, indent=1).encode()


def name_again(store: ObjectStore, content: bytes, name: str) -> None:
    """Have nobody remove a stored manifest that another run is about to name.

    Raises:
        DamagedError: it names none, or one that is not there.
    """
    key = rest_of(content, name)
    try:
        if not _is_recent(store, key):
            store.replace(key, store.read(key))
    except FileNotFoundError:
        raise _damaged(f"{store.root}/{key}", "it is missing") from None


def _is_recent(store: ObjectStore, key: str) -> bool:
    here = [item.modified for item in store.entries(DBT_MANIFESTS) if item.key == key]
    return bool(here) and store.clock() - here[0] <= SHARED_AGAIN_AFTER


def rest_of(content: bytes, name: str) -> str:
    """The key of the stored manifest that a run's own names; empty for one of an older slipway, which is whole.

    Raises:
        DamagedError: it cannot be read.
    """
    checksum = parse_json(content, name).get(_REST)
    return _rest_key(checksum) if isinstance(checksum, str) else ""


def _rest_key(checksum: str) -> str:
    return f"{DBT_MANIFESTS}/{checksum}.json.gz"


def _read_rest(store: ObjectStore, checksum: str) -> dict[str, Any]:
    def parse(content: bytes, name: str) -> dict[str, Any]:
        rest = _decompressed(content, name)
        if hashlib.sha256(rest).hexdigest() != checksum:
            raise _damaged(name, "it does not have the content that its name tells")
        return parse_json(rest, name)

    try:
        return _read(store, _rest_key(checksum), parse)
    except FileNotFoundError:
        raise _damaged(f"{store.root}/{_rest_key(checksum)}", "it is missing") from None


def _decompressed(content: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(name, f"it cannot be decompressed ({error})") from None


def _read(store: ObjectStore, key: str, parse: Callable[[bytes, str], _T]) -> _T:
    content = store.read(key)
    try:
        return parse(content, f"{store.root}/{key}")
    except DamagedError as damaged:
        try:
            copy = store.read(key + REPAIRED)
        except FileNotFoundError:
            raise damaged from None
        return parse(copy, f"{store.root}/{key}{REPAIRED}")


def _parse_dbt_manifest(store: ObjectStore, content: bytes, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = parse_json(content, name)
    if isinstance(checksum := loaded.get(_REST), str):
        loaded = {"metadata": loaded.get("metadata"), **_read_rest(store, checksum)}
    for part in ("nodes", "exposures", *SEMANTIC_LAYER):
        found = loaded.get(part, {} if part in SEMANTIC_LAYER else None)
        if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
            raise _damaged(name, f"its {part} are none of dbt's")
    return loaded


def parse_record(kind: type[_R], content: bytes, name: str, **expected: object) -> _R:
    """The content of a record.

    Raises:
        DamagedError: it cannot be read, or has another value in a field that is expected.
        ForeignError: it is of another version or environment.
    """
    loaded = parse_json(content, name)
    known: int = kind.model_fields["schema_version"].default
    version = loaded.get("schema_version", known)
    if isinstance(version, int) and version > known:
        raise ForeignError(
            f"{name} cannot be read",
            f"a newer slipway wrote it: it has schema version {version}, and this one reads up to {known}",
            "Use the version of slipway that wrote it, or a later one",
        )
    if not isinstance(version, int) or version < 1:
        raise _damaged(name, f"its schema version is {version}")
    try:
        found = kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field_ = ".".join(map(str, first["loc"]))
        why = (
            f"the time in {field_} has no time zone"
            if first["type"] == "timezone_aware"
            else f"{field_}: {first['msg']}"
        )
        raise _damaged(name, why) from None
    for field, value in expected.items():
        if (here := getattr(found, field)) != value:
            kind_of_error = ForeignError if field == "target" else DamagedError
            raise kind_of_error(f"{name} cannot be used", f"its {field} is {here}, not {value}", _CHECK)
    return found


def parse_json(content: bytes, name: str) -> dict[str, object]:
    """A JSON object.

    Raises:
        DamagedError: it is none.
    """
    if not content.strip():
        raise _damaged(name, "it is empty")
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(name, f"it is no JSON ({first_line(error)})") from None
    if not isinstance(loaded, dict):
        raise _damaged(name, "it is no JSON object")
    return loaded


def _damaged(name: str, why: str) -> DamagedError:
    return DamagedError(
        f"{name} cannot be read",
        why,
        f"Put a good copy next to it as {name.rpartition('/')[2]}{REPAIRED}; slipway doctor says what else is damaged",
    )
