"""Each rule of what maintenance keeps, by itself; test_steps.py has them together over months."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.harness import records
from tests.harness.records import NO_COMMIT, NOW, released

from slipway.maintenance.protection import Kept, busy, expired, kept, reach, window
from slipway.maintenance.retention import (
    Candidate,
    History,
    RecordedRun,
    Retention,
    Superseded,
    TableHistory,
)
from slipway.records.release_records import Intent, Move, Release
from slipway.records.run_manifest import Outcome
from slipway.releases.cut import TableVersion

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TABLE = "serving.a"
POLICY = Retention(days=10, releases=1)
NAMED = TableHistory("now.json", "9", {"1": NOW - 30 * DAY, "9": NOW})


def history(table: TableHistory = NAMED, **more: Any) -> History:  # noqa: ANN401 - fields of History
    return History(**{"now": NOW, "older_than": 3 * DAY, "tables": {TABLE: table}, "default": POLICY, **more})


def release(number: int, age: timedelta, location: str, snapshot: str, **more: Any) -> Release:  # noqa: ANN401
    return records.release(number, {TABLE: released(snapshot, location)}, published_at=NOW - age, **more)


def candidate(age: timedelta, outcome: Outcome | None, base: str | None = "now.json") -> Candidate:
    return Candidate("r1", NOW - age, TABLE, base, TableVersion("staged.json", "10"), outcome)


def intent(*tables: str) -> Intent:
    moves = {name: Move(base="now.json", metadata_location="next.json") for name in tables}
    return Intent(number=4, run_id="r1", code=NO_COMMIT, tables=moves)


def locations(found: list[Kept], *, whole: bool | None = None) -> set[str]:
    return {one.state.metadata_location for one in found if whole in (None, one.whole)}


# ------------------------------------------------------------------------------------------ snapshots that expire


@pytest.mark.parametrize(("age", "gone"), [(10 * DAY, []), (10 * DAY + HOUR, ["1"])], ids=["kept", "gone"])
def test_a_snapshot_expires_after_the_days_of_the_policy(age: timedelta, gone: list[str]) -> None:
    assert expired(history(TableHistory("now.json", "9", {"1": NOW - age, "9": NOW})), TABLE, [])[0] == gone


def test_a_snapshot_that_a_tag_of_somebody_else_names_stays() -> None:
    tags = {"refs": {"audit": "1", "release-1": "2"}, "release_tags": {"release-1"}}
    table = TableHistory("now.json", "9", {"1": NOW - 30 * DAY, "2": NOW - 30 * DAY, "9": NOW}, **tags)  # type: ignore[arg-type]
    assert expired(history(table), TABLE, []) == (["2"], ["release-1"])


def test_a_snapshot_that_is_kept_for_somebody_stays() -> None:
    assert expired(history(), TABLE, [Kept(TableVersion("old.json", "1"), "")]) == ([], [])


# ------------------------------------------------------------------------------------------ tables that are busy


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"intents": [intent(TABLE)]}, "release 4 of run r1 is being published"),
        ({"intents": [intent("serving.b")]}, ""),
        (
            {"candidates": [candidate(10 * DAY, Outcome.STAGED)]},
            "run r1 is staged on it: publish that first",
        ),
        ({"candidates": [candidate(11 * DAY, Outcome.STAGED)]}, ""),
        ({"candidates": [candidate(HOUR, Outcome.STAGED, base="earlier.json")]}, ""),
        ({"candidates": [candidate(3 * DAY, None)]}, "run r1 builds on it"),
        ({"candidates": [candidate(4 * DAY, None)]}, ""),
        ({"candidates": [candidate(HOUR, Outcome.FAILED)]}, ""),
    ],
    ids=[
        "published now",
        "another table is published",
        "staged",
        "staged too long ago",
        "staged on an earlier state",
        "built now",
        "killed",
        "failed",
    ],
)
def test_a_table_is_not_moved_under_who_publishes_on_it(more: dict[str, Any], why: str) -> None:
    assert busy(history(**more), TABLE) == why


# ------------------------------------------------------------------------------------------ states that are kept


@pytest.mark.parametrize(
    ("age", "names"), [(3 * DAY, {"now.json", "old.json"}), (3 * DAY + HOUR, {"now.json"})]
)
def test_what_the_catalog_named_stays_for_its_readers(age: timedelta, names: set[str]) -> None:
    table = TableHistory("now.json", "9", {"9": NOW}, log=[Superseded("old.json", NOW - age)])
    assert locations(kept(history(table), TABLE), whole=True) == names


def test_only_what_was_shown_lately_is_kept_whole() -> None:
    """A rollback needs one snapshot of an older release, a reader of a recent one may need any."""
    releases = [
        release(1, 9 * DAY, "1.json", "1"),
        release(2, 8 * DAY, "2.json", "2"),
        release(3, HOUR, "3.json", "3"),
    ]
    found = kept(history(releases=releases), TABLE)
    assert locations(found) == {"now.json", "1.json", "2.json", "3.json"}
    assert locations(found, whole=True) == {"now.json", "2.json", "3.json"}


def test_a_publication_that_is_under_way_needs_what_was_and_what_comes() -> None:
    found = kept(history(TableHistory("else.json", "9", {}), intents=[intent(TABLE)]), TABLE)
    assert locations(found, whole=True) == {"else.json", "now.json", "next.json"}


@pytest.mark.parametrize(
    ("age", "outcome", "base", "is_kept"),
    [
        (HOUR, Outcome.STAGED, "now.json", True),
        (HOUR, Outcome.FAILED, "now.json", True),
        (HOUR, None, "now.json", True),
        (HOUR, Outcome.STAGED, "earlier.json", False),
        (HOUR, Outcome.PUBLISHED, "now.json", False),
        (HOUR, Outcome.DISCARDED, "now.json", False),
        (10 * DAY, Outcome.STAGED, "now.json", True),
        (11 * DAY, Outcome.STAGED, "now.json", False),
    ],
)
def test_a_candidate_is_kept_while_it_may_be_published(
    age: timedelta, outcome: Outcome | None, base: str, is_kept: bool
) -> None:
    found = kept(history(candidates=[candidate(age, outcome, base)]), TABLE)
    assert ("staged.json" in locations(found)) == is_kept


def test_a_policy_of_no_days_leaves_a_candidate_the_hours_that_every_file_has() -> None:
    fresh = history(candidates=[candidate(2 * DAY, Outcome.STAGED)], default=Retention(days=0, releases=1))
    assert "staged.json" in locations(kept(fresh, TABLE))


def test_a_rollback_counts_as_the_release_that_it_shows_again() -> None:
    releases = [
        release(1, 90 * DAY, "1.json", "1"),
        release(2, 80 * DAY, "2.json", "2"),
        release(3, 70 * DAY, "3.json", "1", returns_to=1),
    ]
    assert window(history(releases=releases), POLICY) == {1, 3}


# ------------------------------------------------------------------------------------------ how far back one can go


@pytest.mark.parametrize(
    ("expire", "snapshots", "there", "earliest"),
    [
        ([], {"1", "2"}, {"1.json", "2.json"}, 1),
        (["1"], {"1", "2"}, {"1.json", "2.json"}, 2),
        ([], {"2"}, {"1.json", "2.json"}, 2),
        ([], {"1", "2"}, {"2.json"}, 2),
        (["2"], {"1", "2"}, {"1.json", "2.json"}, None),
    ],
    ids=["all", "expires", "expired", "no metadata file", "the last one is gone"],
)
def test_how_far_back_a_rollback_reaches(
    expire: list[str], snapshots: set[str], there: set[str], earliest: int | None
) -> None:
    table = TableHistory("now.json", "2", dict.fromkeys(snapshots, NOW))
    releases = [release(1, 2 * DAY, "1.json", "1"), release(2, DAY, "2.json", "2")]
    found = reach(history(table, releases=releases), expire, there).release
    assert (found.number if found else None) == earliest


def test_a_replay_reaches_to_the_first_run_that_misses_an_input() -> None:
    runs = [
        RecordedRun(f"r{day}", NOW - day * DAY, {TABLE: TableVersion(f"{day}.json")}, {}) for day in (1, 3, 2)
    ]
    there = {"1.json", "3.json"}
    found = reach(history(runs=runs), [], there).run
    assert found is not None
    assert found.run_id == "r1"
    assert reach(history(runs=runs), [], {"2.json", *there}).run == runs[1]
    assert reach(history(runs=runs), [], {"2.json"}).run is None
