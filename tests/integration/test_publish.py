"""A run publishes all its tables or none, whatever happens to it."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog.sql import SqlCatalog

from tests.harness.commands import wait_for
from tests.harness.projects import Meters

from slipway.records.record_files import read_dbt_manifest
from slipway.storage.objects import object_store

FAILING_MODEL = "select error('the meter is broken') as site from {{ ref('consumption') }}\n"
# holds a run until the file is there: what stands before it has been staged by then
WAITING_MODEL = """
import time
from pathlib import Path


def model(dbt, session):
    dbt.config(materialized="table")
    frame = dbt.ref("sites").df()
    folder = Path("{folder}")
    (folder / "arrived").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return frame
"""


def held(project: Meters) -> Path:
    """Give the project a model that holds every run that comes to it; returns the folder to look in."""
    project.write("python_models/serving/last.py", WAITING_MODEL.format(folder=project.path))
    return project.path


@pytest.mark.long
def test_a_failing_test_publishes_nothing(project: Meters) -> None:
    project.readings("day-3.csv", "m1,2024-05-03,-1,")
    project.refused("build")
    assert project.results()["consumption_is_not_negative"] == "fail"
    assert project.published() == {}
    assert project.releases() == []
    run = project.manifests()[-1]
    assert (run["outcome"], run["release"]) == ("failed", None)
    assert "consumption_is_not_negative" in run["reason"]


def test_readers_see_the_old_release_while_a_new_one_fails(built: Meters) -> None:
    before, rows = built.published(), built.content("serving.daily_consumption")
    built.readings("day-3.csv", "m1,2024-05-03,-1,")
    built.write("models/serving/new_one.sql", "select 1 as n")
    built.refused("build")
    assert built.published() == before
    assert built.content("serving.daily_consumption") == rows


def test_a_failing_model_publishes_nothing_and_a_retry_publishes_all(project: Meters) -> None:
    good = (project.path / "models/serving/sites.sql").read_text(encoding="utf-8")
    project.write("models/serving/sites.sql", FAILING_MODEL)
    output = project.refused("build")
    assert "the meter is broken" in output
    assert project.published() == {}

    project.refused("retry")
    assert project.published() == {}

    project.write("models/serving/sites.sql", good)
    output = project.dbt("retry")
    assert project.results() == {"sites": "success"}
    assert "continues run" in output
    release = project.releases()[-1]
    assert set(release["tables"]) == set(project.published())
    assert set(project.published()) == {
        "raw.readings",
        "curated.consumption",
        "serving.daily_consumption",
        "serving.sites",
        "reference.meters",
    }
    assert [float(kwh) for _, _, kwh in project.rows("serving.sites")] == [7.75, 0.25]
    # what the failed run staged is tagged as part of the release that published it
    for name in project.published():
        assert f"release-{release['number']}" in project.table(name).metadata.refs

    unchanged = project.dbt("build")
    assert "nothing changed" in unchanged


@pytest.mark.long
def test_a_retry_is_refused_when_a_table_was_published_since(built: Meters) -> None:
    good = (built.path / "models/serving/sites.sql").read_text(encoding="utf-8")
    built.write("models/serving/sites.sql", FAILING_MODEL)
    built.write("seeds/reference/meters.csv", "meter,site\nm1,east\n")
    built.refused("build")
    failed = (built.target / "run_results.json").read_bytes()

    built.write("models/serving/sites.sql", good)
    built.dbt("seed")
    (built.target / "run_results.json").write_bytes(failed)
    before = built.state()
    output = built.refused("retry")
    assert "cannot be continued: reference.meters was published since. Start a new run." in output
    assert built.state() == before


@pytest.mark.long
def test_a_retry_keeps_a_property_that_was_set_since(built: Meters, catalog: SqlCatalog) -> None:
    good = (built.path / "models/serving/sites.sql").read_text(encoding="utf-8")
    built.write("models/serving/sites.sql", FAILING_MODEL)
    built.write("seeds/reference/meters.csv", "meter,site\nm1,east\n")
    built.refused("build")
    with catalog.load_table("reference.meters").transaction() as transaction:
        transaction.set_properties(owner="harbour")
    built.write("models/serving/sites.sql", good)
    built.dbt("retry")
    assert built.table("reference.meters").properties["owner"] == "harbour"
    assert built.content("reference.meters") == [("m1", "east")]
    assert len(built.releases()) == 2


@pytest.mark.long
def test_a_retry_takes_over_what_was_tested_and_asks_for_the_rest(project: Meters) -> None:
    good = (project.path / "models/serving/sites.sql").read_text(encoding="utf-8")
    project.write("models/serving/sites.sql", FAILING_MODEL)
    project.refused("build")
    failed = project.manifests()[-1]
    assert failed["landed_files"]
    project.write("models/serving/sites.sql", good)
    project.dbt("retry")
    whole = project.manifests()[-1]
    assert whole["landed_files"] == failed["landed_files"]
    assert (whole["tests"]["not_run"], whole["tests"]["failed"]) == (0, 0)
    named = {test["unique_id"] for test in whole["tests"]["results"]}
    assert named >= {test["unique_id"] for test in failed["tests"]["results"] if test["status"] == "pass"}
    assert len(named) == whole["tests"]["expected"] == whole["tests"]["executed"]

    project.write("models/serving/sites.sql", FAILING_MODEL)
    consumption = project.path / "models/curated/consumption.sql"
    consumption.write_text(consumption.read_text(encoding="utf-8") + "and true\n", encoding="utf-8")
    project.refused("run")  # without tests
    project.write("models/serving/sites.sql", good)
    project.dbt("retry")
    assert project.manifests()[-1]["tests"]["not_run"] > 0


def test_there_is_nothing_to_retry_after_a_success(built: Meters) -> None:
    before = built.state()
    built.dbt("retry")
    assert built.state() == before
    assert len(built.releases()) == 1


@pytest.mark.long
def test_a_retry_after_a_failed_test_publishes_the_whole(project: Meters) -> None:
    test = project.path / "tests/dbt/consumption_is_not_negative.sql"
    good = test.read_text(encoding="utf-8")
    project.write("tests/dbt/consumption_is_not_negative.sql", "select * from {{ ref('consumption') }}")
    project.refused("build")
    assert project.published() == {}
    test.write_text(good, encoding="utf-8")
    project.dbt("retry")
    assert len(project.published()) == 5
    assert project.content("raw.readings") != []


@pytest.mark.long
@pytest.mark.parametrize("option", ["--empty", "--sample"])
def test_partial_builds_are_never_published(project: Meters, option: str) -> None:
    project.write(
        "models/curated/_event_time.yml", "models: [{name: sites, config: {event_time: read_on}}]\n"
    )
    arguments = [option] if option == "--empty" else [option, "1 day"]
    output = project.dbt("build", *arguments)
    assert "not published (discarded)" in output
    assert project.published() == {}
    # and nothing of it is mistaken for the real thing by the next run
    project.dbt("build")
    assert [float(kwh) for _, _, kwh in project.rows("serving.sites")] == [7.75, 0.25]


BEFORE_PUBLISHING = (
    "slipway.landing.ledger:Ledger._append",
    "slipway.iceberg.tables:Tables.stage",
    "slipway.records.store:Records.write",
    "slipway.iceberg.catalogs.sql_catalog:move",
    "sqlalchemy.orm:Session.commit",
)


@pytest.mark.long
def test_a_kill_before_publishing_changes_nothing_for_readers(project: Meters) -> None:
    for before in BEFORE_PUBLISHING:
        project.killed(before, "build")
        assert project.published() == {}, before
    project.dbt("build")
    first, rows = project.state(), project.content("serving.sites")
    assert [float(kwh) for _, _, kwh in rows] == [7.75, 0.25]

    project.readings("day-3.csv", "m3,2024-05-03,1,")
    for before in BEFORE_PUBLISHING:
        project.killed(before, "build")
        assert project.state() == first, before
        assert project.content("serving.sites") == rows, before
    project.dbt("build")
    assert [float(kwh) for _, _, kwh in project.rows("serving.sites")] == [7.75, 1.25]
    assert project.rows("raw.readings", "_source_file").count(("day-3.csv",)) == 1
    assert [entry["verdict"] for entry in project.ledger()] == ["accepted"] * 3


@pytest.mark.long
def test_a_kill_between_publishing_and_recording_is_healed(project: Meters) -> None:
    project.killed("slipway.records.store:Records.write_release", "build")
    assert len(project.published()) == 5
    assert [float(kwh) for _, _, kwh in project.rows("serving.sites")] == [7.75, 0.25]
    assert project.releases() == []
    assert "healed: release 1 of run" in project.dbt("build")
    assert [release["number"] for release in project.releases()] == [1]

    project.readings("day-3.csv", "m3,2024-05-03,1,")
    project.killed("slipway.runs.end:_write_records", "build")
    assert [float(kwh) for _, _, kwh in project.rows("serving.sites")] == [7.75, 1.25]
    assert "nothing changed" in project.dbt("build")
    first, second = project.releases()
    assert (first["number"], set(first["tables"])) == (1, set(second["tables"]))
    for name in ("serving.sites", "raw.readings"):
        assert f"release-{second['number']}" in project.table(name).metadata.refs


@pytest.mark.long
def test_a_run_killed_half_way_leaves_the_last_release(built: Meters) -> None:
    before = built.published()
    built.readings("day-3.csv", "m3,2024-05-03,1,")
    folder = held(built)
    running = built.start("run", program="dbt")
    wait_for(folder / "arrived")
    # the other tables of the run are staged and nobody can see them
    assert built.published() == before
    running.kill()
    assert built.published() == before
    (folder / "go").touch()
    built.dbt("build")
    assert [float(kwh) for _, _, kwh in built.rows("serving.last")] == [7.75, 1.25]


def test_a_foreign_commit_is_refused_with_its_snapshot_and_not_lost(
    built: Meters, catalog: SqlCatalog
) -> None:
    before = built.published()
    built.readings("day-3.csv", "m3,2024-05-03,1,")
    folder = held(built)
    running = built.start("run", program="dbt")
    wait_for(folder / "arrived")
    table = catalog.load_table("serving.sites")
    table.append(table.scan().to_arrow().slice(0, 1))
    foreign = catalog.load_table("serving.sites").current_snapshot()
    assert foreign is not None
    (folder / "go").touch()

    result = running.wait()
    assert result.code == 2
    assert (
        f"Nothing was published: serving.sites moved: its current snapshot is now {foreign.snapshot_id}"
        in result.out
    )
    assert "Traceback" not in result.out
    now = built.published()
    assert {name for name in now if now[name] != before.get(name)} == {"serving.sites"}
    assert len(built.content("serving.sites")) == 3
    assert built.manifests()[-1]["outcome"] == "refused"
    assert len(built.releases()) == 1

    built.dbt("build")
    assert [float(kwh) for _, _, kwh in built.rows("serving.sites")] == [7.75, 1.25]


def test_a_table_that_someone_else_creates_meanwhile_is_not_overwritten(
    built: Meters, catalog: SqlCatalog
) -> None:
    folder = held(built)
    running = built.start("run", program="dbt")
    wait_for(folder / "arrived")
    theirs = catalog.create_table("serving.last", pa.schema([("mine", pa.int64())]))
    theirs.append(pa.table({"mine": [1]}))
    foreign = catalog.load_table("serving.last").current_snapshot()
    assert foreign is not None
    (folder / "go").touch()
    result = running.wait()
    assert result.code == 2
    assert "Nothing was published: serving.last moved" in result.out
    assert str(foreign.snapshot_id) in result.out
    assert built.rows("serving.last") == [(1,)]


@pytest.mark.long
def test_two_runs_at_once_end_as_one_after_the_other(built: Meters) -> None:
    built.readings("day-3.csv", "m3,2024-05-03,1,")
    with ThreadPoolExecutor(2) as pool:
        barrier = threading.Barrier(2)

        def run(number: int) -> int | None:
            barrier.wait()
            target = str(built.folder / f"target-{number}")
            return built.start("build", program="dbt", DBT_TARGET_PATH=target).wait().code

        codes = sorted(pool.map(run, range(2)), key=str)
    assert codes == [0, 0]
    assert [float(kwh) for _, _, kwh in built.rows("serving.sites")] == [7.75, 1.25]
    assert len(built.rows("raw.readings")) == 6
    assert "nothing changed" in built.dbt("build")


@pytest.mark.long
def test_a_catalog_that_stays_locked_is_reported_in_one_line(project: Meters) -> None:
    project.settings["PYICEBERG_CATALOG__DEV__URI"] = f"sqlite:///{project.database()}?timeout=1"
    project.dbt("build")
    before = project.published()
    project.write("models/serving/sites.sql", "select 1 as n")
    folder = held(project)
    running = project.start("run", program="dbt")
    wait_for(folder / "arrived")
    other = sqlite3.connect(project.database(), isolation_level=None)
    other.execute("begin immediate")
    (folder / "go").touch()
    result = running.wait()
    other.execute("rollback")
    other.close()
    assert result.code == 2
    assert "Catalog of dev" in result.out
    assert "locked" in result.out
    assert "Traceback" not in result.out
    assert project.published() == before
    assert project.manifests()[-1]["outcome"] == "refused"


@pytest.mark.long
def test_rows_that_were_withdrawn_come_again(built: Meters, catalog: SqlCatalog) -> None:
    first = {name: built.content(name) for name in built.published()}
    built.readings("day-3.csv", "m3,2024-05-03,1,", "m1,2024-05-01,4,")
    built.dbt("build")
    second = {name: built.content(name) for name in built.published()}
    for name in built.published():
        table = catalog.load_table(name)
        oldest = min(table.snapshots(), key=lambda snapshot: snapshot.timestamp_ms)
        if table.current_snapshot() != oldest:
            table.manage_snapshots().rollback_to_snapshot(oldest.snapshot_id).commit()
    assert {name: built.content(name) for name in first} == first
    built.dbt("build")
    assert {name: built.content(name) for name in second} == second
    assert built.rows("raw.readings", "_source_file").count(("day-3.csv",)) == 2


def test_rows_of_another_program_are_noticed(built: Meters, catalog: SqlCatalog) -> None:
    table = catalog.load_table("curated.consumption")
    table.append(table.scan().to_arrow().slice(0, 1).set_column(0, "meter", pa.array(["m9"])))
    made = [row for row in built.rows("curated.consumption") if row[0] != "m9"]
    assert len(built.rows("curated.consumption")) == len(made) + 1
    built.dbt("build")
    # what the model read for its last build is not known any more: it is built from everything, which is said
    assert built.rows("curated.consumption") == made
    assert sum(row[1] for row in built.rows("serving.daily_consumption")) == len(made)
    notes = {node["table"]: node["notes"] for node in built.manifests()[-1]["nodes"]}
    assert "it is not known what changed in raw.readings" in notes["curated.consumption"][0]


@pytest.mark.long
def test_an_interrupted_run_publishes_nothing(project: Meters) -> None:
    folder = held(project)
    running = project.start("build", program="dbt")
    wait_for(folder / "arrived")
    os.kill(running.pid, 2)
    (folder / "go").touch()
    result = running.wait()
    assert result.code not in (0, None)
    assert project.published() == {}
    project.dbt("build")
    assert len(project.published()) == 6


@pytest.mark.long
def test_a_run_keeps_its_own_dbt_manifest_when_another_of_the_checkout_wrote_one(built: Meters) -> None:
    folder = held(built)
    run = built.start("build", "--select", "last", program="dbt")
    wait_for(folder / "arrived")
    built.dbt("seed")
    other = built.manifests()[-1]["invocation_id"]
    assert other in (built.target / "manifest.json").read_text(encoding="utf-8")
    (folder / "go").touch()
    assert run.wait().code == 0
    message = built.manifests()[-2]  # it began before the other
    (stored,) = (built.home / "dev/warehouse/_slipway/runs").glob(f"*/{message['run_id']}/dbt/manifest.json")
    root = built.home / "dev/warehouse/_slipway"
    described = read_dbt_manifest(object_store(str(root), {}), stored.relative_to(root).as_posix())
    assert described["metadata"]["invocation_id"] == message["invocation_id"] != other
    assert "model.meters.last" in described["nodes"]
