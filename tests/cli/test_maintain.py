"""``slipway maintain``: fewer files, a shorter history, nothing unused; and everything that was possible still is."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import World

from slipway.engines.duckdb import compact
from slipway.engines.duckdb.copying import copy
from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.iceberg.tables import Tables
from slipway.maintenance.survey import read_history
from slipway.records.store import Records

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.projects import Workshop

RAW = "raw.parcels"
LEDGER = "ops.landed_files"
PROJECT = "dbt_project.yml"
DAYS = 5
LONG_AGO = 10 * 86_400  # seconds


def day(number: int) -> tuple[str, ...]:
    return tuple(f"q{number}-{n},{'NS'[n % 2]},2024-06-{number:02d},{n}.5" for n in range(3))


def contents(workshop: Workshop) -> dict[str, list[str]]:
    """Rows of every published table, as pyiceberg reads them."""
    return {
        name: sorted(map(str, workshop.table(name).scan().to_arrow().to_pylist()))
        for name in workshop.published()
    }


def maintain(workshop: Workshop, *argv: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(workshop.answer("maintain", *argv, "--output", "json"))
    return found


def steps(done: dict[str, Any], kind: str) -> dict[str, Any]:
    return {step["table"]: step for step in done["steps"] if step["step"] == kind}


def files(workshop: Workshop) -> set[Path]:
    """Everything in the tables' folders."""
    return {
        path
        for folder in ("data", "metadata")
        for path in workshop.warehouse().glob(f"*/*/{folder}/*")
        if "_slipway" not in path.parts
    }


def age(*paths: Path) -> None:
    """Let files look as if they had been written long ago."""
    then = time.time() - LONG_AGO
    for path in paths:
        os.utime(path, (then, then))


def keep(workshop: Workshop, **policy: int) -> None:
    """Set the project's policy."""
    listed = "".join(f"  {key}: {value}\n" for key, value in policy.items())
    workshop.edit(PROJECT, "vars:\n", f"vars:\n{listed}")


@pytest.fixture(scope="module")
def history(
    new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workshop, list[dict[str, list[str]]], list[str]]:
    """Five releases, each with one more file in raw; then maintenance."""
    workshop, visible, runs = new_workshop(tmp_path_factory.mktemp("maintain")), [], []
    workshop.commit()
    for number in range(1, DAYS + 1):
        workshop.land(f"june-{number}.csv", day(number))
        runs.append(workshop.run()["run_id"])
        visible.append(contents(workshop))
    return workshop, visible, runs


@pytest.mark.long
def test_what_was_possible_still_is(history: tuple[Workshop, list[dict[str, list[str]]], list[str]]) -> None:
    workshop, visible, runs = history
    before, there = workshop.locations(), files(workshop)
    planned = maintain(workshop, "--dry-run")
    assert (workshop.locations(), files(workshop)) == (before, there)
    done = maintain(workshop)
    assert done["steps"] == planned["steps"]
    assert steps(done, "compact").keys() == {RAW, LEDGER}
    assert done["rollback_reaches"]["release"] == 1
    assert done["replay_reaches"]["run_id"] == runs[0]
    table = workshop.table(RAW)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation.value == "replace"
    assert len(list(table.scan().plan_files())) == 1
    assert contents(workshop) == visible[-1]
    assert maintain(workshop)["steps"] == []

    again = workshop.run()
    assert again["outcome"] == "unchanged"
    assert {node["change"] for node in again["nodes"] if node["table"]} == {"unchanged"}
    assert again["tests"]["carried"] == again["tests"]["expected"]
    shown = json.loads(workshop.answer("show", RAW, "-o", "json"))
    assert shown["release"] == DAYS

    workshop.land("june-6.csv", day(6))
    assert workshop.run()["outcome"] == "published"
    newest = contents(workshop)
    assert len(newest[RAW]) == len(visible[-1][RAW]) + 3
    back = json.loads(workshop.answer("rollback", "--dry-run", "-o", "json"))
    assert back["to"] == DAYS
    for number in (DAYS, DAYS - 1, 1, DAYS + 1):
        workshop.answer("rollback", "--to", str(number))
        assert contents(workshop) == [*visible, newest][number - 1]
    report = json.loads(workshop.answer("replay", runs[1], "-o", "json"))
    assert {one["verdict"] for one in report["tables"]} == {"identical"}


@pytest.fixture(scope="module")
def two_small_files(
    new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory
) -> Workshop:
    """Two releases, files of raw that two of fill one, and a file of nobody."""
    workshop = new_workshop(tmp_path_factory.mktemp("small"))
    config = "{{ config(table_properties={'write.target-file-size-bytes': '4000'}) }}\n"
    model = workshop.path / "models" / "raw" / "parcels_raw.sql"
    model.write_text(config + model.read_text(encoding="utf-8"), encoding="utf-8")
    workshop.run()
    workshop.land("june-1.csv", day(1))
    workshop.run()
    assert [path.stat().st_size in range(1500, 3000) for path in raw_files(workshop)] == [True, True]
    stray = workshop.warehouse() / "raw" / "parcels" / "data" / "stray.parquet"
    stray.write_bytes(b"nobody's")
    age(stray)
    workshop.keep("home", "project", "landing")
    return workshop


@pytest.fixture
def small(two_small_files: Workshop) -> Workshop:
    """The same for a test that may change it."""
    two_small_files.put_back()
    return two_small_files


def raw_files(workshop: Workshop) -> list[Path]:
    tasks = workshop.table(RAW).scan().plan_files()
    return [Path(task.file.file_path.removeprefix("file://")) for task in tasks]


def test_rows_that_come_out_otherwise_are_a_failure(small: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = small.locations()
    monkeypatch.setattr(compact, "copy", lambda cursor, select, to: copy(cursor, f"{select} limit 1", to))
    done = World.of(small).slipway("maintain", "--select", "raw.*")
    assert done.code == 1, done
    assert "raw.parcels was not touched: raw.parcels is not compacted: " in done.err
    assert small.locations() == before


def test_orphan_files_and_what_is_reported(small: Workshop) -> None:
    before, there = contents(small), files(small)
    young = small.warehouse() / "raw" / "parcels" / "data" / "young.parquet"
    young.write_bytes(b"a run may be about to name it")
    message = small.answer("maintain", "--select", "raw.*")
    assert "raw.parcels  compact  2 files to about 1" in message
    assert "raw.parcels  remove   1 data file, 0 of metadata" in message
    assert "Rollback reaches back to release 1 of " in message
    assert "Removed 8 B." in message
    assert {path.name for path in there - files(small)} == {"stray.parquet"}
    assert young.exists()
    assert len(raw_files(small)) == 1
    assert contents(small) == before
    assert small.run()["outcome"] == "unchanged"


@pytest.mark.parametrize(
    "before",
    [
        "slipway.iceberg.catalogs.sql_catalog:move",
        "slipway.maintenance.apply:_bytes_added",
        "slipway.storage.objects:LocalStore.delete",
    ],
    ids=["before a commit", "after a commit", "before files go"],
)
@pytest.mark.long
def test_killed(small: Workshop, before: str) -> None:
    visible = contents(small)
    done = small.start("maintain", kill_before=before).wait()
    assert done.code is None, done
    assert contents(small) == visible
    maintain(small)
    assert maintain(small)["steps"] == []
    assert contents(small) == visible
    assert small.run()["outcome"] == "unchanged"


@pytest.mark.long
def test_a_candidate_that_may_still_be_published(built: Workshop) -> None:
    built.land("june-1.csv", ("q1,N,2024-06-01,-1",))
    failed = built.run(code=1)["run_id"]
    age(*files(built))
    query = ("sql", "--run", failed, "select count(*) from curated.weights", "-o", "json")
    visible = built.answer(*query)
    maintain(built)
    assert built.answer(*query) == visible
    built.land("june-1.csv", day(1))
    built.run()
    age(*files(built))
    removed = [name for step in steps(maintain(built), "remove").values() for name in step["files"]]
    assert any(failed in name for name in removed)


@pytest.mark.long
def test_refusals(workshop: Workshop) -> None:
    assert "Nothing is published in dev yet" in workshop.refusal("maintain", code=3)
    done = workshop.slipway("maintain", "--older-than", "5m")
    assert (done.code, "5m is no age: write hours or days, 1h at least" in done.err) == (2, True)
    keep(workshop, keep_days=-1)
    workshop.run()
    assert "vars of dbt_project.yml: keep_days is -1: it is not a whole number from 0" in workshop.refusal(
        "maintain", code=2
    )
    workshop.edit(PROJECT, "keep_days: -1", "keep_days: 1")
    assert "no table has that name" in workshop.refusal("maintain", "--select", "nothing.*", code=2)
    workshop.land("june-1.csv", day(1))
    workshop.run()
    workshop.answer("rollback", "--hold", "--reason", "look at it")
    assert "Maintenance of dev is refused: dev is on hold" in workshop.refusal("maintain", code=1)
    assert maintain(workshop, "--dry-run")["dry_run"] is True


def test_what_lies_behind_a_link_is_not_touched(small: Workshop) -> None:
    data = small.warehouse() / "raw" / "parcels" / "data"
    elsewhere = small.folder / "disk"
    data.rename(elsewhere)
    data.symlink_to(elsewhere)
    age(*elsewhere.iterdir())
    before, files_before = contents(small), set(elsewhere.iterdir())
    done = small.slipway("maintain")
    assert "its folder data is a link" in done.out + done.err
    assert contents(small) == before
    assert files_before <= set(elsewhere.iterdir())


@pytest.mark.long
def test_policies_of_models_hold_in_production(workshop: Workshop) -> None:
    folder = workshop.home / "prod"
    workshop.keep_locally("prod")
    workshop.settings["DBT_TARGET"] = "prod"
    workshop.edit(
        "models/serving/depot_weights.sql", "select\n", "{{ config(meta={'keep_days': 900}) }}\n\nselect\n"
    )
    workshop.commit()
    workshop.run()
    workshop.answer("publish", "latest")
    place = Environment(
        "prod", Mode.PRODUCTION, f"file://{folder}/warehouse", local_catalog(folder), "", workshop.home
    )
    history = read_history(Tables(place), Records(place), {}, datetime.now(UTC), timedelta(days=3))
    assert history.policy("serving.depot_weights").days == 900
    assert history.policy("raw.parcels").days == 30
