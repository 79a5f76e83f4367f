"""Copy-on-write by data file: the files that an incremental write replaces, and with what."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Container, Iterator, Sequence, Sized
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import duckdb
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table, TableProperties
from pyiceberg.transforms import IdentityTransform

from slipway.engines.duckdb import engine
from slipway.engines.duckdb.digest import Digest, digest_of
from slipway.engines.duckdb.merge_clauses import DEST
from slipway.engines.duckdb.request import WriteRequest
from slipway.errors import ConfigError, ContractError, DamagedError, first_line
from slipway.iceberg.reading import files_in, manifests_of, summary_of
from slipway.iceberg.schema import parquet_schema
from slipway.iceberg.tables import duckdb_path
from slipway.iceberg.types import duckdb_type, exact, literal, quote
from slipway.names import TableName

FILE = "__slipway_file"
"""The column of ``files_relation`` that names a row's file."""


@dataclass(frozen=True)
class Rewrite:
    """Live files that go, and the rows that take their place.

    Args:
        removed: data files of the base snapshot.
        select: what is written instead.
        carries: rows of files that go may be among it.
    """

    removed: Sequence[DataFile]
    select: str
    carries: bool = True


class Scratch:
    """Temporary tables of one write, dropped when it ends.

    Args:
        cursor: the connection that they are visible on.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self.cursor = cursor
        self._names: list[str] = []

    def table(self, definition: str) -> str:
        """Create a table ``as select …`` or ``(column type, …)`` and return its name."""
        name = f"slipway_{uuid.uuid4().hex}"
        engine.execute(self.cursor, f"create temp table {name} {definition}")
        self._names.append(name)
        return f"temp.{name}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._names:
            with suppress(duckdb.Error) if error else nullcontext():  # the first failure is the one to tell
                self.cursor.execute(f"drop table if exists temp.{name}")


@contextmanager
def explained(request: WriteRequest) -> Iterator[None]:
    """Tell in one line that DuckDB does not understand a key, predicate or clause.

    Raises:
        ConfigError: in place of DuckDB's error, which shows SQL that nobody wrote.
    """
    try:
        yield
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        raise ConfigError(
            f"{request.model}: {request.strategy} cannot be carried out",
            first_line(error),
            "Check unique_key, predicates and merge keys",
        ) from error


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
    return files


def _absent(table: Table, file: DataFile, there: Container[int]) -> bool:
    """Whether a column is not there that the file's partition has the value of."""
    fields = table.specs()[file.spec_id].fields
    return any(
        field.source_id not in there
        for at, field in enumerate(fields)
        if isinstance(field.transform, IdentityTransform) and file.partition[at] is not None
    )


def replaces_all(base: Table | None, removed: Sized, *, carries: bool) -> bool:
    """Whether no row is left of those that were there before."""
    current = base.current_snapshot() if base else None
    files = summary_of(current).get("total-data-files")
    return current is None or (not carries and files == str(len(removed)))


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
            f"{len(files)} data files, such as {files[0].file_path}, do not hold what was written",
            f"{digest.rows} rows are read from them, and they were written with {stated}",
            "Run again; if it stays so, see slipway doctor --deep",
        )
    return digest


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
