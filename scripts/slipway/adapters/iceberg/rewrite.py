"""Copy-on-write by data file: which files an incremental write replaces, and with what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, GreaterThanOrEqual, In, LessThanOrEqual
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from slipway.adapters.iceberg.partition_values import partition_value
from slipway.adapters.iceberg.partitioning import PartitionColumn
from slipway.adapters.iceberg.schema import parquet_schema
from slipway.adapters.iceberg.tables import duckdb_path
from slipway.adapters.iceberg.types import exact, literal, quote
from slipway.domain.errors import ContractError, SlipwayError

_FEW = 500  # up to so many distinct key values files are pruned by value, above by range


@dataclass(frozen=True)
class Rewrite:
    """Live files that go, and the rows that take their place.

    Args:
        removed: data files of the base snapshot.
        select: what is written instead.
    """

    removed: Sequence[DataFile]
    select: str


def live_files(table: Table, row_filter: BooleanExpression | None = None) -> list[DataFile]:
    """Data files of the current snapshot that may hold matching rows.

    Raises:
        SlipwayError: the table has delete files, which another tool wrote.
    """
    tasks = list(table.scan(row_filter=row_filter or AlwaysTrue()).plan_files())
    if any(task.delete_files for task in tasks):
        raise SlipwayError(
            f"{'.'.join(table.name())} has delete files",
            "another tool wrote them and rewriting would ignore them",
            "compact the table with that tool or run with --full-refresh",
        )
    return [task.file for task in tasks if task.file.content == DataFileContent.DATA]


def files_relation(files: Iterable[DataFile], schema: Schema, *, filename: bool = False) -> str:
    """A FROM item over data files alone, columns found by field id."""
    paths = ", ".join(literal(exact(duckdb_path(file.file_path))) for file in files)
    extra = ", filename = '__slipway_file'" if filename else ""
    return f"read_parquet([{paths}], hive_partitioning = false, schema = {parquet_schema(schema)}{extra})"


def by_key(
    cursor: duckdb.DuckDBPyConnection,
    table: Table,
    schema: Schema,
    source: str,
    unique_key: Sequence[str],
    *,
    distinct: bool,
    model: str,
) -> Rewrite:
    """Replace rows by key: ``merge`` (``distinct``) and ``delete+insert``.

    Args:
        cursor: where the source relation is visible.
        table: the base.
        schema: the schema the new files get; the base's rows are read into it.
        source: a relation with the new rows.
        unique_key: columns that identify a row.
        distinct: refuse a source that holds a key twice.
        model: for messages.

    Raises:
        ContractError: the source has NULL keys, or a key twice where that is refused.
    """
    keys = [quote(schema.find_field(key, case_sensitive=False).name) for key in unique_key]
    _check_keys(cursor, source, keys, distinct=distinct, model=model)
    candidates = live_files(table, _prune(cursor, source, schema, unique_key))
    if not candidates:
        return Rewrite([], f"from {source}")
    match = " and ".join(f"source.{key} = target.{key}" for key in keys)
    scan = files_relation(candidates, schema, filename=True)
    hits = cursor.execute(
        f"select distinct __slipway_file from {scan} target semi join {source} source on {match}"
    ).fetchall()
    paths = {row[0] for row in hits}
    removed = [file for file in candidates if duckdb_path(file.file_path) in paths]
    if not removed:
        return Rewrite([], f"from {source}")
    kept = f"from {files_relation(removed, schema)} target anti join {source} source on {match}"
    return Rewrite(removed, f"({kept}) union all by name (from {source})")


def by_partition(
    cursor: duckdb.DuckDBPyConnection,
    table: Table,
    source: str,
    partition: Sequence[PartitionColumn],
    model: str,
) -> Rewrite:
    """Replace every partition that occurs in the source: ``insert_overwrite``.

    Raises:
        SlipwayError: live files of the table have another partition spec.
    """
    if not partition:
        return Rewrite(live_files(table), f"from {source}")
    expressions = ", ".join(f"({column.expression})::varchar" for column in partition)
    rows = cursor.execute(f"select distinct {expressions} from {source}").fetchall()
    wanted = {
        tuple(partition_value(text, column.result_type) for text, column in zip(row, partition, strict=True))
        for row in rows
    }
    files = live_files(table)
    spec_id = table.spec().spec_id
    if any(file.spec_id != spec_id for file in files):
        raise SlipwayError(
            f"{model}: partitioned_by was changed",
            "its files are still partitioned the old way",
            "run this model once with --full-refresh",
        )
    width = len(partition)
    removed = [file for file in files if tuple(file.partition[at] for at in range(width)) in wanted]
    return Rewrite(removed, f"from {source}")


def _check_keys(
    cursor: duckdb.DuckDBPyConnection, source: str, keys: Sequence[str], *, distinct: bool, model: str
) -> None:
    listed = ", ".join(keys)
    nulls = " or ".join(f"{key} is null" for key in keys)
    row = cursor.execute(
        f"select count(*) filter (where {nulls}), count(*) - count(distinct ({listed})) from {source}"
    ).fetchone()
    assert row is not None
    if row[0]:
        raise ContractError(
            f"{model}: {row[0]} rows have NULL in unique_key ({listed})", fix="filter or fill them"
        )
    if distinct and row[1]:
        example = cursor.execute(
            f"select {listed} from {source} group by all having count(*) > 1 order by all limit 1"
        ).fetchone()
        raise ContractError(
            f"{model}: unique_key ({listed}) occurs more than once for {row[1]} rows of the query",
            f"for example {example}",
            "deduplicate in the model",
        )


def _prune(
    cursor: duckdb.DuckDBPyConnection, source: str, schema: Schema, unique_key: Sequence[str]
) -> BooleanExpression:
    """A filter that keeps every file which may hold a key of the source."""
    filters: list[BooleanExpression] = []
    for key in unique_key:
        field = schema.find_field(key, case_sensitive=False)
        column = quote(field.name)
        values = [
            row[0]
            for row in cursor.execute(f"select distinct {column} from {source} limit {_FEW + 1}").fetchall()
        ]
        if not values or not all(isinstance(value, int | str | dt.date) for value in values):
            continue
        if any(isinstance(value, bool | dt.datetime) for value in values):
            continue
        if len(values) <= _FEW:
            filters.append(In(field.name, [_literal(value) for value in values]))  # type: ignore[misc,call-arg]
            continue
        low, high = cursor.execute(f"select min({column}), max({column}) from {source}").fetchone() or (
            None,
            None,
        )
        filters.append(GreaterThanOrEqual(field.name, _literal(low)))  # type: ignore[misc,call-arg]
        filters.append(LessThanOrEqual(field.name, _literal(high)))  # type: ignore[misc,call-arg]
    return And(AlwaysTrue(), AlwaysTrue(), *filters)


def _literal(value: int | str | dt.date) -> int | str:
    return value.isoformat() if isinstance(value, dt.date) else value
