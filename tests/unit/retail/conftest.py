"""The retail models as plain SQL: compiled once by dbt, run in an in-memory DuckDB without the write path."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from tests.harness.commands import Commands

PROJECT = Path(__file__).parents[3]
SAMPLE = PROJECT / "seeds" / "landing" / "online_retail"
FEED = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
]
REAL = PROJECT.parent / "shared" / "data" / "online_retail"


class Shop:
    """A database with the tables of the project; `build` fills them from landing files, model by model."""

    def __init__(self, nodes: dict[str, dict[str, Any]], project: Path) -> None:
        self.nodes = nodes
        self.project = project
        self.connection = duckdb.connect()
        self.connection.execute("set timezone = 'UTC'")
        for node in nodes.values():
            self.connection.execute(f"attach if not exists ':memory:' as {node['database']}")
            self.connection.execute(f"create schema if not exists {node['database']}.{node['schema']}")

    def relation(self, name: str) -> str:
        """The quoted name of a model's or seed's table."""
        return str(self._node(name)["relation_name"])

    def sql(self, name: str) -> str:
        """The compiled SQL of a model."""
        return str(self._node(name)["compiled_code"])

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.connection.execute(sql).fetchall()

    def land(self, files: list[Path]) -> None:
        """Fill raw with the lines of CSV files, as landing and the raw model do."""
        rows: list[list[object]] = []
        for path in files:
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.reader(file)
                next(reader)
                rows.extend([*[value or None for value in row], path.name, reader.line_num] for row in reader)
        self.raw(rows)

    def raw(self, rows: Sequence[Sequence[object]]) -> None:
        """Fill raw with rows of eight values, file and line."""
        names = [*FEED, "_source_file", "_source_line"]
        types = [pa.string()] * 9 + [pa.int64()]
        columns = zip(*rows, strict=True) if rows else [()] * len(names)
        landed = pa.table(
            [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)], names
        )
        self.connection.register("landed", landed)
        self.connection.execute(
            f"create or replace table {self.relation('online_retail')} as select *, md5(_source_file) as _file_sha256, "
            "timestamptz '2030-01-01 00:00:00+00' as _landed_at, 'run' as _run_id from landed"
        )

    def seed(self, name: str) -> None:
        """Load a seed with the column types that its YAML gives."""
        node = self._node(name)
        types = node["config"]["column_types"]
        path = self.project / node["original_file_path"]
        self.connection.execute(
            f"create or replace table {node['relation_name']} as "
            f"from read_csv('{path}', columns = {types}, header = true, auto_detect = false)"
        )

    def build(self, *names: str) -> None:
        """Create the tables of models from their compiled SQL, in the given order."""
        for name in names:
            self.connection.execute(f"create or replace table {self.relation(name)} as {self.sql(name)}")

    def _node(self, name: str) -> dict[str, Any]:
        return next(node for node in self.nodes.values() if node["name"] == name)


@pytest.fixture(scope="session")
def compiled_nodes(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The models and seeds of dbt's manifest, with the SQL that a first build runs."""
    scratch = tmp_path_factory.mktemp("compiled")
    settings = {"SLIPWAY_HOME": "home", "DBT_TARGET_PATH": "target", "DBT_LOG_PATH": "logs"}
    env = os.environ | {name: str(scratch / folder) for name, folder in settings.items()}
    done = commands.start("dbt", ["--quiet", "compile", "--full-refresh"], PROJECT, env).wait()
    assert done.code == 0, done
    nodes = json.loads((scratch / "target" / "manifest.json").read_text())["nodes"]
    return {key: node for key, node in nodes.items() if node["resource_type"] in {"model", "seed"}}


@pytest.fixture
def shop(compiled_nodes: dict[str, dict[str, Any]]) -> Shop:
    """A database without rows."""
    return Shop(compiled_nodes, PROJECT)


@pytest.fixture(
    scope="session",
    params=[
        "sample",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("first real months", "real")),
    ],
)
def built_shop(
    request: pytest.FixtureRequest, compiled_nodes: dict[str, dict[str, Any]]
) -> tuple[Shop, list[Path]]:
    """A database with every SQL model built, and the landing files it was built from."""
    folder = SAMPLE if request.param == "sample" else REAL
    if not folder.is_dir():
        pytest.skip(f"the real files are not at {folder}: put the online_retail folder there")
    shop = Shop(compiled_nodes, PROJECT)
    # days that were added to the real ones do not count
    until = {"sample": "9999", "first real months": "2011-02-01", "real": "2011-08-31"}[request.param]
    files = sorted(path for path in folder.glob("*.csv") if path.stem <= until)
    shop.land(files)
    shop.seed("non_product_codes")
    shop.build("invoice_lines", "quarantine_invoice_lines")
    shop.build(
        "invoices", "products", "customers", "customer_history", "cancellations_matched", "trading_days"
    )
    shop.build(
        "daily_revenue", "product_performance", "customer_value", "customer_cohorts", "revenue_features"
    )
    return shop, files
