"""Updates that lead from a staged state of a table back to the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.iceberg.catalogs.movers import backward
from slipway.iceberg.snapshots import Staging

if TYPE_CHECKING:
    from tests.unit.conftest import Lake


def test_a_release_that_is_taken_back_leaves_nothing_of_what_it_set(lake: Lake) -> None:
    lake.write("select 1 as k, 2 as v", table_properties={"note": "before"})
    base = lake.table
    item = lake.write(
        "select 1 as k, 3 as v, 4 as w",
        sorted_by=["k"],
        partitioned_by=["v"],
        table_properties={"note": "after", "more": "yes"},
    ).staged
    transaction = Staging(item.table)
    transaction._stage(backward(base, item, "release-2")[1])
    back, before = transaction.table_metadata, base.metadata
    assert item.table.metadata.default_sort_order_id != before.default_sort_order_id
    for field in ("current_snapshot_id", "current_schema_id", "default_spec_id", "default_sort_order_id"):
        assert getattr(back, field) == getattr(before, field), field
    assert back.properties == before.properties
    assert back.refs.keys() == before.refs.keys()
