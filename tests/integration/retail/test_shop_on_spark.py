"""The shop, of the bundled sample and of the real files, once by DuckDB alone and once with every model by Spark that can be: each table is the same, to its field ids and digest."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.harness.commands import ROOT, Commands, environment
from tests.harness.projects import manifests, ordered, published, static
from tests.integration.spark.conftest import QUICKLY

from slipway.engines.duckdb.digest import DIGEST
from slipway.iceberg.metadata_files import summary_of

pytestmark = pytest.mark.spark
BY_SPARK = {
    "curated": ("trading_days", "customers", "cancellations_matched", "products", "customer_history"),
    "serving": ("customer_cohorts", "revenue_features", "customer_value"),
}
"""All SQL models that are tables; those that are incremental read by conditions that only DuckDB's plan can check."""


class Shop:
    """A copy of the project with a home and a landing area of its own."""

    def __init__(self, commands: Commands, folder: Path, engines: dict[str, tuple[str, ...]]) -> None:
        self.commands, self.folder, self.path = commands, folder, folder / "project"
        parts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["slipway"][
            "example"
        ]
        for name in (*parts, "profiles.yml"):
            source, target = ROOT / name, self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        for name in ("slipway", "dbt"):
            (self.path / "scripts" / name).symlink_to(ROOT / "scripts" / name)
        described: Any = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
        for layer, names in engines.items():
            described["models"]["slipway"][layer] |= {name: {"+engine": "spark"} for name in names}
        (self.path / "dbt_project.yml").write_text(yaml.safe_dump(described), encoding="utf-8")
        (folder / "temporary").mkdir()
        (folder / "spark").mkdir()
        (folder / "spark" / "spark-defaults.conf").write_text(QUICKLY, encoding="utf-8")

    def run(self, *files: Path) -> dict[str, Any]:
        """A run after files have landed."""
        landing = self.folder / "landing" / "online_retail"
        landing.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, landing)
        own = environment(
            self.folder,
            TMPDIR=str(self.folder / "temporary"),
            SPARK_CONF_DIR=str(self.folder / "spark"),
            PYTHONPATH=str(self.path / "scripts"),
        )
        done = self.commands.start("slipway", ("run",), self.path, own).wait(1800)
        assert done.code == 0, done
        return manifests(self.folder / "home" / "dev" / "warehouse")[-1]

    def tables(self) -> dict[str, dict[str, Any]]:
        """What readers can tell of each published table."""
        found = {}
        for name, location in published(self.folder / "home" / "dev" / "catalog.db").items():
            table = static(location)
            columns = [one.name for one in table.schema().fields if one.name not in ("_landed_at", "_run_id")]
            rows = table.scan(selected_fields=tuple(columns)).to_arrow().to_pylist()
            is_raw = len(columns) < len(table.schema().fields)
            found[name] = {
                "rows": ordered(tuple(row.values()) for row in rows),
                "schema": table.schema().model_dump_json(),
                "spec": table.spec().model_dump_json(),
                "order": table.sort_order().model_dump_json(),
                # those of rows with the time of landing and the run are of these
                "digest": None if is_raw else summary_of(table.current_snapshot())[DIGEST],
            }
        return found


def test_two_runs_make_the_same_tables_on_both_engines(commands: Commands, tmp_path: Path) -> None:
    compare(commands, tmp_path, sorted((ROOT / "seeds" / "landing" / "online_retail").glob("*.csv")))


def test_the_real_files_make_the_same_tables_on_both_engines(
    commands: Commands, tmp_path: Path, real_files: list[Path]
) -> None:
    compare(commands, tmp_path, real_files)


def compare(commands: Commands, folder: Path, files: list[Path]) -> None:
    """Two runs on each engine, of the first half of the files and of the others."""
    middle = len(files) // 2
    made = {}
    for name, engines in {"duckdb": {}, "spark": BY_SPARK}.items():
        shop = Shop(commands, folder / name, engines)
        for landing in (files[:middle], files[middle:]):
            manifest = shop.run(*landing)
            assert manifest["outcome"] == "published"
            by_spark = {node["table"] for node in manifest["nodes"] if node["engine"] == "spark"}
            assert by_spark == {f"{layer}.{one}" for layer, names in engines.items() for one in names}
        made[name] = shop.tables()
    assert made["duckdb"].keys() == made["spark"].keys()
    for table, expected in made["duckdb"].items():
        found = made["spark"][table]
        for what, value in expected.items():
            assert found[what] == value, (table, what)
