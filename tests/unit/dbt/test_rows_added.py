"""Predicates that say what came in: never a row too few, and no partition that was left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway.dbt.inputs import partitions_changed, rows_added
from slipway.engines.duckdb.compact import Shorten, stage_shortened
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

QUICK = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def append(lake: Lake, *keys: int) -> str:
    """Append rows as a run of its own does, and return the snapshot."""
    run = f"run-{lake.writes + 1}"
    listed = ", ".join(f"({key})" for key in keys) or "(null)"
    sql = f"select k::integer as k, '{run}' as _run_id from (values {listed}) as rows(k) where k is not null"
    result = lake.write(sql, "append", snapshot_properties={"slipway.run-id": run})
    return str(result.staged.snapshot_id)


def selected(lake: Lake, predicate: str) -> list[int]:
    return [
        row[0]
        for row in lake.connection.execute(
            f"select k from {lake.scan} where {predicate} order by k"
        ).fetchall()
    ]


def test_rows_since_a_snapshot(lake: Lake) -> None:
    first = append(lake, 1, 2)
    second = append(lake, 3)
    third = append(lake, 4)
    assert selected(lake, rows_added(lake.table, first)) == [3, 4]
    assert selected(lake, rows_added(lake.table, second)) == [4]
    assert rows_added(lake.table, third) == "false"


def test_a_compaction_brings_no_rows(lake: Lake) -> None:
    first = append(lake, 1, 2)
    second = append(lake, 3)
    before = lake.table
    what = Shorten(TableName("layer", "thing"), before.metadata_location, [sorted(lake.files())])
    lake.base = stage_shortened(lake.connection, lake.tables, what, "compacted").table
    assert len(lake.files()) == 1
    assert lake.table.metadata.current_snapshot_id != before.metadata.current_snapshot_id
    assert selected(lake, rows_added(lake.table, first)) == [3]
    assert rows_added(lake.table, second) == "false"
    third = append(lake, 4)
    assert selected(lake, rows_added(lake.table, second)) == [4]
    assert rows_added(lake.table, third) == "false"


@pytest.mark.parametrize("consumed", [None, "", "17", "landing:abc", "none"])
def test_what_is_not_known_is_read_whole(lake: Lake, consumed: str | None) -> None:
    append(lake, 1)
    assert rows_added(lake.table, consumed) == "true"
    assert partitions_changed(lake.table, consumed, "k") == "true"


def test_what_is_no_table_is_read_whole() -> None:
    assert rows_added(None, "1") == "true"
    assert partitions_changed(None, "1", "k") == "true"


def test_a_table_that_was_not_only_appended_to_is_read_whole(lake: Lake) -> None:
    first = append(lake, 1, 2)
    lake.write("select unnest([2, 3]) as k, 'run-2' as _run_id", "merge", unique_key=["k"])
    assert rows_added(lake.table, first) == "true"
    second = str(lake.table.current_snapshot().snapshot_id)  # type: ignore[union-attr]
    append(lake, 5)
    assert selected(lake, rows_added(lake.table, second)) == [5]


def test_a_run_with_an_apostrophe_is_quoted(lake: Lake) -> None:
    first = append(lake, 1)
    lake.write("select 2 as k, 'it''s' as _run_id", "append", snapshot_properties={"slipway.run-id": "it's"})
    assert "slipway.run-id" in lake.table.current_snapshot().summary.additional_properties  # type: ignore[union-attr]
    assert rows_added(lake.table, first).startswith("_run_id in ('")


PARTITIONS = ("null", "date '1969-12-31'", "date '2024-02-29'", "date '2024-03-01'")
records = st.tuples(st.integers(0, 4), st.sampled_from(PARTITIONS), st.integers(0, 2))
steps = st.tuples(
    st.sampled_from(["append", "merge", "insert_overwrite"]), st.lists(records, min_size=1, max_size=3)
)


def write(lake: Lake, strategy: str, rows: list[tuple[int, str, int]]) -> None:
    unique = {row[0]: row for row in rows}
    listed = ", ".join(
        f"({k}, {day}, {v})" for k, day, v in (unique.values() if strategy == "merge" else rows)
    )
    lake.write(
        f"select k::integer as k, day::date as day, v::integer as v from (values {listed}) as rows(k, day, v)",
        strategy,
        unique_key=["k"],
        partitioned_by=["day"],
    )


def by_day(lake: Lake, where: str = "true") -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    query = f"select coalesce(day::varchar, 'null'), k, v from {lake.scan} where {where} order by all"
    for day, key, value in lake.connection.execute(query).fetchall():
        found.setdefault(day, []).append((key, value))
    return found


@QUICK
@given(st.lists(steps, min_size=1, max_size=3), st.lists(steps, min_size=1, max_size=3))
def test_every_partition_that_differs_is_selected(
    lakes: Iterator[Lake],
    before: list[tuple[str, list[tuple[int, str, int]]]],
    after: list[tuple[str, list[tuple[int, str, int]]]],
) -> None:
    lake = next(lakes)
    for strategy, rows in before:
        write(lake, strategy, rows)
    consumed, old = str(lake.table.current_snapshot().snapshot_id), by_day(lake)  # type: ignore[union-attr]
    for strategy, rows in after:
        write(lake, strategy, rows)
    new = by_day(lake)
    predicate = partitions_changed(lake.table, consumed, "day")
    chosen = by_day(lake, predicate)
    different = {day for day in old.keys() | new.keys() if old.get(day) != new.get(day)}
    assert different & new.keys() <= chosen.keys()
    # a day that is chosen is chosen whole
    assert all(new[day] == rows for day, rows in chosen.items())
    if lake.table.current_snapshot().snapshot_id == int(consumed):  # type: ignore[union-attr]
        assert predicate == "false"


def test_partitions_that_did_not_change_are_not_read(lake: Lake) -> None:
    write(lake, "append", [(1, PARTITIONS[1], 1), (2, PARTITIONS[2], 1), (3, PARTITIONS[0], 1)])
    consumed = str(lake.table.current_snapshot().snapshot_id)  # type: ignore[union-attr]
    write(lake, "merge", [(2, PARTITIONS[3], 5)])
    # the row moved from one day to another: both are found
    assert (
        partitions_changed(lake.table, consumed, "day")
        == "(\"day\" in (date '2024-02-29', date '2024-03-01'))"
    )
    write(lake, "merge", [(3, PARTITIONS[0], 9)])
    assert partitions_changed(lake.table, consumed, "day").endswith('or "day" is null)')


@pytest.mark.parametrize(
    ("kind", "partition", "column"),
    [
        pytest.param("varchar", "c", "c", id="text"),
        pytest.param("integer", "c", "c", id="integer"),
        pytest.param("bigint", "c", "c", id="bigint"),
        pytest.param("date", "day(c)", "c", id="day-of-a-date"),
    ],
)
def test_other_partitions_that_a_predicate_can_name(
    lake: Lake, kind: str, partition: str, column: str
) -> None:
    values = {"varchar": ("'it''s'", "'b'"), "date": ("date '2024-01-01'", "date '2024-01-02'")}.get(
        kind, ("1", "2")
    )
    lake.write(f"select {values[1]}::{kind} as c, 1 as n", partitioned_by=[partition])
    consumed = str(lake.table.current_snapshot().snapshot_id)  # type: ignore[union-attr]
    lake.write(f"select {values[0]}::{kind} as c, 2 as n", "append", partitioned_by=[partition])
    predicate = partitions_changed(lake.table, consumed, column)
    assert lake.connection.execute(f"select n from {lake.scan} where {predicate}").fetchall() == [(2,)]


@pytest.mark.parametrize("partition", ["month(c)", "bucket(4, c)", "n"])
def test_partitions_that_a_predicate_cannot_name_are_read_whole(lake: Lake, partition: str) -> None:
    lake.write("select date '2024-01-01' as c, 1 as n", partitioned_by=[partition])
    consumed = str(lake.table.current_snapshot().snapshot_id)  # type: ignore[union-attr]
    lake.write("select date '2024-01-02' as c, 1 as n", "append", partitioned_by=[partition])
    assert partitions_changed(lake.table, consumed, "c") == "true"


def test_a_rebuilt_table_is_read_whole(lake: Lake) -> None:
    write(lake, "append", [(1, PARTITIONS[1], 1)])
    consumed = str(lake.table.current_snapshot().snapshot_id)  # type: ignore[union-attr]
    write(lake, "replace", [(2, PARTITIONS[2], 1)])
    assert partitions_changed(lake.table, consumed, "day") == "true"
