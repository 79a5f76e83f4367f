"""Tables that are moved one by one end together, whoever moves them, wherever they are stopped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.iceberg.catalogs.next_step import Action, Position, decide, is_mixture

BASE, STAGED, BEYOND, ELSEWHERE = Position
POSITIONS = st.lists(st.sampled_from(list(Position)), min_size=1, max_size=6).map(
    lambda found: {f"t{number}": position for number, position in enumerate(found)}
)


class Catalog:
    """Tables of one publication, and its records; a move is guarded as a catalog does it."""

    def __init__(self, at: dict[str, Position]) -> None:
        self.at = dict(at)
        self.taken_back = False

    def move(self, action: Action, name: str) -> bool:
        source, to = (BASE, STAGED) if action is Action.FORWARD else (STAGED, BASE)
        if self.at[name] is not source:
            return False
        self.at[name] = to
        return True


class Process:
    """Someone who publishes or heals; one step is one look at the catalog or one move."""

    def __init__(self, catalog: Catalog, *, begin: bool) -> None:
        self.catalog, self.begin = catalog, begin
        self.left: list[tuple[Action, str]] = []
        self.end: Action | None = None

    def step(self) -> None:
        if self.end is not None:
            return
        if self.left:
            if not self.catalog.move(*self.left.pop(0)):
                self.left.clear()
            return
        plan = decide(self.catalog.at, begin=self.begin, going_back=self.catalog.taken_back)
        if plan.is_end:
            self.end = plan.action
            return
        if plan.action is Action.BACK:
            self.catalog.taken_back = True
        self.left = [(plan.action, name) for name in plan.tables]

    def finish(self) -> Action:
        for _ in range(100):
            self.step()
            if self.end is not None:
                return self.end
        raise AssertionError("it does not end")


@given(POSITIONS, st.booleans(), st.booleans())
def test_only_what_nobody_else_moved_is_moved(at: dict[str, Position], begin: bool, going_back: bool) -> None:
    plan = decide(at, begin=begin, going_back=going_back)
    touched = {at[name] for name in plan.tables}
    if plan.action is Action.FORWARD:
        assert touched == {BASE}
        assert ELSEWHERE not in at.values()
    elif plan.action is Action.BACK:
        assert touched == {STAGED}
    elif plan.action is Action.WITHDRAWN:
        assert touched <= {BEYOND}


@given(POSITIONS, st.booleans())
def test_it_ends_and_shows_the_release_whole_or_not_at_all(at: dict[str, Position], begin: bool) -> None:
    catalog = Catalog(at)
    end = Process(catalog, begin=begin).finish()
    shown = {name for name, position in catalog.at.items() if position.shows_release}
    stuck = {name for name, position in at.items() if position is BEYOND}
    assert shown in (set(at), stuck)  # what others committed on top of the release is never taken back
    assert {name: at[name] for name in at if at[name] in (BEYOND, ELSEWHERE)} == {
        name: catalog.at[name] for name in at if at[name] in (BEYOND, ELSEWHERE)
    }
    assert (end is Action.PUBLISHED) == (shown == set(at))
    assert end is not Action.WAITING or at == catalog.at


@given(st.integers(1, 6), st.integers(0, 20), st.booleans(), st.data())
def test_a_process_that_dies_is_healed(tables: int, steps: int, foreign: bool, data: st.DataObject) -> None:
    catalog = Catalog({f"t{number}": BASE for number in range(tables)})
    process = Process(catalog, begin=True)
    for _ in range(steps):
        process.step()
        bases = [name for name, position in catalog.at.items() if position is BASE]
        if foreign and bases and data.draw(st.booleans()):
            catalog.at[data.draw(st.sampled_from(bases))] = ELSEWHERE
            foreign = False
    end = Process(catalog, begin=False).finish()
    assert not is_mixture(catalog.at.values())
    assert (end is Action.PUBLISHED) == (set(catalog.at.values()) == {STAGED})


@given(st.integers(1, 5), st.lists(st.integers(0, 2), max_size=60), st.data())
def test_several_at_once_end_with_the_same(tables: int, turns: list[int], data: st.DataObject) -> None:
    """One publishes, two heal at the same time, and someone else may take a table for good."""
    catalog = Catalog({f"t{number}": BASE for number in range(tables)})
    processes = [Process(catalog, begin=number == 0) for number in range(3)]
    thief = data.draw(st.integers(0, 60))
    for turn, number in enumerate(turns):
        processes[number].step()
        bases = [name for name, position in catalog.at.items() if position is BASE]
        if turn == thief and bases:
            catalog.at[data.draw(st.sampled_from(bases))] = ELSEWHERE
    ends = {process.finish() for process in processes[:1]} | {process.finish() for process in processes[1:]}
    assert not is_mixture(catalog.at.values())
    assert len(ends - {Action.WAITING}) == 1


@pytest.mark.parametrize(
    ("at", "mixed"),
    [
        pytest.param([BASE, BASE], False, id="before"),
        pytest.param([STAGED, BASE], True, id="half"),
        pytest.param([BEYOND, ELSEWHERE], True, id="stuck"),
        pytest.param([STAGED, BEYOND], False, id="after"),
    ],
)
def test_a_mixture(at: list[Position], mixed: bool) -> None:
    assert is_mixture(at) is mixed


def test_tables_are_taken_in_order_and_put_back_in_reverse() -> None:
    forward = decide({"a": STAGED, "b": BASE, "c": BASE}, begin=False)
    assert (forward.action, forward.tables) == (Action.FORWARD, ("b", "c"))
    back = decide({"a": STAGED, "b": STAGED, "c": ELSEWHERE}, begin=False)
    assert (back.action, back.tables) == (Action.BACK, ("b", "a"))
