from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness import records
from tests.harness.records import released

from slipway.errors import ConflictError, NotFoundError, UsageError
from slipway.records.release_records import Release, ReleasedTable
from slipway.releases.rollback_rules import Exposure, affected, goal_of, plan


def table(snapshot: int, schema_id: int = 0) -> ReleasedTable:
    return released(
        str(snapshot), f"{snapshot}-{schema_id}.metadata.json", schema_id=schema_id, rows=snapshot
    )


def release(number: int, returns_to: int | None = None, **tables: int) -> Release:
    found = {f"layer.{name}": table(snapshot) for name, snapshot in tables.items()}
    return records.release(number, found, returns_to=returns_to)


def goals(*releases: Release) -> int:
    """The number of the release that a rollback shows; a release without tables gets one that no other has."""
    unlike = [
        one if one.tables else one.model_copy(update={"tables": {"t": table(one.returns_to or one.number)}})
        for one in releases
    ]
    return goal_of(unlike, None).number


def test_the_release_before() -> None:
    assert goals(release(1), release(4)) == 1
    assert goals(release(1), release(4), release(5)) == 4


def test_again_goes_further_back() -> None:
    assert goals(release(1), release(2), release(3), release(4, returns_to=2)) == 1


def test_after_going_forward_the_release_before_is_the_one_before_it() -> None:
    assert goals(release(1), release(2), release(3, returns_to=1), release(4, returns_to=2)) == 1


def test_after_a_new_release_on_top_of_a_rollback() -> None:
    # what release 2 brought is withdrawn: the release before 4 showed what release 1 did
    assert goals(release(1), release(2), release(3, returns_to=1), release(4)) == 1


def test_what_shows_the_same_is_passed_over() -> None:
    """As after a run with --force, of which every table has the content that it had."""
    assert goals(release(1, a=1), release(2, a=2), release(3, a=2), release(4, a=2)) == 1
    assert goals(release(1, a=1), release(2, a=1), release(3, a=2)) == 2
    narrow, wide = release(1), release(2)
    narrow.tables["layer.a"], wide.tables["layer.a"] = table(1), table(1, schema_id=1)
    assert goal_of([narrow, wide], None) == narrow
    with pytest.raises(NotFoundError, match="no release before 2 shows other content"):
        goal_of([release(1, a=1), release(2, a=1)], None)


@pytest.mark.parametrize("releases", [[], [release(1)], [release(1), release(2), release(3, returns_to=1)]])
def test_nothing_before(releases: list[Release]) -> None:
    with pytest.raises(NotFoundError, match="Nothing to roll back"):
        goal_of(releases, None)


def test_a_release_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="no release 9: the last ones are 1, 2"):
        goal_of([release(1), release(2)], 9)


def test_tables_move_and_new_ones_are_emptied() -> None:
    releases = [release(1, a=1, b=2), release(2, a=1, b=4, new=5)]
    steps = plan(releases, releases[1].tables, releases[0])
    assert [(step.table, step.after) for step in steps] == [("layer.b", table(2)), ("layer.new", None)]


def test_a_table_that_the_catalog_does_not_name_comes_back_from_its_newest_record() -> None:
    releases = [release(1, a=1), release(2, a=2), release(3)]
    releases[2].retired["layer.a"] = "2-0-compacted.metadata.json"
    (step,) = plan(releases, {}, releases[0])
    assert (step.before, step.after) == (None, table(1))
    assert step.sources == ["2-0-compacted.metadata.json", "2-0.metadata.json", "1-0.metadata.json"]


def test_a_table_that_was_retired_before_a_release_is_retired_again() -> None:
    releases = [release(1, a=1, b=1), release(2, a=1), release(3, a=1, b=1)]
    (step,) = plan(releases, releases[2].tables, releases[1])
    assert (step.table, step.after, step.retires) == ("layer.b", None, True)


def at(name: str, folder: str) -> Release:
    """A release of one table whose files are in a folder, which is that of its first name."""
    found = table(1).model_copy(update={"metadata_location": f"{folder}/metadata/{name}.metadata.json"})
    number = 1 if name == folder else 2
    return release(number).model_copy(update={"tables": {f"layer.{name}": found}})


@pytest.mark.parametrize("only", [(), ["layer.old"], ["layer.new"]], ids=["all", "old", "new"])
def test_a_renamed_table_has_one_name_at_a_time(only: list[str]) -> None:
    releases = [at("old", "old"), at("new", "old")]
    new, old = plan(releases, releases[1].tables, releases[0], only)
    assert (new.table, new.retires, old.table, old.before) == ("layer.new", True, "layer.old", None)
    # what the new name was last is where the old one comes back from
    assert old.sources[0] == releases[1].tables["layer.new"].metadata_location
    new, old = plan(releases, releases[0].tables, releases[1], only)
    assert (new.table, new.before, old.table, old.retires) == ("layer.new", None, "layer.old", True)


def test_a_difference_only_in_the_schema_moves_a_table() -> None:
    first, second = release(1, a=1), release(2)
    second = second.model_copy(update={"tables": {"layer.a": table(1, schema_id=1)}})
    (step,) = plan([first, second], second.tables, first)
    assert step.after == first.tables["layer.a"]


def test_a_foreign_commit_is_not_hidden() -> None:
    releases = [release(1, a=1, b=1), release(2, a=2, b=2)]
    now = {**releases[1].tables, "layer.a": table(77)}
    with pytest.raises(ConflictError, match=r"layer\.a cannot be rolled back: its current snapshot 77"):
        plan(releases, now, releases[0])
    assert [step.table for step in plan(releases, now, releases[0], ["layer.b"])] == ["layer.b"]


def test_tables_that_no_release_changed_are_of_others() -> None:
    other = table(7).model_copy(update={"changed": False, "run_id": None})
    releases = [release(1, a=1), release(2, a=2)]
    releases[1].tables["layer.other"] = other
    now = {**releases[1].tables, "layer.other": other, "layer.more": other}
    assert [step.table for step in plan(releases, now, releases[0])] == ["layer.a"]
    with pytest.raises(UsageError, match="no table of a release has that name"):
        plan(releases, now, releases[0], ["layer.other"])


def test_a_pattern_that_names_nothing() -> None:
    releases = [release(1, a=1), release(2, a=2)]
    with pytest.raises(UsageError, match=r"--select serving\.\*: no table of a release has that name"):
        plan(releases, releases[1].tables, releases[0], ["serving.*"])


cuts = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), max_size=4), min_size=2, max_size=5
)


@given(cuts, st.data())
def test_after_the_steps_readers_see_the_release(found: list[dict[str, int]], data: st.DataObject) -> None:
    # a table that a release does not have any more was retired by it
    releases = [release(number, **tables) for number, tables in enumerate(found, start=1)]
    goal = data.draw(st.sampled_from(releases))
    now = dict(releases[-1].tables)
    for step in plan(releases, releases[-1].tables, goal):
        assert step.before == now.get(step.table)
        if step.retires:
            del now[step.table]
        else:
            now[step.table] = step.after or table(0)
    assert {name: state for name, state in now.items() if state.rows} == dict(goal.tables)
    assert plan(releases, now, goal) == []


def test_who_reads_a_table_reads_it_through_models_that_are_none() -> None:
    def node(kind: str, *reads: str, alias: str | None = None) -> dict[str, object]:
        return {
            "schema": "layer",
            "name": "n",
            "alias": alias,
            "config": {"materialized": kind},
            "depends_on": {"nodes": reads},
        }

    def exposure(called: str, *reads: str, **owner: str) -> dict[str, object]:
        return {
            "name": called,
            "type": "dashboard",
            "owner": owner,
            "depends_on": {"nodes": ["source.x", *reads]},
        }

    manifest = {
        "nodes": {
            "a": node("table", alias="a"),
            "b": node("table", "a", alias="b"),
            "view": node("view", "inline"),
            "inline": node("ephemeral", "a"),
        },
        "exposures": {
            "1": exposure("sales", "view", name="Ada"),
            "2": exposure("prices", "a", "b", email="bo@example.org"),
            "3": exposure("none", "b"),
            "4": exposure("figures", "ratio", name="Cy"),
        },
        "semantic_models": {"weighings": {"depends_on": {"nodes": ["view"]}}},
        "metrics": {
            "sum": {"depends_on": {"nodes": ["weighings"]}},
            "ratio": {"depends_on": {"nodes": ["sum"]}},
        },
    }
    assert affected(manifest, {"layer.a", "layer.other"}) == [
        Exposure("figures", "dashboard", "Cy", ("layer.a",)),
        Exposure("prices", "dashboard", "bo@example.org", ("layer.a",)),
        Exposure("sales", "dashboard", "Ada", ("layer.a",)),
    ]
    assert affected({}, {"layer.a"}) == []
