"""``microbatch``: batches replace their windows of event time, and together become one snapshot."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import duckdb
from pyiceberg import expressions as ice_filter
from pyiceberg import types as ice
from pyiceberg.expressions import And, BooleanExpression
from pyiceberg.expressions.visitors import _InclusiveMetricsEvaluator
from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate, TableUpdate

from slipway.engines.duckdb import constraints, copying, engine
from slipway.engines.duckdb.constraints import Held, check_unique, check_written
from slipway.engines.duckdb.digest import Digest, recorded
from slipway.engines.duckdb.merge_clauses import DEST
from slipway.engines.duckdb.metrics import WrittenFile
from slipway.engines.duckdb.request import (
    Remade,
    WriteRequest,
    WriteResult,
)
from slipway.engines.duckdb.rewrite import Scratch, explained, replaces_all
from slipway.engines.duckdb.scan import (
    files_digest,
    files_holding,
    files_relation,
    readable_files,
    table_digest,
)
from slipway.engines.duckdb.target import Destination, new_table, target_updates
from slipway.engines.duckdb.unique_keys import bounds_of
from slipway.engines.duckdb.writer import columns_of, summary_of
from slipway.errors import ConfigError
from slipway.iceberg import metadata_files, schema
from slipway.iceberg.metadata_files import entries_of, manifests_of
from slipway.iceberg.schema import find_column, listed
from slipway.iceberg.snapshots import StagedTable, Staging, add_snapshot, confirm_snapshot
from slipway.iceberg.tables import Tables
from slipway.iceberg.types import duckdb_type
from slipway.names import TableName
from slipway.sql_text import quote


@dataclass(frozen=True)
class Window:
    """The rows of one batch: ``start <= column < end``.

    Args:
        column: the event time, a date or timestamp column; timestamps without a zone are UTC.
        start: inclusive, UTC.
        end: exclusive, UTC.
    """

    column: str
    start: dt.datetime
    end: dt.datetime

    @property
    def span(self) -> tuple[str, str]:
        """Start and end as text, without their zone."""
        return self.start.replace(tzinfo=None).isoformat(), self.end.replace(tzinfo=None).isoformat()

    def field(self, schema: Schema, model: str) -> ice.NestedField:
        """The column in a schema.

        Raises:
            ConfigError: there is none, or it has another type.
        """
        if (found := find_column(schema, self.column)) is None:
            fix = f"Use one of {listed(schema)}"
            raise ConfigError(f"{model}: event_time {self.column}", "no such column", fix)
        if not isinstance(found.field_type, ice.DateType | ice.TimestampType | ice.TimestamptzType):
            raise ConfigError(
                f"{model}: event_time {self.column}",
                f"its type is {found.field_type}",
                "Use a date or a timestamp",
            )
        return found

    def condition(self, field: ice.NestedField) -> str:
        """The window as an SQL condition."""
        column, kind, (start, end) = quote(field.name), duckdb_type(field.field_type), self._ends(field)
        return f"({column} >= '{start}'::{kind} and {column} < '{end}'::{kind})"

    def check_size(self, field: ice.NestedField, model: str) -> None:
        """Refuse windows within a day where the event time is a date: all rows of the day would lie in one of them.

        Raises:
            ConfigError: the batches are shorter than a day.
        """
        if isinstance(field.field_type, ice.DateType) and self.end - self.start < dt.timedelta(days=1):
            raise ConfigError(
                f"{model}: event_time {self.column} is a date",
                "a batch is shorter than a day, and rows of the other hours would be left out",
                "Use a timestamp, or batches of a day",
            )

    def row_filter(self, field: ice.NestedField) -> BooleanExpression:
        """The window as a filter of pyiceberg, which rules out files."""
        start, end = self._ends(field)
        return And(
            ice_filter.GreaterThanOrEqual(field.name, start),  # type: ignore[misc,call-arg]
            ice_filter.LessThan(field.name, end),  # type: ignore[misc,call-arg]
        )

    def _ends(self, field: ice.NestedField) -> tuple[str, str]:
        """Start and end as values of the column; a day belongs to the batch that holds its midnight."""
        if isinstance(field.field_type, ice.DateType):
            return _day(self.start).isoformat(), _day(self.end).isoformat()
        zone = "+00:00" if isinstance(field.field_type, ice.TimestamptzType) else ""
        start, end = self.span
        return start + zone, end + zone


def left_out(
    cursor: duckdb.DuckDBPyConnection, rows: str, window: Window, field: ice.NestedField
) -> Counter[str]:
    """How many rows of a relation a batch does not take: those ``without_time``, and those ``outside`` of its window."""
    found = cursor.execute(
        f"select count(*) filter ({quote(field.name)} is null), count(*) filter (not {window.condition(field)}) from {rows}"
    ).fetchone() or (0, 0)
    return Counter(without_time=found[0], outside=found[1])


def covers(spans: list[tuple[str, str]], wanted: tuple[str, str]) -> bool:
    """Whether windows that do not touch each other hold another one as a whole."""
    return any(start <= wanted[0] and wanted[1] <= end for start, end in spans)


def without(spans: Sequence[tuple[str, str]], taken: tuple[str, str]) -> list[tuple[str, str]]:
    """What of windows lies outside of another one."""
    parts = [
        part
        for start, end in spans
        for part in ((start, min(end, taken[0])), (max(start, taken[1]), end))
        if part[0] < part[1]
    ]
    return joined(parts)


def lies_within(file: DataFile, field: ice.NestedField, spans: Sequence[tuple[str, str]]) -> bool:
    """Whether every row of a data file has an event time within one of some ``joined`` windows, as far as the file's metadata shows."""
    counts, low, high = file.null_value_counts or {}, *bounds_of(file, field)
    if counts.get(field.field_id) != 0 or low is None or high is None:
        return False
    return any(start <= low and high < end for start, end in (_ends(field, span) for span in spans))


def _ends(field: ice.NestedField, span: tuple[str, str]) -> tuple[int, int]:
    """A window's start and end as Iceberg keeps values of the event time: days or microseconds since 1970."""
    moments = [dt.datetime.fromisoformat(text) for text in span]
    if isinstance(field.field_type, ice.DateType):
        start, end = ((_day(moment) - dt.date(1970, 1, 1)).days for moment in moments)
    else:
        start, end = ((moment - dt.datetime(1970, 1, 1)) // _MICROSECOND for moment in moments)
    return start, end


def joined(spans: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Windows in order, those that touch or overlap made one."""
    found: list[tuple[str, str]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


_MICROSECOND = dt.timedelta(microseconds=1)


def _day(moment: dt.datetime) -> dt.date:
    """The first day that begins at or after a moment."""
    day = moment.date()
    return day if moment.time() == dt.time() else day + dt.timedelta(days=1)


Files = Callable[[], Sequence[DataFile]]


class BatchContract:
    """What was looked at so far.

    Args:
        before: what held for the rows that are there; None for those of an earlier part of the run, of which nothing
            is taken for granted.
    """

    def __init__(self, before: Held | None) -> None:
        self._before = before or Held()
        self._held: Held | None = None
        self._keys_known = before is not None

    def check_rows(
        self,
        cursor: duckdb.DuckDBPyConnection,
        request: WriteRequest,
        target: Schema,
        written: Sequence[WrittenFile],
        added: Sequence[DataFile],
        stays: Files,
    ) -> None:
        """Check what concerns single rows: of the whole table with the first batch, then of what each one writes.

        Raises:
            ContractError: one message with every violation.
        """
        self._keys_known = False
        if request.contract is None:
            return
        new = files_relation(added, target)
        held, whole = self._held or self._before, new
        if self._held is None and not held.everything:
            whole = files_relation([*stays(), *added], target)
        of_rows = replace(request.contract, unique=())
        check_written(cursor, request.model, of_rows, written, new, whole, held)
        self._held = Held.by(request.contract)

    def check_keys(
        self, cursor: duckdb.DuckDBPyConnection, request: WriteRequest, target: Schema, files: Files
    ) -> None:
        """Check keys on the whole table, unless nothing was written since they were.

        Raises:
            ContractError: a key is there twice.
        """
        if request.contract is not None and request.contract.unique and not self._keys_known:
            whole = files_relation(files(), target)
            check_unique(cursor, request.model, request.contract, whole)
        self._keys_known = True

    def kept_by(self, request: WriteRequest) -> WriteRequest:
        """The request with the part of its contract that the table is known to keep."""
        if request.contract is None or self._keys_known:
            return request
        return replace(request, contract=replace(request.contract, unique=()))


_FEW = 3  # batches that look for files in the manifests that may name them


class BatchedTable:
    """A table that batches are written to; threads may write several at once.

    Nothing is staged before ``stage`` is called, and whatever was written until then becomes one snapshot on top of
    the published one; when more batches come, the next call makes one of all of them. ``left_out`` counts for each batch
    the rows that its query gave and it did not take (``left_out``).

    Args:
        tables: the environment.
        base: the published table, None for a new one.
        candidate: what an earlier part of the run staged on top of it.
        full: the batches replace the table as a whole.
    """

    def __init__(
        self, tables: Tables, base: Table | None, candidate: StagedTable | None = None, *, full: bool = False
    ) -> None:
        self._tables, self._base = tables, base
        self._full = full or base is None
        self._table = base
        self._updates: tuple[TableUpdate, ...] = ()
        self._added: dict[str, DataFile] = {}
        self._removed: dict[str, DataFile] = {}
        self._before: Digest | None = None
        self._delta = Digest()
        self._hashed: Schema | None = None
        self._known_files: list[DataFile] | None = None
        self._lock = threading.Lock()
        self._rows = self._bytes = self._asked = 0
        self._carries = candidate is not None  # whether rows of files that went are among the new ones
        self.left_out: list[Counter[str]] = []
        self._used = engine.Used()
        if candidate is not None:
            self._resume(candidate)
        self._contract = BatchContract(None if candidate else constraints.Held.of(base, full=self._full))

    def write(
        self, cursor: duckdb.DuckDBPyConnection, request: WriteRequest, window: Window, *, last: bool = False
    ) -> int:
        """Replace the rows of a window by those of a query that lie in it, and return how many were written.

        Keys are looked at with the last batch: until then a row may be in two windows.

        Raises:
            ConfigError: the event time is no date or timestamp of the table.
            ContractError: the query or the written rows do not keep to the contract.
        """
        columns = columns_of(cursor, source := f"(\n{request.sql}\n)")
        if request.contract:
            constraints.check_shape(cursor, request.model, request.contract, columns)
        query = schema.query_schema(columns)
        with self._lock:
            transaction = self._aim(request, query)
        target = transaction.table_metadata.schema()
        field = window.field(target, request.model)
        window.check_size(field, request.model)
        rows = schema.casts(query, target, source)
        with Scratch(cursor) as scratch:
            rows = scratch.table(f"as {rows}") if request.once else f"({rows})"
            self.left_out.append(left_out(cursor, rows, window, field))
            to = Destination.of(transaction, request)
            new = copying.copy(cursor, f"from {rows} where {window.condition(field)}", to)
        used = engine.Used.by_last(cursor)
        with self._lock:
            self._used += used
            added = copying.data_files(cursor, new, to)
            self._replace(cursor, request, window, new, added, last=last)
            self._rows += sum(file.records for file in new)
        return sum(file.records for file in new)

    def stage(
        self, request: WriteRequest, column: str = "", spans: Sequence[tuple[str, str]] = ()
    ) -> WriteResult:
        """Stage all batches that were written as one snapshot, which says whether keys were looked at.

        ``spans`` are windows of event time in which every row is of the present code, from earlier runs as well.
        """
        with self._lock:
            transaction = self._transaction()
            digest = self._delta if self._full else (self._before or Digest()) + self._delta
            known = self._base is not None and self._base.current_snapshot() is not None
            same_rows = known and digest == self._before
            remade = Remade.of(
                whole=self._full
                or replaces_all(self._base, self._removed, carries=self._carries)
                or self._lies_within(transaction, column, spans),
                same=same_rows,
            )
            same = same_rows and not self._updates and metadata_files.can_stay(self._base, full=self._full)
            if not same:
                properties = summary_of(self._contract.kept_by(request), digest, remade, full=self._full)
                add_snapshot(
                    transaction,
                    list(self._added.values()),
                    self._removed.values(),
                    properties,
                    full=self._full,
                )
            confirm_snapshot(transaction, request.release, lambda content: request.confirm(content, remade))
            staged = self._tables.stage(transaction._table, transaction, new=self._base is None)
            return WriteResult(
                staged=staged,
                same_content=same,
                rows_written=self._rows,
                bytes_written=self._bytes,
                used=self._used,
                files_added=0 if same else len(self._added),
                files_removed=0 if same else len(self._removed),
                digest=digest,
                seconds={},
            )

    def _lies_within(self, transaction: Staging, column: str, spans: Sequence[tuple[str, str]]) -> bool:
        """Whether all rows of the table are within windows, by the metadata of its files."""
        field = schema.find_column(transaction.table_metadata.schema(), column)
        if not field or not spans or self._base is None:
            return False
        before = [
            file for file in metadata_files.data_files(self._base) if file.file_path not in self._removed
        ]
        return all(lies_within(file, field, spans) for file in (*before, *self._added.values()))

    def _aim(self, request: WriteRequest, query: Schema) -> Staging:
        """A transaction that leads to what the table is to look like, of which only the metadata is used."""
        if self._table is None:
            self._table = new_table(self._tables, request, query)
        else:
            replaces = self._full and not self._added and not self._updates
            metadata = self._transaction().table_metadata
            self._updates += target_updates(metadata, request, query, full=replaces)
        transaction = self._transaction()
        spec_id = transaction.table_metadata.spec().spec_id
        if any(file.spec_id != spec_id for file in self._added.values()):
            raise ConfigError(
                f"{request.model}: partitioned_by was changed between two batches of a run",
                "their files would be partitioned in two ways",
                "Start a new run",
            )
        return transaction

    def _transaction(self) -> Staging:
        assert self._table is not None
        transaction = Staging(self._table)
        transaction._stage(self._updates)
        return transaction

    def _replace(
        self,
        cursor: duckdb.DuckDBPyConnection,
        request: WriteRequest,
        window: Window,
        written: Sequence[WrittenFile],
        added: Sequence[DataFile],
        *,
        last: bool,
    ) -> None:
        """Take the window's rows out of the files that hold any, and the new files in."""
        transaction = self._transaction()  # another batch may have widened the schema since
        target = transaction.table_metadata.schema()
        field = window.field(target, request.model)
        condition = " and ".join([window.condition(field), *(f"({part})" for part in request.predicates)])
        with explained(request):
            holding = files_holding(cursor, self._live(cursor, window, field), target, condition)
        gone = [file for file, _ in holding]
        mixed = [file for file, rows in holding if rows < file.record_count]
        if mixed:
            kept = f"from {files_relation(mixed, target)} as {DEST} where ({condition}) is not true"
            self._carries = True
            to = Destination.of(transaction, request)
            rest = copying.copy(cursor, kept, to)
            written, added = [*written, *rest], [*added, *copying.data_files(cursor, rest, to)]
        going = {file.file_path for file in gone}

        def stays() -> list[DataFile]:
            return [file for file in self._live(cursor) if file.file_path not in going]

        self._contract.check_rows(cursor, request, target, written, added, stays)
        if last:
            self._contract.check_keys(cursor, request, target, lambda: [*stays(), *added])
        self._take(cursor, target, added, gone)
        self._bytes += sum(file.size for file in written)

    def _take(
        self,
        cursor: duckdb.DuckDBPyConnection,
        target: Schema,
        added: Sequence[DataFile],
        gone: Sequence[DataFile],
    ) -> None:
        """Enter the files, and keep the digest of what changed up to date."""
        going = {file.file_path: file for file in gone}
        stay = {path: file for path, file in self._added.items() if path not in going}
        now_added = stay | {file.file_path: file for file in added}
        now_removed = self._removed | {path: going[path] for path in going if path not in self._added}
        if self._hashed is not None and schema.same_schema(self._hashed, target):
            self._delta += files_digest(cursor, added, target) - files_digest(cursor, gone, target)
        else:  # a row's hash depends on all its columns and their types
            delta = files_digest(cursor, list(now_added.values()), target) - files_digest(
                cursor, list(now_removed.values()), target
            )
            self._before, self._hashed, self._delta = self._digest_before(cursor, target), target, delta
        self._added, self._removed = now_added, now_removed

    def _digest_before(self, cursor: duckdb.DuckDBPyConnection, target: Schema) -> Digest | None:
        if self._base is None:
            return None
        if self._full and recorded(self._base.current_snapshot()) is None:
            return None
        return table_digest(cursor, self._base, target)

    def _live(
        self,
        cursor: duckdb.DuckDBPyConnection,
        window: Window | None = None,
        field: ice.NestedField | None = None,
    ) -> list[DataFile]:
        """Files of the table as it is now; of a window and its event time only those that may hold rows of it."""
        row_filter = window.row_filter(field) if window and field else None
        found = list(self._added.values())
        if self._base is not None and not self._full:
            known = field in self._base.schema().fields
            before = self._base_files(cursor, row_filter if known else None)
            found += [file for file in before if file.file_path not in self._removed]
        if row_filter is None or field is None:
            return found
        may_hold = _InclusiveMetricsEvaluator(Schema(field), row_filter).eval
        return [file for file in found if may_hold(file)]

    def _base_files(
        self, cursor: duckdb.DuckDBPyConnection, row_filter: BooleanExpression | None
    ) -> list[DataFile]:
        """Files of the published table: for few batches those that a filter finds, for many all, once."""
        assert self._base is not None
        self._asked += 1
        if self._known_files is None and self._asked <= _FEW:
            return readable_files(cursor, self._base, row_filter)
        if self._known_files is None:
            self._known_files = readable_files(cursor, self._base)
        return self._known_files

    def _resume(self, candidate: StagedTable) -> None:
        """Go on from what was staged: its one snapshot is taken apart into the files that came and went."""
        current = candidate.table.current_snapshot()
        added, removed = _own_changes(candidate.table, self._base)
        self._added = {file.file_path: file for file in added}
        self._removed = {file.file_path: file for file in removed}
        before = self._base.current_snapshot() if self._base else None
        is_own = current is not None and (before is None or current.snapshot_id != before.snapshot_id)
        self._full = self._base is None or (
            is_own and metadata_files.summary_of(current).get("slipway.strategy") == "replace"
        )
        self._updates = _other_updates(candidate)
        if self._base is None:
            self._table, self._updates = _without_snapshots(candidate.table), ()


def _own_changes(candidate: Table, base: Table | None) -> tuple[list[DataFile], list[DataFile]]:
    """Data files that a candidate's snapshot added and removed, none when it has the base's."""
    current, before = candidate.current_snapshot(), base.current_snapshot() if base else None
    added: list[DataFile] = []
    removed: list[DataFile] = []
    if current is None or (before is not None and current.snapshot_id == before.snapshot_id):
        return added, removed
    name = str(TableName.of(candidate.name()))
    for manifest in manifests_of(current, candidate.io, name):
        if manifest.added_snapshot_id != current.snapshot_id:
            continue
        for entry in entries_of(manifest, candidate.io, name, discard_deleted=False):
            if entry.snapshot_id != current.snapshot_id:
                continue
            if entry.status == ManifestEntryStatus.ADDED:
                added.append(entry.data_file)
            elif entry.status == ManifestEntryStatus.DELETED:
                removed.append(entry.data_file)
    return added, removed


def _other_updates(candidate: StagedTable) -> tuple[TableUpdate, ...]:
    """The updates of a candidate that are about its schema, partitioning and properties."""
    return tuple(
        update
        for update in candidate.updates
        if not isinstance(update, AddSnapshotUpdate | SetSnapshotRefUpdate)
    )


def _without_snapshots(table: Table) -> Table:
    """A table that was never published, as it was before its snapshot was made."""
    emptied: dict[str, object] = {
        "snapshots": [],
        "refs": {},
        "current_snapshot_id": None,
        "snapshot_log": [],
        "metadata_log": [],
    }
    if table.metadata.format_version > 1:
        emptied["last_sequence_number"] = 0
    metadata = table.metadata.model_copy(update=emptied)
    return Table(table.name(), metadata, table.metadata_location, table.io, table.catalog)
