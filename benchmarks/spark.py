"""``python -m benchmarks.spark``: a model that Spark computes, compared with Spark's own ``writeTo`` of the same query. It needs Java and the extra."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from benchmarks import data, report
from benchmarks.lake import SCHEMA, Lake
from benchmarks.measure import Measured, ratio
from benchmarks.report import Figure, seconds
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.spark.local_session import local_session
from slipway.engines.spark.spark_writer import SparkWriter
from slipway.names import TableName
from slipway.run_catalog import rest_server
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_protocol import Answer, Request, answer
from slipway.run_catalog.rest_server import serving

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME = "spark"
_MODELS = {
    "as many rows as it reads": """
        select event_id, happened_at, day, user_number, kind, amount, session,
            row_number() over (partition by user_number order by happened_at, event_id) as visit,
            sum(amount) over (partition by user_number order by happened_at, event_id
                rows between unbounded preceding and current row) as spent
        from bench.serving.events""",
    "few rows": """
        select day, kind, count(*) as events, count(distinct user_number) as users, sum(amount) as amount
        from bench.serving.events
        group by day, kind""",
}
_SMALL = "select kind, count(*) as events from bench.serving.events where event_id < 1000 group by kind"
_SMALL_MODELS = 20


@dataclass
class _Answered:
    """How long the run's catalog took for its answers, in seconds."""

    seconds: list[float] = field(default_factory=list)

    @contextmanager
    def counting(self) -> Iterator[None]:
        def timed(catalog: RunCatalog, request: Request) -> Answer:
            began = time.perf_counter()
            try:
                return answer(catalog, request)
            finally:
                self.seconds.append(time.perf_counter() - began)

        with patch.object(rest_server, "answer", timed):
            yield


class _Ways:
    """The same query written as a model of a run, and plainly, in one session of Spark."""

    def __init__(self, folder: Path, lake: Lake, catalog: RunCatalog, spark: SparkSession) -> None:
        self._lake, self._catalog, self._spark = lake, catalog, spark
        self._count = 0
        plain = {
            "": "org.apache.iceberg.spark.SparkCatalog",
            ".type": "hadoop",
            ".warehouse": f"file://{folder}/plain",
        }
        for key, value in plain.items():
            spark.conf.set(f"spark.sql.catalog.plain{key}", value)

    def _processor_time(self) -> float:
        """Seconds of this process, in which DuckDB is, and of Java: other processes of the machine affect them least."""
        java = self._spark.sparkContext._gateway.proc.pid  # noqa: SLF001 - pyspark does not say
        used = Path(f"/proc/{java}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return time.process_time() + (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")

    def slipway(self, sql: str) -> float:
        """Stage a new table, with digest and tag of the release."""
        self._count += 1
        request = WriteRequest(TableName(SCHEMA, f"made_{self._count}"), sql, "replace", "run", "release-1")
        write = SparkWriter(lambda: self._spark, self._catalog, lambda text: text)
        began = self._processor_time()
        made = write(self._lake.connection, self._lake.tables, None, request)
        took = self._processor_time() - began
        self.properties = dict(made.staged.table.properties)
        self.parts = made.seconds
        shutil.rmtree(made.staged.table.location().removeprefix("file://"))
        return took

    def plain(self, sql: str) -> float:
        """Make a table in a catalog of Iceberg's own, in a folder, with the same properties."""
        self._count += 1
        name = f"plain.{SCHEMA}.made_{self._count}"
        began = self._processor_time()
        writer = self._spark.sql(sql).writeTo(name)
        for key, value in self.properties.items():
            if key.startswith("write."):
                writer = writer.tableProperty(key, value)
        writer.createOrReplace()
        took = self._processor_time() - began
        self._spark.sql(f"drop table {name} purge")
        return took


def run(folder: Path, rows: int, repeats: int) -> tuple[list[Figure], list[str]]:
    """Measure models of both kinds, and what the run's catalog takes for some small ones."""
    figures, details = [], []
    lake = Lake(folder)
    lake.write("events", data.events(rows))
    lake.connection.execute("attach ':memory:' as bench; create schema bench.serving")
    lake.connection.execute(f"create table bench.serving.events as {data.events(1)}")
    catalog = RunCatalog(lake.tables, "20260101T000000Z-00000000", lake.tables.locations())
    with ExitStack() as stack:
        began = time.perf_counter()
        served = stack.enter_context(serving(catalog))
        listening = time.perf_counter() - began
        spark = stack.enter_context(local_session("bench", served))
        ways = _Ways(folder, lake, catalog, spark)
        for way in (ways.slipway, ways.plain):  # Java loads and compiles what all models need
            way(_SMALL)
        for what, sql in _MODELS.items():
            measured, parts = _compared(ways, sql, repeats)
            named = f"{rows / 1e6:g} M rows read, {what} written"
            figures.append(Figure(NAME, f"{named}: slipway to Spark's writeTo", ratio(*measured), goal=1.15))
            details.append(seconds(f"{NAME}, {named}", measured))
            details.append(
                f"Of slipway's last round: {', '.join(f'{key} {value:.2f} s' for key, value in parts.items())}.\n"
            )
        answered = _Answered()
        with answered.counting():
            small = sum(ways.slipway(_SMALL) for _ in range(_SMALL_MODELS))
        took = listening + sum(answered.seconds)
        figures.append(
            Figure(
                NAME, f"{_SMALL_MODELS} small models: time of the run's catalog, start included", took, "s", 1
            )
        )
        details.append(
            f"{_SMALL_MODELS} small models: {small:.1f} s of processor time, {len(answered.seconds)} requests to the catalog, the longest {max(answered.seconds):.3f} s.\n"
        )
    return figures, details


def _compared(ways: _Ways, sql: str, repeats: int) -> tuple[list[Measured], dict[str, float]]:
    """Both ways in turns, after one round that does not count."""
    contenders: list[Callable[[str], float]] = [ways.slipway, ways.plain]
    measured = [Measured("slipway"), Measured("Spark's writeTo")]
    for turn in range(repeats + 1):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        for at in order:
            took = contenders[at](sql)
            if turn:
                measured[at].seconds.append(took)
    return measured, ways.parts


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the results as a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the table that is read [10,000,000]")
    parser.add_argument("--repeats", type=int, default=3, help="rounds [3]")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where generated data goes, and is removed",
    )
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures, details = run(Path(folder), options.rows, options.repeats)
    sys.stdout.write(report.markdown(figures, details, f"On {report.machine()}."))


if __name__ == "__main__":
    main()
