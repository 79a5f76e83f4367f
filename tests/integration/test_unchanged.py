"""What is as it was is not built again, and what depends on a change is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Meters

ALL = {
    "raw.readings",
    "curated.consumption",
    "serving.daily_consumption",
    "serving.sites",
    "reference.meters",
}

PYTHON_MODEL = """
from meterlib.scale import scaled


def model(dbt, session):
    frame = dbt.ref("sites").df()
    frame["kwh"] = [scaled(float(value)) for value in frame["kwh"]]
    return frame
"""


OUTSIDE = """
sources:
  - name: files
    tables:
      - name: lines
        config: {{external_location: "read_csv('{}')"}}
        columns: [{{name: n, data_tests: [not_null]}}]
  - name: other
    database: other
    schema: main
    tables: [{{name: t}}]
"""


def rebuilt(project: Meters) -> set[str]:
    """Tables that the last run did not leave as they were."""
    return {name for name, change in project.changes().items() if change != "unchanged"}


def test_the_second_run_changes_nothing_and_reads_no_data(built: Meters) -> None:
    before, metadata = built.state(), built.published()
    # a data file that anyone opens is missed at once
    hidden = [
        path.rename(path.with_suffix(".hidden"))
        for path in built.home.glob("dev/warehouse/[!o]*/*/data/**/*.parquet")
    ]
    assert hidden
    output = built.dbt("build")
    assert "nothing changed" in output
    assert set(built.changes().values()) == {"unchanged"}
    assert (built.state(), built.published()) == (before, metadata)
    assert len(built.releases()) == 1
    run = built.manifests()[-1]
    assert (run["outcome"], run["release"]) == ("unchanged", None)
    assert {node["bytes_read"] for node in run["nodes"]} == {0}
    # tests of what did not change are carried: they passed on these very snapshots
    assert (run["tests"]["carried"], run["tests"]["executed"], run["tests"]["expected"]) == (4, 0, 4)
    for path in hidden:
        path.rename(path.with_suffix(".parquet"))
    assert "nothing changed" in built.dbt("build", "--no-partial-parse")


def test_a_new_file_rebuilds_what_it_reaches_by_increments(built: Meters) -> None:
    files = {name: built.files(name) for name in ALL}
    built.readings("day-3.csv", "m1,2024-05-03,1,")
    built.dbt("build")
    assert rebuilt(built) == ALL - {"reference.meters"}
    for name in ("raw.readings", "curated.consumption", "serving.daily_consumption"):
        assert files[name] < built.files(name), name
        assert len(built.files(name) - files[name]) == 1, name


@pytest.mark.long
def test_a_late_reading_rewrites_only_its_day(built: Meters) -> None:
    files = built.files("serving.daily_consumption")
    built.readings("late.csv", "m9,2024-05-01,4,")
    built.dbt("build")
    assert len(files & built.files("serving.daily_consumption")) == 1
    assert [float(wh) for _, _, wh in built.rows("serving.daily_consumption")] == [7750, 4250]


@pytest.mark.long
def test_a_file_that_brings_nothing_new_stops_where_it_brings_nothing(built: Meters) -> None:
    before = built.state()
    built.readings("day-2-again.csv", "m1,2024-05-02,1.25,again", "m2,2024-05-02,3,again")
    built.dbt("build")
    changes = built.changes()
    assert changes["raw.readings"] == "built"
    # the same readings from a file whose name does not win: neither the rows nor anything after them moves
    assert {name for name in ALL if built.state()[name] != before[name]} == {"raw.readings"}
    assert "nothing changed" in built.dbt("build")


@pytest.mark.long
def test_a_var_rebuilds_what_uses_it(built: Meters) -> None:
    built.dbt("build", "--vars", "kwh_factor: 10")
    assert rebuilt(built) == {"serving.daily_consumption"}
    text = (built.path / "dbt_project.yml").read_text(encoding="utf-8")
    built.write("dbt_project.yml", text.replace("kwh_factor: 1000", "kwh_factor: 5"))
    built.dbt("build")
    assert rebuilt(built) == {"serving.daily_consumption"}
    built.write("dbt_project.yml", text.replace("  kwh_factor: 1000", "  meters: {kwh_factor: 7}"))
    built.dbt("build")
    assert rebuilt(built) == {"serving.daily_consumption"}


@pytest.mark.long
def test_a_var_that_an_increment_uses_applies_to_everything(built: Meters) -> None:
    """The rows that are there were made with another value: an increment would leave a mixture."""
    built.dbt("build", "--vars", "kwh_factor: 1", "--full-refresh")
    assert [float(wh) for _, _, wh in built.rows("serving.daily_consumption")] == [3.75, 4.25]


@pytest.mark.long
def test_a_macro_rebuilds_what_calls_it(project: Meters) -> None:
    project.write("own_macros/half.sql", "{% macro half(c) %}{{ _divided(c, 2) }}{% endmacro %}\n")
    project.write("own_macros/_divided.sql", "{% macro _divided(c, n) %}{{ c }} / {{ n }}{% endmacro %}\n")
    project.write("own_macros/unused.sql", "{% macro unused() %}1{% endmacro %}\n")
    project.write("models/serving/halves.sql", "select {{ half('kwh') }} as kwh from {{ ref('sites') }}\n")
    project.dbt("build")
    project.write("own_macros/unused.sql", "{% macro unused() %}2{% endmacro %}\n")
    project.dbt("build")
    assert rebuilt(project) == set()
    project.write(
        "own_macros/_divided.sql", "{% macro _divided(c, n) %}{{ c }} / ({{ n }} * 2){% endmacro %}\n"
    )
    project.dbt("build")
    assert rebuilt(project) == {"serving.halves"}


@pytest.mark.long
def test_a_model_rebuilds_itself_and_what_reads_its_new_rows(project: Meters) -> None:
    project.write("models/curated/first.sql", "select site, kwh from {{ ref('sites') }}\n")
    project.write("models/serving/second.sql", "select sum(kwh) as kwh from {{ ref('first') }}\n")
    project.dbt("build")
    project.write("models/curated/first.sql", "select site, kwh + 1 as kwh from {{ ref('sites') }}\n")
    project.dbt("build")
    assert rebuilt(project) == {"curated.first", "serving.second"}
    project.write(
        "models/curated/first.sql", "-- says the same\nselect site, 1 + kwh as kwh from {{ ref('sites') }}\n"
    )
    project.dbt("build")
    assert project.changes()["curated.first"] == "same_content"
    assert project.changes()["serving.second"] == "unchanged"


@pytest.mark.long
def test_an_ephemeral_model_rebuilds_what_inlines_it(project: Meters) -> None:
    project.write(
        "models/curated/some.sql", "{{ config(materialized='ephemeral') }} select * from {{ ref('sites') }}\n"
    )
    project.write("models/serving/more.sql", "select count(*) as n from {{ ref('some') }}\n")
    project.dbt("build")
    project.write(
        "models/curated/some.sql",
        "{{ config(materialized='ephemeral') }} select * from {{ ref('sites') }} limit 1\n",
    )
    project.dbt("build")
    assert rebuilt(project) == {"serving.more"}


def test_a_seed_rebuilds_itself_and_its_readers(built: Meters) -> None:
    built.write("seeds/reference/meters.csv", "meter,site\nm1,north\nm2,north\nm3,west\n")
    built.dbt("build")
    assert rebuilt(built) == {"reference.meters", "serving.sites"}


@pytest.mark.long
def test_configuration_rebuilds_its_model(built: Meters) -> None:
    sql = (built.path / "models/serving/sites.sql").read_text(encoding="utf-8")
    built.write("models/serving/sites.sql", "{{ config(partitioned_by=['site']) }}\n" + sql)
    built.dbt("build")
    assert rebuilt(built) == {"serving.sites"}
    assert [field.name for field in built.table("serving.sites").spec().fields] == ["site"]
    built.write("models/serving/sites.sql", "{{ config(partitioned_by=['site'], tags=['x']) }}\n" + sql)
    built.dbt("build", "--no-partial-parse")
    # the text of the file is part of the code
    assert built.changes()["serving.sites"] in ("same_content", "unchanged")


@pytest.mark.long
def test_what_has_no_version_is_read_by_every_run(built: Meters) -> None:
    """Files and databases outside the catalog: it is unknown whether they have changed."""
    lines, other = built.path.parent / "lines.csv", built.path.parent / "other.duckdb"
    lines.write_text("n\n1\n", encoding="utf-8")
    with duckdb.connect(str(other)) as connection:
        connection.execute("create table t as select 7 as n")
    config = built.path / "dbt_project.yml"
    attach = f"attach if not exists '{other}' as other"
    text = config.read_text(encoding="utf-8").replace("flags:", f'on-run-start: ["{attach}"]\nflags:')
    built.write("dbt_project.yml", text)
    built.write("models/_outside.yml", OUTSIDE.format(lines))
    built.write("models/serving/of_file.sql", "select n from {{ source('files', 'lines') }}")
    built.write(
        "models/serving/of_database.sql",
        "{{ config(materialized='incremental', unique_key='n') }}\n"
        "select n from {{ source('other', 't') }} where {{ rows_added(source('other', 't')) }}",
    )
    built.dbt("build")
    assert (built.rows("serving.of_file"), built.rows("serving.of_database")) == ([(1,)], [(7,)])
    built.dbt("build")
    changes = built.changes()
    assert {name for name, change in changes.items() if change != "unchanged"} == {
        "serving.of_file",
        "serving.of_database",
    }
    assert changes["serving.of_file"] == changes["serving.of_database"] == "same_content"
    assert built.manifests()[-1]["tests"]["executed"] == 1
    lines.write_text("n\n2\n", encoding="utf-8")
    built.dbt("build")
    assert built.rows("serving.of_file") == [(2,)]


@pytest.mark.long
def test_an_environment_variable_rebuilds_what_reads_it(project: Meters) -> None:
    project.write("models/serving/named.sql", "select '{{ env_var(\"METER_NAME\") }}' as name\n")
    project.settings["METER_NAME"] = "a"
    project.dbt("build")
    project.settings["METER_NAME"] = "b"
    project.dbt("build")
    assert rebuilt(project) == {"serving.named"}
    assert project.rows("serving.named") == [("b",)]


@pytest.mark.long
def test_a_python_module_rebuilds_the_models_that_import_it(project: Meters) -> None:
    library = project.path / "lib" / "meterlib"
    library.mkdir(parents=True)
    modules = {
        "__init__.py": "",
        "factors.py": "FACTOR = 2\n",
        "unused.py": "X = 1\n",
        "scale.py": "from .factors import FACTOR\n\n\ndef scaled(x):\n    return x * FACTOR\n",
    }
    for name, text in modules.items():
        (library / name).write_text(text, encoding="utf-8")
    project.settings["PYTHONPATH"] = f"{project.path / 'lib'}"
    project.write("python_models/serving/scaled.py", PYTHON_MODEL)
    project.dbt("build")
    assert project.rows("serving.scaled", "kwh") == [(0.5,), (15.5,)]
    changes = {
        "unused.py": ("X = 2\n", set()),
        "factors.py": ("FACTOR = 3\n", {"serving.scaled"}),
        "scale.py": (modules["scale.py"].replace("x * FACTOR", "x * FACTOR + 1"), {"serving.scaled"}),
        "__init__.py": ("SOMETHING = 1\n", {"serving.scaled"}),
    }
    for name, (text, expected) in changes.items():
        (library / name).write_text(text, encoding="utf-8")
        project.dbt("build")
        assert rebuilt(project) == expected, name
    assert project.rows("serving.scaled", "kwh") == [(1.75,), (24.25,)]
