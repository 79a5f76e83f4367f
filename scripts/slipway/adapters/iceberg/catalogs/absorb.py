"""Commits of other programs that leave a table's rows as they are, such as a property: a release is put on top of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from slipway.adapters.iceberg.staging import Staging
from slipway.adapters.iceberg.tables import StagedTable, TableId, Tables


def obstacle(base: TableMetadata, now: TableMetadata) -> str:
    """Why what was staged on a state of a table cannot be put on a later one; empty when it can.

    Rows, schema, partitioning and order must be as they were. Sequence numbers, too: those of the staged snapshot stand
    in its files.
    """
    if now.table_uuid != base.table_uuid:
        return "it was dropped and made again since the run began"
    if now.current_snapshot_id != base.current_snapshot_id:
        return f"its current snapshot is now {now.current_snapshot_id}, not of this run"
    if not same(base, now, "last_sequence_number"):
        known = {snapshot.snapshot_id for snapshot in base.snapshots}
        others = [snapshot.snapshot_id for snapshot in now.snapshots if snapshot.snapshot_id not in known]
        return f"someone committed snapshot {', '.join(map(str, others)) or 'unknown'} beside its main branch"
    for what, unchanged in (
        ("schema", same(base, now, "schemas", "current_schema_id", "last_column_id")),
        ("partitioning", same(base, now, "partition_specs", "default_spec_id", "last_partition_id")),
        ("sort order", same(base, now, "sort_orders", "default_sort_order_id")),
        ("format version", same(base, now, "format_version")),
        ("location", same(base, now, "location")),
    ):
        if not unchanged:
            return f"its {what} was changed by someone else"
    return ""


def stands_on(tables: Tables, identifier: TableId, base: str | None, now: str | None) -> bool:
    """Whether what was staged on a metadata file can be published on what the catalog names now.

    Raises:
        UnavailableError: one of the two cannot be read.
    """
    if base == now:
        return True
    if base is None or now is None:
        return False
    one, other = (tables.load(identifier, location).metadata for location in (base, now))
    return not obstacle(one, other)


def on_top(tables: Tables, staged: Sequence[StagedTable]) -> list[StagedTable]:
    """The same changes, staged on what the catalog names now where only such commits came between; the rest as it is."""
    now = tables.locations({item.identifier for item in staged})
    return [_on(tables, item, now.get(item.identifier)) for item in staged]


def undone(tables: Tables, item: StagedTable, location: str, tag: str) -> Table | None:
    """A table without the release and with what others did to it since; None when they changed its rows.

    Args:
        tables: the environment.
        item: the staged table.
        location: the metadata file that the catalog names.
        tag: the release's.
    """
    from slipway.adapters.iceberg.catalogs.updates import backward

    current = tables.load(item.identifier, location)
    if item.base is None or obstacle(item.table.metadata, current.metadata):
        return None
    transaction = Staging(current)
    try:
        transaction._stage(backward(tables.load(item.identifier, item.base), item, tag)[1])
    except ValueError:  # the snapshots that it would go back to have expired
        return None
    return tables.stage(current, transaction, new=False).table


def _on(tables: Tables, item: StagedTable, location: str | None) -> StagedTable:
    if item.base is None or location is None or location == item.base:
        return item
    base, current = tables.load(item.identifier, item.base), tables.load(item.identifier, location)
    if obstacle(base.metadata, current.metadata):
        return item
    if item.retires:
        return replace(item, table=current, base=location)
    transaction = Staging(current)
    try:
        transaction._stage(item.updates)
    except ValueError:  # snapshots that it names have expired
        return item
    return tables.stage(current, transaction, new=False)


def same(one: TableMetadata, other: TableMetadata, *names: str) -> bool:
    """Whether two states of a table agree in fields, which not every format version has."""
    return all(getattr(one, name, None) == getattr(other, name, None) for name in names)
