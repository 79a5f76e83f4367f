"""Tables and columns under another name: compared with what they were, and said to be renamed."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from slipway.comparison.compare import compare_relations, policies_of
from slipway.comparison.former_names import former_tables, renamed_columns, renamed_tables
from slipway.comparison.results import DifferenceKind, TableComparison, Verdict, judge

BASE, HEAD = (
    "(select i as id, i * 2 as amount from range(4) t(i))",
    "(select i as id, i * 2 as total from range(4) t(i))",
)


def node(name: str, columns: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:  # noqa: ANN401
    schema, _, alias = name.partition(".")
    return {
        "resource_type": "model",
        "schema": schema,
        "alias": alias,
        "name": alias,
        "config": config,
        "columns": columns or {},
    }


def compared(base: str, head: str, **former: str) -> TableComparison:
    with duckdb.connect() as con:
        return compare_relations(con, "serving.sums", base, head, ["id"], former=former)


def test_a_renamed_column_is_compared_with_what_it_was() -> None:
    found = compared(BASE, HEAD, total="amount")
    assert (found.rows.identical, found.rows.changed) == (4, 0)
    assert found.schema_changes.renamed == {"total": "amount"}
    assert (found.schema_changes.added, found.schema_changes.removed) == ({}, {})
    (one,) = found.differences
    assert (one.kind, one.detail) == (DifferenceKind.COLUMN_RENAMED, "column total was amount")
    assert (found.verdict, one.explained_by) == (Verdict.EXPLAINED, "was in the YAML of the column says so")
    # the other way round, as when an earlier release is head
    assert compared(HEAD, BASE, total="amount").schema_changes.renamed == {"amount": "total"}


def test_a_value_that_changed_with_the_name_is_found() -> None:
    found = compared(BASE, HEAD.replace("i * 2", "i * 3"), total="amount")
    assert found.rows.changed == 3
    assert found.verdict is Verdict.DIFFERENT
    (total,) = (one for one in found.columns if one.name == "total")
    assert (total.compared, total.matching) == (4, 1)


def test_what_is_there_under_both_names_is_not_renamed() -> None:
    both = "(select i as id, i as amount, i as total from range(4) t(i))"
    found = compared(both, HEAD, total="amount")
    assert found.schema_changes.renamed == {}
    assert found.schema_changes.removed.keys() == {"amount"}
    assert renamed_columns({"id"}, {"id", "total"}, {"total": "amount"}) == {}


def test_the_names_before_come_from_the_yaml_of_models() -> None:
    columns = {"total": {"config": {"meta": {"was": "amount"}}}, "id": {"meta": {}}}
    manifest = {
        "nodes": {
            "model.a.sums": node("serving.sums", columns, was="curated.adds"),
            "model.a.days": node("serving.days", was="dates"),
            "model.a.plain": node("serving.plain"),
        }
    }
    assert former_tables(manifest) == {"serving.sums": "curated.adds", "serving.days": "serving.dates"}
    assert policies_of(manifest)["serving.sums"].former == {"total": "amount"}


@pytest.mark.parametrize(
    ("base", "head", "former", "expected"),
    [
        (
            {"s.old": "/w/a/metadata/1.json"},
            {"s.new": "/w/a/metadata/2.json"},
            {},
            {"s.new": ("s.old", False)},
        ),
        ({"s.old": "/w/a/metadata/1.json"}, {"s.new": "/w/b/metadata/2.json"}, {}, {}),
        ({"s.old": "/a"}, {"s.new": "/b"}, {"s.new": "s.old"}, {"s.new": ("s.old", True)}),
        ({"s.new": "/a"}, {"s.old": "/b"}, {"s.new": "s.old"}, {"s.old": ("s.new", True)}),
        ({"s.old": "/a", "s.new": "/b"}, {"s.new": "/b"}, {"s.new": "s.old"}, {}),
        ({"s.old": ""}, {"s.new": ""}, {}, {}),
    ],
    ids=["the same files", "other files", "said", "said, head is older", "both are there", "not known"],
)
def test_tables_are_paired_by_what_models_say_or_by_their_files(
    base: dict[str, str],
    head: dict[str, str],
    former: dict[str, str],
    expected: dict[str, tuple[str, bool]],
) -> None:
    assert renamed_tables(base, head, former) == expected


@pytest.mark.parametrize(("is_said", "verdict"), [(True, Verdict.EXPLAINED), (False, Verdict.DIFFERENT)])
def test_a_new_name_of_a_table_that_no_model_says_is_not_explained(is_said: bool, verdict: Verdict) -> None:
    same = compared(BASE, BASE).model_copy(update={"was": "serving.adds", "was_declared": is_said})
    found = judge(same)
    assert (found.verdict, found.differences[0].detail) == (verdict, "the table was serving.adds")
