"""Rows by day from metadata are those that a scan counts, in tables that pyiceberg writes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.transforms import DayTransform, IdentityTransform, MonthTransform

from slipway.monitors.volumes import _day, days_of_partitions, days_of_snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.table import Table
    from pyiceberg.transforms import Transform

SCHEMA = pa.schema([("day", pa.date32()), ("at", pa.timestamp("us")), ("n", pa.int64())])
FIRST = date(2024, 5, 1)


def rows(*days: int) -> pa.Table:
    """One row for each number: a day of May 2024."""
    found = [FIRST + timedelta(days=one - 1) for one in days]
    times = [datetime.fromisoformat(f"{one}T23:59") for one in found]
    return pa.Table.from_pydict({"day": found, "at": times, "n": list(range(len(days)))}, SCHEMA)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    found = SqlCatalog("t", uri="sqlite:///:memory:", warehouse=f"file://{tmp_path}")
    found.create_namespace("curated")
    yield found
    found.engine.dispose()


def made(catalog: SqlCatalog, column: str, transform: Transform[Any, Any] | None) -> Table:
    table = catalog.create_table("curated.readings", SCHEMA)
    if transform is not None:
        with table.update_spec() as update:
            update.add_field(column, transform, "part")
    return table


@pytest.mark.parametrize(
    ("column", "transform"),
    [("day", IdentityTransform()), ("day", DayTransform()), ("at", DayTransform())],
    ids=["date", "day-of-date", "day-of-time"],
)
def test_partitions_tell_rows_by_day(
    catalog: SqlCatalog, column: str, transform: Transform[Any, Any]
) -> None:
    table = made(catalog, column, transform)
    table.append(rows(1, 1, 2))
    before = days_of_partitions(table, column.upper())
    table.append(rows(2, 3, 3, 3))
    found = days_of_partitions(table, column)
    assert found is not None
    assert before is not None
    counted = Counter(table.scan().to_arrow().column("day").to_pylist())
    assert {day: one.rows for day, one in found.items()} == counted
    assert {day for day, one in found.items() if before.get(day) != one} == {
        date(2024, 5, 2),
        date(2024, 5, 3),
    }
    table.delete("day == '2024-05-03'")
    assert sorted(days_of_partitions(table, column) or {}) == [date(2024, 5, 1), date(2024, 5, 2)]


@pytest.mark.parametrize("transform", [None, MonthTransform()], ids=["none", "month"])
def test_other_partitions_do_not_tell(catalog: SqlCatalog, transform: Transform[Any, Any] | None) -> None:
    table = made(catalog, "day", transform)
    table.append(rows(1))
    assert days_of_partitions(table, "day") is None


def test_files_of_an_earlier_spec_do_not_tell(catalog: SqlCatalog) -> None:
    table = made(catalog, "day", None)
    table.append(rows(1))
    with table.update_spec() as update:
        update.add_field("day", IdentityTransform(), "part")
    table.append(rows(2))
    assert days_of_partitions(table, "day") is None


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (None, None),
        (FIRST, FIRST),
        (0, date(1970, 1, 1)),
        (19844, FIRST),
        (date.min.toordinal() - date(1970, 1, 1).toordinal() - 1, None),
        (date.max.toordinal() - date(1970, 1, 1).toordinal(), date.max),
        (date.max.toordinal() - date(1970, 1, 1).toordinal() + 1, None),
    ],
)
def test_days_that_no_calendar_has_are_left_out(value: date | int | None, day: date | None) -> None:
    assert _day(value) == day


def test_snapshots_tell_what_was_added_and_what_was_rolled_back_does_not_count(catalog: SqlCatalog) -> None:
    table = made(catalog, "day", None)
    assert days_of_snapshots(table) == {}
    table.append(rows(1, 2))
    table.append(rows(3, 4, 5))
    good = table.current_snapshot()
    assert good is not None
    today = datetime.fromtimestamp(good.timestamp_ms / 1000, UTC).date()
    assert days_of_snapshots(table) == {today: 5}
    table.append(rows(6))
    table.manage_snapshots().rollback_to_snapshot(good.snapshot_id).commit()
    assert days_of_snapshots(table) == {today: 5}
    table.overwrite(rows(1, 2, 3, 4, 5, 6, 7))
    assert days_of_snapshots(table, "total") == {today: 7}
    assert days_of_snapshots(table)[today] == 7
