"""A hold is in force from its record until the one of its end, whatever becomes of the first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.harness.records import environment

from slipway.errors import DamagedError, ForeignError, SlipwayError
from slipway.records.release_records import Hold, Lift
from slipway.records.store import Records
from slipway.releases.holds import Holds

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LIFT = Lift(lifted_at=NOON, who="Bo")


def hold(release: int, target: str = "dev") -> Hold:
    return Hold(target=target, release=release, placed_at=NOON, who="Ada", reason="wrong prices")


@pytest.fixture
def holds(tmp_path: Path) -> Holds:
    return Holds(Records(environment(tmp_path)))


def test_an_environment_without_a_hold_refuses_nothing_but_to_lift_one(holds: Holds) -> None:
    holds.refuse("Publishing run 1")
    assert holds.current() is None
    with pytest.raises(SlipwayError, match="There is no hold to lift"):
        holds.lift(LIFT)


def test_a_hold_is_placed_once_and_ends_when_it_is_lifted(holds: Holds) -> None:
    assert holds.place_hold(hold(2))
    assert not holds.place_hold(hold(3))
    assert holds.current() == hold(2)
    with pytest.raises(
        SlipwayError,
        match=r"Run 1 is refused: dev is on hold since 2024-05-01 12:00 UTC, by Ada: wrong prices",
    ):
        holds.refuse("Run 1")
    assert holds.lift(LIFT) == (2, hold(2), None)
    assert holds.current() is None
    assert holds.place_hold(hold(3))
    assert holds.current() == hold(3)


def test_a_hold_that_cannot_be_read_is_in_force_and_can_be_lifted(holds: Holds, tmp_path: Path) -> None:
    holds.place_hold(hold(2))
    (record,) = tmp_path.rglob("000002.json")
    record.write_text("{", encoding="utf-8")
    with pytest.raises(DamagedError, match="slipway hold --lift ends it as it is"):
        holds.refuse("Run 1")
    assert not holds.place_hold(hold(3))
    release, read, unknown = holds.lift(LIFT)
    assert (release, read, isinstance(unknown, DamagedError)) == (2, None, True)
    assert holds.current() is None


def test_a_hold_of_another_environment_is_not_lifted(holds: Holds) -> None:
    holds.place_hold(hold(2, target="prod"))
    for ask in (holds.current, lambda: holds.lift(LIFT)):
        with pytest.raises(ForeignError):
            ask()
