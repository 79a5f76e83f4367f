"""One model's result becomes one staged Iceberg snapshot, computed and written by Spark.

DuckDB binds the query for names and types, without data, and makes or evolves the table as for its own writes, so that types do not depend
on the engine. Spark computes the translated query, casts it to the columns of the table, and commits through the run's own catalog. What it
wrote is then read by DuckDB for the content digest and the constraints of the contract, by the code that is used for its own files. Above
a bound Spark counts the rows that break constraints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import duckdb
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Summary
from pyiceberg.table.update import AddSnapshotUpdate, TableUpdate

from slipway.engines.duckdb import constraints, writer
from slipway.engines.duckdb.engine import Used
from slipway.engines.duckdb.metrics import WrittenFile
from slipway.engines.duckdb.request import Remade, WriteRequest, WriteResult
from slipway.engines.duckdb.rewrite import NotCarriedError, Part, Scratch, part_of
from slipway.engines.duckdb.scan import digest_after, files_relation, whole_scan
from slipway.engines.duckdb.target import Destination, new_table, only_describes, target_updates
from slipway.engines.spark.changed_partitions import PartitionsOfQuery, earlier_rows
from slipway.engines.spark.counted_constraints import CountedConstraints
from slipway.engines.spark.keyed_rows import change_rows
from slipway.engines.spark.merge_statement import KEYED, KeyedChange, keyed_change, replaced_partitions
from slipway.engines.spark.returned_frames import cast_safely, check_frame
from slipway.engines.spark.session_settings import functions_of, make_active
from slipway.engines.spark.spark_errors import in_one_line
from slipway.engines.spark.translation.scopes import quoted
from slipway.engines.writers import ENGINE, SPARK
from slipway.errors import ConfigError
from slipway.iceberg import metadata_files, schema
from slipway.iceberg.snapshots import Staging, add_snapshot, confirm_snapshot
from slipway.iceberg.tables import Tables
from slipway.iceberg.types import duckdb_type
from slipway.run_catalog.catalog import RunCatalog

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

STRATEGIES = ("replace", "append", "insert_overwrite", "merge", "delete+insert")
"""What Spark can write until now, by names of ``WriteRequest.strategy``."""


def check_supported(request: WriteRequest) -> None:
    """Refuse what Spark cannot write yet, before anything is computed.

    Raises:
        ConfigError: the strategy is another, or has nothing that it could replace.
    """
    why = ""
    if request.strategy not in STRATEGIES:
        why = f"its strategy is {request.strategy}, and Spark writes {', '.join(STRATEGIES)}"
    elif request.strategy == "insert_overwrite" and not request.partitioned_by:
        why = "insert_overwrite replaces partitions, and it has none"
    if why:
        raise ConfigError(
            f"{request.model} cannot be computed by Spark",
            why,
            "Let DuckDB compute it, or configure it otherwise",
        )


class SparkWriter:
    """Writes one model by Spark; an ``engines.writers.Writer``.

    Args:
        session: begins the session, or gives the one that has begun; in it the environment's name is the run's own catalog.
        catalog: this catalog.
        translate: makes Spark's SQL of the model's query, or refuses it.
        frame: what a Python model returned; its query only says which columns there are. None for SQL.
        above: bytes of the table above which Spark checks the constraints of its contract; None for never.
    """

    def __init__(
        self,
        session: Callable[[], SparkSession],
        catalog: RunCatalog,
        translate: Callable[[str], str],
        frame: object = None,
        above: int | None = None,
    ) -> None:
        self._session, self._catalog, self._translate = session, catalog, translate
        self._frame, self._above = frame, above

    def __call__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        tables: Tables,
        base: Table | None,
        request: WriteRequest,
    ) -> WriteResult:
        """Have Spark run a model's query, and stage its result on top of ``base``.

        Raises:
            ConfigError: Spark cannot write it, see ``check_supported``; or the query has something that cannot be translated.
            ContractError: the query or the written rows do not keep to the contract, or a type cannot be held.
            NotCarriedError: the query reads a part of an input, and the strategy cannot bring the table to where a full build would.
            SlipwayError: Spark ended with an error.
        """
        check_supported(request)
        work = _Write(self._session, self._catalog, cursor, tables, base, request, self._above)
        if self._frame is not None:
            return work.run(self._frame)
        return work.run(self._translate(request.sql))


class _Write:
    def __init__(
        self,
        session: Callable[[], SparkSession],
        catalog: RunCatalog,
        cursor: duckdb.DuckDBPyConnection,
        tables: Tables,
        base: Table | None,
        request: WriteRequest,
        above: int | None,
    ) -> None:
        self.session, self.catalog, self.cursor, self.above = session, catalog, cursor, above
        self.tables, self.base, self.request = tables, base, request
        self.full = base is None or request.strategy == "replace"
        self.part: Part | None = None
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def run(self, rows: object) -> WriteResult:
        """Write the rows of a query in Spark's SQL, or of what a Python model returned."""
        request, base = self.request, self.base
        columns = writer.columns_of(self.cursor, f"(\n{request.sql}\n)")
        if request.contract:
            constraints.check_shape(self.cursor, request.model, request.contract, columns)
        query = schema.query_schema(columns)
        updates: tuple[TableUpdate, ...] = ()
        table = base or new_table(self.tables, request, query)
        if base is not None:
            updates = target_updates(base.metadata, request, query, full=self.full)
        prepared = Staging(table)
        prepared._stage(updates)
        target = prepared.table_metadata.schema()
        strategy = request.later if self.full else request.strategy
        change = None
        if strategy in KEYED:  # also where the first build does not need it yet
            kinds = {name: str(kind) for name, kind in columns}
            change = keyed_change(self.cursor, replace(request, strategy=strategy), kinds, query, target)
        elif (
            base is not None
            and not self.full
            and strategy == "insert_overwrite"
            and _has_other_partitions(base, prepared)
        ):
            spec = prepared.table_metadata.spec()
            change = replaced_partitions(target, spec, self.tables.environment.name)
        self.part = None if self.full else part_of(request, query, target)
        if self.part and strategy == "append":
            self.part.check_append(self.cursor)
        self.catalog.show(self.tables.stage(table, prepared, new=base is None))
        self.catalog.allow(request.identifier)
        self._lap("plan")
        with in_one_line(request.model):
            self._compute(self.session(), rows, query, prepared, None if self.full else change)
        self._lap("compute")
        return self._stage(table, updates, target)

    def _compute(
        self,
        spark: SparkSession,
        given: object,
        query: Schema,
        prepared: Staging,
        change: KeyedChange | None,
    ) -> None:
        """Write rows; those columns that the table has are cast to its types."""
        make_active(spark)
        target = prepared.table_metadata.schema()
        name = ".".join(map(quoted, (self.tables.environment.name, *self.request.identifier)))
        kinds = {field.name.lower(): field.dataType for field in spark.table(name).schema.fields}
        names = [field.name for field in query.fields]
        if isinstance(given, str):
            found = self._queried(spark, given, names)
        else:
            check_frame(given, names, self.request.model, spark)
            found = cast_safely(cast("DataFrame", given), kinds, self.request.model)
            if self.request.sorted_by:
                found = found.localCheckpoint()  # Spark would compute it once to find out how to sort it
        functions = functions_of(spark)
        col, lit = functions.col, functions.lit

        there = {one.lower() for one in found.columns}

        def chosen(column: str) -> Column:
            value = col(quoted(column)) if column.lower() in there else lit(None)
            kind = kinds.get(column.lower())
            return (value if kind is None else value.cast(kind)).alias(column)

        columns = change.columns if change else [field.name for field in target.fields]
        rows: DataFrame = found.select(*map(chosen, columns))
        earlier = None
        if self.part and self.request.strategy != "append" and isinstance(given, str):
            earlier = earlier_rows(spark, self.cursor, given, self.part)
            earlier = None if earlier is None else earlier.select(*map(chosen, columns))
        if self.part and self.request.strategy == "insert_overwrite":
            self._overwrite_parts(spark, name, rows, earlier, prepared, change)
        elif change:
            change_rows(spark, name, rows, change, self.request.model, self.part, earlier)
        elif self.full:
            rows.writeTo(name).overwrite(lit(True))
        elif self.request.strategy == "append":
            rows.writeTo(name).append()
        else:
            rows.writeTo(name).overwritePartitions()

    def _overwrite_parts(
        self,
        spark: SparkSession,
        name: str,
        rows: DataFrame,
        earlier: DataFrame | None,
        prepared: Staging,
        change: KeyedChange | None,
    ) -> None:
        """Replace the partitions that a query has rows for, and empty those that it had rows for before.

        Raises:
            NotCarriedError: a partition would be replaced by a part of its rows, or which ones are to be emptied is not known.
        """
        base, part = self.base, self.part
        assert base is not None
        assert part is not None
        rows = rows.localCheckpoint()
        partition = Destination.of(prepared, self.request).partition
        with Scratch(self.cursor) as scratch:
            query = PartitionsOfQuery(
                spark,
                scratch,
                base,
                prepared.table_metadata.schema(),
                partition,
                prepared.table_metadata.spec(),
                self.tables.environment.name,
            )
            part = replace(
                part,
                compute_earlier=lambda _: query.some_of(cast("DataFrame", earlier), cast("Part", self.part)),
            )
            found = query.replaced_by(rows, part)
            if found.emptied is None:
                if change:
                    change_rows(spark, name, rows, change, self.request.model)
                else:
                    rows.writeTo(name).overwritePartitions()
            elif change:
                raise NotCarriedError("files are partitioned otherwise than the table is now")
            else:
                rows.writeTo(name).overwrite(query.condition(found))

    def _queried(self, spark: SparkSession, sql: str, names: Sequence[str]) -> DataFrame:
        found = spark.sql(sql)
        there = {one.lower() for one in found.columns}
        missing = [name for name in names if name.lower() not in there]
        if missing:
            raise ConfigError(
                f"{self.request.model} cannot be computed by Spark",
                f"its query gives no column {missing[0]} there",
                "Name the column with as",
            )
        return found

    def _stage(self, table: Table, updates: tuple[TableUpdate, ...], target: Schema) -> WriteResult:
        """Stage what Spark committed, with what a snapshot of slipway's says of itself; or the base, if every row is what it was."""
        request, base = self.request, self.base
        item = self.catalog.staged(request.identifier)
        assert item is not None
        before = {file.file_path: file for file in metadata_files.data_files(base)} if base else {}
        now = {file.file_path: file for file in metadata_files.data_files(item.table)}
        added = [file for path, file in now.items() if path not in before]
        removed = [file for path, file in before.items() if path not in now]
        digest, same = digest_after(self.cursor, base, target, added, removed, full=self.full)
        self._lap("digest")
        remade = Remade.of(whole=self.full or not before.keys() & now.keys(), same=same)
        transaction = Staging(table)
        transaction._stage(updates)
        described = base is not None and only_describes(base.metadata, transaction.table_metadata)
        same = same and described and metadata_files.can_stay(base, full=self.full)
        if not same:
            properties = {**writer.summary_of(request, digest, remade, full=self.full), ENGINE: SPARK}
            committed = [_described(one, properties) for one in item.updates[len(updates) :]]
            if committed:
                transaction._stage(tuple(committed))
            else:  # Spark commits nothing where there are no rows
                add_snapshot(transaction, added, removed, properties, full=self.full)
        confirm_snapshot(transaction, request.release, lambda content: request.confirm(content, remade))
        staged = self.tables.stage(table, transaction, new=base is None)
        self.catalog.show(staged)
        self._lap("stage")
        notes: Sequence[str] = ()
        if request.contract:
            written = [
                WrittenFile(one.file_path, one.record_count, one.file_size_in_bytes, {}, {}) for one in added
            ]
            counting = self._counting(target, added, now.values())
            constraints.check_written(
                self.cursor,
                request.model,
                request.contract,
                written,
                files_relation(added, target),
                whole_scan(staged.table),
                constraints.Held.of(base, full=self.full),
                counting,
            )
            notes = counting.notes if counting else ()
            self._lap("constraints")
        return WriteResult(
            staged=staged,
            same_content=same,
            rows_written=sum(file.record_count for file in added),
            bytes_written=sum(file.file_size_in_bytes for file in added),
            used=Used(bytes_read=None),
            files_added=0 if same else len(added),
            files_removed=0 if same else len(removed),
            digest=digest,
            seconds=self.seconds,
            notes=notes,
        )

    def _counting(
        self, target: Schema, added: Iterable[DataFile], files: Iterable[DataFile]
    ) -> CountedConstraints | None:
        if self.above is None:
            return None
        of_new, of_table = (sum(file.file_size_in_bytes for file in some) for some in (added, files))
        name = (self.tables.environment.name, *self.request.identifier)
        columns = {column.name: duckdb_type(column.field_type) for column in target.fields}
        return CountedConstraints(
            self.session, self.request.model, name, columns, of_table, of_new, self.above
        )

    def _lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._started, 4)
        self._started = now


def _has_other_partitions(base: Table, prepared: Staging) -> bool:
    """Whether files are partitioned otherwise than the table is now, of which Spark replaces no partitions."""
    specs, wanted = base.specs(), prepared.table_metadata.spec()
    return any(not specs[file.spec_id].compatible_with(wanted) for file in metadata_files.data_files(base))


def _described(update: TableUpdate, properties: dict[str, str]) -> TableUpdate:
    """A snapshot that Spark made, with what a run says of its snapshots."""
    if not isinstance(update, AddSnapshotUpdate) or update.snapshot.summary is None:
        return update
    summary = update.snapshot.summary
    said = {**summary.additional_properties, **properties}
    return AddSnapshotUpdate(
        snapshot=update.snapshot.model_copy(update={"summary": Summary(operation=summary.operation, **said)})
    )
