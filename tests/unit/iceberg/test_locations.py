"""A local file has several names, and one form in which they are compared."""

from __future__ import annotations

import pytest

from slipway.storage.locations import duckdb_path, uri


@pytest.mark.parametrize("name", ["/a/b.parquet", "file:///a/b.parquet", "file:/a/b.parquet"])
def test_a_local_file(name: str) -> None:
    """Java's Hadoop writes the last one."""
    assert uri(name) == "file:///a/b.parquet"
    assert duckdb_path(name) == "/a/b.parquet"


def test_an_object() -> None:
    assert uri("s3://lake/a/b.parquet") == "s3://lake/a/b.parquet"
    assert duckdb_path("s3://lake/a/b.parquet") == "s3://lake/a/b.parquet"
