"""What the site tells of releases: what each changed for readers, who made it, and whether it was rolled back. Rules without input or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway.records.promotion_records import Promotion
from slipway.records.release_records import Release
from slipway.signing.approval_rules import Judgement
from slipway.site.runs_shown import RunShown, moment, without_values


@dataclass(frozen=True)
class ChangedTable:
    """A table whose content a release changed: rows after and before it, None where it was not there or they are not known."""

    name: str
    rows: int | None
    before: int | None
    added: int | None = None
    removed: int | None = None
    bytes: int | None = None

    @property
    def is_rewritten(self) -> bool:
        """Whether all of its rows were removed and written, which does not say which of them differ."""
        return bool(self.before) and self.removed == self.before and self.added == self.rows


@dataclass(frozen=True)
class SumShown:
    """The sum of a column of a table before and after a release, as text; None where there is none."""

    column: str
    before: str | None
    after: str | None
    difference: str | None


@dataclass(frozen=True)
class ApprovalShown:
    """An approval of a promotion: who gave it, with which key and when (UTC), and why it does not count, empty where it does."""

    who: str
    key: str
    roles: list[str]
    at: str
    why_not: str


@dataclass(frozen=True)
class PromotionShown:
    """Why a promotion was allowed: rules of the policy (rule, whether it was met, why) as they were found right before it was published, and approvals as their keys count now.

    ``unverified`` says why approvals could not be judged.
    """

    plan_id: str
    judged_at: str
    evidence: list[tuple[str, bool, str]]
    demands: list[str]
    approvals: list[ApprovalShown]
    unverified: str = ""

    @classmethod
    def of(cls, promotion: Promotion, judged: Judgement | None, unverified: str = "") -> PromotionShown:
        """What a record of a promotion tells.

        Args:
            promotion: the record.
            judged: its approvals by the keys that count now; None where they cannot be judged.
            unverified: why they cannot.
        """
        return cls(
            plan_id=promotion.plan_id,
            judged_at=moment(promotion.judged_at),
            evidence=[(one.rule, one.met, without_values(one.why)) for one in promotion.evidence],
            demands=[one.described() for one in promotion.demands],
            approvals=[
                ApprovalShown(
                    one.owner or one.name, one.name, sorted(one.roles), one.approved_at, one.why_not
                )
                for one in (judged.approvals if judged else ())
            ],
            unverified=unverified,
        )


@dataclass(frozen=True)
class ReleaseShown:
    """A release; ``kind`` is ``run``, ``rollback``, ``retirement`` or ``promotion``.

    ``signed_by`` says who signed it, or why its signature does not count; ``withdrawn_by`` is the rollback that took it from readers. ``tables`` counts all that it shows.
    ``sums`` are those of serving tables that it changed, of the newest releases and without classified columns.
    """

    number: int
    kind: str
    published_at: str
    run_id: str
    who: str
    commit: str
    branch: str
    dirty: bool
    reason: str
    returns_to: int | None
    promoted: str
    guarantee: str
    signed_by: str
    approved_by: str
    changed: list[ChangedTable]
    retired: list[str]
    tables: int
    is_current: bool = False
    withdrawn_by: int | None = None
    promotion: PromotionShown | None = None
    sums: dict[str, list[SumShown]] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """``good`` for a signature that was verified, ``bad`` for one that does not fit what it is about, ``warn`` for all others."""
        if self.signed_by.startswith("broken"):
            return "bad"
        return "warn" if not self.signed_by or self.signed_by.startswith("not ") else "good"


@dataclass(frozen=True)
class Point:
    """A table as one release showed it."""

    release: int
    published_at: str
    rows: int | None
    bytes: int | None


@dataclass
class History:
    """Releases, newest first, and the points of each table, oldest first."""

    releases: list[ReleaseShown] = field(default_factory=list)
    points: dict[str, list[Point]] = field(default_factory=dict)


def history(
    releases: Sequence[Release],
    runs: Mapping[str, RunShown],
    signed_by: Mapping[int, str],
    approved_by: Mapping[int, str],
    promotions: Mapping[int, PromotionShown] | None = None,
) -> History:
    """What releases changed, one after the other.

    Args:
        releases: in the order of publication.
        runs: by id, as far as they are known.
        signed_by: number to who signed it.
        approved_by: number of a promotion to who approved it.
        promotions: number of a promotion to why it was allowed.
    """
    found = History()
    withdrawn = _withdrawn(releases)
    before: Release | None = None
    for release in releases:
        changed = _changed(release, before, runs)
        run = runs.get(release.run_id)
        found.releases.append(
            ReleaseShown(
                number=release.number,
                kind=_kind(release),
                published_at=moment(release.published_at),
                run_id=release.run_id,
                who=run.who if run and release.by_run else "",
                commit=release.code.commit or "",
                branch=release.code.branch or "",
                dirty=release.code.dirty,
                reason=release.reason,
                returns_to=release.returns_to,
                promoted=release.promoted.described() if release.promoted else "",
                guarantee=release.guarantee,
                signed_by=signed_by.get(release.number, ""),
                approved_by=approved_by.get(release.number, ""),
                changed=changed,
                retired=sorted(release.retired),
                tables=len(release.tables),
                is_current=release is releases[-1],
                withdrawn_by=withdrawn.get(release.number),
                promotion=(promotions or {}).get(release.number),
            )
        )
        for table in changed:
            point = Point(release.number, moment(release.published_at), table.rows, table.bytes)
            found.points.setdefault(table.name, []).append(point)
        before = release
    found.releases.reverse()
    return found


def _kind(release: Release) -> str:
    if release.rolls_back:
        return "rollback"
    if release.retirement:
        return "retirement"
    return "promotion" if release.promoted else "run"


def _changed(release: Release, before: Release | None, runs: Mapping[str, RunShown]) -> list[ChangedTable]:
    found = []
    for name, table in sorted(release.tables.items()):
        old = before.tables.get(name) if before else None
        if old is not None and old.content == table.content and old.schema_id == table.schema_id:
            continue
        run = runs.get(table.run_id or "")
        staged = run.tables.get(name) if run else None
        _, size, added, removed = staged or [None] * 4
        is_new = release.by_run and table.run_id == release.run_id
        found.append(
            ChangedTable(
                name=name,
                rows=table.rows,
                before=old.rows if old else None,
                added=added if is_new else None,
                removed=removed if is_new else None,
                bytes=size,
            )
        )
    return found


def _withdrawn(releases: Sequence[Release]) -> dict[int, int]:
    """Numbers of releases that readers do not see any more, to the rollback that took them away."""
    position = {release.number: at for at, release in enumerate(releases)}
    found: dict[int, int] = {}
    shown: list[int] = []
    for release in releases:
        back = position.get(release.returns_to) if release.rolls_back and release.returns_to else None
        if back is not None:
            later = [number for number in shown if position[number] > back]
            found |= dict.fromkeys(later, release.number)
            found.pop(release.returns_to or 0, None)
            shown = [number for number in shown if position[number] <= back]
        shown.append(release.number)
    return found
