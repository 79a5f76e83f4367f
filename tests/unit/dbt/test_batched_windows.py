"""In which windows of event time all rows of a microbatch table are of one code, against rows that know it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from slipway.engines.duckdb.batches import BatchedTable, Window
from slipway.engines.duckdb.request import Remade
from slipway.records.node_results import Definition
from slipway.releases.table_state import DEFINITIONS, TableState
from slipway.runs.run_candidate import BatchedModel

FIRST = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
CODES = [Definition(key=letter * 32) for letter in "abc"]
# code, first day, number of days, and whether all rows of the window are replaced
BATCHES = st.lists(
    st.tuples(st.sampled_from(CODES), st.integers(0, 7), st.integers(1, 4), st.booleans()), max_size=12
)


def window(start: int, days: int) -> Window:
    return Window("at", FIRST + dt.timedelta(days=start), FIRST + dt.timedelta(days=start + days))


def batched(code: Definition, before: TableState, column: str = "at") -> BatchedModel:
    state = TableState(definition=code, made_by=tuple(CODES), windows=before.windows)
    return BatchedModel(cast(BatchedTable, None), state, column=column)


@given(BATCHES)
def test_windows_are_of_the_code_that_made_all_rows_in_them(
    batches: list[tuple[Definition, int, int, bool]],
) -> None:
    days: list[set[str | None]] = [{None} for _ in range(11)]  # code of rows of each day, None for unknown
    state = TableState()
    for code, start, length, whole in batches:
        model = batched(code, state)
        model.built(window(start, length), whole=whole)
        state = model.state
        for day in range(start, start + length):
            days[day] = ({None} if not whole else set()) | {code.key}
    for code in CODES:
        held: set[int] = set()
        for day in range(11):
            moment, _ = window(day, 1).span
            if any(low <= moment < high for low, high in state.windows.get(f"{code.key}/at", ())):
                held.add(day)
        assert held == {day for day in range(11) if days[day] == {code.key}}


def test_windows_are_remembered() -> None:
    spans = (("2024-01-01T00:00:00", "2024-01-03T00:00:00"),)
    state = TableState(definition=CODES[0], made_by=tuple(CODES[:1]), windows={CODES[0].key: spans})
    message: dict[str, Any] = json.loads(state.summary()[DEFINITIONS])
    assert message["windows"] == {CODES[0].key: [list(spans[0])]}


def test_windows_of_another_event_time_are_forgotten() -> None:
    first = batched(CODES[0], TableState())
    first.built(window(0, 9), whole=True)
    other = batched(CODES[1], first.state, "seen")
    other.built(window(4, 1), whole=True)
    again = batched(CODES[0], other.state)
    again.built(window(0, 1), whole=True)
    assert again.state.windows == {f"{CODES[0].key}/at": (window(0, 1).span,)}


def test_windows_go_with_the_last_row_of_their_code() -> None:
    state = TableState(definition=CODES[1], made_by=(CODES[0],), windows={f"{CODES[0].key}/at": ()})
    assert state.after(Remade.SOME).windows == state.windows
    assert state.after(Remade.ALL).windows == {}
