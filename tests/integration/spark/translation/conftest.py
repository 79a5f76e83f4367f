"""DuckDB and Spark with the same tables."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from tests.integration.spark.translation.engines import BothEngines

# of small tables: what is compiled once and run once costs more than it saves
QUICK = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@pytest.fixture(scope="session")
def engines(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> BothEngines:  # noqa: ANN401 - pyspark is an extra
    """Both engines, without tables. Spark is as a run begins it, with temporary views of its own."""
    session = spark.newSession()
    for name, value in QUICK.items():
        session.conf.set(name, value)
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return BothEngines(connection, session, tmp_path_factory.mktemp("tables"))
