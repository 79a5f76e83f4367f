"""What nodes read, by name and by content, and what came into a table since a model last read it.

Iceberg's snapshots say so, not a clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import DateType, IcebergType, IntegerType, LongType, NestedField, StringType

from slipway.dbt.command import flag
from slipway.dbt.configuration import refuse_in_batches
from slipway.dbt.keys.node_key import tables_read
from slipway.dbt.nodes import DbtManifest, Relation, find, table_of
from slipway.dbt.renames import former_name
from slipway.engines.duckdb.request import EVERYTHING, NOTHING, Increment
from slipway.errors import ConfigError
from slipway.iceberg.earlier_states import ancestors
from slipway.iceberg.metadata_files import entries_of, manifests_of, summary_of
from slipway.iceberg.schema import top_level
from slipway.iceberg.snapshots import COMBINES, WITHDRAWS, changes, content_of, withdraws
from slipway.names import TableName
from slipway.releases.table_state import read_state
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.run_inputs import RunInputs
from slipway.sql_text import literal, quote


def inputs_of(inputs: RunInputs, manifest: DbtManifest, unique_id: str) -> dict[str, str]:
    """Tables that a node reads to the content that this run reads: ``schema.table``, of another database with its name in front."""
    found = {}
    for dependency in tables_read(manifest, unique_id):
        relation = read_as(inputs, manifest, dependency)
        found[inputs.name(*relation)] = inputs.content(*relation)
    return found


def consumed(
    inputs: RunInputs, manifest: DbtManifest, base: Table | None, database: str, source: TableName
) -> str | None:
    """The snapshot of ``source`` that a published table was built from."""
    known = read_state(base).inputs
    found = known.get(inputs.name(database, source))
    if found is None and (former := former_name(manifest, source)):
        return known.get(inputs.name(database, former))
    return found


def read_as(inputs: RunInputs, manifest: DbtManifest, unique_id: str) -> tuple[str, TableName]:
    """Where dbt's ``ref`` and ``source`` lead: with ``--defer`` to another environment, by dbt's own condition.

    A table of this run is always its own (package/macros/relations/ref.sql), also when dbt retry has selected only a part of the run.
    """
    from dbt import selected_resources

    node = find(manifest, unique_id)
    assert node is not None
    identifier, own = table_of(node), str(node.database)
    deferred = getattr(node, "defer_relation", None)
    if not deferred or not flag("DEFER") or inputs.is_staged(identifier):
        return own, identifier
    favoured = flag("FAVOR_STATE") and unique_id not in selected_resources.SELECTED_RESOURCES
    if favoured or inputs.own(identifier) is None:
        return deferred.database, TableName(deferred.schema, deferred.identifier)
    return own, identifier


def withdrawn(
    inputs: RunInputs, manifest: DbtManifest, unique_id: str, base: Table | None, feeds: Collection[str]
) -> str:
    """Which input of a node has rows that were current when the node read it last and are not now; empty for none.

    Args:
        inputs: what the run reads.
        manifest: dbt's manifest.
        unique_id: the node.
        base: its table.
        feeds: those whose files replace earlier ones.
    """
    for dependency in tables_read(manifest, unique_id):
        database, table = read_as(inputs, manifest, dependency)
        if table[0] != "raw" or table[1] not in feeds:
            continue
        if since(inputs.known(database, table), consumed(inputs, manifest, base, database, table)) is None:
            return str(table)
    return ""


def changed_whole(
    inputs: RunInputs,
    manifest: DbtManifest,
    unique_id: str,
    base: Table | None,
    in_part: Collection[Relation],
) -> str:
    """Which inputs of a model changed since it read them last, of those that it reads whole next to others of which it reads a part.

    Rows that it wrote before were made from what these inputs held then, and are not made again.

    Args:
        inputs: what the run reads.
        manifest: dbt's manifest.
        unique_id: the model.
        base: its table.
        in_part: its other inputs; a model without any decides by itself which rows it reads.

    Returns:
        What changed, as a part of a sentence; empty if nothing did.
    """
    if base is None or not in_part:
        return ""
    changed: list[str] = []
    unknown: list[str] = []
    for dependency in tables_read(manifest, unique_id):
        database, table = read_as(inputs, manifest, dependency)
        before, now = consumed(inputs, manifest, base, database, table), inputs.content(database, table)
        if (database, *table) in in_part or before in (None, now):  # a new input is a change of the code
            continue
        (unknown if inputs.known(database, table) is None else changed).append(str(table))
    if changed:
        return f"{' and '.join(changed)} changed, which the query reads without a condition"
    if unknown:
        return f"it is not known whether {' and '.join(unknown)} changed, which the query reads without a condition"
    return ""


class ModelIncrements:
    """What models are given of their inputs instead of all of it, and which are built anew because that is not enough."""

    def __init__(self, inputs: RunInputs, pinned: PinnedTables) -> None:
        self._inputs, self._pinned = inputs, pinned
        self._given: dict[str, dict[tuple[Relation, str | None], Increment]] = {}
        self._rebuilt: set[TableName] = set()

    def give(
        self,
        manifest: DbtManifest,
        unique_id: str,
        table: TableName,
        relation: Relation,
        column: str | None = None,
    ) -> str:
        """A predicate for what came into an input since a model read it.

        Args:
            manifest: dbt's manifest.
            unique_id: the model.
            table: its table.
            relation: the input.
            column: of ``partitions_changed``; None for ``rows_added``.

        Raises:
            ConfigError: the input has no such column, or the ``_run_id`` of its rows is not that of the runs that wrote them; or the
                model is built in batches.
        """
        database, source = relation[0], TableName(*relation[1:])
        read, base = self._inputs.known(database, source), self._pinned.base(table)
        if column is None:
            check_raw(read, str(source))
        refuse_in_batches(manifest.nodes[unique_id])
        found = increment(relation, read, consumed(self._inputs, manifest, base, database, source), column)
        self._given.setdefault(unique_id, {})[relation, column] = found
        return found.predicate

    def of(self, unique_id: str) -> tuple[Increment, ...]:
        """What a model was given."""
        return tuple(self._given.get(unique_id, {}).values())

    def rebuild(self, manifest: DbtManifest, unique_id: str) -> list[tuple[str, str | None]]:
        """Have a model compile as if it had no table, and return the ephemeral models that dbt put in front of its query."""
        node = manifest.nodes[unique_id]
        self._rebuilt.add(table_of(node))
        self._given.pop(unique_id, None)
        return [(cte.id, cte.sql) for cte in node.extra_ctes]

    def adds_to(self, table: TableName) -> bool:
        """Whether a model has a table to add to: its own environment's, not one it may merely read."""
        return table not in self._rebuilt and self._pinned.base(table) is not None


def increment(
    relation: Relation, table: Table | None, consumed: str | None, column: str | None = None
) -> Increment:
    """What a model's query is given of an input, with what a write has to know of it.

    Args:
        relation: database, schema and identifier of the input.
        table: the input as this run reads it, None for what is no Iceberg table.
        consumed: the content that was read last.
        column: of ``partitions_changed``; None for ``rows_added``.

    Raises:
        ConfigError: the input has no such column.
    """
    snapshots = since(table, consumed)
    if column is not None and table is not None and has_withdrawn(table):
        snapshots = None  # the rows do not say what an earlier snapshot showed of a partition
    values: set[object] | None = None
    if column is None:
        predicate = rows_added(table, consumed)
    else:
        values = _changed_values(table, snapshots, column)
        predicate = _said(table, column, values)
    return Increment(
        relation=relation,
        table=table,
        before=_before(table, consumed),
        predicate=predicate,
        column=column,
        values=frozenset(values or ()),
        appended=snapshots is not None and all(_is_append(snapshot) for snapshot in snapshots),
    )


def since(table: Table | None, consumed: str | None) -> Sequence[Snapshot] | None:
    """Snapshots that changed a table after the consumed one, None when that is not known, as of what is no Iceberg table."""
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
    known = contents.index(consumed) + 1
    found = [snapshot for snapshot, parent in changes(line[:known]) if parent is not None]
    return None if any(withdraws(one) or COMBINES in summary_of(one) for one in found) else found


def has_withdrawn(table: Table) -> bool:
    """Whether a table has, or had in a snapshot that is still there, rows that are not current any more."""
    return WITHDRAWS in table.properties or any(map(withdraws, table.snapshots()))


def check_raw(table: Table | None, name: str) -> None:
    """Refuse a table that was made from others: its rows may carry ``_run_id``, but not that of the run that wrote them.

    Raises:
        ConfigError: it is such a table.
    """
    made_from = read_state(table).inputs
    if others := [one for one in made_from if not one.startswith("landing.")]:
        raise ConfigError(
            f"rows_added({name}) is not known",
            f"it is made from {others[0]}, and the _run_id of its rows is not of the run that wrote them",
            "Read the raw table, or use partitions_changed",
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
    return _said(table, column, _changed_values(table, since(table, consumed), column))


def _changed_values(
    table: Table | None, snapshots: Sequence[Snapshot] | None, column: str
) -> set[object] | None:
    """Values of a partition column whose files were added or removed, None when that is not known."""
    if snapshots is None or table is None:
        return None
    if not snapshots:
        return set()
    _field(table, column)
    at = _position(table, column)
    if at is None or any(_replaced_everything(snapshot) for snapshot in snapshots):
        return None
    values: set[object] = set()
    name = str(TableName.of(table.name()))
    for snapshot in snapshots:
        for manifest in manifests_of(snapshot, table.io, name):
            if manifest.added_snapshot_id != snapshot.snapshot_id:
                continue
            if manifest.partition_spec_id != table.spec().spec_id:
                return None
            for entry in entries_of(manifest, table.io, name, discard_deleted=False):
                if entry.status != ManifestEntryStatus.EXISTING and entry.snapshot_id == snapshot.snapshot_id:
                    values.add(entry.data_file.partition[at])
    return values


def _said(table: Table | None, column: str, values: set[object] | None) -> str:
    if values is None or table is None:
        return EVERYTHING
    return _predicate(column, values, _field(table, column).field_type)


def _before(table: Table | None, consumed: str | None) -> int | None:
    """The snapshot with the content that was read last."""
    current = table.current_snapshot() if table else None
    if table is None or current is None:
        return None
    line = ancestors(table, current.snapshot_id)
    return next((one.snapshot_id for one in line if content_of(one) == consumed), None)


def _field(table: Table, column: str) -> NestedField:
    found = top_level(table.schema(), column)
    if found is None:
        have = ", ".join(field.name for field in table.schema().fields)
        raise ConfigError(
            f"partitions_changed({'.'.join(table.name()[-2:])}) names {column}",
            "no such column",
            f"Use one of {have}",
        )
    return found


def _is_append(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary.operation is Operation.APPEND


def _position(table: Table, column: str) -> int | None:
    schema = table.schema()
    for at, field in enumerate(table.spec().fields):
        source = schema.find_field(field.source_id)
        exact = isinstance(field.transform, IdentityTransform) or (
            isinstance(field.transform, DayTransform) and isinstance(source.field_type, DateType)
        )
        if (
            source.name.lower() == column.lower()
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
