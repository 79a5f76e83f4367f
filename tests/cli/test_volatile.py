"""A query that depends on more than its tables is asked every time, and what it says is believed only for that run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

TESTS = {
    # passes while the clock of the test says so, which a file stands for
    "tests/dbt/recent.sql": "select * from {{ ref('weights') }} where weighed_on > current_date\n",
    "tests/dbt/by_file.sql": "select * from read_csv('{file}', header = true) where late\n",
    "tests/dbt/still.sql": "select * from {{ ref('weights') }} where kg > 1000\n",
}
STAMPED = "select depot, now() as at from {{ ref('weights') }}\n"
SIZED = "select depot, sized(kg) as size from {{ ref('weights') }}\n"
COUNTED = "select {{ late() }} as late, depot from {{ ref('weights') }}\n"
DATED = "select '{{ run_started_at }}' as at, depot from {{ ref('weights') }}\n"
OF_TABLE = """{% set found = run_query('select count(*) from ' ~ ref('weights')) %}
select depot, {{ found.columns[0].values()[0] if execute else 0 }} as every from {{ ref('weights') }}
"""
LATE = """
{% macro late() %}
    {%- set found = run_query("select count(*) from read_csv('FILE', header = true) where late") -%}
    {{ found.columns[0].values()[0] if execute else 0 }}
{%- endmacro %}
"""
SIZES = """
{% macro sizes() %}
    {% do run_query("create or replace macro sized(kg) as kg * 2") %}
    {% do run_query("create schema if not exists dev.serving") %}
{% endmacro %}
"""


def test_nothing_that_may_come_out_differently_is_carried(workshop: Workshop) -> None:
    file = workshop.folder / "late.csv"
    file.write_text("late\nfalse\n", encoding="utf-8")
    for name, text in TESTS.items():
        workshop.write(name, text.replace("{file}", str(file)).replace("current_date", "current_date + 1"))
    workshop.edit(
        "tests/dbt/by_file.sql",
        "where late",
        "where late and 0 = (select 0 from {{ ref('depots') }} limit 1)",
    )
    workshop.write("models/serving/stamped.sql", STAMPED)
    workshop.write("models/serving/sized.sql", SIZED)
    workshop.write("models/serving/counted.sql", COUNTED)
    workshop.write("models/serving/dated.sql", DATED)
    workshop.write("models/serving/of_table.sql", OF_TABLE)
    workshop.write("macros/late.sql", LATE.replace("FILE", str(file)))
    workshop.write("macros/sizes.sql", SIZES)
    workshop.edit("dbt_project.yml", "flags:", 'on-run-start: ["{{ sizes() }}"]\nflags:')
    first = workshop.run()
    assert found(first, "tests.results", "volatile") == {
        "recent": "it calls current_date",
        "by_file": "it needs more than tables, such as a file or a variable; read that from a table instead (DuckDB: "
        f'Cannot access file "{file}" - file system operations are disabled by configuration)',
    }
    assert found(first, "nodes", "volatile") == {
        "stamped": "it calls now",
        "sized": "it calls sized, which is no function of DuckDB's own",
        "counted": "of a query that its Jinja runs: it needs more than tables, such as a file or a variable; read that from a "
        f'table instead (DuckDB: Cannot access file "{file}" - file system operations are disabled by configuration)',
        "dated": "its Jinja uses run_started_at",
    }

    # nothing landed, and the file says that it is late
    file.write_text("late\ntrue\n", encoding="utf-8")
    workshop.edit("macros/sizes.sql", "kg * 2", "kg * 3")
    again = workshop.slipway("run")
    assert again.code == 1, again
    assert "never carried: recent: it calls current_date" in again.out
    assert "always built: serving.stamped: it calls now" in again.out
    second = workshop.manifests()[-1]
    executed = {one["unique_id"].split(".")[2] for one in second["tests"]["results"] if not one["carried"]}
    assert executed >= {"recent", "by_file"}
    changes = {node["unique_id"].rpartition(".")[2]: node["change"] for node in second["nodes"]}
    assert (changes["stamped"], changes["sized"]) == ("built", "built")


def found(manifest: dict[str, Any], path: str, field: str) -> dict[str, str]:
    items: Any = manifest
    for part in path.split("."):
        items = items[part]
    return {one["unique_id"].split(".")[2]: one[field] for one in items if one[field]}


@pytest.mark.long
def test_tests_are_carried_past_runs_of_a_part(workshop: Workshop) -> None:
    every = workshop.run()["tests"]
    assert (every["executed"], every["carried"]) == (every["expected"], 0)
    workshop.run("--select", "weights")
    workshop.dbt("run", "--select", "weights")
    again = workshop.run(SLIPWAY_ALWAYS_START_DBT="1")["tests"]
    assert (again["executed"], again["carried"]) == (0, every["expected"])
