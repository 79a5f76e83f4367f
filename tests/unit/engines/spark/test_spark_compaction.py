"""What Spark commits when it compacts a table says of itself what every compaction says."""

from __future__ import annotations

from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, SetPropertiesUpdate

from slipway.engines.duckdb.compact import Shorten
from slipway.engines.spark.spark_compaction import _named, _within
from slipway.iceberg.snapshots import REWRITES
from slipway.names import TableName


def snapshot(number: int, operation: Operation, **said: str) -> Snapshot:
    return Snapshot(
        snapshot_id=number,
        sequence_number=number,
        timestamp_ms=1,
        manifest_list="m",
        summary=Summary(operation=operation, **said),
        schema_id=0,
    )


def test_a_compaction_says_what_its_parent_says_and_whose_rows_it_holds() -> None:
    own = {"slipway.run-id": "r1", "slipway.digest": "d", "total-records": "9"}
    parent = snapshot(1, Operation.APPEND, **own)
    by_spark = {"slipway.run-id": "r2-compacted", "added-files-size": "7", "app-id": "local-1"}
    made = _named(AddSnapshotUpdate(snapshot=snapshot(2, Operation.REPLACE, **by_spark)), parent)
    assert isinstance(made, AddSnapshotUpdate)
    assert made.snapshot.snapshot_id == 2
    assert made.snapshot.summary is not None
    assert made.snapshot.summary.operation is Operation.REPLACE
    assert made.snapshot.summary.additional_properties == {
        "slipway.run-id": "r1",
        "slipway.digest": "d",
        "added-files-size": "7",
        "app-id": "local-1",
        REWRITES: "1",
    }
    # of a table that is compacted again, they are still the rows of the first one
    again = _named(AddSnapshotUpdate(snapshot=snapshot(3, Operation.REPLACE)), made.snapshot)
    assert isinstance(again, AddSnapshotUpdate)
    assert again.snapshot.summary is not None
    assert again.snapshot.summary.additional_properties[REWRITES] == "1"


def test_other_updates_stay_as_they_are() -> None:
    update = SetPropertiesUpdate(updates={"a": "b"})
    assert _named(update, snapshot(1, Operation.APPEND)) is update


def test_a_table_is_named_within_the_catalog() -> None:
    assert _within(Shorten(TableName("serving", "a`b"), "m")) == "`serving`.`a``b`"
