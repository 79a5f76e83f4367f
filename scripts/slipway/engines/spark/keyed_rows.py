"""Rows of a table that change because of their keys, in one commit of Spark."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from slipway.counts import plural
from slipway.engines.duckdb.rewrite import Part
from slipway.engines.spark.merge_statement import KeyedChange
from slipway.errors import ContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def change_rows(
    spark: SparkSession,
    table: str,
    rows: DataFrame,
    change: KeyedChange,
    model: str,
    part: Part | None = None,
    earlier: DataFrame | None = None,
) -> None:
    """Change the rows of a table by their keys.

    The query is computed once, and kept: keys are counted, and Spark reads the source of a MERGE twice. A query that gives other rows the second
    time, because it takes any one of equal rows, would have other keys checked than are written.

    Args:
        spark: the session.
        table: its name in Spark, in quotes.
        rows: of the query, with the columns of the change.
        change: what becomes of them.
        model: for messages.
        part: what the query reads of its inputs, None where it reads them whole.
        earlier: what the query gives on the inputs of before, in the same columns; None where that is nothing.

    Raises:
        ContractError: keys are NULL, or one is there twice that must not be.
        NotCarriedError: keys that changed partitions gave before are not there any more, or rows would be replaced that come of rows
            which the query does not read.
    """
    with ExitStack() as shown:
        source = shown.enter_context(view_of(spark, rows.localCheckpoint()))
        if not change.nulls:
            _check_keys(spark, source, change, model)
        if part and not change.nulls:
            before = (
                shown.enter_context(view_of(spark, earlier.localCheckpoint())) if earlier is not None else ""
            )
            _check_carried(spark, table, source, change, part, before)
        if change.clauses:
            spark.sql(change.statement(table, source))


def _check_carried(
    spark: SparkSession, table: str, source: str, change: KeyedChange, part: Part, earlier: str
) -> None:
    if earlier:
        (counted,) = spark.sql(change.gone(source, earlier)).collect()
        part.check_gone(int(counted["gone"]))
    if not part.direct or part.is_nothing:
        return
    there = {name.lower() for name in change.columns}
    names = [name for name in spark.table(table).columns if name.lower() in there]
    statement = change.replaced(table, source, names, distinct=part.distinct, earlier=earlier)
    (counted,) = spark.sql(statement).collect()
    part.check_replaced(int(counted["replaced"]))


def _check_keys(spark: SparkSession, source: str, change: KeyedChange, model: str) -> None:
    """Refuse keys that no row could be found by again, in the words of DuckDB's writer."""
    shown = ", ".join(change.shown)
    keys = ", ".join(f"{key} as `{at}`" for at, key in enumerate(change.keys))
    listed = ", ".join(f"`{at}`" for at in range(len(change.keys)))
    rows = f"(select {keys} from {source} as DBT_INTERNAL_SOURCE)"
    nulls = " or ".join(f"`{at}` is null" for at in range(len(change.keys)))
    twice = f"count(*) - count(distinct struct({listed}))" if change.distinct else "0"
    (counted,) = spark.sql(f"select count_if({nulls}) as nulls, {twice} as twice from {rows}").collect()
    if counted["nulls"]:
        raise ContractError(
            f"{model}: {plural(counted['nulls'], 'row', 'have', 'has')} NULL in unique_key ({shown})",
            fix="Filter or fill them",
        )
    if counted["twice"]:
        (example,) = spark.sql(
            f"select {listed} from {rows} group by {listed} having count(*) > 1 order by {listed} limit 1"
        ).collect()
        raise ContractError(
            f"{model}: unique_key ({shown}) occurs more than once for {plural(counted['twice'], 'row')} of the query",
            f"for example {tuple(example)}",
            "Deduplicate in the model",
        )


@contextmanager
def view_of(spark: SparkSession, rows: DataFrame) -> Iterator[str]:
    """The rows under a name of their own; not cached, which MERGE of Spark 4.1 does not take."""
    name = f"slipway_{uuid.uuid4().hex}"
    rows.createOrReplaceTempView(name)
    try:
        yield name
    finally:
        spark.catalog.dropTempView(name)
