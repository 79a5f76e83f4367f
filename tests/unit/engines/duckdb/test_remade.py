"""Whether a write left rows of before, against what the rows themselves say."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from slipway.engines.duckdb.batches import BatchedTable, Window
from slipway.engines.duckdb.request import Remade, WriteRequest
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

BASE = "select * from (values (date '2024-01-01', 1, 'old'), (date '2024-01-02', 2, 'old')) t(d, k, code)"
NEW = "select date '{}' as d, {} as k, 'new' as code"
BOTH = f"{NEW.format('2024-01-01', 1)} union all {NEW.format('2024-01-02', 2)}"
DAYS = {"partitioned_by": ["d"]}
KEYED = {"unique_key": ["k"]}
MONTHS = {"partitioned_by": ["month(d)"]}


@pytest.mark.parametrize(
    ("sql", "strategy", "options", "remade"),
    [
        (BOTH, "replace", {}, Remade.ALL),
        (BASE, "replace", {}, Remade.ALL),
        (BOTH, "append", {}, Remade.SOME),
        (f"{BOTH} limit 0", "append", {}, Remade.NONE),
        (BOTH, "merge", KEYED, Remade.SOME),  # it may keep rows of the files that it rewrites
        (BOTH, "delete+insert", KEYED, Remade.SOME),
        (f"{BASE} limit 1", "merge", KEYED, Remade.NONE),
        (BOTH, "insert_overwrite", DAYS, Remade.ALL),
        (NEW.format("2024-01-01", 1), "insert_overwrite", DAYS, Remade.SOME),
        (f"{BOTH} limit 0", "insert_overwrite", DAYS, Remade.NONE),
        (NEW.format("2024-01-01", 1), "insert_overwrite", {}, Remade.ALL),  # the whole table is one partition
        (BOTH, "insert_overwrite", MONTHS, Remade.SOME),  # files of another spec: not known without reading
    ],
)
def test_what_a_write_made(
    lake: Lake, sql: str, strategy: str, options: dict[str, list[str]], remade: Remade
) -> None:
    lake.write(BASE, partitioned_by=["d"])
    found: list[Remade] = []

    def described(made: Remade) -> dict[str, str]:
        found.append(made)
        return {}

    def confirm(_: int, made: Remade) -> dict[str, str]:
        found.append(made)
        return {}

    lake.write(sql, strategy, described=described, confirm=confirm, **options)
    assert set(found) == {remade}
    old = [row for row in lake.by_duckdb() if row[2] == "old"]
    assert (remade is Remade.ALL) <= (not old or sql == BASE)
    if remade is Remade.NONE:
        assert len(old) == 2


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("days", [[1], [2], [1, 2]])
@pytest.mark.parametrize("partitioned", [True, False])
def test_what_batches_made(lake: Lake, partitioned: bool, days: list[int], full: bool) -> None:
    """Two batches that replace both days leave no row of before; but one file of both days is carried in part."""
    lake.write(BASE, partitioned_by=["d"] if partitioned else [])
    table = BatchedTable(lake.tables, lake.base, full=full)
    found: list[Remade] = []

    def confirm(_: int, made: Remade) -> dict[str, str]:
        found.append(made)
        return {}

    for day in days:
        start = dt.datetime(2024, 1, day, tzinfo=dt.UTC)
        request = WriteRequest(
            TableName("layer", "thing"),
            NEW.format(f"2024-01-0{day}", day),
            "microbatch",
            run_id="run-2",
            release="release-2",
            partitioned_by=["d"] if partitioned else [],
            confirm=confirm,
        )
        table.write(lake.connection.cursor(), request, Window("d", start, start + dt.timedelta(days=1)))
    lake.base = table.stage(request).staged.table
    old = [row for row in lake.by_duckdb() if row[2] == "old"]
    assert found == [Remade.ALL if full or (partitioned and len(days) == 2) else Remade.SOME]
    assert not old or found == [Remade.SOME]
