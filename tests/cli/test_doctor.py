"""``slipway doctor``: a healthy environment has no finding, and what a crash or a mistake left is found and repaired."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import World
from tests.harness.projects import append, static

from slipway.doctor import record_checks
from slipway.doctor.examination import Examination
from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.processes import mark

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

WEIGHTS = "serving.depot_weights"
# a full device leaves the same behind as a kill
UNENDED = "its process ended before it wrote a run manifest: it was killed, or could not write"
OLD_RUN = "20240501T000000Z-0000abcd"
HOLDER = """
import fcntl, sys
stream = open(sys.argv[1], "a")
fcntl.flock(stream, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def lived(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two releases."""
    workshop = new_workshop(tmp_path_factory.mktemp("lived"))
    workshop.run()
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    workshop.run()
    workshop.keep("home", "temporary")
    return World.of(workshop)


@pytest.fixture
def world(lived: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, as it was before the last test, with a folder for temporary files of its own."""
    lived.put_back()
    monkeypatch.setattr("tempfile.tempdir", str(lived.workshop.temporary))
    return lived


def findings(world: World, *options: str) -> list[dict[str, Any]]:
    done = world.slipway("doctor", *options, "--output", "json")
    assert done.code in (0, 6), done
    found: list[dict[str, Any]] = json.loads(done.out)["findings"]
    assert done.code == (6 if found else 0), done
    return found


def finding(world: World) -> tuple[str, str]:
    """Where and what of the only finding."""
    found = findings(world)
    assert len(found) == 1, found
    return found[0]["where"], found[0]["what"]


def repaired(world: World) -> list[str]:
    """Names of the steps that were carried out; afterwards nothing is found."""
    done = world.slipway("doctor", "--fix", "--output", "json")
    assert done.code == 0, done
    carried_out: list[dict[str, Any]] = json.loads(done.out)["done"]
    assert [step["failure"] for step in carried_out if step["failure"]] == []
    assert findings(world, "--deep") == []
    return [step["step"] for step in carried_out]


def content(world: World) -> dict[str, bytes]:
    """Every file of the home."""
    paths = [path for path in sorted(world.home.rglob("*")) if path.is_file()]
    return {str(path.relative_to(world.home)): path.read_bytes() for path in paths}


def release_record(world: World, number: int) -> Path:
    return world.warehouse() / "_slipway" / "releases" / f"{number:06d}.json"


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields), encoding="utf-8")


def dead() -> int:
    """The id of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_healthy_environment(world: World) -> None:
    before = content(world)
    assert world.answer("doctor") == "Nothing was found in dev.\n"
    assert world.answer("doctor", "--deep", "--fix") == "Nothing was found in dev.\n"
    assert content(world) == before


def test_where_nothing_ever_ran(empty: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(empty.workshop.temporary))
    assert empty.answer("doctor", "--fix") == "Nothing was found in dev.\n"
    assert not (empty.home / "dev" / "catalog.db").exists()


def test_a_publication_that_was_not_recorded(world: World) -> None:
    record = release_record(world, 2)
    before = json.loads(record.read_bytes())
    record.unlink()
    where, what = finding(world)
    assert where.startswith("release 2 of run ")
    assert what == "it is published and not recorded"
    assert not record.exists()
    assert repaired(world) == ["Heal"]
    assert json.loads(record.read_bytes()) | {"published_at": ""} == before | {"published_at": ""}


def test_a_run_that_was_killed(world: World) -> None:
    landed = world.folder / "landing" / "parcels" / "day-4.csv"
    world.workshop.land(landed.name, ("p7,N,2024-05-04,2",))
    killed = world.workshop.start("run", kill_before="slipway.runs.end:release").wait()
    landed.unlink()
    assert killed.code is None, killed
    (log,) = (world.home / "logs" / "dev").iterdir()
    lines, before = log.read_bytes(), world.workshop.published()
    (folder,) = world.warehouse().glob(f"_slipway/runs/*/{log.stem}")
    staged = len(list((folder / "candidate").iterdir()))
    assert staged
    text = world.slipway("doctor")
    assert text.code == 6
    assert f"run {log.stem}: {UNENDED}; it had staged {staged} tables." in text.out
    assert f"  close run {log.stem}: {UNENDED}\n" in text.out
    assert {"KeepLog", "CloseRun"} <= {*repaired(world)}
    assert world.workshop.published() == before
    assert gzip.decompress((folder / "log.jsonl.gz").read_bytes()) == lines
    assert not log.exists()
    newest = json.loads(world.answer("runs", "-o", "json"))[0]
    assert (newest["run_id"], newest["outcome"]) == (log.stem, "killed")


def test_a_run_that_is_under_way_is_no_finding(world: World) -> None:
    log = world.home / "logs" / "dev" / f"{OLD_RUN}.jsonl"
    command = [sys.executable, "-c", HOLDER, str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert findings(world) == []
        process.kill()
    assert finding(world)[0] == f"run {OLD_RUN}"


def test_a_run_has_its_log_locked(world: World) -> None:
    from slipway.dbt.event_stream import EventStream
    from slipway.processes import is_held

    events = EventStream("run", world.home / "logs" / "run.jsonl", print)
    assert is_held(events.path)
    events.close()
    assert not is_held(events.path)


def test_an_old_run_without_manifest_is_taken_for_dead(world: World) -> None:
    (world.warehouse() / "_slipway" / "runs" / "2024-05-01" / OLD_RUN).mkdir(parents=True)
    (world.warehouse() / "_slipway" / "runs" / "2999-05-01" / OLD_RUN.replace("2024", "2999")).mkdir(
        parents=True
    )
    assert finding(world) == (f"run {OLD_RUN}", f"{UNENDED}; it had staged 0 tables")
    assert repaired(world) == ["CloseRun"]


def test_what_dead_processes_left(world: World) -> None:
    pid, temporary = dead(), world.workshop.temporary
    kept = [temporary / "slipway-canary-0123abcd", temporary / f"slipway-ci-{os.getpid()}-0123abcd"]
    kept += [temporary / f"other-{pid}-0123abcd", world.home / "spill" / f"elsewhere-{pid}-0123abcd"]
    spilled = world.home / "spill" / f"{socket.gethostname()}-{pid}-0123abcd"
    own, other = mark(world.home), mark(world.home / "another")
    kept += [
        temporary / f"slipway-replay-{pid}-0123abcd",
        temporary / f"slipway-replay-{pid}-{other}-0123abcd",
    ]
    built = temporary / f"slipway-replay-{pid}-{own}-0123abcd"
    copied = temporary / f"slipway-landing-{pid}-{own}-0123abcd"
    scratch = world.home / "scratch" / OLD_RUN
    for folder in [*kept, spilled, built, copied, scratch]:
        (folder / "inside").mkdir(parents=True)
    half, young = (
        release_record(world, 3).with_name(".unfinished-x1"),
        release_record(world, 3).with_name(".unfinished-x2"),
    )
    half.write_bytes(b"{")
    young.write_bytes(b"{")
    os.utime(half, (0, 0))
    # its process has an id that is free here, such as one in another container, and runs
    (locked := temporary / f"slipway-canary-{pid}-{own}-4567cdef").mkdir()
    handle = os.open(locked, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    found = {item["where"]: item["what"] for item in findings(world)}
    assert found.keys() == {
        str(spilled),
        str(built),
        str(copied),
        f"scratch environment {scratch}",
        str(half),
    }
    assert found[str(copied)] == "it holds copies of landed files, and the process that made it is gone"
    assert repaired(world) == ["Remove"] * 5
    os.close(handle)
    assert all(folder.is_dir() for folder in [*kept, locked])
    assert young.exists()
    assert not any(path.exists() for path in (spilled, built, copied, scratch, half))
    assert repaired(world) == ["Remove"]


def test_leases_of_runs_that_are_gone(world: World) -> None:
    lease = world.workshop.lease(run_id=OLD_RUN)
    assert findings(world) == []  # it was written this moment, so its run lives
    os.utime(lease, (time.time() - 600, time.time() - 600))
    assert finding(world) == (f"lease of run {OLD_RUN}", "nobody renews it")
    assert repaired(world) == ["EndLease"]
    assert not lease.exists()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("damage", [b'{"number": 1,', b"\xff\xfe"])
def test_a_damaged_release_record_is_written_again_next_to_it(
    world: World, number: int, damage: bytes
) -> None:
    record = release_record(world, number)
    before = json.loads(record.read_bytes())
    record.write_bytes(damage)
    where, what = finding(world)
    assert where == f"file://{record}"
    assert what.startswith("cannot be read: ")
    assert repaired(world) == ["WriteReplacement"]
    assert record.read_bytes() == damage
    after = json.loads(record.with_name(f"{record.name}.repaired").read_bytes())
    now, then = (datetime.fromisoformat(one["published_at"]) for one in (after, before))
    assert now <= then  # when it was staged; a number of full seconds is shown without a fraction
    assert after | {"published_at": ""} == before | {"published_at": ""}
    assert [item["number"] for item in json.loads(world.answer("releases", "-o", "json"))] == [2, 1]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        pytest.param(
            {"schema_version": 99},
            "a newer slipway wrote it: it has schema version 99, and this one reads up to 2",
            id="newer",
        ),
        pytest.param({"target": "prod"}, "its target is prod, not dev", id="foreign"),
    ],
)
def test_a_release_record_of_another_is_only_reported(
    world: World, fields: dict[str, Any], what: str
) -> None:
    change(release_record(world, 2), **fields)
    before = content(world)
    (found,) = findings(world)
    assert what in found["what"]
    assert found["steps"] == []
    assert world.slipway("doctor", "--fix").code == 6
    assert content(world) == before


def test_records_of_runs_are_reported_with_their_place(world: World) -> None:
    (folder,) = world.warehouse().glob(f"_slipway/runs/*/{world.workshop.releases()[-1]['run_id']}")
    names = ["run_manifest.json", f"candidate/{WEIGHTS}.json", "dbt/manifest.json"]
    for name in names:
        (folder / name).write_bytes(b"{")
    assert {item["where"] for item in findings(world)} == {f"file://{folder}/{name}" for name in names}


def test_a_catalog_that_was_deleted_gets_its_tables_again(world: World) -> None:
    before, catalog = world.workshop.published(), world.home / "dev" / "catalog.db"
    catalog.unlink()
    assert finding(world)[0] == "The catalog of dev is gone"
    for command in (["sql", "show tables"], ["rollback"], ["show", WEIGHTS], ["connect"]):
        line = world.refusal(*command, code=6)
        assert line.startswith(f"The catalog of dev is gone: there is no file {catalog}"), line
    assert not catalog.exists()
    assert {*repaired(world)} == {"Register"}
    assert world.workshop.published() == before


@pytest.mark.long
def test_a_catalog_that_was_emptied(world: World) -> None:
    connection = sqlite3.connect(world.home / "dev" / "catalog.db")
    connection.execute("delete from iceberg_tables")
    connection.commit()
    connection.close()
    assert finding(world)[0] == "The catalog of dev is gone"
    line = world.workshop.refusal("run", code=6)
    assert line.startswith("The catalog of dev is gone: the catalog names no table, and ")
    assert world.workshop.published() == {}
    assert len(world.workshop.releases()) == 2
    (world.home / "dev" / "catalog.db").unlink()
    line = world.workshop.refusal("run", code=6)
    assert line.startswith("The catalog of dev is gone: there is no file "), line
    assert not (world.home / "dev" / "catalog.db").exists()
    assert {*repaired(world)} == {"Register"}
    assert world.workshop.run()["outcome"] == "unchanged"


def test_a_catalog_of_another_environment(world: World) -> None:
    other = {"SLIPWAY_WAREHOUSE": str(world.folder / "elsewhere")}
    what = (
        f"its tables are in file://{world.warehouse()}, and the warehouse is file://{world.folder}/elsewhere"
    )
    done = world.slipway("doctor", **other)
    assert done.code == 6, done
    assert what in done.out
    lines = [
        world.refusal("sql", "show tables", code=6, **other),
        world.workshop.refusal("run", code=6, **other),
    ]
    for line in lines:
        assert line.startswith(f"The catalog of dev is of another environment: {what}"), line
    assert not [path for path in world.folder.glob("elsewhere/**/*") if path.is_file()]


@pytest.mark.long
def test_a_warehouse_of_another_environment(world: World) -> None:
    """The records are dev's, the target is ci."""
    other = {"SLIPWAY_WAREHOUSE": str(world.warehouse())}
    before = content(world)
    line = world.workshop.refusal("run", "--target", "ci", code=6, **other)
    assert "releases/000002.json cannot be used: its target is dev, not ci" in line
    assert {name: there for name, there in content(world).items() if not name.startswith("ci/")} == before


def test_tables_that_another_program_changed(world: World) -> None:
    append(world, WEIGHTS)
    with world.catalog() as catalog:
        catalog.drop_table("curated.weights")
        catalog.load_table("raw.parcels").manage_snapshots().remove_tag("release-2").commit()
    found = {item["where"]: item["what"] for item in findings(world)}
    assert found.keys() == {WEIGHTS, "curated.weights", "raw.parcels"}
    assert "another program committed on top of release 2" in found[WEIGHTS]
    assert "another program dropped it" in found["curated.weights"]
    assert "tag release-2 is not there" in found["raw.parcels"]
    assert world.slipway("doctor", "--fix").code == 6
    assert {item["where"] for item in findings(world)} == {WEIGHTS, "curated.weights"}
    metadata = world.workshop.table("raw.parcels").metadata
    assert metadata.refs["release-2"].snapshot_id == metadata.current_snapshot_id


def test_files_that_are_missing_or_of_another_size(world: World) -> None:
    tables = {name: static(location) for name, location in world.workshop.published().items()}
    paths = {
        name: Path(next(iter(table.scan().plan_files())).file.file_path.removeprefix("file://"))
        for name, table in tables.items()
        if name in (WEIGHTS, "curated.weights")
    }
    paths[WEIGHTS].unlink()
    with paths["curated.weights"].open("ab") as stream:
        stream.write(b"x")
    assert findings(world) == []  # data files are asked for
    found = {item["where"]: item["what"] for item in findings(world, "--deep")}
    assert found.keys() == paths.keys()
    assert found[WEIGHTS].endswith(f"{paths[WEIGHTS]} is missing")
    assert " bytes, not " in found["curated.weights"]
    snapshot = tables["raw.parcels"].current_snapshot()
    assert snapshot is not None
    manifest = snapshot.manifests(tables["raw.parcels"].io)[0].manifest_path
    Path(manifest.removeprefix("file://")).unlink()
    Path(tables["reference.depots"].metadata_location.removeprefix("file://")).unlink()
    assert {item["where"] for item in findings(world)} == {"raw.parcels", "reference.depots"}


def test_a_hold_whose_rollback_never_came(world: World) -> None:
    before = "slipway.records.store:Records.write_intent"
    killed = world.workshop.start("rollback", "--hold", "--reason", "wrong", kill_before=before).wait()
    assert killed.code is None, killed
    where, what = finding(world)
    assert where.startswith("hold of ")
    assert what.endswith("placed it with release 3, which was never published: wrong")
    world.answer("hold", "--lift")
    assert findings(world) == []


def test_a_clock_that_is_behind_the_releases(world: World) -> None:
    change(release_record(world, 2), published_at="2999-01-01T00:00:00Z")
    assert finding(world) == (
        "clock of this machine",
        "the newest release was published at 2999-01-01 00:00:00 UTC, which is in the future",
    )


def test_a_catalog_that_cannot_be_read_is_a_finding_among_others(world: World) -> None:
    (world.home / "dev" / "catalog.db").write_bytes(b"no database" * 100)
    release_record(world, 1).write_bytes(b"")
    found = {item["where"] for item in findings(world)}
    assert found == {"Catalog of dev cannot be opened", f"file://{release_record(world, 1)}"}


@pytest.mark.parametrize(
    ("name", "stopped"),
    [
        pytest.param("releases/000002.json", ["rollback"], id="release"),
        pytest.param("runs/*/*/run_manifest.json", [], id="run manifest"),
        pytest.param("runs/*/*/candidate/serving.depot_weights.json", [], id="candidate"),
    ],
)
def test_one_damaged_record_does_not_make_everything_unusable(
    world: World, name: str, stopped: list[str]
) -> None:
    for record in (world.warehouse() / "_slipway").glob(name):
        record.write_bytes(record.read_bytes()[:100])
    before = content(world)
    for command in ("runs", "releases", "rollback"):
        if command in stopped:
            line = world.refusal(command, "--dry-run", code=6)
            assert "releases/000002.json cannot be read: it is no JSON" in line
        else:
            world.answer(command, *(["--dry-run"] if command == "rollback" else []))
    assert world.answer("sql", f"select sum(parcels)::int as n from {WEIGHTS}", "-o", "csv").split() == [
        "n",
        "5",
    ]
    assert "serving.depot_weights in dev" in world.answer("show", WEIGHTS)
    assert content(world) == before


@pytest.mark.long
def test_damaged_run_manifests_do_not_stop_a_run(world: World) -> None:
    for record in world.warehouse().glob("_slipway/runs/*/*/run_manifest.json"):
        record.write_bytes(b"")
    done = world.workshop.slipway("run")
    assert done.code == 0, done
    assert done.err.count("run_manifest.json cannot be read: it is empty") == 2


@pytest.mark.long
def test_a_damaged_release_has_a_run_refused_before_it_builds(world: World) -> None:
    release_record(world, 2).write_bytes(b"")
    before = content(world)
    line = world.workshop.refusal("run", code=6)
    assert line.startswith(f"file://{release_record(world, 2)} cannot be read: it is empty. ")
    assert content(world) == before
    shutil.copy(
        world.folder / "kept" / "home" / release_record(world, 2).relative_to(world.home),
        f"{release_record(world, 2)}.repaired",
    )
    assert world.workshop.run()["outcome"] == "unchanged"


def test_a_damaged_write_ahead_record_is_made_anew(world: World) -> None:
    """As after a crash between the publication and its record, with the disk damaged, too."""
    record = release_record(world, 2)
    before, intent = json.loads(record.read_bytes()), record.with_suffix(".publishing")
    record.unlink()
    intent.write_bytes(b"{")
    assert finding(world)[0] == f"file://{intent}"
    assert world.slipway("doctor", "--fix").code == 0
    assert finding(world)[1] == "it is published and not recorded"
    assert repaired(world) == ["Heal"]
    # which key was going to sign it, only the damaged record said
    lost = {"published_at": "", "signing_key": ""}
    assert before["signing_key"]
    assert json.loads(record.read_bytes()) == before | lost | {
        "published_at": json.loads(record.read_bytes())["published_at"]
    }
    assert intent.read_bytes() == b"{"


@pytest.mark.long
def test_a_catalog_that_is_only_read(world: World) -> None:
    landed = world.folder / "landing" / "parcels" / "day-4.csv"
    world.workshop.land(landed.name, ("p7,N,2024-05-04,2",))
    only_read = {
        "PYICEBERG_CATALOG__DEV__URI": f"sqlite:///file:{world.home}/dev/catalog.db?mode=ro&uri=true"
    }
    before = world.workshop.locations()
    line = world.workshop.refusal("run", code=5, **only_read)
    assert "Catalog of dev cannot be written: attempt to write a readonly database" in line
    done = world.slipway("rollback", **only_read)
    assert done.code == 5, done
    assert "cannot be written: attempt to write a readonly database" in done.err
    assert done.err.count("\n") == 1
    assert world.workshop.locations() == before
    assert world.workshop.run()["outcome"] == "published"
    landed.unlink()
    assert finding(world)[1] == "it was not published, and another was published since"
    assert repaired(world) == ["Heal"]


@pytest.mark.long
def test_a_staged_run_whose_base_moved(new_workshop: Callable[[Path], Workshop], tmp_path: Path) -> None:
    workshop = new_workshop(tmp_path)
    workshop.keep_locally("prod")
    workshop.settings["DBT_TARGET"] = "prod"
    workshop.commit()
    workshop.run()
    workshop.answer("publish", "latest")
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    staged = workshop.run()["run_id"]
    world = World.of(workshop)
    assert findings(world) == []
    append(workshop, WEIGHTS, "prod")
    found = {item["where"]: item["what"] for item in findings(world)}
    what = f"it is staged and cannot be published any more: another published {WEIGHTS} since"
    assert found.pop(f"run {staged}") == what
    assert found.keys() == {WEIGHTS}
    assert world.slipway("doctor", "--fix").code == 6
    assert {item["where"] for item in findings(world)} == {WEIGHTS}
    workshop.refusal("publish", staged, code=4)


@pytest.mark.long
def test_the_last_release_is_the_one_that_was_published_last(world: World) -> None:
    """A retry publishes under the number that the failed run had taken."""
    workshop = world.workshop
    broken = "models/serving/broken.sql"
    workshop.land("day-4.csv", ("p7,N,2024-05-04,2",))
    workshop.write(broken, "select error('no') as n from {{ ref('parcels_raw') }}")
    try:
        workshop.dbt("build", "--select", "parcels_raw", "broken", code=1)
        results = workshop.folder / "target" / "run_results.json"
        failed = results.read_bytes()
        workshop.write("models/serving/other.sql", "select 1 as n")
        assert workshop.slipway("run", "--select", "other").code == 0
        results.write_bytes(failed)
        workshop.write(broken, "select count(*) as n from {{ ref('parcels_raw') }}")
        workshop.dbt("retry")
        records = [json.loads(release_record(world, number).read_bytes()) for number in (3, 4)]
        assert records[0]["published_at"] > records[1]["published_at"]
        assert world.answer("doctor") == "Nothing was found in dev.\n"
        shown = workshop.published()
        record = release_record(world, 3)
        before = json.loads(record.read_bytes())
        (world.home / "dev" / "catalog.db").unlink()
        repaired(world)
        assert workshop.published() == shown
        # and when its record is lost, it is made anew from the one that was published before it
        record.write_bytes(b"")
        repaired(world)
        again = json.loads(record.with_name(f"{record.name}.repaired").read_bytes())
        assert again["tables"] == before["tables"]
    finally:
        for name in (broken, "models/serving/other.sql"):
            (workshop.path / name).unlink(missing_ok=True)
        (workshop.folder / "landing" / "parcels" / "day-4.csv").unlink()


@pytest.mark.long
def test_runs_of_another_target_are_left_to_it(world: World) -> None:
    workshop = world.workshop
    workshop.settings["DBT_TARGET"] = "ci"
    try:
        assert workshop.start("run", kill_before="slipway.runs.end:release").wait().code is None
        assert workshop.slipway("run", "--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}").code == 0
    finally:
        del workshop.settings["DBT_TARGET"]
    (scratch,) = (world.home / "scratch").iterdir()
    (log,) = (world.home / "logs" / "ci").iterdir()
    assert findings(world) == []
    later = Examination(environment(world), workshop.path, datetime.now(UTC) + timedelta(days=2))
    assert list(record_checks.scratch(later)) == []
    repaired(world)
    assert scratch.is_dir()
    assert log.is_file()


def environment(world: World) -> Environment:
    return Environment(
        "dev",
        Mode.EXPLORATORY,
        f"file://{world.warehouse()}",
        local_catalog(world.home / "dev"),
        "",
        world.home,
    )
