"""A run with its catalog, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest
from tests.harness.catalog_runs import CatalogRun


@pytest.fixture
def run(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[CatalogRun]:
    """A run with its catalog."""
    with ExitStack() as stack:
        yield CatalogRun(tmp_path / "run", stack, connection)
