"""Between runs: what contracts promise of feeds and tables is looked at, and what is left undone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.harness.commands import ROOT
from tests.harness.environments import Place
from tests.harness.records import environment, release, released

from slipway.alerts.causes import Affected
from slipway.alerts.service_clocks import not_judged
from slipway.alerts.watch import late, old_hold, promised, unfinished
from slipway.contracts.model import Column, Contract, Server, Sla, Table
from slipway.environments.profiles import Profile
from slipway.records.release_records import Hold
from slipway.records.store import Records
from slipway.releases.holds import Holds
from slipway.runs.landed_now import FeedNow

NOW = datetime(2024, 5, 3, 12, tzinfo=UTC)
FEED = Server(server="landing", type="local", path="f/*.csv", format="csv")
MADE = "20240502T120000Z-00000001"  # a day before


def contract(name: str, *servers: Server, **hours: float) -> Contract:
    return Contract(
        origin=f"{name}.odcs.yaml",
        digest="d",
        id=name,
        version="1.0.0",
        api_version="v3.2.0",
        tables=(Table(name=name, columns=(Column(name="a"),)),),
        servers=servers,
        sla=tuple(
            Sla(property=key, value=1, duration=timedelta(hours=value)) for key, value in hours.items()
        ),
    )


def made_from(table: str) -> Affected:
    return Affected(tables=[table, "serving.takings"])


def found(one: Contract, last: float | None = 24, waits: float | None = None) -> list[str]:
    """What is late when a feed brought its last accepted file, and one that nobody has looked at, so many hours ago."""
    waits_since = None if waits is None else NOW - timedelta(hours=waits)
    landed = None if last is None else NOW - timedelta(hours=last)
    feed = FeedNow(
        "f",
        1,
        [] if waits is None else ["f/new.csv"],
        [],
        waits_since=waits_since,
        last_landed_at=landed,
        last_arrived_at=max(filter(None, (waits_since, landed)), default=None),
    )
    shows = release(1, {"serving.takings": released("1", "m", run_id=MADE)})
    causes = [*late([one], [feed], shows, made_from, "prod", NOW)]
    assert {cause.key for cause in causes} <= set(promised([one]))
    return [cause.what for cause in causes]


@pytest.mark.parametrize(
    ("hours", "last", "is_late"),
    [
        pytest.param({"frequency": 23}, 24, True, id="frequency"),
        pytest.param({"frequency": 24}, 24, False, id="just-in-time"),
        pytest.param({"frequency": 23, "latency": 2}, 24, False, id="within-latency"),
        pytest.param({"freshness": 1}, 24, True, id="freshness"),
        pytest.param({"freshness": 1}, None, True, id="never"),
        pytest.param({"retention": 1}, 24, False, id="promises-something-else"),
    ],
)
def test_a_feed_is_late_when_its_last_file_is_older_than_promised(
    hours: dict[str, float], last: float | None, is_late: bool
) -> None:
    assert bool(found(contract("f", FEED, **hours), last)) is is_late


def test_service_levels_that_nothing_judges_are_named_in_one_line() -> None:
    assert not_judged([contract("takings", freshness=1, latency=1, retention=1, endOfLife=1)]) == ""
    some = [contract("takings", freshness=1, timeOfAvailability=1), contract("parcels", availability=1)]
    assert not_judged(some) == (
        "Not judged here: availability of parcels; timeOfAvailability of takings."
        " Runs judge timeOfAvailability where a column has the test freshness_sla."
    )


def test_a_late_feed_is_described_in_words() -> None:
    assert found(contract("f", FEED, frequency=12, latency=1)) == [
        "Feed f brought its last file 24 hours ago, and its contract promises frequency within 13 hours"
    ]


@pytest.mark.parametrize(
    ("hours", "waits", "is_late"),
    [
        pytest.param({"latency": 2}, 1, False, id="within-latency"),
        pytest.param({"latency": 2}, 3, True, id="latency"),
        pytest.param({"latency": 2, "frequency": 30, "freshness": 30}, 3, True, id="latency-counts-first"),
        pytest.param({"frequency": 2, "freshness": 30}, 3, True, id="frequency-without-latency"),
        pytest.param({"freshness": 25}, 26, True, id="freshness-without-latency"),
        pytest.param({"freshness": 25}, 24, False, id="within-freshness"),
        pytest.param({"retention": 1}, 99, False, id="promises-something-else"),
    ],
)
def test_a_file_that_waits_for_a_run_longer_than_promised_is_reported(
    hours: dict[str, float], waits: float, is_late: bool
) -> None:
    causes = found(contract("f", FEED, **hours), 1, waits)
    promised_ = "latency" if "latency" in hours else min(hours, key=lambda name: hours[name])
    assert causes == (
        [
            f"1 file of feed f has waited for a run for up to {waits} hours, and its contract promises {promised_} within {hours[promised_]} hours"
        ]
        if is_late
        else []
    )


def test_a_producer_is_not_called_late_whose_file_waits_for_a_run() -> None:
    assert found(contract("f", FEED, frequency=23), 24, 3) == []
    assert found(contract("f", FEED, freshness=23), 24, 3) == [
        "Feed f brought its last accepted file 24 hours ago, 1 file has waited for a run for up to 3 hours, and its contract promises freshness within 23 hours"
    ]
    assert found(contract("f", FEED, freshness=23), None, 3) == [
        "Feed f has brought no file that was accepted, 1 file has waited for a run for up to 3 hours, and its contract promises freshness within 23 hours"
    ]


def test_a_table_is_late_when_its_rows_are_older_than_promised() -> None:
    assert found(contract("serving.takings", freshness=25)) == []
    assert found(contract("serving.takings", freshness=23)) == [
        "serving.takings was made 24 hours ago, and its contract promises freshness within 23 hours"
    ]


def test_a_table_is_late_when_a_file_of_its_feed_waits_longer_than_promised() -> None:
    assert found(contract("serving.takings", latency=6)) == []
    assert found(contract("serving.takings", latency=6), waits=5) == []
    (what,) = found(contract("serving.takings", latency=6), waits=7)
    assert what.startswith("A file of feed f arrived 7 hours ago and is not in serving.takings")


@pytest.fixture
def dev(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "dbt_project.yml").write_text("name: shop\nprofile: slipway\n", encoding="utf-8")
    shutil.copy(ROOT / "profiles.yml", folder)
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    made = Place(Profile(folder).environment("dev"), "", connection)
    yield made
    catalog: Any = made.tables.catalog
    catalog.engine.dispose()


def test_a_release_that_readers_see_and_that_is_not_recorded_is_unfinished_once_nobody_is_at_work(
    dev: Place, tmp_path: Path
) -> None:
    assert [*unfinished(dev.records, dev.tables)] == []
    number = dev.publish(serving_takings=1).number
    assert [*unfinished(dev.records, dev.tables)] == []
    (begun,) = tmp_path.rglob(f"{number:06d}.publishing")
    begun.with_suffix(".json").unlink()
    assert [*unfinished(dev.records, dev.tables)] == []  # its process may be about to record it
    os.utime(begun, (begun.stat().st_mtime - 600,) * 2)
    (cause,) = unfinished(dev.records, dev.tables)
    assert (cause.subject, cause.first) == (str(number), "slipway doctor --fix --target dev")
    dev.heal()
    assert [*unfinished(dev.records, dev.tables)] == []


def test_a_hold_is_a_cause_when_it_is_old_or_cannot_be_read(tmp_path: Path) -> None:
    records = Records(environment(tmp_path))
    assert [*old_hold(records, 24, NOW)] == []
    placed = Hold(
        target="dev", release=2, placed_at=NOW - timedelta(hours=24), who="Ada", reason="wrong prices"
    )
    Holds(records).place_hold(placed)
    assert [*old_hold(records, 25, NOW)] == []
    (cause,) = old_hold(records, 24, NOW)
    assert cause.what == "dev is on hold since 2024-05-02 12:00 UTC, by Ada: wrong prices"
    assert cause.first == "slipway hold --target dev"
    (record,) = tmp_path.rglob("000002.json")
    record.write_text("{", encoding="utf-8")
    (cause,) = old_hold(records, 24, NOW)
    assert "slipway hold --lift ends it as it is" in cause.what
