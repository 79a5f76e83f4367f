"""The steps of maintenance: what is going to happen to which table, the same list for a dry run and a real one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from slipway.counts import size
from slipway.errors import UsageError
from slipway.maintenance.protection import Kept, Reach, busy, expired, kept, reach
from slipway.maintenance.retention import Bin, History, LiveFile, pack

OLDER_THAN = timedelta(days=3)
"""How long a file is kept after it was written and after the catalog last led to it, by default."""


@dataclass(frozen=True)
class Compact:
    """Small data files of a table are compacted, in one snapshot that replaces them.

    Args:
        table: its name.
        bins: files that become one, for each file that is made; an engine other than DuckDB may choose otherwise.
        engine: what writes them again.
        why: it is this engine, in words; empty where there was no choice.
    """

    table: str
    bins: tuple[Bin, ...]
    engine: str = "duckdb"
    why: str = ""

    @property
    def files(self) -> int:
        """Data files that go."""
        return sum(len(one.files) for one in self.bins)

    @property
    def size(self) -> int:
        """Bytes that are written again."""
        return sum(one.size for one in self.bins)


@dataclass(frozen=True)
class Expire:
    """Snapshots that a table's metadata does not name any more, with the tags on them."""

    table: str
    snapshots: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """An object in a table's folder.

    Args:
        location: the key that references are compared by.
        size: bytes.
        modified: when it was written.
    """

    location: str
    size: int
    modified: datetime

    @property
    def is_metadata(self) -> bool:
        """Whether it lies among the metadata."""
        return "/metadata/" in self.location


@dataclass(frozen=True)
class Delete:
    """Orphan files: objects in a table's folder to which nothing refers."""

    table: str
    objects: tuple[Found, ...]

    @property
    def size(self) -> int:
        """Bytes that are won."""
        return sum(one.size for one in self.objects)


@dataclass(frozen=True)
class Forget:
    """Records that nothing needs any more.

    Args:
        table: the folder that they are in, below the warehouse.
        runs: the runs of which they are all records; empty for stored manifests of dbt and for plans of promotions.
        objects: what is removed, by its key below the records' root.
    """

    table: str
    runs: tuple[str, ...]
    objects: tuple[Found, ...]

    @property
    def size(self) -> int:
        """Bytes that are won."""
        return sum(one.size for one in self.objects)


Step = Compact | Expire | Delete | Forget


@dataclass(frozen=True)
class Left:
    """A table, or a part of what could be done to it, that is left as it is."""

    table: str
    why: str


@dataclass(frozen=True)
class OtherEngine:
    """An engine that compacts a table in place of DuckDB.

    Args:
        name: of the engine.
        above: bytes of the files that are written again, above which it does.
        why_not: why it cannot; empty if it can.
    """

    name: str
    above: int
    why_not: str = ""

    def compaction(self, found: Compact) -> Compact:
        """The step with its engine."""
        if found.size <= self.above:
            return found
        what = f"{size(found.size)} are written again, and spark_above is {size(self.above)}"
        if self.why_not:
            return replace(found, why=f"by DuckDB, although {what}: {self.why_not}")
        return replace(found, engine=self.name, why=f"by {self.name.capitalize()}, because {what}")


@dataclass(frozen=True)
class Layout:
    """The live data files of a table.

    Args:
        files: of the current partition spec.
        target: bytes that a file should have.
        why_not: why they cannot be compacted; empty when they can.
        other: the engine that compacts more than a number of bytes; None where it is always DuckDB.
    """

    files: Sequence[LiveFile] = ()
    target: int = 0
    why_not: str = ""
    other: OtherEngine | None = None


@dataclass(frozen=True)
class Folder:
    """What lies in a table's folder, and what of it is in use.

    Args:
        objects: everything there.
        named: locations that a kept state of any table names.
        why_not: why nothing may be removed; empty when it may.
    """

    objects: Sequence[Found]
    named: Collection[str]
    why_not: str = ""


@dataclass(frozen=True)
class Plan:
    """What maintenance does, and what holds afterwards.

    Args:
        steps: commits first, then what is deleted.
        left: tables that are left as they are, and why.
        reach: how far back rollback and replay go afterwards.
        damaged: those of the tables left as they are of which a file is missing or damaged.
    """

    steps: Sequence[Step] = ()
    left: Sequence[Left] = ()
    reach: Reach = field(default_factory=lambda: Reach(None, None))
    damaged: Sequence[str] = ()

    @property
    def size(self) -> int:
        """Bytes that are won."""
        return sum(step.size for step in self.steps if isinstance(step, Delete | Forget))


def chosen(names: Collection[str], patterns: Collection[str]) -> list[str]:
    """The tables that patterns name, all when there is none.

    Raises:
        UsageError: a pattern names no table.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"--select {pattern}", "no table has that name", "Write layer.table or layer.*")
    return sorted(name for name in names if not patterns or any(fnmatchcase(name, one) for one in patterns))


def plan(
    history: History,
    select: Collection[str],
    layouts: Mapping[str, Layout],
    folders: Mapping[str, Folder],
    there: Collection[str],
) -> Plan:
    """The steps for some tables.

    Args:
        history: the environment.
        select: names of tables.
        layouts: data files of those that the catalog names.
        folders: what lies in the folder of each that has one.
        there: metadata files that exist and are kept.
    """
    commits: list[Step] = []
    deletes: list[Step] = []
    left: list[Left] = []
    gone: set[str] = set()
    for table in sorted(select):
        if damage := history.damaged.get(table):
            left.append(Left(table, damage.why))
            continue
        keep = kept(history, table)
        if table in history.tables:
            if why := busy(history, table):
                left.append(Left(table, why))
            else:
                found, why = _commits(history, table, keep, layouts.get(table, Layout()))
                commits += found
                left += [Left(table, why)] if why else []
                gone |= {one for step in found if isinstance(step, Expire) for one in step.snapshots}
        if folder := folders.get(table):
            left += [Left(table, folder.why_not)] if folder.why_not else []
            if unused := orphans(history, folder):
                deletes.append(Delete(table, tuple(unused)))
    damaged = sorted(history.damaged.keys() & set(select))
    return Plan([*commits, *deletes], left, reach(history, gone, there), damaged)


def orphans(history: History, folder: Folder) -> list[Found]:
    """Orphan files of a folder that are old enough, in order of their location."""
    if folder.why_not:
        return []
    before = history.now - history.older_than
    found = [one for one in folder.objects if one.location not in folder.named and one.modified < before]
    return sorted(found, key=lambda one: one.location)


def _commits(history: History, table: str, keep: Collection[Kept], layout: Layout) -> tuple[list[Step], str]:
    steps: list[Step] = []
    if bins := () if layout.why_not else tuple(pack(layout.files, layout.target)):
        step = Compact(table, bins)
        steps.append(layout.other.compaction(step) if layout.other else step)
    snapshots, tags = expired(history, table, keep)
    if snapshots:
        steps.append(Expire(table, tuple(snapshots), tuple(tags)))
    return steps, layout.why_not
