"""A table as DuckDB reads it: in FROM, as a whole or by data files; as a view under its dbt name; and which of its files cannot be read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.transforms import IdentityTransform

from slipway.counts import plural
from slipway.engines.duckdb.digest import Digest, digest_of, recorded
from slipway.engines.duckdb.merge_clauses import DEST
from slipway.errors import ContractError, DamagedError, DamagedTableError
from slipway.iceberg.metadata_files import (
    check_whole,
    damaged,
    data_files,
    files_in,
    locations_of,
    manifests_of,
    summary_of,
)
from slipway.iceberg.schema import parquet_schema, same_schema
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.types import duckdb_type
from slipway.names import TableName
from slipway.sql_text import exact, literal, quote
from slipway.storage.locations import duckdb_path

FILE = "__slipway_file"
"""The column of ``files_relation`` that names a row's file."""


def whole_scan(table: Table, snapshot: Snapshot | None = None) -> str:
    """A FROM item over a table, or one of its snapshots with the columns of then.

    Its manifests are read first: DuckDB takes a damaged one for an empty one, or ends the process.

    Raises:
        DamagedTableError: a file of its metadata is missing or damaged.
        UnavailableError: one cannot be read.
    """
    check_whole(table, snapshot)
    return scan_of(table.metadata_location, snapshot.snapshot_id if snapshot else None)


def scan_and_files(table: Table, snapshot: Snapshot | None = None) -> tuple[str, list[str]]:
    """The same with the locations of all files that are read, of metadata, data and deletes; the manifests are decoded for it."""
    found = locations_of(table, snapshot)
    return scan_of(table.metadata_location, snapshot.snapshot_id if snapshot else None), found


def scan_of(metadata_location: str, snapshot_id: int | None = None) -> str:
    """The same without a look at the manifests, for those that this process wrote or has checked."""
    which = f", snapshot_from_id = {snapshot_id}" if snapshot_id is not None else ""
    return f"iceberg_scan({literal(duckdb_path(metadata_location))}{which})"


@contextmanager
def scanning(cursor: duckdb.DuckDBPyConnection, table: Table) -> Iterator[None]:
    """Tell of what goes wrong while DuckDB reads data files of a table.

    Raises:
        DamagedTableError: a data file is missing or damaged.
    """
    try:
        yield
    except duckdb.Error as error:
        if damage := find_damaged(cursor, table):
            raise damage from error
        raise


def find_damaged(cursor: duckdb.DuckDBPyConnection, table: Table) -> DamagedTableError | None:
    """The first file of a table that cannot be read, None when all of them can; each is read as a whole.

    Raises:
        UnavailableError: the store does not answer.
    """
    try:
        files = data_files(table)
    except DamagedTableError as error:
        return error
    return next(damages(cursor, table, files), None)


def damages(
    cursor: duckdb.DuckDBPyConnection, table: Table, files: Iterable[DataFile]
) -> Iterator[DamagedTableError]:
    """Data files that cannot be read as a whole, or hold another number of rows than their manifest says."""
    what = f"data of {TableName.of(table.name())}"
    for file in files:
        try:
            relation = files_relation([file], table.schema())
            counted = cursor.execute(f"select count(*), bit_xor(hash(one)) from {relation} as one").fetchone()
        except duckdb.Error as error:
            reason = " ".join(str(error).split("\n\n", 1)[0].split())
            yield damaged(what, file.file_path, reason.partition("Error: ")[2] or reason)
        else:
            if counted and counted[0] != file.record_count:
                why = f"it has {plural(counted[0], 'row')}, and its manifest says {file.record_count:,}"
                yield damaged(what, file.file_path, why)


def live_files(table: Table, row_filter: BooleanExpression | None = None) -> list[DataFile]:
    """Data files of the current snapshot that may hold matching rows.

    All of them are read from the manifests at once: planning a scan asks for each file whether it may match.

    Raises:
        ContractError: the table has delete files, which another tool wrote.
    """
    current = table.current_snapshot()
    name = str(TableName.of(table.name()))
    manifests = manifests_of(current, table.io, name) if current else []
    if any(
        manifest.content == ManifestContent.DELETES
        and (manifest.has_added_files() or manifest.has_existing_files())
        for manifest in manifests
    ):
        raise ContractError(
            f"{TableName.of(table.name())} has delete files",
            "another tool wrote them and rewriting would ignore them",
            "Compact the table with that tool or run with --full-refresh",
        )
    if row_filter is None:
        return files_in(manifests, table.io, name)
    try:
        return [task.file for task in table.scan(row_filter=row_filter).plan_files()]
    except (OverflowError, ValueError):  # of a date that Python does not have, or at the end of its calendar
        return live_files(table)


def readable_files(
    cursor: duckdb.DuckDBPyConnection, table: Table, row_filter: BooleanExpression | None = None
) -> list[DataFile]:
    """Live files that may hold matching rows, all of which ``files_relation`` reads as Iceberg does.

    Iceberg finds the columns of files without ids by the table's name mapping, and takes columns that a file does not have
    from its partition (specification, "Column Projection"); DuckDB's reader of Parquet would find NULL in both.

    Raises:
        ContractError: another tool added such files, or wrote deletes.
    """
    files = live_files(table, row_filter)
    check_read_by_id(cursor, table, files)
    return files


def check_read_by_id(cursor: duckdb.DuckDBPyConnection, table: Table, files: Sequence[DataFile]) -> None:
    """Refuse data files whose columns ``files_relation`` would not find; see ``readable_files``, which raises the same.

    Raises:
        ContractError: another tool added such files.
    """
    mapped = TableProperties.DEFAULT_NAME_MAPPING in table.properties
    asked = [file for file in files if mapped or _absent(table, file, file.null_value_counts or {})]
    if asked:
        paths = ", ".join(literal(exact(duckdb_path(file.file_path))) for file in asked)
        found = dict(
            cursor.execute(
                f"select file_name, list(field_id) from parquet_schema([{paths}]) where field_id is not null group by all"
            ).fetchall()
        )
        for file in asked:
            numbers = found.get(duckdb_path(file.file_path), [])
            if not numbers or _absent(table, file, numbers):
                raise ContractError(
                    f"{TableName.of(table.name())} has files that are not read by field id, such as "
                    f"{file.file_path.rsplit('/', 1)[-1]}",
                    "another tool added them",
                    "Run with --full-refresh",
                )


def _absent(table: Table, file: DataFile, there: Container[int]) -> bool:
    """Whether a column is not there that the file's partition has the value of."""
    fields = table.specs()[file.spec_id].fields
    return any(
        field.source_id not in there
        for at, field in enumerate(fields)
        if isinstance(field.transform, IdentityTransform) and file.partition[at] is not None
    )


def files_relation(files: Collection[DataFile], schema: Schema, *, filename: bool = False) -> str:
    """A FROM item over nothing but data files, columns found by field id; without files one without rows."""
    if not files:
        columns = (f"null::{duckdb_type(field.field_type)} as {quote(field.name)}" for field in schema.fields)
        return f"(select {', '.join(columns)} where false)"
    paths = ", ".join(literal(exact(duckdb_path(file.file_path))) for file in files)
    extra = f", filename = '{FILE}'" if filename else ""
    return f"read_parquet([{paths}], hive_partitioning = false, schema = {parquet_schema(schema)}{extra})"


def files_digest(cursor: duckdb.DuckDBPyConnection, files: Sequence[DataFile], schema: Schema) -> Digest:
    """The digest of the rows of data files, all of which are read for it.

    Raises:
        DamagedError: they do not hold as many rows as the table's metadata says of them.
    """
    digest = digest_of(cursor, files_relation(files, schema), schema) if files else Digest()
    stated = sum(file.record_count for file in files)
    if digest.rows != stated:
        raise DamagedError(
            f"What was written is not in {plural(len(files), 'data file')}, such as {files[0].file_path}",
            f"{plural(digest.rows, 'row', 'are', 'is')} read from them, and they were written with {stated}",
            "Run again; if it stays so, see slipway doctor --deep",
        )
    return digest


def table_digest(cursor: duckdb.DuckDBPyConnection, table: Table, schema: Schema) -> Digest:
    """The digest of a table's rows in the columns of a schema; they are read where it is not recorded, and raises as ``files_digest``."""
    found = recorded(table.current_snapshot())
    if found is None or not same_schema(
        table.schema(), schema
    ):  # a row's hash depends on all its columns and their types
        found = files_digest(cursor, readable_files(cursor, table), schema)
    return found


def digest_after(
    cursor: duckdb.DuckDBPyConnection,
    base: Table | None,
    schema: Schema,
    added: Sequence[DataFile],
    removed: Sequence[DataFile],
    *,
    full: bool,
) -> tuple[Digest, bool]:
    """The digest of a table after a write, and whether its content is what it was.

    Args:
        cursor: reads the data files.
        base: the table before the write, None for a new one.
        schema: the table's after the write.
        added: data files that came, by whichever engine.
        removed: data files that went.
        full: the write replaced all rows.

    Raises:
        DamagedError: as ``files_digest``.
    """
    new = files_digest(cursor, added, schema)
    if base is None:
        return new, False
    if full:
        return new, new == recorded(base.current_snapshot())
    before = table_digest(cursor, base, schema)
    old = files_digest(cursor, removed, schema)
    return before + new - old, new == old


def files_holding(
    cursor: duckdb.DuckDBPyConnection, files: Sequence[DataFile], target: Schema, condition: str
) -> list[tuple[DataFile, int]]:
    """Files with rows that a condition holds for, and how many."""
    if not files:
        return []
    scan = files_relation(files, target, filename=True)
    found = dict(
        cursor.execute(
            f"select {FILE}, count(*) from {scan} as {DEST} where {condition} group by all"
        ).fetchall()
    )
    return [(file, found[duckdb_path(file.file_path)]) for file in named(files, found)]


def named(files: Sequence[DataFile], paths: Collection[str]) -> list[DataFile]:
    """The files whose path as DuckDB gives it is among ``paths``."""
    return [file for file in files if duckdb_path(file.file_path) in paths]


class Views:
    """Views that the threads of an invocation share, made apart from dbt's own connections.

    Args:
        connection: dbt's in-memory database.
        condition: which rows of a table, given with it in FROM, are shown; empty for all.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        condition: Callable[[TableName, str], str] = lambda *_: "",
    ) -> None:
        self.cursor = connection.cursor()
        self._condition = condition
        self._lock = threading.RLock()
        self._versions: dict[tuple[str, str, str], str] = {}
        self._whole: set[str] = set()

    def scan(self, table: Table) -> str:
        """A FROM item over a table whose manifests are whole: DuckDB may end the process when it meets one that is not.

        Raises:
            DamagedTableError: one of them is missing or damaged.
            UnavailableError: one cannot be read.
        """
        location = table.metadata_location
        if location not in self._whole:
            whole_scan(table)
            self._whole.add(location)
        return scan_of(location)

    def table(self, database: str, identifier: TableName, metadata_location: str) -> None:
        """Show one metadata file of an Iceberg table under a relation's name."""
        with self._lock:
            if self._versions.get((database, *identifier)) == metadata_location:
                return
            scan = scan_of(metadata_location)
            condition = self._condition(identifier, scan)
            where = f" where {condition}" if condition else ""
            self.select(database, identifier, f"from {scan}{where}", metadata_location)

    def select(self, database: str, identifier: TableName, select: str, version: str) -> None:
        """Show a query under a relation's name, unless this version of it is shown already."""
        key = (database, *identifier)
        with self._lock:
            if self._versions.get(key) == version:
                return
            schema = f"{quote(database)}.{quote(identifier[0])}"
            self.cursor.execute(f"create schema if not exists {schema}")
            self.cursor.execute(f"create or replace view {schema}.{quote(identifier[1])} as {select}")
            self._versions[key] = version

    def version(self, name: tuple[str, str, str]) -> str | None:
        """What is shown under a relation's name, None where these views do not show anything."""
        with self._lock:
            return self._versions.get(name)

    def names(self) -> list[tuple[str, str, str]]:
        """Relations that are shown."""
        with self._lock:
            return list(self._versions)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query on the connection of the views."""
        with self._lock:
            return self.cursor.execute(sql).fetchall()


def keeps_older_files(staged: StagedTable, run_id: str) -> bool:
    """Whether a candidate shows manifests that another run wrote, which may be damaged."""
    summary = summary_of(staged.table.current_snapshot())
    is_new = summary.get("slipway.run-id") == run_id
    has_older = staged.base is not None or staged.registers
    return has_older and not (is_new and summary.get("slipway.strategy") == "replace")
