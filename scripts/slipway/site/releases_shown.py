"""What the site tells of releases: what each changed for readers, who made it, and whether it was rolled back. Rules without input or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway.records.release_records import Release
from slipway.site.runs_shown import RunShown, moment


@dataclass(frozen=True)
class ChangedTable:
    """A table whose content a release changed: rows after and before it, None where it was not there or they are not known."""

    name: str
    rows: int | None
    before: int | None
    added: int | None = None
    removed: int | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class ReleaseShown:
    """A release; ``kind`` is ``run``, ``rollback``, ``retirement`` or ``promotion``.

    ``signed_by`` says who signed it, or why its signature does not count; ``withdrawn_by`` is the rollback that took it from readers. ``tables`` counts all that it shows.
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
) -> History:
    """What releases changed, one after the other.

    Args:
        releases: in the order of publication.
        runs: by id, as far as they are known.
        signed_by: number to who signed it.
        approved_by: number of a promotion to who approved it.
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
