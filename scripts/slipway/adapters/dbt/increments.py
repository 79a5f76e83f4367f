"""What came in since a model last read a table, told by Iceberg's snapshots instead of by a clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import DateType, IcebergType, IntegerType, LongType, StringType

from slipway.adapters.dbt.state import read_state
from slipway.adapters.iceberg.content import content_of
from slipway.adapters.iceberg.tables import ancestors
from slipway.adapters.iceberg.types import literal, quote
from slipway.domain.errors import ConfigError

EVERYTHING = "true"
NOTHING = "false"


def since(table: Table | None, consumed: str | None) -> Sequence[Snapshot] | None:
    """Snapshots that changed a table after the consumed one, None when that cannot be told, as of what is no Iceberg table.

    A compaction changes nothing, whichever it is of.
    """
    if table is None:
        return None
    if (current := table.current_snapshot()) is None:
        return []
    if not consumed or not consumed.isdigit():
        return None
    line = ancestors(table, current.snapshot_id)
    contents = [content_of(snapshot) for snapshot in line]
    if consumed not in contents:
        return None
    return [snapshot for snapshot in line[: contents.index(consumed)] if not _is_compaction(snapshot)]


def check_raw(table: Table | None, name: str) -> None:
    """Refuse a table that was made from others: its rows may carry ``_run_id``, but not that of the run that wrote them.

    Raises:
        ConfigError: it is such a table.
    """
    made_from = read_state(table).inputs
    if others := [one for one in made_from if not one.startswith("landing.")]:
        raise ConfigError(
            f"rows_added({name}) cannot be told",
            f"it is made from {others[0]}, and the _run_id of its rows is not of the run that wrote them",
            "read the raw table, or use partitions_changed",
        )


def rows_added(table: Table | None, consumed: str | None) -> str:
    """A predicate for the rows that runs appended since, by ``_run_id``.

    Returns:
        ``_run_id in (…)``, ``false`` when there are none, ``true`` when everything has to be read.
    """
    snapshots = since(table, consumed)
    if snapshots is None:
        return EVERYTHING
    runs = []
    for snapshot in snapshots:
        summary = snapshot.summary
        if summary is None or summary.operation not in (Operation.APPEND, Operation.REPLACE):
            return EVERYTHING
        if summary.operation is Operation.APPEND:
            run = summary.additional_properties.get("slipway.run-id")
            if not run:
                return EVERYTHING
            runs.append(run)
    return f"_run_id in ({', '.join(literal(run) for run in sorted(set(runs)))})" if runs else NOTHING


def partitions_changed(table: Table | None, consumed: str | None, column: str) -> str:
    """A predicate for the partitions whose files were added or removed since.

    Args:
        table: the table as this run reads it.
        consumed: the snapshot that was read last.
        column: a column of type date, integer or text that the table is partitioned by as it is.

    Returns:
        ``column in (…)``, ``false`` when there are none, ``true`` when everything has to be read.
    """
    snapshots = since(table, consumed)
    if snapshots is None or table is None:
        return EVERYTHING
    at = _position(table, column)
    if at is None or any(_replaced_everything(snapshot) for snapshot in snapshots):
        return EVERYTHING
    values = set()
    for snapshot in snapshots:
        for manifest in snapshot.manifests(table.io):
            if manifest.added_snapshot_id != snapshot.snapshot_id:
                continue
            if manifest.partition_spec_id != table.spec().spec_id:
                return EVERYTHING
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                if entry.status != ManifestEntryStatus.EXISTING and entry.snapshot_id == snapshot.snapshot_id:
                    values.add(entry.data_file.partition[at])
    return _predicate(column, values, table.schema().find_field(column).field_type)


def _is_compaction(snapshot: Snapshot) -> bool:
    return content_of(snapshot) != str(snapshot.snapshot_id)


def _position(table: Table, column: str) -> int | None:
    schema = table.schema()
    for at, field in enumerate(table.spec().fields):
        source = schema.find_field(field.source_id)
        exact = isinstance(field.transform, IdentityTransform) or (
            isinstance(field.transform, DayTransform) and isinstance(source.field_type, DateType)
        )
        if (
            source.name == column
            and exact
            and isinstance(source.field_type, DateType | IntegerType | LongType | StringType)
        ):
            return at
    return None


def _replaced_everything(snapshot: Snapshot) -> bool:
    summary = snapshot.summary
    return summary is None or summary.additional_properties.get("slipway.strategy") == "replace"


def _predicate(column: str, values: set[object], kind: IcebergType) -> str:
    known = sorted((value for value in values if value is not None), key=str)
    parts = [f"{quote(column)} in ({', '.join(_literal(value, kind) for value in known)})"] if known else []
    if None in values:
        parts.append(f"{quote(column)} is null")
    return f"({' or '.join(parts)})" if parts else NOTHING


def _literal(value: object, kind: IcebergType) -> str:
    if isinstance(kind, DateType) and isinstance(value, int):  # kept as days since 1970-01-01
        return f"date '{dt.date(1970, 1, 1) + dt.timedelta(days=value)}'"
    return literal(value) if isinstance(value, str) else str(value)
