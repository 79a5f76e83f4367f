"""Which days a run profiles and judges: those that changed; after a rollback the kept profiles of what is shown again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

from slipway.monitors.column_profiles import ColumnProfile
from slipway.monitors.table_profiles import Profiled, TableProfiles
from slipway.names import TableName

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = pa.schema([("day", pa.date32()), ("kwh", pa.float64())])
NAME = TableName("curated", "weights")
FIRST = date(2024, 5, 1)
STARTED = datetime(2024, 6, 1, tzinfo=UTC)


class Runs:
    """Runs on a table, each with the profiles that earlier ones kept."""

    def __init__(self, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
        self.table, self.kept, self.count = table, list[ColumnProfile](), 0
        monkeypatch.setattr("slipway.monitors.table_profiles.stored_profiles", lambda *_: list(self.kept))

    def land(self, day: int, *values: float) -> None:
        rows = {"day": [FIRST + timedelta(days=day)] * len(values), "kwh": list(values)}
        self.table.append(pa.Table.from_pydict(rows, SCHEMA))

    def look(self, before: Table | None, *, keep: bool = True) -> tuple[Profiled, list[int]]:
        """Profiles, and the days that were measured for them."""
        self.count += 1
        now = STARTED + timedelta(hours=self.count)
        profiles = TableProfiles(NAME, self.table, before, None, f"run {self.count}", now)
        with duckdb.connect() as cursor:
            cursor.register("weights", self.table.scan().to_arrow())
            found = profiles.column(cursor, "weights", "KWH", "day", window=10, classified=())
        if keep:
            self.kept += profiles.made
        return found, sorted({(one.business_date - FIRST).days for one in profiles.made})


@pytest.fixture(params=["by-day", "whole"])
def runs(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    catalog = SqlCatalog("t", uri="sqlite:///:memory:", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("curated")
    table = catalog.create_table(NAME, SCHEMA)
    if request.param == "by-day":
        with table.update_spec() as update:
            update.add_field("day", IdentityTransform(), "day")
    yield Runs(table, monkeypatch)
    catalog.engine.dispose()


def published(table: Table) -> Table:
    """The table as it is now, whatever is written later."""
    return table.catalog.load_table(NAME)


def days(found: Profiled) -> tuple[list[int], list[int]]:
    return [(day - FIRST).days for day in sorted(found.known)], [(day - FIRST).days for day in found.judged]


def test_what_is_published_by_nobody_leaves_no_history(runs: Runs) -> None:
    is_by_day = bool(runs.table.spec().fields)
    for day in range(3):
        runs.land(day, 1, 2)
    found, measured = runs.look(None)
    assert measured == [0, 1, 2]
    assert days(found) == ([0, 1, 2], [2])  # all of them are new: the last one is judged by the others

    first = published(runs.table)
    found, measured = runs.look(first)
    assert (measured, days(found)) == ([], ([0, 1, 2], [2]))

    # a late row and a new day
    runs.land(0, 9)
    runs.land(3, 1, 2)
    found, measured = runs.look(first)
    assert measured == ([0, 3] if is_by_day else [0, 1, 2, 3])
    assert days(found) == ([0, 1, 2, 3], [0, 3])
    assert found.known[FIRST].row_count == 3

    # it is published, and rolled back
    snapshot = first.current_snapshot()
    assert snapshot is not None
    runs.table.manage_snapshots().rollback_to_snapshot(snapshot.snapshot_id).commit()
    found, measured = runs.look(published(runs.table))
    assert (measured, days(found)) == ([], ([0, 1, 2], [2]))
    assert found.known[FIRST].row_count == 2


def test_days_that_the_table_has_no_more_are_history(runs: Runs) -> None:
    runs.land(0, 1, 2, 3)
    runs.look(None)
    first = published(runs.table)
    runs.table.overwrite(pa.Table.from_pydict({"day": [FIRST + timedelta(days=1)], "kwh": [1.0]}, SCHEMA))
    found, _ = runs.look(first, keep=False)
    assert days(found) == ([0, 1], [1])
    assert found.known[FIRST].row_count == 3
