"""``merge`` and ``delete+insert`` by Spark: rows of a table that go because of their keys, and rows that come, in one commit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyiceberg.schema import Schema

from slipway.counts import plural
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.unique_keys import key_columns
from slipway.errors import ContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_INSERTED = "__slipway_inserted"


def change_rows(
    spark: SparkSession,
    table: str,
    rows: DataFrame,
    request: WriteRequest,
    target: Schema,
    given: Sequence[str],
) -> None:
    """Change the rows of a table by the key of a request.

    Spark's MERGE makes one snapshot of it. ``delete+insert`` is one as well: of a source in which every key stands once, to delete by, and every row once, to
    be inserted, which meets no row of the table.

    Args:
        spark: the session.
        table: its name in Spark, in quotes.
        rows: of the query, in the columns of the table.
        request: the strategy and its key.
        target: the schema of the table.
        given: columns of the table that the query has; a merge leaves the others of a matching row as they are.

    Raises:
        ConfigError: the key names no column.
        ContractError: keys are NULL, or a merge has one twice.
    """
    keys = [field.name for field in key_columns(target, request.unique_key, "unique_key", request.model)]
    _check_keys(spark, rows, keys, request, distinct=request.strategy == "merge")
    columns = [field.name for field in target.fields]
    equal = " and ".join(f"old.{quoted(key)} = new.{quoted(key)}" for key in keys)
    inserted = f"insert ({', '.join(map(quoted, columns))}) values ({', '.join(f'new.{quoted(one)}' for one in columns)})"
    if request.strategy == "merge":
        updated = ", ".join(f"old.{quoted(one)} = new.{quoted(one)}" for one in given)
        with _shown(spark, rows) as source:
            spark.sql(
                f"merge into {table} as old using {source} as new on {equal}"
                f" when matched then update set {updated} when not matched then {inserted}"
            )
        return
    with _shown(spark, rows) as source:
        deleting = ", ".join(quoted(one) if one in keys else f"null as {quoted(one)}" for one in columns)
        both = (
            f"(select distinct {deleting}, false as {_INSERTED} from {source}"
            f" union all select {', '.join(map(quoted, columns))}, true as {_INSERTED} from {source})"
        )
        spark.sql(
            f"merge into {table} as old using {both} as new on not new.{_INSERTED} and {equal}"
            f" when matched then delete when not matched and new.{_INSERTED} then {inserted}"
        )


def _check_keys(
    spark: SparkSession, rows: DataFrame, keys: Sequence[str], request: WriteRequest, *, distinct: bool
) -> None:
    """Refuse keys that no row could be found by again, in the words of DuckDB's writer."""
    listed = ", ".join(map(quoted, keys))
    shown = ", ".join(f'"{key}"' for key in keys)
    nulls = " or ".join(f"{quoted(key)} is null" for key in keys)
    with _shown(spark, rows) as source:
        twice = f"count(*) - count(distinct struct({listed}))" if distinct else "0"
        (counted,) = spark.sql(f"select count_if({nulls}) as nulls, {twice} as twice from {source}").collect()
        if counted["nulls"]:
            raise ContractError(
                f"{request.model}: {plural(counted['nulls'], 'row', 'have', 'has')} NULL in unique_key ({shown})",
                fix="Filter or fill them",
            )
        if counted["twice"]:
            (example,) = spark.sql(
                f"select {listed} from {source} group by {listed} having count(*) > 1 order by {listed} limit 1"
            ).collect()
            raise ContractError(
                f"{request.model}: unique_key ({shown}) occurs more than once for {plural(counted['twice'], 'row')} of the query",
                f"for example {tuple(example)}",
                "Deduplicate in the model",
            )


@contextmanager
def _shown(spark: SparkSession, rows: DataFrame) -> Iterator[str]:
    """The rows under a name of their own; not cached, which MERGE of Spark 4.1 does not take."""
    name = f"slipway_{uuid.uuid4().hex}"
    rows.createOrReplaceTempView(name)
    try:
        yield name
    finally:
        spark.catalog.dropTempView(name)


def quoted(name: str) -> str:
    """A name as Spark's SQL takes it, whatever characters are in it."""
    return "`" + name.replace("`", "``") + "`"
