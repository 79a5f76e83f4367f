"""A table's state, carried into another warehouse: the same rows, ids and statistics under locations of its own.

What has an identity keeps it: the snapshot, schemas with their field ids, partition specs, sort orders, and each data file's place in
the table's folder. So two environments show the same content where the ids of their snapshots are the same, and what other
tables recorded of their inputs stays true. Manifests and metadata files name locations, so they are written anew.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.metadata import TableMetadata, TableMetadataV2
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import (
    Operation,
    Snapshot,
    SnapshotSummaryCollector,
    Summary,
    update_snapshot_summaries,
)
from pyiceberg.table.sorting import SortOrder
from pyiceberg.table.statistics import StatisticsFile
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSortOrderUpdate,
    SetPartitionStatisticsUpdate,
    SetStatisticsUpdate,
    TableUpdate,
)
from pyiceberg.utils.properties import property_as_int

from slipway.errors import SlipwayError
from slipway.iceberg.earlier_states import ancestors
from slipway.iceberg.metadata_files import damaged, files_of, summary_of
from slipway.iceberg.snapshots import (
    COMBINES,
    Append,
    Overwrite,
    ReplaceAll,
    StagedTable,
    Staging,
    content_of,
    current_content,
    set_ref,
    updates_to,
)
from slipway.iceberg.tables import FORMAT_VERSION, Tables
from slipway.names import TableName
from slipway.storage.objects import canonical

ORIGIN = "slipway.promoted-table"
"""Table property: the UUID of the table in the other environment that this one has its states from."""
FROM, FROM_RELEASE = "slipway.promoted-from", "slipway.promoted-release"
"""Keys in a snapshot's summary: the environment that it was promoted from, and the number of its release there."""
_OWN = "slipway."
PLACES = (
    TableProperties.WRITE_DATA_PATH,
    TableProperties.WRITE_METADATA_PATH,
    "write.object-storage.path",
    "write.folder-storage.path",
)
"""Properties that name locations, which are others elsewhere."""


@dataclass(frozen=True)
class Place:
    """Where a data file comes from and goes to; ``size`` in bytes, as the manifest has it."""

    source: str
    target: str
    size: int


@dataclass(frozen=True)
class Carry:
    """What has to be done so that a table shows the state of another one.

    Args:
        identifier: namespace and name.
        source: the other table, in the state that is to be shown.
        base: the table as its catalog names it; None where there is none.
        location: the folder of the table.
        added: data files that become part of it, with their new locations.
        removed: data files that are no part of it any more.
        files: where the added ones, and files with statistics, are copied from and to.
        kept: paths below the folder of the data files that stay, to their bytes.
        known: the table's history has the snapshot already, so that it is only shown again.
        replaces: a table with another history takes the place of the one that is there.
        statistics: what names the statistics of the state, which other tools computed, with their new locations.
    """

    identifier: TableName
    source: Table
    base: Table | None
    location: str
    added: Sequence[DataFile] = ()
    removed: Sequence[DataFile] = ()
    files: Sequence[Place] = ()
    kept: Mapping[str, int] = field(default_factory=dict)
    known: bool = False
    replaces: bool = False
    statistics: Sequence[TableUpdate] = ()

    @property
    def size(self) -> int:
        """Bytes to copy."""
        return sum(file.size for file in self.files)


def is_same(source: Table, base: Table) -> bool:
    """Whether a table shows the content of another one with the same columns, layout and properties."""
    one, other = source.metadata, base.metadata
    here, there = source.current_snapshot(), base.current_snapshot()
    if here is None or there is None or not _same_rows(here, there):
        return False
    wanted = _properties(one)
    return (
        source.schema() == base.schema()
        and one.spec() == other.spec()
        and one.sort_order() == other.sort_order()
        and all(other.properties.get(key) == value for key, value in wanted.items())
    )


def _same_rows(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots hold the same rows, in whichever files."""
    return content_of(one) == content_of(other) and one.schema_id == other.schema_id


def carry(
    tables: Tables, identifier: TableName, source: Table, base: Table | None, *, replace: bool = False
) -> Carry:
    """Find out what is needed; nothing is written.

    Args:
        tables: the environment that the state is carried into.
        identifier: the table's name there.
        source: the table elsewhere, in the state that is to be shown.
        base: the table as the catalog names it; None where there is none.
        replace: whether a table that was not carried from the source gives way.

    Raises:
        SlipwayError: the state cannot be carried: it has files that are not copied, or the table's columns or
            layout came apart from those of the source.
        DamagedTableError: a manifest of one of the two is missing or damaged.
    """
    _check_format(identifier, source)
    why = _other_history(source, base) if base else ""
    # what was promoted from a table that was dropped gives way to the one that was made since, as it did there
    gives_way = replace or (base is not None and base.properties.get(ORIGIN, _uuid(source)) != _uuid(source))
    if base is None or (why and gives_way and tables.kind.keeps_staged_metadata):
        location = tables.location_of(identifier)
        added = [_at(file, f"{location}/{path}") for path, file in _files(identifier, source).items()]
        statistics, more = _statistics(identifier, source, location)
        places = [*_places(source, location, added), *more]
        return Carry(
            identifier,
            source,
            base,
            location,
            added,
            files=places,
            replaces=bool(base),
            statistics=statistics,
        )
    if why:
        raise _not_over(tables, identifier, why)
    _check_format(identifier, base)
    location = base.location()
    snapshot = source.current_snapshot()
    if snapshot is not None and base.snapshot_by_id(snapshot.snapshot_id) is not None:
        return Carry(identifier, source, base, location, known=True)
    wanted, there = _files(identifier, source), _files(identifier, base)
    for path in wanted.keys() & there.keys():
        _check_equal(identifier, wanted[path], there[path])
    added = [_at(file, f"{location}/{path}") for path, file in wanted.items() if path not in there]
    removed = [file for path, file in there.items() if path not in wanted]
    kept = {path: file.file_size_in_bytes for path, file in there.items() if path in wanted}
    statistics, more = _statistics(identifier, source, location)
    places = [*_places(source, location, added), *more]
    return Carry(identifier, source, base, location, added, removed, places, kept, statistics=statistics)


def stage_carried(tables: Tables, what: Carry, release: str, summary: Mapping[str, str]) -> StagedTable:
    """Stage the table in the state that was carried; its data files must be there.

    Args:
        tables: the environment.
        what: what ``carry`` found.
        release: the tag that the snapshot gets.
        summary: what the snapshot says of itself, next to what it said where it came from.

    Raises:
        ConfigError: the catalog could not keep a new table under its name.
    """
    source, base = what.source.metadata, None if what.replaces else what.base
    table = base or tables.begin(what.identifier, lambda location: _new(source, location))
    new = base is None
    transaction = Staging(table)
    if not new:
        transaction._stage(tuple(_additions(source, transaction.table_metadata)))
        transaction._stage(tuple(_settings(source, transaction.table_metadata)))
    snapshot = what.source.current_snapshot()
    if what.known:
        assert snapshot is not None
        transaction._stage((set_ref(MAIN_BRANCH, snapshot.snapshot_id, SnapshotRefType.BRANCH),))
    else:
        _add_snapshot(transaction, what, snapshot, summary)
    transaction._stage(tuple(what.statistics))
    current = transaction.table_metadata.current_snapshot_id
    transaction._stage((set_ref(release, current),))
    staged = tables.stage(table, transaction, new=new)
    staged.registers = new and _has_past(source)
    if what.replaces and what.base:
        staged.base = what.base.metadata_location
    return staged


def _add_snapshot(
    transaction: Staging, what: Carry, snapshot: Snapshot | None, summary: Mapping[str, str]
) -> None:
    own = {key: value for key, value in summary_of(snapshot).items() if key.startswith(_OWN)}
    if what.base is not None and not what.replaces and not _follows(what.source, what.base):
        own[COMBINES] = "true"
    kind: type[_Carried]
    if not what.kept and transaction.table_metadata.current_snapshot_id is not None:
        kind = _CarriedReplacement
        own["slipway.strategy"] = "replace"
    else:
        kind = _CarriedOverwrite if what.removed else _CarriedAppend
    producer = kind(transaction, transaction._table.io, {**own, **summary})
    if snapshot is not None:
        producer._snapshot_id = snapshot.snapshot_id
    for file in () if kind is _CarriedReplacement else what.removed:
        producer.delete_data_file(file)
    for file in what.added:
        producer.append_data_file(file)
    producer.commit()


def _follows(source: Table, base: Table) -> bool:
    """Whether one snapshot of the source leads from what the other table shows to what the source shows."""
    current = source.current_snapshot()
    line = ancestors(source, current.snapshot_id if current else None)
    contents = list(dict.fromkeys(map(content_of, line)))
    return len(contents) > 1 and contents[1] == current_content(base)


class _Carried(Append):
    """A snapshot whose added files may be of any partition spec that the table has had."""

    def _manifests(self) -> list[ManifestFile]:
        files, default = self._added_data_files, self._transaction.table_metadata.default_spec_id
        others: dict[int, list[DataFile]] = defaultdict(list)
        for file in files:
            if file.spec_id != default:
                others[file.spec_id].append(file)
        self._added_data_files = [file for file in files if file.spec_id == default]
        try:
            found = super()._manifests()
        finally:
            self._added_data_files = files
        return [*(self._manifest_of(self.spec(number), some) for number, some in others.items()), *found]

    def _manifest_of(self, spec: PartitionSpec, files: Sequence[DataFile]) -> ManifestFile:
        with self.new_manifest_writer(spec) as writer:
            for file in files:
                entry = ManifestEntry.from_args(
                    status=ManifestEntryStatus.ADDED,
                    snapshot_id=self._snapshot_id,
                    sequence_number=None,
                    file_sequence_number=None,
                    data_file=file,
                )
                writer.add(entry)
        return writer.to_manifest_file()

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        metadata = self._transaction.table_metadata
        specs, schema = metadata.specs(), metadata.schema()
        limit = property_as_int(
            metadata.properties,
            TableProperties.WRITE_PARTITION_SUMMARY_LIMIT,
            TableProperties.WRITE_PARTITION_SUMMARY_LIMIT_DEFAULT,
        )
        collector = SnapshotSummaryCollector(limit or 0)
        for file in self._added_data_files:
            collector.add_file(file, schema, specs[file.spec_id])
        for file in self._deleted_data_files:
            collector.remove_file(file, schema, specs[file.spec_id])
        before = self._before(metadata)
        counted = Summary(operation=self._operation, **collector.build(), **(snapshot_properties or {}))
        return update_snapshot_summaries(counted, summary_of(before) if before else None)

    def _before(self, metadata: TableMetadata) -> Snapshot | None:
        return metadata.snapshot_by_id(self._parent_snapshot_id) if self._parent_snapshot_id else None


class _CarriedAppend(_Carried):
    """Files are added."""


class _CarriedOverwrite(_Carried, Overwrite):
    """Files are added and removed."""


class _CarriedReplacement(_Carried, ReplaceAll):
    """Nothing of what was there stays, and no manifest of it is read."""

    _operation_kind = Operation.OVERWRITE

    def _before(self, metadata: TableMetadata) -> Snapshot | None:  # noqa: ARG002 - there is none
        return None


def _files(identifier: TableName, table: Table) -> dict[str, DataFile]:
    """The data files of a table's current state by their path below the table's folder.

    Raises:
        SlipwayError: it has delete files, or a file elsewhere.
    """
    root, found = f"{canonical(table.location())}/", {}
    for file in files_of(table):
        if file.content != DataFileContent.DATA:
            raise SlipwayError(
                f"{identifier} cannot be promoted",
                f"another tool wrote delete files for it ({_name(file)})",
                "Build it again with slipway run --full-refresh --select MODEL",
            )
        path = canonical(file.file_path)
        if not path.startswith(root):
            raise SlipwayError(
                f"{identifier} cannot be promoted",
                f"its file {file.file_path} is outside of its folder {table.location()}",
                "Build it again with slipway run --full-refresh --select MODEL",
            )
        found[path.removeprefix(root)] = file
    return found


def _statistics(identifier: TableName, table: Table, location: str) -> tuple[list[TableUpdate], list[Place]]:
    """What names the statistics of a table's current state at another location, and the files to copy.

    Statistics are in Puffin files, and those of partitions in data files (Iceberg specification, "Table Statistics" and "Partition Statistics").

    Raises:
        SlipwayError: a file is elsewhere than in the table's folder.
    """
    metadata, root = table.metadata, f"{canonical(table.location())}/"
    updates: list[TableUpdate] = []
    places: list[Place] = []
    for one in (*metadata.statistics, *metadata.partition_statistics):
        if one.snapshot_id != metadata.current_snapshot_id:
            continue
        path = canonical(one.statistics_path)
        if not path.startswith(root):
            raise SlipwayError(
                f"{identifier} cannot be promoted",
                f"its statistics {one.statistics_path} are outside of its folder {table.location()}",
                "Remove them with the tool that computed them, or have them written into the folder",
            )
        to = f"{location}/{path.removeprefix(root)}"
        moved = one.model_copy(update={"statistics_path": to})
        if isinstance(moved, StatisticsFile):
            updates.append(SetStatisticsUpdate(statistics=moved))
        else:
            updates.append(SetPartitionStatisticsUpdate(partition_statistics=moved))
        places.append(Place(one.statistics_path, to, one.file_size_in_bytes))
    return updates, places


def _name(file: DataFile) -> str:
    return file.file_path.rpartition("/")[2]


def _at(file: DataFile, location: str) -> DataFile:
    """The same file at another location."""
    moved = DataFile(*file._data)
    moved[1] = location
    moved.spec_id = file.spec_id
    return moved


def _places(source: Table, location: str, added: Sequence[DataFile]) -> list[Place]:
    return [
        Place(
            f"{source.location()}{file.file_path.removeprefix(location)}",
            file.file_path,
            file.file_size_in_bytes,
        )
        for file in added
    ]


def _check_equal(identifier: TableName, wanted: DataFile, there: DataFile) -> None:
    one, other = ((file.file_size_in_bytes, file.record_count, file.spec_id) for file in (wanted, there))
    if one != other:
        raise damaged(
            f"data of {identifier}",
            there.file_path,
            f"its manifest says {other[0]:,} bytes and {other[1]:,} rows, and that of {wanted.file_path} says "
            f"{one[0]:,} and {one[1]:,}",
        )


def _check_format(identifier: TableName, table: Table) -> None:
    if table.format_version != FORMAT_VERSION:
        raise SlipwayError(
            f"{identifier} cannot be promoted",
            f"{table.location()} has format version {table.format_version}, and version {FORMAT_VERSION} is carried",
            "Have it rewritten in that version",
        )


def _other_history(source: Table, base: Table) -> str:
    """Why a table cannot be continued with states of another one: by the same ids something else is meant; empty when it can.

    Data files name columns by field ids, so they could be read wrongly.
    """
    origin = base.properties.get(ORIGIN)
    if origin is None:
        return "it was built there and never promoted"
    if origin != _uuid(source):
        return "it was promoted from another table of this name, which was dropped since"
    for what, ours, theirs in _by_id(source.metadata, base.metadata):
        if differing := sorted(ours.keys() & theirs.keys() - _equal(ours, theirs)):
            return f"its {what} {differing[0]} is not what it is where it was promoted from"
    return ""


def _uuid(table: Table) -> str:
    return str(table.metadata.table_uuid)


def _not_over(tables: Tables, identifier: TableName, why: str) -> SlipwayError:
    name = tables.environment.name
    fix = "Replace it with --replace, after which a rollback does not bring it back"
    if not tables.kind.keeps_staged_metadata:
        fix = "Drop it there; a catalog of this kind cannot put another table in its place in one step"
    return SlipwayError(
        f"{identifier} of {name} cannot be continued by a promotion",
        why,
        f"{fix}, or leave its layer out in promotion.yml",
    )


def _by_id(one: TableMetadata, other: TableMetadata) -> Iterator[tuple[str, dict[int, Any], dict[int, Any]]]:
    yield "schema", _schemas(one), _schemas(other)
    yield "partition spec", one.specs(), other.specs()
    yield "sort order", _orders(one), _orders(other)


def _equal(one: Mapping[int, Any], other: Mapping[int, Any]) -> Collection[int]:
    return {number for number in one.keys() & other.keys() if one[number] == other[number]}


def _schemas(metadata: TableMetadata) -> dict[int, Schema]:
    return {schema.schema_id: schema for schema in metadata.schemas}


def _orders(metadata: TableMetadata) -> dict[int, SortOrder]:
    return {order.order_id: order for order in metadata.sort_orders}


def _new(source: TableMetadata, location: str) -> TableMetadata:
    """A table without snapshots, with the ids of another one."""
    return TableMetadataV2(
        location=location,
        table_uuid=uuid.uuid4(),
        last_column_id=source.last_column_id,
        schemas=list(source.schemas),
        current_schema_id=source.current_schema_id,
        partition_specs=list(source.partition_specs),
        default_spec_id=source.default_spec_id,
        last_partition_id=source.last_partition_id,
        sort_orders=list(source.sort_orders),
        default_sort_order_id=source.default_sort_order_id,
        properties=_properties(source),
    )


def _has_past(source: TableMetadata) -> bool:
    """Whether more than one update would be needed for its schema, spec or order, so that catalogs are given its metadata file."""
    return max(len(source.schemas), len(source.partition_specs), len(source.sort_orders)) > 1


def _properties(source: TableMetadata) -> dict[str, str]:
    carried = {key: value for key, value in source.properties.items() if key not in PLACES}
    return {**carried, ORIGIN: str(source.table_uuid)}


def _additions(source: TableMetadata, have: TableMetadata) -> Iterator[TableUpdate]:
    """Schemas, specs and orders that the table has not had yet, in the order in which they were made."""
    for number in sorted(_schemas(source).keys() - _schemas(have).keys()):
        yield AddSchemaUpdate(schema=_schemas(source)[number])  # type: ignore[call-arg]
    for number in sorted(source.specs().keys() - have.specs().keys()):
        yield AddPartitionSpecUpdate(spec=source.specs()[number])
    for number in sorted(_orders(source).keys() - _orders(have).keys()):
        yield AddSortOrderUpdate(sort_order=_orders(source)[number])


def _settings(source: TableMetadata, have: TableMetadata) -> list[TableUpdate]:
    """What makes the schema, spec, order and properties of the source the current ones; properties of others stay."""
    others = {key: value for key, value in have.properties.items() if not key.startswith(_OWN)}
    wanted = source.model_copy(update={"properties": {**others, **_properties(source)}})
    return updates_to(wanted, have)
