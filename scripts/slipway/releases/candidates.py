"""The candidate of a run: one record per staged table, from which it is published, continued or healed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from pydantic import TypeAdapter, ValidationError
from pyiceberg.table.update import AddSnapshotUpdate, TableUpdate

from slipway.errors import ConfigError, DamagedError
from slipway.iceberg.catalogs.movers import same
from slipway.iceberg.snapshots import StagedTable, Staging
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.release_records import CandidateTable
from slipway.records.run_manifest import RunManifest

_COMPARED = (
    "table_uuid",
    "location",
    "schemas",
    "current_schema_id",
    "last_column_id",
    "partition_specs",
    "default_spec_id",
    "last_partition_id",
    "sort_orders",
    "default_sort_order_id",
    "properties",
    "snapshots",
    "current_snapshot_id",
    "refs",
    "last_sequence_number",
)
"""Fields of Iceberg's table metadata; the others say when a file was written, and which were before it."""
_UPDATES: TypeAdapter[tuple[TableUpdate, ...]] = TypeAdapter(tuple[TableUpdate, ...])


def record_of(staged: StagedTable, release: int) -> str:
    """A staged table as JSON."""
    record = CandidateTable(
        table=list(staged.identifier),
        metadata_location=staged.table.metadata_location,
        base=staged.base,
        snapshot_id=str(staged.snapshot_id),
        release=release,
        updates=[json.loads(update.model_dump_json()) for update in staged.updates],
        retires=staged.retires,
        registers=staged.registers,
    )
    return json.dumps(record.model_dump())


def staged_of(tables: Tables, record: CandidateTable) -> StagedTable:
    """The staged table that a record is of; its metadata file is read.

    Raises:
        DamagedError: the record and the metadata file do not belong together.
        UnavailableError: the metadata file cannot be read.
    """
    name = record.name
    loaded = tables.load(name, record.metadata_location)
    why = ""
    if str(loaded.metadata.current_snapshot_id) != record.snapshot_id:
        why = (
            f"it names snapshot {record.snapshot_id}, its metadata file {loaded.metadata.current_snapshot_id}"
        )
    try:
        updates = _UPDATES.validate_python(record.updates)
    except ValidationError as error:
        updates, why = (), f"its updates are not Iceberg's: {error.errors()[0]['msg']}"
    if why:
        raise DamagedError(f"Candidate record of {name} cannot be used", why, "Run again")
    return StagedTable(name, loaded, record.base, updates, record.retires, record.registers)


def audited(tables: Tables, manifest: RunManifest, candidate: Sequence[CandidateTable]) -> list[StagedTable]:
    """The staged tables of a run, which are those that its tests and gates were about.

    Raises:
        DamagedError: a record or a metadata file is missing, or not what the run wrote.
    """
    built = {node.table: node for node in manifest.nodes if node.table and node.change.stages}
    named = {str(record.name) for record in candidate if not record.retires}
    if differing := sorted(named ^ built.keys()):
        raise _altered(manifest, f"{', '.join(differing)} has a candidate record or was built, but not both")
    staged = []
    for record in candidate:
        name = str(record.name)
        if record.retires:
            staged.append(staged_of(tables, record))
            continue
        node = built[name]
        written = (record.metadata_location, record.snapshot_id)
        if written != (node.metadata_location, node.candidate_snapshot):
            raise _altered(manifest, f"the candidate record of {name} is not what the run manifest says")
        item = staged_of(tables, record)
        if not _leads_there(tables, item, record.release):
            raise _altered(manifest, f"the staged metadata of {name} is not what its candidate record says")
        staged.append(item)
    return staged


def _leads_there(tables: Tables, item: StagedTable, release: int) -> bool:
    """Whether the recorded updates lead from the base to the staged metadata, which carries the tag of the release."""
    shown = item.table.metadata
    tag = shown.refs.get(f"release-{release}")
    if tag is None or tag.snapshot_id != shown.current_snapshot_id:
        return False
    if item.registers:
        return True
    if item.base is None:
        added = [update.snapshot for update in item.updates if isinstance(update, AddSnapshotUpdate)]
        return added == shown.snapshots
    transaction = Staging(tables.load(item.identifier, item.base))
    transaction._stage(item.updates)
    return same(transaction.table_metadata, shown, *_COMPARED)


def _altered(manifest: RunManifest, why: str) -> DamagedError:
    return DamagedError(
        f"Run {manifest.run_id} cannot be published", why, "Restore its folder from a copy, or run again"
    )


def check_case(
    identifier: TableName,
    others: Iterable[TableName],
    renamed: Mapping[TableName, TableName] = MappingProxyType({}),
) -> None:
    """Refuse a table next to one whose name differs only in upper and lower case, and does not go in favour of it.

    Raises:
        ConfigError: there is one; DuckDB would show one of the two under both names.
    """
    lowered = str(identifier).lower()
    for other in others:
        if other not in (identifier, renamed.get(identifier)) and str(other).lower() == lowered:
            raise ConfigError(
                f"{identifier} cannot be a table next to {other}",
                "DuckDB does not distinguish upper and lower case",
                "Give one of them another alias",
            )
