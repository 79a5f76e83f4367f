"""What two states of a table are known to share without reading it: all rows, or the rows of data files that both have.

The rows of a data file that both states have are equal on both sides. As multisets they cancel out, so that only the other files
need to be read: docs/decisions/0052-comparing-releases.md says why that also finds every change of a row by its key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import duckdb
from pyiceberg import types as ice
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.snapshots import Snapshot

from slipway.comparison.relations import Column, read_side
from slipway.comparison.results import Method
from slipway.engines.duckdb.constraints import Held
from slipway.engines.duckdb.digest import recorded
from slipway.engines.duckdb.scan import check_read_by_id, files_relation, whole_scan
from slipway.errors import ContractError
from slipway.iceberg.metadata_files import files_of, summary_of
from slipway.iceberg.schema import misread, same_schema
from slipway.iceberg.types import shape
from slipway.sql_text import quote, value_literal

_ORDERED = (
    ice.IntegerType,
    ice.LongType,
    ice.DecimalType,
    ice.DateType,
    ice.TimestampType,
    ice.TimestamptzType,
    ice.StringType,
    ice.BooleanType,
)
"""Types whose bounds order as their values do; NaN has no place among those of floats."""


@dataclass(frozen=True)
class TableState:
    """A table as one snapshot shows it.

    Args:
        table: as a metadata file describes it.
        snapshot: the snapshot, with the columns of then; None for the current one, with those of the metadata file.
    """

    table: Table
    snapshot: Snapshot | None = None

    @property
    def shown(self) -> Snapshot | None:
        """The snapshot; None for a table that never had one."""
        return self.snapshot or self.table.current_snapshot()

    @property
    def schema(self) -> Schema:
        """Its columns."""
        if self.snapshot is None or self.snapshot.schema_id is None:
            return self.table.schema()
        return self.table.schemas().get(self.snapshot.schema_id, self.table.schema())

    @property
    def relation(self) -> str:
        """SQL of all its rows, for FROM.

        Raises:
            DamagedTableError: a file of its metadata is missing or damaged.
            UnavailableError: one cannot be read.
        """
        return whole_scan(self.table, self.snapshot)

    @cached_property
    def files(self) -> list[DataFile]:
        """Its data and delete files; raises as ``relation`` does."""
        return files_of(self.table, self.snapshot)

    def is_unique(self, columns: Sequence[str]) -> bool:
        """Whether Slipway found columns to be a key, without NULL and without duplicates, when it wrote the snapshot."""
        held = Held.after(self.shown)
        return held.is_unique(columns) and held.not_null.issuperset(name.lower() for name in columns)

    @property
    def rows(self) -> int:
        """How many rows it has, as its metadata says; raises as ``relation`` does."""
        if self.shown is None:
            return 0
        said = summary_of(self.shown).get("total-records")
        if said is not None and summary_of(self.shown).get("total-delete-files", "0") == "0":
            return int(said)
        return sum(file.record_count for file in self.files if file.content == DataFileContent.DATA)


def size_of(state: TableState) -> tuple[int, int]:
    """How many data files a state has, and their bytes, as its metadata says; raises as ``TableState.files`` does."""
    if state.shown is None:
        return 0, 0
    summary = summary_of(state.shown)
    try:
        return int(summary["total-data-files"]), int(summary["total-files-size"])
    except (KeyError, ValueError):
        return len(state.files), sum(file.file_size_in_bytes for file in state.files)


def known_same(base: TableState, head: TableState) -> Method | None:
    """How two states are known to have the same rows in the same columns; None where that is not known without reading them."""
    then, now = base.shown, head.shown
    if then is None or now is None:
        return None
    one_table = base.table.metadata.table_uuid == head.table.metadata.table_uuid
    if one_table and then.snapshot_id == now.snapshot_id and same_schema(base.schema, head.schema):
        return Method.SNAPSHOT
    digest = recorded(then)
    if digest is not None and digest == recorded(now) and _columns(base.schema) == _columns(head.schema):
        return Method.DIGEST
    return None


def _columns(schema: Schema) -> dict[str, object]:
    return {field.name: shape(field.field_type) for field in schema.fields}


@dataclass(frozen=True)
class SharedRows:
    """Rows of data files that both states have, which are read only where metadata does not tell what is asked.

    Args:
        con: a connection that can read the files.
        schema: columns of the head.
        files: the files.
        others: the files that only one of the states has.
    """

    con: duckdb.DuckDBPyConnection
    schema: Schema
    files: Sequence[DataFile]
    others: Sequence[DataFile]

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(file.record_count for file in self.files)

    @cached_property
    def _fields(self) -> dict[str, ice.NestedField]:
        return {field.name: field for field in self.schema.fields}

    def nulls(self, column: str) -> int | None:
        """NULLs of a column; None where metadata does not count them, as of nested values."""
        field = self._fields[column]
        counts = [(file.null_value_counts or {}).get(field.field_id) for file in self.files]
        if not field.field_type.is_primitive:
            return None
        return None if None in counts else sum(count for count in counts if count is not None)

    def having(self, column: str, low: Any, high: Any, *, read: bool) -> int | None:
        """Rows with a value in a range, both ends included.

        Only files with bounds inside and outside of it have to be read; if they are not, the answer is None.
        """
        possible = [file for file in self.files if self._may_have(file, column, low, high)]
        mixed = [file for file in possible if not self._has_only(file, column, low, high)]
        known = sum(file.record_count for file in possible) - sum(file.record_count for file in mixed)
        if not mixed:
            return known
        if not read:
            return None
        relation = files_relation(mixed, self.schema)
        found = self.con.execute(
            f"select count(*) from {relation} where {quote(column)} between {value_literal(low)} and {value_literal(high)}"
        ).fetchone()
        return known + (int(found[0]) if found else 0)

    def _may_have(self, file: DataFile, column: str, low: Any, high: Any) -> bool:
        bounds = self._bounds(file, column)
        return bounds is None or (bounds[0] <= high and low <= bounds[1])

    def _has_only(self, file: DataFile, column: str, low: Any, high: Any) -> bool:
        bounds = self._bounds(file, column)
        return bounds is not None and not bounds[2] and low <= bounds[0] and bounds[1] <= high

    def _bounds(self, file: DataFile, column: str) -> _Range:
        field = self._fields[column]
        found = _range(file, field)
        # as Python's values of DuckDB are
        convert = _AS_DUCKDB.get(type(field.field_type))
        try:
            return (convert(found[0]), convert(found[1]), found[2]) if found and convert else found
        except OverflowError:  # a time that Python does not have
            return None

    def with_keys(self, keys: Sequence[Column]) -> str | None:
        """SQL of the keys that rows of these files may share with rows of the others, as ``k<n>``; None when none can."""
        fields = [self._fields[key.name] for key in keys]
        others = {tuple(_range(file, field) for field in fields) for file in self.others}
        ranges = ((file, tuple(_range(file, field) for field in fields)) for file in self.files)
        files = [file for file, own in ranges if _may_meet(own, others)]
        if not files:
            return None
        return read_side(files_relation(files, self.schema), keys, "head", "1", alias="k")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AS_DUCKDB: dict[type[ice.IcebergType], Callable[[int], Any]] = {
    ice.DateType: lambda days: (_EPOCH + timedelta(days=days)).date(),
    ice.TimestampType: lambda micros: (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None),
    ice.TimestamptzType: lambda micros: _EPOCH + timedelta(microseconds=micros),
}
"""Bounds of times, which Iceberg counts from 1970, as values of DuckDB in Python."""
_Range = tuple[Any, Any, bool] | None
"""Lower and upper bound of the values of a column in a file, and whether there are NULLs; None where that is not known."""


def _range(file: DataFile, field: ice.NestedField) -> _Range:
    nulls = (file.null_value_counts or {}).get(field.field_id)
    lower = (file.lower_bounds or {}).get(field.field_id)
    upper = (file.upper_bounds or {}).get(field.field_id)
    kind = field.field_type
    if nulls is None or lower is None or upper is None or not isinstance(kind, _ORDERED):
        return None
    try:
        return from_bytes(kind, lower), from_bytes(kind, upper), nulls > 0
    except Exception:  # noqa: BLE001 - bounds that another tool wrote in another form: nothing is known then
        return None


def _may_meet(one: tuple[_Range, ...], others: Iterable[tuple[_Range, ...]]) -> bool:
    return any(all(map(_overlap, one, other)) for other in others)


def _overlap(one: _Range, other: _Range) -> bool:
    if one is None or other is None:
        return True
    return (one[2] and other[2]) or (one[0] <= other[1] and other[0] <= one[1])


@dataclass(frozen=True)
class Differing:
    """Where two states differ: relations over the files that only one of them has, and what they share."""

    base: str
    head: str
    shared: SharedRows


def differing(con: duckdb.DuckDBPyConnection, base: TableState, head: TableState) -> Differing | None:
    """The files in which two states differ; None when all rows have to be read.

    That is so when they share no file, when one has delete files, when columns of one name are not the same field, or when
    files are read by something else than field ids.

    Raises:
        DamagedTableError: a file of their metadata is missing or damaged.
        UnavailableError: one cannot be read.
    """
    if not _same_fields(base.schema, head.schema):
        return None
    for state in (base, head):
        if TableProperties.DEFAULT_NAME_MAPPING in state.table.properties:
            return None
        if any(file.content != DataFileContent.DATA for file in state.files):
            return None
        if misread(state.schema, state.table.schemas().values()):
            return None
    paths = {file.file_path for file in base.files} & {file.file_path for file in head.files}
    if not paths:
        return None
    try:
        for state in (base, head):
            check_read_by_id(con, state.table, state.files)
    except ContractError:
        return None
    removed, added = ([file for file in state.files if file.file_path not in paths] for state in (base, head))
    shared = [file for file in head.files if file.file_path in paths]
    return Differing(
        files_relation(removed, base.schema),
        files_relation(added, head.schema),
        SharedRows(con, head.schema, shared, [*removed, *added]),
    )


def _same_fields(base: Schema, head: Schema) -> bool:
    """Whether a file has the same values in all columns that both schemas have."""
    theirs = {field.name: field for field in head.fields}
    pairs = [(field, theirs[field.name]) for field in base.fields if field.name in theirs]
    return all(
        one.field_id == other.field_id
        and (
            one.field_type == other.field_type
            or (one.field_type.is_primitive and other.field_type.is_primitive)
        )
        for one, other in pairs
    )
