from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.comparison.policy import ExpectedChange
from slipway.comparison.results import (
    ColumnComparison,
    Coverage,
    DifferenceKind,
    Method,
    RowCounts,
    SchemaChanges,
    Side,
    TableComparison,
    TypeChange,
    Verdict,
    judge,
    not_compared,
    passed,
)

KEYED = Coverage(method=Method.KEY, key=("id",), columns=("id", "price"))


def column(name: str, *, matching: int, within: int = 0, compared: int = 10) -> ColumnComparison:
    return ColumnComparison(
        name=name, type="DOUBLE", compared=compared, matching=matching, within_tolerance=within
    )


def table(
    *,
    rows: RowCounts | None = None,
    columns: tuple[ColumnComparison, ...] = (),
    schema: SchemaChanges | None = None,
    coverage: Coverage = KEYED,
) -> TableComparison:
    return TableComparison(
        name="serving.prices",
        coverage=coverage,
        base=Side(rows=10),
        head=Side(rows=10),
        rows=rows or RowCounts(identical=10),
        columns=columns,
        schema_changes=schema or SchemaChanges(),
    )


CHANGED = table(rows=RowCounts(changed=2, identical=8), columns=(column("price", matching=8),))
ADDED = table(rows=RowCounts(added=1, identical=9))
REMOVED = table(rows=RowCounts(removed=1, identical=9))
NEW_COLUMN = table(schema=SchemaChanges(added={"price": "DOUBLE"}))
LOST_COLUMN = table(schema=SchemaChanges(removed={"price": "DOUBLE"}))
NEW_TYPE = table(
    schema=SchemaChanges(type_changed=(TypeChange(column="price", base="FLOAT", head="DOUBLE"),))
)
NEW_TABLE = not_compared("serving.prices", "only head has the table").model_copy(
    update={"base": Side(exists=False), "head": Side(rows=3)}
)
LOST_TABLE = not_compared("serving.prices", "only base has the table").model_copy(
    update={"base": Side(rows=3), "head": Side(exists=False)}
)
EVERY_DIFFERENCE = [
    pytest.param(CHANGED, DifferenceKind.VALUES_CHANGED, id="values"),
    pytest.param(ADDED, DifferenceKind.ROWS_ADDED, id="rows-added"),
    pytest.param(REMOVED, DifferenceKind.ROWS_REMOVED, id="rows-removed"),
    pytest.param(NEW_COLUMN, DifferenceKind.COLUMN_ADDED, id="column-added"),
    pytest.param(LOST_COLUMN, DifferenceKind.COLUMN_REMOVED, id="column-removed"),
    pytest.param(NEW_TYPE, DifferenceKind.TYPE_CHANGED, id="type-changed"),
    pytest.param(NEW_TABLE, DifferenceKind.TABLE_ADDED, id="table-added"),
    pytest.param(LOST_TABLE, DifferenceKind.TABLE_REMOVED, id="table-removed"),
]


@pytest.mark.parametrize(("facts", "kind"), EVERY_DIFFERENCE)
def test_every_difference_fails_unless_declared(facts: TableComparison, kind: DifferenceKind) -> None:
    judged = judge(facts)
    assert judged.verdict is Verdict.DIFFERENT
    assert [difference.kind for difference in judged.differences] == [kind]
    assert not passed([judged])


@pytest.mark.parametrize(("facts", "kind"), EVERY_DIFFERENCE)
def test_a_whole_table_declaration_explains_every_difference(
    facts: TableComparison, kind: DifferenceKind
) -> None:
    judged = judge(facts, [ExpectedChange(reason="rebuilt")])
    assert judged.verdict is Verdict.EXPLAINED
    assert [(found.kind, found.explained_by) for found in judged.differences] == [(kind, "rebuilt")]
    assert passed([judged])


@pytest.mark.parametrize(
    ("facts", "change", "verdict"),
    [
        pytest.param(CHANGED, {"columns": ("price",)}, Verdict.EXPLAINED, id="values-by-column"),
        pytest.param(CHANGED, {"columns": ("PRICE",)}, Verdict.EXPLAINED, id="names-in-any-case"),
        pytest.param(CHANGED, {"columns": ("other",)}, Verdict.DIFFERENT, id="values-by-other-column"),
        pytest.param(CHANGED, {"rows": ("added", "removed")}, Verdict.DIFFERENT, id="values-by-rows"),
        pytest.param(NEW_COLUMN, {"columns": ("price",)}, Verdict.EXPLAINED, id="new-column-by-column"),
        pytest.param(LOST_COLUMN, {"columns": ("price",)}, Verdict.EXPLAINED, id="lost-column-by-column"),
        pytest.param(NEW_TYPE, {"columns": ("price",)}, Verdict.EXPLAINED, id="type-by-column"),
        pytest.param(ADDED, {"rows": ("added",)}, Verdict.EXPLAINED, id="added-by-rows"),
        pytest.param(ADDED, {"rows": ("removed",)}, Verdict.DIFFERENT, id="added-by-removed"),
        pytest.param(ADDED, {"columns": ("price",)}, Verdict.DIFFERENT, id="added-by-column"),
        pytest.param(NEW_TABLE, {"rows": ("added",)}, Verdict.DIFFERENT, id="new-table-by-rows"),
        pytest.param(NEW_TABLE, {"columns": ("price",)}, Verdict.DIFFERENT, id="new-table-by-column"),
    ],
)
def test_a_declaration_covers_what_it_names(
    facts: TableComparison, change: dict[str, tuple[str, ...]], verdict: Verdict
) -> None:
    expected = ExpectedChange.model_validate({"reason": "declared", **change})
    assert judge(facts, [expected]).verdict is verdict


def test_identical_and_within_tolerance() -> None:
    assert judge(table()).verdict is Verdict.IDENTICAL
    tolerated = table(
        rows=RowCounts(within_tolerance=2, identical=8), columns=(column("price", matching=8, within=2),)
    )
    assert judge(tolerated).verdict is Verdict.WITHIN_TOLERANCE
    assert passed([judge(table()), judge(tolerated)])


def test_one_unexplained_difference_outweighs_explained_ones() -> None:
    facts = table(rows=RowCounts(added=1, changed=2, identical=8), columns=(column("price", matching=8),))
    judged = judge(facts, [ExpectedChange(reason="new rule", columns=("price",))])
    assert judged.verdict is Verdict.DIFFERENT
    assert {found.kind: found.explained_by for found in judged.differences} == {
        DifferenceKind.ROWS_ADDED: None,
        DifferenceKind.VALUES_CHANGED: "new rule",
    }


def test_a_declaration_that_ran_out_explains_nothing_and_is_named() -> None:
    change = ExpectedChange(reason="new rule", columns=("price",), until=date(2011, 9, 1))
    late = judge(CHANGED, [change], today=date(2011, 9, 2))
    assert late.verdict is Verdict.DIFFERENT
    assert late.notes == ("the expected change counted until 2011-09-01 only: new rule",)
    assert judge(CHANGED, [change], today=date(2011, 9, 1)).verdict is Verdict.EXPLAINED


def test_a_declared_change_that_did_not_happen_is_named_but_passes() -> None:
    judged = judge(table(), [ExpectedChange(reason="new rule", columns=("price",))])
    assert judged.verdict is Verdict.IDENTICAL
    assert judged.notes == ("the expected change did not happen: new rule",)


def test_what_was_not_compared_never_passes() -> None:
    broken = not_compared("serving.prices", "the query failed")
    assert judge(broken, [ExpectedChange(reason="whatever")]).verdict is Verdict.NOT_COMPARED
    assert not passed([judge(table()), judge(broken)])
    assert not passed([])


def test_rows_that_could_not_be_compared_need_the_whole_table_declared() -> None:
    facts = table(
        schema=SchemaChanges(added={"a": "DATE"}, removed={"b": "DATE"}),
        coverage=Coverage(method=Method.NONE, notes=("no column is left to compare",)),
    )
    by_column = judge(facts, [ExpectedChange(reason="renamed", columns=("a", "b"))])
    assert by_column.verdict is Verdict.DIFFERENT
    unexplained = [found for found in by_column.differences if found.explained_by is None]
    assert [found.kind for found in unexplained] == [DifferenceKind.ROWS_NOT_COMPARED]
    assert judge(facts, [ExpectedChange(reason="renamed")]).verdict is Verdict.EXPLAINED


@pytest.mark.parametrize(("facts", "kind"), [(ADDED, "added"), (REMOVED, "removed")])
def test_rows_that_are_declared_to_come_are_not_declared_to_go(facts: TableComparison, kind: str) -> None:
    for declared in ("added", "removed"):
        judged = judge(facts, [ExpectedChange(reason="new rule", rows=(declared,))])
        assert judged.verdict is (Verdict.EXPLAINED if declared == kind else Verdict.DIFFERENT)


def test_without_a_key_columns_are_statistics_and_rows_decide() -> None:
    whole_rows = Coverage(method=Method.MULTISET, columns=("price",))
    same = table(coverage=whole_rows, columns=(column("price", matching=10),))
    assert judge(same).verdict is Verdict.IDENTICAL
    changed = table(
        coverage=whole_rows,
        rows=RowCounts(added=1, removed=1, identical=9),
        columns=(column("price", matching=9),),
    )
    kinds = [found.kind for found in judge(changed).differences]
    assert kinds == [DifferenceKind.ROWS_ADDED, DifferenceKind.ROWS_REMOVED]


facts = st.sampled_from(
    [CHANGED, ADDED, REMOVED, NEW_COLUMN, LOST_COLUMN, NEW_TYPE, NEW_TABLE, LOST_TABLE, table()]
)
changes = st.lists(
    st.builds(
        ExpectedChange,
        reason=st.just("declared"),
        columns=st.sampled_from([None, ("price",), ("other",)]),
        rows=st.sampled_from([None, ("added",), ("removed",)]),
        until=st.sampled_from([None, date(2011, 1, 1), date(2011, 12, 31)]),
    ),
    max_size=4,
)


@given(facts=facts, declared=changes, more=changes)
def test_declaring_more_never_makes_a_table_fail(
    facts: TableComparison, declared: list[ExpectedChange], more: list[ExpectedChange]
) -> None:
    today = date(2011, 6, 1)
    if passed([judge(facts, declared, today=today)]):
        assert passed([judge(facts, [*declared, *more], today=today)])


@given(facts=facts, declared=changes)
def test_judging_is_idempotent(facts: TableComparison, declared: list[ExpectedChange]) -> None:
    once = judge(facts, declared, today=date(2011, 6, 1))
    assert judge(once, declared, today=date(2011, 6, 1)) == once


EMPTY = table(rows=RowCounts()).model_copy(update={"base": Side(rows=0), "head": Side(rows=0)})


def test_nothing_on_both_sides_is_no_evidence() -> None:
    empty = judge(EMPTY)
    assert empty.verdict is Verdict.NO_EVIDENCE
    assert not passed([empty])
    assert not passed([empty, empty])
    assert passed([empty, judge(table())])


def test_a_missing_side_is_never_green_by_itself() -> None:
    side = {"base": Side(exists=False), "head": Side(rows=0)}
    new = judge(not_compared("serving.new", "only head has the table").model_copy(update=side))
    assert new.verdict is Verdict.DIFFERENT
    declared = judge(
        not_compared("serving.new", "only head has the table").model_copy(update=side),
        [ExpectedChange(reason="it is new")],
    )
    assert declared.verdict is Verdict.EXPLAINED
    assert not passed([declared])  # nor is a new table without a row
    with_rows = declared.model_copy(update={"head": Side(rows=3)})
    assert passed([with_rows])


def test_a_declared_column_of_an_empty_table_is_no_evidence() -> None:
    changed = EMPTY.model_copy(update={"schema_changes": SchemaChanges(added={"price": "DOUBLE"})})
    judged = judge(changed, [ExpectedChange(reason="a price", columns=("price",))])
    assert judged.verdict is Verdict.EXPLAINED
    assert not passed([judged])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=5))
def test_a_run_passes_only_on_rows(counts: list[tuple[int, int]]) -> None:
    """Whatever is compared: without a row on either side of any table, it did not pass."""
    judged = [
        judge(
            table(
                rows=RowCounts(
                    identical=min(base, head), added=max(head - base, 0), removed=max(base - head, 0)
                )
            ).model_copy(update={"base": Side(rows=base), "head": Side(rows=head)})
        )
        for base, head in counts
    ]
    assert passed(judged) == (any(base for base, _ in counts) and all(base == head for base, head in counts))
