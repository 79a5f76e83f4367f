"""Rollback, and forward again: which tables move so that readers see another release, and who reads them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from slipway.errors import ConflictError, NotFoundError, UsageError
from slipway.names import SEMANTIC_LAYER
from slipway.records.release_records import Release, ReleasedTable

_NO_TABLE = ("ephemeral", "view")


@dataclass(frozen=True)
class Exposure:
    """Something that reads published tables: a dashboard, a notebook, an application."""

    name: str
    kind: str
    owner: str
    tables: tuple[str, ...]

    def described(self) -> str:
        """What it is and what it reads, for messages."""
        owner = f" of {self.owner}" if self.owner else ""
        return f"read by {self.kind} {self.name}{owner}: {', '.join(self.tables)}"

    def record(self) -> dict[str, Any]:
        """The same for ``--output json``."""
        return {"name": self.name, "type": self.kind, "owner": self.owner, "tables": self.tables}


def affected(manifest: Mapping[str, Any], tables: Collection[str]) -> list[Exposure]:
    """Exposures that read tables (``schema.name``) which change, by themselves or through models that are no tables, and metrics; by name."""
    nodes: Mapping[str, Any] = manifest.get("nodes", {})
    defined = {name: one for part in SEMANTIC_LAYER for name, one in manifest.get(part, {}).items()}
    found = []
    for exposure in manifest.get("exposures", {}).values():
        read = set(_tables(nodes, defined, exposure["depends_on"]["nodes"]))
        if hit := sorted(read & set(tables)):
            owner = exposure.get("owner") or {}
            contact = str(owner.get("name") or owner.get("email") or "")
            found.append(Exposure(exposure["name"], exposure["type"], contact, tuple(hit)))
    return sorted(found, key=lambda exposure: exposure.name)


def _tables(nodes: Mapping[str, Any], defined: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        node = nodes.get(name)
        if node is None and name in defined:
            yield from _tables(nodes, defined, defined[name]["depends_on"]["nodes"])
        elif node is not None and node["config"].get("materialized") in _NO_TABLE:
            yield from _tables(nodes, defined, node["depends_on"]["nodes"])
        elif node is not None:
            yield f"{node['schema']}.{node.get('alias') or node['name']}"


@dataclass(frozen=True)
class Step:
    """What happens to one table: it moves to the state it had, or is emptied when the release did not have it yet.

    It is not dropped then, because its history would be known to no catalog. A table that had been retired before the release is
    retired again, and so is one that has the files of a table that comes back: it was renamed.

    Args:
        table: ``layer.table``.
        before: what readers see now; None: the catalog does not name it, so it enters it again.
        after: what they are going to see; None: a table without rows, or none at all.
        retires: the catalog is not to name it any more.
        sources: metadata files that the table may be brought back from, the newest first.
    """

    table: str
    before: ReleasedTable | None
    after: ReleasedTable | None
    retires: bool = False
    sources: Sequence[str] = ()


def goal_of(releases: Sequence[Release], number: int | None) -> Release:
    """The release that is to be shown: the one with the number, or the last before what is shown now that shows other content.

    A rollback counts as the release that it returned to.

    Raises:
        NotFoundError: there is none.
    """
    if not releases:
        raise NotFoundError("Nothing to roll back", "there is no release yet", "Publish one with slipway run")
    if number is not None:
        for release in releases:
            if release.number == number:
                return release
        known = ", ".join(str(release.number) for release in releases[-5:])
        raise NotFoundError(
            f"There is no release {number}", f"the last ones are {known}", "List them with slipway releases"
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
    raise NotFoundError("Nothing to roll back", why, "Name a release with --to")


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
        ConflictError: another program committed to a table that would move.
        UsageError: a pattern names no table.
    """
    steps = []
    known = ours(releases).intersection({*now, *goal.tables})
    renamed = _renamed(known, now, goal)
    chosen = chosen_tables(known, only)
    chosen |= {name for pair in renamed if chosen.intersection(pair) for name in pair}
    for name in sorted(chosen):
        before, after = now.get(name), goal.tables.get(name)
        if before is None:
            new = [now[other].metadata_location for old, other in renamed if old == name]
            steps.append(Step(name, None, after, sources=[*new, *_sources(name, releases)]))
            continue
        was_there = any(name in release.tables for release in releases[: releases.index(goal)])
        retires = after is None and (was_there or any(name == new for _, new in renamed))
        same = after and (before.content, before.schema_id) == (after.content, after.schema_id)
        if not retires and (before.rows == 0 if after is None else same):
            continue
        refuse_foreign(name, before, releases, "rolled back")
        steps.append(Step(name, before, after, retires=retires))
    return steps


def ours(releases: Sequence[Release]) -> set[str]:
    """Tables that a release changed; others are other programs'."""
    return {name for release in releases for name, table in release.tables.items() if table.changed}


def shown_by(release: Release, by_number: Mapping[int, Release]) -> Release:
    """The release itself, or the one that it returned to."""
    if release.returns_to is None:
        return release
    if release.returns_to not in by_number:
        raise NotFoundError(
            f"Release {release.number} shows release {release.returns_to} again",
            "which has no record",
            "Name a release with --to",
        )
    return by_number[release.returns_to]


def chosen_tables(names: Collection[str], only: Collection[str], option: str = "--select ") -> set[str]:
    """Names that patterns choose, all when there is no pattern.

    Raises:
        UsageError: a pattern names no table.
    """
    chosen = {name for name in names if not only}
    for pattern in only:
        matching = {name for name in names if fnmatchcase(name, pattern)}
        if not matching:
            raise UsageError(
                f"{option}{pattern}", "no table of a release has that name", "Write layer.table or layer.*"
            )
        chosen |= matching
    return chosen


def refuse_foreign(name: str, now: ReleasedTable, releases: Sequence[Release], what: str) -> None:
    """A commit of another program would be hidden although no one has decided so.

    Raises:
        ConflictError: there is one.
    """
    if any(name in known.tables and known.tables[name].content == now.content for known in releases):
        return
    raise ConflictError(
        f"{name} cannot be {what}",
        f"its current snapshot {now.snapshot_id} is of no release; another program committed it",
        "Leave the table out with --select, or run first, so that it becomes part of a release",
    )


def _renamed(
    names: Collection[str], now: Mapping[str, ReleasedTable], goal: Release
) -> list[tuple[str, str]]:
    """Pairs of names with the same files: one that comes back, and one that the release does not have."""
    gone = {folder_of(now[name]): name for name in names if name in now and name not in goal.tables}
    back = [name for name in names if name not in now and name in goal.tables]
    return [
        (name, gone[folder]) for name in back if (folder := folder_of(goal.tables[name])) and folder in gone
    ]


def folder_of(table: ReleasedTable) -> str:
    """The folder of a table, which tells that two names have the same files."""
    return table.metadata_location.rpartition("/metadata/")[0]


def _sources(name: str, releases: Sequence[Release]) -> list[str]:
    """Metadata files that releases name of a table, the newest first."""
    found: dict[str, None] = {}
    for release in reversed(releases):
        if location := release.retired.get(name):
            found.setdefault(location)
        if table := release.tables.get(name):
            found.setdefault(table.metadata_location)
    return list(found)
