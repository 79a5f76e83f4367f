"""What is stated of a release: in-toto statements about its tables, with the provenance of SLSA, the results of its tests, and why it was promoted.

Sources: in-toto Attestation Framework, "Statement" v1 and "ResourceDescriptor" v1; SLSA, "Build: Provenance" v1 and "Verification Summary Attestation" v1; in-toto
attestation predicates, "Test result" v0.1.
Fields of our own have snake case, so that they differ from those of the specifications; readers of these may ignore them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from pydantic import Field

from slipway.records.node_results import Status, TestResult
from slipway.records.promotion_records import CodeComparison, Promotion
from slipway.records.record import SCHEMA_VERSION, Record
from slipway.records.release_records import Release
from slipway.records.run_manifest import RunManifest
from slipway.secrets import hide, hide_in

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
COMPARISON = "urn:slipway:comparison:v1"
EVIDENCE = "urn:slipway:evidence:v1"
"""The field of a verification summary that has what was found of each rule: SLSA has URIs name fields of others."""
_LEVEL, _FAILED = "SLIPWAY_PROMOTION", "FAILED"
_SLSA = "1.0"
CODE, LOCK, IMAGE = "code", "requirements.lock", "image"
"""Names of what a run was made with, among its dependencies."""
BUNDLE = ".intoto.jsonl"
"""Ends the name of the signed statements about a release."""
POLICY_FILE = "promotion.yml"
"""The policy that a promotion is judged by."""
LANDED = "landing/"
"""Begins the name of a landed file among the dependencies of a run."""


class BuildType(StrEnum):
    """How a release came to be; what the parameters of each mean is said in docs/reference/evidence.md."""

    RUN = "urn:slipway:build:run:v1"
    ROLLBACK = "urn:slipway:build:rollback:v1"
    RETIREMENT = "urn:slipway:build:retirement:v1"
    PROMOTION = "urn:slipway:build:promotion:v1"

    @classmethod
    def of(cls, release: Release) -> BuildType:
        """How a release came to be."""
        if release.promoted:
            return cls.PROMOTION
        if release.by_run:
            return cls.RUN
        return cls.RETIREMENT if release.retirement else cls.ROLLBACK


class DataFile(Record):
    """A file with rows; ``path`` is below the warehouse, or a whole address elsewhere, ``size`` in bytes.

    ``sha256`` is of its content. On S3 there is ``etag`` instead, as the store gave it when the file was written: of its content, too, in a form that its parts decide.
    """

    path: str
    size: int
    sha256: str | None = None
    etag: str | None = None


class FileList(Record):
    """The rows of a table in one state: their digest, their schema, and the files that hold them, sorted by path."""

    schema_version: int = SCHEMA_VERSION
    table: str
    rows: int | None
    content_digest: str | None
    schema_fingerprint: str
    files: list[DataFile] = Field(default_factory=list)


def list_key(sha256: str) -> str:
    """The key of a list of files below the records' root, by the checksum of its bytes."""
    return f"files/{sha256}.json"


def release_key(number: int) -> str:
    """The key of a release record."""
    return f"releases/{number:06d}.json"


def bundle_key(number: int) -> str:
    """The key of the signed statements about a release."""
    return f"releases/{number:06d}{BUNDLE}"


def release_name(number: int) -> str:
    """The name of a release among the subjects of its statements."""
    return f"release-{number}"


def table_subject(
    name: str, list_sha256: str, listed: FileList, snapshot_id: str | None, content: str | None
) -> dict[str, Any]:
    """A table in one state: the digest is that of its list of files.

    Args:
        name: ``layer.table``.
        list_sha256: of the bytes of the list.
        listed: the list.
        snapshot_id: the snapshot that shows it.
        content: the snapshot that brought the rows; another one after a compaction.
    """
    return {
        "name": name,
        "digest": {"sha256": list_sha256},
        "annotations": {
            "snapshot_id": snapshot_id,
            "content_snapshot_id": content,
            "rows": listed.rows,
            "content_digest": listed.content_digest,
            "schema_fingerprint": listed.schema_fingerprint,
        },
    }


@dataclass(frozen=True)
class Stated:
    """What statements are made of.

    Args:
        release: the release.
        release_sha256: of the bytes of its record.
        tables: subjects that are tables.
        run: the manifest of the run that made it; None for a rollback, a retirement or a promotion that copied data.
        records: folders of the run and of the promotion below the records' root, to names of records in them and the SHA-256 of their bytes.
        returns_to: the release that is shown again, and the SHA-256 of the bytes of its record.
        builder: URI of who ran slipway.
        version: of slipway.
        afterwards: whether it is signed later than it was published.
        promotion: what was found right before it was promoted.
        comparisons: of the commits that it was made from, those that were known then.
    """

    release: Release
    release_sha256: str
    tables: Sequence[Mapping[str, Any]]
    run: RunManifest | None
    records: Mapping[str, Mapping[str, str]]
    builder: str
    version: str
    returns_to: tuple[int, str] | None = None
    afterwards: bool = False
    promotion: Promotion | None = None
    comparisons: Sequence[CodeComparison] = ()
    subjects: list[Mapping[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        number = self.release.number
        own = {
            "name": release_name(number),
            "uri": release_key(number),
            "digest": {"sha256": self.release_sha256},
        }
        object.__setattr__(self, "subjects", [*self.tables, own])

    @property
    def described_records(self) -> list[dict[str, Any]]:
        """The records with name, place and digest."""
        return [
            {"name": name, "uri": f"{folder}/{name}", "digest": {"sha256": sha256}}
            for folder, records in self.records.items()
            for name, sha256 in sorted(records.items())
        ]


def statements(stated: Stated) -> list[dict[str, Any]]:
    """Everything that is stated of a release: how it came to be, how the tests of a run ended, and what a promotion was allowed for."""
    found = [_statement(stated, PROVENANCE, _provenance(stated))]
    if stated.run is not None:
        found.append(_statement(stated, TEST_RESULT, test_result(stated.run)))
    if stated.promotion is not None and stated.promotion.judged_at is not None:
        found.append(_statement(stated, SUMMARY, _summary(stated, stated.promotion)))
    if stated.comparisons:
        listed = [one.model_dump(mode="json", exclude={"schema_version"}) for one in stated.comparisons]
        found.append(_statement(stated, COMPARISON, {"comparisons": listed}))
    return found


def _summary(stated: Stated, promotion: Promotion) -> dict[str, Any]:
    """A verification summary: by which policy a promotion was judged, what was found, and which signed statements were looked at."""
    assert promotion.judged_at is not None
    release = stated.release
    return {
        "verifier": {"id": stated.builder, "version": _versions(stated)},
        "timeVerified": _time(promotion.judged_at),
        "resourceUri": f"urn:slipway:release:{quote(release.target, safe='')}:{release.number}",
        "policy": {"uri": POLICY_FILE, "digest": {"sha256": promotion.policy_sha256}},
        "inputAttestations": [
            {"uri": record["uri"], "digest": record["digest"]}
            for record in stated.described_records
            if record["name"].endswith(BUNDLE)
        ],
        "slsaVersion": _SLSA,
        **judged(promotion),
    }


def judged(promotion: Promotion) -> dict[str, Any]:
    """The part of a verification summary that says how a promotion was judged."""
    passed = all(one.met for one in promotion.evidence)
    return {
        "verificationResult": "PASSED" if passed else _FAILED,
        "verifiedLevels": [_LEVEL if passed else _FAILED],
        EVIDENCE: [one.model_dump() for one in promotion.evidence],
    }


def _statement(stated: Stated, kind: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": stated.subjects,
        "predicateType": kind,
        "predicate": hide_in(predicate),
    }


def _provenance(stated: Stated) -> dict[str, Any]:
    release, run = stated.release, stated.run
    return {
        "buildDefinition": {
            "buildType": BuildType.of(release),
            "externalParameters": {
                "target": release.target,
                **(_asked(run) if run else {}),
                **(_moved(release) if release.promoted or not run else {}),
            },
            "internalParameters": {
                **({"mode": run.mode, "as_of": run.as_of} if run else {}),
                **({"signed": "afterwards"} if stated.afterwards else {}),
            },
            "resolvedDependencies": list(_dependencies(stated)),
        },
        "runDetails": {
            "builder": {"id": stated.builder, "version": _versions(stated)},
            "metadata": {
                "invocationId": release.run_id if run else release_name(release.number),
                "startedOn": _time(run.started_at if run else release.published_at),
                "finishedOn": _time(run.finished_at if run else release.published_at),
            },
            "byproducts": stated.described_records,
        },
    }


def _asked(run: RunManifest) -> dict[str, Any]:
    """What whoever started a run decided."""
    return {
        "command": [hide(part) for part in run.command],
        "vars": run.vars,
        **run.options.model_dump(mode="json", exclude_defaults=True),
    }


def _moved(release: Release) -> dict[str, Any]:
    """What whoever promoted a release, or rolled back or retired tables, decided."""
    promoted = release.promoted
    return {
        **({"promoted": promoted.model_dump(exclude={"sha256"})} if promoted else {}),
        "returns_to": release.returns_to,
        "reason": release.reason,
        "tables": sorted(name for name, table in release.tables.items() if table.changed),
        "retired": sorted(release.retired),
    }


def _versions(stated: Stated) -> dict[str, str]:
    known = stated.run.versions.model_dump(exclude={"lock_sha256", "image_digest"}) if stated.run else {}
    return {**known, "slipway": known.get("slipway", stated.version)}


def _dependencies(stated: Stated) -> Iterator[dict[str, Any]]:
    """What a release was made from, each with its digest as far as it has one."""
    code = stated.release.code
    if code.commit:
        state = {"dirty": code.dirty, "branch": code.branch}
        yield {"name": CODE, "digest": {"gitCommit": code.commit}, "annotations": state}
    if stated.returns_to:
        number, sha256 = stated.returns_to
        yield {"name": release_name(number), "uri": release_key(number), "digest": {"sha256": sha256}}
    if promoted := stated.release.promoted:
        name = f"{promoted.target}/{release_name(promoted.release)}"
        yield {"name": name, "uri": release_key(promoted.release), "digest": {"sha256": promoted.sha256}}
    if run := stated.run:
        if run.versions.lock_sha256:
            yield {"name": LOCK, "digest": {"sha256": run.versions.lock_sha256}}
        if run.versions.image_digest:
            yield image(run.versions.image_digest)
        for read in run.inputs:
            where = {"snapshot_id": read.snapshot_id, "rows": read.rows}
            yield {"name": read.table, "uri": read.metadata_location, "annotations": where}
        for file in run.landed_files:
            if file.verdict == "accepted":
                yield {
                    "name": f"{LANDED}{hide(file.path)}",
                    "digest": {"sha256": file.sha256},
                    "annotations": {"feed": file.feed, "size_bytes": file.size_bytes, "rows": file.rows},
                }


def test_result(run: RunManifest) -> dict[str, Any]:
    """The predicate of a run's tests; those that were carried over passed before on the same tables and code."""
    tests = run.tests.results

    def named(*statuses: Status) -> list[str]:
        return sorted(one.unique_id for one in tests if one.status in statuses)

    failed, warned = [one.unique_id for one in tests if one.status.failed], named(Status.WARN)
    return {
        "result": _result(tests),
        "configuration": [
            {"name": CODE, "digest": {"gitCommit": run.code.commit}}
            if run.code.commit
            else {"name": CODE, "uri": "urn:slipway:unknown"}
        ],
        "passedTests": named(Status.PASS, Status.SUCCESS),
        "warnedTests": warned,
        "failedTests": sorted(failed),
        "carried_tests": sorted(one.unique_id for one in tests if one.carried),
        "not_run_tests": sorted(one.unique_id for one in tests if one.status.left_out),
    }


def _result(tests: Sequence[TestResult]) -> str:
    if any(one.status.failed for one in tests):
        return "FAILED"
    return "WARNED" if any(one.status is Status.WARN or one.status.left_out for one in tests) else "PASSED"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def image(given: str) -> dict[str, Any]:
    """A container image as a resource of a statement.

    Args:
        given: its digest, ``sha256:…``, with or without the name of the image and ``@`` in front.
    """
    name, _, digest = given.rpartition("@")
    algorithm, _, value = digest.rpartition(":")
    uri = {"uri": name} if name else {}
    return {"name": IMAGE, **uri, "digest": {algorithm or "sha256": value}}
