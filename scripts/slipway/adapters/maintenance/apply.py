"""Carries out the steps of maintenance: commits first, each guarded by where its table was, then deletions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from slipway.adapters.iceberg.catalogs.commit import conflict, is_atomic, mover, publish, writing
from slipway.adapters.iceberg.tables import StagedTable, Tables
from slipway.adapters.iceberg.write.compact import Shorten, stage_shortened
from slipway.adapters.maintenance.locations import canonical
from slipway.adapters.maintenance.survey import identifier_of
from slipway.adapters.objects import object_store
from slipway.adapters.spill import limits
from slipway.domain.maintenance.history import History
from slipway.domain.maintenance.steps import Compact, Delete, Expire, Step


@dataclass(frozen=True)
class Commit:
    """The steps that change what the catalog names of one table."""

    table: str
    compact: Compact | None = None
    expire: Expire | None = None


def commits(steps: Iterable[Step]) -> list[Commit]:
    """The steps that are committed together, one commit for each table."""
    found: dict[str, Commit] = {}
    for step in steps:
        before = found.get(step.table, Commit(step.table))
        if isinstance(step, Compact):
            found[step.table] = Commit(step.table, step, before.expire)
        elif isinstance(step, Expire):
            found[step.table] = Commit(step.table, before.compact, step)
    return list(found.values())


def apply_commit(
    cursor: duckdb.DuckDBPyConnection, tables: Tables, history: History, commit: Commit, name: str
) -> int:
    """Write what a table is going to be and move the catalog's pointer to it, if it is where it was.

    Args:
        cursor: a connection that reads the warehouse.
        tables: the environment.
        history: what the plan was made from.
        commit: what is to be done.
        name: the beginning of new files' names.

    Returns:
        Bytes of the data files that were written.

    Raises:
        ConflictError: someone else moved the table; nothing of it was changed.
        UnavailableError: the catalog or the store cannot be written.
    """
    what = Shorten(
        identifier_of(commit.table),
        history.tables[commit.table].location,
        [[file.path for file in one.files] for one in commit.compact.bins] if commit.compact else [],
        [int(snapshot) for snapshot in commit.expire.snapshots] if commit.expire else [],
        commit.expire.tags if commit.expire else [],
    )
    with limits(commit.table):
        staged = stage_shortened(cursor, tables, what, name)
    if is_atomic(tables.catalog):
        publish(tables, [staged])
    else:
        with writing(tables):
            moved = mover(tables).forward(staged)
        if not moved:
            raise conflict(tables, staged.identifier, staged.base)
    return _bytes_added(staged) if commit.compact else 0


def apply_delete(tables: Tables, root: str, step: Delete) -> None:
    """Remove objects, metadata files first: what they lead to is never missing from one that is still there.

    Args:
        tables: the environment.
        root: the table's folder.
        step: what is removed.
    """
    base = f"{canonical(root)}/"
    keys = [one.location.removeprefix(base) for one in step.objects]
    store = object_store(root, tables.environment.catalog_properties)
    for part in _in_order(keys):
        store.delete(part)


def _bytes_added(staged: StagedTable) -> int:
    current = staged.table.current_snapshot()
    summary = current.summary.additional_properties if current and current.summary else {}
    return int(summary.get("added-files-size", "0"))


def _in_order(keys: Sequence[str]) -> list[list[str]]:
    def rank(key: str) -> int:
        if key.endswith(".metadata.json"):
            return 0
        if key.startswith("metadata/"):
            return 1 if "/snap-" in f"/{key}" else 2
        return 3

    return [[key for key in keys if rank(key) == number] for number in range(4)]
