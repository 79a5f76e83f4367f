"""A feed and models as the how-to pages have their reader write them, in place of the example."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.harness.newcomer import Newcomer

if TYPE_CHECKING:
    from tests.docs.conftest import Page
    from tests.harness.commands import Commands
    from tests.harness.projects import Workshop


def own_project(workshop: Workshop, pages: dict[str, Page]) -> None:
    """The pages' feed of parcels and two models on it, in place of the project that is there."""
    for name in ("models", "contracts", "seeds", "tests"):
        shutil.rmtree(workshop.path / name)
    feed, models = pages["docs/how-to/add-a-feed.md"], pages["docs/how-to/incremental-models.md"]
    workshop.write("contracts/parcels.odcs.yaml", feed.block("yaml", "DataContract"))
    fresh = pages["docs/reference/landing.md"].block("yaml", "loaded_at_query")
    assert yaml.safe_load(feed.block("yaml", "sources:"))["sources"][0]["tables"][0]["name"] == "parcels"
    theirs = yaml.safe_load(fresh)["sources"][0]["tables"][0]["name"]
    workshop.write("models/raw/_raw__sources.yml", fresh.replace(theirs, "parcels"))
    workshop.write("models/raw/parcels.sql", feed.block("sql", "source('landing'"))
    workshop.write("models/curated/weights.sql", models.block("sql", "rows_added"))
    workshop.write("models/serving/daily_weights.sql", models.block("sql", "partitions_changed"))
    described = yaml.safe_load((workshop.path / "dbt_project.yml").read_text(encoding="utf-8"))
    described |= yaml.safe_load(pages["docs/how-to/start-your-own.md"].block("yaml", "slice_dimensions"))
    workshop.write("dbt_project.yml", yaml.safe_dump(described))


def daily_weights(workshop: Workshop) -> dict[tuple[str, str], str]:
    rows = workshop.table("serving.daily_weights").scan().to_arrow().to_pylist()
    return {(str(row["weighed_on"]), row["depot"]): str(row["kg"]) for row in rows}


@pytest.mark.long
def test_a_feed_and_models_of_ones_own(workshop: Workshop, pages: dict[str, Page]) -> None:
    own_project(workshop, pages)
    first = workshop.run()
    assert first["outcome"] == "published"
    days = {"warn": 2, "error": 4}
    assert (
        first["freshness"][0].items()
        >= {f"{name}_after_seconds": n * 86400.0 for name, n in days.items()}.items()
    )
    assert workshop.table("raw.parcels").scan().count() == 5
    assert daily_weights(workshop) == {
        ("2024-05-01", "N"): "1.500",
        ("2024-05-01", "S"): "2.000",
        ("2024-05-02", "N"): "4.250",
    }

    # one late parcel, and one that is weighed again
    workshop.land("day-3.csv", ["p6,N,2024-05-02,1", "p1,N,2024-05-01,9"])
    second = {node["table"]: node for node in workshop.run()["nodes"]}
    assert (second["raw.parcels"]["rows_added"], second["raw.parcels"]["files_removed"]) == (2, 0)
    assert daily_weights(workshop) == {
        ("2024-05-01", "N"): "9.000",
        ("2024-05-01", "S"): "2.000",
        ("2024-05-02", "N"): "5.250",
    }

    full = {node["table"]: node["change"] for node in workshop.run("--full-refresh")["nodes"]}
    assert full["curated.weights"] == full["serving.daily_weights"] == "same_content"

    slice_ = "{slice: {from: 2024-05-02, to: 2024-05-03, depots: N}}"
    counted = {node["table"]: node["rows_after"] for node in workshop.run("--vars", slice_)["nodes"]}
    assert counted == {"raw.parcels": 7, "curated.weights": 3, "serving.daily_weights": 1}


@pytest.mark.long
def test_the_curated_models_of_a_feed(workshop: Workshop, pages: dict[str, Page]) -> None:
    """Good rows, the last of each parcel, and rows with the rule that they break; a slice cuts both."""
    own_project(workshop, pages)
    for name in ("curated/weights", "serving/daily_weights"):
        (workshop.path / f"models/{name}.sql").unlink()
    feed = pages["docs/how-to/add-a-feed.md"]
    workshop.write("models/curated/parcels_checked.sql", feed.block("sql", "ephemeral"))
    workshop.write("models/curated/weighed_parcels.sql", feed.block("sql", "rule_id is null"))
    workshop.write("models/quarantine/rejected_parcels.sql", feed.block("sql", "conserves"))
    workshop.land("2024-05-09.csv", ["p9,S,2024-05-09,1.5", "p10,N,2024-05-09,heavy", "p9,N,2024-05-09,2"])
    assert workshop.run()["outcome"] == "published"
    weighed = (
        workshop.table("curated.weighed_parcels").scan(row_filter="parcel = 'p9'").to_arrow().to_pylist()
    )
    assert [(row["depot"], str(row["kg"])) for row in weighed] == [("N", "2.000")]
    rejected = workshop.table("quarantine.rejected_parcels").scan(row_filter="parcel = 'p10'").to_arrow()
    assert rejected["rule_id"].to_pylist() == ["kg_not_decimal"]
    slice_ = "{slice: {from: 2024-05-09, to: 2024-05-10, depots: S}}"
    counted = {node["table"]: node["rows_after"] for node in workshop.run("--vars", slice_)["nodes"]}
    assert (counted["curated.weighed_parcels"], counted["quarantine.rejected_parcels"]) == (1, 0)


@pytest.mark.long
def test_a_feed_from_samples(commands: Commands, tmp_path: Path, pages: dict[str, Page]) -> None:
    """The page's file, its commands in a new project, and what they print."""
    page = pages["docs/how-to/add-a-feed.md"]
    newcomer = Newcomer(commands, tmp_path)
    newcomer.types("slipway init shop")
    folder = tmp_path / "shop"
    (folder / "samples").mkdir()
    (folder / "samples" / "taxi_2024-01.csv").write_text(page.block("text", "T4,"), encoding="utf-8")
    added = newcomer.types(page.block("sh", "feed add").strip(), folder).out
    assert added.startswith(page.block("text", "To review"))
    (landing,) = re.findall(
        r"^Files of the feed go into (\S+); the samples were copied nowhere\.$", added, re.MULTILINE
    )
    assert list(Path(landing).iterdir()) == []
    shutil.copytree(folder / "samples", landing, dirs_exist_ok=True)
    run, books = page.block("sh", "+curated.taxi").splitlines()
    printed = newcomer.types(run, folder).out
    assert "rows: 4 in raw.taxi = 4 in curated.taxi + 0 quarantined + 0 deduplicated" in printed
    assert "Nobody has reviewed 7 guesses of contracts/taxi.odcs.yaml yet:" in printed
    assert "4 in raw.taxi" in newcomer.types(books, folder).out
    fares = {
        row["trip_id"]: (str(row["fare"]), row["zone"])
        for row in newcomer.rows(folder, "dev", "curated.taxi")
    }
    assert fares == {
        "T1": ("12.50", "012"),
        "T2": ("1137.50", "007"),
        "T3": ("9.00", "012"),
        "T4": ("31.25", "101"),
    }

    # a guess is followed: the contract says a zone, lint what the model has to say then
    contract = folder / "contracts" / "taxi.odcs.yaml"
    described = yaml.safe_load(contract.read_text(encoding="utf-8"))
    (pickup,) = (one for one in described["schema"][0]["properties"] if one["name"] == "pickup_at")
    pickup["logicalTypeOptions"] = {
        **pickup.get("logicalTypeOptions", {}),
        "defaultTimezone": "Europe/London",
    }
    contract.write_text(yaml.safe_dump(described), encoding="utf-8")
    models = "models/curated/taxi/_curated__taxi.yml"
    linted = newcomer.types("slipway contracts lint", folder, code=2)
    said = linted.out
    assert linted.err.startswith("2 contracts, 1 problem, ")
    wanted = "timestamp with time zone"
    assert (
        f"taxi.odcs.yaml: {models}: pickup_at of curated.taxi has the data_type timestamp, and this contract makes it {wanted}: "
        f"write data_type: {wanted}\n"
    ) in said
    failed = newcomer.types(run, folder, code=1)
    assert "Change the query, or columns and data_type in the model's YAML" in failed.err + failed.out
    text = (folder / models).read_text(encoding="utf-8")
    assert text.count("data_type: timestamp,") == 1
    (folder / models).write_text(
        text.replace("data_type: timestamp,", f"data_type: {wanted},"), encoding="utf-8"
    )
    assert "write data_type" not in newcomer.types("slipway contracts lint", folder).out
    newcomer.types(run, folder)
    hours = {row["pickup_at"].hour for row in newcomer.rows(folder, "dev", "curated.taxi")}
    assert hours == {7, 8, 17, 18}

    # a property has another name, and the model does not know: lint counts what the run refuses
    described = yaml.safe_load(contract.read_text(encoding="utf-8"))
    (zone,) = (one for one in described["schema"][0]["properties"] if one["name"] == "zone")
    zone |= {"name": "zone_code", "physicalName": "zone"}
    contract.write_text(yaml.safe_dump(described), encoding="utf-8")
    linted = newcomer.types("slipway contracts lint", folder, code=2)
    assert (
        f"taxi.odcs.yaml: {models}: zone of curated.taxi is no property of this contract; it has zone_code, which the model does not: "
    ) in linted.out
    assert linted.err.startswith("2 contracts, 1 problem, ")
    newcomer.types(run, folder, code=1)
