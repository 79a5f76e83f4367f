"""What a commit to the run's catalog may do to a table: an explicit list, and everything else is refused.

A run adds snapshots to the main branch of the tables that it builds, and gives them a schema, partitioning, an order and properties.
It removes nothing, and puts nothing outside of a table's folder: files that are published stay where they are, and those that are
added are the table's own.

Updates are those of Iceberg's REST protocol (``TableUpdate`` of ``open-api/rest-catalog-open-api.yaml``). The present tests of
pyiceberg for them are weaker than those of Iceberg's own server, so what it would accept and Java's readers would not is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatchmethod

from pyiceberg.io import FileIO
from pyiceberg.manifest import FileFormat, ManifestContent, ManifestEntryStatus, ManifestFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot, Summary
from pyiceberg.table.sorting import SortOrder
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSnapshotUpdate,
    AddSortOrderUpdate,
    AssignUUIDUpdate,
    RemovePropertiesUpdate,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetLocationUpdate,
    SetPartitionStatisticsUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    SetStatisticsUpdate,
    TableUpdate,
    UpgradeFormatVersionUpdate,
)
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
)

from slipway.iceberg.metadata_files import entries_of, manifests_of
from slipway.iceberg.tables import FORMAT_VERSION
from slipway.names import Kind, TableName, shown, twins, why_not
from slipway.run_catalog.refusals import ForbiddenRequestError, MalformedRequestError, moved
from slipway.storage.locations import uri

GC_ENABLED = "gc.enabled"
"""Property that Iceberg's engines ask before they delete files of a table; every table is served with it being ``false``.

Spark deletes the files of a table that is purged, or whose snapshots it expires, by itself and not through the catalog.
"""

_ELSEWHERE = (
    "write.data.path",
    "write.metadata.path",
    "write.folder-storage.path",
    "write.object-storage.path",
    "write.location-provider.impl",
)
"""Properties by which engines write files outside of a table's folder."""

_OWN = "slipway."
_AHEAD_MS = 10 * 60 * 1000
_LARGEST = 2**63 - 1


@dataclass
class CommitRules:
    """The rules for one commit, and what is known of the table while its updates are looked at one by one.

    Args:
        name: the table.
        current: its metadata, None for a table that the commit creates.
        location: the folder that it has, or is going to have.
        io: reads the manifests that snapshots of the commit name.
        summary: what its snapshots say of the run.
        now_ms: the time, in milliseconds since 1970-01-01 UTC.
        is_new: it is of this run, so that no history of it has to stay.
    """

    name: TableName
    current: TableMetadata | None
    location: str
    io: FileIO
    summary: Mapping[str, str]
    now_ms: int
    is_new: bool = False
    _added: dict[int, Snapshot] = field(default_factory=dict)
    _shown: set[int] = field(default_factory=set)
    _last: dict[str, int] = field(default_factory=dict)
    _main: int | None = None
    _main_was_removed: bool = False

    def allowed(self, updates: Sequence[TableUpdate]) -> tuple[TableUpdate, ...]:
        """The updates to apply: what changes nothing is left out, and "the last one added" is replaced by its id.

        Raises:
            RefusedRequestError: one of them is not allowed, or not made for the table as it is.
        """
        found: list[TableUpdate] = []
        self._main = self.current.current_snapshot_id if self.current else None
        for update in updates:
            found += self._rule(update)
        if self._main_was_removed:
            raise ForbiddenRequestError(
                f"The rows of {self.name} cannot be removed by removing its main branch",
                "the table would have no current snapshot",
                "Replace its rows instead",
            )
        if unused := sorted(self._added.keys() - self._shown):
            raise ForbiddenRequestError(
                f"Snapshot {unused[0]} of {self.name} cannot be staged",
                "main does not name it",
                "Commit to the main branch",
            )
        return tuple(found)

    @singledispatchmethod
    def _rule(self, update: TableUpdate) -> list[TableUpdate]:
        """The updates that take the place of one; what has no rule below is refused."""
        raise ForbiddenRequestError(
            f"The change {update.action} of {self.name} is refused",
            "a run adds to the history of a table and removes nothing of it",
            "Expire and remove with slipway maintain, go back with slipway rollback",
        )

    @_rule.register
    def _(self, update: RemoveSnapshotsUpdate) -> list[TableUpdate]:
        raise ForbiddenRequestError(
            f"Snapshots of {self.name} cannot be removed by a run",
            f"releases and rollback need them ({', '.join(map(str, update.snapshot_ids[:3]))} …)",
            "Expire snapshots with slipway maintain",
        )

    @_rule.register
    def _(self, update: AssignUUIDUpdate) -> list[TableUpdate]:
        if self.current is None:
            return [update]
        if update.uuid != self.current.table_uuid:
            raise moved(self.name, "its UUID cannot change")
        return []

    @_rule.register
    def _(self, update: UpgradeFormatVersionUpdate) -> list[TableUpdate]:
        if update.format_version != FORMAT_VERSION:
            raise wrong_version(self.name, update.format_version)
        return [update]

    @_rule.register
    def _(self, update: SetLocationUpdate) -> list[TableUpdate]:
        check_location(self.name, update.location, self.location)
        return [] if self.current else [SetLocationUpdate(location=self.location)]

    @_rule.register
    def _(self, update: AddSchemaUpdate) -> list[TableUpdate]:
        schema = update.schema_
        check_schema(self.name, schema)
        if self.current is not None:
            check_evolution(self.name, self.current, schema)
        return self._add(
            "schema", update, schema.schema_id, schema, self.current.schemas if self.current else []
        )

    @_rule.register
    def _(self, update: AddPartitionSpecUpdate) -> list[TableUpdate]:
        known = self.current.partition_specs if self.current else []
        return self._add("partition spec", update, update.spec.spec_id, update.spec, known)

    @_rule.register
    def _(self, update: AddSortOrderUpdate) -> list[TableUpdate]:
        known = self.current.sort_orders if self.current else []
        return self._add("sort order", update, update.sort_order.order_id, update.sort_order, known)

    def _add(
        self,
        what: str,
        update: TableUpdate,
        number: int,
        added: Schema | PartitionSpec | SortOrder,
        known: Sequence[Schema | PartitionSpec | SortOrder],
    ) -> list[TableUpdate]:
        """Add a schema, spec or order, unless it is there; raises where its id is taken, or the run has just made the table."""
        self._last[what] = number
        same_id = [one for one in known if _id(one) == number]
        if any(_equal(one, added) for one in same_id):
            return []
        if same_id:
            raise moved(self.name, f"it has another {what} with the id {number}")
        if self.is_new and self.current is not None:
            raise ForbiddenRequestError(
                f"{self.name} is new in this run, and its {what} cannot change any more",
                "a catalog gets a new table with one schema, one partition spec and one sort order",
                "Drop it in this run and create it anew",
            )
        return [update]

    @_rule.register
    def _(self, update: SetCurrentSchemaUpdate) -> list[TableUpdate]:
        return [SetCurrentSchemaUpdate(schema_id=self._known("schema", update.schema_id))]

    @_rule.register
    def _(self, update: SetDefaultSpecUpdate) -> list[TableUpdate]:
        return [SetDefaultSpecUpdate(spec_id=self._known("partition spec", update.spec_id))]

    @_rule.register
    def _(self, update: SetDefaultSortOrderUpdate) -> list[TableUpdate]:
        return [SetDefaultSortOrderUpdate(sort_order_id=self._known("sort order", update.sort_order_id))]

    def _known(self, what: str, number: int) -> int:
        """The id that an update means; -1 is the last one that the commit added."""
        if number != -1:
            return number
        if what not in self._last:
            raise MalformedRequestError(
                f"Commit to {self.name} cannot be applied",
                f"it sets the {what} to the last one added, and adds none",
            )
        return self._last[what]

    @_rule.register
    def _(self, update: SetPropertiesUpdate) -> list[TableUpdate]:
        now = self.current.properties if self.current else {}
        wanted = {key: value for key, value in update.updates.items() if now.get(key) != value}
        wanted = allowed_properties(self.name, wanted)
        return [SetPropertiesUpdate(updates=wanted)] if wanted else []

    @_rule.register
    def _(self, update: RemovePropertiesUpdate) -> list[TableUpdate]:
        now = self.current.properties if self.current else {}
        for key in update.removals:
            if key == GC_ENABLED or key.startswith(_OWN):
                raise _own_property(self.name, key)
        present = [key for key in dict.fromkeys(update.removals) if key in now]
        return [RemovePropertiesUpdate(removals=present)] if present else []

    @_rule.register
    def _(self, update: AddSnapshotUpdate) -> list[TableUpdate]:
        snapshot = update.snapshot
        self._check_numbers(snapshot)
        if snapshot.parent_snapshot_id is not None and snapshot.parent_snapshot_id != self._main:
            raise moved(
                self.name,
                f"the parent of snapshot {snapshot.snapshot_id} is not {self._main}, its current one",
            )
        if snapshot.parent_snapshot_id is None and self._main is not None:
            raise moved(self.name, f"snapshot {snapshot.snapshot_id} has no parent, and the table has rows")
        snapshot = self._of_this_run(snapshot)
        self._check_files(snapshot)
        self._added[snapshot.snapshot_id] = snapshot
        return [AddSnapshotUpdate(snapshot=snapshot)]

    def _check_numbers(self, snapshot: Snapshot) -> None:
        """Refuse numbers that Java's readers could not read, and times that every later commit would have to come after."""
        last = getattr(self.current, "last_sequence_number", 0) if self.current else 0
        last = max([last, *(one.sequence_number or 0 for one in self._added.values())])
        latest = max(self.now_ms, self.current.last_updated_ms if self.current else 0) + _AHEAD_MS
        sequence = snapshot.sequence_number
        problems = {
            "its id is no positive number of 63 bits": not 0 < snapshot.snapshot_id <= _LARGEST,
            f"its sequence number is not after {last}": sequence is None or not last < sequence <= _LARGEST,
            "its time lies in the future": not 0 <= snapshot.timestamp_ms <= latest,
        }
        if found := [why for why, is_so in problems.items() if is_so]:
            raise MalformedRequestError(
                f"Snapshot {snapshot.snapshot_id} of {self.name} cannot be staged", found[0]
            )

    def _of_this_run(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot that says which run made it."""
        summary = snapshot.summary
        if summary is None:
            raise MalformedRequestError(
                f"Snapshot {snapshot.snapshot_id} of {self.name} cannot be staged", "it has no summary"
            )
        stated = summary.additional_properties
        if own := sorted(key for key in stated if key.startswith(_OWN)):
            raise _own_property(self.name, own[0])
        if not all(isinstance(value, str) for value in stated.values()):
            raise MalformedRequestError(
                f"Snapshot {snapshot.snapshot_id} of {self.name} cannot be staged", "its summary is not text"
            )
        return snapshot.model_copy(
            update={"summary": Summary(operation=summary.operation, **stated, **self.summary)}
        )

    def _check_files(self, snapshot: Snapshot) -> None:
        """Refuse a snapshot that names files outside of the table's folder, or of a kind that Slipway does not write on.

        Files that the table has already may be anywhere. Manifests are read that its current snapshot does not have.
        """
        self._check_inside(snapshot.manifest_list)
        name = str(self.name)
        current = self._snapshot(self._main) if self._main is not None else None
        before = manifests_of(current, self.io, name) if current else []
        known = {manifest.manifest_path for manifest in before}
        lie_elsewhere: list[str] = []
        for manifest in manifests_of(snapshot, self.io, name):
            if manifest.manifest_path in known:
                continue
            lie_elsewhere += self._check_manifest(manifest)
        if lie_elsewhere:
            had = {entry.data_file.file_path for one in before for entry in entries_of(one, self.io, name)}
            for path in lie_elsewhere:
                if path not in had:
                    self._check_inside(path)

    def _check_manifest(self, manifest: ManifestFile) -> list[str]:
        """Check a manifest that the commit brings; returns files outside of the folder that it says the table has already."""
        self._check_inside(manifest.manifest_path)
        if manifest.content == ManifestContent.DELETES:
            raise ForbiddenRequestError(
                f"{self.name} cannot have delete files",
                "tables are changed by new data files, from which digests and merges are computed",
                "Set write.delete.mode, write.update.mode and write.merge.mode to copy-on-write",
            )
        lie_elsewhere = []
        for entry in entries_of(manifest, self.io, str(self.name)):
            file = entry.data_file
            if file.file_format != FileFormat.PARQUET:
                raise ForbiddenRequestError(
                    f"{self.name} cannot have files of format {file.file_format.value}",
                    "tables are read from Parquet",
                    "Set write.format.default to parquet",
                )
            if entry.status == ManifestEntryStatus.ADDED:
                self._check_inside(file.file_path)
            elif not is_inside(file.file_path, self.location):
                lie_elsewhere.append(file.file_path)
        return lie_elsewhere

    def _snapshot(self, number: int) -> Snapshot | None:
        known = self.current.snapshot_by_id(number) if self.current else None
        return self._added.get(number, known)

    def _check_inside(self, path: str) -> None:
        if not is_inside(path, self.location):
            raise ForbiddenRequestError(
                f"{self.name} cannot have the file {path}",
                f"it is not below {self.location}, and tables do not share files",
                "Write its rows with INSERT or CREATE TABLE AS",
            )

    @_rule.register
    def _(self, update: SetSnapshotRefUpdate) -> list[TableUpdate]:
        if update.ref_name != MAIN_BRANCH or update.type != SnapshotRefType.BRANCH:
            raise ForbiddenRequestError(
                f"{update.ref_name} of {self.name} cannot be set by a run",
                "a run commits to the main branch, and the tag of its release is added when it is staged",
                "Commit to main",
            )
        if self.current and not self._added and update.snapshot_id == self.current.current_snapshot_id:
            self._check_retention(update)
            return []
        if update.snapshot_id not in self._added:
            raise ForbiddenRequestError(
                f"{self.name} cannot be moved to snapshot {update.snapshot_id}",
                "this commit does not add it, and going back is a release of its own",
                "Use slipway rollback",
            )
        self._check_retention(update)
        self._main, self._main_was_removed = update.snapshot_id, False
        self._shown.add(update.snapshot_id)
        return [update]

    def _check_retention(self, update: SetSnapshotRefUpdate) -> None:
        was = self.current.refs.get(MAIN_BRANCH) if self.current else None
        for name in ("max_ref_age_ms", "max_snapshot_age_ms", "min_snapshots_to_keep"):
            wanted = getattr(update, name)
            if wanted is not None and wanted != getattr(was, name, None):
                raise ForbiddenRequestError(
                    f"Retention of {self.name} cannot be changed by a run",
                    f"the commit sets {name.replace('_', '-')} of main",
                    "Configure slipway maintain",
                )

    @_rule.register
    def _(self, update: RemoveSnapshotRefUpdate) -> list[TableUpdate]:
        if update.ref_name != MAIN_BRANCH:
            raise ForbiddenRequestError(
                f"{update.ref_name} of {self.name} cannot be removed by a run",
                "a tag keeps the snapshot of a release",
                "Expire old releases with slipway maintain",
            )
        if self._main is None:
            return []
        # how clients begin to replace a table; the snapshot that follows has no parent
        self._main, self._main_was_removed = None, True
        return [update]

    @_rule.register
    def _(self, update: SetStatisticsUpdate) -> list[TableUpdate]:
        self._check_inside(update.statistics.statistics_path)
        self._check_snapshot(update.statistics.snapshot_id)
        return [update]

    @_rule.register
    def _(self, update: SetPartitionStatisticsUpdate) -> list[TableUpdate]:
        self._check_inside(update.partition_statistics.statistics_path)
        self._check_snapshot(update.partition_statistics.snapshot_id)
        return [update]

    def _check_snapshot(self, number: int) -> None:
        if self._snapshot(number) is None:
            raise MalformedRequestError(
                f"Statistics of {self.name} cannot be staged", f"it has no snapshot {number}"
            )


def allowed_properties(name: TableName, wanted: Mapping[str, str]) -> dict[str, str]:
    """Properties that a client may set; ``gc.enabled=false`` is what every client was shown, and left out.

    Raises:
        RefusedRequestError: one of them is not the client's to set.
    """
    for key, value in wanted.items():
        if (key == GC_ENABLED and value != "false") or key.startswith(_OWN):
            raise _own_property(name, key)
        if key in _ELSEWHERE:
            raise ForbiddenRequestError(
                f"Property {key} of {name} cannot be set by a run",
                "its files would be written outside of the table's folder",
                "Leave it out",
            )
        if key == "format-version" and value != str(FORMAT_VERSION):
            raise wrong_version(name, value)
    return {key: value for key, value in wanted.items() if key not in (GC_ENABLED, "format-version")}


def _own_property(name: TableName, key: str) -> ForbiddenRequestError:
    why = "engines delete published files where it is not false" if key == GC_ENABLED else "Slipway sets it"
    return ForbiddenRequestError(f"Property {key} of {name} cannot be changed by a run", why, "Leave it out")


def wrong_version(name: TableName, version: object) -> ForbiddenRequestError:
    """The refusal of a table in another format version."""
    return ForbiddenRequestError(
        f"{name} cannot have format version {version}",
        f"tables are written in version {FORMAT_VERSION}",
        f"Set format-version to {FORMAT_VERSION}",
    )


def check_location(name: TableName, wanted: str, location: str) -> None:
    """Refuse another folder than a table has; raises RefusedRequestError."""
    if uri(wanted.rstrip("/")) != uri(location.rstrip("/")):
        raise ForbiddenRequestError(
            f"{name} cannot be at {wanted}", f"its folder is {location}", "Leave the location out"
        )


def is_inside(path: str, folder: str) -> bool:
    """Whether a file is below a folder, both as metadata names them."""
    return uri(path).startswith(f"{uri(folder.rstrip('/'))}/") and not {"..", "."} & set(path.split("/"))


def check_schema(name: TableName, schema: Schema) -> None:
    """Refuse columns that format version 2 or another reader could not hold.

    Raises:
        RefusedRequestError: there is one.
    """
    try:
        schema.check_format_version_compatibility(FORMAT_VERSION)
    except ValueError as error:
        raise MalformedRequestError(f"Schema of {name} cannot be used", str(error)) from None
    names = [one.name for one in schema.fields]
    bad = [f"{shown(one)}: {why}" for one in names if (why := why_not(Kind.COLUMN, one))]
    bad += [f"{one} and {other} are one name to some readers" for one, other in twins(names)]
    if bad:
        raise MalformedRequestError(f"Schema of {name} cannot be used", f"column {bad[0]}")
    if any(one.initial_default is not None or one.write_default is not None for one in schema.fields):
        raise MalformedRequestError(
            f"Schema of {name} cannot be used", "format version 2 has no default values"
        )


def check_evolution(name: TableName, current: TableMetadata, schema: Schema) -> None:
    """Refuse a schema under which files that are there would be read wrongly: a field id never means another column.

    Raises:
        RefusedRequestError: an id is used anew, or a type changes to one that does not hold its values (Iceberg's table specification,
            "Schema Evolution").
    """
    before: dict[int, NestedField] = {}
    for known in current.schemas:
        before.update(known._lazy_id_to_field)
    for number, now in schema._lazy_id_to_field.items():
        was = before.get(number)
        if was is None and number <= current.last_column_id:
            raise MalformedRequestError(
                f"Schema of {name} cannot be used", f"it uses the field id {number} anew, for {now.name}"
            )
        if was is not None and not _holds(now.field_type, was.field_type):
            why = f"{now.name} cannot change from {was.field_type} to {now.field_type}"
            raise MalformedRequestError(f"Schema of {name} cannot be used", why)


def _holds(now: IcebergType, was: IcebergType) -> bool:
    """Whether a type holds the values of the one before."""
    match was, now:
        case (IntegerType(), LongType()) | (FloatType(), DoubleType()):
            return True
        case DecimalType(), DecimalType():
            return now.scale == was.scale and now.precision >= was.precision
        case PrimitiveType(), _:
            return now == was
    return type(now) is type(was)


def _id(one: Schema | PartitionSpec | SortOrder) -> int:
    match one:
        case Schema():
            return one.schema_id
        case PartitionSpec():
            return one.spec_id
    return one.order_id


def _equal(one: Schema | PartitionSpec | SortOrder, other: Schema | PartitionSpec | SortOrder) -> bool:
    """Whether two are the same to every reader, descriptions and identifier fields included."""
    return one.model_dump_json() == other.model_dump_json()
