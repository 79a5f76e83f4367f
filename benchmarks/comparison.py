"""What comparing two states of a table reads, when few of its partitions changed, which is counted; and how long it takes when all files differ."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import data, growth
from benchmarks.lake import Lake
from benchmarks.measure import Contender, interleaved, isolated, ratio
from benchmarks.report import Figure, seconds
from benchmarks.scale import Scale
from slipway.comparison.compare import compare_states
from slipway.comparison.policy import ComparisonPolicy
from slipway.comparison.shared_files import TableState
from slipway.engines.duckdb.constraints import Contract
from slipway.engines.duckdb.writer import columns_of

NAME = "comparison"
_EVERY = 100  # of so many partitions, or rows, one is changed
_LIMIT = "2GB"
_POLICY = ComparisonPolicy(key=("event_id",))


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Change one partition of a hundred, and compare by key."""
    days = scale.days[1]
    isolated(growth.by_day, folder / "lake", days, apart=scale.apart)
    share = isolated(share_read, folder / "lake", days, apart=scale.apart)
    what = f"one day of {min(days, _EVERY)} changed, of {days}: bytes read to bytes of both states"
    figures, details = keyed(folder / "keyed", scale, _POLICY.key)
    more, others = keyed(folder / "unpromised", scale, ())
    return [Figure(NAME, what, share, goal=0.03), *figures, *more], [*details, *others]


def keyed(lake: Path, scale: Scale, promised: Sequence[str]) -> tuple[list[Figure], list[str]]:
    """Compare two tables that share no file, by key, with the same limit of memory for DuckDB as its own join has.

    Args:
        lake: the folder that gets them.
        scale: how many rows, and how often.
        promised: the key as a contract has it, so that it is known to be unique; empty where the comparison has to find that out.
    """
    rows, folder = scale.compared_rows, lake.parent
    isolated(make, lake, rows, promised, apart=scale.apart)
    measured = interleaved(
        [Contender("slipway", slipway, (lake, rows)), Contender("full outer join", join, (lake, rows))],
        scale.repeats,
        folder,
        apart=scale.apart,
    )
    by = "by key" if promised else "by a key of no contract"
    what = f"{rows / 1e6:g} M rows {by}, 1 % changed, no file shared, DuckDB limited to {_LIMIT}"
    figures = [Figure(NAME, f"{what}: slipway to a bare full outer join", ratio(*measured), goal=2)]
    if measured[0].peak:
        peak = max(measured[0].peak) / 2**20
        figures.append(Figure(NAME, f"{what}: peak resident memory", peak, "MiB", goal=2048))
    return figures, [seconds(f"{NAME}, {what}", measured)]


def make(folder: Path, rows: int, promised: Sequence[str]) -> None:
    """Two tables, of which one row in a hundred differs in one column; with the primary key of a contract, or without a contract."""
    folder.mkdir()
    lake = Lake(folder)
    names = [name for name, _ in columns_of(lake.connection, f"({data.events(1)})")]
    key = list(promised)
    contract = Contract(dict.fromkeys(names), key, [key], key=key) if key else None
    lake.write("before", data.events(rows), contract=contract)
    amount = f"case when event_id % {_EVERY} = 7 then amount + 1 else amount end"
    after = f"select * replace (({amount})::decimal(12, 2) as amount) from ({data.events(rows)})"
    lake.write("after", after, contract=contract)


def slipway(_: Path, folder: Path, rows: int) -> float:
    """Everything that a report says of the rows of one table."""
    lake = Lake(folder, _LIMIT)
    base, head = (TableState(lake.table(name)) for name in ("before", "after"))
    began = time.perf_counter()
    found = compare_states(lake.connection, "serving.events", base, head, _POLICY)
    elapsed = time.perf_counter() - began
    assert (found.rows.changed, found.rows.added, found.rows.removed) == (rows // _EVERY, 0, 0), found.rows
    return elapsed


def join(_: Path, folder: Path, rows: int) -> float:
    """How many rows are only on one side, and how many differ in any column."""
    lake = Lake(folder, _LIMIT)
    before, after = (f"iceberg_scan('{lake.table(name).metadata_location}')" for name in ("before", "after"))
    began = time.perf_counter()
    found = lake.connection.execute(
        f"""select
            count(*) filter (base.event_id is null),
            count(*) filter (head.event_id is null),
            count(*) filter (base.event_id is not null and head.event_id is not null and base is distinct from head)
        from {before} as base full join {after} as head using (event_id)"""
    ).fetchone()
    elapsed = time.perf_counter() - began
    assert found == (0, 0, rows // _EVERY), found
    return elapsed


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
