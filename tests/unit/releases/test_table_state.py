"""What a table says of itself is there after every write, compaction and expiry, whether a snapshot was added or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.unit.conftest import Lake

from slipway.dbt.inputs import has_withdrawn
from slipway.engines.duckdb.compact import Shorten, stage_shortened
from slipway.iceberg.earlier_states import stage_state
from slipway.iceberg.metadata_files import summary_of
from slipway.iceberg.snapshots import WITHDRAWS
from slipway.names import TableName
from slipway.records.node_results import Definition
from slipway.releases.table_state import TableState, read_state

if TYPE_CHECKING:
    from slipway.engines.duckdb.request import WriteResult

NAME = TableName("layer", "thing")
CODE = Definition(key="a" * 32, commit="b" * 40, run_id="run-1")
FIRST = TableState(
    "key-1", {"raw.x": "1"}, definition=CODE, made_by=(), expired_before=datetime(2024, 5, 1, tzinfo=UTC)
)


def write(
    lake: Lake, sql: str, state: TableState, strategy: str = "append", **options: object
) -> WriteResult:
    state = replace(state, made_by=read_state(lake.base).made_by)
    return lake.write(
        sql,
        strategy,
        described=lambda remade: state.after(remade).summary(),
        confirm=lambda content, remade: state.after(remade).table_property(content),
        **options,
    )


def shorten(lake: Lake, *expiring: int) -> None:
    what = Shorten(NAME, lake.table.metadata_location, [sorted(lake.files())], expiring)
    lake.base = stage_shortened(lake.connection, lake.tables, what, "compacted").table


@pytest.mark.parametrize("later", [datetime(2024, 6, 1, tzinfo=UTC), None], ids=["later", "no-retention"])
def test_a_write_that_changes_no_row_notes_its_cutoff(lake: Lake, later: datetime | None) -> None:
    write(lake, "select 1 as k", FIRST)
    assert read_state(lake.table).expired_before == FIRST.expired_before
    done = write(lake, "select 1 as k where false", replace(FIRST, node_key="key-2", expired_before=later))
    assert done.same_content
    assert read_state(lake.table).expired_before == later
    shorten(lake)
    found = read_state(lake.table)
    assert (found.node_key, found.expired_before) == ("key-2", later)


def test_all_of_it_is_there_after_compaction_expiry_and_rollback(lake: Lake) -> None:
    write(lake, "select 1 as k", FIRST)
    write(lake, "select 2 as k", replace(FIRST, node_key="key-2", inputs={"raw.x": "2"}))
    before, at = read_state(lake.table), lake.table.metadata_location
    said = summary_of(lake.table.current_snapshot())
    old = [one.snapshot_id for one in lake.table.snapshots()][:1]
    shorten(lake, *old)
    assert len(lake.files()) == len(lake.table.snapshots()) - 1 == 1
    assert read_state(lake.table) == before
    now = summary_of(lake.table.current_snapshot())
    own = {key: value for key, value in said.items() if key.startswith("slipway.")}
    assert own.items() <= now.items()
    write(lake, "select 3 as k", replace(FIRST, node_key="key-3", expired_before=None))
    assert read_state(lake.table).expired_before is None
    lake.base = stage_state(lake.tables, NAME, lake.table.metadata_location, at, "release-9").table
    assert read_state(lake.table) == before


def test_a_table_knows_of_withdrawn_rows_when_the_snapshot_that_withdrew_them_has_expired(lake: Lake) -> None:
    lake.write("select 1 as k", "append")
    assert not has_withdrawn(lake.table)
    # as the raw table of a feed whose files replace earlier ones is written
    lake.write(
        "select 2 as k",
        "append",
        snapshot_properties={WITHDRAWS: "true"},
        table_properties={WITHDRAWS: "true"},
    )
    lake.write("select 3 as k", "append")
    shorten(lake, *[one.snapshot_id for one in lake.table.snapshots()])
    assert len(lake.table.snapshots()) == 1
    assert WITHDRAWS not in summary_of(lake.table.current_snapshot())
    assert has_withdrawn(lake.table)
