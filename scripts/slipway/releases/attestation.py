"""Signed statements about a release, written once next to its record: what its tables hold, how it came to be, and how its tests ended.

A release is signed by the process that published it, right after everything that is stated has been written down. One whose process died before that is not signed
by the next command: whoever changed records could have it sign them. ``slipway doctor --fix`` does it when a person asks for it, and the statement says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.table import Table

from slipway import __version__
from slipway.code.versions import host
from slipway.engines.duckdb.digest import DIGEST
from slipway.environments.environment import Environment
from slipway.errors import DamagedError, NotFoundError, SlipwayError, UnrecordedError
from slipway.iceberg.metadata_files import files_of, reading, summary_of
from slipway.iceberg.schema import fingerprint
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.code_comparisons import COMPARISONS
from slipway.records.promotion_records import CodeComparison, Promotion
from slipway.records.record_files import find_record, read_record
from slipway.records.release_records import Intent, Release, ReleasedTable
from slipway.records.run_manifest import RunManifest
from slipway.records.store import PROMOTIONS, SEAL, Records
from slipway.releases.publication import figures, release
from slipway.releases.signatures import bundle_of, read_list, signed_numbers
from slipway.settings import Settings
from slipway.signing.envelopes import sign
from slipway.signing.signing_keys import Signing, Trust, signing_of, trust_of, with_own
from slipway.signing.statements import (
    DataFile,
    FileList,
    Stated,
    bundle_key,
    list_key,
    release_key,
    statements,
    table_subject,
)
from slipway.storage.locations import uri
from slipway.storage.objects import S3Store, canonical, object_store
from slipway.storage.s3 import is_s3

MANIFEST = "run_manifest.json"
_AT_ONCE = 8  # files that are hashed, or asked for, at the same time
_BLOCK = 1 << 20


def signing_for(environment: Environment) -> Signing:
    """What a release of an environment is going to be signed with; asked before it is published, when a wrong key can still be corrected.

    Raises:
        ConfigError: the key that is set cannot be used.
        UnavailableError: the service that keeps it cannot be used.
    """
    if environment.is_scratch:
        return Signing(None, why_not="nobody reads a scratch environment")
    return signing_of(environment)


def release_signed(
    tables: Tables, records: Records, staged: Sequence[StagedTable], intent: Intent
) -> Release:
    """Publish what was staged, and sign the release; raises what ``release``, ``signing_for`` and ``attest`` raise."""
    signing = signing_for(tables.environment)
    done = release(tables, records, staged, intent.model_copy(update={"signing_key": signing.key_id}))
    attest(tables, records, done, signing)
    return done


def attest(
    tables: Tables, records: Records, published: Release, signing: Signing, *, afterwards: bool = False
) -> None:
    """Sign a release, if there is a key; one that another process signed meanwhile stays as it is.

    Raises:
        UnrecordedError: it is published, and could not be signed.
    """
    if signing.signer is None:
        return
    try:
        content = sign(
            statements(_stated(tables, records, published, signing, afterwards=afterwards)), signing.signer
        )
        with suppress(FileExistsError):
            records.store.create(bundle_key(published.number), content)
    except (SlipwayError, OSError) as error:
        why = error.line() if isinstance(error, SlipwayError) else str(error)
        raise UnrecordedError(
            f"Release {published.number} is published, but not signed",
            why,
            "Nothing needs to be built again; slipway doctor --fix signs it",
        ) from error


def relative(location: str, warehouse: str) -> str:
    """A location below the warehouse, as lists of files have it; the whole address of one elsewhere."""
    root = f"{canonical(warehouse.rstrip('/') + '/x').rpartition('/')[0]}/"
    whole = canonical(location)
    return whole.removeprefix(root) if whole.startswith(root) else location


def _stated(
    tables: Tables, records: Records, published: Release, signing: Signing, *, afterwards: bool
) -> Stated:
    assert signing.signer is not None
    store, run_id = records.store, published.run_id
    trust = with_own(trust_of(tables.environment), signing)
    earlier = _Earlier(records, published, trust)
    run: RunManifest | None = None
    sums: dict[str, dict[str, str]] = {}
    if published.by_run:
        if (run := records.manifest(run_id)) is None:
            raise NotFoundError(f"Run {run_id} has no run manifest", "it never came to its end", "Run again")
        own = {name: _sha256(records.read(run_id, name)) for name in (MANIFEST, SEAL)}
        sums[records.folder(run_id)] = own
    promotion, comparisons = None, []
    if published.promoted:  # the evidence that came along
        folder = f"{PROMOTIONS}/{published.number:06d}"
        keys = [item.key for item in store.entries(folder)]
        sums[folder] = {key.removeprefix(f"{folder}/"): _sha256(store.read(key)) for key in keys}
        promotion = find_record(store, Promotion, f"{folder}/promotion.json", number=published.number)
        compared = [key for key in keys if key.startswith(f"{folder}/{COMPARISONS}/")]
        comparisons = [read_record(store, CodeComparison, key) for key in compared]
    again = published.returns_to
    return Stated(
        release=published,
        release_sha256=_sha256(store.read(release_key(published.number))),
        tables=list(_subjects(tables, records, published, earlier)),
        run=run,
        records=sums,
        builder=Settings.read().builder or f"urn:slipway:host:{host()}",
        version=__version__,
        returns_to=(again, _sha256(store.read(release_key(again)))) if again else None,
        afterwards=afterwards,
        promotion=promotion,
        comparisons=comparisons,
    )


def _subjects(
    tables: Tables, records: Records, published: Release, earlier: _Earlier
) -> Iterator[Mapping[str, Any]]:
    """The tables that a release speaks of: those that it changed, and others as an earlier one that counts spoke of them."""
    for name, table in sorted(published.tables.items()):
        if known := earlier.subject(name, table):
            yield known
        elif table.changed:
            loaded = tables.load(TableName.parse(name), table.metadata_location)
            listed = list_of(loaded, tables.environment, earlier.files(name))
            content = listed.model_dump_json(indent=1, exclude_none=True).encode()
            sha256 = _sha256(content)
            with suppress(FileExistsError):
                records.store.create(list_key(sha256), content)
            yield table_subject(name, sha256, listed, table.snapshot_id, table.content)


class _Earlier:
    """What earlier releases that count say of tables: the one before, and of a rollback the one that is shown again."""

    def __init__(self, records: Records, published: Release, trust: Trust) -> None:
        self._records = records
        numbers = [published.returns_to, published.previous.number if published.previous else None]
        found = [self._of(number, trust) for number in numbers if number]
        if found and not found[-1]:
            found.append(self._of(self._last_signed(published.number), trust))
        self._subjects = found

    def subject(self, name: str, table: ReleasedTable) -> Mapping[str, Any] | None:
        """What was said of a table in this very state."""
        for subjects in self._subjects:
            said = subjects.get(name)
            if said and said["annotations"].get("snapshot_id") == table.snapshot_id:
                return said
        return None

    def files(self, name: str) -> dict[str, DataFile]:
        """Files of a table that were signed, by path."""
        found: dict[str, DataFile] = {}
        for subjects in self._subjects:
            if said := subjects.get(name):
                with suppress(FileNotFoundError, DamagedError):
                    listed = read_list(self._records, said["digest"]["sha256"])
                    found |= {file.path: file for file in listed.files}
        return found

    def _of(self, number: int, trust: Trust) -> dict[str, Mapping[str, Any]]:
        try:
            bundle = (bundle_of(self._records, number) if number else None) or []
        except DamagedError:
            return {}
        if not bundle or any(one.verify(trust).why_not for one in bundle):
            return {}
        subjects = bundle[0].subjects
        if release_name_of(subjects) != number:  # another release's, put in its place
            return {}
        return subjects

    def _last_signed(self, before: int) -> int:
        return max((number for number in signed_numbers(self._records) if number < before), default=0)


def release_name_of(subjects: Mapping[str, Any]) -> int | None:
    """The number of the release among subjects, None where there is none."""
    names = [name.removeprefix("release-") for name in subjects if name.startswith("release-")]
    return next((int(name) for name in names if name.isdecimal()), None)


def list_of(table: Table, environment: Environment, known: Mapping[str, DataFile]) -> FileList:
    """The list of a table's files; those that are known are not looked at again.

    Raises:
        DamagedTableError: a file of the table is missing, or one of its metadata is damaged.
        UnavailableError: one cannot be read.
    """
    name = str(TableName.of(table.name()))

    def checked(file: IcebergFile) -> DataFile:
        path = relative(file.file_path, environment.warehouse)
        before = known.get(path)
        if before is not None and before.size == file.file_size_in_bytes:
            return before
        with reading(f"data of {name}", file.file_path):
            return checksum(file.file_path, path, environment.catalog_properties)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        files = list(pool.map(checked, files_of(table)))
    return FileList(
        table=name,
        rows=figures(table)["rows"],
        content_digest=summary_of(table.current_snapshot()).get(DIGEST),
        schema_fingerprint=fingerprint(table.schema()),
        files=sorted(files, key=lambda file: file.path),
    )


def checksum(location: str, path: str, properties: Mapping[str, str]) -> DataFile:
    """A file as lists of files have it: on S3 with the tag that the store gives, without reading it; else with the checksum of its content.

    Raises:
        FileNotFoundError: there is no such file.
        UnavailableError: the store does not answer.
    """
    if is_s3(location):
        folder, _, name = location.rpartition("/")
        store = object_store(folder, properties)
        assert isinstance(store, S3Store)
        info = store.info(name)
        if info is None:
            raise FileNotFoundError(location)
        return DataFile(path=path, size=info.size, etag=info.etag)
    found, size = hashlib.sha256(), 0
    with Path(uri(location).removeprefix("file://")).open("rb") as stream:
        read: Callable[[], bytes] = lambda: stream.read(_BLOCK)  # noqa: E731 - what iter wants
        for block in iter(read, b""):
            found.update(block)
            size += len(block)
    return DataFile(path=path, size=size, sha256=found.hexdigest())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
