"""What releases changed for readers, and which of them readers do not see any more."""

from __future__ import annotations

from tests.harness.records import manifest, node, release, released

from slipway.records.release_records import PromotedFrom
from slipway.site.releases_shown import history
from slipway.site.runs_shown import RunShown

A1, A2, A3 = (released(number, f"a{number}", rows=int(number), run_id=f"run-{number}") for number in "123")
B1 = released("9", "b1", rows=50, run_id="run-1")


def test_a_rollback_takes_the_releases_from_readers_that_came_after_the_one_it_shows() -> None:
    releases = [
        release(1, {"raw.a": A1}),
        release(2, {"raw.a": A2}),
        release(3, {"raw.a": A3}),
        release(4, {"raw.a": A1}, rolls_back=True, returns_to=1, reason="Wrong"),
        release(5, {"raw.a": A3}),
    ]
    found = {one.number: one for one in history(releases, {}, {}, {}).releases}
    assert {number: one.withdrawn_by for number, one in found.items()} == {
        1: None,
        2: 4,
        3: 4,
        4: None,
        5: None,
    }
    assert [number for number, one in found.items() if one.is_current] == [5]
    assert (found[4].kind, found[4].reason, found[4].returns_to) == ("rollback", "Wrong", 1)


def test_going_forward_again_shows_the_release_once_more() -> None:
    releases = [
        release(1, {"raw.a": A1}),
        release(2, {"raw.a": A2}),
        release(3, {"raw.a": A1}, rolls_back=True, returns_to=1),
        release(4, {"raw.a": A2}, rolls_back=True, returns_to=2),
    ]
    found = {one.number: one.withdrawn_by for one in history(releases, {}, {}, {}).releases}
    assert found == {1: None, 2: None, 3: 4, 4: None}


def test_only_tables_with_other_content_have_changed() -> None:
    run = RunShown.of(
        manifest(node("raw.a", rows_after=2, bytes_total=70, rows_added=1, rows_removed=0), run_id="run-2")
    )
    releases = [release(1, {"raw.a": A1, "raw.b": B1}), release(2, {"raw.a": A2, "raw.b": B1})]
    found = history(releases, {"run-2": run}, {2: "ada"}, {})
    second, first = found.releases
    assert [one.name for one in first.changed] == ["raw.a", "raw.b"]
    (changed,) = second.changed
    assert (changed.name, changed.before, changed.rows, changed.added, changed.bytes) == (
        "raw.a",
        1,
        2,
        1,
        70,
    )
    assert (second.tables, second.signed_by, second.who) == (2, "ada", "ada")
    assert [(point.release, point.rows, point.bytes) for point in found.points["raw.a"]] == [
        (1, 1, None),
        (2, 2, 70),
    ]
    assert [point.release for point in found.points["raw.b"]] == [1]


def test_promotions_and_retirements_say_what_they_are() -> None:
    came = PromotedFrom(target="staging", release=7, sha256="0" * 64, plan_id="p")
    releases = [
        release(1, {"raw.a": A1}, promoted=came),
        release(2, {}, retirement=True, retired={"raw.a": "a1"}),
    ]
    second, first = history(releases, {}, {}, {1: "ada and bob"}).releases
    assert (first.kind, first.promoted, first.approved_by) == (
        "promotion",
        "release 7 of staging",
        "ada and bob",
    )
    assert (second.kind, second.retired, second.tables) == ("retirement", ["raw.a"], 0)
