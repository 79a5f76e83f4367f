"""Tables against the signed lists of their files: snapshot, schema, digest, files and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
from pyiceberg.table import Table

from slipway.counts import plural
from slipway.engines.duckdb.digest import Digest, digest_of
from slipway.engines.duckdb.scan import scanning, whole_scan
from slipway.environments.environment import Environment
from slipway.errors import DamagedError
from slipway.iceberg.metadata_files import files_of, summary_of
from slipway.iceberg.schema import fingerprint
from slipway.iceberg.snapshots import REWRITES
from slipway.records.release_records import Release, ReleasedTable
from slipway.records.store import Records
from slipway.releases.attestation import checksum, relative
from slipway.releases.signatures import read_list
from slipway.signing.statements import PROVENANCE, DataFile, FileList
from slipway.storage.s3 import is_s3
from slipway.verification.links import Findings, Kind, State
from slipway.verification.signed_releases import SignedReleases, sha256_of

_AT_ONCE = 8  # files that are looked at at the same time
_NAMED = 3


class SignedTables:
    """Compares tables with what is signed of them.

    Args:
        environment: the environment.
        records: of the environment.
        signed: what is signed of releases.
        findings: get what was found.
        content: whether files and rows are read.
        connect: a connection that reads the tables.
    """

    def __init__(
        self,
        environment: Environment,
        records: Records,
        signed: SignedReleases,
        findings: Findings,
        *,
        content: bool,
        connect: Callable[[], duckdb.DuckDBPyConnection],
    ) -> None:
        self._environment, self._records = environment, records
        self._signed, self._findings = signed, findings
        self._content, self._connect = content, connect

    def listed(self, release: Release, name: str) -> tuple[str, Mapping[str, object], FileList] | None:
        """The checksum, annotations and content of the signed list of a table's files, None where there is none."""
        said = release.tables[name]
        for one in reversed(self._signed.releases[: self._signed.releases.index(release) + 1]):
            known = one.tables.get(name)
            if known is None or known.content != said.content:
                break
            bundle = self._signed.bundle(one) if one is release else self._signed.quietly(one)
            statement = bundle.get(PROVENANCE)
            if statement and name in statement.subjects:
                subject = statement.subjects[name]
                if one is not release:
                    self._signed.bundle(one)
                return self._list(name, subject)
        self._findings.add(Kind.TABLE, name, State.MISSING, "no signature that counts says what it holds")
        return None

    def _list(
        self, name: str, subject: Mapping[str, object]
    ) -> tuple[str, Mapping[str, object], FileList] | None:
        sha256 = sha256_of(subject)
        annotations = subject.get("annotations")
        try:
            found = read_list(self._records, sha256)
        except FileNotFoundError:
            self._findings.add(
                Kind.TABLE, name, State.MISSING, f"the list of its files {sha256[:12]} is not there"
            )
        except DamagedError as error:
            self._findings.add(Kind.TABLE, name, State.BROKEN, f"the list of its files: {error.why}")
        else:
            return sha256, annotations if isinstance(annotations, dict) else {}, found
        return None

    def compare(
        self,
        table: Table,
        name: str,
        said: ReleasedTable,
        sha256: str,
        annotations: Mapping[str, object],
        listed: FileList,
    ) -> None:
        """Compare a table with the signed list of its files."""
        current = table.current_snapshot()
        here = {
            "the table": (name, listed.table),
            "the snapshot": (said.content, annotations.get("content_snapshot_id")),
            "the schema": (fingerprint(table.schema()), listed.schema_fingerprint),
            "the digest": (summary_of(current).get("slipway.digest"), listed.content_digest),
        }
        wrong = [what for what, (found, signed) in here.items() if found != signed]
        if wrong:
            self._findings.add(Kind.TABLE, name, State.BROKEN, f"{', '.join(wrong)}: not what was signed")
            return
        try:
            files = {relative(one.file_path, self._environment.warehouse): one for one in files_of(table)}
        except DamagedError as error:
            self._findings.add(Kind.TABLE, name, State.BROKEN, error.why)
            return
        signed = {file.path: file.size for file in listed.files}
        if {path: one.file_size_in_bytes for path, one in files.items()} != signed:
            if not summary_of(current).get(REWRITES):
                self._findings.add(Kind.TABLE, name, State.BROKEN, "it names other files than were signed")
                return
            self._compacted(name)
        else:
            self._findings.add(Kind.TABLE, name, State.VERIFIED, f"list of files {sha256[:12]}")
            self._files(name, listed.files)
        if self._content:
            self._rows(name, table, listed)

    def _compacted(self, name: str) -> None:
        if self._content:
            self._findings.add(
                Kind.TABLE, name, State.VERIFIED, "it was compacted since; its rows are compared"
            )
        else:
            why = "it was compacted since, and its files were not signed; --content compares the rows"
            self._findings.add(Kind.FILES, name, State.MISSING, why)

    def _files(self, name: str, files: Sequence[DataFile]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            wrong = [why for why in pool.map(self._file, files) if why]
        if wrong:
            more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            self._findings.add(Kind.FILES, name, State.BROKEN, f"{'; '.join(wrong[:_NAMED])}{more}")
        else:
            how = "checksums" if self._content else "sizes"
            self._findings.add(Kind.FILES, name, State.VERIFIED, f"{how} of {plural(len(files), 'file')}")

    def _file(self, signed: DataFile) -> str:
        """Why a data file is not what was signed; empty where it is."""
        elsewhere = "://" in signed.path or signed.path.startswith("/")
        location = signed.path if elsewhere else f"{self._environment.warehouse}/{signed.path}"
        name = signed.path.rpartition("/")[2]
        try:
            if is_s3(location) or self._content:
                found = checksum(location, signed.path, self._environment.catalog_properties)
                return "" if found == signed else f"{name} is not what was signed"
            size = Path(location.removeprefix("file://")).stat().st_size
        except FileNotFoundError:
            return f"{name} is not there"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror or error}"
        return (
            ""
            if size == signed.size
            else f"{name} has {plural(size, 'byte')}, and {signed.size:,} were signed"
        )

    def _rows(self, name: str, table: Table, listed: FileList) -> None:
        """Compute the digest of a table's rows anew."""
        if (wanted := Digest.parse(listed.content_digest)) is None:
            why = (
                "it has no digest"
                if not listed.content_digest
                else "its digest is of another version of DuckDB"
            )
            self._findings.add(Kind.ROWS, name, State.MISSING, why)
            return
        try:
            with scanning(self._connect(), table):
                found = digest_of(self._connect(), whole_scan(table), table.schema())
        except (DamagedError, duckdb.Error) as error:
            why = error.why if isinstance(error, DamagedError) else "they cannot be read"
            self._findings.add(Kind.ROWS, name, State.BROKEN, why)
            return
        if found == wanted:
            self._findings.add(Kind.ROWS, name, State.VERIFIED, f"digest of {plural(found.rows, 'row')}")
        else:
            self._findings.add(Kind.ROWS, name, State.BROKEN, "their digest is not the one that was signed")
