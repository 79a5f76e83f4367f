"""Queries of Spark that read the changed partitions of an input: what they gave before, and which partitions of their table they replace."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import duckdb
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DateType

from slipway.engines.duckdb.request import Increment
from slipway.engines.duckdb.rewrite import NotCarriedError, Part, Scratch, through_another_relation
from slipway.engines.duckdb.strategies import PartitionsReplaced, partitions_replaced
from slipway.engines.spark.keyed_rows import view_of
from slipway.engines.spark.merge_statement import partition_value_of
from slipway.engines.spark.session_settings import functions_of
from slipway.engines.spark.translation.scopes import quoted
from slipway.iceberg.partitioning import PartitionColumn
from slipway.iceberg.schema import top_level
from slipway.iceberg.types import duckdb_type
from slipway.sql_text import quote

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def earlier_rows(
    spark: SparkSession, cursor: duckdb.DuckDBPyConnection, sql: str, part: Part
) -> DataFrame | None:
    """What a query gives on its inputs as they were when it read them last.

    Args:
        spark: the session.
        cursor: looks whether changed partitions had rows.
        sql: the query, translated.
        part: what it reads of its inputs.

    Returns:
        Its rows, not computed yet; None where no partition that changed had rows.

    Raises:
        NotCarriedError: the query does not name an input itself, or does not run on what it was.
    """
    from pyspark.errors import AnalysisException

    if not part.has_earlier(cursor):
        return None
    for one in part.partitions:
        name = ".".join(map(quoted, one.relation))
        if name not in sql:
            raise NotCarriedError(through_another_relation(one))
        view = f"slipway_before_{one.before}_{'_'.join(re.findall('[0-9a-z]+', name.lower()))}"
        _as_before(spark, name, one).createOrReplaceTempView(view)
        sql = sql.replace(name, quoted(view))
    try:
        return spark.sql(sql)
    except AnalysisException as error:
        reason = str(error).strip().partition("\n")[0]
        raise NotCarriedError(part.does_not_run(reason)) from error


def _as_before(spark: SparkSession, name: str, one: Increment) -> DataFrame:
    """An input's rows of before, in the columns of today."""
    assert one.table is not None
    snapshot = one.table.snapshot_by_id(one.before) if one.before is not None else None
    assert snapshot is not None
    found = spark.sql(f"select * from {name} version as of {one.before}")
    schemas = one.table.schemas()
    before = schemas.get(snapshot.schema_id) if snapshot.schema_id is not None else None
    now = one.table.schema()
    if before is None or before.schema_id == now.schema_id:
        return found
    functions = functions_of(spark)
    kinds = {field.name: field.dataType for field in spark.table(name).schema.fields}
    names = {field.field_id: field.name for field in before.fields}

    def column(field_id: int, called: str) -> Column:
        value = functions.col(quoted(names[field_id])) if field_id in names else functions.lit(None)
        made: Column = value.cast(kinds[called]).alias(called)
        return made

    return found.select(*(column(field.field_id, field.name) for field in now.fields))


class PartitionsOfQuery:
    """Which partitions of its table a query replaces that reads a part of its inputs; decided by the code that decides it for DuckDB.

    Args:
        spark: the session.
        scratch: where DuckDB keeps one row of each partition.
        table: as it is.
        target: the schema that it is going to have.
        partition: what it is partitioned by.
        spec: the same as a spec.
        catalog: by which Spark finds Iceberg's functions.
    """

    def __init__(
        self,
        spark: SparkSession,
        scratch: Scratch,
        table: Table,
        target: Schema,
        partition: Sequence[PartitionColumn],
        spec: PartitionSpec,
        catalog: str,
    ) -> None:
        self._spark, self._scratch, self._table, self._target = spark, scratch, table, target
        self._partition, self._spec, self._catalog = partition, spec, catalog

    def replaced_by(self, rows: DataFrame, part: Part) -> PartitionsReplaced:
        """Which partitions go.

        Args:
            rows: of the query, in the columns of the table.
            part: what the query reads; its ``compute_earlier`` gives what ``some_of`` makes of the earlier rows.

        Raises:
            NotCarriedError: as ``partitions_replaced``.
        """
        source = self.some_of(rows, part)
        return partitions_replaced(
            self._scratch, self._table, self._target, source, self._partition, self._spec, part
        )

    def some_of(self, rows: DataFrame, part: Part) -> str:
        """A temporary table of DuckDB with a row for each partition, and for each value of the columns by which the query reads its inputs.

        It has only these columns and those that partitions are made of.
        """
        exact = {column.source for column in self._partition if str(column.transform) == "identity"}
        asked = (top_level(self._target, one.column) for one in part.increments if one.column is not None)
        exact |= {field.name for field in asked if field is not None}
        others = [column for column in self._partition if column.source not in exact]
        with view_of(self._spark, rows) as view:
            groups = [quoted(name) for name in sorted(exact)]
            groups += [
                partition_value_of(str(column.transform), quoted(column.source), self._catalog)
                for column in others
            ]
            sources = sorted({column.source for column in others})
            listed = [quoted(name) for name in sorted(exact)]
            listed += [f"min({quoted(name)}) as {quoted(name)}" for name in sources]
            found = self._spark.sql(f"select {', '.join(listed)} from {view} group by {', '.join(groups)}")
            data = found.toArrow()
        names = [*sorted(exact), *sources]
        kinds = {name: duckdb_type(self._target.find_field(name).field_type) for name in names}
        cast = ", ".join(f"cast({quote(name)} as {kinds[name]}) as {quote(name)}" for name in names)
        given = f"slipway_given_{id(data)}"
        self._scratch.cursor.register(given, data)
        try:
            return self._scratch.table(f"as select {cast} from {given}")
        finally:
            self._scratch.cursor.unregister(given)

    def condition(self, found: PartitionsReplaced) -> Any:
        """A condition for Spark on the rows of partitions that go, whether the query has rows for them or not."""
        assert found.emptied is not None
        column = self._partition[found.emptied.at]
        functions = functions_of(self._spark)
        value = functions.col(quoted(column.source))
        is_date = isinstance(column.source_type, DateType)
        known = [_date(one) if is_date else one for one in found.emptied.values if one is not None]
        condition = value.isin(known)
        return condition | value.isNull() if None in found.emptied.values else condition


def _date(days: object) -> dt.date:
    """A date that Iceberg keeps as days since 1970-01-01."""
    assert isinstance(days, int)
    return dt.date(1970, 1, 1) + dt.timedelta(days=days)
