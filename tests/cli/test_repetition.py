"""A run decides that nothing changed before dbt is started, and only where dbt would have led to the same.

A command is killed when it is about to start dbt, so no exit code means that it would have.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import DAY_1, some
from tests.harness.projects import put_back

from slipway.records.release_records import Hold

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

STARTS_DBT = "slipway.dbt.invocation:invoke"
OF_THE_RUN = {
    *("run_id", "invocation_id", "started_at", "finished_at"),
    *("cpu_seconds", "peak_memory_bytes", "memory_limit_bytes"),
}


@pytest.fixture(scope="module")
def _quiet(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("quiet") / "run"
    folder.mkdir()
    found = new_workshop(folder)
    found.run()
    assert found.run()["outcome"] == "unchanged"
    shutil.copytree(folder, folder.with_name("kept"))
    return found


@pytest.fixture
def quiet(_quiet: Workshop) -> Workshop:
    """The project after a run that published and one that changed nothing."""
    put_back(_quiet.folder)
    return replace(_quiet, settings={})


def starts_dbt(workshop: Workshop, *arguments: str, clock: str = "", **settings: str) -> bool:
    """Whether ``slipway run`` would start dbt; where it does not, it ends as a run that changed nothing."""
    done = workshop.start("run", *arguments, kill_before=STARTS_DBT, clock=clock, **settings).wait()
    if done.code is None:
        return True
    assert (done.code, "Nothing changed" in done.out) == (0, True), done
    return False


def newest(workshop: Workshop) -> Path:
    return max(workshop.warehouse().glob("_slipway/runs/*/*"))


def landed(workshop: Workshop, name: str = "day-1.csv") -> Path:
    return workshop.folder / "landing" / "parcels" / name


def move_a_table(workshop: Workshop) -> None:
    """What another program does that commits to a table: its pointer is another one, here to the same content."""
    name, location = next(iter(sorted(workshop.published().items())))
    path = Path(location.removeprefix("file://"))
    other = shutil.copy(path, path.with_name(f"99999-{path.name[6:]}"))
    with sqlite3.connect(workshop.home / "dev" / "catalog.db") as connection:
        connection.execute(
            "update iceberg_tables set metadata_location = ? where table_namespace || '.' || table_name = ?",
            (f"file://{other}", name),
        )
    connection.close()


def place_hold(workshop: Workshop) -> None:
    hold = Hold(target="dev", release=1, placed_at=datetime(2024, 5, 3, tzinfo=UTC), who="ada", reason="look")
    path = workshop.warehouse() / "_slipway" / "holds" / "000001.json"
    path.parent.mkdir()
    path.write_text(hold.model_dump_json(), encoding="utf-8")


EDITS: dict[str, Callable[[Workshop], object]] = {
    "model": lambda w: append(w.path / "models/serving/depot_weights.sql", "-- a comment\n"),
    "new model": lambda w: w.write("models/serving/more.sql", "select 1 as one"),
    "model is gone": lambda w: (w.path / "models/serving/depot_weights.sql").unlink(),
    "macro": lambda w: w.write("macros/half.sql", "{% macro half(c) %}{{ c }} / 2{% endmacro %}"),
    "seed": lambda w: append(next((w.path / "seeds").rglob("*.csv")), "W,West\n"),
    "contract": lambda w: append(next((w.path / "contracts").glob("*")), "\n"),
    "profile": lambda w: append(w.path / "profiles.yml", "# a comment\n"),
    "project": lambda w: append(w.path / "dbt_project.yml", "# a comment\n"),
    "file landed": lambda w: w.land("day-9.csv", ("p9,N,2024-05-09,1",)),
    "file landed again": lambda w: w.land("day-1.csv", DAY_1),
    "file touched": lambda w: os.utime(landed(w), ns=(1, 1)),
    "file grows": lambda w: append(landed(w), "p8,N,2024-05-01,1\n"),
    "landed file removed": lambda w: landed(w).unlink(),
    "no feed": lambda w: (w.folder / "landing" / "stray.txt").write_text("", encoding="utf-8"),
    "table moved": move_a_table,
    "metadata is gone": lambda w: Path(next(iter(w.published().values())).removeprefix("file://")).unlink(),
    "lease": lambda w: w.lease(),
    "basis is damaged": lambda w: (newest(w) / "basis.json").write_text("{}", encoding="utf-8"),
    "record was changed": lambda w: append(newest(w) / "run_manifest.json", " "),
    "manifest is gone": lambda w: (newest(w) / "run_manifest.json").unlink(),
    "dbt's manifest is gone": lambda w: shutil.rmtree(w.warehouse() / "_slipway" / "dbt_manifests"),
    "plain dbt": lambda w: w.dbt("build"),
}


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.parametrize("edit", some(2, EDITS))
def test_every_edit_starts_dbt(quiet: Workshop, edit: str) -> None:
    EDITS[edit](quiet)
    assert starts_dbt(quiet)


def test_a_hold_refuses_the_run(quiet: Workshop) -> None:
    place_hold(quiet)
    assert "dev is on hold" in quiet.refusal("run", code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--force",),
        ("--full-refresh",),
        ("--vars", "{other: 1}"),
        ("--select", "depot_weights"),
        ("--exclude", "depot_weights"),
        ("--event-time-start", "2024-05-01", "--event-time-end", "2024-05-02"),
    ],
    ids=lambda given: given[0],
)
def test_another_command_starts_dbt(quiet: Workshop, arguments: tuple[str, ...]) -> None:
    assert starts_dbt(quiet, *arguments)


def test_variables_and_clocks_count(quiet: Workshop) -> None:
    assert starts_dbt(quiet, DBT_FULL_REFRESH="true")
    assert starts_dbt(quiet, SLIPWAY_ALWAYS_START_DBT="1")
    assert starts_dbt(quiet, PYTHONPATH=str(quiet.path / "models"))
    assert starts_dbt(quiet, clock="-3600")
    assert not starts_dbt(quiet, SLIPWAY_WAIT="7")
    assert not starts_dbt(quiet, OF_NOBODY="1")
    assert not starts_dbt(quiet, clock="86400")


def test_the_records_are_those_of_a_run_that_starts_dbt(quiet: Workshop) -> None:
    quick = quiet.run()
    assert quick["invocation_id"] == ""
    slow = quiet.run(SLIPWAY_ALWAYS_START_DBT="1")
    assert slow["invocation_id"]
    assert described(quick) == described(slow)
    assert not starts_dbt(quiet)
    log = quiet.answer("show", quick["run_id"])
    assert "unchanged" in log
    assert quiet.answer("runs", "--output", "json").count('"unchanged"') >= 3
    quiet.answer("doctor", "--deep")
    quiet.answer("maintain", "--dry-run")


def described(manifest: dict[str, Any]) -> dict[str, Any]:
    """A run manifest without what belongs to one run: its ids, moments and seconds, and the order of dbt's threads."""
    found = {name: value for name, value in manifest.items() if name not in OF_THE_RUN | {"folder"}}
    found["nodes"] = sorted(
        ({**node, "seconds": 0, "cpu_seconds": 0, "phases": {}} for node in manifest["nodes"]),
        key=lambda node: node["unique_id"],
    )
    found["tests"] = {
        **manifest["tests"],
        "results": sorted(manifest["tests"]["results"], key=lambda test: test["unique_id"]),
    }
    found["freshness"] = [{**item, "age_seconds": 0} for item in manifest["freshness"]]
    return found
