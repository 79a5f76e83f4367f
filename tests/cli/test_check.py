"""``slipway check``: what is wrong with the code, with file and line, before a row is read."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.harness.commands import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.projects import Workshop

WEIGHTS = "models/curated/weights.sql"
MODELS = "models/_models.yml"
BROKEN: Mapping[str, str] = {
    # each with what is said of it below
    "models/serving/unknown_column.sql": """with

weights as (
    {# a comment
       of two lines #}
    select * from {{ ref('weights') }}
)

select
    depot,
    kilograms
from weights
""",
    "models/serving/reads_it.sql": "select depot from {{ ref('unknown_column') }}\n",
    "models/serving/unknown_function.sql": "select\n    kilo(kg) as kg\nfrom {{ ref('weights') }}\n",
    "models/serving/wrong_type.sql": "select date_diff('day', weighed_on, depot) as days from {{ ref('weights') }}\n",
    "models/serving/not_sql.sql": "select depot\nfrom {{ ref('weights') }}\nwhere where\n",
    "models/serving/from_clock.sql": "select depot, current_date as today\nfrom {{ ref('weights') }}\n",
    "models/serving/by_chance.sql": "select depot from {{ ref('weights') }}\nwhere random() < 0.5\n",
    "models/serving/by_jinja.sql": "select '{{ run_started_at }}' as started, depot from {{ ref('weights') }}\n",
    "models/serving/floating.sql": "select depot,\n    sum(kg::double) as kg\nfrom {{ ref('weights') }} group by depot\n",
    "models/serving/promised.sql": "select depot as Depot,\n    sum(kg) as kg,\n    1 as more\nfrom {{ ref('weights') }} group by depot\n",
    "models/serving/described.sql": "select depot as Depot from {{ ref('weights') }}\n",
    "models/serving/everything.sql": (
        "select * from {{ ref('parcels_raw') }}\nwhere {{ rows_added(ref('parcels_raw')) }}\n"
    ),
    "models/serving/two_branches.sql": (
        "{{ config(materialized='incremental', incremental_strategy='append') }}\n"
        "select parcel{% if is_incremental() %}, kg{% endif %}\nfrom {{ ref('parcels_raw') }}\nwhere {{ rows_added(ref('parcels_raw')) }}\n"
    ),
    "models/serving/only_later.sql": (
        "{{ config(materialized='incremental', incremental_strategy='append') }}\n"
        "select parcel from {{ ref('parcels_raw') }}\n{% if is_incremental() %}\nwhere kilos > 1\n{% endif %}\n"
    ),
    "models/serving/by_maximum.sql": (
        "{{ config(materialized='incremental', incremental_strategy='append') }}\n{# one\ncomment #}\n"
        "select depot, weighed_on from {{ ref('weights') }}\n{% if is_incremental() %}\n"
        "where weighed_on > (select coalesce(max(weighed_on), date '1970-01-01') from {{ this }}) -- or so\n{% endif %}\n"
    ),
    "models/serving/misspelt.sql": "{{ config(materialised='table') }}\nselect 1 as one\n",
    "models/serving/macro_fails.sql": "select 1 as one\n{% if execute %}{{ exceptions.raise_compiler_error('never this way') }}{% endif %}\n",
    "models/serving/_more.yml": """models:
  - name: promised
    config: {contract: {enforced: true}}
    columns:
      - {name: depot, data_type: varchar}
      - {name: kg, data_type: "decimal(9, 3)"}
  - name: described
    columns:
      - {name: depot}
      - {name: gone}
  - name: py_not_by_name
    columns:
      - {name: depot, data_type: varchar}
  - name: weights_of
    columns:
      - name: x
        data_tests: [not_null]
unit_tests:
  - name: cities
    model: by_city
    given:
      - input: ref('depots')
        rows: [{depot: S, town: Sion}]
      - input: ref('weights')
        format: csv
        rows: |
          Depot,kg
          S,1
    expect:
      rows: [{City: Sion, weight: 1}]
exposures:
  - name: scales
    type: dashboard
    owner: {name: Depots, email: depots@example.org}
    depends_on: [ref('reads_it')]
""",
    "models/serving/by_city.sql": "select city, sum(kg) as kg from {{ ref('weights') }} left join {{ ref('depots') }} using (depot) group by city\n",
    "models/serving/weights_of.sql": "select 1 as y\n",
    "models/serving/by_name.sql": "select depot\nfrom dev.curated.weights\n",
    "models/serving/by_two_names.sql": "with landed as (\n    select parcel\n    from Landing.parcels\n)\n\nselect parcel from landed\n",
    "models/serving/by_one_name.sql": "select city\nfrom depots\n",
    "models/serving/py_by_name.py": (
        "def model(dbt, session):\n"
        "    dbt.config(materialized='table')\n"
        '    return session.sql(\n        """\n        select depot\n        from Curated.weights\n        """\n    )\n'
    ),
    "models/serving/py_by_whole_name.py": (
        "def model(dbt, session):\n    dbt.config(materialized='table')\n    return session.table('dev.reference.depots')\n"
    ),
    "models/serving/py_not_by_name.py": (
        "def model(dbt, session):\n"
        '    """Reads curated.weights, as dbt knows: select depot from reference.depots."""\n'
        "    dbt.config(materialized='table')\n"
        "    print('curated.weights is read, and reference.depots is not')\n"
        "    dbt.ref('weights')\n"
        "    return session.sql('select depot from curated.weights')\n"
    ),
    "models/serving/not_by_name.sql": "{{ config(materialized='incremental', incremental_strategy='append') }}\n"
    "-- curated.weights is read by dbt, and max(depot) from {{ this }} is not\nselect depot, 'curated.depots' as what from {{ ref('weights') }} as curated\n"
    "{% if is_incremental() %}where depot not in (select depot from {{ this }}){% endif %}\n",
    "models/serving/not_on_spark.sql": "{{ config(engine='spark') }}\nselect depot,\n    median(kg) as kg\nfrom {{ ref('weights') }} group by depot\n",
    "models/serving/on_spark.sql": "{{ config(engine='spark') }}\nselect depot, max(kg) as kg, '{{ engine() }}' as made_by from {{ ref('weights') }} group by depot\n",
    "models/serving/merged_not_on_spark.sql": "{{ config(engine='spark', materialized='incremental', unique_key='depot',\n"
    "    merge_update_condition='hash(DBT_INTERNAL_SOURCE.kg) > 1') }}\nselect depot, max(kg) as kg from {{ ref('weights') }} group by depot\n",
    "models/serving/merged_on_spark.sql": "{{ config(engine='spark', materialized='incremental', unique_key='depot',\n"
    "    merge_update_condition='DBT_INTERNAL_SOURCE.kg > DBT_INTERNAL_DEST.kg') }}\nselect depot, max(kg) as kg from {{ ref('weights') }} group by depot\n",
    # dbt itself stops at the first of these
    "models/serving/no_model.sql": "select depot, city\nfrom {{ ref('weights') }}\njoin {{ ref('nowhere') }} using (depot)\n",
    "models/serving/no_source.sql": "select *\nfrom {{ source('landing', 'nowhere') }}\n",
    "models/serving/reads_no_source.sql": "select * from {{ ref('no_source') }}\n",
    "models/serving/py_no_model.py": (
        "def model(dbt, session):\n    dbt.config(materialized='table')\n    return dbt.ref('nowhere')\n"
    ),
    "models/serving/_nowhere.yml": """models:
  - name: unknown_colum
    columns:
      - {name: depot, data_tests: [unique]}
exposures:
  - name: lost
    type: dashboard
    owner: {name: Depots, email: depots@example.org}
    depends_on:
      - ref('nowhere')
""",
    "tests/dbt/on_nothing.sql": "select 1\nfrom {{ ref('nowhere') }}\n",
    "tests/dbt/from_today.sql": "select * from {{ ref('weights') }}\nwhere weighed_on > today()\n",
}


@pytest.fixture(scope="module")
def found(
    new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workshop, dict[str, Any]]:
    """A project with a fault of each kind, and what is found in it; nothing was ever landed or published."""
    project = new_workshop(tmp_path_factory.mktemp("check") / "project")
    for name, text in BROKEN.items():
        project.write(name, text)
    done = project.slipway("check", "--output", "json")
    assert done.code == 1, done
    return project, json.loads(done.out)


def said(found: tuple[Workshop, dict[str, Any]], name: str) -> list[tuple[str, str, int | None, str]]:
    return [
        (one["rule"], one["level"], one["line"], one["message"])
        for one in found[1]["findings"]
        if one["file"].rpartition("/")[2].startswith(f"{name}.") or one["message"].startswith(f"{name}:")
    ]


@pytest.mark.parametrize(
    ("name", "rule", "level", "line", "text"),
    [
        ("unknown_column", "bind", "error", 11, 'Binder Error: Referenced column "kilograms" not found'),
        ("unknown_function", "bind", "error", 2, "Scalar Function with name kilo does not exist"),
        ("wrong_type", "bind", "error", 1, "No function matches the given name and argument types"),
        ("not_sql", "bind", "error", 3, 'syntax error at or near "where"'),
        ("from_clock", "volatile", "warning", 1, "it calls current_date"),
        ("by_chance", "volatile", "warning", 2, "it calls random"),
        ("by_jinja", "volatile", "warning", None, "its Jinja uses run_started_at"),
        ("floating", "float-sum", "warning", 2, "takes sum of DOUBLE or FLOAT"),
        ("promised", "columns", "error", 1, "column Depot is declared as depot"),
        ("everything", "increment", "warning", 2, "rows_added has no effect in everything, which is a table"),
        (
            "two_branches",
            "increment",
            "error",
            2,
            "other columns in an incremental run than in a full one: kg",
        ),
        ("by_maximum", "increment", "warning", 6, "maximum of its own table"),
        ("only_later", "bind", "error", 4, 'Referenced column "kilos" not found'),
        ("by_name", "plain-name", "error", 2, "Write {{ ref('weights') }}."),
        ("by_two_names", "plain-name", "error", 3, "Write {{ source('landing', 'parcels') }}."),
        ("py_by_name", "plain-name", "error", 6, "Write dbt.ref('weights')."),
        ("py_by_whole_name", "plain-name", "error", 3, "Write dbt.ref('depots')."),
        ("by_one_name", "bind", "error", 2, "Is {{ ref('depots') }} meant?"),
        ("misspelt", "configuration", "error", None, "materialised has no effect here: write materialized"),
        ("not_on_spark", "spark", "error", 3, "median"),
        ("merged_not_on_spark", "spark", "error", None, "the function hash in the merge"),
        ("macro_fails", "compile", "error", None, "never this way"),
        ("no_model", "parse", "error", 3, "depends on a node named 'nowhere' which was not found"),
        ("no_source", "parse", "error", 2, "depends on a source named 'landing.nowhere' which was not found"),
        ("py_no_model", "parse", "error", 3, "depends on a node named 'nowhere' which was not found"),
        ("on_nothing", "parse", "error", 2, "depends on a node named 'nowhere' which was not found"),
        ("from_today", "volatile", "warning", 2, "it calls today"),
    ],
)
def test_each_fault_is_found_in_its_line(
    found: tuple[Workshop, dict[str, Any]], name: str, rule: str, level: str, line: int | None, text: str
) -> None:
    (one,) = said(found, name)
    assert one[:3] == (rule, level, line), one
    assert text in one[3]


def test_yaml_and_exposures_of_what_is_not_there(found: tuple[Workshop, dict[str, Any]]) -> None:
    of_exposure, of_yaml = sorted(said(found, "_nowhere"), key=lambda one: one[3])
    assert of_yaml[:3] == ("parse", "error", 2)
    assert "there is no such model. Is unknown_column meant?" in of_yaml[3]
    assert of_exposure[:3] == ("parse", "error", 10)
    assert of_exposure[3].startswith("Exposure 'exposure.parcels.lost'")


def test_it_is_not_reported_what_spark_computes(found: tuple[Workshop, dict[str, Any]]) -> None:
    assert said(found, "on_spark") == []
    assert said(found, "merged_on_spark") == []


def test_names_that_are_no_tables_are_not_touched(found: tuple[Workshop, dict[str, Any]]) -> None:
    assert said(found, "not_by_name") == []
    assert said(found, "py_not_by_name") == []


def test_columns_that_differ_from_what_is_declared(found: tuple[Workshop, dict[str, Any]]) -> None:
    (contract,) = said(found, "promised")
    assert "kg is DECIMAL(38,3), declared DECIMAL(9,3)" in contract[3]
    assert "column more is in the query and not declared" in contract[3]
    described = [message for *_, message in said(found, "described")]
    assert len(described) == 2
    assert any(one.startswith("Column Depot of described is called depot in its YAML") for one in described)
    assert any(one.startswith("Column gone is described in the YAML of described") for one in described)


def test_a_test_of_a_column_that_is_not_there_is_found_in_its_yaml(
    found: tuple[Workshop, dict[str, Any]],
) -> None:
    of_yaml = [one for one in found[1]["findings"] if one["file"] == "models/serving/_more.yml"]
    (one,) = (one for one in of_yaml if one["rule"] == "bind")
    assert (one["line"], one["node"].split(".")[2]) == (16, "not_null_weights_of_x")
    assert 'Referenced column "x" not found' in one["message"]


def test_columns_of_unit_tests_that_are_not_there(found: tuple[Workshop, dict[str, Any]]) -> None:
    of_yaml = [one for one in found[1]["findings"] if one["rule"] == "unit-test"]
    assert [(one["line"], one["message"]) for one in of_yaml] == [
        (19, "Unit test cities expects weight, which by_city does not have. Its columns are city, kg."),
        (
            19,
            "Unit test cities is given town, which its input depots does not have. Its columns are depot, city.",
        ),
    ]


def test_who_depends_on_a_fault_is_named_and_not_found_twice(found: tuple[Workshop, dict[str, Any]]) -> None:
    (one,) = (one for one in found[1]["findings"] if one["file"].endswith("unknown_column.sql"))
    assert one["reaches"] == ["reads_it", "exposure scales"]
    assert said(found, "reads_it") == []
    assert found[1]["unchecked"] == {
        "model.parcels.reads_it": "unknown_column has an error",
        "model.parcels.reads_no_source": "no_source has an error",
    }


def test_nothing_is_read_or_written(found: tuple[Workshop, dict[str, Any]]) -> None:
    project = found[0]
    assert project.locations() == {}
    assert not project.warehouse().exists()


def test_a_project_that_is_right(workshop: Workshop) -> None:
    done = workshop.slipway("check", "--strict")
    assert (done.code, done.out.rpartition(" checked in")[0]) == (0, "9 nodes"), done
    assert done.out.endswith(": 0 errors, 0 warnings.\n")


def test_the_hook_for_pre_commit(workshop: Workshop) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, *arguments = shlex.split(hook["entry"])
    looked_at = (
        "models/curated/weights.sql",
        MODELS,
        "seeds/reference/depots.csv",
        "contracts/parcels.odcs.yaml",
    )
    assert all(re.search(hook["files"], name) for name in looked_at)
    workshop.write("models/serving/bad.sql", "select kilograms from {{ ref('weights') }}\n")
    done = workshop.start(*arguments, program=program).wait()
    assert (done.code, "models/serving/bad.sql:1: error" in done.out) == (1, True), done


def test_where_neither_catalog_nor_landing_area_can_be_reached(workshop: Workshop) -> None:
    away = {
        "SLIPWAY_CATALOG_URI": "postgresql://nobody@127.0.0.1:1/none",
        "SLIPWAY_WAREHOUSE": "s3://no-such-bucket/warehouse",
        "SLIPWAY_LANDING": "s3://no-such-bucket/landing",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    project = type(workshop)(workshop.commands, workshop.folder, away)
    project.write("models/serving/bad.sql", "select 1 +\n")
    done = project.slipway("check", "--output", "github")
    assert done.code == 1, done
    assert "::error file=models/serving/bad.sql,line=1,title=slipway check%3A bind::" in done.out
    project.write("models/serving/bad.sql", "select {{ ref('nothing') }}\n")
    done = project.slipway("check", "--output", "sarif")
    (result,) = json.loads(done.out)["runs"][0]["results"]
    assert (done.code, result["ruleId"], result["level"]) == (1, "parse", "error")
    assert "depends on a node named 'nothing'" in result["message"]["text"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "models/serving/bad.sql"
