"""One per cent of changed keys, all of one day, merged into a day-partitioned table: only the write, without dbt."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks import data
from benchmarks.lake import SCHEMA, Lake
from benchmarks.measure import Contender, interleaved, isolated, ratio
from benchmarks.report import Figure, seconds
from benchmarks.scale import Scale

NAME = "merge"
_FEW_ROWS = 1_000_000  # above, a round of pyiceberg's upsert takes many minutes, and one tells enough


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Merge into a table of the scale's rows."""
    rows, days = scale.merge_rows, 100
    isolated(make, folder / "lake", rows, days, apart=scale.apart)
    touched = isolated(files_touched, folder / "lake", rows, days, apart=scale.apart)
    arguments = (folder / "lake", rows, days)
    measured = interleaved(
        [
            Contender("slipway merge", slipway, arguments),
            Contender("pyiceberg upsert", upsert, arguments),
            Contender("pyiceberg overwrite of the day", overwrite, arguments),
        ],
        min(scale.repeats, 3) if rows <= _FEW_ROWS else 1,
        folder,
        apart=scale.apart,
    )
    what = f"1 % of {rows / 1e6:g} M rows"
    return [
        Figure(
            NAME,
            f"{what}: pyiceberg upsert to slipway",
            ratio(measured[1], measured[0]),
            goal=20,
            at_least=True,
        ),
        Figure(NAME, f"{what}: pyiceberg overwrite to slipway", ratio(measured[2], measured[0])),
        Figure(NAME, f"{what}: files rewritten without a changed key", touched, "files", goal=0),
    ], [seconds(f"{NAME}, {what}", measured)]


def make(folder: Path, rows: int, days: int) -> None:
    """The table that is merged into."""
    folder.mkdir()
    Lake(folder).write("events", data.events(rows, days=days), partitioned_by=["day"])


def changed(rows: int, days: int) -> str:
    """A query for every row of one day in the middle, with another amount."""
    day, each = days // 2, rows // days
    middle = data.events((day + 1) * each, days=day + 1, start=day * each)
    return f"select * replace ((amount + 1)::decimal(12, 2) as amount) from ({middle})"


def slipway(_: Path, table: Path, rows: int, days: int) -> float:
    """Stage and publish a merge by key."""
    lake = Lake(table)
    lake.warm()
    name = lake.again("events")
    began = time.perf_counter()
    lake.write(name, changed(rows, days), "merge", unique_key=["event_id"], partitioned_by=["day"])
    return time.perf_counter() - began


def upsert(_: Path, table: Path, rows: int, days: int) -> float:
    """The same from Arrow by pyiceberg."""
    lake = Lake(table)
    lake.warm()
    name = lake.again("events")
    began = time.perf_counter()
    new = lake.connection.sql(changed(rows, days)).to_arrow_table()
    lake.tables.catalog.load_table((SCHEMA, name)).upsert(new, join_cols=["event_id"])
    return time.perf_counter() - began


def overwrite(_: Path, table: Path, rows: int, days: int) -> float:
    """The day as a whole replaced by pyiceberg, for who knows that nothing else changed."""
    lake = Lake(table)
    lake.warm()
    name = lake.again("events")
    began = time.perf_counter()
    new = lake.connection.sql(changed(rows, days)).to_arrow_table()
    day = new.column("day")[0].as_py()
    lake.tables.catalog.load_table((SCHEMA, name)).overwrite(new, overwrite_filter=f"day == '{day}'")
    return time.perf_counter() - began


def files_touched(table: Path, rows: int, days: int) -> int:
    """How many files the merge replaced although no changed key is in them."""
    lake = Lake(table)
    name = lake.again("events")
    before = {task.file.file_path: task.file for task in lake.table("events").scan().plan_files()}
    lake.write(name, changed(rows, days), "merge", unique_key=["event_id"], partitioned_by=["day"])
    after = {task.file.file_path for task in lake.table(name).scan().plan_files()}
    found = 0
    for path in before.keys() - after:
        keys = f"select event_id from '{path.removeprefix('file://')}'"
        hits = lake.connection.execute(
            f"select count(*) from ({keys}) semi join ({changed(rows, days)}) using (event_id)"
        )
        found += hits.fetchall()[0][0] == 0
    return found
