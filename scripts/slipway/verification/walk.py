"""The walk from what readers see back to landed files and commit: what is signed is compared with what is there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import Table

from slipway.code.git import call, resolve
from slipway.counts import plural
from slipway.engines.duckdb import engine
from slipway.engines.duckdb.digest import Digest, digest_of
from slipway.engines.duckdb.scan import scanning, whole_scan
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import DamagedError, NotFoundError, SlipwayError, UnavailableError
from slipway.iceberg.metadata_files import files_of, summary_of
from slipway.iceberg.schema import fingerprint
from slipway.iceberg.snapshots import REWRITES, current_content, snapshot_with
from slipway.landing.area import LandingArea, landing_area
from slipway.landing.ledger import Ledger
from slipway.names import TableName
from slipway.records.promotion_records import Promotion
from slipway.records.record_files import REPAIRED, find_record, read_record
from slipway.records.release_records import Release, ReleasedTable
from slipway.records.run_manifest import LandedFile, RunManifest
from slipway.records.store import PROMOTIONS, Records, broken, why_missing
from slipway.releases.approvals import promotion_judgement
from slipway.releases.attestation import checksum, relative
from slipway.releases.cut import Cut
from slipway.releases.lookup import environment_of
from slipway.releases.published import Published
from slipway.releases.signatures import bundle_of, read_list
from slipway.releases.table_state import read_state
from slipway.runs.origin import LANDING
from slipway.secrets import hide_in
from slipway.signing.envelopes import SignedStatement
from slipway.signing.signing_keys import Trust, trust_of
from slipway.signing.statements import (
    LOCK,
    PROVENANCE,
    SUMMARY,
    TEST_RESULT,
    DataFile,
    FileList,
    judged,
    release_key,
    release_name,
    test_result,
)
from slipway.storage.objects import ObjectStore
from slipway.storage.s3 import is_s3
from slipway.verification.links import Kind, Link, State, Verification

_NUMBER = re.compile(r"(?:release-)?(\d+)")
_AT_ONCE = 8  # files that are looked at at the same time
_NAMED = 3
Bundle = Mapping[str, SignedStatement]
"""Statements about a release whose signatures count, by kind; empty where there are none."""


def verify(
    project_dir: Path | None, target: str | None, what: str | None = None, *, content: bool = False
) -> Verification:
    """Verify a release, or one table as the last release shows it, and everything that it comes from.

    Args:
        project_dir: folder of dbt_project.yml, None to look for it.
        target: the environment.
        what: a release (``7`` or ``release-7``), or a table as ``layer.table`` or only its name; the last release when None.
        content: read data files, rows and landed files, and compare them with their checksums and digests.

    Raises:
        NotFoundError: nothing was published yet, or there is no such release or table.
        ConfigError: the file of the keys cannot be understood.
        UnavailableError: the catalog or the store cannot be read.
    """
    environment = environment_of(project_dir, target)
    walk = Walk(Published(environment), trust_of(environment), content)
    release, tables = walk.resolve(what)
    walk.walk(release, tables)
    order = list(Kind)
    links = sorted(walk.links, key=lambda link: order.index(link.kind))
    return Verification(environment.name, release.number, tables, content, links)


@dataclass
class _Traced:
    """What was found of landed files.

    Args:
        unknown: checksums of those that no ledger has so far.
        missing: paths of those that are gone.
        wrong: those that are not what they were.
        places: other environments in which some of them landed.
        unreachable: why these cannot be looked at.
    """

    unknown: set[str]
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    unreachable: str = ""


@dataclass
class Walk:
    """One walk: what was looked at already, and what was found.

    Args:
        published: the environment.
        trust: whose signatures count.
        content: whether files and rows are read.
    """

    published: Published
    trust: Trust
    content: bool
    links: list[Link] = field(default_factory=list)
    _bundles: dict[int, Bundle] = field(default_factory=dict)
    _done: set[tuple[str, str]] = field(default_factory=set)

    @property
    def _records(self) -> Records:
        return self.published.records

    @property
    def _store(self) -> ObjectStore:
        return self.published.records.store

    @cached_property
    def _releases(self) -> list[Release]:
        found, damaged = self._records.readable_releases()
        for number, error in damaged.items():
            self._add(Kind.RECORD, f"release {number}", State.BROKEN, error.why)
        return found

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        environment = self.published.environment
        return engine.connect(environment, environment.home)

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(self.published.tables)

    def resolve(self, what: str | None) -> tuple[Release, list[str]]:
        """The release and the tables that are meant.

        Raises:
            NotFoundError: there is no such release or table.
        """
        releases, name = self._releases, self.published.environment.name
        if not releases:
            self._records.releases()  # raises what is wrong with the only one
            raise NotFoundError(
                f"Nothing is published in {name} yet", "there is no release", "Publish one with slipway run"
            )
        if what is None:
            return releases[-1], sorted(releases[-1].tables)
        if number := _NUMBER.fullmatch(what):
            self.published.release(int(number[1]))  # raises where there is none
            found = next(one for one in releases if one.number == int(number[1]))
            return found, sorted(found.tables)
        last = releases[-1]
        given = what.removeprefix(f"{name}.") if what.count(".") > 1 else what
        same = [table for table in last.tables if given in (table, TableName.parse(table).name)]
        if given in last.tables or len(same) == 1:
            return last, [given if given in last.tables else same[0]]
        raise NotFoundError(
            f"Release {last.number} of {name} has no table {what}",
            f"{', '.join(same)} have this name" if same else "",
            Cut("", {table: self.published.release(last.number).tables[table] for table in last.tables}).hint(
                what
            ),
        )

    def walk(self, release: Release, tables: Sequence[str]) -> None:
        """Follow the chain from some tables of a release."""
        self._bundle(release)
        self._evidence(release)
        if release is self._releases[-1]:
            for name in tables:
                self._catalog(release, name)
        if not tables:
            self._add(Kind.TABLE, f"release {release.number}", State.MISSING, "it shows no table")
        for name in tables:
            self._table(release, name)

    def _add(self, kind: Kind, what: str, state: State, note: str = "") -> None:
        link = Link(kind, what, state, note)
        if link not in self.links:
            self.links.append(link)

    def _first(self, kind: str, what: str) -> bool:
        """Whether something is looked at for the first time."""
        is_new = (kind, what) not in self._done
        self._done.add((kind, what))
        return is_new

    # ---------------------------------------------------------------------------------- what is signed

    def _bundle(self, release: Release) -> Bundle:
        """The statements about a release that count; what is wrong with them becomes links, once."""
        if release.number not in self._bundles:
            self._bundles[release.number] = self._checked(release)
        return self._bundles[release.number]

    def _checked(self, release: Release) -> Bundle:
        what = f"release {release.number}"
        try:
            bundle = bundle_of(self._records, release.number)
        except DamagedError as error:
            self._add(Kind.SIGNATURE, what, State.BROKEN, error.why)
            return {}
        if not bundle:
            self._add(Kind.SIGNATURE, what, State.MISSING, "it is not signed")
            return {}
        for one in bundle:
            if why := (verdict := one.verify(self.trust)).why_not:
                self._add(Kind.SIGNATURE, what, State.BROKEN if verdict.is_broken else State.MISSING, why)
                return {}
        found = {one.predicate_type: one for one in bundle}
        if why := _misplaced(release, found):
            self._add(Kind.SIGNATURE, what, State.BROKEN, why)
            return {}
        self._add(Kind.SIGNATURE, what, State.VERIFIED, _signers(bundle, self.trust))
        self._record(release, found)
        return found

    def _record(self, release: Release, bundle: Bundle) -> None:
        what = f"release {release.number}"
        for one in bundle.values():
            wanted = _sha256_of(one.subjects[release_name(release.number)])
            if why := self._differs(release_key(release.number), wanted):
                self._add(Kind.RECORD, what, State.BROKEN, why)
                return
        self._add(Kind.RECORD, what, State.VERIFIED)
        if before := release.previous:
            why = self._differs(release_key(before.number), before.sha256)
            state = State.BROKEN if why else State.VERIFIED
            self._add(Kind.BEFORE, f"release {before.number}", state, why)

    def _differs(self, key: str, sha256: str) -> str:
        """Why an object is not what was signed; a good copy next to it counts for it."""
        found = []
        for name in (key, key + REPAIRED):
            with suppress(FileNotFoundError):
                found.append(hashlib.sha256(self._store.read(name)).hexdigest())
        if sha256 in found:
            return ""
        return f"{key} is not what was signed" if found else f"{key} is not there"

    # ---------------------------------------------------------------------------------- why it was promoted

    def _evidence(self, release: Release) -> None:
        """What a promotion was allowed for: the records that it kept, the summary that was signed, and the approvals."""
        what = f"release {release.number}"
        if release.promoted is None or not self._first("evidence", what):
            return
        if not (bundle := self._bundle(release)):
            self._add(Kind.EVIDENCE, what, State.MISSING, "no signature that counts")
            return
        details: Mapping[str, Any] = bundle[PROVENANCE].predicate["runDetails"]
        signed = {item["uri"]: _sha256_of(item) for item in details["byproducts"]}
        if whys := [why for key, sha256 in signed.items() if (why := self._differs(key, sha256))]:
            self._add(Kind.EVIDENCE, what, State.BROKEN, _some(whys))
        try:
            promotion = find_record(
                self._store,
                Promotion,
                f"{PROMOTIONS}/{release.number:06d}/promotion.json",
                number=release.number,
            )
            if promotion is None:
                self._add(Kind.EVIDENCE, what, State.MISSING, "nothing was recorded of the promotion")
                return
            if not whys:
                self._summary(what, promotion, bundle.get(SUMMARY))
            self._approvals(what, promotion)
        except DamagedError as error:
            self._add(Kind.EVIDENCE, what, State.BROKEN, error.why)

    def _summary(self, what: str, promotion: Promotion, summary: SignedStatement | None) -> None:
        """Whether the verification summary says of a promotion what was recorded of it, and that it passed."""
        if summary is None:
            why = "it was promoted without a verification summary, by an earlier version of slipway"
            self._add(Kind.EVIDENCE, what, State.MISSING, why)
            return
        said, wanted = summary.predicate, judged(promotion)
        same = {name: said.get(name) for name in wanted} == hide_in(wanted)
        if not same or said.get("policy", {}).get("digest") != {"sha256": promotion.policy_sha256}:
            why = "the verification summary says something else than what was recorded"
            self._add(Kind.EVIDENCE, what, State.BROKEN, why)
        elif said["verificationResult"] != "PASSED":
            self._add(Kind.EVIDENCE, what, State.BROKEN, "the policy was not met")
        else:
            by = f"promotion.yml with SHA-256 {promotion.policy_sha256[:12]}"
            note = f"{plural(len(promotion.evidence), 'finding')}, all met, by {by}"
            self._add(Kind.EVIDENCE, what, State.VERIFIED, note)

    def _approvals(self, what: str, promotion: Promotion) -> None:
        """Whether enough people approved a promotion, by the keys that count now."""
        if not promotion.demands:
            return
        found = promotion_judgement(self._records, promotion, self.trust)
        if not found.missing:
            self._add(Kind.APPROVALS, what, State.VERIFIED, f"by {', '.join(found.people)}")
            return
        not_counting = [f"that of {one.name}: {one.why_not}" for one in found.approvals if not one.counts]
        is_broken = any(one.is_broken for one in found.approvals)
        state = State.BROKEN if is_broken else State.MISSING
        self._add(Kind.APPROVALS, what, state, _some([*found.missing, *not_counting]))

    # ---------------------------------------------------------------------------------- tables

    def _catalog(self, release: Release, name: str) -> None:
        """Whether the catalog shows what the last release published."""
        here, said = self._now(name), release.tables[name]
        if here is None:
            self._add(Kind.CATALOG, name, State.BROKEN, "the catalog does not name it")
        elif here == said.metadata_location:
            self._add(Kind.CATALOG, name, State.VERIFIED)
        else:
            try:
                content = current_content(self._load(name, here))
            except DamagedError as error:
                self._add(Kind.CATALOG, name, State.BROKEN, error.why)
                return
            if content == said.content:
                self._add(Kind.CATALOG, name, State.VERIFIED, "the same rows, after maintenance")
            else:
                why = f"the catalog shows other rows than release {release.number}: another program committed to it"
                self._add(Kind.CATALOG, name, State.BROKEN, why)

    def _now(self, name: str) -> str | None:
        return self.published.locations.get(TableName.parse(name))

    def _load(self, name: str, location: str) -> Table:
        return self.published.tables.load(TableName.parse(name), location)

    def _table(self, release: Release, name: str) -> None:
        """A table in the state of a release, the run that made it, and what it was made from."""
        said = release.tables[name]
        if not self._first(name, str(said.content)):
            return
        try:
            table = self._load(name, self._location(release, name))
        except DamagedError as error:
            state = State.MISSING if isinstance(error.__cause__, FileNotFoundError) else State.BROKEN
            self._add(Kind.TABLE, name, state, error.why)
            return
        if (listed := self._listed(release, name)) is not None:
            self._holds(table, name, said, *listed)
        if said.run_id is None:
            self._add(Kind.RUN, name, State.MISSING, "another program wrote it")
        else:
            self._run(said.run_id)
        self._inputs(release, name, table)

    def _location(self, release: Release, name: str) -> str:
        """The metadata file: what readers see if that shows the rows of the release, else that of the release."""
        said = release.tables[name]
        here = self._now(name) if release is self._releases[-1] else None
        with suppress(DamagedError):
            if here and current_content(self._load(name, here)) == said.content:
                return here
        return said.metadata_location

    def _listed(self, release: Release, name: str) -> tuple[str, Mapping[str, object], FileList] | None:
        """The checksum, annotations and content of the signed list of a table's files, None where there is none."""
        said = release.tables[name]
        for one in reversed(self._releases[: self._releases.index(release) + 1]):
            known = one.tables.get(name)
            if known is None or known.content != said.content:
                break
            bundle = self._bundle(one) if one is release else self._quietly(one)
            statement = bundle.get(PROVENANCE)
            if statement and name in statement.subjects:
                subject = statement.subjects[name]
                if one is not release:
                    self._bundle(one)
                return self._list(name, subject)
        self._add(Kind.TABLE, name, State.MISSING, "no signature that counts says what it holds")
        return None

    def _quietly(self, release: Release) -> Bundle:
        """The statements about a release that is only searched: what is wrong with it says nothing of the table."""
        if release.number in self._bundles:
            return self._bundles[release.number]
        before = list(self.links)
        found = self._checked(release)
        if not found:
            self.links = before
        return found

    def _list(
        self, name: str, subject: Mapping[str, object]
    ) -> tuple[str, Mapping[str, object], FileList] | None:
        sha256 = _sha256_of(subject)
        annotations = subject.get("annotations")
        try:
            found = read_list(self._records, sha256)
        except FileNotFoundError:
            self._add(Kind.TABLE, name, State.MISSING, f"the list of its files {sha256[:12]} is not there")
        except DamagedError as error:
            self._add(Kind.TABLE, name, State.BROKEN, f"the list of its files: {error.why}")
        else:
            return sha256, annotations if isinstance(annotations, dict) else {}, found
        return None

    def _holds(
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
            self._add(Kind.TABLE, name, State.BROKEN, f"{', '.join(wrong)}: not what was signed")
            return
        try:
            files = {relative(one.file_path, self._warehouse): one for one in files_of(table)}
        except DamagedError as error:
            self._add(Kind.TABLE, name, State.BROKEN, error.why)
            return
        signed = {file.path: file.size for file in listed.files}
        if {path: one.file_size_in_bytes for path, one in files.items()} != signed:
            if not summary_of(current).get(REWRITES):
                self._add(Kind.TABLE, name, State.BROKEN, "it names other files than were signed")
                return
            self._compacted(name)
        else:
            self._add(Kind.TABLE, name, State.VERIFIED, f"list of files {sha256[:12]}")
            self._files(name, listed.files)
        if self.content:
            self._rows(name, table, listed)

    @property
    def _warehouse(self) -> str:
        return self.published.environment.warehouse

    def _compacted(self, name: str) -> None:
        if self.content:
            self._add(Kind.TABLE, name, State.VERIFIED, "it was compacted since; its rows are compared")
        else:
            why = "it was compacted since, and its files were not signed; --content compares the rows"
            self._add(Kind.FILES, name, State.MISSING, why)

    def _files(self, name: str, files: Sequence[DataFile]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            wrong = [why for why in pool.map(self._file, files) if why]
        if wrong:
            more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            self._add(Kind.FILES, name, State.BROKEN, f"{'; '.join(wrong[:_NAMED])}{more}")
        else:
            how = "checksums" if self.content else "sizes"
            self._add(Kind.FILES, name, State.VERIFIED, f"{how} of {plural(len(files), 'file')}")

    def _file(self, signed: DataFile) -> str:
        """Why a data file is not what was signed; empty where it is."""
        elsewhere = "://" in signed.path or signed.path.startswith("/")
        location = signed.path if elsewhere else f"{self._warehouse}/{signed.path}"
        name = signed.path.rpartition("/")[2]
        try:
            if is_s3(location) or self.content:
                found = checksum(location, signed.path, self.published.environment.catalog_properties)
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
            self._add(Kind.ROWS, name, State.MISSING, why)
            return
        try:
            with scanning(self._connection, table):
                found = digest_of(self._connection, whole_scan(table), table.schema())
        except (DamagedError, duckdb.Error) as error:
            why = error.why if isinstance(error, DamagedError) else "they cannot be read"
            self._add(Kind.ROWS, name, State.BROKEN, why)
            return
        if found == wanted:
            self._add(Kind.ROWS, name, State.VERIFIED, f"digest of {plural(found.rows, 'row')}")
        else:
            self._add(Kind.ROWS, name, State.BROKEN, "their digest is not the one that was signed")

    # ---------------------------------------------------------------------------------- the run

    def _run(self, run_id: str) -> None:
        """The run that made a table: its records, its tests and its code."""
        if not self._first("run", run_id):
            return
        release = next((one for one in self._releases if one.by_run and one.run_id == run_id), None)
        if release is None:
            self._promoted_run(run_id)
            return
        bundle = self._bundle(release)
        if not bundle:
            self._add(
                Kind.RUN, run_id, State.MISSING, f"no signature of release {release.number} that counts"
            )
            return
        if (manifest := self._manifest(run_id, bundle[PROVENANCE])) is None:
            return
        self._tests(run_id, manifest, bundle[TEST_RESULT])
        self._code(manifest)

    def _promoted_run(self, run_id: str) -> None:
        """A run of another environment, whose manifest came with a promotion and is signed with it."""
        for release in reversed(self._releases):
            key = f"{PROMOTIONS}/{release.number:06d}/runs/{run_id}.json"
            if release.promoted is None or not self._records.has(key):
                continue
            self._evidence(release)
            if not (bundle := self._bundle(release)):
                why = f"no signature of release {release.number} that counts"
                self._add(Kind.RUN, run_id, State.MISSING, why)
                return
            details = bundle[PROVENANCE].predicate["runDetails"]
            signed = {item["uri"]: _sha256_of(item) for item in details["byproducts"]}
            if why := self._differs(key, signed.get(key, "")):
                self._add(Kind.RUN, run_id, State.BROKEN, why)
                return
            manifest = read_record(self._store, RunManifest, key, run_id=run_id)
            came = f"it came with {release.promoted.described()}"
            self._add(Kind.RUN, run_id, State.VERIFIED, f"by {manifest.who}; {came}")
            said = test_result(manifest)
            state = State.BROKEN if said["failedTests"] else State.VERIFIED
            note = f"{len(said['passedTests'])} passed, {len(said['failedTests'])} failed; {came}"
            self._add(Kind.TESTS, run_id, state, note)
            self._code(manifest)
            return
        self._add(Kind.RUN, run_id, State.MISSING, "no release was made by it")

    def _manifest(self, run_id: str, provenance: SignedStatement) -> RunManifest | None:
        """The run manifest, if all records of the run are what was signed."""
        try:
            if why := why_missing(self._store, run_id):
                self._add(Kind.RUN, run_id, State.MISSING, why)
                return None
            details = provenance.predicate["runDetails"]
            signed = {item["uri"]: _sha256_of(item) for item in details["byproducts"]}
            whys = [why for key, sha256 in signed.items() if (why := self._differs(key, sha256))]
            if not whys:
                whys = [f"{name}: {why}" for name, why in broken(self._records, run_id)]
            self._records.dbt_manifest(run_id)
            manifest = self._records.manifest(run_id)
        except DamagedError as error:
            self._add(Kind.RUN, run_id, State.BROKEN, error.line())
            return None
        if whys or manifest is None:
            why = "; ".join(whys[:_NAMED]) or "it has no run manifest"
            self._add(Kind.RUN, run_id, State.BROKEN, why)
            return None
        by = f"by {manifest.who}, {manifest.started_at:%Y-%m-%d %H:%M} UTC"
        self._add(Kind.RUN, run_id, State.VERIFIED, by)
        return manifest

    def _tests(self, run_id: str, manifest: RunManifest, statement: SignedStatement) -> None:
        said = statement.predicate
        if said != hide_in(test_result(manifest)):
            self._add(Kind.TESTS, run_id, State.BROKEN, "the run manifest has other results than were signed")
            return
        counts = ((said["passedTests"], "passed"), (said["warnedTests"], "warned"))
        parts = [
            f"{len(tests)} {word}" for tests, word in (*counts, (said["not_run_tests"], "not run")) if tests
        ]
        if failed := said["failedTests"]:
            self._add(Kind.TESTS, run_id, State.BROKEN, f"{len(failed)} failed")
        else:
            self._add(Kind.TESTS, run_id, State.VERIFIED, ", ".join(parts) or "the run has no test")

    def _code(self, manifest: RunManifest) -> None:
        """Whether the commit and the lock file are in the repository of the project."""
        code, project = manifest.code, self.published.environment.project
        name = (code.commit or "none")[:12]
        if code.unknown or code.commit is None or project is None:
            self._add(Kind.COMMIT, name, State.MISSING, code.unknown or "there is no project")
        elif why := _unless(lambda: resolve(project, str(code.commit))):
            self._add(Kind.COMMIT, name, State.MISSING, why)
        else:
            self._add(Kind.COMMIT, name, State.VERIFIED)
        lock = manifest.versions.lock_sha256
        if lock is None:
            self._add(Kind.LOCK, LOCK, State.MISSING, f"the project has no {LOCK}")
        elif code.commit and project:
            held = call(project, "show", f"{code.commit}:./{LOCK}")
            if held.returncode:
                self._add(Kind.LOCK, LOCK, State.MISSING, f"commit {name} does not hold it")
            elif hashlib.sha256(held.stdout).hexdigest() != lock:
                self._add(Kind.LOCK, LOCK, State.BROKEN, f"commit {name} holds another one")
            else:
                self._add(Kind.LOCK, LOCK, State.VERIFIED)

    # ---------------------------------------------------------------------------------- inputs

    def _inputs(self, release: Release, name: str, table: Table) -> None:
        """What a table was made from, each in the release that showed it in that state."""
        inputs = read_state(table).inputs
        feeds = [one.removeprefix(LANDING) for one in inputs if one.startswith(LANDING)]
        if feeds:
            self._landed(name, table, feeds)
        for other, version in sorted(inputs.items()):
            if other.startswith(LANDING):
                continue
            shows = self._release_with(release, other, version)
            if shows is None:
                why = f"{name} was made from version {version} of it, which no release shows"
                self._add(Kind.INPUT, other, State.MISSING, why)
            else:
                self._table(shows, other)

    def _release_with(self, release: Release, name: str, version: str) -> Release | None:
        """The release that shows a table in a state: the one under way if it does, else the last that did."""
        candidates = [release, *reversed(self._releases)]
        return next(
            (one for one in candidates if name in one.tables and one.tables[name].content == version), None
        )

    def _landed(self, name: str, table: Table, feeds: Sequence[str]) -> None:
        """The landed files that the rows of a raw table name, against the ledger and the landing area."""
        content = current_content(table)
        snapshot = snapshot_with(table, content) if content else None
        try:
            with scanning(self._connection, table):
                scan = whole_scan(table, snapshot)
                query = f"select distinct _file_sha256 from {scan} where _file_sha256 is not null"
                sums = {str(row[0]) for row in self._connection.execute(query).fetchall()}
        except duckdb.BinderException:
            self._add(Kind.LANDED, name, State.MISSING, "its rows do not name their files")
            return
        except (DamagedError, duckdb.Error) as error:
            why = error.why if isinstance(error, DamagedError) else "its rows cannot be read"
            self._add(Kind.LANDED, name, State.BROKEN, why)
            return
        traced = _Traced(set(sums))
        self._trace(self.published, self._ledger, feeds, traced)
        if traced.unknown:
            try:
                for place in self._sources(name, content):
                    self._trace(place, Ledger(place.tables), feeds, traced)
            except SlipwayError as error:
                traced.unreachable = f"; where they landed cannot be looked at: {error.line()}"
        self._tell_of(name, traced, len(sums))

    def _trace(self, place: Published, ledger: Ledger, feeds: Sequence[str], traced: _Traced) -> None:
        """Look in one environment for the files that are not known yet."""
        found = {
            sha256: entry
            for feed in feeds
            for sha256, entry in ledger.accepted(feed, traced.unknown).made().items()
        }
        missing, wrong = self._look_at(place.environment, found.values())
        traced.unknown -= found.keys()
        traced.missing += missing
        traced.wrong += wrong
        if found and place is not self.published:
            traced.places.append(place.environment.name)

    def _tell_of(self, name: str, traced: _Traced, files: int) -> None:
        if traced.wrong:
            self._add(Kind.LANDED, name, State.BROKEN, _some(traced.wrong))
        if traced.missing:
            why = f"not in the landing area any more: {_some(traced.missing)}"
            self._add(Kind.LANDED, name, State.MISSING, why)
        if unknown := len(traced.unknown):
            why = f"the ledger does not have {plural(unknown, 'file')} that its rows are from{traced.unreachable}"
            self._add(Kind.LANDED, name, State.MISSING, why)
        if not (traced.wrong or traced.missing or traced.unknown):
            how = "checksums" if self.content else "sizes"
            where = f", which landed in {', '.join(traced.places)}" if traced.places else ""
            self._add(Kind.LANDED, name, State.VERIFIED, f"{how} of {plural(files, 'file')}{where}")

    def _sources(self, name: str, content: str | None) -> Iterator[Published]:
        """Environments that a state of a table was promoted from, the nearest first.

        Raises:
            SlipwayError: what another one published cannot be read.
        """
        project, releases = self.published.environment.project, self._releases
        seen = {self.published.environment.name}
        while project is not None and (came := _came_from(releases, name, content)):
            if came in seen:
                return
            seen.add(came)
            here = Published(Profile(project).environment(came))
            releases = here.records.releases()
            yield here

    def _look_at(
        self, environment: Environment, entries: Collection[LandedFile]
    ) -> tuple[list[str], list[str]]:
        """Landed files of an environment that are not there any more, and those that are not what they were."""
        area = landing_area(environment.landing, environment.catalog_properties)
        missing, wrong = [], []
        for feed in sorted({entry.feed for entry in entries}):
            of_feed = {entry.path: entry for entry in entries if entry.feed == feed}
            there = {one.info.key: one.info for one in area.among(feed, of_feed.keys()) if not one.obstacle}
            for path, entry in sorted(of_feed.items()):
                if path not in there:
                    missing.append(path)
                elif there[path].size != entry.size_bytes or (
                    self.content and _sum(area, path) != entry.sha256
                ):
                    wrong.append(f"{path} is not what landed")
        return missing, wrong


def _came_from(releases: Sequence[Release], name: str, content: str | None) -> str:
    """The environment that a state of a table was promoted from; empty where it was not."""
    return next(
        (
            one.promoted.target
            for one in releases
            if one.promoted and name in one.tables and one.tables[name].content == content
        ),
        "",
    )


def _misplaced(release: Release, bundle: Bundle) -> str:
    """Why statements are not those about a release; empty where they are."""
    wanted = {PROVENANCE, TEST_RESULT} if release.by_run else {PROVENANCE}
    if lacking := wanted - bundle.keys():
        return f"there is no statement of the kind {min(lacking)}"
    if any(release_name(release.number) not in one.subjects for one in bundle.values()):
        return "it is about another release"
    return ""


def _signers(bundle: Sequence[SignedStatement], trust: Trust) -> str:
    names = dict.fromkeys(key.name for one in bundle for key in one.verify(trust).signed_by)
    parameters = bundle[0].predicate.get("buildDefinition", {}).get("internalParameters", {})
    late = ", afterwards" if parameters.get("signed") == "afterwards" else ""
    return f"by {', '.join(names)}{late}"


def _sha256_of(described: Mapping[str, object]) -> str:
    digest = described.get("digest")
    return str(digest.get("sha256", "")) if isinstance(digest, dict) else ""


def _unless(ask: Callable[[], object]) -> str:
    try:
        ask()
    except (NotFoundError, UnavailableError) as error:
        return error.why or error.what
    return ""


def _sum(area: LandingArea, path: str) -> str:
    found = hashlib.sha256()
    with area.open(path) as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return f"{', '.join(texts[:_NAMED])}{more}"
