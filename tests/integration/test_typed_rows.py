"""A feed's contract types its rows: good ones, bad ones with their rule, and nothing lost; a changed contract builds again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Meters

CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: readings
version: 1.0.0
servers:
  - {server: landing, type: local, path: readings/*.csv, format: csv}
schema:
  - name: readings
    properties:
      - {name: meter, logicalType: string, required: true}
      - {name: read_on, logicalType: date, required: true}
      - {name: kwh, logicalType: number, physicalType: "decimal(9, 2)", logicalTypeOptions: {minimum: 0}}
      - {name: note, logicalType: string}
    quality:
      - {type: sql, name: odd_meter, query: "select count(*) from {object} where meter = 'm9'", mustBe: 0}
"""
PRODUCT = """
apiVersion: v3.2.0
kind: DataContract
id: typed_readings
version: 1.0.0
schema:
  - name: typed_readings
    physicalName: curated.typed_readings
    properties:
      - {name: meter, physicalType: varchar, enum: [{value: m1}, {value: m2}, {value: m3}]}
      - {name: kwh, physicalType: "decimal(9, 2)"}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
      - {type: sql, name: enough, query: "select sum(kwh) from {object}", mustBeLessThan: 1000}
"""
MODELS = """
models:
  - name: typed_readings
    config: {contract: {enforced: true}}
    data_tests: [meets_contract]
    columns:
      - {name: meter, data_type: varchar}
      - {name: kwh, data_type: "decimal(9, 2)"}
"""


@pytest.mark.long
def test_a_contract_types_rows_and_sets_bad_ones_aside(project: Meters) -> None:
    project.write("contracts/readings.odcs.yaml", CONTRACT)
    project.write("contracts/typed_readings.odcs.yaml", PRODUCT)
    project.write(
        "models/curated/typed_readings.sql",
        "select meter, kwh from ({{ typed('readings') }}) where rule_id is null and {{ slice_predicate() }}\n",
    )
    project.write(
        "models/quarantine/bad_readings.sql",
        "{{ config(schema='quarantine') }}\nselect * from ({{ quarantined('readings') }})\n",
    )
    project.write("models/curated/_typed.yml", MODELS)
    project.land(
        "bad.csv",
        "meter,read_on,kwh,note\nm3,2024-05-09,-1,\nm3,soon,1,\nm9,2024-05-09,2,\n,,,\nm3,2024-05-09,7.25,x\n",
    )
    selection = ("build", "-s", "readings", "typed_readings", "bad_readings")
    project.dbt(*selection)
    rules = sorted(project.rows("quarantine.bad_readings", "rule_id", "kwh", "_source_line"))
    assert rules == [
        ("kwh_negative", "-1", 2),
        ("meter_missing", None, 5),
        ("odd_meter", "2", 4),
        ("read_on_not_date", "1", 3),
    ]
    landed = len(project.rows("raw.readings"))
    assert len(project.rows("curated.typed_readings")) + len(rules) == landed

    again = project.dbt(*selection)
    assert "typed_readings" in again
    assert "unchanged" in again.lower()
    described = CONTRACT.replace("version: 1.0.0", "version: 1.0.1\ndescription: {purpose: Billing}")
    limit = "customProperties: [{property: quarantineLimits, value: {kwh_negative: {mustBeLessThan: 99}}}]\n"
    project.write("contracts/readings.odcs.yaml", described + limit)
    project.dbt(*selection)
    assert set(project.changes().values()) == {"unchanged"}  # it changes no row
    project.write("contracts/readings.odcs.yaml", CONTRACT.replace("minimum: 0", "minimum: -5"))
    project.dbt(*selection)
    assert len(project.rows("quarantine.bad_readings")) == len(rules) - 1
    assert len(project.rows("curated.typed_readings")) + len(rules) - 1 == landed

    later = "      - {name: tariff, logicalType: string, customProperties: [{property: optional, value: true}]}\n    quality:"
    project.write("contracts/readings.odcs.yaml", CONTRACT.replace("    quality:", later))
    said = "curated.typed_readings does not have tariff of the contract of readings: add to models/curated/typed_readings.sql"
    assert said not in again
    assert said in project.dbt(*selection)
    project.write("contracts/readings.odcs.yaml", CONTRACT)

    project.write(
        "contracts/typed_readings.odcs.yaml", PRODUCT.replace("mustBeLessThan: 1000", "mustBeLessThan: 1")
    )
    total = sum(row[0] for row in project.rows("curated.typed_readings", "kwh"))
    problem = f"Rule enough of typed_readings.odcs.yaml is broken: its query returns {total}, and the contract says mustBeLessThan 1"
    output = project.dbt(*selection, code=1)
    assert f"meets_contract_typed_readings_: {problem}" in output
    manifest = project.run("-s", *selection[2:], code=1)
    (test,) = [one for one in manifest["tests"]["results"] if one["status"] == "fail"]
    assert test["problems"] == [problem]
    shown = project.slipway("run", "-s", *selection[2:])
    assert (shown.code, problem in shown.out) == (1, True), shown
    assert problem in project.answer("show", manifest["run_id"])

    project.write(
        "tests/dbt/no_m2.sql",
        "select meter, 'meter ' || meter || ' is not known' as problem from {{ ref('typed_readings') }} where meter <> 'm1'\n",
    )
    stored = project.dbt("test", "-s", "no_m2", "--store-failures", code=1)
    assert "no_m2: meter m2 is not known" in stored
    assert "no_m2: meter m3 is not known" in stored


def test_a_feed_without_a_contract_cannot_be_typed(project: Meters) -> None:
    project.write("models/curated/typed_readings.sql", "select * from ({{ typed('meters') }})\n")
    output = project.refused("build", "-s", "typed_readings")
    assert "No feed meters: contracts/ describes readings. Add its contract." in output


ORDERS = """
apiVersion: v3.2.0
kind: DataContract
id: {name}
version: 1.0.0
servers:
  - {{server: landing, type: local, path: "{name}/*.{format}", format: {format}}}
schema:
  - name: {name}
    properties:
      - {{name: id, logicalType: integer, required: true}}
      - name: buyer
        logicalType: object
        properties:
          - {{name: name, logicalType: string}}
          - {{name: limit, logicalType: number, physicalType: "decimal(38, 9)"}}
      - {{name: days, logicalType: array, items: {{logicalType: date}}}}
      - {{name: weights, logicalType: map, map: {{key: {{logicalType: string}}, value: {{logicalType: integer}}}}}}
"""
SOURCES = """
sources:
  - name: more
    schema: landing
    database: dev
    tables: [{name: lines}, {name: columns}]
"""


def test_nested_values_of_json_lines_and_parquet_are_typed(project: Meters) -> None:
    """Every digit that is in the file is in the table."""
    limit = "12345678901234567890123456789.123456789"
    project.land(
        "a.jsonl",
        f'{{"id": 1, "buyer": {{"name": "Ada", "limit": {limit}}}, "days": ["2024-05-01", null], "weights": {{"a/b": 2}}}}\n'
        '{"id": 2, "buyer": null, "days": [], "weights": {}}\n'
        '{"id": 3, "buyer": {"limit": "much"}, "days": null, "weights": null}\n',
        "lines",
    )
    path = project.landing / "columns" / "a.parquet"
    path.parent.mkdir()
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select 1 as id, {{'name': 'Ada', 'limit': {limit}::decimal(38, 9)}} as buyer, "
            "[date '2024-05-01', null] as days, map {'a/b': 2} as weights "
            f"union all select 2, null, [], map {{}}) to '{path}' (format parquet)"
        )
    project.write("models/raw/_more.yml", SOURCES)
    for name, kind in (("lines", "jsonl"), ("columns", "parquet")):
        text = ORDERS.format(name=name, format=kind)
        project.write(f"contracts/{name}.odcs.yaml", text.replace("format: jsonl", "format: json"))
        project.write(f"models/raw/{name}.sql", f"select * from {{{{ source('more', '{name}') }}}}\n")
        project.write(
            f"models/curated/typed_{name}.sql",
            f"select id, buyer, days, weights from ({{{{ typed('{name}') }}}}) where rule_id is null and {{{{ slice_predicate() }}}}\n",
        )
        project.write(
            f"models/quarantine/bad_{name}.sql",
            f"{{{{ config(schema='quarantine') }}}}\nselect * from ({{{{ quarantined('{name}') }}}})\n",
        )
    project.dbt("build", "-s", "lines+", "columns+")
    day = date(2024, 5, 1)
    expected = [
        (1, {"name": "Ada", "limit": Decimal(limit)}, [day, None], [("a/b", 2)]),
        (2, None, [], []),
    ]
    assert project.rows("curated.typed_lines") == expected
    assert project.rows("curated.typed_columns") == expected
    assert project.rows("quarantine.bad_lines", "rule_id", "buyer", "_source_line") == [
        ("buyer_not_object", '{"limit": "much"}', 3)
    ]
    assert project.rows("quarantine.bad_columns") == []
