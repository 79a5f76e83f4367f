"""``slipway contracts``: what is wrong with contracts, and contracts written from models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import World
    from tests.harness.projects import Workshop

FEED = "contracts/parcels.odcs.yaml"


def test_contracts_that_are_right_are_counted(empty: World) -> None:
    done = empty.slipway("contracts", "lint")
    assert (done.code, done.out, done.err) == (0, "", "1 contract, 0 problems.\n")


def test_problems_are_listed_with_their_places(empty: World) -> None:
    project = empty.workshop.path
    text = (project / FEED).read_text(encoding="utf-8")
    (project / FEED).write_text(text.replace("logicalType: date", "logicaltype: date"), encoding="utf-8")
    (project / "contracts" / "nested.odcs.yaml").write_text(
        text.replace("id: parcels", "id: nested").replace("parcels/*.csv", "a/b/*.csv"), encoding="utf-8"
    )
    (project / "contracts" / "notes.yaml").write_text("- x\n", encoding="utf-8")
    done = empty.slipway("contracts", "lint")
    assert done.code == 2
    assert done.out.splitlines() == [
        "servers (nested.odcs.yaml, line 6): path a/b has a folder in a folder; a feed is one folder of the landing area. See docs/reference/landing.md.",
        "Unknown key `logicaltype` in schema.parcels.properties.weighed_on (parcels.odcs.yaml, line 17). Did you mean `logicalType`?",
    ]
    assert done.err == (
        "contracts/notes.yaml is not read: the name of a contract ends in .odcs.yaml.\n2 contracts, 2 problems.\n"
    )
    found = json.loads(empty.slipway("contracts", "lint", str(project / FEED), "-o", "json").out)
    assert [(one["file"], one["contract"], one["problems"][0]["line"]) for one in found] == [
        ("parcels.odcs.yaml", None, 17)
    ]


def test_data_outside_of_the_regions_of_a_contract_is_a_problem(empty: World) -> None:
    """The warehouse of every contract and the landing area of a feed are looked at, as far as they are on S3."""
    contract = empty.path / FEED
    text = contract.read_text(encoding="utf-8")
    regions = "customProperties:\n  - {property: regions, value: [eu-west-2, eu-central-1]}\n"
    contract.write_text(text + regions, encoding="utf-8")
    assert empty.slipway("contracts", "lint").code == 0  # a local folder is in no region
    places = {"SLIPWAY_WAREHOUSE": "s3://lake/warehouse", "AWS_REGION": "us-east-1"}
    line = text.count("\n") + 2
    said = (
        f"customProperties.regions.value (parcels.odcs.yaml, line {line}): allows eu-west-2, eu-central-1, and {{}} of target dev, {{}}, is in us-east-1. "
        "Keep the data in a region that is allowed, or have the owner of the contract allow this one."
    )
    done = empty.slipway("contracts", "lint", **places)
    assert (done.code, done.out.splitlines()) == (2, [said.format("the warehouse", "s3://lake/warehouse")])
    both = empty.slipway("contracts", "lint", **places, SLIPWAY_LANDING="s3://drop/in")
    assert both.out.splitlines()[1:] == [said.format("the landing area", "s3://drop/in")]
    assert empty.slipway("contracts", "lint", **(places | {"AWS_REGION": "EU-West-2"})).code == 0
    unknown = empty.slipway("contracts", "lint", SLIPWAY_WAREHOUSE="s3://lake/warehouse")
    assert unknown.code == 0
    assert unknown.out == (
        "parcels.odcs.yaml: regions cannot be checked: target dev does not say in which region the warehouse is; set AWS_REGION, or s3.region of its catalog\n"
    )


EXPOSURES = """
exposures:
  - name: wall
    label: Weights on the wall
    type: dashboard
    owner: {name: Depot North}
    depends_on: [ref('shown')]
  - name: sheet
    type: analysis
    owner: {name: Ada}
    depends_on: [ref('weights')]
"""


@pytest.mark.long
def test_exposures_that_read_a_product_are_to_be_among_its_consumers(workshop: Workshop) -> None:
    workshop.edit(
        "models/_models.yml",
        "\n  - name: depot_weights\n    columns:\n      - name: depot\n        data_tests: [unique]\n",
        PROMISED,
    )
    view = "{{ config(materialized='ephemeral') }}\nselect * from {{ ref('depot_weights') }}\n"
    workshop.write("models/serving/shown.sql", view)
    workshop.answer("contracts", "export", "depot_weights", "--output-dir", str(workshop.path / "contracts"))
    workshop.write("models/_exposures.yml", EXPOSURES)
    contract = "contracts/serving.depot_weights.odcs.yaml"
    done = workshop.slipway("contracts", "lint")
    assert (done.code, done.out) == (
        0,
        "serving.depot_weights.odcs.yaml: exposure wall (models/_exposures.yml) reads it, and is not among its consumers: add wall to the custom property consumers\n",
    )
    for name in ("wall", "weights on the wall", "depot north"):
        text = (workshop.path / contract).read_text(encoding="utf-8")
        workshop.write(contract, text + f"customProperties: [{{property: consumers, value: [{name}]}}]\n")
        assert workshop.answer("contracts", "lint") == ""
        workshop.write(contract, text)


PROMISED = """
  - name: depot_weights
    config: {contract: {enforced: true}}
    constraints: [{type: primary_key, columns: [depot]}]
    columns:
      - {name: depot, data_type: varchar, data_tests: [unique]}
      - {name: parcels, data_type: bigint}
      - {name: kg, data_type: "decimal(38,3)"}
"""


def test_a_product_is_written_from_dbt_and_compared_with_it(workshop: Workshop) -> None:
    workshop.edit(
        "models/_models.yml",
        "\n  - name: depot_weights\n    columns:\n      - name: depot\n        data_tests: [unique]\n",
        PROMISED,
    )
    folder = str(workshop.path / "contracts")
    written = workshop.answer("contracts", "export", "--all", "--output-dir", folder)
    assert written == f"{folder}/serving.depot_weights.odcs.yaml\n"
    again = workshop.slipway("contracts", "export", "depot_weights", "--output-dir", folder)
    assert (again.code, again.out) == (0, "")
    assert "is there and stays as it is" in again.err
    assert workshop.slipway("contracts", "lint").code == 0
    workshop.edit("contracts/serving.depot_weights.odcs.yaml", "- name: kg\n", "- name: kgs\n")
    done = workshop.slipway("contracts", "lint")
    assert done.code == 2
    assert "Unknown column `kgs` in the model depot_weights" in done.out
    assert "lacks the column kg of the model depot_weights" in done.out
    assert "1 more problem of contracts: slipway contracts lint lists them" in workshop.refusal("run", code=2)
    assert not list(workshop.warehouse().glob("**/*.parquet"))


def test_a_model_that_is_not_there_is_named(workshop: Workshop) -> None:
    assert workshop.refusal("contracts", "export", "depot_weight", code=3) == (
        "No model depot_weight: dbt knows none of this name. Did you mean depot_weights?"
    )


def test_one_of_names_and_all_is_given(empty: World) -> None:
    assert empty.refusal("contracts", "export", code=2) == "No model is chosen. Name models, or give --all."


def test_contracts_are_compared_with_a_commit(empty: World) -> None:
    project = empty.workshop.path
    empty.commit()
    assert (
        empty.slipway("contracts", "diff", "HEAD").err
        == "1 contract compared with HEAD: 0 contracts changed.\n"
    )
    text = (project / FEED).read_text(encoding="utf-8")
    (project / FEED).write_text(
        text.replace(
            "{name: depot, logicalType: string}", "{name: depot, logicalType: string, required: true}"
        ),
        encoding="utf-8",
    )
    done = empty.slipway("contracts", "diff", "HEAD")
    assert done.code == 1
    assert done.out.splitlines() == [
        "parcels (feed, parcels.odcs.yaml) 1.0.0 → 1.0.0: 1 breaking change, 0 compatible",
        "  breaks producers  schema.parcels.properties.depot.required: added true. More is asked than before.",
        "  Failed: parcels has 1 breaking change from version 1.0.0 to 1.0.0. Write `version: 2.0.0`, or undo what breaks and announce it first (`deprecated: true`).",
    ]
    (found,) = json.loads(empty.slipway("contracts", "diff", "HEAD", "-o", "json").out)
    assert (found["breaks"], len(found["changes"]), len(found["failures"])) == (["producers"], 1, 1)
    shown = empty.slipway("contracts", "diff", "HEAD", "-o", "markdown").out
    assert shown.startswith("### Contracts: failed, 1 contract changed, 1 of them not in order\n")
    assert "| breaks producers | `schema.parcels.properties.depot.required` | added `true` |" in shown
    assert empty.slipway("contracts", "diff", "no-such-branch").code == 3
    (project / FEED).write_text(
        (project / FEED).read_text(encoding="utf-8").replace("1.0.0", "2.0.0"), encoding="utf-8"
    )
    assert empty.slipway("contracts", "diff", "HEAD").code == 0


def test_files_are_compared_without_a_project(empty: World, tmp_path: Path) -> None:
    """A producer has two files and nothing else."""
    text = (empty.workshop.path / FEED).read_text(encoding="utf-8")
    old, new = tmp_path / "old.yaml", tmp_path / "new.odcs.yaml"
    old.write_text(text, encoding="utf-8")
    new.write_text(text.replace("parcels/*.csv", "parcels/*.tsv"), encoding="utf-8")
    done = empty.slipway("contracts", "diff", str(old), str(new), "--project-dir", str(tmp_path))
    assert done.code == 1
    assert "breaks producers  servers.landing.path: parcels/*.csv → parcels/*.tsv." in done.out
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "parcels.odcs.yaml").write_text(text, encoding="utf-8")
    (folder / "other.odcs.yaml").write_text(text.replace("id: parcels", "id: other"), encoding="utf-8")
    for pair in ((str(folder), str(old)), (str(old), str(folder))):
        done = empty.slipway("contracts", "diff", *pair)
        assert (done.code, done.out) == (0, "")
    new.write_text(text.replace("name: kg", "nmae: kg"), encoding="utf-8")
    assert empty.slipway("contracts", "diff", str(old), str(new)).code == 2
    assert empty.slipway("contracts", "diff", str(tmp_path / "empty"), str(new)).code == 3
