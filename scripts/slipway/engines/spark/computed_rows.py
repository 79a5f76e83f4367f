"""Rows that Spark computes for a writer of DuckDB: as files of this machine that exist while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.engines.spark.session_settings import is_remote
from slipway.engines.spark.spark_errors import in_one_line
from slipway.engines.spark.translation.scopes import quoted
from slipway.processes import temporary
from slipway.sql_text import exact, literal, quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_MICROSECONDS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
"""Without it, Spark writes moments in a form that Parquet has given up."""


@contextmanager
def computed_rows(
    session: Callable[[], SparkSession], sql: str, columns: Sequence[tuple[str, str]], model: str
) -> Iterator[str]:
    """Have Spark run a query, and give one of DuckDB with the same rows.

    Args:
        session: begins the session, or gives the one that has begun.
        sql: the query, in Spark's SQL.
        columns: names and DuckDB types of its columns.
        model: for messages.

    Raises:
        SlipwayError: Spark ended with an error.
    """
    spark = session()
    with temporary("spark") as folder:
        rows = folder / "rows"
        with in_one_line(model):
            found = spark.sql(sql)
            # by number, since Parquet does not take every name
            chosen = [f"{quoted(name)} as `{at}`" for at, (name, _) in enumerate(columns)]
            (_fetch if is_remote(spark) else _write)(found.selectExpr(*chosen), rows)
        listed = ", ".join(
            f'cast("{at}" as {kind}) as {quote(name)}' for at, (name, kind) in enumerate(columns)
        )
        yield f"select {listed} from read_parquet({literal(exact(str(rows)) + '/*.parquet')})"


def _write(found: DataFrame, folder: Path) -> None:
    """Have a session of this machine write rows into a folder."""
    for key, value in _MICROSECONDS.items():
        found.sparkSession.conf.set(key, value)
    found.write.parquet(str(folder))


def _fetch(found: DataFrame, folder: Path) -> None:
    """Write rows that a server sends into a folder of this machine, which the server does not see; one batch of Arrow is in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    client = found.sparkSession.client
    with ExitStack() as stack:
        writer = None
        # as DataFrame.toLocalIterator of Spark Connect gets them, which makes a Python object of each value
        for part in client.to_table_as_iterator(found._plan.to_proto(client), found._plan.observations):
            if not isinstance(part, pa.Table):
                continue
            if writer is None:  # a server sends a batch also where there are no rows
                writer = stack.enter_context(pq.ParquetWriter(folder / "rows.parquet", part.schema))
            writer.write_table(part)
