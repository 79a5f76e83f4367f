"""``slipway rollback`` and ``slipway hold``: readers see an earlier release, and later ones again."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.projects import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"
WEIGHTS = "serving.depot_weights"
DAY_3 = ("p6,S,2024-05-03,10.125",)
SLOW_MODEL = """
import time
from pathlib import Path

import pandas


def model(dbt, session):
    dbt.config(materialized="table")
    (Path("{0}") / "arrived").touch()
    while not (Path("{0}") / "go").exists():
        time.sleep(0.01)
    return pandas.DataFrame({{"n": [1]}})
"""
EXPOSURE = """
exposures:
  - name: weights_on_the_wall
    type: dashboard
    owner: {name: Ada, email: ada@example.org}
    depends_on: [ref('depot_weights')]
"""


def contents(workshop: Workshop) -> dict[str, Any]:
    """Names of columns and rows of every published table, as pyiceberg reads them."""
    tables = {name: workshop.table(name).scan().to_arrow() for name in workshop.published()}
    return {
        name: (table.column_names, sorted(map(str, table.to_pylist())))
        for name, table in tables.items()
        if table.num_rows
    }


def back(workshop: Workshop, *argv: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(workshop.answer("rollback", *argv, "--output", "json"))
    return found


@pytest.fixture(scope="module")
def history(
    new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workshop, list[dict[str, Any]]]:
    """Three releases: the first days; a new day with a new table; another column and type."""
    workshop, visible = new_workshop(tmp_path_factory.mktemp("history")), []
    workshop.write("models/serving/_exposures.yml", EXPOSURE)
    first = workshop.slipway("run")
    assert first.code == 0, first
    assert "weights_on_the_wall" not in first.err  # nothing was built of it
    visible.append(contents(workshop))
    workshop.land("day-3.csv", DAY_3)
    workshop.write("models/serving/heaviest.sql", "select max(kg) as kg from {{ ref('weights') }}\n")
    workshop.run()
    visible.append(contents(workshop))
    workshop.edit(WEIGHT_MODEL, "count(*) as parcels", "count(*)::integer as parcels, min(kg) as lightest")
    workshop.run()
    visible.append(contents(workshop))
    return workshop, visible


def restored(workshop: Workshop) -> int:
    """Go to release 3, if readers see another; returns the number of the last release."""
    back(workshop, "--to", "3")
    newest: int = json.loads(workshop.answer("releases", "-o", "json"))[0]["number"]
    return newest


def test_back_and_forward(history: tuple[Workshop, list[dict[str, Any]]]) -> None:
    workshop, visible = history
    last = restored(workshop)
    before = workshop.published()
    message = workshop.answer("rollback", "--to", "1", "--dry-run")
    assert workshop.published() == before
    assert "read by dashboard weights_on_the_wall of Ada: serving.depot_weights" in message
    assert "serving.heaviest" in message
    assert "is emptied" in message

    for later, (number, shows) in enumerate(((None, 2), (None, 1), (3, 3), (2, 2), (3, 3)), start=1):
        done = back(workshop, *(["--to", str(number)] if number else []))
        assert (done["to"], done["release"]) == (shows, last + later)
        assert contents(workshop) == visible[shows - 1]
    assert "already" in workshop.answer("rollback", "--to", "3")

    releases = {entry["number"]: entry for entry in json.loads(workshop.answer("releases", "-o", "json"))}
    assert [releases[n]["returns_to"] for n in (3, last + 1, last + 5)] == [None, 2, 3]
    lines = {one["release"]: one for one in json.loads(workshop.answer("log", WEIGHTS, "-o", "json"))}
    assert [(lines[n]["rolls_back"], lines[n]["returns_to"]) for n in (3, last + 1)] == [
        (False, None),
        (True, 2),
    ]
    shown = workshop.answer("log", WEIGHTS).splitlines()
    assert [line.split()[0] for line in shown if line.endswith("shows release 2 again")] == [
        str(last + 4),
        str(last + 1),
    ]
    cut = workshop.answer(
        "sql", f"select * from {WEIGHTS} order by all", "--release", str(last + 2), "-o", "json"
    )
    assert cut == workshop.answer(
        "sql", f"select * from {WEIGHTS} order by all", "--release", "1", "-o", "json"
    )
    assert workshop.run()["outcome"] == "unchanged"


def test_only_some_tables(history: tuple[Workshop, list[dict[str, Any]]]) -> None:
    workshop, visible = history
    last = restored(workshop)
    done = back(workshop, "--to", "1", "--select", "serving.depot*", "--reason", "wrong weights")
    assert [table["table"] for table in done["tables"]] == [WEIGHTS]
    assert contents(workshop) == {**visible[2], WEIGHTS: visible[0][WEIGHTS]}
    newest = json.loads(workshop.answer("releases", "-o", "json"))[0]
    assert (newest["rolls_back"], newest["returns_to"], newest["reason"]) == (True, None, "wrong weights")
    assert back(workshop)["release"] == last + 2
    assert contents(workshop) == visible[2]


@pytest.mark.long
def test_the_next_run_builds_what_was_withdrawn_again(history: tuple[Workshop, list[dict[str, Any]]]) -> None:
    workshop, visible = history
    restored(workshop)
    back(workshop, "--to", "1")
    assert workshop.run()["outcome"] == "published"
    rows = {name: rows for name, (_, rows) in contents(workshop).items() if name.startswith("serving.")}
    assert rows == {name: rows for name, (_, rows) in visible[2].items() if name.startswith("serving.")}


@pytest.mark.long
def test_a_hold_refuses_runs_until_it_is_lifted(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    built.run()
    assert "No hold is active" in built.answer("hold")
    built.answer("rollback", "--hold", "--reason", "day 3 is wrong")
    held = contents(built)
    for command in (("run",), ("run", "--full-refresh")):
        assert "on hold" in built.refusal(*command, code=1)
    assert "day 3 is wrong" in built.dbt("build", code=2)
    assert contents(built) == held
    assert "day 3 is wrong" in built.answer("hold", "--lift")
    assert "no hold to lift" in built.refusal("hold", "--lift", code=1)
    # the release is shown already, and the hold is placed all the same
    answer = built.slipway("rollback", "--to", "1", "--hold", "--reason", "once more")
    assert answer.code == 0, answer
    assert "see release 1 already" in answer.out
    assert "is on hold. Lift the hold" in answer.err
    assert "once more" in built.refusal("run", code=1)
    assert "is on hold already, by " in built.slipway("rollback", "--to", "1", "--hold").err
    (record,) = (
        path
        for path in built.warehouse().glob("_slipway/holds/*.json")
        if not path.with_suffix(".lifted").exists()
    )
    whole = record.read_bytes()
    record.write_bytes(whole[:-9])
    done = built.slipway("rollback", "--to", "2")
    assert (done.code, "by whom is not known" in done.err) == (0, True), done
    assert contents(built) != held
    assert "slipway hold --lift ends it" in built.refusal("run", code=6)
    done = built.slipway("hold", "--lift", "--output", "json")
    assert (done.code, json.loads(done.out)) == (0, {"release": int(record.stem)}), done
    assert record.name in done.err
    assert "No hold is active" in built.answer("hold")
    built.land("day-4.csv", ("p9,N,2024-05-04,1",))
    assert built.run()["outcome"] == "published"


@pytest.mark.long
def test_tables_of_other_programs_stay_as_they_are(built: Workshop) -> None:
    catalog = SqlCatalog(
        "dev", uri=f"sqlite:///{built.home}/dev/catalog.db", warehouse=f"file://{built.folder}/other"
    )
    catalog.create_namespace("marketing")
    rows = pa.table({"n": [1, 2, 3]})
    leads = catalog.create_table(
        "marketing.leads", rows.schema, location=f"file://{built.folder}/other/leads"
    )
    leads.append(rows)
    built.land("day-3.csv", DAY_3)
    assert built.run()["outcome"] == "published"
    assert "marketing.leads" in built.releases()[-1]["tables"]
    leads.append(rows)
    built.land("day-4.csv", ("p9,N,2024-05-04,1",))
    built.run()
    for _ in range(2):
        built.answer("rollback", "--yes")
        assert catalog.load_table("marketing.leads").scan().to_arrow().num_rows == 6
    assert built.published()["serving.depot_weights"]
    # one that cannot be read any more is no reason not to publish, to record, and to roll back
    leads.append(rows)
    Path(catalog.load_table("marketing.leads").metadata_location.removeprefix("file://")).write_bytes(b"{")
    assert built.run()["outcome"] == "published"
    assert "marketing.leads" not in built.releases()[-1]["tables"]
    built.answer("rollback", "--yes")
    catalog.engine.dispose()


@pytest.mark.long
def test_what_cannot_be_rolled_back(workshop: Workshop) -> None:
    assert "no release yet" in workshop.refusal("rollback", code=3)
    workshop.run()
    assert "release 1 is the first" in workshop.refusal("rollback", code=3)
    assert "no release 7" in workshop.refusal("rollback", "--to", "7", code=3)
    workshop.land("day-3.csv", DAY_3)
    workshop.run()
    assert "no table of a release has that name" in workshop.refusal(
        "rollback", "--select", "nothing.*", code=2
    )
    for nothing in ("", " "):
        assert "--select names no table" in workshop.refusal(
            "rollback", "--to", "1", "--select", nothing, code=2
        )
    newest = workshop.table(WEIGHTS).metadata
    Path(newest.metadata_log[-1].metadata_file.removeprefix("file://")).unlink()
    before = workshop.published()
    assert "cannot be brought back" in workshop.refusal("rollback", code=3)
    assert workshop.published() == before


@pytest.mark.long
def test_it_asks_only_on_a_terminal(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    built.run()
    before = built.published()
    ours, theirs = os.openpty()
    try:
        for answer, code in ((b"n\n", 130), (b"y\n", 0)):
            assert built.published() == before
            asking = built.start("rollback", terminal=os.ttyname(theirs))
            for _ in range(3000):
                if "Go on?" in asking.printed():
                    break
                time.sleep(0.01)
            os.write(ours, answer)
            assert asking.wait().code == code
        assert built.published() != before
        done = built.start("rollback", "--to", "2", "--yes", terminal=os.ttyname(theirs)).wait()
        assert (done.code, "Go on?" in done.out) == (0, False)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.long
def test_what_died_before_it_was_recorded_counts(built: Workshop) -> None:
    """The release before what readers see is found by it, and not from the last one that is recorded."""
    first = contents(built)
    built.land("day-3.csv", DAY_3)
    built.run()
    second = contents(built)
    built.land("day-4.csv", ("p8,N,2024-05-04,1",))
    record = "slipway.records.store:Records.write_release"
    assert built.start("run", kill_before=record).wait().code is None
    third = contents(built)
    assert third != second
    message = built.refusal("rollback", "--dry-run", code=1)
    assert "readers see release 3 of run " in message
    assert "it is not recorded" in message
    done = built.slipway("rollback")
    assert done.code == 0, done
    assert "healed: release 3 of run " in done.err
    assert contents(built) == second
    assert built.start("rollback", "--to", "3", kill_before=record).wait().code is None
    assert contents(built) == third
    built.answer("rollback")  # release 5 shows release 3; the one before it shows release 2
    assert contents(built) == second
    assert contents(built) != first


@pytest.mark.long
def test_a_killed_rollback_is_healed(built: Workshop) -> None:
    first = contents(built)
    built.land("day-3.csv", DAY_3)
    built.run()
    done = built.start("rollback", kill_before="slipway.records.store:Records.write_release").wait()
    assert done.code is None
    assert contents(built) == first
    healed = built.slipway("rollback", "--to", "2")
    assert healed.code == 0, healed
    numbers = [entry["number"] for entry in json.loads(built.answer("releases", "-o", "json"))]
    assert numbers == [4, 3, 2, 1]


@pytest.mark.long
def test_a_run_that_was_building_when_the_hold_came_does_not_publish(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    built.run()
    gate = built.folder / "gate"
    gate.mkdir()
    # only this model is selected below: no table of the run is one that the rollback moves
    built.write("models/serving/slow.py", SLOW_MODEL.format(gate))
    running = built.start("run", "--select", "slow")
    for _ in range(3000):
        if (gate / "arrived").exists():
            break
        time.sleep(0.01)
    assert json.loads(built.answer("rollback", "--dry-run", "-o", "json"))["under_way"] == []
    both = built.start("run", "--select", "slow", "depot_weights", DBT_TARGET_PATH=f"{built.folder}/other")
    while "waits for" not in both.printed():
        time.sleep(0.01)
    dry = built.slipway("rollback", "--dry-run")
    assert f"(process {both.pid}), since" in dry.err
    assert "is on these tables, and will be refused if it builds on what is withdrawn" in dry.err
    os.kill(both.pid, signal.SIGINT)
    assert both.wait().code == 130
    waits = built.start("run", "--select", "slow", "depot_weights", DBT_TARGET_PATH=f"{built.folder}/third")
    while "waits for" not in waits.printed():
        time.sleep(0.01)
    built.answer("rollback", "--hold", "--reason", "stop everything")
    before = len(built.manifests())
    (gate / "go").touch()
    done, later = running.wait(), waits.wait()
    assert later.code == 1, later
    assert "stop everything" in later.err, later
    assert len(built.manifests()) == before + 1  # it did not build for nothing
    assert done.code == 1, done
    assert "stop everything" in done.err
    assert "serving.slow" not in built.published()
    assert built.manifests()[-1]["outcome"] == "refused"
