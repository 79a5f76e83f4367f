"""Which data files a reader opens: counted, not timed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pyiceberg.expressions import EqualTo

from benchmarks import data, growth
from benchmarks.lake import Lake
from benchmarks.measure import isolated
from benchmarks.report import Figure
from benchmarks.scale import Scale

NAME = "pruning"


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Read one day of many."""
    days = scale.days[1]
    isolated(growth.by_day, folder / "lake", days, apart=scale.apart)
    by_duckdb, by_pyiceberg = isolated(files_opened, folder / "lake", days, apart=scale.apart)
    return [
        Figure(NAME, f"one day of {days} by DuckDB", by_duckdb, "files", goal=1),
        Figure(NAME, f"one day of {days} by pyiceberg", by_pyiceberg, "files", goal=1),
    ], []


def files_opened(folder: Path, days: int) -> tuple[int, int]:
    """Data files that DuckDB and pyiceberg open for one day in the middle.

    DuckDB's number is of its own profile, after every other day's file was taken away, so it could open none of them.
    """
    lake = Lake(folder)
    table = lake.table("events")
    day = data.FIRST_DAY + timedelta(days=days // 2)
    planned = [task.file.file_path for task in table.scan(row_filter=EqualTo("day", day)).plan_files()]  # type: ignore[misc,call-arg]
    for task in table.scan().plan_files():
        if task.file.file_path not in planned:
            Path(task.file.file_path.removeprefix("file://")).unlink()
    lake.connection.execute("pragma enable_profiling = 'no_output'")
    lake.connection.execute("""pragma custom_profiling_settings = '{"EXTRA_INFO": "true"}'""")
    scan = f"iceberg_scan('{table.metadata_location.removeprefix('file://')}')"
    (count,) = lake.connection.execute(f"select count(amount) from {scan} where day = ?", [day]).fetchall()[0]
    assert count == growth.ROWS
    profile = json.loads(lake.connection.get_profiling_information(format="json"))
    return sum(_files_read(profile)), len(planned)


def _files_read(operator: dict[str, Any]) -> Sequence[int]:
    own = operator.get("extra_info", {})
    found = [int(own["Total Files Read"])] if isinstance(own, dict) and "Total Files Read" in own else []
    return [*found, *(number for child in operator.get("children", []) for number in _files_read(child))]
