"""A warehouse of the benchmarks' own, and writes to it as a run makes them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import Table

from slipway.engines.duckdb import engine
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.iceberg.commit import publish
from slipway.iceberg.tables import Tables
from slipway.names import TableName

SCHEMA = "serving"
COMPRESSION = {"write.parquet.compression-level": "3"}
"""Of tables that pyiceberg writes as well: DuckDB's own level of zstd, where pyarrow's is 1."""


class Lake:
    """Tables in a folder, with a catalog in SQLite.

    Args:
        folder: gets the catalog and the warehouse.
        memory_limit: DuckDB's, for example ``2GB``.
    """

    def __init__(self, folder: Path, memory_limit: str = "") -> None:
        self.tables = Tables(
            Environment(
                name="bench",
                mode=Mode.EXPLORATORY,
                warehouse=f"file://{folder}/warehouse",
                catalog_properties=local_catalog(folder),
                landing=str(folder / "landing"),
                home=folder,
            )
        )
        self.connection = duckdb.connect()
        engine.prepare(self.connection, f"file://{folder}/warehouse")
        if memory_limit:
            self.connection.execute(f"set memory_limit = '{memory_limit}'")
        engine.count_reads(self.connection)
        self._writes = 0

    def write(self, name: str, sql: str, strategy: str = "replace", **options: Any) -> WriteResult:
        """Stage a query's result on top of what is published, and publish it."""
        self._writes += 1
        identifier = TableName(SCHEMA, name)
        location = self.tables.locations().get(identifier)
        request = WriteRequest(
            identifier,
            sql,
            strategy,
            run_id=f"run-{self._writes}",
            release=f"release-{self._writes}",
            **options,
        )
        base = self.tables.load(identifier, location) if location else None
        result = write(self.connection, self.tables, base, request)
        publish(self.tables, [result.staged])
        return result

    def warm(self) -> None:
        """Load what the first write of a process loads, which benchmarks of dbt commands count."""
        self.write("warm", "select 1 as id")
        self.table("warm").scan().to_arrow()

    def again(self, name: str) -> str:
        """A second name for the present state of a table, so that writing to it leaves the first as it is."""
        copy = f"{name}_{uuid.uuid4().hex[:8]}"
        self.tables.catalog.register_table(
            TableName(SCHEMA, copy), self.tables.locations()[TableName(SCHEMA, name)]
        )
        return copy

    def table(self, name: str) -> Table:
        """A published table."""
        return self.tables.load(TableName(SCHEMA, name), self.tables.locations()[TableName(SCHEMA, name)])
