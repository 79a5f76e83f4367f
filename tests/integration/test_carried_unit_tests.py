"""A dbt unit test that passed is carried until an ingredient of it changes; each ingredient has a unit test of its own here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Meters

MODEL = "select n, n * 1 as twice from {{ ref('numbers') }}"
ROWS = "rows: [{n: 1}]"
EXPECTED = "rows: [{twice: 1}]"
CLOCK = "from {{ ref('numbers') }} where current_date > date '2000-01-01'"
OF_THE_RUN = "from {{ ref('numbers') }} -- {{ run_started_at }}"
TABLE = "select n from (select 1 as n) where 0 < (select count(*) from dev.serving.narrow)"


@dataclass(frozen=True)
class Case:
    """A model and its unit test: SQL, what is given and expected, and more of the unit test's YAML."""

    model: str = MODEL
    given: str = ROWS
    expected: str = EXPECTED
    more: str = ""
    reads: str = "numbers"


BEFORE = {
    "nothing": Case(),
    "comment": Case(),
    "given": Case(),
    "expected_columns": Case(),
    "expected_query": Case(expected="{format: sql, rows: 'select 1 as n, 1 as twice'}"),
    "model_code": Case(),
    "macro_of_a_macro": Case(model="select n, n * {{ outer() }} as twice from {{ ref('numbers') }}"),
    "variable": Case(
        model="select n, n * {{ var('factor') }} as twice from {{ ref('numbers') }}",
        given="rows: [{n: 0}]",
        expected="rows: [{twice: 0}]",
    ),
    "environment": Case(
        model="select n, n * {{ env_var('FACTOR', '1') }} as twice from {{ ref('numbers') }}",
        given="rows: [{n: 0}]",
        expected="rows: [{twice: 0}]",
    ),
    "overridden_variable": Case(
        model="select n, n * {{ var('factor') }} as twice from {{ ref('numbers') }}",
        given="rows: [{n: 0}]",
        expected="rows: [{twice: 0}]",
        more="overrides: {vars: {factor: 1}}",
    ),
    "fixture_file": Case(given="{format: csv, fixture: one}"),
    "fixture_query": Case(given="{format: sql, rows: select 1 as n}"),
    "type_of_an_input": Case(reads="narrow", model=MODEL.replace("numbers", "narrow")),
    "clock": Case(model=f"select n, n * 1 as twice {CLOCK}"),
    "run_started_at": Case(model=f"select n, n * 1 as twice {OF_THE_RUN}"),
    "table": Case(
        model=f"{MODEL} where 0 < (select count(*) from {{{{ ref('narrow') }}}})",
        given=f"{{format: sql, rows: \"{TABLE}\"}}, {{input: ref('narrow'), rows: [{{n: 1}}]}}",
    ),
}
AFTER = {
    "given": Case(given="rows: [{n: '1'}]"),
    "expected_columns": Case(expected="rows: [{n: 1, twice: 1}]"),
    "expected_query": Case(expected="{format: sql, rows: 'select 1 as n, 2 - 1 as twice'}"),
    "model_code": Case(model=MODEL.replace("n * 1", "1 * n")),
    "overridden_variable": replace(BEFORE["overridden_variable"], more="overrides: {vars: {factor: 2}}"),
    "fixture_query": Case(given="{format: sql, rows: select 2 - 1 as n}"),
}
NEVER = {
    "clock": "it calls current_date",
    "run_started_at": "its Jinja uses run_started_at",
    "table": "it reads the table serving.narrow",
}


def write(project: Meters, cases: dict[str, Case], factor: int, file: str, narrow: str) -> None:
    tests = ["unit_tests:"]
    for name, case in cases.items():
        project.write(f"models/serving/m_{name}.sql", case.model + "\n")
        given = case.given if case.given.startswith("{") else f"{{{case.given}}}"
        expected = case.expected if case.expected.startswith("{") else f"{{{case.expected}}}"
        tests += [
            f"  - name: {name}",
            f"    model: m_{name}",
            f"    given: [{{input: ref('{case.reads}'), {given[1:]}]",
            f"    expect: {expected}",
            *([f"    {case.more}"] if case.more else []),
        ]
    project.write("models/serving/_units.yml", "\n".join([*tests, ""]))
    project.write("models/serving/numbers.sql", "select 1 as n\n")
    project.write("models/serving/narrow.sql", f"select {narrow} as n\n")
    project.write("own_macros/outer.sql", "{% macro outer() %}{{ inner() }}{% endmacro %}\n")
    project.write(
        "own_macros/inner.sql", f"{{% macro inner() %}}{'(2 - 1)' if factor > 1 else 1}{{% endmacro %}}\n"
    )
    project.write("tests/dbt/fixtures/one.csv", file)


def units(project: Meters, *, carried: bool) -> set[str]:
    """Names of the unit tests that the last run carried, or executed; all of them passed."""
    found = [
        one
        for one in project.manifests()[-1]["tests"]["results"]
        if one["unique_id"].startswith("unit_test.")
    ]
    assert {one["status"] for one in found} == {"pass"}
    assert len(found) == len(BEFORE)
    return {one["unique_id"].rpartition(".")[2] for one in found if one["carried"] is carried}


@pytest.fixture
def written(built: Meters) -> Meters:
    write(built, BEFORE, 1, "n\n1\n", "1")
    built.dbt("build", "--vars", "{factor: 1}")
    return built


@pytest.mark.long
def test_each_ingredient_runs_its_unit_test_again(written: Meters) -> None:
    project = written
    assert units(project, carried=True) == set()

    project.dbt("build", "--vars", "{factor: 1}")
    assert units(project, carried=False) == set(NEVER)
    volatile = {
        one["unique_id"].rpartition(".")[2]: one["volatile"]
        for one in project.manifests()[-1]["tests"]["results"]
    }
    assert {name: why for name, why in volatile.items() if why} == NEVER

    cases = {**BEFORE, **AFTER, "comment": Case(model=f"{{# why #}}{MODEL}")}
    write(project, cases, 2, "n\n01\n", "1::bigint")
    project.settings["FACTOR"] = "3"
    project.dbt("build", "--vars", "{factor: 3}")
    assert units(project, carried=True) == {"nothing", "comment"}


@pytest.mark.long
def test_another_way_to_compare_runs_all_of_them_again(written: Meters) -> None:
    written.write(
        "own_macros/compare.sql",
        "{% macro duckdb__get_unit_test_sql(main_sql, expected, columns) %}"
        "{{ default__get_unit_test_sql(main_sql, expected, columns) }}{% endmacro %}\n",
    )
    written.dbt("build", "--vars", "{factor: 1}")
    assert units(written, carried=True) == set()


@pytest.mark.long
def test_one_that_failed_runs_again(written: Meters) -> None:
    text = (written.path / "models/serving/_units.yml").read_text(encoding="utf-8")
    written.write("models/serving/_units.yml", text.replace("rows: [{twice: 1}]", "rows: [{twice: 7}]", 1))
    for _ in range(2):
        written.refused("build", "--vars", "{factor: 1}")
        failed = [one for one in written.manifests()[-1]["tests"]["results"] if one["status"] == "fail"]
        assert [(one["unique_id"].rpartition(".")[2], one["carried"]) for one in failed] == [
            ("nothing", False)
        ]
