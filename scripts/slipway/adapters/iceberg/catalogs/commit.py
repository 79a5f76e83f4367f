"""Publishing to a catalog: all tables in one step where it can, else one by one, each guarded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from slipway.adapters.iceberg.tables import StagedTable, TableId, Tables
from slipway.domain.errors import ConflictError, SlipwayError, UnavailableError
from slipway.domain.manifest import Move
from slipway.domain.publication import Position

GUARANTEES = {
    "sql": "all tables in one database transaction",
    "rest": "all tables in one request, which the catalog promises to apply whole or not at all",
    "stepwise": "one table after the other, finished or undone by the next command if interrupted;"
    " readers other than slipway may see a mixture meanwhile",
}


def guarantee(catalog: Catalog) -> str:
    """What readers may rely on while a release is published to this catalog."""
    return GUARANTEES[_kind(catalog)]


def is_atomic(catalog: Catalog) -> bool:
    """Whether several tables become visible at once."""
    return _kind(catalog) != "stepwise"


def _kind(catalog: Catalog) -> str:
    match type(catalog).__name__:
        case "SqlCatalog":
            return "sql"
        case "RestCatalog":
            from slipway.adapters.iceberg.catalogs import rest

            return "rest" if rest.moves_several(catalog) else "stepwise"
    return "stepwise"


def publish(tables: Tables, staged: Sequence[StagedTable]) -> None:
    """Make the staged state of every table current at once, in a catalog that can.

    Raises:
        ConflictError: a table is no longer where the run started from; nothing was published.
        UnavailableError: the catalog cannot be written.
    """
    create_namespaces(tables, staged)
    with writing(tables):
        if _kind(tables.catalog) == "sql":
            from slipway.adapters.iceberg.catalogs import sql

            refused = sql.move(tables.catalog, staged)
        else:
            from slipway.adapters.iceberg.catalogs import rest

            refused = rest.move(tables, staged)
    if refused is not None:
        raise conflict(tables, refused.identifier, new=refused.base is None)


class Mover(Protocol):
    """Moves one table of a catalog, if it still is where it is expected; False when it is not."""

    def forward(self, item: StagedTable) -> bool:
        """From the base to the staged state; makes a new table."""

    def back(self, item: StagedTable, tag: str) -> bool:
        """From the staged state, which carries the tag, to the base; drops a new table."""


def mover(tables: Tables) -> Mover:
    """How single tables of the environment's catalog are moved."""
    if type(tables.catalog).__name__ == "GlueCatalog":
        from slipway.adapters.iceberg.catalogs.glue import GlueMover

        return GlueMover(tables)
    from slipway.adapters.iceberg.catalogs.updates import UpdateMover

    return UpdateMover(tables)


def position(tables: Tables, identifier: TableId, move: Move, location: str | None, tag: str) -> Position:
    """Where a table of a publication is, of which the catalog names this metadata file, or none.

    SQL catalogs and Glue name the files that were staged. Others apply updates and write files of their own, so for
    them the tag and the current snapshot tell.
    """
    if location == move.metadata_location:
        return Position.STAGED
    if location == move.base:
        return Position.BASE
    if location is None:
        return Position.ELSEWHERE
    found = tables.load(identifier, location)
    names_files = type(tables.catalog).__name__ in ("SqlCatalog", "GlueCatalog")
    if tag in found.metadata.refs:
        same = not names_files and _same_snapshot(found, tables.load(identifier, move.metadata_location))
        return Position.STAGED if same else Position.BEYOND
    if names_files or move.base is None:
        return Position.ELSEWHERE
    same = _same_snapshot(found, tables.load(identifier, move.base))
    return Position.BASE if same else Position.ELSEWHERE


def _same_snapshot(one: Table, other: Table) -> bool:
    return one.metadata.current_snapshot_id == other.metadata.current_snapshot_id


def create_namespaces(tables: Tables, staged: Sequence[StagedTable]) -> None:
    """Make the namespaces of new tables.

    Raises:
        UnavailableError: the catalog cannot be written.
    """
    with writing(tables):
        for namespace in sorted({item.identifier[0] for item in staged if item.base is None}):
            tables.catalog.create_namespace_if_not_exists(namespace)


def conflict(tables: Tables, identifier: TableId, *, new: bool) -> ConflictError:
    """The refusal of a publication because of a table that someone else moved, or made."""
    location = tables.locations({identifier}).get(identifier)
    if location is None:
        why = "it was dropped since the run began"
    else:
        current = tables.load(identifier, location).current_snapshot()
        why = f"its current snapshot is now {current.snapshot_id if current else None}, not of this run"
        why = f"someone else created it, {why}" if new else why
    return ConflictError(
        f"nothing was published: {'.'.join(identifier)} moved", why, "run again on top of it"
    )


@contextmanager
def writing(tables: Tables) -> Iterator[None]:
    """Tell in one line that a catalog cannot be written.

    Raises:
        CommitFailedException: someone else was faster.
        UnavailableError: it refuses or does not answer.
    """
    try:
        yield
    except (SlipwayError, CommitFailedException):
        raise
    except Exception as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
        raise UnavailableError(
            f"catalog of {tables.environment.name} cannot be written",
            reason,
            "check that it is running, that you may write to it and that nobody locks it, then run again",
        ) from error
