"""A store in which requests go wrong at random: a run succeeds after bounded retries, or fails in one line.

Whatever the store did, readers see whole releases, and the next run in fair weather shows everything that landed.
To repeat one seed: ``pytest tests/integration/s3/test_storm.py -m long -k 'storm and 7'``. More: ``SLIPWAY_STORM_SEEDS=40``.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.proxy import Mishap, Proxy, running
from tests.integration.chaos import oracle

if TYPE_CHECKING:
    from tests.harness.commands import Output
    from tests.integration.chaos.trials import Trials
    from tests.integration.s3.conftest import Lake

SEEDS = range(int(os.environ.get("SLIPWAY_STORM_SEEDS", "10")))
RUNS = 20  # per seed
BOUND = 150  # seconds
KINDS: tuple[int | Mishap, ...] = (500, 503, 429, 0, Mishap.CUT, Mishap.LOST, Mishap.SLOW)


class Storm:
    """Faults at a rate, by chance of a seed; of every kind it is counted how often it came."""

    def __init__(self, seed: int, rate: float, kinds: tuple[int | Mishap, ...] = KINDS) -> None:
        self._chance, self._rate, self._kinds = random.Random(seed), rate, kinds
        self._lock = threading.Lock()
        self.faults: Counter[str] = Counter()

    def __call__(self, method: str, path: str, before: int) -> int | Mishap | None:
        with self._lock:
            if self._chance.random() >= self._rate:
                return None
            kind = self._chance.choice(self._kinds)
            self.faults[str(kind)] += 1
            return kind


@pytest.fixture(scope="module")
def proxy(endpoint: str) -> Iterator[Proxy]:
    with running(endpoint) as made:
        made.body = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
        yield made


@pytest.fixture(scope="module")
def new_trials(
    new_lake: Callable[[Path, str, str], Lake],
    endpoint: str,
    proxy: Proxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[int], Trials]:
    """Makes trials on a lake behind the proxy; they are checked past it."""

    def make(seed: int) -> Trials:
        folder = tmp_path_factory.mktemp("storm-")
        lake = new_lake(folder, f"{folder.name.strip('-')}-{seed}", endpoint)
        trials = lake.trials(lake.published, endpoint, seed)
        lake.workshop.settings["AWS_ENDPOINT_URL"] = proxy.address
        return trials

    return make


@contextmanager
def weather(proxy: Proxy, fault: Storm) -> Iterator[None]:
    proxy.fault = fault
    try:
        yield
    finally:
        proxy.fault = lambda *_: None


def under(trials: Trials, proxy: Proxy, storm: Storm, label: str) -> Output:
    """A run in a storm: it takes no longer than it may, and what it leaves is whole; then one in fair weather."""
    was, began = trials.store.catalog(), time.monotonic()
    with weather(proxy, storm):
        done = trials.workshop.start("run").wait(BOUND)
    assert "Traceback" not in done.err, f"{label}: {done}"
    assert done.code in (0, 1, 5), f"{label}: {done}"
    trials.check(f"after {label}, {storm.faults}", was)
    now = trials.store.catalog()
    if done.code == 0:
        assert oracle.content(trials.store, now) == trials.landed.content, label
    elif now != was:
        assert "is published, but " in done.err, f"{label}: {done}"
    trials.tally.refused += done.code != 0
    trials.tally.ended += done.code == 0
    trials.heal(label)
    trials.tally.seconds += time.monotonic() - began
    return done


@pytest.fixture(scope="module")
def one(new_trials: Callable[[int], Trials]) -> Trials:
    return new_trials(0)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(Mishap.CUT, id="broken off", marks=pytest.mark.long),
        pytest.param(Mishap.LOST, id="done without an answer", marks=pytest.mark.long),
    ],
)
def test_each_request_goes_wrong_once(one: Trials, proxy: Proxy, kind: Mishap) -> None:
    """Half of all requests, the first time they are made: each kind is tried again, or the run would fail.

    Not all of them: botocore gives up after some thirty retries that did not end in success, and a write whose answer
    was lost ends in a refusal.
    """
    one.more()

    class Once(Storm):
        def __call__(self, method: str, path: str, before: int) -> int | Mishap | None:
            fault = super().__call__(method, path, before) if before == 0 else None
            self.faults[method] += fault is not None
            return fault

    storm = Once(0, 0.5, (kind,))
    done = under(one, proxy, storm, f"{kind} once")
    assert done.code == 0, (done.code, done.err.splitlines()[-1])
    assert min(storm.faults["GET"], storm.faults["PUT"]) > 2


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm(new_trials: Callable[[int], Trials], proxy: Proxy, seed: int) -> None:
    trials, faults = new_trials(seed), Counter[str]()
    for number in range(RUNS):
        trials.more()
        storm = Storm(seed * 1000 + number, trials.chance.choice((0.01, 0.03, 0.1)))
        done = under(trials, proxy, storm, f"storm {number} of seed {seed}")
        faults += storm.faults
        if done.code:
            print("\n", done.code, done.err.splitlines()[-1], storm.faults)  # noqa: T201
    print(f"\nseed {seed}: {trials.tally}; {dict(faults)}")  # noqa: T201 - the count of a long suite
    assert faults
    assert trials.tally.ended
