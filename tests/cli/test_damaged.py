"""Every kind of record damaged in every way, and every command on it: one line that names the record, and nothing is lost.

One damaged record does not make everything unusable: the table below says which commands it stops.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import Printed, World

if TYPE_CHECKING:
    from tests.harness.commands import Output
    from tests.harness.projects import Workshop

WEIGHTS = "serving.depot_weights"
TARGET = {"DBT_TARGET": "prod"}
READING: dict[str, list[str]] = {
    "runs": ["runs"],
    "releases": ["releases"],
    "show run": ["show", "latest"],
    "show table": ["show", WEIGHTS],
    "sql": ["sql", f"select * from {WEIGHTS}"],
    "sql --run": ["sql", f"select * from {WEIGHTS}", "--run", "latest"],
    "sql --release": ["sql", f"select * from {WEIGHTS}", "--release", "1"],
    "sql --as-of": ["sql", f"select * from {WEIGHTS}", "--as-of", "2999-01-01"],
    "connect": ["connect"],
    "hold": ["hold"],
    "rollback": ["rollback", "--dry-run"],
    "replay": ["replay", "latest"],
}
WRITING: dict[str, list[str]] = {
    "publish": ["publish", "latest"],
    "rollback for good": ["rollback", "--to", "1"],
    "run": ["run"],
    "dbt build": ["build"],
    "maintain": ["maintain"],
}
HOLD = {
    "schema_version": 1,
    "target": "prod",
    "release": 2,
    "placed_at": "2024-05-01T00:00:00Z",
    "who": "Ada",
    "reason": "wrong",
}


@dataclass(frozen=True)
class Kind:
    """A record that is damaged.

    Args:
        record: finds it; its name without folder is in the message.
        stops: the commands that refuse.
        reported_by: commands that go on and tell of it.
        before: makes the environment one that has such a record.
        has_target: whether it says which environment it is of.
        is_versioned: whether it has a version.
    """

    record: Callable[[World], Path]
    stops: frozenset[str]
    reported_by: frozenset[str] = frozenset()
    before: Callable[[World], None] = lambda _: None
    has_target: bool = False
    is_versioned: bool = True


def in_run(number: int, name: str) -> Callable[[World], Path]:
    """A record of a run, by its number from the oldest."""

    def find(world: World) -> Path:
        folders = sorted(path for path in warehouse(world).glob("_slipway/runs/*/*"))
        return folders[number] / name

    return find


def of_release(name: str) -> Callable[[World], Path]:
    return lambda world: warehouse(world) / "_slipway" / name


def warehouse(world: World) -> Path:
    return world.home / "prod" / "warehouse"


def unrecorded(world: World) -> None:
    """As a crash between the publication and its record leaves it."""
    (warehouse(world) / "_slipway/releases/000002.json").unlink()


def held(world: World) -> None:
    folder = warehouse(world) / "_slipway/holds"
    folder.mkdir()
    (folder / "000002.json").write_text(json.dumps(HOLD), encoding="utf-8")


WRITES = frozenset(WRITING)
KINDS = {
    "newest release": Kind(
        of_release("releases/000002.json"),
        stops=WRITES | {"rollback", "sql --as-of"},
        reported_by=frozenset({"releases", "show table"}),
        has_target=True,
    ),
    "older release": Kind(
        of_release("releases/000001.json"),
        # readers see the second, and there is nothing left before it
        stops=frozenset({"rollback", "rollback for good", "sql --release", "sql --as-of", "maintain"}),
        reported_by=frozenset({"releases", "show table"}),
        has_target=True,
    ),
    "intent": Kind(
        of_release("releases/000002.publishing"),
        stops=WRITES | {"rollback"},
        reported_by=frozenset({"releases", "show run", "show table"}),
        before=unrecorded,
    ),
    "hold": Kind(
        of_release("holds/000002.json"),
        stops=frozenset({"hold", "publish", "run", "dbt build", "maintain"}),
        reported_by=frozenset({"rollback", "rollback for good"}),
        before=held,
        has_target=True,
    ),
    "run manifest": Kind(
        in_run(2, "run_manifest.json"),
        stops=frozenset({"show run", "sql --run", "publish", "replay", "maintain"}),
        reported_by=frozenset({"runs", "run"}),
        has_target=True,
    ),
    "candidate": Kind(
        in_run(2, f"candidate/{WEIGHTS}.json"), stops=frozenset({"sql --run", "publish", "maintain"})
    ),
    "dbt's manifest": Kind(
        in_run(1, "dbt/manifest.json"),
        stops=frozenset({"maintain"}),  # it says how much history is to be kept
        reported_by=frozenset({"rollback", "rollback for good"}),
        is_versioned=False,
    ),
}


def empty(record: Path) -> None:
    record.write_bytes(b"")


def cut(record: Path) -> None:
    content = record.read_bytes()
    record.write_bytes(content[: len(content) // 2])


def newer(record: Path) -> None:
    edit(record, schema_version=99, new_field="?")


def retyped(record: Path) -> None:
    """Every value is a list, the record itself is still JSON."""
    edit(
        record,
        **{
            name: [value]
            for name, value in json.loads(record.read_bytes()).items()
            if name != "schema_version"
        },
    )


def listed(record: Path) -> None:
    record.write_text(f"[{record.read_text(encoding='utf-8')}]", encoding="utf-8")


def binary(record: Path) -> None:
    record.write_bytes(b"\xff\x00\xfe" * 100)


def foreign(record: Path) -> None:
    edit(record, target="dev")


def edit(record: Path, **fields: object) -> None:
    record.write_text(json.dumps(json.loads(record.read_bytes()) | fields), encoding="utf-8")


WAYS = {way.__name__: way for way in (empty, cut, newer, retyped, listed, binary, foreign)}


def cases() -> list[Any]:
    return [
        pytest.param(kind, way, id=f"{kind}-{way}")
        for kind, of in KINDS.items()
        for way in WAYS
        if (way != "foreign" or of.has_target) and (way != "newer" or of.is_versioned)
    ]


@pytest.fixture(scope="module")
def lived(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> World:
    """A target prod with two releases and a run that is staged, each with a day more."""
    workshop = new_workshop(tmp_path_factory.mktemp("damaged"))
    workshop.keep_locally("prod")
    workshop.settings |= TARGET
    workshop.commit()
    for day in (3, 4):
        workshop.run()
        workshop.answer("publish", "latest")
        workshop.land(f"day-{day}.csv", (f"p1{day},S,2024-05-0{day},10.125",))
    workshop.run()
    workshop.keep("home")
    return World.of(workshop)


def state(world: World) -> tuple[dict[str, str], dict[str, bytes]]:
    """What readers see, and every record."""
    folder = warehouse(world) / "_slipway"
    records = {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    return world.workshop.published("prod"), records


def carried_out(world: World, name: str) -> Printed | Output:
    if name in READING:
        return world.slipway(*READING[name])
    program = "dbt" if name == "dbt build" else "slipway"
    return world.workshop.start(*WRITING[name], program=program).wait()


def check(world: World, kind: str, way: str, commands: list[str]) -> None:
    for name in commands:
        world.put_back()
        KINDS[kind].before(world)
        record = KINDS[kind].record(world)
        WAYS[way](record)
        tables, records = state(world)
        done = carried_out(world, name)
        message = done.out + done.err if name == "dbt build" else done.err
        assert "Traceback" not in message, (name, message)
        now_tables, now_records = state(world)
        assert {key: now_records.get(key) for key in records} == records, name  # none is changed or gone
        if name in KINDS[kind].stops:
            assert done.code == (2 if name == "dbt build" else 6), (name, done)
            assert now_tables == tables, name
            lines = [line for line in message.splitlines() if record.name in line]
            assert lines, (name, message)
            assert name == "dbt build" or message.splitlines() == lines, (name, message)
            assert not [key for key in now_records.keys() - records.keys() if key.endswith(".json")], name
        else:
            assert done.code == 0, (name, done)
        if name in KINDS[kind].reported_by:
            assert record.name in message or record.parent.name in message, (name, message)


def test_reading_with_a_record_cut_off(world: World, tmp_path: Path) -> None:
    """One of the cases below, on the environment that all tests read."""
    home = tmp_path / "home"
    shutil.copytree(world.home, home)
    record = home / "dev/warehouse/_slipway/releases/000002.json"
    cut(record)
    refused = world.refusal("sql", f"from {WEIGHTS}", "--as-of", "2999-01-01", code=6, SLIPWAY_HOME=str(home))
    assert record.name in refused
    done = world.slipway("releases", SLIPWAY_HOME=str(home))
    assert (done.code, record.name in done.err) == (0, True), done


@pytest.mark.long
@pytest.mark.parametrize(("kind", "way"), cases())
def test_reading(lived: World, kind: str, way: str) -> None:
    check(lived, kind, way, [name for name in READING if name != "replay"])


@pytest.mark.long
@pytest.mark.parametrize(("kind", "way"), cases())
def test_writing(lived: World, kind: str, way: str) -> None:
    check(lived, kind, way, list(WRITING))


@pytest.mark.long
@pytest.mark.parametrize("way", list(WAYS))
def test_replay_of_a_run_whose_manifest_is_damaged(lived: World, way: str) -> None:
    check(lived, "run manifest", way, ["replay"])


@pytest.mark.long
@pytest.mark.parametrize("way", list(WAYS))
def test_a_hold_that_is_damaged_can_be_lifted_and_one_of_another_cannot(lived: World, way: str) -> None:
    lived.put_back()
    held(lived)
    record = KINDS["hold"].record(lived)
    WAYS[way](record)
    content = record.read_bytes()
    done = lived.slipway("hold", "--lift")
    if is_foreign := WAYS[way] in (newer, foreign):
        assert (done.code, record.name in done.err, done.out) == (6, True, ""), done
    else:
        assert (done.code, done.out) == (0, "The hold of release 2 was lifted.\n"), done
        assert record.name in done.err
    assert record.with_suffix(".lifted").exists() is not is_foreign
    assert record.read_bytes() == content
    assert lived.slipway("hold").code == (6 if is_foreign else 0)


@pytest.mark.long
@pytest.mark.parametrize(("kind", "way"), cases())
def test_doctor_finds_it(lived: World, kind: str, way: str) -> None:
    lived.put_back()
    KINDS[kind].before(lived)
    record = KINDS[kind].record(lived)
    WAYS[way](record)
    done = lived.slipway("doctor", "--output", "json")
    assert done.code == 6, done
    assert f"file://{record}" in {item["where"] for item in json.loads(done.out)["findings"]}
    before = record.read_bytes()
    lived.slipway("doctor", "--fix")
    assert record.read_bytes() == before
