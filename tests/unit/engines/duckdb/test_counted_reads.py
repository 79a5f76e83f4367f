"""Bytes that a connection's statements read, hold and spill, as DuckDB counts them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from slipway.engines.duckdb import engine


def test_reads_are_counted_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    with duckdb.connect() as connection:
        cursor = connection.cursor()
        assert engine.Used.by_last(cursor).bytes_read is None
        engine.count_reads(cursor)
        assert engine.Used.by_last(cursor).bytes_read == 0
        cursor.execute(f"select * from '{file}'").fetchall()
        assert engine.Used.by_last(cursor).bytes_read == file.stat().st_size


def test_columns_of_parquet_files_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select hash(range) as a, hash(range + 1) as b from range(300_000)) to '{file}'"
        )
    with duckdb.connect() as connection:
        engine.prepare(connection, "file:///warehouse")
        engine.count_reads(connection)
        for _ in range(2):  # nothing is kept of the first one
            connection.execute(f"select bit_xor(a), bit_xor(b) from '{file}'").fetchall()
            both = engine.Used.by_last(connection).bytes_read
            assert both == pytest.approx(file.stat().st_size, rel=0.02)
        connection.execute(f"select bit_xor(a) from '{file}'").fetchall()
        one = engine.Used.by_last(connection).bytes_read
    assert one == pytest.approx(file.stat().st_size / 2, rel=0.02)


def test_what_has_no_room_in_memory_is_counted(tmp_path: Path) -> None:
    with duckdb.connect(
        config={"memory_limit": "60MB", "temp_directory": str(tmp_path), "threads": 2}
    ) as connection:
        cursor = connection.cursor()
        engine.count_reads(cursor)
        cursor.execute("select 1")
        small = engine.Used.by_last(cursor)
        cursor.execute(
            "create table large as select hash(range) h, repeat(range::varchar, 9) s from range(1_500_000)"
        )
        large = engine.Used.by_last(cursor)
        limit = engine.memory_limit(cursor)
    assert limit == pytest.approx(60_000_000, rel=0.01)  # DuckDB shows it with one digit after the point
    assert small.spilled == 0
    assert large.spilled is not None
    assert large.spilled > 1_000_000
    together = small + large + small
    assert (together.spilled, together.peak_memory) == (large.spilled, large.peak_memory)
    assert (large + engine.Used(bytes_read=None)).bytes_read is None
