"""Publishing to a catalog: all tables in one step where it can, else one by one, each guarded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from slipway.errors import ConflictError, SlipwayError, UnansweredError, UnavailableError
from slipway.iceberg.catalogs.movers import can_be_published_on, obstacle, on_top
from slipway.iceberg.catalogs.next_step import Position
from slipway.iceberg.snapshots import Moved, StagedTable, release_tags
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.release_records import Intent, Move
from slipway.write_limits import check_write

_ATTEMPTS = 5
"""Others may change a table's properties again and again."""


def publish(tables: Tables, staged: Sequence[StagedTable]) -> Moved:
    """Make the staged state of every table current at once, in a SQL catalog.

    Returns:
        What the catalog shows from then on.

    Raises:
        ConflictError: a table is no longer where the run started from; nothing was published.
        UnavailableError: the catalog cannot be written.
    """
    from slipway.iceberg.catalogs import sql_catalog

    create_namespaces(tables, staged)
    refused = staged[0]
    for _ in range(_ATTEMPTS):
        with writing(tables):
            moved = sql_catalog.move(tables.catalog, staged)
        if isinstance(moved, Moved):
            return moved
        refused, before = moved, staged
        staged = on_top(tables, before)
        if all(one is other for one, other in zip(before, staged, strict=True)):
            break
    raise conflict(tables, refused.identifier, refused.base)


def positions(
    tables: Tables, intent: Intent, now: Mapping[TableName, str] | None = None
) -> dict[str, Position]:
    """Where the tables of a publication are, in the order in which they are moved."""
    names = {name: TableName.parse(name) for name in intent.in_order()}
    now = tables.locations(names.values()) if now is None else now
    return {
        name: _position(tables, identifier, intent.tables[name], now.get(identifier), intent.tag)
        for name, identifier in names.items()
    }


def _position(tables: Tables, identifier: TableName, move: Move, location: str | None, tag: str) -> Position:
    """Where a table of a publication is, of which the catalog names this metadata file, or none.

    Where it is another file than those that the publication names, the tag and the current snapshot tell: catalogs that
    apply updates write files of their own, and other programs may have set a property.

    Raises:
        UnavailableError: the table shows the release without its tag.
    """
    if location == move.metadata_location:
        return Position.STAGED
    if location == move.base:
        return Position.BASE
    if location is None:
        return Position.ELSEWHERE
    if move.metadata_location is None:
        return (
            Position.BASE
            if can_be_published_on(tables, identifier, move.base, location)
            else Position.ELSEWHERE
        )
    found = tables.load(identifier, location)
    now = found.metadata.current_snapshot_id
    if tag in found.metadata.refs:
        staged = tables.load(identifier, move.metadata_location)
        return Position.STAGED if now == staged.metadata.current_snapshot_id else Position.BEYOND
    base = tables.load(identifier, move.base).metadata if move.base else None
    if base and not obstacle(base, found.metadata):
        return Position.BASE
    # a promotion that was begun again has the same snapshots under another tag
    tagged = now in {found.metadata.refs[name].snapshot_id for name in release_tags(found.metadata)}
    if not (
        tables.kind.keeps_staged_metadata or now is None or tagged or (base and base.snapshot_by_id(now))
    ):
        _refuse_lost_tag(tables, identifier, move, now, tag)
    return Position.ELSEWHERE


def _refuse_lost_tag(tables: Tables, identifier: TableName, move: Move, now: int, tag: str) -> None:
    assert move.metadata_location is not None
    try:
        staged = tables.load(identifier, move.metadata_location).metadata
    except UnavailableError:  # what an earlier run staged in vain may have been removed
        return
    if staged.current_snapshot_id == now:
        raise UnavailableError(
            f"{identifier} was published without its tag {tag}",
            "the server does not keep tags, so releases could neither be recognised nor rolled back",
            "Use another catalog",
        )


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
            there = False
            with suppress(Exception):  # why it could not be made says more than why this is not known
                there = tables.catalog.namespace_exists(namespace)
            if not there:
                raise


def conflict(tables: Tables, identifier: TableName, base: str | None) -> ConflictError:
    """The refusal of a publication because of a table that someone else moved, or made."""
    location = tables.locations({identifier}).get(identifier)
    why = (
        hindrance(tables, identifier, base, location)
        or "someone else changed it, or let snapshots expire that this needs"
    )
    return ConflictError(f"Nothing was published: {identifier} moved", why, "Run again on top of it")


def hindrance(tables: Tables, identifier: TableName, base: str | None, location: str | None) -> str:
    """Why a table that was staged on a base (None: there was no table) cannot be published where the catalog names a location; empty when it can."""
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
        ReadOnlyError: the environment may only be read.
        UnansweredError: it may have done what it was asked for.
        UnavailableError: it refuses or does not answer.
    """
    check_write(tables.environment.catalog_properties, tables.environment.warehouse)
    try:
        yield
    except SlipwayError:
        raise
    except Exception as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
        kind = UnansweredError if tables.kind.is_unsure(error) else UnavailableError
        raise kind(
            f"Catalog of {tables.environment.name} cannot be written",
            reason,
            "check that it is running, that you may write to it and that nobody locks it, then run again",
        ) from error
