"""dbt's commands behave as a dbt user expects, each a process of its own with an empty memory."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.integration.test_materializations import bare

if TYPE_CHECKING:
    from tests.harness.projects import Meters

ALL = {
    "raw.readings",
    "curated.consumption",
    "serving.daily_consumption",
    "serving.sites",
    "reference.meters",
}


def test_build_publishes_every_table_as_one_release(project: Meters) -> None:
    output = project.dbt("build")
    assert "landed readings: 2 files, 5 rows; 0 set aside" in output
    assert "published release 1: 5 tables" in output
    assert set(project.published()) == ALL
    # 1.5 + 2 + 0.25 kWh and 1.25 + 3 kWh
    assert [
        (str(day), meters, float(wh)) for day, meters, wh in project.rows("serving.daily_consumption")
    ] == [
        ("2024-05-01", 3, 3750.0),
        ("2024-05-02", 2, 4250.0),
    ]
    assert [(site, meters, float(kwh)) for site, meters, kwh in project.rows("serving.sites")] == [
        ("north", 4, 7.75),
        ("south", 1, 0.25),
    ]
    assert set(project.results().values()) == {"success", "pass"}
    release, run = project.releases()[0], project.manifests()[0]
    assert (release["number"], release["run_id"]) == (1, run["run_id"])
    assert set(release["tables"]) == ALL
    assert {name: table["snapshot_id"] for name, table in release["tables"].items()} == {
        name: str(snapshot) for name, snapshot in project.state().items()
    }
    for name in ALL:
        tag = project.table(name).metadata.refs["release-1"]
        assert tag.snapshot_id == project.state()[name]


def test_commands_that_only_read_leave_everything_as_it_is(built: Meters) -> None:
    before = built.published()

    built.dbt("test")
    assert built.results() == {
        "consumption_is_not_negative": "pass",
        "not_null_consumption_kwh": "pass",
        "not_null_consumption_meter": "pass",
        "unique_daily_consumption_read_on": "pass",
    }

    shown = built.dbt("show", "-s", "consumption", "--limit", "3", "--output", "json")
    rows = json.loads(shown[shown.index("{") : shown.rindex("}") + 1])["show"]
    assert len(rows) == 3
    inline = built.dbt(
        "show", "--inline", "select sum(kwh) as total from {{ ref('sites') }}", "--output", "json"
    )
    assert json.loads(inline[inline.index("{") : inline.rindex("}") + 1])["show"] == [{"total": 8.0}]

    compiled = built.dbt("compile", "-s", "sites")
    assert '"dev"."curated"."consumption"' in compiled

    listed = built.dbt("ls", "--resource-type", "model", "--output", "name")
    assert {"readings", "consumption", "daily_consumption", "sites"} <= set(listed.split())

    built.dbt("docs", "generate")
    catalog = json.loads((built.target / "catalog.json").read_text(encoding="utf-8"))["nodes"]
    node = catalog["model.meters.consumption"]
    assert node["metadata"]["type"] == "ICEBERG TABLE"
    assert {name: column["type"] for name, column in node["columns"].items()} == {
        "meter": "VARCHAR",
        "read_on": "DATE",
        "kwh": "DECIMAL(18,3)",
    }
    assert node["stats"]["row_count"]["value"] == 5
    assert str(built.state()["curated.consumption"]) in node["stats"]["snapshot"]["value"]

    assert "All checks passed!" in built.dbt("debug")
    assert built.published() == before
    assert len(built.manifests()) == 1


@pytest.mark.long
def test_source_freshness_comes_from_the_ledger(project: Meters) -> None:
    before_anything = project.start("source", "freshness", program="dbt").wait()
    assert before_anything.code == 1
    project.dbt("build")
    project.dbt("source", "freshness")
    found = json.loads((project.target / "sources.json").read_text(encoding="utf-8"))["results"]
    landed = max(entry["landed_at"] for entry in project.ledger())
    assert [result["status"] for result in found] == ["pass"]
    assert found[0]["max_loaded_at"].replace("Z", "+00:00") == landed.isoformat()


def test_a_selection_is_built_on_what_is_published(built: Meters) -> None:
    before = built.state()
    built.readings("day-3.csv", "m3,2024-05-03,1,")

    built.dbt("run", "-s", "consumption+")
    # nothing was appended to raw by this selection, so nothing downstream moves
    assert built.state() == before

    built.dbt("run", "-s", "+daily_consumption")
    moved = {name for name, snapshot in built.state().items() if snapshot != before[name]}
    assert moved == {"raw.readings", "curated.consumption", "serving.daily_consumption"}

    built.dbt("run", "-s", "sites")
    assert [(site, meters) for site, meters, _ in built.rows("serving.sites")] == [
        ("north", 4),
        ("south", 2),
    ]


@pytest.mark.long
def test_deferred_models_are_those_that_dbt_reads(project: Meters) -> None:
    bare(project)
    project.write("models/serving/near.sql", "select 1 as n")
    project.write("models/serving/far.sql", "select n + 100 as n from {{ ref('near') }}")
    project.dbt("build", "--target", "ci")
    state = project.path.parent / "state"
    shutil.copytree(project.target, state)
    defer = ("--select", "far", "--defer", "--state", str(state))
    project.dbt("build", *defer)  # there is no table of its own yet
    assert project.rows("serving.far") == [(101,)]
    project.write("models/serving/near.sql", "select 2 as n")
    project.dbt("build", "--select", "near")
    project.dbt("build", *defer)
    assert project.rows("serving.far") == [(102,)]
    project.dbt("build", *defer, "--favor-state")
    assert project.rows("serving.far") == [(101,)]
    project.dbt("build", *defer)
    assert project.rows("serving.far") == [(102,)]


@pytest.mark.long
def test_what_a_retry_has_built_before_is_not_deferred(project: Meters) -> None:
    bare(project)
    project.write("models/serving/near.sql", "select 1 as n")
    far = "select n + 100 as n from {{ ref('near') }} where {{ env_var('READY', 'true') }}"
    project.write("models/serving/far.sql", far)
    project.dbt("build", "--target", "ci")
    state = project.path.parent / "state"
    shutil.copytree(project.target, state)
    project.write("models/serving/near.sql", "select 2 as n")
    project.settings["READY"] = "error('not yet')"
    project.refused("build", "--defer", "--state", str(state), "--favor-state")
    project.settings["READY"] = "true"
    project.dbt("retry")
    assert project.rows("serving.far") == [(102,)]


@pytest.mark.long
def test_only_the_seed_and_a_changed_seed(project: Meters) -> None:
    project.dbt("seed")
    assert set(project.published()) == {"reference.meters"}
    project.write("seeds/reference/meters.csv", "meter,site\nm1,east\nm2,north\nm3,south\n")
    project.dbt("seed")
    assert project.rows("reference.meters") == [("m1", "east"), ("m2", "north"), ("m3", "south")]
    project.dbt("build")
    assert [(site, meters) for site, meters, _ in project.rows("serving.sites")] == [
        ("east", 2),
        ("north", 2),
        ("south", 1),
    ]


@pytest.mark.long
def test_an_empty_seed_is_an_empty_table(project: Meters) -> None:
    project.write("seeds/reference/meters.csv", "meter,site\n")
    project.write("models/serving/sites.sql", "select * from {{ ref('meters') }}\n")
    project.dbt("build", "-s", "meters+")
    assert project.rows("reference.meters") == []
    assert project.rows("serving.sites") == []


@pytest.mark.long
def test_full_refresh_rebuilds_and_keeps_raw(built: Meters) -> None:
    built.readings("day-9.csv", "m1,2024-05-01,9,")
    built.dbt("build")
    identity = {name: built.table(name).metadata.table_uuid for name in ALL}
    content = {name: built.content(name) for name in ALL}
    raw = built.files("raw.readings")

    # the correction of the first day reached consumption as an increment; a refresh has to find it in raw
    built.dbt("build", "--full-refresh")
    assert {name: built.content(name) for name in ALL} == content
    assert {name: built.table(name).metadata.table_uuid for name in ALL} == identity
    assert built.files("raw.readings") == raw


@pytest.mark.long
def test_vars_reach_the_models(project: Meters) -> None:
    project.dbt("build", "--vars", "kwh_factor: 1")
    assert [float(wh) for _, _, wh in project.rows("serving.daily_consumption")] == [3.75, 4.25]
    assert project.manifests()[-1]["vars"] == {"kwh_factor": 1}


@pytest.mark.long
def test_eight_threads(project: Meters) -> None:
    for number in range(24):
        project.write(
            f"models/serving/wide_{number}.sql",
            f"select meter, {number} as n from {{{{ ref('consumption') }}}}",
        )
    project.dbt("build", "--threads", "8")
    assert len(project.published()) == 29
    for number in range(24):
        assert project.rows(f"serving.wide_{number}", "n") == [(number,)] * 5


@pytest.mark.long
def test_ephemeral_models_and_views_are_internal(project: Meters) -> None:
    project.write(
        "models/curated/north.sql",
        "{{ config(materialized='ephemeral') }}\nselect * from {{ ref('meters') }} where site = 'north'\n",
    )
    project.write("models/serving/sites.sql", "select count(*) as meters from {{ ref('north') }}\n")
    project.dbt("build")
    assert project.rows("serving.sites") == [(2,)]
    assert set(project.published()) == ALL


def test_a_test_keeps_its_failures_where_its_config_says(built: Meters) -> None:
    built.write(
        "tests/dbt/no_meter.sql", "{{ config(severity='warn') }}\nselect meter from {{ ref('meters') }}\n"
    )
    output = built.dbt("test", "--store-failures")
    assert built.results()["no_meter"] == "warn"
    assert "Got 3 results" in output
    assert set(built.published()) == ALL


@pytest.mark.long
def test_unit_tests_run_before_anything_is_there(project: Meters) -> None:
    project.write(
        "models/_unit_tests.yml",
        """
unit_tests:
  - name: sites_add_up
    model: sites
    given:
      - input: ref('consumption')
        rows: [{meter: a, kwh: 1.5}, {meter: b, kwh: 2}]
      - input: ref('meters')
        rows: [{meter: a, site: x}, {meter: b, site: x}]
    expect:
      rows: [{site: x, meters: 2, kwh: 3.5}]
""",
    )
    project.dbt("build")
    assert project.results()["sites"] == "success"
    assert project.manifests()[-1]["tests"]["failed"] == 0


def test_unit_tests_of_increments(built: Meters) -> None:
    built.write(
        "models/_unit_tests.yml",
        """
unit_tests:
  - name: only_the_last_reading_counts
    model: consumption
    overrides:
      macros: {is_incremental: true, rows_added: "meter <> 'old'"}
    given:
      - input: ref('readings')
        rows:
          - {meter: old, read_on: 2024-01-01, kwh: "9", _source_file: a, _source_line: 2}
          - {meter: new, read_on: 2024-01-01, kwh: "1", _source_file: a, _source_line: 3}
          - {meter: new, read_on: 2024-01-01, kwh: "2", _source_file: b, _source_line: 2}
    expect:
      rows: [{meter: new, read_on: 2024-01-01, kwh: 2}]
  - name: an_increment_reads_what_it_is_given
    model: consumption
    overrides: {macros: {is_incremental: true}}
    given:
      - {input: this, rows: []}
      - input: ref('readings')
        rows: [{meter: new, read_on: 2024-01-01, kwh: "1", _source_file: a, _source_line: 3}]
    expect:
      rows: [{meter: new, read_on: 2024-01-01, kwh: 1}]
""",
    )
    built.dbt("test", "-s", "consumption,test_type:unit")
    assert set(built.results().values()) == {"pass"}


@pytest.mark.long
def test_hooks_of_a_model_run(project: Meters) -> None:
    project.write(
        "models/serving/sites.sql",
        "{{ config(pre_hook=\"set variable factor = 3\") }}\nselect getvariable('factor') as factor from {{ ref('meters') }} limit 1\n",
    )
    project.dbt("build", "-s", "meters", "sites")
    assert project.rows("serving.sites") == [(3,)]


def test_a_command_that_cannot_begin_builds_nothing(project: Meters) -> None:
    contract = (project.path / "contracts/readings.odcs.yaml").read_text(encoding="utf-8")
    project.write(
        "contracts/readings.odcs.yaml",
        contract.replace("physicalName", "physicalNam").replace("{name: kwh", "{nam: kwh"),
    )
    output = project.refused("build")
    assert (
        "Unknown key `nam` in schema.readings.properties.3 (readings.odcs.yaml, line 20). Did you mean `name`?"
        in output
    )
    assert "Traceback" not in output
    assert project.published() == {}
