"""Records of promotions in the environment that is promoted to: the plan, what was copied, and the evidence that came along."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from pydantic import AwareDatetime, Field

from slipway.records.record import SCHEMA_VERSION, Record

WHOLE_INPUT = "the whole input"
"""What a comparison covers that was made of no slice and no sample."""


class Finding(Record):
    """What became of one rule of the policy: whether it is met, and what was found."""

    rule: str
    met: bool
    why: str


class ComparedRows(Record):
    """How many rows of a table were compared, and how many the whole table has; None where that is not known."""

    rows: int | None
    of: int | None

    @property
    def percent(self) -> float | None:
        """The share in per cent, at most 100; None where it is not known."""
        if self.rows is None or self.of is None:
            return None
        return 100 * min(self.rows, self.of) / self.of if self.of else 100.0


class CodeComparison(Record):
    """A comparison of what two commits build; ``verdicts`` are by ``layer.table``, ``covers`` says on which part of the input.

    ``compared`` has the tables of base with the rows that were compared; of a part of the input these are not all that the table has where it is
    published. ``why_failed`` is empty where it passed; both are empty in records of earlier versions.
    """

    schema_version: int = SCHEMA_VERSION
    comparison_id: str
    made_at: AwareDatetime
    who: str
    commit: str
    base: str
    passed: bool
    covers: str
    verdicts: dict[str, str]
    compared: dict[str, ComparedRows] = Field(default_factory=dict)
    why_failed: str = ""

    @property
    def is_of_whole_input(self) -> bool:
        """Whether it was made of no slice and no sample."""
        return self.covers.strip('"') == WHOLE_INPUT


class PlannedTable(Record):
    """What a promotion does to a table.

    ``snapshot_id`` and ``digest`` are of the state that is promoted, ``base`` is the metadata file that the target's catalog named
    when the plan was made. ``files`` and ``bytes`` are those that the target does not have.
    """

    action: Literal["new", "changes", "shown again", "replaced", "retired", "rebuilt"]
    snapshot_id: str | None = None
    metadata_location: str | None = None
    digest: str | None = None
    rows: int | None = None
    run_id: str | None = None
    base: str | None = None
    base_snapshot: str | None = None
    files: int = 0
    bytes: int = 0


class Rests(Record):
    """All that a plan rests on: if any of it changes, the plan is void.

    ``rebuilds``: a run of the target builds the commit of the release again, and no data is copied.
    """

    source: str
    source_release: int
    source_sha256: str
    target: str
    target_release: int | None
    target_sha256: str | None
    policy_sha256: str
    layers: list[str] | None
    replaces: bool = False
    rebuilds: bool = False
    tables: dict[str, PlannedTable]

    @property
    def digest(self) -> str:
        """A checksum over all of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def differences(self, now: Rests) -> Iterator[str]:
        """What is otherwise by now, a part of a sentence each."""
        if now.source_sha256 != self.source_sha256:
            yield f"the record of release {self.source_release} of {self.source} is not what it was"
        if now.target_release != self.target_release:
            yield f"{self.target} shows {_release(now.target_release)}, and showed {_release(self.target_release)}"
        elif now.target_sha256 != self.target_sha256:
            yield f"the record of {_release(self.target_release)} of {self.target} is not what it was"
        if now.policy_sha256 != self.policy_sha256:
            yield "promotion.yml has changed"
        for name in sorted(self.tables.keys() | now.tables.keys()):
            before, after = self.tables.get(name), now.tables.get(name)
            if before != after:
                yield f"{name}: {_difference(before, after)}"


def _release(number: int | None) -> str:
    return "no release" if number is None else f"release {number}"


def _difference(before: PlannedTable | None, after: PlannedTable | None) -> str:
    if before is None or after is None:
        return "it is to be moved now" if before is None else "it is not to be moved any more"
    if before.base != after.base:
        return f"its current snapshot is now {after.base_snapshot}, and was {before.base_snapshot}"
    if before.snapshot_id != after.snapshot_id:
        return f"snapshot {after.snapshot_id} is to be shown, and {before.snapshot_id} was planned"
    return "what is to be copied has changed"


class Demand(Record):
    """How many people have to approve a plan: ``count`` with one of the ``roles``, whatever role if there are none.

    ``classification`` says of which data this is demanded, and ``tables`` those of the plan that have it; both are empty where it is demanded of every plan.
    """

    count: int
    roles: list[str] = Field(default_factory=list)
    classification: str = ""
    tables: list[str] = Field(default_factory=list)

    def described(self) -> str:
        """Who has to approve, as a part of a sentence."""
        who = "1 person" if self.count == 1 else f"{self.count:,} people"
        role = f" with the role {' or '.join(self.roles)}" if self.roles else ""
        return f"{who}{role}{f' for {self.classification} data' if self.classification else ''}"


class ApprovalRecord(Record):
    """An approval as it was judged right before a publication; ``why_not`` is empty where it counted."""

    key: str
    name: str
    owner: str
    roles: list[str]
    approved_at: str
    why_not: str = ""


class PromotionPlan(Record):
    """What a promotion is going to do, and why it may or may not; written once.

    ``demands`` are the approvals that it needs.
    """

    schema_version: int = SCHEMA_VERSION
    plan_id: str
    made_at: AwareDatetime
    who: str
    digest: str
    rests_on: Rests
    evidence: list[Finding]
    demands: list[Demand] = Field(default_factory=list)
    left_out: dict[str, str] = Field(default_factory=dict)
    unchanged: list[str] = Field(default_factory=list)

    @property
    def unmet(self) -> list[Finding]:
        """Rules that are not met."""
        return [one for one in self.evidence if not one.met]

    @property
    def files(self) -> int:
        """Data files to copy."""
        return sum(table.files for table in self.rests_on.tables.values())

    @property
    def bytes(self) -> int:
        """Bytes to copy."""
        return sum(table.bytes for table in self.rests_on.tables.values())


class CopiedFile(Record):
    """A data file that was copied: its path below the table's folder, bytes, and a checksum (``sha256:``, or S3's ``etag:``)."""

    path: str
    size_bytes: int
    checksum: str


class RebuiltTable(Record):
    """A table that was built again, compared with that of the release that was promoted: verdict as of ``slipway diff``, and rows of both."""

    verdict: str
    rows: int | None
    source_rows: int | None


class Rebuilt(Record):
    """The run of the target that built the commit of a promoted release again, and how its tables differ from those of the release.

    ``problem`` says why they were not compared; it is empty where they were.
    """

    run_id: str
    commit: str
    tables: dict[str, RebuiltTable] = Field(default_factory=dict)
    problem: str = ""


class Promotion(Record):
    """What was copied or built again for a release, and the evidence and approvals that were found right before it was published.

    ``judged_at`` and ``policy_sha256`` say when and by which promotion.yml; promotions of earlier versions do not have them.
    """

    schema_version: int = SCHEMA_VERSION
    number: int
    plan_id: str
    source: str
    source_release: int
    evidence: list[Finding]
    judged_at: AwareDatetime | None = None
    policy_sha256: str = ""
    demands: list[Demand] = Field(default_factory=list)
    approvals: list[ApprovalRecord] = Field(default_factory=list)
    copied: dict[str, list[CopiedFile]]
    rebuilt: Rebuilt | None = None
