"""What the rules of a policy are judged by: the runs that vouch for tables of a release, their commits, and contracts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pyiceberg.schema import Schema

from slipway.code import git
from slipway.contracts.classification import classification_of, classifications, described_columns
from slipway.contracts.contract_changes import compare_all
from slipway.contracts.contract_files import FOLDER, Reading, documents, look_at_contents
from slipway.errors import DamagedError, NotFoundError, SlipwayError
from slipway.governance.classified_columns import with_lineage
from slipway.governance.recorded_lineage import TablesOfCut
from slipway.promotion.demands import Classified
from slipway.promotion.evidence import best_comparison
from slipway.promotion.promotion_policy import Require
from slipway.records.code_comparisons import comparisons_of
from slipway.records.promotion_records import CodeComparison
from slipway.records.record_files import REPAIRED
from slipway.records.release_records import Release, ReleasedTable
from slipway.records.run_manifest import RunManifest
from slipway.records.store import PROMOTIONS, Records, check_seal, why_missing
from slipway.releases.attestation import MANIFEST
from slipway.releases.lookup import is_table
from slipway.releases.published import Published
from slipway.releases.signatures import bundle_of, read_list
from slipway.signing.signing_keys import Trust, trust_of
from slipway.signing.statements import PROVENANCE, release_name


@dataclass(frozen=True)
class Gathered:
    """The runs that vouch for the tables of a release.

    Args:
        project: the repository that knows their commits.
        runs: their manifests, by run id.
        contents: the bytes of these, as they are recorded, and of those of the release's own run and of the runs that wrote the tables.
        vouched: ``layer.table`` to the run that vouches for it; None where none does.
        unknown: why manifests cannot be read, by run id.
        described: dbt's manifest of the release's own run, by run id; empty where none was kept.
    """

    project: Path = field(default_factory=Path)
    runs: Mapping[str, RunManifest] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    vouched: Mapping[str, str | None] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    described: Mapping[str, bytes] = field(default_factory=dict)

    def off_branch(self, commit: str, branch: str) -> str:
        """Why a commit is not on a branch as this clone knows it; empty when it is."""
        try:
            return git.why_not_on(self.project, commit, branch)
        except SlipwayError as error:
            return f"whether it is on {branch} is not known: {error.what}"

    def compared(self, require: Require, now: datetime, *records: Records) -> dict[str, CodeComparison]:
        """The canary of each commit of the runs that counts as evidence, of those that are recorded in several environments.

        Raises:
            DamagedError: a record of one cannot be read.
        """
        found: dict[str, CodeComparison] = {}
        for commit in {run.code.commit for run in self.runs.values() if run.code.commit}:
            known = [one for each in records for one in comparisons_of(each, commit)]
            if chosen := best_comparison(known, require, now):
                found[commit] = chosen
        return found

    def classified(
        self, goal: Release, tables: Mapping[str, Schema], published: Published
    ) -> Classified | None:
        """Classifications of data in tables, by what contracts and dbt's YAML say at the commit of the release.

        A column counts by its name, because models pass columns on under their names, and by what it is made from.

        Args:
            goal: the release.
            tables: ``layer.table`` to its columns.
            published: the environment of the release.

        Returns:
            None where it is not known what the commit says.
        """
        described = self.described.get(goal.run_id)
        if goal.code.unknown or described is None:
            return None
        try:
            readings = _readings(self.project, goal)
        except SlipwayError:
            return None
        if any(one.contract is None for one in readings):
            return None
        dbt_manifest = json.loads(described)
        contracts = [one.contract for one in readings if one.contract]
        declared = classifications(contracts, described_columns(dbt_manifest))
        columns = TablesOfCut(published, published.release(goal.number))
        derived = with_lineage(declared, dbt_manifest, tables, columns, published.records, columns.made)
        by_name = declared.by_name
        by_table = {
            f"{node['schema']}.{node['alias']}": given
            for node in dbt_manifest["nodes"].values()
            if is_table(node) and (given := classification_of(node))
        }
        found = {}
        for table, schema in tables.items():
            names = {part.casefold() for name in schema.column_names for part in name.split(".")}
            classes = derived.of_table(table).by_name
            found[table] = {given for name in names for given in classes.get(name, ())}
            found[table] |= {by_table[table]} if table in by_table else set()
        return Classified(found, {*by_table.values(), *(one for given in by_name.values() for one in given)})

    def contracts(self, before: Release | None, goal: Release) -> list[str]:
        """How contracts break what was promised by the release before, without a new version; a sentence each."""
        if before is None:
            return []
        try:
            base, head = (documents(_readings(self.project, one)) for one in (before, goal))
        except SlipwayError as error:
            return [f"The contracts cannot be compared: {error.line()}"]
        return [line for one in compare_all(base, head, datetime.now(UTC).date()) for line in one.failures]


def why_not_signed(
    records: Records, release: Release, sha256: str, tables: Collection[str], runs: Mapping[str, bytes]
) -> str:
    """Why no signature that counts stands for a release record with this checksum; empty when one does.

    Args:
        records: of the environment that has the release.
        release: the release.
        sha256: of its record.
        tables: those of which the signed lists of files have to be there: without them nobody knows that a file is the one that was signed.
        runs: manifests that the release is judged by, by run id; they have to be the ones that were signed with a release of the environment.
    """
    try:
        bundle = bundle_of(records, release.number)
    except DamagedError as error:
        return error.line()
    if not bundle:
        return f"release {release.number} of {release.target} is not signed"
    trust = trust_of(records.environment)
    for one in bundle:
        if why := one.verify(trust).why_not:
            return why
        own = one.subjects.get(release_name(release.number))
        if own is None or own["digest"].get("sha256") != sha256:
            return f"its signature is of another record than that of release {release.number}"
    subjects = bundle[0].subjects
    for name in sorted(set(tables) & release.tables.keys() & subjects.keys()):
        try:
            read_list(records, subjects[name]["digest"].get("sha256", ""))
        except FileNotFoundError:
            return f"the signed list of the files of {name} is gone"
        except DamagedError as error:
            return error.line()
    whys = (_run_not_signed(records, release, trust, *one) for one in sorted(runs.items()))
    return next(filter(None, whys), "")


def _run_not_signed(records: Records, last: Release, trust: Trust, run_id: str, content: bytes) -> str:
    """Why the manifest of a run is not what was signed with its release, or with the promotion that it came with; empty where it is."""
    for one in reversed(records.releases()):
        if one.number > last.number or (one.run_id != run_id and one.promoted is None):
            continue
        places = {
            f"{records.folder(run_id)}/{MANIFEST}",
            f"{PROMOTIONS}/{one.number:06d}/runs/{run_id}.json",
        }
        with suppress(DamagedError):
            for statement in bundle_of(records, one.number) or ():
                if statement.predicate_type != PROVENANCE or statement.verify(trust).why_not:
                    continue
                for record in statement.predicate["runDetails"]["byproducts"]:
                    if record["uri"] in places:
                        same = record["digest"]["sha256"] == hashlib.sha256(content).hexdigest()
                        return "" if same else f"the manifest of run {run_id} is not the one that was signed"
    return f"no signature that counts stands for the manifest of run {run_id}"


def signed_checksums(records: Records, release: Release) -> dict[str, dict[str, str]]:
    """Checksums of data files that were signed with a release, by table and by path below the warehouse; without those that are not known.

    What is taken from them can only refuse a file, so whose signature it is does not matter here.
    """
    with suppress(DamagedError):
        for one in bundle_of(records, release.number) or ():
            return {
                name: found
                for name in release.tables.keys() & one.subjects.keys()
                if (found := _checksums(records, one.subjects[name]["digest"].get("sha256", "")))
            }
    return {}


def _checksums(records: Records, sha256: str) -> dict[str, str]:
    with suppress(DamagedError, FileNotFoundError):
        return {
            file.path: f"sha256:{file.sha256}" if file.sha256 else f"etag:{file.etag}"
            for file in read_list(records, sha256).files
            if file.sha256 or file.etag
        }
    return {}


def gather(
    project: Path, records: Records, goal: Release, tables: Sequence[str], retired: Sequence[str] = ()
) -> Gathered:
    """Find the runs that vouch for tables of a release: its own, where it dealt with the very state, else that which wrote it.

    Args:
        project: the repository that knows their commits.
        records: of the source.
        goal: the release.
        tables: those of the release that are moved.
        retired: tables that the release does not have any more, for which its own run vouches.
    """
    found = _Runs(records)
    vouched: dict[str, str | None] = dict.fromkeys(retired, goal.run_id)
    if retired:
        found.manifest(goal.run_id)
    for name in tables:
        state = goal.tables[name]
        own = found.manifest(goal.run_id)
        vouched[name] = goal.run_id if own and _dealt_with(own, name, state) else state.run_id
        for run_id in filter(None, {vouched[name], state.run_id}):
            found.manifest(run_id)
    used = set(vouched.values())
    come_along = {*used, goal.run_id, *(goal.tables[name].run_id for name in tables)}
    return Gathered(
        project,
        {run_id: run for run_id, run in found.runs.items() if run_id in used},
        {run_id: content for run_id, content in found.contents.items() if run_id in come_along},
        vouched,
        {run_id: why for run_id, why in found.unknown.items() if run_id in used},
        _described(records, goal.run_id),
    )


def _described(records: Records, run_id: str) -> dict[str, bytes]:
    """dbt's manifest of a run; one that is damaged is reported by the doctor and keeps nobody from promoting."""
    with suppress(DamagedError):
        if (found := records.dbt_manifest(run_id)) is not None:
            return {run_id: json.dumps(found).encode()}
    return {}


def _dealt_with(run: RunManifest, name: str, state: ReleasedTable) -> bool:
    same = {state.snapshot_id, state.content}
    return any(node.table == name and node.candidate_snapshot in same for node in run.nodes)


class _Runs:
    """Manifests of runs of an environment, or of those that it got its releases from."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.runs: dict[str, RunManifest] = {}
        self.contents: dict[str, bytes] = {}
        self.unknown: dict[str, str] = {}

    def manifest(self, run_id: str) -> RunManifest | None:
        """The manifest of a run, None where it is not known."""
        if run_id not in self.runs and run_id not in self.unknown:
            try:
                self._read(run_id)
            except DamagedError as error:
                self.unknown[run_id] = error.line()
        return self.runs.get(run_id)

    def _read(self, run_id: str) -> None:
        records = self._records
        if (manifest := records.manifest(run_id)) is not None:
            check_seal(records, run_id, f"Promotion of run {run_id}")
            self.runs[run_id], self.contents[run_id] = manifest, _content(records, run_id)
        elif came := records.promoted_manifest(run_id):
            self.runs[run_id], self.contents[run_id] = came
        else:
            self.unknown[run_id] = why_missing(records.store, run_id) or "it has no run manifest"


def _content(records: Records, run_id: str) -> bytes:
    """The bytes of a run's manifest, or of the good copy next to it."""
    try:
        return records.read(run_id, f"run_manifest.json{REPAIRED}")
    except NotFoundError:
        return records.read(run_id, "run_manifest.json")


def _readings(project: Path, release: Release) -> list[Reading]:
    """The contracts at the commit of a release."""
    if (commit := release.code.commit) is None:
        raise NotFoundError(
            f"release {release.number} of {release.target} has no commit", release.code.unknown
        )
    return look_at_contents(git.files_at(project, git.resolve(project, commit), project / FOLDER))
