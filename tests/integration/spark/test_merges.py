"""``merge`` and ``delete+insert`` change a table in the same way on both engines, however they are configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.harness.merges import PREDICATES, Row, configs, fresh, stored
from tests.integration.spark.both_engines import Both

from slipway.engines.spark.translation.translate import translate
from slipway.errors import ConfigError, ContractError, SlipwayError

KINDS = {"k": "integer", "part": "varchar", "v": "bigint", "w": "bigint"}


def rows(values: Sequence[Row], **kinds: str) -> str:
    """A query of rows; with more columns where types for them are given."""
    columns = {**KINDS, **kinds}

    def listed(row: Row) -> str:
        cells = ("null" if value is None else repr(value) for value in row)
        return ", ".join(
            f"cast({cell} as {kind})" for cell, kind in zip(cells, columns.values(), strict=True)
        )

    nothing = tuple(None for _ in columns)
    found = ", ".join(f"({listed(row)}, {row is not nothing})" for row in [*values, nothing])
    return (
        f"select {', '.join(columns)} from (values {found}) as t({', '.join(columns)}, is_row) where is_row"
    )


@pytest.fixture
def both(both: Both) -> Both:
    both.translate = lambda sql: translate(sql, {})
    return both


def merged(both: Both, new: Sequence[Row], config: dict[str, Any], predicates: Sequence[str] = ()) -> bool:
    """Merge rows on both engines, and say whether both did it; a clause with an error ends both."""
    both.count += 1
    options: dict[str, Any] = {"unique_key": ["k"], "merge": config, "predicates": predicates}
    try:
        by_duckdb = both.by("duckdb", rows(new), "merge", **options)
    except duckdb.ConstraintException as error:
        with pytest.raises(SlipwayError) as refused:
            both.by("spark", rows(new), "merge", **options)
        said = str(error).partition("Merge error condition ")[2]  # DuckDB shows the condition, too
        assert f"Merge error condition {said.partition(' AND ')[0].partition(': ')[0]}" in refused.value.why
        assert said.rpartition(": ")[2].rpartition(")")[2] in refused.value.why
        return False
    by_spark = both.by("spark", rows(new), "merge", **options)
    assert by_spark.same_content == by_duckdb.same_content
    both.bases = {"spark": by_spark.staged.table, "duckdb": by_duckdb.staged.table}
    both.check()
    return True


STORED = [(1, "a", 1, 1), (1, "b", -1, 2), (2, "a", 5, None), (3, None, -5, 0), (None, "a", 7, 7)]
NEW = [(1, "a", 2, 5), (2, "b", None, 6), (8, None, 1, None)]
CLAUSES: dict[str, dict[str, Any]] = {
    "update-by-name": {"when_matched": [{"action": "update", "mode": "by_name"}]},
    "update-by-position": {"when_matched": [{"action": "update", "mode": "by_position"}]},
    "update-star": {"when_matched": [{"action": "update", "mode": "star"}]},
    "update-explicit": {
        "when_matched": [
            {
                "action": "update",
                "mode": "explicit",
                "condition": ["DBT_INTERNAL_DEST.v > 0", "DBT_INTERNAL_SOURCE.w > 0"],
                "update": {
                    "include": ["part", "V"],
                    "set_expressions": {'"w"': "DBT_INTERNAL_DEST.w * 2.5", "v": "DBT_INTERNAL_SOURCE.w"},
                },
            }
        ]
    },
    "first-that-holds": {
        "when_matched": [
            {"action": "do_nothing", "condition": "DBT_INTERNAL_DEST.v > DBT_INTERNAL_SOURCE.v"},
            {"action": "delete", "condition": "DBT_INTERNAL_DEST.part = 'a'"},
            {"action": "update", "mode": "by_name"},
        ],
        "when_not_matched": [{"action": "do_nothing"}],
    },
    "error": {
        "when_matched": [{"action": "error", "error_message": "it's $refused", "condition": "DBT_INTERNAL_DEST.v > 4"}]
    },
    "error-of-new-rows": {"when_not_matched": [{"action": "error", "condition": "w is null"}]},
    "error-by-source": {"when_not_matched": [{"action": "error", "by": "source", "condition": "k = 3"}]},
    "error-that-does-not-hold": {
        "when_matched": [{"action": "error", "condition": "DBT_INTERNAL_DEST.v > 100"}, {"action": "delete"}]
    },
    "insert-explicit": {
        "when_not_matched": [
            {
                "action": "insert",
                "mode": "explicit",
                "condition": "v > 0",
                "insert": {"columns": ["V", '"k"'], "values": ["v * 10", "DBT_INTERNAL_SOURCE.k"]},
            }
        ]
    },
    "insert-by-position": {"when_not_matched": [{"action": "insert", "mode": "by_position"}]},
    "by-source": {
        "when_not_matched": [
            {"action": "update", "by": "source", "condition": "v < 0", "set_expressions": {"part": "'gone'"}},
            {"action": "delete", "by": "source", "condition": "k is not null"},
            {"action": "insert", "mode": "star"},
        ]
    },
    "nothing": {"when_matched": [{"action": "do_nothing"}], "when_not_matched": [{"action": "do_nothing"}]},
}  # fmt: skip


@pytest.mark.parametrize("kind", CLAUSES)
def test_each_clause_does_the_same(both: Both, kind: str) -> None:
    both.write(rows(STORED), later="merge", unique_key=["k"], merge={"merge_clauses": CLAUSES[kind]})
    assert merged(both, NEW, {"merge_clauses": CLAUSES[kind]}) == (
        not kind.startswith("error") or kind == "error-that-does-not-hold"
    )


CASE = (stored, st.lists(st.tuples(fresh, configs, st.sampled_from(PREDICATES)), min_size=1, max_size=3))


PROPERTY: dict[str, Any] = {
    "max_examples": 6,
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(**PROPERTY)
@given(*CASE)
def test_increments_lead_to_the_same_table(
    both: Both, first: list[Row], increments: list[tuple[list[Row], dict[str, Any], list[str]]]
) -> None:
    both.write(rows(first))
    both.check()
    for new, config, predicates in increments:
        merged(both, new, config, predicates)
    both.bases = {"spark": None, "duckdb": None}


KEYS: dict[str, tuple[list[str], list[str]]] = {
    "column-and-expression": (["part", "v // 2"], []),
    "expression-of-text": (["lower(part) || '.'"], []),
    "columns-of-other-case": (["PART", '"k"'], []),
    "spared-by-the-table": (["k"], ["v < 3 or DBT_INCREMENTAL_TARGET.w is null"]),
    "spared-by-the-source": (["k"], ["DBT_INTERNAL_SOURCE.v > DBT_INTERNAL_DEST.v"]),
    "expression-and-predicate": (["k // 2"], ["part is distinct from 'b'"]),
}


@pytest.mark.parametrize("case", KEYS)
def test_rows_are_deleted_and_inserted_by_keys_and_predicates(both: Both, case: str) -> None:
    key, predicates = KEYS[case]
    options: dict[str, Any] = {"unique_key": key, "predicates": predicates}
    first = [(1, "a", 1, 1), (1, "b", 5, 2), (2, "A", 4, None), (3, "c", -5, 0)]
    both.write(rows(first), later="delete+insert", **options)
    for new in ([(1, "a", 2, 5), (1, "a", 0, 5), (2, "b", 4, 6)], [], [(3, "A", -5, 1), (9, "x", 1, 1)]):
        both.write(rows(new), "delete+insert", **options)
        both.check()
    with pytest.raises(ContractError, match="1 row has NULL in unique_key"):
        both.write(rows([(None, None, None, 1)]), "delete+insert", **options)


def test_columns_that_only_clauses_use_and_names_that_could_be_mistaken(both: Both) -> None:
    names = {"old": "integer", "New": "integer"}
    both.write(rows([(1, "a", 1, 1, 1, 2), (2, "a", 1, 1, 1, 2)], **names))
    for strategy in ("merge", "delete+insert"):
        new = rows([(1, "b", 2, 1, 1, 3), (4, "b", 2, 1, 1, 3)], **names)
        both.write(new, strategy, unique_key=["k"])
        both.check()
    clauses = [
        {"action": "delete", "condition": "gone"},
        {"action": "update", "mode": "explicit", "update": {"exclude": ["new"]}},
    ]
    both.write(
        rows([(1, "c", 2, 1, 0, 0, True), (2, "d", 2, 1, 0, 0, False)], **names, gone="boolean"),
        "merge",
        unique_key=["k"],
        merge={"merge_clauses": {"when_matched": clauses}},
    )
    both.check()


def test_a_merge_that_duckdb_does_not_bind_is_refused(both: Both) -> None:
    both.write(rows(STORED))
    both.count += 1
    for config, why in (
        ({"merge_update_condition": "nothing > 1"}, 'Referenced column "nothing" not found'),
        ({"merge_update_condition": "v > 1"}, 'Ambiguous reference to column name "v"'),
    ):
        for engine in ("duckdb", "spark"):
            with pytest.raises(ConfigError, match=why):
                both.by(engine, rows(NEW), "merge", unique_key=["k"], merge=config)


MOMENTS = """
select cast(n as int) as n, cast(t as date) as day, cast(t as timestamp) as at, cast(t as timestamptz) as zoned, cast(w as varchar) as word
from (values {}) as v(n, t, w)
"""
PARTITIONS = {
    "by-day-then-month": (["day(day)"], ["month(day)"]),
    "by-nothing-then-word": ([], ["word"]),
    "by-word-then-several": (["word"], ["year(zoned)", "bucket(2, n)", "truncate(1, word)"]),
    "by-hour-of-zoned": (["n"], ["hour(zoned)"]),
    "by-day-then-nothing-of-it": (["hour(at)"], ["day", "word"]),
}


@pytest.mark.parametrize("case", PARTITIONS)
def test_partitions_are_replaced_in_files_of_an_earlier_partitioning(both: Both, case: str) -> None:
    before, now = PARTITIONS[case]
    both.translate = lambda sql: sql.replace("as varchar)", "as string)").replace("as timestamp)", "as timestamp_ntz)").replace("timestamptz", "timestamp")  # fmt: skip
    first = "(1, '2024-01-01 10:30:00', 'ab'), (2, '2024-01-31 10:00:00', 'b'), (3, '1969-12-31 23:59:59', null), (4, '2025-01-01 10:59:00', 'ab')"
    both.write(MOMENTS.format(first), partitioned_by=before)
    for new in (
        "(9, '2024-01-15 10:00:00', 'ab'), (1, '2024-01-01 10:00:00', null)",
        "(7, '1969-12-31 23:00:00', 'ba'), (4, '2025-01-01 10:00:00', 'b')",
        "(9, '2024-01-15 10:00:00', 'ab')",
    ):
        both.write(MOMENTS.format(new), "insert_overwrite", partitioned_by=now)
        both.check()


STEP = st.one_of(
    st.tuples(st.just("append"), st.just(())),
    st.tuples(
        st.just("delete+insert"), st.sampled_from([("coalesce(k, -1)", "part is null"), ("v is null",)])
    ),
    st.tuples(st.just("insert_overwrite"), st.just(())),
)
PARTITIONED = st.sampled_from([["part"], ["bucket(2, k)"], ["truncate(2, v)", "part"]])


@settings(**{**PROPERTY, "max_examples": 4})
@given(stored, st.lists(st.tuples(STEP, stored, PARTITIONED), min_size=2, max_size=4))
def test_other_strategies_lead_to_the_same_table(
    both: Both, first: list[Row], steps: list[tuple[tuple[str, tuple[str, ...]], list[Row], list[str]]]
) -> None:
    both.write(rows(first), partitioned_by=["part"])
    both.check()
    for (strategy, key), new, partitioned_by in steps:
        both.write(rows(new), strategy, unique_key=key, partitioned_by=partitioned_by)
        both.check()
    both.bases = {"spark": None, "duckdb": None}
