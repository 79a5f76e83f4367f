"""A run opens the metadata of tables that its models read, however many the catalog names."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.proxy import running

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server


@pytest.mark.long
@pytest.mark.parametrize("others", [5, pytest.param(500, marks=pytest.mark.long)])
def test_other_tables_are_not_opened(
    new_lake: Callable[[Path, str], Lake], tmp_path: Path, endpoint: str, others: int
) -> None:
    lake = new_lake(tmp_path, f"lazy-lake-{others}")
    workshop = lake.workshop
    assert workshop.run()["outcome"] == "published"
    metadata = lake.get(lake.published()["raw.parcels"].split("/", 3)[3])
    connection = sqlite3.connect(workshop.folder / "staging.db")
    for number in range(others):  # as another program makes tables
        key = f"warehouse/other/t{number}/metadata/00000-a.metadata.json"
        lake.put(key, metadata)
        connection.execute(
            "insert into iceberg_tables (catalog_name, table_namespace, table_name, metadata_location)"
            " values ('staging', 'other', ?, ?)",
            (f"t{number}", f"s3://{lake.bucket}/{key}"),
        )
    connection.commit()
    connection.close()

    def opened(*argv: str) -> set[str]:
        with running(endpoint) as proxy:
            run = workshop.run(*argv, AWS_ENDPOINT_URL=proxy.address)
            assert run["outcome"] == "published"
            tables = (
                path.split("/") for method, path in proxy.log if method == "GET" and path.endswith(".json")
            )
            return {".".join(parts[3:5]) for parts in tables if "metadata" in parts}

    # a release is a cut of everything that is published: a table of another program is opened when it is first used
    first = opened("--select", "depot_weights", "--force")
    assert {f"other.t{number}" for number in range(others)} <= first
    again = opened("--select", "depot_weights", "--force")
    assert not any(name.startswith("other.") for name in again), again
    assert {"curated.weights", "serving.depot_weights"} <= again
