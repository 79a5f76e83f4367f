"""Which code made the rows of a table, against a table whose rows know it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slipway.records.node_results import Definition
from slipway.releases.table_state import UNRECORDED, made_by_after, others, why_stale

CODES = [Definition(key=letter * 32, commit=letter * 40, run_id=f"run-{letter}") for letter in "abc"]
# what a write does: replaces every row, adds one, changes nothing
WRITES = st.lists(st.tuples(st.sampled_from(CODES), st.sampled_from(["all", "add", "none"])), max_size=30)


@given(WRITES)
def test_a_table_is_stale_exactly_while_it_has_rows_of_other_code(
    writes: list[tuple[Definition, str]],
) -> None:
    made_by: tuple[Definition, ...] = ()
    rows: list[str] = []
    for code, what in writes:
        rows = {"all": [code.key], "add": [*rows, code.key], "none": rows}[what]
        made_by = made_by_after(made_by, code, all_rows=what == "all", any_rows=what != "none")
        assert {one.key for one in made_by} == set(rows)
        for present in CODES:
            assert bool(others(made_by, present.key)) == any(row != present.key for row in rows)


def test_many_changes_are_not_all_remembered_and_never_clean() -> None:
    made_by: tuple[Definition, ...] = ()
    codes = [Definition(key=f"{number:032}") for number in range(50)]
    for code in codes:
        made_by = made_by_after(made_by, code, all_rows=False, any_rows=True)
        assert len(made_by) <= 12
    assert made_by[0] == codes[0]
    assert made_by[-1] == codes[-1]
    assert all(others(made_by, code.key) for code in codes)


def test_why() -> None:
    assert why_stale([]) == ""
    assert why_stale([UNRECORDED]) == "it is not recorded which code made its rows"
    message = why_stale([UNRECORDED, CODES[0], CODES[1].model_copy(update={"dirty": True})])
    assert "commit aaaaaaaaaaaa (run run-a, definition aaaaaaaa)" in message
    assert "commit bbbbbbbbbbbb with uncommitted changes" in message
    assert message.endswith("and others by code that is not recorded")
