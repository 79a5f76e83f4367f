"""What nodes read, by name and by content; and event times of what a ``microbatch`` model reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
from pyiceberg import types as ice
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from slipway.dbt.increments import since
from slipway.dbt.keys.node_key import manifest_node, tables_read
from slipway.dbt.renames import former_name
from slipway.engines.duckdb.batches import covers
from slipway.errors import ConfigError
from slipway.iceberg.schema import find_column
from slipway.iceberg.types import quote
from slipway.names import TableName
from slipway.releases.table_state import read_state
from slipway.runs.run_inputs import RunInputs


def inputs_of(inputs: RunInputs, manifest: Any, unique_id: str) -> dict[str, str]:
    """Tables that a node reads to the content that this run reads: ``schema.table``, of another database with its name in front."""
    found = {}
    for dependency in tables_read(manifest, unique_id):
        relation = _relation(inputs, manifest, dependency)
        found[inputs.name(*relation)] = inputs.content(*relation)
    return found


def identifier_of(manifest: Any, unique_id: str) -> TableName:
    """The table of a model, seed, snapshot or source."""
    node = manifest_node(manifest, unique_id)
    return TableName(node.schema, node.identifier if node.resource_type == "source" else node.alias)


def consumed(
    inputs: RunInputs, manifest: Any, base: Table | None, database: str, source: TableName
) -> str | None:
    """The snapshot of ``source`` that a published table was built from."""
    known = read_state(base).inputs
    found = known.get(inputs.name(database, source))
    if found is None and (former := former_name(manifest, source)):
        return known.get(inputs.name(database, former))
    return found


def relation_of(inputs: RunInputs, manifest: Any, unique_id: str) -> tuple[str, str, str]:
    """Database, schema and name of a table that a node reads, where this run reads it."""
    database, identifier = _relation(inputs, manifest, unique_id)
    return database, *identifier


def _relation(inputs: RunInputs, manifest: Any, unique_id: str) -> tuple[str, TableName]:
    """Where dbt's ``ref`` and ``source`` lead: with ``--defer`` to another environment, by dbt's own condition.

    A table of this run is always its own (package/macros/relations/ref.sql), also when dbt retry has selected only a part of the run.
    """
    from dbt import selected_resources
    from dbt.flags import get_flags

    node, identifier, flags = (
        manifest_node(manifest, unique_id),
        identifier_of(manifest, unique_id),
        get_flags(),
    )
    deferred = getattr(node, "defer_relation", None)
    if not deferred or not getattr(flags, "DEFER", False) or inputs.is_staged(identifier):
        return node.database, identifier
    favoured = flags.FAVOR_STATE and unique_id not in selected_resources.SELECTED_RESOURCES
    if favoured or inputs.own(identifier) is None:
        return deferred.database, TableName(deferred.schema, deferred.identifier)
    return node.database, identifier


_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_EPOCH, _MICROSECOND = dt.datetime(1970, 1, 1), dt.timedelta(microseconds=1)


def filtered_inputs(manifest: Any, unique_id: str) -> list[Any]:
    """The inputs that dbt cuts to each batch of a model: those with an ``event_time`` of their own."""
    found = [manifest_node(manifest, name) for name in manifest_node(manifest, unique_id).depends_on.nodes]
    return [
        node
        for node in found
        if node is not None
        and getattr(node.config, "event_time", None)
        and getattr(node.config, "materialized", "") != "ephemeral"
    ]


def check_inputs(cursor: duckdb.DuckDBPyConnection, manifest: Any, unique_id: str) -> None:
    """Refuse event times of inputs that dbt's filter would compare as something else than time.

    dbt compares them with the text of the batch's start and end: a text column then sorts its days into the batch before, and a
    date has no hour, so that no batch of an hour but one would get its rows.

    Raises:
        ConfigError: an input has such an event time.
    """
    model = manifest_node(manifest, unique_id)
    size = str(getattr(model.config.batch_size, "value", model.config.batch_size))
    for node in filtered_inputs(manifest, unique_id):
        column = str(node.config.event_time)
        kind = _type_of(cursor, node, column)
        if kind in _TIMES and not (kind == "DATE" and size == "hour"):
            continue
        name = str(identifier_of(manifest, node.unique_id))
        raise ConfigError(
            f"{model.name}: event_time {column} of its input {name} is of type {kind}",
            "a date has no hour, and batches are hours"
            if kind == "DATE"
            else "dbt compares it with the times of a batch, which is no comparison of times",
            f"Cast it to a {'timestamp' if kind == 'DATE' else 'date or timestamp'} in a model before, or take event_time "
            f"from {name}: it is then read whole by each batch",
        )


def notes(
    inputs: RunInputs, manifest: Any, unique_id: str, base: Table | None, built: Sequence[tuple[str, str]]
) -> Iterator[str]:
    """What of a model's inputs the batches of this run leave out, in words.

    Args:
        inputs: what the run reads.
        manifest: dbt's manifest.
        unique_id: the model.
        base: its published table.
        built: the windows of the table that are built from its inputs as they are.
    """
    for node in filtered_inputs(manifest, unique_id):
        identifier = identifier_of(manifest, node.unique_id)
        database, name = node.database, str(identifier)
        table = inputs.known(database, identifier)
        field = find_column(table.schema(), str(node.config.event_time)) if table else None
        current = table.current_snapshot() if table else None
        if table is None or field is None or current is None:
            continue
        nulls = sum((file.null_value_counts or {}).get(field.field_id, 0) for file in _live(table, current))
        if nulls:
            yield f"{nulls} rows of {name} have no {field.name}: no batch takes them"
        if base is None:
            continue
        before = consumed(inputs, manifest, base, database, identifier)
        if spans := list(_missed(table, since(table, before), field, built)):
            low, high = min(span[0] for span in spans), max(span[1] for span in spans)
            yield (
                f"{name} changed for times from {low} to {high} that this run builds no batch of: "
                "the table keeps what it has of them; build them with --event-time-start and --event-time-end"
            )


def _type_of(cursor: duckdb.DuckDBPyConnection, node: Any, column: str) -> str:
    relation = ".".join(
        map(quote, (node.database, node.schema, getattr(node, "identifier", "") or node.alias))
    )
    try:
        return str(cursor.sql(f"select {column} from {relation} limit 0").types[0])
    except duckdb.Error as error:
        raise ConfigError(
            f"event_time {column} of {relation}", str(error).split("\n", 1)[0], "Name a column of it"
        ) from None


def _live(table: Table, snapshot: Snapshot) -> Iterator[DataFile]:
    for manifest in snapshot.manifests(table.io):
        if manifest.content == ManifestContent.DATA:
            for entry in manifest.fetch_manifest_entry(table.io):
                yield entry.data_file


def _missed(
    table: Table,
    snapshots: Sequence[Snapshot] | None,
    field: ice.NestedField,
    built: Sequence[tuple[str, str]],
) -> Iterator[tuple[str, str]]:
    """Spans of event time of changed files that the windows do not cover; of all files, when it is not known what changed."""
    current = table.current_snapshot()
    if snapshots is None and current is not None:
        files: Iterator[DataFile] = _live(table, current)
    else:
        files = _changed(table, snapshots or ())
    for file in files:
        low, high = (_bound_time(field, side) for side in (file.lower_bounds, file.upper_bounds))
        if low is not None and high is not None and not covers(list(built), (low, high)):
            yield low, high


def _changed(table: Table, snapshots: Sequence[Snapshot]) -> Iterator[DataFile]:
    for snapshot in snapshots:
        for manifest in snapshot.manifests(table.io):
            if manifest.added_snapshot_id == snapshot.snapshot_id:
                for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                    if entry.snapshot_id == snapshot.snapshot_id:
                        yield entry.data_file


def _bound_time(field: ice.NestedField, bounds: dict[int, bytes] | None) -> str | None:
    """A bound as a time in the form of windows, None where the file has none."""
    found = (bounds or {}).get(field.field_id)
    if found is None or not isinstance(field.field_type, ice.PrimitiveType):
        return None
    value = int(from_bytes(field.field_type, found))
    is_date = isinstance(field.field_type, ice.DateType)
    try:
        return str((_EPOCH + (dt.timedelta(days=value) if is_date else value * _MICROSECOND)).isoformat())
    except OverflowError:
        return None
