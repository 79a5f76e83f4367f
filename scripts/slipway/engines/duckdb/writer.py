"""One model's result becomes one staged Iceberg snapshot."""

from __future__ import annotations

import time

import duckdb
from duckdb.sqltypes import DuckDBPyType
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.update import (
    TableUpdate,
)

from slipway.engines.duckdb import constraints, copying, engine, rewrite
from slipway.engines.duckdb.digest import DIGEST, Digest
from slipway.engines.duckdb.merge_clauses import merge_clauses
from slipway.engines.duckdb.request import STRATEGIES, Remade, WriteRequest, WriteResult
from slipway.engines.duckdb.rewrite import part_of
from slipway.engines.duckdb.scan import digest_after, files_relation, scan_of
from slipway.engines.duckdb.strategies import Merge, by_delete_insert, by_partition, check_later
from slipway.engines.duckdb.target import Destination, new_table, only_describes, target_updates
from slipway.errors import ConfigError
from slipway.iceberg import metadata_files, schema
from slipway.iceberg.snapshots import Staging, add_snapshot, confirm_snapshot
from slipway.iceberg.tables import Tables


def write(
    cursor: duckdb.DuckDBPyConnection, tables: Tables, base: Table | None, request: WriteRequest
) -> WriteResult:
    """Run a model's query and stage its result on top of ``base``.

    Raises:
        ContractError: the query or the written rows do not keep to the contract, or a type cannot be held.
        ConfigError: partitioning, sorting or strategy cannot be carried out.
        NotCarriedError: the strategy cannot bring the table to where a full build would; nothing was written.
    """
    if request.strategy not in STRATEGIES:
        raise ConfigError(
            f"{request.model}: strategy {request.strategy}", "unknown", f"Use {', '.join(STRATEGIES)}"
        )
    return _Write(cursor, tables, base, request).run()


def columns_of(cursor: duckdb.DuckDBPyConnection, source: str) -> list[tuple[str, DuckDBPyType]]:
    """Names and types of a query's columns; in a subquery DuckDB calls a second ``id`` ``id_1``, so that is asked."""
    relation = cursor.sql(f"from {source}")
    names = relation.columns
    if any(name.rpartition("_")[2].isdigit() for name in names):
        names = [row[0] for row in cursor.execute(f"describe {source}").fetchall()]
    return list(zip(names, relation.types, strict=True))


def summary_of(request: WriteRequest, digest: Digest, remade: Remade, *, full: bool) -> dict[str, str]:
    """What a snapshot says of itself."""
    return {
        **request.snapshot_properties,
        **request.described(remade),
        "slipway.run-id": request.run_id,
        "slipway.strategy": "replace" if full else request.strategy,
        DIGEST: str(digest),
        **constraints.Held.by(request.contract).summary(),
    }


class _Write:
    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, tables: Tables, base: Table | None, request: WriteRequest
    ) -> None:
        self.cursor, self.tables, self.base, self.request = cursor, tables, base, request
        self.full = base is None or request.strategy == "replace"
        self.seconds: dict[str, float] = {}
        self.used = engine.Used()
        self._started = time.perf_counter()

    def run(self) -> WriteResult:
        request = self.request
        source = f"(\n{request.sql}\n)"
        columns = columns_of(self.cursor, source)
        if request.contract:
            constraints.check_shape(self.cursor, request.model, request.contract, columns)
        query = schema.query_schema(columns)
        updates: tuple[TableUpdate, ...] = ()
        if self.base is None:
            table = new_table(self.tables, request, query)
        else:
            table = self.base
            updates = target_updates(table.metadata, request, query, full=self.full)
        transaction = Staging(table)
        transaction._stage(updates)
        target = transaction.table_metadata.schema()
        to = Destination.of(transaction, request)
        self.partition = to.partition
        self._lap("plan")
        spec = transaction.table_metadata.spec()
        with rewrite.Scratch(self.cursor) as scratch:
            change = self._change(scratch, source, query, target, spec)
            self._count_read()
            self._lap("match")
            self.tables.renew(self.cursor)
            written = copying.copy(self.cursor, change.select, to, self._count_read)
        self._lap("copy")
        self.tables.renew(self.cursor)
        added = copying.data_files(self.cursor, written, to)
        digest, same = digest_after(self.cursor, self.base, target, added, change.removed, full=self.full)
        self._lap("digest")
        remade = Remade.of(
            whole=self.full or rewrite.replaces_all(self.base, change.removed, carries=change.carries),
            same=same,
        )
        described = self.base is not None and only_describes(self.base.metadata, transaction.table_metadata)
        same = same and described and metadata_files.can_stay(self.base, full=self.full)
        if not same:
            properties = summary_of(request, digest, remade, full=self.full)
            add_snapshot(transaction, added, change.removed, properties, full=self.full)
        confirm_snapshot(transaction, request.release, lambda content: request.confirm(content, remade))
        staged = self.tables.stage(table, transaction, new=self.base is None)
        self._lap("stage")
        if request.contract:
            scan = scan_of(staged.table.metadata_location)
            held = constraints.Held.of(self.base, full=self.full)
            new = files_relation(added, target)
            constraints.check_written(self.cursor, request.model, request.contract, written, new, scan, held)
            self._lap("constraints")
        return WriteResult(
            staged=staged,
            same_content=same,
            rows_written=sum(file.records for file in written),
            bytes_written=sum(file.size for file in written),
            used=self.used,
            files_added=0 if same else len(added),
            files_removed=0 if same else len(change.removed),
            digest=digest,
            seconds=self.seconds,
        )

    def _change(
        self, scratch: rewrite.Scratch, source: str, query: Schema, target: Schema, spec: PartitionSpec
    ) -> rewrite.Rewrite:
        request, base = self.request, self.base
        select = schema.casts(query, target, source)
        if self.full or base is None:
            names = [field.name for field in query.fields]
            # refused before it is used
            merge_clauses(request.merge, names, complete=True, model=request.model)
            check_later(self.cursor, request, target, select)
            return rewrite.Rewrite([], select)
        part = part_of(request, query, target)
        match request.strategy:
            case "merge":
                own = schema.own_casts(query, target, source)
                with rewrite.explained(request):
                    return Merge(scratch, base, target, query, own, request, part).plan()
            case "delete+insert":
                with rewrite.explained(request):
                    return by_delete_insert(scratch, base, target, select, request, part)
            case "insert_overwrite":
                return by_partition(scratch, base, target, select, self.partition, spec, part)
        if part:
            part.check_append(self.cursor)
        return rewrite.Rewrite([], select)

    def _count_read(self) -> None:
        self.used += engine.Used.by_last(self.cursor)

    def _lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._started, 4)
        self._started = now
