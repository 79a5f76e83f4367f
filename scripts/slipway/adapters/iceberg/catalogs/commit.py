"""Publishing to a catalog: all tables in one step where it can, else one by one, each guarded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from slipway.adapters.iceberg.catalogs.absorb import obstacle, on_top
from slipway.adapters.iceberg.tables import Moved, StagedTable, TableId, Tables
from slipway.domain.errors import ConflictError, SlipwayError, UnavailableError
from slipway.domain.manifest import Move
from slipway.domain.publication import Position

_ATTEMPTS = 5
"""Others may change a table's properties again and again."""

GUARANTEES = {
    "sql": "all tables in one database transaction",
    "rest": "all tables in one request, which the catalog promises to apply whole or not at all",
    "stepwise": "one table after the other, finished or undone by the next command if interrupted;"
    " readers other than slipway may see a mixture meanwhile",
}


def guarantee(catalog: Catalog) -> str:
    """What readers may rely on while a release is published to this catalog."""
    return GUARANTEES[_kind(catalog)]


def tells_all_at_once(catalog: Catalog) -> bool:
    """Whether one query finds where all tables are at one moment."""
    return _kind(catalog) == "sql"


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


def publish(tables: Tables, staged: Sequence[StagedTable]) -> Moved | None:
    """Make the staged state of every table current at once, in a catalog that can.

    Returns:
        What the catalog shows from then on, where it says so in the same step.

    Raises:
        ConflictError: a table is no longer where the run started from; nothing was published.
        UnavailableError: the catalog cannot be written.
    """
    create_namespaces(tables, staged)
    if _kind(tables.catalog) == "rest":
        from slipway.adapters.iceberg.catalogs import rest

        with writing(tables):
            refused = rest.move(tables, staged)
        if refused is not None:
            raise conflict(tables, refused.identifier, refused.base)
        return None
    return _in_one_transaction(tables, staged)


def _in_one_transaction(tables: Tables, staged: Sequence[StagedTable]) -> Moved:
    from slipway.adapters.iceberg.catalogs import sql

    refused = staged[0]
    for _ in range(_ATTEMPTS):
        with writing(tables):
            moved = sql.move(tables.catalog, staged)
        if isinstance(moved, Moved):
            return moved
        refused, before = moved, staged
        staged = on_top(tables, before)
        if all(one is other for one, other in zip(before, staged, strict=True)):
            break
    raise conflict(tables, refused.identifier, refused.base)


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

    Where it is another file than those that the publication names, the tag and the current snapshot tell: catalogs that
    apply updates write files of their own, and other programs may have set a property.
    """
    if location == move.metadata_location:
        return Position.STAGED
    if location == move.base:
        return Position.BASE
    if location is None:
        return Position.ELSEWHERE
    found = tables.load(identifier, location)
    if tag in found.metadata.refs:
        same = _same_snapshot(found, tables.load(identifier, move.metadata_location))
        return Position.STAGED if same else Position.BEYOND
    if move.base is None or obstacle(tables.load(identifier, move.base).metadata, found.metadata):
        return Position.ELSEWHERE
    return Position.BASE


def _same_snapshot(one: Table, other: Table) -> bool:
    return one.metadata.current_snapshot_id == other.metadata.current_snapshot_id


def create_namespaces(tables: Tables, staged: Sequence[StagedTable]) -> None:
    """Make the namespaces of new tables.

    Raises:
        UnavailableError: the catalog cannot be written.
    """
    for namespace in sorted({item.identifier[0] for item in staged if item.base is None}):
        create_namespace(tables, namespace)


def create_namespace(tables: Tables, namespace: str) -> None:
    """Make a namespace, unless it is there; another process may make it at the same moment.

    Raises:
        UnavailableError: the catalog cannot be written.
    """
    with writing(tables):
        try:
            tables.catalog.create_namespace_if_not_exists(namespace)
        except Exception:
            if not tables.catalog.namespace_exists(namespace):
                raise


def conflict(tables: Tables, identifier: TableId, base: str | None) -> ConflictError:
    """The refusal of a publication because of a table that someone else moved, or made.

    Args:
        tables: the environment.
        identifier: the table.
        base: metadata file that the run started from, None when there was no table.
    """
    location = tables.locations({identifier}).get(identifier)
    why = hindrance(tables, identifier, base, location) or "someone else keeps changing it"
    return ConflictError(
        f"nothing was published: {'.'.join(identifier)} moved", why, "run again on top of it"
    )


def hindrance(tables: Tables, identifier: TableId, base: str | None, location: str | None) -> str:
    """Why a table cannot be published that was staged on a base; empty when it can.

    Args:
        tables: the environment.
        identifier: the table.
        base: metadata file that the run started from, None when there was no table.
        location: the one that the catalog names now.
    """
    if location == base:
        return ""
    if location is None:
        return "it was dropped since the run began"
    now = tables.load(identifier, location).metadata
    if base is None:
        return (
            f"someone else created it, its current snapshot is now {now.current_snapshot_id}, not of this run"
        )
    return obstacle(tables.load(identifier, base).metadata, now)


@contextmanager
def writing(tables: Tables) -> Iterator[None]:
    """Tell in one line that a catalog cannot be written.

    Raises:
        UnavailableError: it refuses or does not answer.
    """
    try:
        yield
    except SlipwayError:
        raise
    except Exception as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
        raise UnavailableError(
            f"catalog of {tables.environment.name} cannot be written",
            reason,
            "check that it is running, that you may write to it and that nobody locks it, then run again",
        ) from error
