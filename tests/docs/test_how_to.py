"""What the how-to pages have their reader write is built as they say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from tests.conftest import Workshop
    from tests.docs.conftest import Page, Shop

ROOT = Path(__file__).parents[2]


def own_project(workshop: Workshop, pages: dict[str, Page]) -> None:
    """The pages' feed of parcels and two models on it, in place of the project that is there."""
    for name in ("models", "contracts", "seeds", "tests"):
        shutil.rmtree(workshop.project / name)
    feed, models = pages["docs/how-to/add-a-feed.md"], pages["docs/how-to/incremental-models.md"]
    workshop.write("contracts/parcels.odcs.yaml", feed.block("yaml", "DataContract"))
    workshop.write("models/raw/_raw__sources.yml", feed.block("yaml", "sources:"))
    workshop.write("models/raw/parcels.sql", feed.block("sql", "source('landing'"))
    workshop.write("models/curated/weights.sql", models.block("sql", "rows_added"))
    workshop.write("models/serving/daily_weights.sql", models.block("sql", "partitions_changed"))
    described = yaml.safe_load((workshop.project / "dbt_project.yml").read_text(encoding="utf-8"))
    described |= yaml.safe_load(pages["docs/how-to/start-your-own.md"].block("yaml", "slice_dimensions"))
    workshop.write("dbt_project.yml", yaml.safe_dump(described))


def rows(workshop: Workshop, table: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = workshop.table(table).scan().to_arrow().to_pylist()
    return found


def test_a_feed_and_models_of_ones_own(workshop: Workshop, pages: dict[str, Page]) -> None:
    own_project(workshop, pages)
    assert workshop.run()["outcome"] == "published"
    assert len(rows(workshop, "raw.parcels")) == 5
    assert {(str(row["depot"]), str(row["kg"])) for row in rows(workshop, "serving.daily_weights")} == {
        ("N", "1.500"),
        ("S", "2.000"),
        ("N", "4.250"),
    }

    workshop.land("day-3.csv", ["p6,N,2024-05-02,1", "p1,N,2024-05-01,9"])
    second = workshop.run()
    change = {node["table"]: (node["rows_added"], node["files_removed"]) for node in second["nodes"]}
    assert change["raw.parcels"] == (2, 0)
    assert {(str(row["depot"]), str(row["kg"])) for row in rows(workshop, "serving.daily_weights")} == {
        ("N", "9.000"),
        ("S", "2.000"),
        ("N", "5.250"),
    }

    full = workshop.run("--full-refresh")
    same = {node["table"]: node["change"] for node in full["nodes"]}
    assert same["curated.weights"] == same["serving.daily_weights"] == "same_content"


def test_a_slice_of_ones_own(workshop: Workshop, pages: dict[str, Page]) -> None:
    own_project(workshop, pages)
    workshop.run()
    manifest = workshop.run("--vars", "{slice: {from: 2024-05-02, to: 2024-05-03, depots: N}}")
    counted = {node["table"]: node["rows_after"] for node in manifest["nodes"]}
    assert counted == {"raw.parcels": 5, "curated.weights": 2, "serving.daily_weights": 1}


def test_freshness_of_a_feed(workshop: Workshop, pages: dict[str, Page]) -> None:
    own_project(workshop, pages)
    source = pages["docs/reference/landing.md"].block("yaml", "loaded_at_query")
    workshop.write("models/raw/_raw__sources.yml", source.replace("online_retail", "parcels"))
    (freshness,) = workshop.run()["freshness"]
    assert freshness["warn_after_seconds"] == 2 * 24 * 3600
    assert freshness["error_after_seconds"] == 4 * 24 * 3600
    workshop.dbt("source", "freshness")


def test_a_model_and_a_python_model(shop: Shop, pages: dict[str, Page]) -> None:
    model, notebook = pages["docs/how-to/add-a-model.md"], pages["docs/how-to/notebook-to-model.md"]
    shop.write("models/serving/weekday_revenue.sql", model.block("sql", "isodow"))
    shop.write("models/serving/_weekday_revenue.yml", model.block("yaml", "weekday_revenue"))
    shop.write("scripts/analytics/__init__.py", "")
    shop.write("scripts/analytics/outliers.py", notebook.block("python", "def outliers"))
    shop.write("python_models/serving/revenue_outliers.py", notebook.block("python", "def model"))
    shop.write("python_models/serving/_revenue_outliers.yml", notebook.block("yaml", "slipway_contract"))
    command = [
        sys.executable,
        "-m",
        "slipway.cli.main",
        "run",
        "--select",
        "weekday_revenue",
        "revenue_outliers",
    ]
    env = shop.env() | {"PYTHONPATH": str(shop.folder / "scripts")}
    done = subprocess.run(command, cwd=shop.folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = shop.start(
        "slipway", "sql", "--output", "csv", "select sum(trading_days) from serving.weekday_revenue"
    )
    landed = len(list((ROOT / "seeds/landing/online_retail").glob("*.csv")))
    assert answer.out.split() == ["sum(trading_days)", str(landed)]
