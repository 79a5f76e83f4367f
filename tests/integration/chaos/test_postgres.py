"""Kills, and connections that the server ends, with the catalog on PostgreSQL. To repeat: as in test_kills.py."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.environments import target
from tests.integration.chaos.points import PUBLISHING
from tests.integration.chaos.trials import Trials, local_trials

if TYPE_CHECKING:
    from tests.harness.projects import Workshop
    from tests.harness.servers import Postgres

pytestmark = pytest.mark.server
SEEDS = range(int(os.environ.get("SLIPWAY_CHAOS_SEEDS", "2")))
CUTS = 15  # per seed
TABLES = "select table_namespace || '.' || table_name, metadata_location from iceberg_tables where table_namespace <> 'ops'"
END = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@pytest.fixture
def trials(postgres: Postgres, new_workshop: Callable[[Path], Workshop], tmp_path: Path) -> Trials:
    database, workshop = f"chaos_{time.time_ns()}", new_workshop(tmp_path)
    asked(postgres, "postgres", f"create database {database}")
    workshop.home.mkdir()
    workshop.settings |= target(
        "staging", f"file://{workshop.home}/warehouse", type="sql", uri=postgres.uri(database)
    )
    return local_trials(
        workshop, lambda: dict(asked(postgres, database, TABLES)), workshop.home / "warehouse"
    )


def asked(postgres: Postgres, database: str, query: str) -> list[tuple[str, str]]:
    with closing(postgres.connect(database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall()) if cursor.description else []


@pytest.mark.long
def test_a_run_is_killed_before_its_release_is_recorded(trials: Trials) -> None:
    trials.more(new=True)
    trials.trial("one of the places below", before="slipway.records.store:Records.write_release")
    assert (trials.tally.killed, trials.tally.healed) == (1, 1), trials.tally


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_every_place_of_publishing(trials: Trials, when: str) -> None:
    for place, (name, calls) in PUBLISHING.items():
        for call in range(1, calls + 1):
            trials.more()
            trials.trial(place, **{when: f"{name}#{call}"})
    print(f"\nPostgreSQL, {when}: {trials.tally}")  # noqa: T201 - the count of a long suite
    assert trials.tally.killed


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_connections_end_at_any_instant(postgres: Postgres, trials: Trials, seed: int) -> None:
    trials.chance.seed(seed)
    database = trials.workshop.settings["PYICEBERG_CATALOG__STAGING__URI"].rpartition("/")[2]
    for number in range(CUTS):
        trials.more()
        was, label = trials.store.catalog(), f"cut {number} of seed {seed}"
        running = trials.workshop.start("run")
        cut = threading.Timer(trials.chance.uniform(0.1, 1) * trials.usual, asked, (postgres, database, END))
        cut.start()
        done = running.wait()
        cut.join()
        assert "Traceback" not in done.err, f"{label}: {done}"
        assert done.code in (0, 1, 5), f"{label}: {done}"
        trials.check(f"after {label}", was)
        if done.code and "is published, but " not in done.err:
            assert trials.store.catalog() == was, f"{label}: {done}"
        trials.tally.refused += done.code != 0
        trials.heal(label)
    print(f"\nPostgreSQL, connections, seed {seed}: {trials.tally}")  # noqa: T201
