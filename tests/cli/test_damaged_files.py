"""Every kind of file damaged in every way, and every command on it: one line that names the file, and the rest goes on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.conftest import World
from tests.harness.projects import static

from slipway.records.store import note_removed
from slipway.storage.objects import LocalStore

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

WEIGHTS, OTHER = "serving.depot_weights", "curated.weights"
LEDGER = "ops.landed_files"
COMMANDS = {
    "doctor": ["doctor"],
    "doctor --deep": ["doctor", "--deep"],
    "maintain --dry-run": ["maintain", "--dry-run"],
    "maintain": ["maintain", "--older-than", "1h"],
    "sql": ["sql", f"select * from {WEIGHTS}"],
    "sql on another": ["sql", f"select * from {OTHER}"],
    "show table": ["show", WEIGHTS],
    "show run": ["show", "latest"],
    "releases": ["releases"],
    "runs": ["runs"],
    "rollback --dry-run": ["rollback", "--dry-run"],
    "run": ["run"],
}


def metadata(world: World, table: str) -> Path:
    return local(world.workshop.locations()[table])


def manifest_list(world: World, table: str) -> Path:
    current = static(f"file://{metadata(world, table)}").current_snapshot()
    assert current is not None
    return local(current.manifest_list)


def manifest(world: World, table: str) -> Path:
    found = static(f"file://{metadata(world, table)}")
    current = found.current_snapshot()
    assert current is not None
    return local(current.manifests(found.io)[0].manifest_path)


def data(world: World, table: str) -> Path:
    found = static(f"file://{metadata(world, table)}")
    return local(next(iter(found.scan().plan_files())).file.file_path)


def local(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def in_run(name: str) -> Callable[[World], Path]:
    """A file in the folder of the run that made the newest release."""

    def find(world: World) -> Path:
        run_id = world.workshop.releases()[-1]["run_id"]
        (folder,) = world.warehouse().glob(f"_slipway/runs/*/{run_id}")
        return folder / name

    return find


def record(name: str) -> Callable[[World], Path]:
    return lambda world: world.warehouse() / "_slipway" / name


def unrecorded(world: World) -> Path:
    """The intent of a publication whose process died before it was recorded."""
    record("releases/000002.json")(world).unlink()
    return record("releases/000002.publishing")(world)


def held(world: World) -> Path:
    hold = {"target": "dev", "release": 2, "placed_at": "2024-05-01T00:00:00Z", "who": "Ada", "reason": "no"}
    path = record("holds/000002.json")(world)
    path.parent.mkdir()
    path.write_text(json.dumps({"schema_version": 1} | hold), encoding="utf-8")
    return path


def list_of_removed(world: World) -> Path:
    """What retention wrote down of runs whose records it removed."""
    store = LocalStore(f"file://{world.warehouse() / '_slipway'}")
    note_removed(store, "20240501T000000Z-00000000", ["20200101T000000Z-0000000a"], "2024-05-01")
    (path,) = world.warehouse().glob("_slipway/removed/*")
    return path


KINDS: dict[str, Callable[[World], Path]] = {
    "metadata": lambda world: metadata(world, WEIGHTS),
    "manifest list": lambda world: manifest_list(world, WEIGHTS),
    "manifest": lambda world: manifest(world, WEIGHTS),
    "data": lambda world: data(world, WEIGHTS),
    "raw metadata": lambda world: metadata(world, "raw.parcels"),
    "raw manifest list": lambda world: manifest_list(world, "raw.parcels"),
    "raw manifest": lambda world: manifest(world, "raw.parcels"),
    "raw data": lambda world: data(world, "raw.parcels"),
    "ledger's metadata": lambda world: metadata(world, LEDGER),
    "ledger's manifest list": lambda world: manifest_list(world, LEDGER),
    "ledger's manifest": lambda world: manifest(world, LEDGER),
    "ledger's data": lambda world: data(world, LEDGER),
    "catalog": lambda world: world.home / "dev" / "catalog.db",
    "candidate": in_run(f"candidate/{WEIGHTS}.json"),
    "run manifest": in_run("run_manifest.json"),
    "dbt's manifest": in_run("dbt/manifest.json"),
    "dbt's results": in_run("dbt/run_results.json.gz"),
    "log": in_run("log.jsonl.gz"),
    "release": record("releases/000002.json"),
    "older release": record("releases/000001.json"),
    "intent": unrecorded,
    "hold": held,
    "list of removed runs": list_of_removed,
    "lease": lambda world: world.workshop.lease(WEIGHTS),
    "parse state": lambda world: world.folder / "target" / "partial_parse.msgpack",
}


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def noise(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(path.stat().st_size))


def missing(path: Path) -> None:
    path.unlink()


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


WAYS = {way.__name__: way for way in (empty, truncated, noise, missing, flipped)}


@pytest.fixture(scope="module")
def lived(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two releases and a run in which nothing changed."""
    workshop = new_workshop(tmp_path_factory.mktemp("damaged"))
    workshop.run()
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    workshop.run()
    workshop.run()
    workshop.keep("home", "target")
    return World.of(workshop)


OF_TABLES = {kind: WEIGHTS if "ledger" not in kind else LEDGER for kind in list(KINDS)[:12]}
OF_TABLES |= {kind: "raw.parcels" for kind in OF_TABLES if kind.startswith("raw")}


def is_found(kind: str, way: str, command: str) -> bool:
    """Whether a command has to name the file; a flipped bit may leave the content as it was."""
    if kind == "list of removed runs":
        return way in ("empty", "truncated", "noise") and command.startswith("doctor")
    if kind not in OF_TABLES or way == "flipped":
        return False
    if command in ("doctor --deep", "sql") and OF_TABLES[kind] == WEIGHTS:
        return True
    if command.startswith("doctor"):
        return command.endswith("--deep") or "data" not in kind or OF_TABLES[kind] == LEDGER
    return command.startswith("maintain") and "data" not in kind.replace("metadata", "")


def check(world: World, kind: str, way: str, command: str) -> None:
    world.put_back()
    path = KINDS[kind](world)
    WAYS[way](path)
    done = world.workshop.slipway(*COMMANDS[command])
    where = (kind, way, command, done)
    assert done.code in (0, 1, 3, 5, 6), where  # neither a defect nor an interrupt, nor killed by a signal
    assert "Traceback" not in done.err, where
    assert "terminate called" not in done.err, where
    if done.code and command not in ("run", "doctor", "doctor --deep", "maintain", "maintain --dry-run"):
        assert (done.out, done.err.count("\n")) == ("", 1), where
    if is_found(kind, way, command):
        assert done.code == 6, where
        assert path.name in done.out + done.err, where
    if command == "sql on another" and kind != "catalog":
        assert done.code == 0, where
    if command.startswith("maintain") and kind in OF_TABLES and done.code == 6:
        assert f"{OF_TABLES[kind]} was not touched: " in done.err, where
        assert "reaches back to" in done.out, where  # the others were looked at


@pytest.mark.long
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("way", list(WAYS))
def test_every_command(lived: World, kind: str, way: str) -> None:
    for command in COMMANDS:
        check(lived, kind, way, command)


@pytest.mark.long
def test_what_ended_the_process(built: Workshop) -> None:
    """The worst of the above: pyiceberg's EOFError was taken for Ctrl-C, and DuckDB aborted."""
    world = World.of(built)
    path = manifest(world, WEIGHTS)
    empty(path)
    for command in (["doctor", "--deep"], ["maintain", "--dry-run"], COMMANDS["sql"]):
        done = built.slipway(*command)
        assert done.code == 6, done
        assert path.name in done.out + done.err, done
    assert "raw.parcels" not in built.slipway("doctor", "--deep").out
    ledger = data(world, LEDGER)
    kept = ledger.read_bytes()
    missing(ledger)
    assert f"{ledger} is missing" in built.slipway("doctor").out
    assert ledger.name in built.refusal("run", code=6)
    ledger.write_bytes(kept)
    raw = manifest(world, "raw.parcels")
    empty(raw)
    # a table that is replaced needs none of its files, one that is read does
    done = built.slipway("run", "--force")
    assert (done.code, raw.name in done.out + done.err) == (1, True), done
