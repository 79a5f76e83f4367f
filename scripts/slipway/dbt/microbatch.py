"""Models with the strategy ``microbatch``: batches as dbt cuts them, event times of their inputs, keys over all batches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
from pyiceberg import types as ice
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from slipway.counts import plural
from slipway.dbt.command import flag
from slipway.dbt.configuration import contract_of, strategy_of
from slipway.dbt.inputs import changed_whole, consumed, since
from slipway.dbt.nodes import DbtManifest, DbtNode, find, relation_of, table_of
from slipway.engines.duckdb.batches import Window, covers
from slipway.engines.duckdb.constraints import Held, check_unique
from slipway.engines.duckdb.scan import Views
from slipway.errors import ConfigError
from slipway.iceberg.metadata_files import entries_of, manifests_of
from slipway.iceberg.schema import find_column
from slipway.iceberg.snapshots import StagedTable
from slipway.names import TableName
from slipway.runs.run_inputs import RunInputs
from slipway.sql_text import quote

_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_EPOCH = dt.datetime(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)


def window_of(manifest: DbtManifest, unique_id: str, batch: Mapping[str, Any]) -> Window:
    """The window of one batch, as dbt cut it."""
    column = str(manifest.nodes[unique_id].config.get("event_time"))
    return Window(column, _moment(batch["event_time_start"]), _moment(batch["event_time_end"]))


def is_last(manifest: DbtManifest, unique_id: str, window: Window) -> bool:
    """Whether dbt, which runs the latest batch of a model after all others, has none to come.

    It is asked for what dbt decided by dbt's own means; should this ever differ, keys are looked at before the run is published.
    """
    from dbt.materializations.incremental.microbatch import MicrobatchBuilder
    from dbt_common.invocation import get_invocation_started_at

    node: Any = manifest.nodes[unique_id]
    sample = flag("SAMPLE")
    if (again := getattr(node, "previous_batch_results", None)) is not None:
        return bool(again.failed) and window.end == _moment(again.failed[-1][1])
    end = sample.end if sample else flag("EVENT_TIME_END")
    cut = MicrobatchBuilder(node, True, None, end, get_invocation_started_at())
    return window.end == _moment(cut.build_end_time())


def _moment(value: Any) -> dt.datetime:
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def check_batched(candidate: Mapping[TableName, StagedTable], views: Views, manifest: DbtManifest) -> None:
    """Look at the keys of staged ``microbatch`` models that were not looked at with a last batch.

    That is so when the last batch was there already, and after a ``dbt retry`` of others.

    Raises:
        ContractError: a key is there twice.
    """
    for node in manifest.nodes.values():
        if node.resource_type != "model" or node.config.materialized != "incremental":
            continue
        staged = candidate.get(table_of(node))
        if staged is None or strategy_of(node) != "microbatch" or (contract := contract_of(node)) is None:
            continue
        held = Held.of(staged.table, full=False)
        if unknown := [columns for columns in contract.unique if not held.is_unique(columns)]:
            scan = views.scan(staged.table)
            cursor = views.cursor.cursor()
            check_unique(cursor, str(staged.identifier), replace(contract, unique=unknown), scan)


def filtered_inputs(manifest: DbtManifest, unique_id: str) -> list[Any]:
    """The inputs that dbt cuts to each batch of a model: those with an ``event_time`` of their own."""
    found = [find(manifest, name) for name in manifest.nodes[unique_id].depends_on_nodes]
    return [
        node
        for node in found
        if node is not None
        and getattr(node.config, "event_time", None)
        and getattr(node.config, "materialized", "") != "ephemeral"
    ]


def check_inputs(cursor: duckdb.DuckDBPyConnection, manifest: DbtManifest, unique_id: str) -> None:
    """Refuse event times of inputs that dbt's filter would compare as something else than time.

    dbt compares them with the text of the batch's start and end: a text column then sorts its days into the batch before, and a
    date has no hour, so that no batch of an hour but one would get its rows.

    Raises:
        ConfigError: an input has such an event time.
    """
    model = manifest.nodes[unique_id]
    batch_size = model.config.get("batch_size")
    size = str(getattr(batch_size, "value", batch_size))
    for node in filtered_inputs(manifest, unique_id):
        column = str(node.config.event_time)
        kind = _type_of(cursor, node, column)
        if kind in _TIMES and not (kind == "DATE" and size == "hour"):
            continue
        name = str(table_of(node))
        raise ConfigError(
            f"{model.name}: event_time {column} of its input {name} is of type {kind}",
            "a date has no hour, and batches are hours"
            if kind == "DATE"
            else "dbt compares it with the times of a batch, which is no comparison of times",
            f"Cast it to a {'timestamp' if kind == 'DATE' else 'date or timestamp'} in a model before, or take event_time "
            f"from {name}: it is then read whole by each batch",
        )


def notes(
    inputs: RunInputs,
    manifest: DbtManifest,
    unique_id: str,
    base: Table | None,
    built: Sequence[tuple[str, str]],
    *,
    full: bool,
) -> Iterator[str]:
    """What of a model's inputs the batches of this run leave out, in words.

    Args:
        inputs: what the run reads.
        manifest: dbt's manifest.
        unique_id: the model.
        base: its published table.
        built: the windows of the table that are built from its inputs as they are.
        full: all batches are built.
    """
    filtered = filtered_inputs(manifest, unique_id)
    whole = changed_whole(inputs, manifest, unique_id, base, [relation_of(node) for node in filtered])
    if whole and not full:
        yield (
            f"{whole}: batches that this run does not build keep what was made from it; "
            "build them with --event-time-start and --event-time-end"
        )
    for node in filtered:
        identifier = table_of(node)
        database, name = node.database, str(identifier)
        table = inputs.known(database, identifier)
        field = find_column(table.schema(), str(node.config.event_time)) if table else None
        current = table.current_snapshot() if table else None
        if table is None or field is None or current is None:
            continue
        nulls = sum((file.null_value_counts or {}).get(field.field_id, 0) for file in _live(table, current))
        if nulls:
            yield f"{plural(nulls, 'row')} of {name} {'has' if nulls == 1 else 'have'} no {field.name}: no batch takes them"
        if base is None:
            continue
        before = consumed(inputs, manifest, base, database, identifier)
        if spans := list(_missed(table, since(table, before), field, built)):
            low, high = min(span[0] for span in spans), max(span[1] for span in spans)
            yield (
                f"{name} changed for times from {low} to {high} that this run builds no batch of: "
                "the table keeps what it has of them; build them with --event-time-start and --event-time-end"
            )


def _type_of(cursor: duckdb.DuckDBPyConnection, node: DbtNode, column: str) -> str:
    relation = ".".join(map(quote, relation_of(node)))
    try:
        return str(cursor.sql(f"select {column} from {relation} limit 0").types[0])
    except duckdb.Error as error:
        raise ConfigError(
            f"event_time {column} of {relation}", str(error).split("\n", 1)[0], "Name a column of it"
        ) from None


def _live(table: Table, snapshot: Snapshot) -> Iterator[DataFile]:
    name = ".".join(table.name())
    for manifest in manifests_of(snapshot, table.io, name):
        if manifest.content == ManifestContent.DATA:
            for entry in entries_of(manifest, table.io, name):
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
    name = ".".join(table.name())
    for snapshot in snapshots:
        for manifest in manifests_of(snapshot, table.io, name):
            if manifest.added_snapshot_id == snapshot.snapshot_id:
                for entry in entries_of(manifest, table.io, name, discard_deleted=False):
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
