"""Descriptions and constraints of dbt's YAML and of contracts are in the published Iceberg schema, and a new description builds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slipway.iceberg.schema import top_level

if TYPE_CHECKING:
    from tests.harness.projects import Meters

MODELS = "models/_models.yml"
DAILY = "serving.daily_consumption"
PRODUCT = """
apiVersion: v3.2.0
kind: DataContract
id: daily
version: 1.0.0
schema:
  - name: daily_consumption
    physicalName: serving.daily_consumption
    properties:
      - {name: read_on, physicalType: date, required: true, primaryKey: true, primaryKeyPosition: 1, description: Day of the reading}
      - {name: meters, physicalType: bigint, description: Meters by contract}
      - {name: wh, physicalType: "decimal(38, 3)"}
"""


def docs(project: Meters) -> dict[str, str | None]:
    return {field.name: field.doc for field in project.table(DAILY).schema().fields}


@pytest.mark.long
def test_a_new_description_is_published_without_building_anything(built: Meters) -> None:
    built.write("contracts/daily.odcs.yaml", PRODUCT)
    built.edit(
        MODELS,
        "      contract: {enforced: true}\n",
        "      contract: {enforced: true}\n      persist_docs: {relation: true, columns: true}\n    description: One row per day\n",
    )
    built.edit(MODELS, "[{type: not_null}]", "[{type: primary_key}]")
    built.edit(
        MODELS,
        "{name: meters, data_type: bigint}",
        "{name: meters, data_type: bigint, description: 'Meters  that were read'}",
    )
    before = built.rows(DAILY)
    built.run()
    assert docs(built) == {"read_on": "Day of the reading", "meters": "Meters that were read", "wh": None}
    table = built.table(DAILY)
    read_on = top_level(table.schema(), "read_on")
    assert read_on is not None
    assert read_on.required
    assert table.schema().identifier_field_ids == [read_on.field_id]
    assert table.properties["comment"] == "One row per day"
    assert built.rows(DAILY) == before
    state, releases = built.state(), len(built.releases())
    assert built.run()["outcome"] == "unchanged"  # from here on dbt compiles nothing

    built.edit(MODELS, "Meters  that were read", "Meters with a reading")
    built.write("contracts/daily.odcs.yaml", PRODUCT.replace("Day of the reading", "The day"))
    changed = built.run()
    assert (changed["outcome"], changed["release"] is None) == ("published", False)
    assert {node["table"]: node["change"] for node in changed["nodes"] if node["change"] != "unchanged"} == {
        DAILY: "same_content"
    }
    assert changed["tests"]["executed"] == 0
    assert built.state() == state
    assert docs(built) == {"read_on": "The day", "meters": "Meters with a reading", "wh": None}
    assert len(built.releases()) == releases + 1
    assert built.run()["outcome"] == "unchanged"

    built.answer("rollback", "--reason", "a mistake", "--yes")
    assert docs(built) == {"read_on": "Day of the reading", "meters": "Meters that were read", "wh": None}
    assert built.rows(DAILY) == before
    built.run()
    assert docs(built)["read_on"] == "The day"


@pytest.mark.long
def test_an_incremental_table_says_which_columns_stay_optional(built: Meters) -> None:
    built.edit(
        MODELS,
        "      - name: meter\n        data_tests: [not_null]\n      - name: kwh\n        data_tests: [not_null]\n",
        "      - {name: meter, data_type: varchar, constraints: [{type: not_null}]}\n      - {name: read_on, data_type: date}\n"
        "      - {name: kwh, data_type: 'decimal(18, 3)'}\n    config: {contract: {enforced: true}, on_schema_change: fail}\n",
    )
    built.readings("day-3.csv", "m1,2024-05-03,1,")
    before = built.rows("curated.consumption")
    notes = {node["table"]: node["notes"] for node in built.run()["nodes"]}
    (note,) = notes["curated.consumption"]
    assert note.startswith("meter stays optional in the Iceberg table")
    assert note.endswith("slipway run --full-refresh --select consumption makes it required")
    built.readings("day-4.csv", "m1,2024-05-04,1,")
    assert {node["table"]: node["notes"] for node in built.run()["nodes"]}["curated.consumption"] == []
    assert not built.table("curated.consumption").schema().find_field("meter").required
    built.run("--full-refresh", "--select", "consumption")
    assert built.table("curated.consumption").schema().find_field("meter").required
    assert set(before) < set(built.rows("curated.consumption"))
    built.readings("day-5.csv", "m1,2024-05-05,1,")
    built.run()
    assert built.table("curated.consumption").schema().find_field("meter").required
    assert len(built.rows("curated.consumption")) == len(before) + 3
