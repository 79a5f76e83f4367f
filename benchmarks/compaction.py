"""Small files of a partitioned table compacted to files of 128 MiB: only the write, without dbt."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import data
from benchmarks.lake import COMPRESSION, SCHEMA, Lake
from benchmarks.measure import Contender, interleaved, isolated, ratio
from benchmarks.report import Figure, seconds
from benchmarks.scale import Scale
from slipway.engines.duckdb.compact import Shorten, stage_shortened
from slipway.iceberg.commit import publish
from slipway.maintenance.retention import History, TableHistory, pack
from slipway.maintenance.survey import layout_of
from slipway.names import TableName

NAME = "compaction"
ROWS = 2_000  # of a file
DAYS = 20
_MEMORY = "512MB"
_MOST = 1000  # MiB of the process


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Compact the files of a table, compared with pyiceberg, which reads and overwrites it."""
    files = scale.small_files
    isolated(make, folder / "lake", files, apart=scale.apart)
    measured = interleaved(
        [
            Contender("slipway", slipway, (folder / "lake",)),
            Contender("pyiceberg read and overwrite", read_and_overwrite, (folder / "lake",)),
        ],
        min(scale.repeats, 3),
        folder,
        apart=scale.apart,
    )
    what = f"{files:,} files of {ROWS:,} rows"
    figures = [
        Figure(
            NAME,
            f"{what}: pyiceberg read and overwrite to slipway",
            ratio(measured[1], measured[0]),
            goal=3,
            at_least=True,
        )
    ]
    if measured[0].peak:
        peak = max(measured[0].peak) / 2**20
        figures.append(
            Figure(
                NAME, f"{what}, DuckDB limited to {_MEMORY}: peak resident memory", peak, "MiB", goal=_MOST
            )
        )
    return figures, [seconds(f"{NAME}, {what}", measured)]


def make(folder: Path, files: int) -> None:
    """A table of which each write added a file to each of some days."""
    folder.mkdir()
    lake = Lake(folder)
    days = min(DAYS, files // 5)
    for turn in range(files // days):
        rows = data.events(days * ROWS * (turn + 1), days=days * (turn + 1), start=days * ROWS * turn)
        part = f"select * replace ((date '2024-01-01' + (event_id // {ROWS} % {days})::integer) as day) from ({rows})"
        lake.write("events", part, "append", partitioned_by=["day"], table_properties=COMPRESSION)


def slipway(_: Path, table: Path) -> float:
    """Find the small files, write them again, compare the digests, and publish."""
    lake = Lake(table, _MEMORY)
    lake.warm()
    name = lake.again("events")
    began = time.perf_counter()
    location = lake.tables.locations()[TableName(SCHEMA, name)]
    now = datetime.now(UTC)
    history = History(now, now - now, {f"{SCHEMA}.{name}": TableHistory(location, None, {})})
    layout = layout_of(lake.tables, history, f"{SCHEMA}.{name}")
    bins = [[file.path for file in one.files] for one in pack(layout.files, layout.target)]
    assert sum(map(len, bins)) == len(layout.files)
    what = Shorten(TableName(SCHEMA, name), location, bins)
    publish(lake.tables, [stage_shortened(lake.connection, lake.tables, what, "compacted")])
    return time.perf_counter() - began


def read_and_overwrite(_: Path, table: Path) -> float:
    """The only way that pyiceberg has: all rows through Arrow."""
    lake = Lake(table)
    lake.warm()
    name = lake.again("events")
    began = time.perf_counter()
    found = lake.tables.catalog.load_table((SCHEMA, name))
    found.overwrite(found.scan().to_arrow())
    return time.perf_counter() - began
