"""One table in a temporary warehouse, written by slipway and read by three engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from datafusion import SessionContext
from pyiceberg.expressions import BooleanExpression
from pyiceberg.table import Table
from pyiceberg_core.datafusion import IcebergDataFusionTable

from slipway.engines.duckdb.digest import DIGEST, digest_of
from slipway.engines.duckdb.engine import load_extensions
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.sql_text import literal

Row = tuple[Any, ...]


class Lake:
    """A warehouse with one table, each write on top of the one before."""

    def __init__(self, folder: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.folder, self.connection = folder, connection
        self.name = "thing"
        self.tables = Tables(
            Environment(
                name="dev",
                mode=Mode.EXPLORATORY,
                warehouse=f"file://{folder}/warehouse",
                catalog_properties=local_catalog(folder),
                landing=str(folder / "landing"),
                home=folder,
            )
        )
        self.base: Table | None = None
        self.writes = 0

    def write(self, sql: str, strategy: str = "replace", **options: Any) -> WriteResult:  # noqa: ANN401 - of a WriteRequest
        """Stage a query's result on top of what was written before."""
        self.writes += 1
        request = WriteRequest(
            TableName("layer", self.name),
            sql,
            strategy,
            run_id=f"run-{self.writes}",
            release=f"release-{self.writes}",
            **options,
        )
        result = write(self.connection, self.tables, self.base, request)
        self.base = result.staged.table
        return result

    @property
    def table(self) -> Table:
        assert self.base is not None
        return self.base

    @property
    def scan(self) -> str:
        """The table for only DuckDB."""
        return f"iceberg_scan({literal(self.table.metadata_location.removeprefix('file://'))})"

    def by_duckdb(self, where: str = "true") -> list[Row]:
        return ordered(self.connection.execute(f"select * from {self.scan} where {where}").fetchall())

    def by_pyiceberg(
        self, row_filter: str | BooleanExpression = "true", columns: Sequence[str] = ("*",)
    ) -> list[Row]:
        read = self.table.scan(row_filter=row_filter, selected_fields=tuple(columns)).to_arrow()
        # through DuckDB, so that both readers' values have the same Python types
        return ordered(self.connection.execute("from read").fetchall()) if read.num_columns else []

    def by_datafusion(self, where: str = "true") -> list[Row]:
        read = self.arrow_by_datafusion(where)
        return ordered(self.connection.execute("from read").fetchall()) if read.num_columns else []

    def arrow_by_datafusion(self, where: str = "true") -> pa.Table:
        """The rows as iceberg-rust and DataFusion read them, which share no code with the other two."""
        provider = IcebergDataFusionTable(
            identifier=["layer", "thing"],
            metadata_location=self.table.metadata_location,
            file_io_properties={},
        )
        context = SessionContext()
        context.register_table("thing", provider)
        return context.sql(f"select * from thing where {where}").to_arrow_table()

    def files(self) -> set[str]:
        """Paths of the live data files."""
        return {task.file.file_path for task in self.table.scan().plan_files()}

    def check(self, expected: Sequence[Row], *, datafusion: bool = True) -> None:
        """All readers see the expected rows, and what the snapshot says of itself is true."""
        assert self.by_duckdb() == ordered(expected)
        assert self.by_pyiceberg() == ordered(expected)
        if datafusion:
            assert self.by_datafusion() == ordered(expected)
        current = self.table.current_snapshot()
        assert current is not None
        assert current.summary is not None
        summary = current.summary.additional_properties
        assert int(summary["total-records"]) == len(expected)
        assert int(summary.get("total-data-files", "0")) == len(self.files())
        assert summary[DIGEST] == str(digest_of(self.connection, self.scan, self.table.schema()))


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Rows in an order that NULLs and NaN do not disturb, NaN written as text to be equal to itself."""
    plain = [tuple("NaN" if isinstance(v, float) and isnan(v) else v for v in row) for row in rows]
    return sorted(plain, key=lambda row: [(value is not None, str(value)) for value in row])


@pytest.fixture(scope="session")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with its extensions."""
    opened = duckdb.connect()
    load_extensions(opened)
    opened.execute("set TimeZone = 'UTC'")
    opened.execute("set threads = 2")
    yield opened
    opened.close()


@pytest.fixture
def lake(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[Lake]:
    """An empty warehouse."""
    made = Lake(tmp_path, connection)
    yield made
    close(made)


@pytest.fixture
def lakes(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[Iterator[Lake]]:
    """As many empty warehouses as a property test asks for."""
    made: list[Lake] = []

    def more() -> Iterator[Lake]:
        while True:
            made.append(Lake(tmp_path / str(len(made)), connection))
            yield made[-1]

    yield more()
    for one in made:
        close(one)


def close(lake: Lake) -> None:
    if "catalog" in lake.tables.__dict__:
        lake.tables.catalog.engine.dispose()  # type: ignore[attr-defined]
