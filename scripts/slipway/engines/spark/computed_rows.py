"""Rows that Spark computes for a writer of DuckDB: as files that exist while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slipway.engines.spark.spark_writer import in_one_line
from slipway.engines.spark.translation.scopes import quoted
from slipway.processes import temporary
from slipway.sql_text import exact, literal, quote

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MICROSECONDS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
"""Without it, Spark writes moments in a form that Parquet has given up."""


@contextmanager
def computed_rows(
    session: Callable[[], SparkSession], sql: str, columns: Sequence[tuple[str, str]], model: str
) -> Iterator[str]:
    """Have Spark run a query, and give one of DuckDB with the same rows.

    Args:
        session: begins the session of this machine, or gives the one that has begun.
        sql: the query, in Spark's SQL.
        columns: names and DuckDB types of its columns.
        model: for messages.

    Raises:
        SlipwayError: Spark ended with an error.
    """
    spark = session()
    for key, value in _MICROSECONDS.items():
        spark.conf.set(key, value)
    with temporary("spark") as folder:
        rows = folder / "rows"
        with in_one_line(model):
            found = spark.sql(sql)
            # by number, since Parquet does not take every name
            chosen = [f"{quoted(name)} as `{at}`" for at, (name, _) in enumerate(columns)]
            found.selectExpr(*chosen).write.parquet(str(rows))
        listed = ", ".join(
            f'cast("{at}" as {kind}) as {quote(name)}' for at, (name, kind) in enumerate(columns)
        )
        yield f"select {listed} from read_parquet({literal(exact(str(rows)) + '/*.parquet')})"
