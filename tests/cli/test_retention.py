"""Records of runs that retention removed: the commands say so, and doctor tells them from records that were lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.conftest import World

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

OLD = "20200101T000000Z-0000000a"
THEN = 1_577_836_800  # seconds, the same day


def copied(world: World, name: str) -> Path:
    """The records of a run as if it had run long ago, unchanged since."""
    (here,) = world.warehouse().glob(f"_slipway/runs/*/{world.runs[name]}")
    folder = world.warehouse() / f"_slipway/runs/2020-01-01/{OLD}"
    shutil.copytree(here, folder)
    manifest = json.loads((folder / "run_manifest.json").read_bytes()) | {"run_id": OLD, "release": None}
    (folder / "run_manifest.json").write_text(json.dumps(manifest))
    seal = json.loads((folder / "checksums.json").read_bytes()) | {"run_id": OLD}
    seal["sha256"]["run_manifest.json"] = hashlib.sha256(
        (folder / "run_manifest.json").read_bytes()
    ).hexdigest()
    (folder / "checksums.json").write_text(json.dumps(seal))
    for path in folder.rglob("*"):
        os.utime(path, (THEN, THEN))
    return folder


def test_old_records_go_and_every_command_says_so(world: World) -> None:
    before = {
        path: path.read_bytes() for path in world.warehouse().glob("_slipway/r*/**/*") if path.is_file()
    }
    healthy = world.slipway("doctor", "--deep").out
    folder = copied(world, next(iter(world.runs)))
    there = sorted(
        path.relative_to(world.warehouse() / "_slipway").as_posix() for path in folder.rglob("*.*")
    )
    planned = json.loads(world.answer("maintain", "--dry-run", "-o", "json"))
    (step,) = [one for one in planned["steps"] if one["table"] == "_slipway/runs"]
    assert (step["step"], step["runs"], sorted(step["files"])) == ("remove", [OLD], there)
    assert folder.exists()
    done = world.slipway("maintain")
    assert "records of 1 run, 2020-01-01" in done.out
    assert not folder.exists()
    # all others are as they were
    assert {path: path.read_bytes() for path in before} == before
    for argv in (("show", OLD), ("replay", OLD), ("publish", OLD)):
        found = world.slipway(*argv)
        assert found.code == 3
        assert f"retention removed the records of run {OLD}" in found.err
    assert world.slipway("doctor", "--deep").out == healthy  # with the killed run of this world
    assert OLD not in healthy


@pytest.mark.long
def test_what_retention_did_not_remove_is_missed(world: World) -> None:
    run_id = json.loads(world.answer("releases", "-o", "json"))[0]["run_id"]
    (folder,) = world.warehouse().glob(f"_slipway/runs/*/{run_id}")
    shutil.rmtree(folder)
    assert f"run {run_id} has no run manifest" in world.slipway("doctor").out


@pytest.mark.long
@pytest.mark.parametrize(
    "place",
    [
        "slipway.maintenance.run_records:note_removed",
        "slipway.storage.objects:LocalStore.delete",
        "slipway.maintenance.run_records:_remove_empty",
    ],
    ids=lambda place: place.rpartition(":")[2],
)
def test_maintenance_that_is_killed_is_finished_by_the_next(world: World, place: str) -> None:
    folder = copied(world, next(iter(world.runs)))
    healthy = world.slipway("doctor", "--deep").out
    assert world.workshop.start("maintain", kill_before=place).wait().code is None
    between = world.slipway("doctor", "--deep")
    assert f"run {OLD} has no" not in between.out
    rows = world.answer("sql", "select sum(kg) as kg from curated.weights", "-o", "csv")
    assert world.slipway("maintain").code == 0
    assert not folder.exists()
    assert f"retention removed the records of run {OLD}" in world.slipway("show", OLD).err
    assert world.slipway("doctor", "--deep").out == healthy
    assert world.answer("sql", "select sum(kg) as kg from curated.weights", "-o", "csv") == rows


def old_code(built: Workshop) -> Path:
    """The project has other code, of which only a run of long ago keeps the manifest; returns that run's folder."""
    built.edit("models/serving/depot_weights.sql", "    sum(kg) as kg", "    sum(kg) as kg, 1 as one")
    built.land("day-4.csv", ("p7,N,2024-05-04,-1",))
    built.run(code=1)
    failed = built.manifests()[-1]["run_id"]
    folder = copied(World(built.commands, built.folder, runs={"failed": failed}), "failed")
    shutil.rmtree(next(built.warehouse().glob(f"_slipway/runs/*/{failed}")))
    (built.folder / "landing/parcels/day-4.csv").unlink()
    built.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    for path in built.warehouse().glob("_slipway/dbt_manifests/*"):
        os.utime(path, (THEN, THEN))
    return folder


def is_whole(built: Workshop, folder: Path) -> None:
    """The old run is gone, the new one is published with all it has and all its rows, and nothing is missed."""
    assert not folder.exists()
    assert len(built.releases()) == 2
    rows = built.table("serving.depot_weights").scan().to_arrow().to_pylist()
    # the four weights of the first release are 1.5, 2, 0.25 and 4 kg
    assert sum(float(row["kg"]) for row in rows) == 1.5 + 2 + 0.25 + 4 + 10.125
    assert {row["one"] for row in rows} == {1}
    assert built.answer("doctor", "--deep") == "Nothing was found in dev.\n"
    assert f"retention removed the records of run {OLD}" in built.slipway("show", OLD).err


@pytest.mark.long
def test_a_run_publishes_while_maintenance_is_about_to_remove(built: Workshop) -> None:
    folder = old_code(built)
    maintaining = built.start("maintain", stop_before="slipway.maintenance.run_records:note_removed")
    maintaining.stopped()
    built.run()
    done = maintaining.resumed()
    assert done.code == 0, done
    is_whole(built, folder)


@pytest.mark.long
def test_maintenance_comes_to_its_end_while_a_run_waits(built: Workshop) -> None:
    folder = old_code(built)
    running = built.start("run", stop_before="slipway.runs.end:_write_records")
    running.stopped()
    assert built.slipway("maintain").code == 0
    done = running.resumed()
    assert done.code == 0, done
    is_whole(built, folder)
