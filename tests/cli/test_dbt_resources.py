"""What dbt's YAML has besides tables: versions, groups, deprecation dates, exposures, metrics, functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

MODELS = "models/_models.yml"
MODEL = "models/serving/depot_weights.sql"
YAML = """\
groups:
  - name: weighing
    owner: {name: Weighers, email: weighers@example.org}
models:
  - name: weights
    config: {group: weighing, access: protected}
  - name: depot_weights
    latest_version: 2
    columns: [{name: depot, data_tests: [unique]}]
    versions:
      - v: 1
        deprecation_date: 2024-01-01
        config: {was: depot_weights}
      - v: 2
  - name: days
    time_spine: {standard_granularity_column: day}
    columns: [{name: day, granularity: day}]
semantic_models:
  - name: weighings
    model: ref('weights')
    defaults: {agg_time_dimension: weighed_on}
    entities: [{name: parcel, type: primary}]
    dimensions: [{name: weighed_on, type: time, type_params: {time_granularity: day}}]
    measures: [{name: kg, agg: sum}]
metrics:
  - name: kilograms
    label: Kilograms
    type: simple
    type_params: {measure: kg}
saved_queries:
  - name: by_day
    query_params: {metrics: [kilograms], group_by: ["TimeDimension('parcel__weighed_on')"]}
exposures:
  - name: scales
    type: dashboard
    owner: {name: Depots, email: depots@example.org}
    depends_on: ["ref('depot_weights', v=1)"]
  - name: figures
    type: application
    owner: {name: Office, email: office@example.org}
    depends_on: ["metric('kilograms')"]
"""
DEPRECATED = (
    "Model depot_weights v1 is deprecated since 2024-01-01, and still read by reads_first, exposure scales."
    " Refer to v2 there."
)


def with_versions(workshop: Workshop) -> None:
    """Give a model of the project two versions, readers of both, a metric, a saved query and exposures."""
    workshop.write("models/serving/depot_weights_v1.sql", workshop.read(MODEL))
    workshop.remove(MODEL)
    workshop.write(
        "models/serving/depot_weights_v2.sql",
        "select depot, sum(kg) as kg, max(weighed_on) as last_on from {{ ref('weights') }} group by depot\n",
    )
    workshop.write("models/serving/reads_latest.sql", "select depot, kg from {{ ref('depot_weights') }}\n")
    workshop.write(
        "models/serving/reads_first.sql", "select depot, kg from {{ ref('depot_weights', v=1) }}\n"
    )
    workshop.write("models/serving/days.sql", "select date '2024-05-01' as day\n")
    workshop.write(MODELS, YAML)


@pytest.mark.long
def test_versions_metrics_and_exposures(built: Workshop) -> None:
    workshop = built
    before = workshop.table("serving.depot_weights").metadata.table_uuid
    with_versions(workshop)
    done = workshop.slipway("run")
    assert done.code == 0, done
    assert DEPRECATED in done.err
    assert "by_day" not in done.out + done.err  # a saved query builds nothing
    # each version is a table of its own; the first has the history of the model that had no versions
    made = {name for name in workshop.published() if name.startswith("serving.depot_weights")}
    assert made == {"serving.depot_weights_v1", "serving.depot_weights_v2"}
    assert workshop.table("serving.depot_weights_v1").metadata.table_uuid == before

    workshop.edit(MODELS, "label: Kilograms", "label: Weight")
    workshop.edit(MODELS, "agg: sum", "agg: max")
    workshop.run()
    assert set(workshop.changes().values()) == {"unchanged"}

    workshop.edit(MODELS, "latest_version: 2", "latest_version: 1")
    workshop.run()
    built_again = {table for table, change in workshop.changes().items() if change != "unchanged"}
    assert built_again == {"serving.reads_latest"}

    workshop.edit("models/curated/weights.sql", "select parcel,", "select upper(parcel) as parcel,")
    workshop.run()
    planned = json.loads(workshop.answer("rollback", "--dry-run", "--output", "json"))
    readers = {one["name"]: one["tables"] for one in planned["exposures"]}
    assert readers["figures"] == ["curated.weights"]  # by way of a metric

    compared = json.loads(workshop.slipway("diff", "2", "3", "--output", "json").out)
    verdicts = {one["name"]: one["verdict"] for one in compared["tables"]}
    assert verdicts["serving.depot_weights_v1"] == verdicts["serving.depot_weights_v2"] == "identical"


def test_a_check_names_deprecated_models_and_who_is_reached_by_metrics(workshop: Workshop) -> None:
    with_versions(workshop)
    workshop.edit("models/curated/weights.sql", "select parcel,", "select number,")
    done = workshop.slipway("check", "--output", "json")
    found = {one["rule"]: one for one in json.loads(done.out)["findings"]}
    assert (found["deprecated"]["message"], found["deprecated"]["file"], found["deprecated"]["line"]) == (
        DEPRECATED,
        MODELS,
        7,
    )
    assert "exposure figures" in found["bind"]["reaches"]


@pytest.mark.parametrize("options", [[], ["--select", "depot_weights"]], ids=["all", "selection"])
def test_a_private_model_is_refused_whatever_is_selected(workshop: Workshop, options: list[str]) -> None:
    workshop.write(
        MODELS,
        "groups: [{name: weighing, owner: {name: Weighers}}]\n"
        "models: [{name: weights, config: {group: weighing, access: private}}]\n",
    )
    printed = workshop.refusal("run", *options, code=1)
    assert "the referenced node is private to the 'weighing' group" in printed
    assert workshop.locations() == {}


def test_dbt_clone_is_refused_in_one_sentence(workshop: Workshop) -> None:
    state = workshop.folder / "state"
    workshop.dbt("parse", "--target-path", str(state))
    said = workshop.refused("clone", "--state", str(state), "--target", "ci")
    assert said.count("dbt clone cannot make tables of ci") == 1
    assert "Use slipway ci, which clones the tables of a release by their metadata" in said
    assert not workshop.warehouse("ci").exists()


@pytest.mark.long
def test_functions_are_refused_before_anything_lands(workshop: Workshop) -> None:
    workshop.write("functions/doubled.sql", "x * 2\n")
    workshop.write(
        "functions/_functions.yml",
        "functions: [{name: doubled, arguments: [{name: x, data_type: integer}], returns: {data_type: integer}}]\n",
    )
    workshop.write(
        "models/serving/calls.sql",
        "select {{ function('doubled') }}(parcels::integer) as n from {{ ref('depot_weights') }}\n",
    )
    said = "1 function of the project cannot be made: function doubled (functions/doubled.sql): dbt has no way to create functions in DuckDB."
    assert workshop.refusal("run", "--select", "+calls", code=2).startswith(said)
    assert said in workshop.refused("build")
    assert workshop.locations() == {}
    checked = json.loads(workshop.slipway("check", "--output", "json").out)["findings"]
    assert [one["rule"] for one in checked if one["message"].startswith(said)] == ["configuration"]
    workshop.edit("dbt_project.yml", "flags:", "functions: {+enabled: false}\n\nflags:")
    workshop.remove("models/serving/calls.sql")
    assert workshop.slipway("check").code == 0
