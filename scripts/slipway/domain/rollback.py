"""Rollback, and forward again: which tables move so that readers see another release."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from slipway.domain.errors import ConflictError, NotFoundError, UsageError
from slipway.domain.release import Release, ReleasedTable


@dataclass(frozen=True)
class Step:
    """What happens to one table: it moves to the state it had, or is emptied when the release did not have it.

    It is not dropped, because no catalog but a SQL one could do that in one step with the others, and its history
    would be gone.

    Args:
        table: ``layer.table``.
        before: what readers see now.
        after: what they are going to see; None: a table without rows.
    """

    table: str
    before: ReleasedTable
    after: ReleasedTable | None


def goal_of(releases: Sequence[Release], number: int | None) -> Release:
    """The release that is to be shown: the one with the number, or the last before what is shown now.

    Args:
        releases: in the order of publication.
        number: None for the last one before that shows other content. A rollback counts as the release that it
            returned to.

    Raises:
        NotFoundError: there is none.
    """
    if not releases:
        raise NotFoundError("nothing to roll back", "there is no release yet", "publish one with slipway run")
    if number is not None:
        for release in releases:
            if release.number == number:
                return release
        known = ", ".join(str(release.number) for release in releases[-5:])
        raise NotFoundError(
            f"there is no release {number}", f"the last ones are {known}", "list them with slipway releases"
        )
    by_number = {release.number: release for release in releases}
    shown = shown_by(releases[-1], by_number)
    before = [shown_by(release, by_number) for release in reversed(releases[: releases.index(shown)])]
    for release in before:
        if _content(release) != _content(shown):
            return release
    why = f"no release before {shown.number} shows other content"
    if not before:
        why = f"release {shown.number} is the first"
    raise NotFoundError("nothing to roll back", why, "name a release with --to")


def _content(release: Release) -> dict[str, tuple[str | None, int]]:
    """Rows and columns of every table: what a run with --force builds again is the same."""
    return {name: (table.content, table.schema_id) for name, table in release.tables.items()}


def plan(
    releases: Sequence[Release],
    now: Mapping[str, ReleasedTable],
    goal: Release,
    only: Collection[str] = (),
) -> list[Step]:
    """The steps from what the catalog shows to a release, in order of table names.

    Tables that no release ever changed are other programs': a release tells of them, and nothing of them moves.

    Args:
        releases: in the order of publication.
        now: what the catalog names at this moment, ``layer.table`` to its state.
        goal: the release to show.
        only: names or patterns (``serving.*``) of the tables to move; all when empty.

    Raises:
        ConflictError: another program committed to a table that would move, or dropped it.
        UsageError: a pattern names no table.
    """
    steps = []
    ours = {name for release in releases for name, table in release.tables.items() if table.changed}
    for name in sorted(_chosen(ours.intersection({*now, *goal.tables}), only)):
        before, after = now.get(name), goal.tables.get(name)
        if before is None:
            raise _dropped(name, releases)
        if before.rows == 0 if after is None else _same(before, after):
            continue
        _refuse_foreign(name, before, releases)
        steps.append(Step(name, before, after))
    return steps


def shown_by(release: Release, by_number: Mapping[int, Release]) -> Release:
    """The release itself, or the one that it returned to."""
    if release.returns_to is None:
        return release
    if release.returns_to not in by_number:
        raise NotFoundError(
            f"release {release.number} shows release {release.returns_to} again",
            "which has no record",
            "name a release with --to",
        )
    return by_number[release.returns_to]


def _chosen(names: Collection[str], only: Collection[str]) -> set[str]:
    chosen = {name for name in names if not only}
    for pattern in only:
        matching = {name for name in names if fnmatchcase(name, pattern)}
        if not matching:
            raise UsageError(
                f"--select {pattern}", "no table of a release has that name", "write layer.table or layer.*"
            )
        chosen |= matching
    return chosen


def _same(left: ReleasedTable, right: ReleasedTable) -> bool:
    return (left.content, left.schema_id) == (right.content, right.schema_id)


def _refuse_foreign(name: str, now: ReleasedTable, releases: Sequence[Release]) -> None:
    """A commit of another program would be hidden without anybody having decided so."""
    if any(name in known.tables and known.tables[name].content == now.content for known in releases):
        return
    raise ConflictError(
        f"{name} cannot be rolled back",
        f"its current snapshot {now.snapshot_id} is of no release; another program committed it",
        "leave the table out with --select, or run first, so that it becomes part of a release",
    )


def _dropped(name: str, releases: Sequence[Release]) -> ConflictError:
    newest = [release.tables[name] for release in releases if name in release.tables][-1]
    return ConflictError(
        f"{name} cannot be rolled back",
        "another program dropped it from the catalog",
        f"register it again with its metadata file {newest.metadata_location}, or leave it out with --select",
    )
