"""Which engine runs a data test, and what Spark is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from dbt.artifacts.resources.v1.config import TestConfig
from tests.harness.contracts import contract
from tests.unit.dbt.test_model_engines import node, project

from slipway.contracts.model import Severity
from slipway.contracts.table_rules import broken_rules_sql, judging, measuring
from slipway.dbt.configuration import strategy_of
from slipway.dbt.data_tests import FOUND, Asked, _constants, _translated
from slipway.dbt.model_engines import bound_of_test, engine_of_test, engine_problems, obstacle_of_test
from slipway.engines.spark.translation.refusal import TranslationError
from slipway.records.node_results import Status, TestResult, Tests
from slipway.runs.earlier_results import EarlierResults
from slipway.runs.run_results import CarriedTests

SCHEMAS = {"dev.curated.sales": {"day": "DATE", "n": "BIGINT", "shop": "VARCHAR"}}


def data_test(*macros: str, reads: tuple[str, ...] = (), **given: Any) -> Any:  # noqa: ANN401 - a node of dbt's
    config = TestConfig.from_dict({"materialized": "test", **given})
    return SimpleNamespace(
        name="n_is_there",
        unique_id="test.p.n_is_there.1",
        resource_type="test",
        config=config,
        depends_on_macros=list(macros),
        depends_on_nodes=list(reads),
    )


def manifest(*nodes: Any, **macros: list[str]) -> Any:  # noqa: ANN401 - a manifest of dbt's
    found = project(*nodes)
    found.macros = {
        f"macro.{name.replace('__', '.')}": SimpleNamespace(depends_on_macros=used)
        for name, used in macros.items()
    }
    return found


@pytest.mark.parametrize(
    ("of_test", "of_models", "engine"),
    [
        ({}, [{}], "duckdb"),
        ({}, [{}, {"engine": "spark"}], "auto"),
        ({}, [{"engine": "auto"}], "auto"),
        ({"engine": "duckdb"}, [{"engine": "spark"}], "duckdb"),
        ({"engine": "auto"}, [{}], "auto"),
        ({"engine": "spark"}, [{}], "spark"),
        ({}, [{"engine": "spark", "materialized": "ephemeral"}], "duckdb"),
    ],
)
def test_a_test_of_a_table_of_spark_has_its_engine_chosen(
    of_test: dict[str, Any], of_models: list[dict[str, Any]], engine: str
) -> None:
    models = [node(f"m{at}", **given) for at, given in enumerate(of_models)]
    assert engine_of_test(manifest(*models), data_test(**of_test), models) == engine


def test_a_monitor_is_run_by_duckdb() -> None:
    model = node(engine="spark")
    known = manifest(model, p__ours=["macro.dbt_slipway.test_null_rate"])
    known.macros["macro.dbt_slipway.test_null_rate"] = SimpleNamespace(
        depends_on_macros=["macro.dbt_slipway._slipway_monitor"]
    )
    assert engine_of_test(known, data_test("macro.p.ours"), [model]) == "duckdb"
    assert engine_of_test(known, data_test("macro.p.other"), [model]) == "auto"


@pytest.mark.parametrize(
    ("of_test", "of_models", "bound"),
    [
        ({}, [{"engine": "spark"}], 20 * 10**9),
        (
            {},
            [{"engine": "auto", "spark_above": "3 GB"}, {"engine": "auto", "spark_above": "2 GB"}],
            2 * 10**9,
        ),
        ({}, [{"engine": "auto", "spark_above": "30 GB"}, {}], 30 * 10**9),
        ({"spark_above": "1 B"}, [{"engine": "auto", "spark_above": "3 GB"}], 1),
        ({"engine": "auto"}, [{}], 20 * 10**9),
    ],
)
def test_the_bound_is_that_of_the_test_or_of_the_tables(
    of_test: dict[str, Any], of_models: list[dict[str, Any]], bound: int
) -> None:
    assert bound_of_test(data_test(**of_test), [node(**given) for given in of_models]) == bound


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"engine": "sparc"}, "n_is_there: engine is 'sparc', which is unknown: write spark, or one of duckdb, spark, auto"),
        ({"spark_above": "much"}, "n_is_there: spark_above is 'much', which is no number of bytes: write it like 20 GB"),
        ({"engine": "duckdb", "spark_above": "2 GB"}, "n_is_there: spark_above has no effect with engine: duckdb: write engine: auto, or remove it"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_refused_before_a_run(given: dict[str, Any], said: str) -> None:
    one = data_test(**given)
    assert list(engine_problems(manifest(), one, strategy_of)) == [said]
    assert not list(engine_problems(manifest(), data_test(spark_above="2 GB"), strategy_of))


def test_what_is_in_the_memory_of_duckdb_keeps_spark_from_a_test() -> None:
    view = node("shown", materialized="view")
    one = data_test(reads=("model.p.shown",))
    assert obstacle_of_test(manifest(view), one) == "it reads the view shown, which is in DuckDB's memory"
    assert (
        obstacle_of_test(manifest(), data_test(sql_header="set x"))
        == "its sql_header is a statement of DuckDB"
    )
    assert obstacle_of_test(manifest(node("made")), data_test(reads=("model.p.made",))) == ""


@pytest.fixture
def cursor() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute(
        "attach ':memory:' as dev; create schema dev.curated; create table dev.curated.sales (day date, n bigint, shop varchar)"
    )
    return made


def asked(
    sql: str, *, limit: object = None, stores: bool = False, calc: str = "count(*)", warn_if: str = "!= 0"
) -> Asked:
    counting = f"select {calc} as failures, {calc} {warn_if} as should_warn, {calc} != 0 as should_error from (select * from {FOUND}) dbt_internal_test"
    return Asked(sql, limit, counting, stores)


ROWS = "select n, 'Sale ' || shop as problem from dev.curated.sales where n < 0"


def test_spark_is_asked_for_what_dbt_decides_by(cursor: duckdb.DuckDBPyConnection) -> None:
    made = _translated(cursor, "t", [], SCHEMAS, asked(ROWS, limit=5, calc="sum(n)", warn_if="> 2"))
    assert made.kinds == {"failures": "HUGEINT", "should_warn": "BOOLEAN", "should_error": "BOOLEAN"}
    assert "\n) limit 5\n) SELECT " in made.main
    assert made.main.startswith(f"with `{FOUND}` as (\nselect * from (\n")
    assert "limit 5" not in made.said
    assert made.said.endswith(" LIMIT 100")
    assert not _translated(cursor, "t", [], SCHEMAS, asked("select n from dev.curated.sales")).said
    stored = _translated(cursor, "t", [], SCHEMAS, asked(ROWS, stores=True))
    assert stored.kinds == {"n": "BIGINT", "problem": "VARCHAR"}
    assert stored.main.startswith("select `n` as `c0`, `problem` as `c1` from (\n")


@pytest.mark.parametrize(
    ("given", "function"),
    [
        (asked("select median(n) as n from dev.curated.sales"), "the function median"),
        (asked(ROWS, calc="median(n)"), "the function median"),
        (asked("select 1 from dev.curated.sales"), "1 without a name"),
    ],
)
def test_what_is_not_translated_is_refused(
    cursor: duckdb.DuckDBPyConnection, given: Asked, function: str
) -> None:
    with pytest.raises(TranslationError) as refused:
        _translated(cursor, "t", [], SCHEMAS, given)
    assert refused.value.function == function


def test_what_spark_found_is_a_query_of_constants(cursor: duckdb.DuckDBPyConnection) -> None:
    kinds = {"failures": "HUGEINT", "should_warn": "BOOLEAN", 'it"s': "VARCHAR"}
    assert cursor.execute(f"select {_constants((3, True, None), kinds)}").fetchall() == [(3, True, None)]
    values = (None, False, "a'b")
    assert cursor.execute(f"select {_constants(values, kinds)}").fetchall() == [values]


def test_a_contract_is_measured_by_one_engine_and_judged_by_the_other(
    cursor: duckdb.DuckDBPyConnection,
) -> None:
    quality = [
        {"metric": "rowCount", "mustBe": 7, "id": "seven"},
        {"type": "sql", "query": "select max(n) from ${object}", "mustBeLessThan": 5, "id": "small"},
    ]
    found = contract(
        {"name": "shop", "logicalType": "string", "required": True, "unique": True},
        {
            "name": "n",
            "logicalType": "integer",
            "quality": [{"metric": "nullValues", "mustBeLessThan": 1, "unit": "percent", "id": "given"}],
        },
        quality=quality,
    )
    sql = broken_rules_sql(found.tables[0], "dev.curated.sales", Severity.ERROR, "f.odcs.yaml")
    cursor.execute("insert into dev.curated.sales values ('2024-05-01', 6, 'a'), ('2024-05-01', null, 'a')")
    measured = measuring(f"\n{sql}\n")
    made = _translated(cursor, "t", [], SCHEMAS, asked(sql))
    assert "COUNT(*)" in made.main
    (row,) = cursor.execute(measured).fetchall()
    again = judging(sql, f"select {_constants(row, made.kinds)}")
    assert "sales" not in again
    expected = cursor.execute(sql).fetchall()
    assert sorted(rule for rule, *_ in expected) == ["given", "seven", "shop_not_unique", "small"]
    assert cursor.execute(again).fetchall() == expected
    assert measuring("select 1 as n") == ""


def test_a_test_is_carried_by_the_key_of_either_engine() -> None:
    keys = {"duckdb": "d", "spark": "s"}
    for passed, engine in (("s", "spark"), ("d", "duckdb"), ("other", "duckdb")):
        earlier = EarlierResults()
        earlier.passed = lambda _, key=passed: key  # type: ignore[method-assign, misc]
        tests = CarriedTests(earlier)
        key = tests.known_as("t", keys)
        assert (key, tests.engines["t"]) == (keys[engine], engine)
        assert tests.carry("t", key, str) is (passed != "other")
        tests.runs_by("t", "spark", "why")
        assert (tests.keys["t"], tests.engines["t"], tests.said["t"]) == ("s", "spark", "why")


def test_a_run_says_which_tests_spark_did_not_run() -> None:
    def result(name: str, engine: str, *notes: str) -> TestResult:
        return TestResult(unique_id=f"test.p.{name}.1", status=Status.PASS, engine=engine, notes=list(notes))

    results = [
        result("a", "spark", "run by Spark, because …"),
        result("b", "spark", "run by Spark, because …"),
        result("c", "duckdb", "run by DuckDB, although …"),
        result("d", "duckdb"),
        result("e", "spark"),  # carried
    ]
    counts = dict.fromkeys(("expected", "executed", "carried", "not_run", "failed", "warned"), 0)
    assert Tests(results=results, **counts).notes == [
        "2 data tests run by Spark",
        "c: run by DuckDB, although …",
    ]
