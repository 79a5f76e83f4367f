"""Incremental configuration is checked as dbt parsed it, before anything runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dbt.artifacts.resources.v1.model import ModelConfig

from slipway.dbt.configuration import check_incremental, merge_keys_of, predicates_of, strategy_of
from slipway.errors import ConfigError


def node(**config: Any) -> Any:  # noqa: ANN401 - as in dbt_project.yml
    given = ModelConfig.from_dict({"materialized": "incremental", **config})
    return SimpleNamespace(name="thing", resource_type="model", config=given)


REFUSED: dict[str, dict[str, Any]] = {
    "thing: incremental_strategy upsert: unknown. Use one of append, merge, delete+insert, insert_overwrite, "
    "microbatch.": {"incremental_strategy": "upsert"},
    "thing: merge_returning_columns: nothing reads the rows it would return. Remove it.": {
        "unique_key": "k",
        "merge_returning_columns": ["k"],
    },
    "thing: merge_update_colums: no such key. Use one of merge_update_condition, merge_insert_condition, "
    "merge_update_columns, merge_exclude_columns, merge_update_set_expressions, merge_on_using_columns, "
    "merge_clauses.": {"unique_key": "k", "merge_update_colums": ["v"]},
    "thing: merge_update_columns has no effect with append. Remove it.": {"merge_update_columns": ["v"]},
    "thing: merge_clauses has no effect with delete+insert. Remove it.": {
        "incremental_strategy": "delete+insert",
        "merge_clauses": {"when_matched": []},
        "unique_key": "k",
    },
    "thing: incremental_predicates has no effect with insert_overwrite. Remove it.": {
        "incremental_strategy": "insert_overwrite",
        "incremental_predicates": ["v > 0"],
    },
    "thing: merge_update_columns, predicates has no effect with a table. Remove it.": {
        "materialized": "table",
        "merge_update_columns": ["v"],
        "predicates": "v > 0",
    },
    "thing: merge needs unique_key: none is set. Set it or use append.": {"incremental_strategy": "merge"},
    "thing: delete+insert needs unique_key: none is set. Set it or use append.": {
        "incremental_strategy": "delete+insert"
    },
    "thing: microbatch needs event_time: none is set. Name the column that says when.": {
        "incremental_strategy": "microbatch"
    },
    "thing: unique_key has no effect with microbatch: a batch replaces the rows of its time. Remove it, or use "
    "merge.": {"incremental_strategy": "microbatch", "event_time": "at", "unique_key": "k"},
    "thing: on_code_change has no effect with a table: all of its rows are made by the present code. Remove it.": {
        "materialized": "table",
        "on_code_change": {"keep": "why"},
    },
}

WRONG: list[object] = [
    "keep",
    {"keep": " "},
    {"keep": None},
    {"keep": "why", "until": 1},
    {"fail": "why"},
    [],
    {},
    "",
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_rows_of_other_code_stay_only_with_a_reason(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"on_code_change.*only with a reason.*keep: <the reason>"):
        check_incremental(node(on_code_change=wrong))
    check_incremental(node(on_code_change={"keep": "they were right then"}))


@pytest.mark.parametrize("expected", REFUSED)
def test_what_would_be_ignored_or_is_missing_is_refused(expected: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_incremental(node(**REFUSED[expected]))
    assert str(refused.value) == expected


def test_what_is_taken() -> None:
    for config in (
        {},
        {"unique_key": ["a", "b"], "merge_update_columns": ["v"], "incremental_predicates": "v > 0"},
        {"merge_on_using_columns": ["k"], "merge_clauses": {"when_matched": [{"action": "delete"}]}},
        {"incremental_strategy": "delete+insert", "unique_key": "a || b", "predicates": ["v > 0"]},
        {"incremental_strategy": "microbatch", "event_time": "at", "incremental_predicates": ["v > 0"]},
        {"materialized": "table", "incremental_strategy": "merge", "unique_key": "k"},
    ):
        check_incremental(node(**config))


def test_the_default_strategy_depends_on_the_key() -> None:
    assert strategy_of(node()) == "append"
    assert strategy_of(node(unique_key="k")) == "merge"
    assert strategy_of(node(merge_on_using_columns=["k"])) == "merge"
    assert strategy_of(node(unique_key="k", incremental_strategy="append")) == "append"


def test_predicates_are_one_text_or_several_under_either_name() -> None:
    assert predicates_of(node()) == []
    assert predicates_of(node(predicates="a")) == ["a"]
    assert predicates_of(node(incremental_predicates=["a", "b"])) == ["a", "b"]
    for wrong in ([1], {"a": 1}, [""], 5):
        with pytest.raises(ConfigError, match="thing: incremental_predicates is"):
            predicates_of(node(incremental_predicates=wrong))


def test_merge_keys_are_passed_on_as_they_are() -> None:
    config = {"merge_update_columns": ["v"], "merge_clauses": {"when_matched": [{"action": "delete"}]}}
    assert merge_keys_of(node(unique_key="k", **config)) == config
