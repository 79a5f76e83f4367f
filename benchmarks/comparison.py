"""What comparing two states of a table reads, when few of its partitions changed: counted, not timed."""

from __future__ import annotations

from pathlib import Path

from benchmarks import growth
from benchmarks.lake import Lake
from benchmarks.measure import alone
from benchmarks.report import Figure
from benchmarks.scale import Scale
from slipway.comparison.compare import compare_states
from slipway.comparison.policy import ComparisonPolicy
from slipway.comparison.shared_files import TableState

NAME = "comparison"
_EVERY = 100  # of so many partitions, one is changed


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Change one partition of a hundred, and compare by key."""
    days = scale.days[1]
    alone(growth.by_day, folder / "lake", days, apart=scale.apart)
    share = alone(share_read, folder / "lake", days, apart=scale.apart)
    what = f"one day of {min(days, _EVERY)} changed, of {days}: bytes read to bytes of both states"
    return [Figure(NAME, what, share, goal=0.03)], []


def share_read(folder: Path, days: int) -> float:
    """Bytes that the process reads to compare both states, metadata included, to the bytes of all their data files."""
    lake = Lake(folder)
    base = TableState(lake.table("events"))
    changed = [growth.one_day(day).replace(" as amount", " + 1 as amount") for day in range(0, days, _EVERY)]
    lake.write("events", " union all ".join(changed), "insert_overwrite", partitioned_by=["day"])
    head = TableState(lake.table("events"))
    before = _bytes_read()
    found = compare_states(lake.connection, "serving.events", base, head, ComparisonPolicy(key=("event_id",)))
    read = _bytes_read() - before
    assert found.rows.changed == growth.ROWS * len(changed), found.rows
    return read / sum(file.file_size_in_bytes for file in [*base.files, *head.files])


def _bytes_read() -> int:
    """Bytes that this process has read so far, as Linux counts them."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])
