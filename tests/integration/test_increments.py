"""What changed upstream arrives under dbt itself: moved, withdrawn and corrected rows, whatever the strategy."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from tests.integration.test_materializations import bare

if TYPE_CHECKING:
    from tests.harness.projects import Meters

RAW = "{{ config(materialized='incremental', incremental_strategy='append') }} select * from {{ source('landing', 'readings') }}"
LATEST = """
{{ config(materialized='incremental', unique_key='meter', partitioned_by=['read_on']) }}
select meter, read_on::date as read_on, kwh::decimal(9, 3) as kwh from {{ ref('readings_as_text') }}
{% if is_incremental() %} where {{ rows_added(ref('readings')) }} {% endif %}
qualify row_number() over (partition by meter order by _landed_at desc, _source_file desc, _source_line desc) = 1
"""
DAILY = """
{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partitioned_by=['read_on']) }}
select read_on, sum(kwh) as kwh from {{ ref('latest') }}
where {{ partitions_changed(ref('latest'), 'read_on') }} group by read_on
"""
MERGED = """
{{ config(materialized='incremental', unique_key='read_on') }}
select read_on, count(*) as meters from {{ ref('selected') }}
{% if is_incremental() %} where {{ partitions_changed(ref('latest'), 'read_on') }} {% endif %} group by read_on
"""


@pytest.mark.long
def test_a_correction_takes_a_row_from_its_old_day(project: Meters) -> None:
    feed = (project.path / "models/raw/_raw__sources.yml").read_text(encoding="utf-8")
    contracts = {path.name: path.read_text(encoding="utf-8") for path in project.path.glob("contracts/*")}
    bare(project)
    for name, text in contracts.items():
        project.write(f"contracts/{name}", text)
    project.write("models/raw/_raw__sources.yml", feed)
    project.write("models/raw/readings.sql", RAW)
    # the one ref to raw that dbt sees while it parses is behind an ephemeral model
    project.write(
        "models/curated/readings_as_text.sql",
        "{{ config(materialized='ephemeral') }} select * from {{ ref('readings') }}",
    )
    project.write("models/curated/latest.sql", LATEST)
    project.write(
        "models/curated/selected.sql",
        "{{ config(materialized='ephemeral') }} select * from {{ ref('latest') }} where kwh > 0",
    )
    project.write("models/serving/daily.sql", DAILY)
    project.write("models/serving/merged.sql", MERGED)
    project.write("models/serving/kept.sql", MERGED.replace("config(", "config(full_refresh=false, "))
    project.dbt("build")
    days = project.rows("serving.daily", "read_on", "kwh")
    # m3 on the first day; m1 and m2 on the second
    assert [(str(day), kwh) for day, kwh in days] == [
        ("2024-05-01", Decimal("0.250")),
        ("2024-05-02", Decimal("4.250")),
    ]
    # both meters of the second day were read on the first
    project.readings("day-3.csv", "m1,2024-05-01,1.25,", "m2,2024-05-01,3,")
    printed = project.refused("build")
    assert "kept cannot be brought up to date by merge" in printed
    assert "full_refresh: false" in printed
    project.remove("models/serving/kept.sql")
    printed = project.dbt("build")
    assert "REBUILT 1 row: 1 key is not in the changed partitions of curated.latest any more" in printed
    (day,) = project.rows("serving.daily", "read_on", "kwh")
    assert str(day[0]) == "2024-05-01"
    assert day[1] == Decimal("4.500")  # 0.25 + 1.25 + 3
    assert [row[1] for row in project.rows("serving.merged", "read_on", "meters")] == [3]
    state = project.state()
    project.dbt("build", "--full-refresh")
    assert project.changes()["serving.daily"] == project.changes()["serving.merged"] == "same_content"
    assert state["serving.daily"] == project.state()["serving.daily"]


ASKS = """
{% set latest = ref('latest') %}
{% if execute %}
{% set columns = adapter.get_columns_in_relation(latest) | map(attribute='name') | join(' ') %}
{% set there = adapter.get_relation(target.database, 'raw', 'readings') is not none and load_relation(latest) is not none %}
{% set absent = adapter.get_relation(target.database, 'curated', 'nothing') is none %}
{% set days = run_query('select count(*) from ' ~ latest).rows[0][0] %}
{% endif %}
select '{{ columns }}' as columns, {{ days }} as n, {{ there and absent }} as known
"""
LISTS = """
{% if execute %} {% set found = run_query('select table_name from information_schema.tables').rows | length %} {% endif %}
select {{ found }} as n
"""
LISTS_BY_STATEMENT = """
{% call statement('found', fetch_result=True) %} select count(*) from information_schema.tables {% endcall %}
{% if execute %} select {{ load_result('found').data[0][0] }} as n {% else %} select 1 as n {% endif %}
"""
LISTS_BY_MACRO = "{{ config(pre_hook='create or replace temp macro listed() as table from duckdb_tables()') }} from listed()"
FOUND = "{{% if execute %}} {{% set found = {} %}} {{% endif %}} select {{{{ found }}}} as n"
REFUSED = {
    "lists": "select table_name from information_schema.tables",
    "lists_first": LISTS,
    "lists_by_statement": LISTS_BY_STATEMENT,
    "lists_by_macro": LISTS_BY_MACRO,
    "lists_by_pivot": "pivot duckdb_tables() on table_name using count(*)",
    "lists_by_adapter": FOUND.format("adapter.execute('show all tables', fetch=true)[1].rows | length"),
    "lists_by_attribute": FOUND.format(
        "(adapter | attr('add_query'))('pragma show_tables')[1].fetchall() | length"
    ),
    "lists_by_dbt": FOUND.format("dbt.run_query('from duckdb_views()').rows | length"),
    "lists_by_query": FOUND.format("adapter.get_column_schema_from_query('from duckdb_tables()') | length"),
    "lists_in_hook": '{{ config(pre_hook="create temp table seen_here as from duckdb_tables()") }} select 1 as n',
    "seen": "{{ config(materialized='view') }} from duckdb_tables()",
}
READS_BY_NAME = {
    "by_name": "-- depends_on: {{ ref('latest') }}\nselect * from dev.curated.Other",
    "by_text": "-- depends_on: {{ ref('latest') }}\nselect * from query_table('dev.curated.other')",
    "by_jinja": FOUND.format("run_query('select count(*) from dev.curated.other').rows[0][0]")
    + " from {{ ref('latest') }}",
}
READS_BY_PYTHON = """
def model(dbt, session):
    \"\"\"It is not from dev.curated.latest.\"\"\"
    dbt.ref("latest")
    return session.execute(f"select count(*) as n from dev.curated.other where k > {0}").arrow()
"""


@pytest.mark.long
def test_what_dbt_is_asked_is_answered_from_the_catalog(built: Meters) -> None:
    built.write("models/serving/asks.sql", ASKS)
    built.write("models/curated/other.sql", "select 2 as k")
    built.write("models/curated/latest.sql", "-- depends_on: {{ ref('other') }}\nselect 1 as k, 'a' as name")
    for name, code in {**REFUSED, **READS_BY_NAME}.items():
        built.write(f"models/serving/{name}.sql", code)
    built.write("python_models/serving/by_python.py", READS_BY_PYTHON)
    built.write("models/serving/of_schema.sql", FOUND.format("adapter.check_schema_exists('dev', 'raw')"))
    built.write("tests/dbt/none_lost.sql", "select 1 where (select count(*) from duckdb_views()) < 3")
    before = built.published()
    printed = built.refused("build")
    assert before == built.published()
    statuses = built.results()
    refused = {*REFUSED, *READS_BY_NAME, "of_schema", "by_python"}
    assert {name for name, status in statuses.items() if status == "error"} == {*refused, "none_lost"}
    for name in {*REFUSED, "none_lost"}:
        assert re.search(
            rf"{name} lists .*of DuckDB's catalog: there are only those that this run has read so far",
            printed,
        )
    for name in (*READS_BY_NAME, "by_python"):
        assert f"{name} reads curated.other by its name: dbt does not know that it depends on it" in printed
    assert (
        "of_schema calls adapter.check_schema_exists: DuckDB's catalog has only what this run has read"
        in printed
    )
    built.remove(*(f"models/serving/{name}.sql" for name in refused - {"by_python"}))
    built.remove("python_models/serving/by_python.py")
    built.remove("tests/dbt/none_lost.sql")
    built.dbt("build")
    assert built.rows("serving.asks", "columns", "n", "known") == [("k name", 1, True)]
    (asks,) = (node for node in built.manifests()[-1]["nodes"] if node["table"] == "serving.asks")
    assert asks["volatile"] == "its Jinja asks about curated.nothing, which it does not read by ref or source"
