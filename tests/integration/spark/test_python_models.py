"""A Python model of Spark gets frames of what it reads, and its frame is written as what its YAML declares."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.projects import Meters
from tests.integration.spark.conftest import starts_soon

from slipway.engines.writers import ENGINE

FUNCTIONS = '''\
"""Pure functions of the project, called by the processes that run Python for Spark."""

from collections.abc import Iterator

import pandas as pd


def doubled(parts: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for part in parts:
        yield part.assign(kwh=part["kwh"] * 2, made=1)
'''
MODEL = """\
from doubling import doubled


def model(dbt, session):
    dbt.config(materialized='table', engine='spark', sorted_by=['read_on', 'meter desc'])
    readings = dbt.ref('consumption').select('read_on', 'meter', 'kwh')
    return readings.mapInPandas(doubled, 'read_on date, meter string, kwh decimal(12,3), made int')
"""
YAML = """
models:
  - name: doubles
    config: {slipway_contract: true}
    columns:
      - {name: meter, data_type: varchar}
      - {name: kwh, data_type: "decimal(12,3)", constraints: [{type: not_null}]}
      - {name: read_on, data_type: date}
      - {name: made, data_type: bigint}
"""
MERGED = """\
def model(dbt, session):
    dbt.config(materialized='incremental', engine='spark', unique_key='meter')
    found = dbt.ref('doubles').groupBy('meter').agg({'kwh': 'max'}).withColumnRenamed('max(kwh)', 'most')
    if dbt.is_incremental:
        this = session.table(f'{dbt.this.database}.{dbt.this.schema}.{dbt.this.identifier}')
        found = found.join(this, 'meter', 'left_anti')
    return found
"""
MERGED_YAML = """
models:
  - name: most
    columns:
      - {name: most, data_type: "decimal(12,3)"}
      - {name: METER, data_type: varchar}
"""
MODULES = "python_modules"


@pytest.fixture
def doubling(project: Meters) -> Meters:
    """A Python model of Spark between models of DuckDB."""
    starts_soon(project)
    add_doubling(project)
    return project


def add_doubling(project: Meters) -> None:
    """Add a Python model of Spark that calls a function of a module of the project; one day has landed."""
    project.edit("profiles.yml", "database: dev,", f"database: dev, module_paths: [{MODULES}],")
    project.write(f"{MODULES}/doubling.py", FUNCTIONS)
    project.write("python_models/serving/doubles.py", MODEL)
    project.write("python_models/serving/doubles.yml", YAML)
    (project.landing / "readings" / "day-2.csv").unlink()


def add_returning(project: Meters, name: str, returned: str) -> None:
    """Add a Python model of Spark with the columns of the other one, by the expression that it returns."""
    code = f"def model(dbt, session):\n    dbt.config(materialized='table', engine='spark')\n    dbt.ref('consumption')\n    return {returned}\n"
    project.write(f"python_models/serving/{name}.py", code)
    project.write(f"python_models/serving/{name}.yml", YAML.replace("doubles", name))


def rows(project: Meters) -> list[tuple[str, str, str]]:
    return [
        (meter, str(kwh), str(day))
        for meter, kwh, day in project.rows("serving.doubles", "meter", "kwh", "read_on")
    ]


def message(run: dict[str, Any], table: str) -> str:
    (said,) = [node["message"] for node in run["nodes"] if node["table"] == table]
    return str(said)


def test_runs_with_python_models_of_spark(doubling: Meters) -> None:
    doubling.write("python_models/serving/most.py", MERGED)
    doubling.write("python_models/serving/most.yml", MERGED_YAML)
    first = doubling.run()
    assert {node["table"]: node["engine"] for node in first["nodes"]}["serving.doubles"] == "spark"
    assert sorted(rows(doubling)) == [
        ("m1", "3.000", "2024-05-01"), ("m2", "4.000", "2024-05-01"), ("m3", "0.500", "2024-05-01"),
    ]  # fmt: skip
    table = doubling.table("serving.doubles")
    assert [(field.name, str(field.field_type), field.required) for field in table.schema().fields] == [
        ("meter", "string", False), ("kwh", "decimal(12, 3)", True), ("read_on", "date", False), ("made", "long", False),
    ]  # fmt: skip
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.additional_properties[ENGINE] == "spark"

    # nothing has changed, and Spark is not started
    assert doubling.run(SPARK_HOME="/nowhere")["outcome"] == "unchanged"

    # what it calls has changed: it is built again, to the same content
    doubling.edit(f"{MODULES}/doubling.py", 'part["kwh"] * 2', 'part["kwh"] + part["kwh"]')
    assert message(doubling.run(), "serving.doubles") == "SAME CONTENT"

    # a second day
    doubling.readings("day-2.csv", "m1,2024-05-02,1.25,", "m9,2024-05-02,3,")
    doubling.run()
    assert len(rows(doubling)) == 5
    assert sorted((meter, str(most)) for meter, most in doubling.rows("serving.most", "METER", "most")) == [
        ("m1", "3.000"), ("m2", "4.000"), ("m3", "0.500"), ("m9", "6.000"),
    ]  # fmt: skip


REFUSED = {
    "column made is declared and not there; column more is not declared": (
        "dbt.ref('consumption').select('read_on', 'meter', 'kwh').selectExpr('*', '1 as more')"
    ),
    "column kwh occurs twice": "dbt.ref('consumption').selectExpr('*', '1 as made', 'kwh as KWH')",
    "column kwh is double, and is declared as decimal(12,3)": (
        "dbt.ref('consumption').selectExpr('read_on', 'meter', 'double(kwh) as kwh', '1 as made')"
    ),
    "the model returned a DataFrame: a model of Spark gives its rows as a DataFrame of Spark": (
        "dbt.ref('consumption').toPandas()"
    ),
    "spark.sql.ansi.enabled is false": (
        "(session.conf.set('spark.sql.ansi.enabled', 'false'), dbt.ref('consumption'))[1]"
    ),
    "the model returned a frame of another session": (
        "__import__('pyspark').sql.SparkSession.builder.getOrCreate().sql('select 1 as kwh')"
    ),
    "TABLE_OR_VIEW_NOT_FOUND": "session.table('dev.curated.daily')",
    "NULL value appeared in non-nullable field": "dbt.ref('consumption').selectExpr('read_on', 'meter', 'cast(null as decimal(12,3)) as kwh', '1 as made')",
}


def test_what_a_model_returns_is_refused_by_name(doubling: Meters) -> None:
    """One run has them all, so that Spark starts once."""
    doubling.write("models/curated/daily.sql", "select 1 as n\n")
    doubling.run("--select", "daily")
    for at, returned in enumerate(REFUSED.values()):
        add_returning(doubling, f"refused_{at}", returned)
    failed = doubling.run(code=1)
    for at, why in enumerate(REFUSED):
        assert why in message(failed, f"serving.refused_{at}")
    assert set(doubling.published()) == {"curated.daily"}


def test_a_python_model_of_spark_declares_its_columns(doubling: Meters) -> None:
    doubling.write("python_models/serving/doubles.yml", YAML.replace(", data_type: date", ""))
    said = doubling.refusal("run", code=2)
    assert "doubles: engine is spark, and it is a Python model whose YAML does not declare the data_type of read_on" in said  # fmt: skip
