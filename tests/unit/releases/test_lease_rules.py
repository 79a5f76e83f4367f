"""Who comes first among runs that may publish the same tables, and what a lease is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.releases.lease_rules import EXPIRES, Lease, Standing, next_number, refusal, standing, waits_for

TABLES = ("a", "b", "c")


def lease(run_id: str, number: int = 0, tables: list[str] | None = None) -> Lease:
    return Lease(
        run_id=run_id,
        number=number,
        who="ada",
        host="harbour",
        place="here",
        pid=7,
        process="1",
        since=datetime(2024, 5, 1, 12, tzinfo=UTC),
        tables=tables,
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "shared"),
    [
        (["a", "b"], ["b", "c"], ["b"]),
        (["a"], ["b"], []),
        (["b", "a"], None, ["a", "b"]),
        (None, ["a"], ["a"]),
        (None, None, ["every table"]),
    ],
)
def test_tables_that_two_runs_share(
    mine: list[str] | None, theirs: list[str] | None, shared: list[str]
) -> None:
    assert lease("1", 1, mine).shared(lease("2", 2, theirs)) == shared


@pytest.mark.parametrize(
    ("is_gone", "age", "watched", "expected"),
    [
        (False, 0, 0, Standing.LIVE),
        (False, EXPIRES, EXPIRES, Standing.LIVE),
        (True, 0, 0, Standing.DEAD),
        (False, EXPIRES + 1, 0, Standing.EXPIRED),
        # the store's clock was set back: it is waited for, but not for ever
        (False, -86400, 10, Standing.LIVE),
        (False, -86400, EXPIRES + 1, Standing.EXPIRED),
    ],
)
def test_what_a_lease_is_worth(is_gone: bool, age: float, watched: float, expected: Standing) -> None:
    assert standing(is_gone=is_gone, age=age, watched=watched) is expected


def test_messages_name_who_and_since_when() -> None:
    mine, other = lease("2", 2, ["a", "b", "c", "d"]), lease("1", 1, None)
    who = "run 1 of ada on harbour (process 7), since 2024-05-01 12:00:00 UTC"
    assert waits_for(mine, other) == f"waits for {who}: a, b, c and 1 more are taken"
    assert (
        refusal(mine, [other, lease("3")], "A run in dev")
        .line()
        .startswith(f"A run in dev is refused: a, b, c and 1 more are taken by {who}, and 1 more.")
    )


def test_runs_without_a_common_table_do_not_wait_for_each_other() -> None:
    first, second = lease("1", 1, ["a"]), lease("2", 2, ["b"])
    assert not first.comes_before(second)
    assert first.comes_before(lease("2", 2, ["a"]))
    assert first.comes_before(lease("2", 1, None))  # of equal numbers the lower run id
    assert not lease("2", 1, None).comes_before(first)


@pytest.mark.parametrize(
    ("tables", "asked", "expected"),
    [
        (None, ["a"], True),
        (None, [], False),
        (["a"], ["a", "b"], True),
        (["a"], ["b"], False),
        (["a"], [], False),
    ],
)
def test_a_lease_concerns_who_may_publish_one_of_its_tables(
    tables: list[str] | None, asked: list[str], expected: bool
) -> None:
    assert lease("1", 1, tables).concerns(asked) is expected


@dataclass
class Place:
    """A store with plain writes and listings, and who is at work."""

    leases: dict[str, Lease] = field(default_factory=dict)
    working: dict[str, Lease] = field(default_factory=dict)


def run(place: Place, mine: Lease) -> Iterator[None]:
    """A run, whose every read or write is a step of its own."""
    place.leases[mine.run_id] = mine
    yield
    visible = [other for other in place.leases.values() if other.run_id != mine.run_id]
    yield
    mine = mine.model_copy(update={"number": next_number(visible)})
    yield
    place.leases[mine.run_id] = mine
    yield
    while any(other.comes_before(mine) for other in place.leases.values() if other.run_id != mine.run_id):
        yield
    assert not [other for other in place.working.values() if other.shared(mine)], "two at once"
    place.working[mine.run_id] = mine
    yield
    del place.working[mine.run_id]
    yield
    del place.leases[mine.run_id]


@given(
    st.lists(st.none() | st.lists(st.sampled_from(TABLES), min_size=1, unique=True), min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 8)), max_size=16),
    st.permutations(range(4)),
)
def test_runs_on_the_same_tables_are_never_at_work_at_once_and_all_come_to_their_end(
    selections: list[list[str] | None], turns: list[tuple[int, int]], names: list[int]
) -> None:
    """``turns``: which run goes on, and for how many steps; then all in turn."""
    place = Place()
    runs = [run(place, lease(str(name), 0, tables)) for name, tables in zip(names, selections, strict=False)]
    order = [at for at, steps in turns for _ in range(steps)]
    ended: set[int] = set()
    for at in [*order, *list(range(len(runs))) * 40]:
        if at < len(runs) and at not in ended and next(runs[at], "end") == "end":
            ended.add(at)
    assert len(ended) == len(runs)
    assert place.leases == {}
