"""What Spark cannot compute is refused by its configuration, in one sentence, before anything runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dbt.artifacts.resources.v1.model import ModelConfig

from slipway.dbt.configuration import check_configuration, strategy_of
from slipway.dbt.model_engines import engine_problems, may_be_by_spark, spark_above
from slipway.errors import ConfigError

_SOURCE = {"source.p.landing.sales": SimpleNamespace(name="sales", resource_type="source", config={}, schema="landing", identifier="sales")}  # fmt: skip


def node(name: str = "sales_by_day", kind: str = "model", reads: tuple[str, ...] = (), **given: Any) -> Any:  # noqa: ANN401 - a node of dbt's
    language, code = given.pop("language", "sql"), given.pop("code", "select 1 as n")
    columns = {column: SimpleNamespace(data_type=kind) for column, kind in given.pop("columns", {}).items()}
    config = ModelConfig.from_dict({"materialized": "table", **given})
    return SimpleNamespace(
        name=name,
        unique_id=f"model.p.{name}",
        resource_type=kind,
        config=config,
        language=language,
        columns=columns,
        raw_code=code,
        depends_on_nodes=list(reads),
        schema="curated",
        alias=name,
    )


def project(*nodes: Any) -> Any:  # noqa: ANN401 - a manifest of dbt's
    known = {one.unique_id: one for one in nodes}
    return SimpleNamespace(nodes=known, functions={}, sources=_SOURCE, unit_tests={})


def found(one: Any, *others: Any) -> list[str]:  # noqa: ANN401 - nodes of dbt's
    return list(engine_problems(project(one, *others), one, strategy_of))


SPARK: dict[str, Any] = {"engine": "spark"}
REFUSED: dict[str, dict[str, Any]] = {
    "it is a seed, which only DuckDB makes": {"kind": "seed"},
    "it is a snapshot, which only DuckDB makes": {"kind": "snapshot"},
    "it is a view, which only DuckDB makes": {"materialized": "view"},
    "it is a Python model whose YAML does not declare columns with data_type": {"language": "python"},
    "it is a Python model whose YAML does not declare the data_type of m": {
        "language": "python",
        "columns": {"n": "bigint", "m": None},
    },
    "its pre_hook would run on DuckDB": {"pre-hook": [{"sql": "select 1"}]},
    "it is a Python model, whose frame is not cut into batches": {
        "language": "python",
        "materialized": "incremental",
        "incremental_strategy": "microbatch",
    },
    "its strategy is upsert, while Spark has append": {
        "materialized": "incremental",
        "incremental_strategy": "upsert",
    },
    "insert_overwrite without partitioned_by": {
        "materialized": "incremental",
        "incremental_strategy": "insert_overwrite",
    },
    "it reads landed files of sales": {"reads": ("source.p.landing.sales",)},
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_spark_cannot_compute_is_refused_in_one_sentence(why: str) -> None:
    (said,) = found(node(**SPARK, **REFUSED[why]))
    assert said.startswith("sales_by_day: engine is spark, and ")
    assert why in said
    assert said.endswith(": write engine: duckdb for it")
    assert not found(node(engine="duckdb", **REFUSED[why]))
    assert not found(node(**REFUSED[why]))


def test_what_spark_computes_is_not_refused() -> None:
    overwritten = {"incremental_strategy": "insert_overwrite", "partitioned_by": ["day"]}
    for given in (
        {},
        {"materialized": "incremental"},
        {"materialized": "incremental", "unique_key": "n"},
        {"materialized": "incremental", "unique_key": "n", "code": "where {{ rows_added(ref('x')) }}"},
        {"materialized": "incremental", "unique_key": "n", "merge_update_columns": ["m"]},
        {"materialized": "incremental", "unique_key": "n", "incremental_predicates": ["n > 1"]},
        {"materialized": "incremental", **overwritten},
        {"materialized": "incremental", "incremental_strategy": "microbatch"},
    ):
        assert not found(node(**SPARK, **given))
    assert not found(node(**SPARK, code="{# rows_added(…) #} select 1"))
    assert not found(node(**SPARK, language="python", columns={"n": "bigint"}))


def test_a_view_is_found_through_ephemeral_models() -> None:
    view = node("shown", materialized="view")
    between = node("between", materialized="ephemeral", reads=("model.p.shown",), **SPARK)
    model = node(**SPARK, reads=("model.p.between",))
    assert found(model, view, between) == [
        "sales_by_day: engine is spark, and it reads the view shown, which is in DuckDB's memory: write engine: duckdb for it"
    ]
    assert not found(between, view)
    assert not may_be_by_spark(between)


@pytest.mark.parametrize(
    ("engine", "fix"),
    [
        ("sparc", "write spark, or one of duckdb, spark, auto"),
        ("Spark", "write spark"),
        ("Auto", "write auto"),
        (7, "use one of duckdb, spark, auto"),
    ],
)
def test_an_unknown_engine_is_refused_before_a_run(engine: object, fix: str) -> None:
    one = node(engine=engine)
    with pytest.raises(ConfigError) as refused:
        check_configuration(project(one), [one.unique_id])
    assert f"sales_by_day: engine is {engine!r}, which is unknown: {fix}" in refused.value.line()


@pytest.mark.parametrize("why", REFUSED)
def test_a_model_of_either_engine_is_one_that_both_can_compute(why: str) -> None:
    (said,) = found(node(engine="auto", **REFUSED[why]))
    assert said.startswith("sales_by_day: engine is auto, and ")
    is_python = REFUSED[why].get("language") == "python"
    assert (
        "it is a Python model, which is written for the frames of one engine" if is_python else why
    ) in said


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [
        ({}, 20 * 10**9),
        ({"spark_above": "20 GB"}, 20 * 10**9),
        ({"spark_above": "1.5GiB"}, 1_610_612_736),
        ({"spark_above": "500 mb"}, 500 * 10**6),
        ({"spark_above": 1000}, 1000),
        ({"spark_above": "1 B"}, 1),
        ({"spark_above": 0}, 0),
    ],
)
def test_the_bound_is_a_number_of_bytes(given: dict[str, Any], bytes_: int) -> None:
    one = node(engine="auto", **given)
    assert spark_above(one) == bytes_
    assert not found(one)


@pytest.mark.parametrize("bound", ["much", "-1", "20 PB", "1 iB", "GB", [1]])
def test_what_is_no_number_of_bytes_is_refused(bound: object) -> None:
    (said,) = found(node(engine="auto", spark_above=bound))
    assert said == f"sales_by_day: spark_above is {bound!r}, which is no number of bytes: write it like 20 GB"


def test_a_bound_of_a_model_of_duckdb_is_refused() -> None:
    (said,) = found(node(engine="duckdb", spark_above="20 GB"))
    assert said.startswith("sales_by_day: spark_above has no effect with engine: duckdb: write engine: auto")


def test_a_bound_of_a_model_of_spark_is_that_of_its_data_tests() -> None:
    assert not found(node(engine="spark", spark_above="20 GB"))
