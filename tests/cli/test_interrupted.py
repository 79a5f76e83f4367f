"""Signals at any moment of a run: readers see the last whole release or the new one, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

DEPOTS = 40
WEIGHTS = "serving.depot_weights"


def landed(workshop: Workshop, day: int) -> None:
    """Each day brings one parcel more to every depot, so that a table of it tells how many days it has."""
    rows = [f"d{day}-{depot},D{depot},2024-06-{day:02d},1" for depot in range(DEPOTS)]
    workshop.land(f"june-{day:02d}.csv", rows)


def days(workshop: Workshop, table: str, column: str) -> int:
    found = workshop.table(table).scan().to_arrow().to_pylist()
    counts = [row for row in found if row["depot"] == "D0"]
    return len(counts) if column == "rows" else int(counts[0][column])


@pytest.mark.long
@pytest.mark.parametrize(("seed", "signals"), [(0, 1), *((seed, 10) for seed in range(4))])
def test_signals_at_any_moment(workshop: Workshop, seed: int, signals: int) -> None:
    chance = random.Random(seed)
    landed(workshop, 1)
    began = time.monotonic()
    workshop.run()
    usual = time.monotonic() - began
    for day in range(2, 2 + signals):
        landed(workshop, day)
        before = workshop.published()
        number = chance.choice([signal.SIGINT, signal.SIGTERM])
        running = workshop.start("run")
        time.sleep(chance.uniform(0.2, 1.1 * usual))
        with suppress(ProcessLookupError):  # it was faster
            os.kill(running.pid, number)
        done = running.wait()
        assert done.code in (0, 128 + number, None), done
        assert "Traceback" not in done.err, done.err
        after = workshop.published()
        assert (after == before) is (done.code != 0), done
        # all tables show the same days, whichever they are
        assert days(workshop, "curated.weights", "rows") == days(workshop, WEIGHTS, "kg")
    workshop.run()
    assert days(workshop, "curated.weights", "rows") == days(workshop, WEIGHTS, "kg") == 1 + signals
    assert not list(workshop.folder.rglob("*.tmp"))
