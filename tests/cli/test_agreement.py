"""Changes by mistake in records and files are found by ``slipway doctor``: by checksums, tags, digests and each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import World
from tests.harness.projects import static

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

WEIGHTS = "serving.depot_weights"


@pytest.fixture(scope="module")
def lived(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three releases, of which the last has no change but in raw, curated and serving."""
    workshop = new_workshop(tmp_path_factory.mktemp("agreement"))
    workshop.commit()
    workshop.run()
    for day in (3, 4):
        workshop.land(f"day-{day}.csv", (f"p1{day},S,2024-05-0{day},10.125",))
        workshop.run()
    workshop.keep("home")
    return World.of(workshop)


@pytest.fixture
def world(lived: World, monkeypatch: pytest.MonkeyPatch) -> World:
    lived.put_back()
    monkeypatch.setattr("tempfile.tempdir", str(lived.workshop.temporary))
    return lived


def found(world: World, *options: str) -> dict[str, str]:
    """Findings by where they are."""
    done = world.slipway("doctor", *options, "--output", "json")
    findings = json.loads(done.out)["findings"]
    assert done.code == (6 if findings else 0), done
    return {item["where"].removeprefix("file://"): item["what"] for item in findings}


def record(world: World, number: int, suffix: str = "json") -> Path:
    return world.warehouse() / "_slipway" / "releases" / f"{number:06d}.{suffix}"


def run_folder(world: World, number: int) -> Path:
    run_id = json.loads(record(world, number).read_bytes())["run_id"]
    (folder,) = world.warehouse().glob(f"_slipway/runs/*/{run_id}")
    return folder


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def metadata(world: World, table: str = WEIGHTS) -> Path:
    return Path(world.workshop.published()[table].removeprefix("file://"))


def test_nothing_is_found_where_nothing_was_touched(world: World) -> None:
    assert found(world, "--deep") == {}


def test_a_run_manifest_that_was_removed(world: World) -> None:
    for number in (1, 3):
        path = run_folder(world, number) / "run_manifest.json"
        path.unlink()
        assert found(world)[str(path)] == "it is missing, and the run wrote it"


def test_a_run_that_was_removed_as_a_whole(world: World) -> None:
    folder = run_folder(world, 2)
    shutil.rmtree(folder)
    assert f"run {folder.name} has no run manifest" in found(world)[str(record(world, 2))]


def commit(manifest: dict[str, Any]) -> None:
    manifest["code"]["commit"] = "0" * 40


def digest(manifest: dict[str, Any]) -> None:
    manifest["nodes"][0]["digest"] = manifest["nodes"][1]["digest"]


@pytest.mark.parametrize("change", [commit, digest])
def test_a_run_manifest_that_was_changed(world: World, change: Callable[[Any], None]) -> None:
    path = run_folder(world, 3) / "run_manifest.json"
    edit(path, change)
    message = found(world)
    assert message[str(path)] == "it is not what the run wrote: its checksum is another one"
    (run_folder(world, 3) / "checksums.json").unlink()
    message = found(world)
    assert (str(record(world, 3)) in message) is (change is commit)  # the release has the commit, too
    assert "it is missing" in message[str(run_folder(world, 3) / "checksums.json")]


def test_other_records_of_a_run(world: World) -> None:
    candidate = run_folder(world, 2) / f"candidate/{WEIGHTS}.json"
    edit(candidate, lambda content: content.update(snapshot_id="1"))
    results = run_folder(world, 1) / "dbt/run_results.json.gz"
    results.unlink()
    assert set(found(world)) == {str(candidate)}
    assert set(found(world, "--deep")) == {str(candidate), str(results)}


def test_a_release_record_that_names_the_metadata_of_another(world: World) -> None:
    older = json.loads(record(world, 1).read_bytes())["tables"][WEIGHTS]
    edit(record(world, 2), lambda content: content["tables"].update({WEIGHTS: older | {"changed": True}}))
    message = found(world)
    assert "another program" not in str(message)
    assert str(record(world, 2)) in message
    assert str(record(world, 3)) in message  # which has the checksum of the record before it
    assert "tag release-2 names snapshot" in message[WEIGHTS]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_release_that_was_removed_with_its_write_ahead_record(world: World, number: int) -> None:
    for suffix in ("json", "publishing", "reserved"):
        record(world, number, suffix).unlink(missing_ok=True)
    assert "it is missing" in found(world)[str(record(world, number))]


def test_a_data_file_of_the_same_size(world: World) -> None:
    table = static(f"file://{metadata(world)}")
    path = Path(next(iter(table.scan().plan_files())).file.file_path.removeprefix("file://"))
    content = path.read_bytes()
    # the values of the first column page: plain text, which decodes whatever it says
    at = content.index(b"N")
    path.write_bytes(content[:at] + b"M" + content[at + 1 :])
    assert found(world) == {}
    message = found(world, "--deep")
    assert (
        "its rows are not those that were written" in message[WEIGHTS] or "cannot be read" in message[WEIGHTS]
    )


def test_totals_that_were_changed(world: World) -> None:
    path = metadata(world)
    content = path.read_bytes()
    assert b'"total-records":"2"' in content
    path.write_bytes(content.replace(b'"total-records":"2"', b'"total-records":"3"'))
    assert path.name in found(world)[WEIGHTS]
    assert path.name in world.refusal("sql", f"from {WEIGHTS}", code=6)


def test_a_column_that_was_renamed(world: World) -> None:
    path = metadata(world)
    path.write_bytes(path.read_bytes().replace(b'"parcels"', b'"packets"'))
    assert path.name in found(world)[WEIGHTS]


def test_a_column_that_another_program_renamed(world: World) -> None:
    with world.catalog() as catalog, catalog.load_table(WEIGHTS).update_schema() as update:
        update.rename_column("parcels", "packets")
    assert "parcels long is now packets long" in found(world)[WEIGHTS]


def test_records_of_an_older_version_have_no_checksums(world: World) -> None:
    """Version 1 of the run manifest: nothing is missed."""
    for number in (1, 2, 3):
        edit(
            run_folder(world, number) / "run_manifest.json", lambda content: content.update(schema_version=1)
        )
        (run_folder(world, number) / "checksums.json").unlink()
        edit(record(world, number), lambda content: content.update(schema_version=1, previous=None))
    assert found(world) == {}
