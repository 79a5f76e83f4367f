"""Profiles: what is measured, of classified columns nothing but counts, which of them count, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg import types as ice
from pyiceberg.schema import Schema

from slipway.errors import ConfigError
from slipway.monitors.column_profiles import (
    ColumnProfile,
    DayColumn,
    counted,
    profile_columns,
)

SCHEMA = Schema(
    ice.NestedField(1, "day", ice.DateType()),
    ice.NestedField(2, "at", ice.TimestampType()),
    ice.NestedField(3, "kwh", ice.DecimalType(9, 2)),
    ice.NestedField(4, "site", ice.StringType()),
    ice.NestedField(5, "tags", ice.ListType(6, ice.StringType())),
)
ROWS = """(
    select
        date '2024-05-01' + (i // 100)::integer as day, day + to_minutes(i % 100) as at,
        (case when i % 10 > 0 then i % 100 end)::decimal(9, 2) as kwh, case when i % 4 = 0 then 'north' else 'it''s' end as site,
        ['x'] as tags
    from range(300) as numbers(i)
)"""
FIRST = date(2024, 5, 1)
MADE = ColumnProfile(
    "curated.weights", "kwh", FIRST, 10, 1, 5, "1", "9", 4.5, [1.0, 9.0], None, None, "a", "1", "run", datetime(2024, 5, 2, tzinfo=UTC)
)  # fmt: skip


def measured(*classified: str, day: str = "day") -> dict[tuple[str, date], dict[str, Any]]:
    days = DayColumn.of(SCHEMA, day, "curated.weights")
    condition = days.between(FIRST, FIRST + timedelta(days=1))
    with duckdb.connect() as cursor:
        found = profile_columns(cursor, ROWS, SCHEMA, days, condition, rows=300, classified=classified)
    return {(str(one["column_name"]), one["business_date"]): one for one in found}  # type: ignore[misc]


@pytest.mark.parametrize("day", ["day", "at"])
def test_each_column_is_measured_by_day(day: str) -> None:
    found = measured(day=day)
    assert {key[1] for key in found} == {FIRST, FIRST + timedelta(days=1)}
    kwh, at, site, tags = (found[name, FIRST] for name in ("kwh", "at", "site", "tags"))
    assert (kwh["row_count"], kwh["null_count"]) == (100, 10)
    assert (kwh["minimum"], kwh["maximum"], kwh["mean"]) == ("1.00", "99.00", 50.0)
    assert kwh["quantiles"] == sorted(kwh["quantiles"])
    assert (len(kwh["quantiles"]), kwh["quantiles"][0], kwh["quantiles"][-1]) == (100, 1, 99)
    assert kwh["top_values"] is None
    # a time is measured from the beginning of its day
    assert (at["quantiles"][0], at["quantiles"][-1]) == (0, 99 * 60)
    assert (site["top_values"], site["top_rows"]) == (["it's", "north"], [75, 25])
    assert (tags["null_count"], tags["quantiles"], tags["top_values"], tags["minimum"]) == (
        0,
        None,
        None,
        None,
    )


def test_no_value_of_a_classified_column_is_kept() -> None:
    hidden = measured("kwh", "site")
    values = ("minimum", "maximum", "mean", "quantiles", "top_values", "top_rows")
    assert {hidden[name, FIRST][value] for name in ("kwh", "site") for value in values} == {None}
    assert hidden["kwh", FIRST]["null_count"] == 10


def test_a_day_column_holds_days() -> None:
    with pytest.raises(ConfigError, match=r"site of curated\.weights holds no days"):
        DayColumn.of(SCHEMA, "site", "curated.weights")
    with pytest.raises(ConfigError, match=r"curated\.weights has no column year"):
        DayColumn.of(SCHEMA, "year", "curated.weights")


PROFILE = st.builds(
    lambda day, content, snapshot, second: replace(
        MADE,
        business_date=FIRST + timedelta(days=day),
        content=f"{content}",
        snapshot_id=f"{snapshot}",
        profiled_at=datetime(2024, 5, 2, 0, 0, second, tzinfo=UTC),
    ),
    *[st.integers(0, 3)] * 3,
    st.integers(0, 59),
)


@given(
    st.lists(PROFILE, max_size=20),
    st.dictionaries(st.integers(0, 3), st.integers(0, 3)),
    st.sets(st.integers(0, 3)),
)
def test_what_was_rolled_back_does_not_count(
    profiles: list[ColumnProfile], published: dict[int, int], line: set[int]
) -> None:
    contents = {FIRST + timedelta(days=day): str(content) for day, content in published.items()}
    snapshots = {str(one) for one in line}
    found = counted(profiles, contents, snapshots)
    assert len({one.business_date for one in found}) == len(found)
    for one in found:
        assert one.snapshot_id in snapshots or contents.get(one.business_date) == one.content
    # one that nobody published changes nothing
    later = replace(MADE, content="lost", snapshot_id="lost", profiled_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert counted([*profiles, later], contents, snapshots) == found
