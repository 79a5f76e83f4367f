"""Configurations of merges, and rows that meet, for tests that try many of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Row = tuple[Any, ...]
COLUMNS = ("k", "part", "v", "w")
PAIR = (
    None,
    "DBT_INTERNAL_SOURCE.v > DBT_INTERNAL_DEST.v",
    ["DBT_INTERNAL_DEST.part = 'a'", "DBT_INTERNAL_SOURCE.w is null or DBT_INTERNAL_SOURCE.w > 0"],
    "DBT_INTERNAL_SOURCE.v is distinct from DBT_INTERNAL_DEST.v",
)
NEW = (None, "DBT_INTERNAL_SOURCE.v > 0", "w is not null or v is null")
OLD = (None, "DBT_INTERNAL_DEST.v < 0", ["part is null or w > 0", "k < 4"])
PREDICATES: tuple[list[str], ...] = (
    [],
    ["DBT_INTERNAL_DEST.k >= 2"],
    ["DBT_INTERNAL_DEST.part = 'a' or DBT_INTERNAL_SOURCE.v > 0", "2 > DBT_INTERNAL_DEST.v"],
)

small = st.none() | st.integers(-2, 2)
parts = st.sampled_from([None, "a", "b"])
stored = st.lists(st.tuples(st.none() | st.integers(0, 6), parts, small, small), max_size=5)
fresh = st.lists(st.tuples(st.integers(0, 7), parts, small, small), max_size=5, unique_by=lambda row: row[0])
ERROR: dict[str, Any] = {"action": "error", "error_message": "it's refused"}
expressions = st.sampled_from(
    [{}, {"w": "DBT_INTERNAL_DEST.w + DBT_INTERNAL_SOURCE.v"}, {"part": "'z'", "v": "coalesce(7, 8)"}]
)


@st.composite
def matched(draw: st.DrawFn) -> dict[str, Any]:
    condition = draw(st.sampled_from(PAIR))
    if not draw(st.integers(0, 2)):
        return {
            **draw(st.sampled_from([{"action": "delete"}, {"action": "do_nothing"}, ERROR])),
            "condition": condition,
        }
    mode = draw(st.sampled_from(["by_name", "by_position", "star", "explicit"]))
    chosen: dict[str, Any] = draw(st.sampled_from([{}, {"include": ["v"]}, {"exclude": ["K", "w"]}]))
    update = {**chosen, "set_expressions": draw(expressions)}
    return {"action": "update", "mode": mode, "update": update, "condition": condition}


@st.composite
def not_matched(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        changed = {"action": "update", "set_expressions": {"v": "v - 1", "part": "'gone'"}}
        action: dict[str, Any] = draw(
            st.sampled_from([changed, {"action": "delete"}, {"action": "do_nothing"}])
        )
        return {**action, "by": "source", "condition": draw(st.sampled_from(OLD))}
    mode = draw(st.sampled_from(["by_name", "by_position", "star", "explicit"]))
    values = {"columns": ["k", "v"], "values": ["DBT_INTERNAL_SOURCE.k", "v * 10"]}
    insert = {"action": "insert", "mode": mode, "insert": values}
    action = draw(st.sampled_from([insert, insert, {"action": "do_nothing"}]))
    return {**action, "by": draw(st.sampled_from([None, "target"])), "condition": draw(st.sampled_from(NEW))}


def parsable(clauses: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """DuckDB takes one clause without a condition for each kind, as the last."""
    kept, ended = [], set()
    for clause in clauses:
        kind = clause.get("by") or "target"
        if kind not in ended:
            kept.append(clause)
        if clause.get("condition") is None:
            ended.add(kind)
    return kept


basic = st.fixed_dictionaries(
    {},
    optional={
        "merge_update_condition": st.sampled_from([c for c in PAIR if isinstance(c, str)]),
        "merge_insert_condition": st.sampled_from([c for c in NEW if isinstance(c, str)]),
        "merge_update_columns": st.sampled_from([["v"], ["part", "w"]]),
        "merge_update_set_expressions": expressions,
        "merge_on_using_columns": st.just(["k"]),
    },
)
excluding = st.fixed_dictionaries({"merge_exclude_columns": st.sampled_from([["v"], ["PART", "w"]])})
clauses = st.fixed_dictionaries(
    {},
    optional={
        "when_matched": st.lists(matched(), min_size=1, max_size=3).map(parsable),
        "when_not_matched": st.lists(not_matched(), min_size=1, max_size=3).map(parsable),
    },
).map(lambda found: {"merge_clauses": found} if found else {})
configs = st.one_of(basic, excluding, clauses, clauses)
