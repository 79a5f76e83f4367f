"""A table with a long history: what is staged is what pyiceberg would make of it, and manifests stay few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table.update import update_table_metadata

from slipway.dbt.inputs import partitions_changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.conftest import Lake

FEW = {"commit.manifest.min-count-to-merge": "4"}


def day(number: int, kilos: int = 0) -> str:
    return f"select {number} as id, date '2024-01-01' + {number} as day, {kilos} as kilos"


def manifests(lake: Lake) -> int:
    current = lake.table.current_snapshot()
    assert current is not None
    return len(current.manifests(lake.table.io))


def test_staged_metadata_is_what_pyiceberg_makes_of_the_same_updates(lake: Lake) -> None:
    lake.write(day(0), partitioned_by=["day"])
    for strategy, sql in (
        ("append", day(1)),
        ("merge", day(1, 5)),
        ("append", f"select *, 'x' as note from ({day(2)})"),
        ("replace", day(3)),
    ):
        base = lake.table
        before = base.metadata.model_dump_json()
        staged = lake.write(
            sql, strategy, unique_key=["id"], on_schema_change="append_new_columns", partitioned_by=["day"]
        ).staged
        expected = update_table_metadata(
            base.metadata, staged.updates, metadata_location=base.metadata_location
        )
        assert staged.table.metadata == expected
        assert base.metadata.model_dump_json() == before


def test_same_content_moves_the_time_of_the_last_update(lake: Lake) -> None:
    lake.write(day(0))
    before = lake.table.metadata.last_updated_ms
    assert lake.write(day(0), confirm=lambda snapshot, _: {"confirmed": str(snapshot)}).same_content
    assert lake.table.metadata.last_updated_ms > before
    assert lake.table.metadata.metadata_log[-1].timestamp_ms == before


def test_manifests_of_appends_are_merged(lake: Lake) -> None:
    lake.write(day(0), table_properties=FEW, partitioned_by=["day"])
    counts = []
    for number in range(1, 12):
        lake.write(day(number), "append", partitioned_by=["day"])
        counts.append(manifests(lake))
    # 1 of the first build; the fourth joins them into one, and so on
    assert counts == [2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]
    lake.check([(n, n_th, 0) for n, n_th in dates(12)])
    for at, snapshot in enumerate(lake.table.snapshots()):
        read = lake.table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        assert sorted(read.column("id").to_pylist()) == list(range(at + 1))


def test_merging_can_be_turned_off(lake: Lake) -> None:
    lake.write(day(0), table_properties={**FEW, "commit.manifest-merge.enabled": "false"})
    for number in range(1, 6):
        lake.write(day(number), "append")
    assert manifests(lake) == 6


def test_manifests_that_only_tell_of_deletions_do_not_pile_up(lake: Lake) -> None:
    lake.write(day(0), partitioned_by=["day"])
    for kilos in range(1, 6):
        lake.write(day(0, kilos), "merge", unique_key=["id"], partitioned_by=["day"])
        # what this snapshot added, and what it deleted
        assert manifests(lake) == 2
    lake.check([(0, dates(1)[0][1], 5)])


def test_changed_partitions_are_found_in_a_snapshot_that_merged_manifests(lake: Lake) -> None:
    lake.write(day(0), table_properties=FEW, partitioned_by=["day"])
    lake.write(day(1), "append", partitioned_by=["day"])
    visible = lake.table.current_snapshot()
    assert visible is not None
    lake.write(day(2), "append", partitioned_by=["day"])
    lake.write(day(3), "append", partitioned_by=["day"])
    lake.write(day(1, 7), "merge", unique_key=["id"], partitioned_by=["day"])
    assert manifests(lake) < 5
    predicate = partitions_changed(lake.table, str(visible.snapshot_id), "day")
    found = lake.connection.execute(f"select id from {lake.scan} where {predicate} order by id").fetchall()
    assert found == [(1,), (2,), (3,)]


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    writes=st.lists(
        st.tuples(st.sampled_from(["append", "merge", "insert_overwrite"]), st.integers(0, 3)), max_size=12
    )
)
def test_any_history_reads_as_if_manifests_were_never_merged(
    lakes: Iterator[Lake], writes: list[tuple[str, int]]
) -> None:
    lake, rows = next(lakes), {0: [(0, 0)]}
    lake.write(day(0), table_properties=FEW, partitioned_by=["day"])
    for turn, (strategy, number) in enumerate(writes, start=1):
        if strategy == "append":
            sql, new = day(100 + turn, number), (100 + turn, number)
            sql = f"select * replace (date '2024-01-01' + {number} as day) from ({sql})"
            rows.setdefault(number, []).append(new)
        else:
            sql = day(number, turn)
            kept = [row for row in rows.get(number, []) if row[0] != number]
            rows[number] = [*(kept if strategy == "merge" else []), (number, turn)]
        lake.write(sql, strategy, unique_key=["id"], partitioned_by=["day"])
    days = [first for _, first in dates(4)]
    lake.check([(key, days[number], kilos) for number, found in rows.items() for key, kilos in found])
    entries = [
        entry
        for manifest in lake.table.current_snapshot().manifests(lake.table.io)  # type: ignore[union-attr]
        for entry in manifest.fetch_manifest_entry(lake.table.io, discard_deleted=False)
        if entry.status != ManifestEntryStatus.DELETED
    ]
    assert len(entries) == len(lake.files())


def dates(count: int) -> list[tuple[int, object]]:
    import datetime as dt

    return [(number, dt.date(2024, 1, 1) + dt.timedelta(days=number)) for number in range(count)]


@pytest.mark.parametrize("strategy", ["append", "replace"])
def test_deep_copies_of_the_metadata_are_not_made(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    lake.write(day(0))

    def refused(*_: object) -> None:
        raise AssertionError("the cost of a write must not grow with the table's history")

    monkeypatch.setattr(type(lake.table.metadata), "__deepcopy__", refused)
    lake.write(day(1), strategy)
    monkeypatch.undo()
    assert len(lake.table.snapshots()) == 2
