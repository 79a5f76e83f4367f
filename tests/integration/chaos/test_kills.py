"""Commands killed at named places and at any instant: readers see whole releases, and the next run heals.

The long part says in a failure which seed, place and call it was. To repeat only one seed:
``pytest tests/integration/chaos/test_kills.py -m long -k 'instants and 7'``. More seeds: ``SLIPWAY_CHAOS_SEEDS=100``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.integration.chaos.points import HEALING, LANDING, PUBLISHING, RECORDING, ROLLBACK, RUN, STAGING

if TYPE_CHECKING:
    from tests.integration.chaos.trials import Trials

KILLS = int(os.environ.get("SLIPWAY_CHAOS_KILLS", "25"))  # per seed
SEEDS = range(int(os.environ.get("SLIPWAY_CHAOS_SEEDS", "10")))


@pytest.fixture(scope="module")
def one(new_trials: Callable[[int], Trials]) -> Trials:
    return new_trials(0)


@pytest.mark.long
@pytest.mark.parametrize(
    ("when", "point"),
    [
        pytest.param("after", LANDING["the ledger"][0], id="landed"),
        pytest.param("after", STAGING["a number"][0], id="numbered"),
        pytest.param("before", f"{STAGING['a metadata file'][0]}#3", id="staging"),
        pytest.param("after", PUBLISHING["the intent"][0], id="intended"),
        # between the rows and the commit
        pytest.param("before", "slipway.iceberg.catalogs.sql_catalog:_locations", id="in the transaction"),
        pytest.param("after", PUBLISHING["publishing"][0], id="published"),
        pytest.param("after", RECORDING["the release record"][0], id="recorded"),
        pytest.param("after", f"{RECORDING['any record'][0]}#7", id="linked"),
    ],
)
def test_a_run_is_killed(one: Trials, when: str, point: str) -> None:
    one.more()
    killed = one.tally.killed
    label = one.kill("a run", **{when: point})
    assert one.tally.killed == killed + 1
    if "Records" in point:  # the others are healed by a run that is killed itself
        one.heal(label)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("place", RUN)
def test_every_place_of_a_run(new_trials: Callable[[int], Trials], when: str, place: str) -> None:
    trials = new_trials(1)
    name, calls = RUN[place]
    for call in range(1, calls + 1):
        trials.more()
        trials.trial(place, **{when: f"{name}#{call}"})
    print(f"\n{place}, {when}: {trials.tally}")  # noqa: T201 - the count of a long suite
    assert trials.tally.killed


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_every_place_of_healing(new_trials: Callable[[int], Trials], when: str) -> None:
    """A run dies between publication and record; the one that heals it dies, too."""
    trials = new_trials(2)
    for place, (name, calls) in HEALING.items():
        for call in range(1, calls + 1):
            trials.more(new=True)
            was = trials.store.catalog()
            assert (
                trials.workshop.start("run", kill_before="slipway.releases.publication:_record").wait().code
                is None
            )
            trials.check("after the first kill", was)
            trials.trial(f"healing, {place}", **{when: f"{name}#{call}"})
    print(f"\nhealing, {when}: {trials.tally}")  # noqa: T201
    assert trials.tally.killed == sum(calls for _, calls in HEALING.values())


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("place", ROLLBACK)
def test_every_place_of_a_rollback(new_trials: Callable[[int], Trials], when: str, place: str) -> None:
    trials = new_trials(3)
    name, calls = ROLLBACK[place]
    trials.more()
    trials.heal("something to roll back")
    for call in range(1, calls + 1):
        trials.trial(f"rollback, {place}", "rollback", **{when: f"{name}#{call}"})
        trials.more()
        trials.heal("more")
    print(f"\nrollback, {place}, {when}: {trials.tally}")  # noqa: T201
    assert trials.tally.killed


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_any_instant(new_trials: Callable[[int], Trials], seed: int) -> None:
    trials = new_trials(seed)
    for number in range(KILLS):
        trials.more()
        trials.at(f"kill {number}", trials.chance.uniform(0.02, 1.05))
    print(f"\nseed {seed}: {trials.tally}")  # noqa: T201
    assert trials.tally.killed


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_any_instant_of_a_publication(new_trials: Callable[[int], Trials], seed: int) -> None:
    """The end of a run is short: kills are aimed at it, from the first staged table on."""
    trials = new_trials(seed)
    for number in range(KILLS):
        trials.more()
        start = trials.chance.choice((RECORDING["any record"][0], PUBLISHING["the end of dbt"][0]))
        trials.trial(f"kill {number}", before=f"{start}+{trials.chance.uniform(0.001, 0.6):.4f}")
    print(f"\nseed {seed}: {trials.tally}")  # noqa: T201
    assert trials.tally.killed


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_two_runs_at_once(new_trials: Callable[[int], Trials], seed: int) -> None:
    trials = new_trials(seed)
    for number in range(KILLS // 3):
        trials.more()
        chance = trials.chance
        trials.at(f"pair {number}", chance.uniform(0.1, 1.2), chance.uniform(0.1, 1.2))
    print(f"\nseed {seed}: {trials.tally}")  # noqa: T201
    assert trials.tally.killed
