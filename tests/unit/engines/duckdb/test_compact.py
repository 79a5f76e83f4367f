"""Compacted files hold the rows that were there, or nothing is staged."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence

import duckdb
import pytest
from pyiceberg.schema import Schema
from tests.unit.conftest import Lake

from slipway.engines.duckdb import compact, copying, digest
from slipway.engines.duckdb.compact import RowsDifferError, Shorten, stage_shortened
from slipway.iceberg.snapshots import StagedTable
from slipway.names import TableName
from slipway.storage.locations import duckdb_path

PLAIN = "select {0}::integer as k, 'v{0}' as v"
WITH_RUN = "select {0}::integer as k, 'run-{0}' as _run_id"


def written(lake: Lake, sql: str = PLAIN) -> list[str]:
    """Three appends, of a file each."""
    for number in range(3):
        lake.write(sql.format(number), "append")
    return sorted(lake.files())


def shorten(lake: Lake, files: Sequence[str]) -> StagedTable:
    what = Shorten(TableName("layer", "thing"), lake.table.metadata_location, [list(files)])
    return stage_shortened(lake.connection, lake.tables, what, "compacted")


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What digests are taken of."""
    found: list[str] = []

    def digest_of(
        cursor: duckdb.DuckDBPyConnection,
        relation: str,
        schema: Schema,
        without: Collection[str] = digest.VOLATILE_COLUMNS,
    ) -> digest.Digest:
        found.append(relation)
        return digest.digest_of(cursor, relation, schema, without)

    monkeypatch.setattr(compact, "digest_of", digest_of)
    return found


def changing(monkeypatch: pytest.MonkeyPatch, column: str) -> None:
    """A rewrite that keeps the number of rows and changes a value."""
    monkeypatch.setattr(
        compact,
        "copy",
        lambda cursor, select, to: copying.copy(
            cursor,
            f"select * replace (case when k = 1 then 'other' else {column} end as {column}) {select}",
            to,
        ),
    )


@pytest.mark.parametrize(
    ("sql", "files", "times"),
    [
        pytest.param(PLAIN, 3, 1, id="a whole table: the recorded digest stands for the old rows"),
        pytest.param(PLAIN, 2, 2, id="part of a table"),
        pytest.param(WITH_RUN, 3, 2, id="a column that the recorded digest leaves out"),
    ],
)
def test_old_rows_are_read_again_where_nothing_stands_for_them(
    lake: Lake, readings: list[str], sql: str, files: int, times: int
) -> None:
    paths = written(lake, sql)
    readings.clear()
    lake.base = shorten(lake, paths[:files]).table
    assert len(readings) == times
    assert len(lake.files()) == 4 - files
    found = lake.connection.execute(f"select k from {lake.scan} order by k").fetchall()
    assert found == [(0,), (1,), (2,)]


@pytest.mark.parametrize(
    ("sql", "column", "files"), [(PLAIN, "v", 3), (PLAIN, "v", 2), (WITH_RUN, "_run_id", 3)]
)
def test_a_value_that_changes_on_the_way_is_found(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, sql: str, column: str, files: int
) -> None:
    paths = written(lake, sql)
    changing(monkeypatch, column)
    # the three files in the order of their names hold the keys in any order: k = 1 has to be among those chosen
    chosen = sorted(paths, key=lambda path: key_in(lake, path) != 1)[:files]
    with pytest.raises(RowsDifferError, match="not the same ones"):
        shorten(lake, chosen)


def test_rows_that_are_not_those_recorded_are_not_written_again(lake: Lake) -> None:
    first, second, third = written(lake)
    shutil.copyfile(duckdb_path(first), duckdb_path(second))
    with pytest.raises(RowsDifferError, match="its files do not hold the 3 rows that its snapshot recorded"):
        shorten(lake, [first, second, third])


def test_a_schema_that_grew_with_the_snapshot_is_the_recorded_one(lake: Lake, readings: list[str]) -> None:
    paths = written(lake)
    lake.write(
        "select 9::integer as k, 'v9' as v, 1 as more", "append", on_schema_change="append_new_columns"
    )
    readings.clear()
    lake.base = shorten(lake, [*paths, *(set(lake.files()) - set(paths))]).table
    assert len(readings) == 1
    assert lake.connection.execute(f"select sum(k), count(more) from {lake.scan}").fetchall() == [(12, 1)]


def key_in(lake: Lake, path: str) -> int:
    (row,) = lake.connection.execute(f"select k from '{duckdb_path(path)}'").fetchall()
    return int(row[0])
