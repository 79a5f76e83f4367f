"""A clone shows what the other table shows without a copy of its data, and what is done to it does nothing to the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.conftest import ordered

from slipway.iceberg.clones import clone_all
from slipway.iceberg.snapshots import Staging
from slipway.iceberg.tables import Tables
from slipway.names import TableName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.conftest import Lake


NAME = TableName("layer", "thing")


def below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_clone_is_written_to_next_to_what_it_was_cloned_of(lakes: Iterator[Lake]) -> None:
    original, copy = next(lakes), next(lakes)
    original.write("select range as id, 'a' as letter from range(10)")
    original.write("select 3 as id, 'b' as letter", "merge", unique_key=("id",))
    # a table that says itself where its files are to be written
    transaction = Staging(original.table)
    transaction.set_properties(
        {name: original.tables.location_of(NAME) for name in ("write.data.path", "write.metadata.path")}
    )
    original.base = original.tables.stage(original.table, transaction, new=False).table
    before = below(original.folder)

    clone_all(copy.tables, {NAME: original.table})
    assert not [name for name in below(copy.folder / "warehouse") if name.endswith((".parquet", ".avro"))]
    location = copy.tables.locations()[NAME]
    copy.base = Tables(copy.tables.environment).load(NAME, location)
    assert copy.by_duckdb() == copy.by_pyiceberg() == original.by_duckdb()
    assert copy.table.current_snapshot() == original.table.current_snapshot()

    copy.write("select 3 as id, 'c' as letter union all select 77, 'd'", "merge", unique_key=("id",))
    assert copy.by_duckdb() == ordered([*((n, "a") for n in range(10) if n != 3), (3, "c"), (77, "d")])
    copy.write("select 1 as id, 'e' as letter")
    assert copy.by_duckdb() == [(1, "e")]
    assert below(original.folder) == before
    assert original.by_duckdb() == ordered([*((n, "a") for n in range(10) if n != 3), (3, "b")])
