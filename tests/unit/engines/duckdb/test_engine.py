"""The engine where the machine has less than usual."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from slipway.engines.duckdb.engine import EXTENSIONS, load_extensions


@pytest.mark.parametrize("home", [None, "", "/nowhere"])
def test_extensions_are_loaded_without_a_home(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", home)
    with duckdb.connect() as connection:
        load_extensions(connection)
        names = f"extension_name in {EXTENSIONS}"
        loaded = connection.execute(f"select count(*) from duckdb_extensions() where loaded and {names}")
        assert loaded.fetchone() == (len(EXTENSIONS),)
        connection.execute(
            "create secret a (type s3, key_id 'x', secret 'y')"
        )  # DuckDB looks for a home then, too


def test_a_home_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with duckdb.connect() as connection:
        load_extensions(connection)
    assert list(tmp_path.glob(".duckdb/extensions/*/*/iceberg.duckdb_extension"))
