"""Whatever happened before, maintenance takes nothing away that somebody may still open; and it takes the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.maintenance.world import FLOOR, TABLES, World

from slipway.errors import UsageError
from slipway.maintenance.retention import Retention
from slipway.maintenance.steps import Compact, Delete, Expire, chosen
from slipway.records.release_records import Release
from slipway.records.run_manifest import Outcome

SOME = st.sets(st.sampled_from(TABLES), min_size=1)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 200)),
        st.tuples(st.just("publish"), SOME, st.booleans(), st.booleans()),
        st.tuples(st.just("stage"), SOME),
        st.tuples(st.just("fail"), SOME),
        st.tuples(st.just("approve")),
        st.tuples(st.just("roll back"), st.integers(0, 30)),
        st.tuples(st.just("read")),
        st.tuples(st.just("maintain"), st.none() | st.integers(0, 4)),
    ),
    max_size=25,
)
POLICIES = st.builds(Retention, days=st.sampled_from([0, 1, 5, 30]), releases=st.integers(1, 4))


def happen(world: World, event: tuple[object, ...]) -> None:
    match event:
        case ("wait", int() as hours):
            world.wait(hours)
        case ("publish", set() as tables, bool() as append, bool() as clean):
            world.run(tables, Outcome.PUBLISHED, append=append, clean=clean)
        case ("stage", set() as tables):
            world.run(tables, Outcome.STAGED)
        case ("fail", set() as tables):
            world.run(tables, Outcome.FAILED)
        case ("approve",):
            if any(one.outcome is Outcome.STAGED for one in world.candidates):
                world.approve()
        case ("roll back", int() as which):
            world.roll_back(which)
        case ("read",):
            world.read()
        case ("maintain", steps):
            before = dict(world.current)
            world.maintain(steps)  # type: ignore[arg-type]
            check(world, before)
    world.wait(1)


def check(world: World, before: dict[str, str]) -> None:
    """What must be there, decided without the code that decides it."""
    period = timedelta(days=world.policy.days)
    needed = {path for location in world.current.values() for path in world.needs(location)}
    released = {state.metadata_location for one in world.releases for state in one.tables.values()}
    for began, location in world.readers:
        if world.now - began <= FLOOR and (world.logs or location in released):
            needed |= world.needs(location)
    for release in window(world, period):
        needed |= shows(world, release)
        for name, state in release.tables.items():
            assert state.snapshot_id in world.metadata[world.current[name]].snapshots
    for run in world.runs:
        if world.now - run.started_at <= period:
            for read in run.inputs.values():
                needed |= world.needs(read.metadata_location, read.snapshot_id)
    for one in world.candidates:
        if one.base == before.get(one.table) and world.now - one.started_at <= max(period, FLOOR):
            unmoved = one.base == world.current.get(one.table)
            assert unmoved or one.outcome is not Outcome.STAGED, "it could have been published"
            needed |= world.needs(one.state.metadata_location)
    assert needed <= world.objects.keys()


def window(world: World, period: timedelta) -> list[Release]:
    """Releases that rollback reaches: a rollback counts as the release that it shows again."""
    shown = list(dict.fromkeys(one.returns_to or one.number for one in reversed(world.releases)))
    newest = shown[: world.policy.releases]
    ends = [one.published_at for one in world.releases[1:]] + [world.now]
    return [
        one
        for one, end in zip(world.releases, ends, strict=False)
        if (one.returns_to or one.number) in newest or one.number in newest or world.now - end <= period
    ]


def shows(world: World, release: Release) -> set[str]:
    states = release.tables.values()
    return {path for one in states for path in world.needs(one.metadata_location, one.snapshot_id)}


@given(POLICIES, st.booleans(), EVENTS)
def test_nothing_that_is_needed_goes(policy: Retention, logs: bool, events: list[tuple[object, ...]]) -> None:
    world = World(policy, logs)
    for event in events:
        happen(world, event)
    before = dict(world.current)
    world.maintain()
    check(world, before)


@given(POLICIES, EVENTS)
def test_a_second_call_finds_nothing_more_to_commit(
    policy: Retention, events: list[tuple[object, ...]]
) -> None:
    world = World(policy)
    for event in events:
        happen(world, event)
    world.maintain()
    again = world.maintain()
    assert [step for step in again.steps if not isinstance(step, Delete)] == []


@given(EVENTS)
def test_in_the_end_only_the_window_is_left(events: list[tuple[object, ...]]) -> None:
    world = World(Retention(days=5, releases=1))
    for event in events:
        happen(world, event)
    for _ in range(3):  # what expires now is removed by a later call
        world.wait(24 * 40)
        world.maintain()
    wanted = {path for location in world.current.values() for path in world.needs(location)}
    assert set(world.objects) == wanted.union(*(shows(world, one) for one in window(world, timedelta())))


def compacted(policy: Retention) -> World:
    """A table of one file that five releases wrote, at metadata that no release names."""
    world = World(policy)
    for _ in range(5):
        world.run(["raw.a"], Outcome.PUBLISHED)
        world.wait(1)
    assert [type(step) for step in world.maintain().steps][:1] == [Compact]
    return world


def test_a_replay_reads_what_no_release_shows() -> None:
    world = compacted(Retention(days=30, releases=1))
    world.wait(1)
    world.run(["serving.b"], Outcome.STAGED)
    read, made = world.runs[-1].inputs["raw.a"], world.runs[-1].made["serving.b"]
    world.wait(24 * 7)
    world.run(TABLES, Outcome.PUBLISHED, append=False)
    world.wait(24 * 20)
    world.maintain()
    world.wait(24)
    world.maintain()
    assert world.needs(read.metadata_location, read.snapshot_id) <= world.objects.keys()
    assert (
        world.needs(made.metadata_location, made.snapshot_id) <= world.objects.keys()
    )  # a comparison reads them
    world.wait(24 * 10)
    world.maintain()
    assert read.metadata_location not in world.objects
    assert made.metadata_location not in world.objects


@pytest.mark.parametrize("late", [False, True], ids=["at once", "staged days before"])
def test_a_reader_of_what_was_named_until_now(late: bool) -> None:
    world = compacted(Retention(days=0, releases=1))
    world.wait(24 * 5)
    world.readers.clear()
    if late:
        world.run(["raw.a"], Outcome.STAGED, append=False)
        world.wait(24 * 2)
        world.policy = Retention(days=30, releases=1)
        world.maintain()
        world.policy = Retention(days=0, releases=1)
        world.wait(24 * 2)
    world.read()
    if late:
        world.approve()
    else:
        world.run(["raw.a"], Outcome.PUBLISHED, append=False)
    world.wait(71)
    before = dict(world.current)
    world.maintain()
    check(world, before)
    ((_, read),) = world.readers
    world.wait(2)
    world.maintain()
    assert read not in world.objects


def test_what_was_shown_when_the_window_began_can_be_shown_again() -> None:
    world = World(Retention(days=5, releases=1))
    world.run(TABLES, Outcome.PUBLISHED, clean=False)
    world.wait(24 * 20)
    world.run(TABLES, Outcome.PUBLISHED, append=False, clean=False)
    world.wait(24 * 4)
    found = world.maintain()
    assert found.reach.release == world.releases[0]
    check(world, dict(world.current))
    world.wait(24 * 2)
    assert world.maintain().reach.release == world.releases[1]


def test_a_reader_of_a_table_that_does_not_tell_what_was_named_before() -> None:
    world = World(Retention(days=0, releases=1), logs=False)
    for _ in range(3):
        world.run(["raw.a"], Outcome.PUBLISHED, append=False, clean=False)
    world.wait(24 * 5)
    world.read()
    world.run(["raw.a"], Outcome.PUBLISHED, append=False, clean=False)
    for _ in range(2):
        world.wait(24)
        world.maintain()
        check(world, dict(world.current))


def test_a_table_that_a_run_is_staged_on_is_left_where_it_is() -> None:
    world = World(Retention(days=5, releases=1))
    for _ in range(6):
        world.run(["raw.a"], Outcome.PUBLISHED)
        world.wait(24 * 10)
    world.run(["raw.a", "serving.b"], Outcome.STAGED)
    world.wait(24 * 4)
    found = world.maintain()
    check(world, dict(world.current))
    assert [type(step) for step in found.steps] == [Delete]
    assert [left.why for left in found.left] == [
        f"run {world.candidates[-1].run_id} is staged on it: publish that first"
    ]
    world.wait(24 * 2)  # it is not going to be published any more
    assert [type(step) for step in world.maintain().steps][:2] == [Compact, Expire]


def test_a_run_that_builds_is_not_refused_for_the_sake_of_order() -> None:
    world = World(Retention(days=0, releases=1))
    for _ in range(6):
        world.run(["raw.a"], Outcome.PUBLISHED)
        world.wait(24 * 10)
    world.run(["raw.a"], None)
    world.wait(48)
    assert [left.why for left in world.maintain().left] == [f"run {world.candidates[-1].run_id} builds on it"]
    world.wait(30)  # it was killed
    assert world.maintain().left == []


def test_a_snapshot_of_another_program_is_kept_for_its_days() -> None:
    world = compacted(Retention(days=10, releases=1))
    world.runs.clear()
    snapshot = world.metadata[world.current["raw.a"]].snapshot_id  # as little in a release as one of others
    world.wait(24)
    world.run(["raw.a"], Outcome.PUBLISHED, clean=False)
    world.wait(24 * 8)
    world.maintain()
    assert snapshot in world.metadata[world.current["raw.a"]].snapshots
    world.wait(24 * 3)
    world.maintain()
    assert snapshot not in world.metadata[world.current["raw.a"]].snapshots


def test_steps_of_a_year_of_days() -> None:
    world = World(Retention(days=10, releases=3))
    for _ in range(30):
        world.run(TABLES, Outcome.PUBLISHED)
        world.wait(24)
    found = world.maintain()
    assert [type(step) for step in found.steps] == [Compact, Expire, Compact, Expire, Delete, Delete]
    (first, expire, *_, last) = found.steps
    assert isinstance(last, Delete)
    assert all(one.is_metadata for one in last.objects)  # what a snapshot of today's metadata names stays
    assert isinstance(first, Compact)
    assert isinstance(expire, Expire)
    assert sorted(len(one.files) for one in first.bins) == [10, 10, 10]
    assert (
        len(expire.snapshots) == len(expire.tags) == 19
    )  # 10 days, and the release that was shown when they began
    assert found.reach.release == world.releases[19]
    assert found.reach.run == world.runs[20]
    world.wait(24 * 4)
    later = world.maintain()
    removed = [step for step in later.steps if isinstance(step, Delete)]
    assert {step.table for step in removed} == set(TABLES)
    assert later.size == sum(step.size for step in removed) > 0


def test_selection() -> None:
    assert chosen(TABLES, []) == sorted(TABLES)
    assert chosen(TABLES, ["raw.*"]) == ["raw.a"]
    with pytest.raises(UsageError, match=r"--select nothing\.\*: no table has that name"):
        chosen(TABLES, ["raw.a", "nothing.*"])
