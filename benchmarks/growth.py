"""What one more day costs on a table that has many days, and on one that has many snapshots: only the time of writing."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks import data
from benchmarks.lake import Lake
from benchmarks.measure import Contender, interleaved, isolated, ratio
from benchmarks.report import Figure, seconds
from benchmarks.scale import Scale

NAME = "growth"
ROWS = 10_000  # a day
_TIMES = 5  # writes that are timed in a row


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Add days to a table of few and of many days, and to one of few and of many snapshots."""
    figures, details = [], []
    for kind, (few, many), goal, make in (
        ("days", scale.days, 1.2, by_day),
        ("snapshots", scale.snapshots, 1.3, by_snapshot),
    ):
        for number in (few, many):
            isolated(make, folder / f"{kind}-{number}", number, apart=scale.apart)
        contenders = [
            Contender(
                f"{number} {kind}, {strategy}", add_a_day, (folder / f"{kind}-{number}", number, strategy)
            )
            for strategy in ("append", "insert_overwrite")
            for number in (few, many)
        ]
        measured = interleaved(contenders, scale.repeats, folder, apart=scale.apart)
        for at, strategy in ((0, "append"), (2, "insert_overwrite")):
            what = f"one day onto {many} {kind} to onto {few}, {strategy}"
            limit = goal if strategy == "append" else None
            figures.append(Figure(NAME, what, ratio(measured[at + 1], measured[at]), goal=limit))
        details.append(seconds(f"{NAME}, {kind}", measured))
        for number in (few, many):
            shutil.rmtree(folder / f"{kind}-{number}")
    return figures, details


def by_day(folder: Path, number: int) -> None:
    """A table of many day partitions in one snapshot."""
    folder.mkdir()
    Lake(folder).write("events", data.events(number * ROWS, days=number), partitioned_by=["day"])


def by_snapshot(folder: Path, number: int) -> None:
    """A table that a day was added to in each of many snapshots."""
    folder.mkdir()
    lake = Lake(folder)
    for day in range(number):
        lake.write("events", one_day(day), "append", partitioned_by=["day"])


def add_a_day(_: Path, table: Path, day: int, strategy: str) -> float:
    """Seconds of writing and publishing one day, the mean of a few, each as if a run began."""
    lake = Lake(table)
    lake.warm()
    name = lake.again("events")
    total = 0.0
    for turn in range(_TIMES):
        run = Lake(table)
        began = time.perf_counter()
        run.write(name, one_day(day + turn), strategy, partitioned_by=["day"])
        total += time.perf_counter() - began
    return total / _TIMES


def one_day(day: int) -> str:
    """A query for the events of one day, the first being day 0."""
    return data.events((day + 1) * ROWS, days=day + 1, start=day * ROWS)
