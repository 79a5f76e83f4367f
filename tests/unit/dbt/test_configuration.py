"""Configuration that cannot be carried out, or would do nothing, is refused before a row is read, all of it at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dbt.artifacts.resources.v1.config import TestConfig
from dbt.artifacts.resources.v1.model import ModelConfig
from dbt.artifacts.resources.v1.seed import SeedConfig
from dbt.artifacts.resources.v1.snapshot import SnapshotConfig
from dbt.artifacts.resources.v1.source_definition import SourceConfig
from dbt.artifacts.resources.v1.unit_test_definition import UnitTestConfig

from slipway.dbt.build import as_allowed
from slipway.dbt.configuration import check_configuration, problems
from slipway.errors import ConfigError, ContractError


def node(code: str = "", **config: Any) -> Any:  # noqa: ANN401 - as in dbt_project.yml
    given = ModelConfig.from_dict({"materialized": "incremental", **config})
    return other("thing", "model", given, raw_code=code)


def other(name: str, kind: str, config: Any, reads: tuple[str, ...] = (), **more: Any) -> Any:  # noqa: ANN401 - a node of dbt's
    return SimpleNamespace(name=name, resource_type=kind, config=config, depends_on_nodes=list(reads), **more)


def project(**lists: Any) -> Any:  # noqa: ANN401 - a manifest of dbt's
    return SimpleNamespace(**{"nodes": {}, "unit_tests": {}, "functions": {}, "sources": {}, **lists})


PAIR = {"raw": "raw.x", "curated": "curated.x"}
WRONG: dict[str, dict[str, Any]] = {
    "partition_by has no effect here: write partitioned_by": {"partition_by": ["day"]},
    "cluster_by has no effect here: write sorted_by": {"cluster_by": "k"},
    "tblproperties has no effect here: write table_properties": {"tblproperties": {"a": "b"}},
    "partitoned_by has no effect here: write partitioned_by": {"partitoned_by": ["day"]},
    "unique_keys has no effect here: write unique_key": {"unique_keys": ["k"]},
    "incremental_stratgy has no effect here: write incremental_strategy": {"incremental_stratgy": "merge"},
    "on_schema_changes has no effect here: write on_schema_change": {"on_schema_changes": "fail"},
    "sorted-by has no effect here: write sorted_by": {"sorted-by": "k"},
    "on_schema_change is 'append', which is unknown: write append_new_columns": {
        "on_schema_change": "append"
    },
    "on_schema_change is 'sync', which is unknown: write sync_all_columns": {"on_schema_change": "sync"},
    "unique_key has no effect with append": {"incremental_strategy": "append", "unique_key": "k"},
    "incremental_predicates has no effect with append": {
        "incremental_strategy": "append",
        "incremental_predicates": ["v > 0"],
    },
    "merge_update_columns has no effect with insert_overwrite": {
        "incremental_strategy": "insert_overwrite",
        "merge_update_columns": ["v"],
    },
    "batch_size has no effect with merge": {"unique_key": "k", "batch_size": "day"},
    "sorted_by is {'k': 'asc'}: write a text or a list of texts": {"sorted_by": {"k": "asc"}},
    "partitioned_by is ['']: write a text or a list of texts": {"partitioned_by": [""]},
    "table_properties is ['a']: write a mapping": {"table_properties": ["a"]},
    "conserves is {'raw': 'parcels'}: write {raw: raw.TABLE": {"conserves": {"raw": "parcels"}},
    "conserves is 'raw.x': write": {"conserves": "raw.x"},
    "limits of conserves is [1]: write a mapping": {"conserves": {**PAIR, "limits": [1]}},
    "the limit of * in conserves is {'mustBe': 5}: write": {
        "conserves": {**PAIR, "limits": {"*": {"mustBe": 5}}}
    },
    "the limit of r in conserves is {'mustBeLessThan': 5, 'unit': 'days'}": {
        "conserves": {**PAIR, "limits": {"r": {"mustBeLessThan": 5, "unit": "days"}}}
    },
    "incremental_predicates is [1]": {"unique_key": "k", "incremental_predicates": [1]},
}


@pytest.mark.parametrize("expected", WRONG)
def test_what_would_do_nothing_is_named_with_what_to_write(expected: str) -> None:
    found = list(problems(node(**WRONG[expected])))
    assert len(found) == 1
    assert expected in found[0]
    assert found[0].startswith("thing: ")


def test_configuration_for_others_is_not_touched() -> None:
    taken: list[dict[str, Any]] = [
        {
            "unique_key": ["a", "b"],
            "partitioned_by": "day",
            "sorted_by": ["a desc"],
            "meta": {"partition_by": 1},
        },
        {
            "incremental_strategy": "insert_overwrite",
            "unique_key": "k",
            "on_schema_change": "sync_all_columns",
        },
        {"materialized": "table", "compare_key": ["k"], "conserves": {}, "my_own_key": 1, "owner": "ada"},
        {
            "incremental_strategy": "microbatch",
            "event_time": "at",
            "begin": "2024-01-01",
            "batch_size": "day",
        },
        {"materialized": "table", "conserves": {**PAIR, "deduplicated_by": ["k"]}},
        {
            "materialized": "table",
            "conserves": {
                **PAIR,
                "limits": {"*": {"mustBeLessThan": 5, "unit": "percent", "severity": "warning"}},
            },
        },
        {"event_time": "at", "materialized": "table", "tags": ["x"], "table_properties": {"a": "b"}},
    ]
    assert [list(problems(node(**config))) for config in taken] == [[]] * len(taken)


def test_conditions_of_increments_are_refused_in_batches() -> None:
    batches = {
        "incremental_strategy": "microbatch",
        "event_time": "at",
        "begin": "2024-01-01",
        "batch_size": "day",
    }
    assert "have no place in a microbatch model" in next(
        problems(node("where {{ rows_added(ref('x')) }}", **batches))
    )
    assert not list(problems(node("{# rows_added(…) #} select 1", **batches)))


def test_all_nodes_are_reported_at_once_and_others_are_not_checked() -> None:
    seed = other("s", "seed", SeedConfig.from_dict({"delimeter": ";"}))
    nodes = {"a": node(partition_by="k", on_schema_change="append"), "b": seed, "c": node(cluster_by="k")}
    with pytest.raises(ConfigError) as refused:
        check_configuration(project(nodes=nodes), ["a", "b", "gone"])
    assert str(refused.value) == (
        "3 settings of nodes cannot be carried out: thing: partition_by has no effect here: write partitioned_by; "
        "thing: on_schema_change is 'append', which is unknown: write append_new_columns, or one of ignore, fail, "
        "append_new_columns, sync_all_columns; s: delimeter has no effect here: write delimiter."
    )


def test_what_is_misspelt_for_tests_sources_and_others_is_named() -> None:
    severity = TestConfig.from_dict({"serverity": "warn", "my_own_key": 1, "sort": "k"})
    tests = {f"test.{at}": other(f"t{at}", "test", severity) for at in range(5)}
    snapshot = other("sn", "snapshot", SnapshotConfig.from_dict({"check_col": ["k"]}), ("src.a", "gone"))
    unit = other("u", "unit_test", UnitTestConfig.from_dict({"enabeld": False}))
    sources = {
        "src.a": other("a", "source", SourceConfig.from_dict({"loaded_at_feild": "x"})),
        "src.b": other("b", "source", SourceConfig.from_dict({"loaded_at_feild": "x"})),
    }
    manifest = project(nodes={**tests, "sn": snapshot}, unit_tests={"u": unit}, sources=sources)
    with pytest.raises(ConfigError) as refused:
        check_configuration(manifest, [*tests, "sn", "u"])
    assert str(refused.value) == (
        "4 settings of nodes cannot be carried out: sn: check_col has no effect here: write "
        "check_cols; t0, t1, t2 and 2 others: serverity has no effect here: write severity; "
        "u: enabeld has no effect here: write enabled; a: loaded_at_feild has no effect here: write loaded_at_field."
    )
    with pytest.raises(ConfigError, match="1 setting of nodes cannot"):
        check_configuration(manifest, tests)


@pytest.mark.parametrize(
    ("allowed", "expected"), [(None, "f --full-refresh."), (False, "full_refresh: false keeps")]
)
def test_a_full_refresh_is_not_advised_to_who_ignores_it(allowed: bool | None, expected: str) -> None:
    error = ContractError("a", "b", "f --full-refresh")
    assert expected in as_allowed(error, node(full_refresh=allowed)).line()
