"""Files that are uploaded at the same time fit into the memory that DuckDB may have."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from tests.integration.s3.conftest import READ, access

from slipway.engines.duckdb import engine
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.iceberg.tables import Tables
from slipway.names import TableName

pytestmark = pytest.mark.server

PARTITIONS, ROWS_EACH = (
    12,
    130_000,
)  # more than a row group, so that each has begun its upload before the next


@pytest.mark.long
def test_partitions_of_several_row_groups(endpoint: str, tmp_path: Path) -> None:
    boto3.client("s3", **access(endpoint)).create_bucket(Bucket="memory-lake")
    environment = Environment(
        "staging",
        Mode.EXPLORATORY,
        "s3://memory-lake/warehouse",
        {**local_catalog(tmp_path), "s3.endpoint": endpoint, **READ},
        "",
        tmp_path,
    )
    rows = PARTITIONS * ROWS_EACH
    sql = f"select range as k, hash(range) as h, (range // {ROWS_EACH})::integer as p from range({rows})"
    request = WriteRequest(
        TableName("layer", "thing"), sql, "replace", run_id="run-1", release="release-1", partitioned_by=["p"]
    )
    with engine.connect(environment, tmp_path, {"memory_limit": "500MB", "threads": 2}) as connection:
        result = write(connection, Tables(environment), None, request)
    assert result.rows_written == rows
    assert result.files_added == PARTITIONS
