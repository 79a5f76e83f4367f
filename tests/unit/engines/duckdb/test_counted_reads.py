"""Bytes that a connection's statements read, as DuckDB counts them."""

from __future__ import annotations

from pathlib import Path

import duckdb

from slipway.engines.duckdb import engine


def test_reads_are_counted_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    with duckdb.connect() as connection:
        cursor = connection.cursor()
        assert engine.bytes_read(cursor) is None
        engine.count_reads(cursor)
        assert engine.bytes_read(cursor) == 0
        cursor.execute(f"select * from '{file}'").fetchall()
        assert engine.bytes_read(cursor) == file.stat().st_size
