"""``slipway publish``, and what waits for it: runs of a target of mode production, and of a gated one."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import some
from tests.harness.projects import TABLES

from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.iceberg.tables import Tables
from slipway.maintenance.protection import busy, kept
from slipway.maintenance.survey import read_history
from slipway.records.store import Records

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"


@pytest.fixture
def prod(workshop: Workshop) -> Workshop:
    return in_production(workshop)


def in_production(workshop: Workshop) -> Workshop:
    """The project at a commit, with a target prod that is kept in a local folder."""
    workshop.keep_locally("prod", "staging", options="?timeout=2")
    workshop.commit()
    return workshop


@pytest.mark.long
def test_a_run_in_production_waits_for_its_publication(prod: Workshop) -> None:
    done = prod.slipway("run", "--target", "prod")
    assert done.code == 0, done
    (run,) = prod.manifests("prod")
    run_id = run["run_id"]
    assert (run["outcome"], run["release"], run["mode"]) == ("staged", None, "production")
    assert f"slipway publish {run_id} --target prod" in done.out
    assert prod.published("prod") == {}
    assert prod.releases("prod") == []

    release = json.loads(prod.answer("publish", run_id, "--target", "prod", "--output", "json"))
    assert (release["number"], release["run_id"], release["target"]) == (1, run_id, "prod")
    assert release["code"] == run["code"]
    assert prod.releases("prod") == [release]
    staged = {node["table"]: node["metadata_location"] for node in run["nodes"]}
    assert prod.published("prod") == staged
    assert staged.keys() == TABLES
    assert {name: table["metadata_location"] for name, table in release["tables"].items()} == staged
    for name in TABLES:
        metadata = prod.table(name, "prod").metadata
        assert metadata.refs["release-1"].snapshot_id == metadata.current_snapshot_id
    assert prod.published() == {}  # dev saw nothing of it


@pytest.mark.long
def test_the_next_run_in_production_builds_on_what_was_published(prod: Workshop) -> None:
    prod.run("--target", "prod")
    assert prod.answer("publish", "latest", "--target", "prod").startswith(
        "Published release 1 in prod, 5 tables"
    )
    assert prod.run("--target", "prod")["outcome"] == "unchanged"
    prod.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    run = prod.run("--target", "prod")
    assert run["outcome"] == "staged"
    assert prod.table("raw.parcels", "prod").scan().to_arrow().num_rows == 5
    # a unique part of the id is enough
    answer = prod.answer("publish", run["run_id"][-8:], "--target", "prod")
    assert re.search(rf"Published release \d in prod, \d tables of run {run['run_id']}\.", answer)
    assert prod.table("raw.parcels", "prod").scan().to_arrow().num_rows == 6
    assert [release["run_id"] for release in prod.releases("prod")][-1] == run["run_id"]


def test_a_dirty_tree_is_refused_in_production(prod: Workshop) -> None:
    prod.edit(WEIGHT_MODEL, "    sum(kg) as kg", "    max(kg) as kg")
    message = prod.refusal("run", "--target", "prod", code=1)
    assert message.startswith(
        f"A run in prod needs a clean work tree at a commit: {WEIGHT_MODEL}: not as the commit holds it"
    )
    assert not prod.warehouse("prod").exists()


def test_code_that_git_ignores_is_not_a_clean_tree(prod: Workshop) -> None:
    prod.write(".gitignore", "*_local.sql\n")
    prod.git("add", ".gitignore")
    prod.git("commit", "--quiet", "--message", "ignore")
    prod.write("models/serving/weights_local.sql", "select 1 as n")
    message = prod.refusal("run", "--target", "prod", code=1)
    assert (
        "needs a clean work tree at a commit: models/serving/weights_local.sql: not in the commit" in message
    )


def test_a_project_without_a_repository_is_refused_in_production(prod: Workshop, tmp_path: Path) -> None:
    prod.path.joinpath(".git").rename(tmp_path / "elsewhere")
    message = prod.refusal("run", "--target", "prod", code=1)
    assert "not a git repository" in message


@pytest.mark.long
def test_a_slice_of_production_may_come_from_a_dirty_tree(prod: Workshop) -> None:
    prod.run("--target", "prod")
    prod.slipway("publish", "latest", "--target", "prod")
    before = prod.locations("prod")
    prod.write("scratch.txt", "")
    run = prod.run("--target", "prod", "--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    assert (run["outcome"], bool(run["scratch"])) == ("published", True)
    assert prod.locations("prod") == before


@pytest.mark.long
def test_a_gated_target_publishes_by_itself(prod: Workshop) -> None:
    run = prod.run("--target", "staging")
    assert (run["outcome"], run["mode"], run["release"]) == ("published", "scheduled", 1)
    assert prod.published("staging").keys() == TABLES


def test_a_gated_target_does_not_publish_what_was_not_tested(prod: Workshop) -> None:
    run = prod.run("--target", "staging", "--exclude", "weights_are_positive", code=1)
    assert (run["outcome"], run["tests"]["not_run"]) == ("failed", 1)
    assert "1 test of what was built was not run" in run["reason"]
    assert "was not run" in refused(prod, run["run_id"], "staging", code=1)
    assert prod.published("staging") == {}


def refused(workshop: Workshop, run: str, target: str, code: int) -> str:
    """The refusal of a publication that changes nothing."""
    locations, releases = workshop.locations(target), workshop.releases(target)
    records = sorted(workshop.warehouse(target).glob("_slipway/**"))
    message = workshop.refusal("publish", run, "--target", target, code=code)
    assert (workshop.locations(target), workshop.releases(target)) == (locations, releases)
    assert sorted(workshop.warehouse(target).glob("_slipway/**")) == records
    return message


@pytest.mark.long
def test_publishing_twice_is_refused(prod: Workshop) -> None:
    run = prod.run("--target", "prod")["run_id"]
    prod.answer("publish", run, "--target", "prod")
    assert refused(prod, run, "prod", code=1).startswith(f"Run {run} is published already")


@pytest.mark.long
def test_a_failed_run_is_not_published(prod: Workshop) -> None:
    prod.land("day-4.csv", ("p7,N,2024-05-04,-1",))
    run = prod.run("--target", "prod", code=1)["run_id"]
    message = refused(prod, run, "prod", code=1)
    assert message.startswith(f"Run {run} cannot be published: failed: ")
    assert "weights_are_positive" in message
    assert prod.published("prod") == {}


@pytest.mark.long
def test_an_unchanged_run_is_not_published(prod: Workshop) -> None:
    prod.run("--target", "prod")
    prod.answer("publish", "latest", "--target", "prod")
    run = prod.run("--target", "prod")["run_id"]
    assert refused(prod, run, "prod", code=1).startswith(f"Run {run} cannot be published: unchanged: ")


@pytest.mark.long
def test_a_candidate_is_stale_when_another_run_was_published(prod: Workshop) -> None:
    first = prod.run("--target", "prod")["run_id"]
    second = prod.run("--target", "prod", "--force")["run_id"]
    prod.answer("publish", second, "--target", "prod")
    message = refused(prod, first, "prod", code=4)
    snapshot = prod.table("curated.weights", "prod").metadata.current_snapshot_id
    assert message.startswith(
        f"Run {first} cannot be published: curated.weights moved, someone else created it,"
        f" its current snapshot is now {snapshot}"
    )


@pytest.mark.long
def test_a_run_that_was_killed_is_not_published(prod: Workshop) -> None:
    done = prod.start("run", "--target", "prod", kill_before="slipway.dbt.session:conclude").wait()
    assert done.code is None
    message = refused(prod, "latest", "prod", code=3)
    assert "it never came to its end" in message


def test_there_is_no_such_run(prod: Workshop) -> None:
    assert refused(prod, "20240501", "prod", code=3).startswith("Run 20240501: no such run")
    assert refused(prod, "latest", "prod", code=3).startswith("There is no run yet")


@pytest.mark.long
def test_a_publication_that_is_killed_is_recorded_by_the_next_command(prod: Workshop) -> None:
    run = prod.run("--target", "prod")
    kill = "slipway.records.store:Records.write_release"
    done = prod.start("publish", run["run_id"], "--target", "prod", kill_before=kill).wait()
    assert done.code is None
    assert prod.published("prod").keys() == TABLES  # whole, though not recorded yet
    again = prod.slipway("run", "--target", "prod")
    assert again.code == 0, again
    assert [release["run_id"] for release in prod.releases("prod")] == [run["run_id"]]
    assert refused(prod, run["run_id"], "prod", code=1).startswith(
        f"Run {run['run_id']} is published already"
    )


@pytest.mark.long
def test_a_publication_that_did_not_come_to_its_end_is_repeated(prod: Workshop) -> None:
    run = prod.run("--target", "prod")["run_id"]
    done = prod.start(
        "publish", run, "--target", "prod", kill_before="slipway.releases.publication:publish"
    ).wait()
    assert (done.code, prod.published("prod")) == (None, {})
    with sqlite3.connect(prod.home / "prod" / "catalog.db") as other:  # someone else holds the catalog
        other.execute("begin immediate")
        message = prod.refusal("publish", run, "--target", "prod", code=5)
        other.rollback()
    other.close()
    assert message.startswith("Catalog of prod cannot be written: database is locked")
    assert prod.published("prod") == {}
    prod.answer("publish", run, "--target", "prod")
    assert prod.published("prod").keys() == TABLES
    assert [release["number"] for release in prod.releases("prod")] == [1]


@pytest.mark.long
def test_plain_dbt_stages_where_it_does_not_publish(prod: Workshop) -> None:
    output = prod.dbt("build", "--target", "prod")
    (run,) = prod.manifests("prod")
    assert run["outcome"] == "staged"
    assert f"slipway publish {run['run_id']} --target prod" in output
    assert prod.published("prod") == {}
    prod.answer("publish", run["run_id"], "--target", "prod")
    assert prod.published("prod").keys() == TABLES


@pytest.mark.long
def test_a_retry_is_not_of_the_commit_that_it_ended_at(prod: Workshop) -> None:
    model = prod.path / "models" / "curated" / "weights.sql"
    broken = prod.path / "models" / "serving" / "broken.sql"
    good = model.read_text(encoding="utf-8")
    broken.write_text("select error('no') as n from {{ ref('weights') }}", encoding="utf-8")
    prod.commit()
    model.write_text(good + "\nand kg > 0", encoding="utf-8")
    prod.dbt("build", "--target", "prod", code=1)
    model.write_text(good, encoding="utf-8")
    broken.write_text("select 1 as n from {{ ref('weights') }}", encoding="utf-8")
    prod.commit()
    prod.dbt("retry", "--target", "prod")
    run = prod.manifests("prod")[-1]
    assert (run["outcome"], run["code"]["dirty"]) == ("staged", True)
    assert "or from more than one commit" in refused(prod, run["run_id"], "prod", code=1)
    assert prod.published("prod") == {}


@pytest.fixture(scope="module")
def staged(
    new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workshop, Path]:
    """A release in production, a run that was staged on top of it, and the folder of its records."""
    workshop = in_production(new_workshop(tmp_path_factory.mktemp("staged")))
    workshop.run("--target", "prod")
    workshop.answer("publish", "latest", "--target", "prod")
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    run = workshop.run("--target", "prod")["run_id"]
    (folder,) = workshop.warehouse("prod").glob(f"_slipway/runs/*/{run}")
    return workshop, folder


@contextmanager
def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """A JSON file with something else in it."""
    before = path.read_bytes()
    content = json.loads(before)
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(before)


@contextmanager
def changed_record(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """A record of a run with something else in it, and with a checksum that fits."""

    def reseal(sums: dict[str, Any]) -> None:
        sums["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()

    with changed(folder / name, change), changed(folder / "checksums.json", reseal):
        yield


def aged(run: dict[str, Any]) -> None:
    """As two days later, where a day is allowed."""
    run["freshness"][0] |= {"last_landed_at": "2024-05-01T00:00:00Z", "error_after_seconds": 86400}


def metadata_of(folder: Path, table: str) -> Path:
    record = json.loads((folder / "candidate" / f"{table}.json").read_bytes())
    return Path(record["metadata_location"].removeprefix("file://"))


GATES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a source that became stale": (
        aged,
        "landing.parcels brought its last file of this run at 2024-05-01 00:00 UTC",
    ),
    "a test that was not run": (
        lambda run: run["tests"]["results"][0].update(status="not run"),
        "the tests of its run manifest do not add up",
    ),
    "a test that failed": (
        lambda run: run["tests"]["results"][0].update(status="fail"),
        " failed. Run again.",
    ),
    "a dirty tree": (lambda run: run["code"].update(dirty=True), "uncommitted changes"),
    "another snapshot": (
        lambda run: run["nodes"][-1].update(candidate_snapshot="1"),
        "is not what the run manifest says",
    ),
}


@pytest.mark.parametrize(
    ("change", "reported"), some(2, [pytest.param(*gate, id=name) for name, gate in GATES.items()])
)
def test_gates_are_asked_again(
    staged: tuple[Workshop, Path], change: Callable[[dict[str, Any]], None], reported: str
) -> None:
    workshop, folder = staged
    with changed_record(folder, "run_manifest.json", change):
        message = refused(workshop, folder.name, "prod", code=6 if "run manifest says" in reported else 1)
    assert message.startswith(f"Run {folder.name} cannot be published: ")
    assert reported in message


RECORDS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "snapshot": (lambda record: record.update(snapshot_id="1"), "is not what the run manifest says"),
    "file": (
        lambda record: record.update(metadata_location=record["base"]),
        "is not what the run manifest says",
    ),
    "updates": (lambda record: record["updates"].pop(), "is not what its candidate record says"),
    "release": (lambda record: record.update(release=1), "is not what its candidate record says"),
}


@pytest.mark.parametrize(("change", "reported"), RECORDS.values(), ids=RECORDS.keys())
def test_an_altered_candidate_record_is_refused(
    staged: tuple[Workshop, Path], change: Callable[[dict[str, Any]], None], reported: str
) -> None:
    workshop, folder = staged
    with changed_record(folder, "candidate/raw.parcels.json", change):
        message = refused(workshop, folder.name, "prod", code=6)
    assert "raw.parcels" in message
    assert reported in message


METADATA: dict[str, Callable[[dict[str, Any]], None]] = {
    "manifest list": lambda found: found["snapshots"][-1].update({"manifest-list": "file:///elsewhere.avro"}),
    "property": lambda found: found["properties"].update(owner="mallory"),
    "main": lambda found: found.update({"current-snapshot-id": found["snapshots"][0]["snapshot-id"]}),
}


@pytest.mark.parametrize("change", METADATA.values(), ids=METADATA.keys())
def test_altered_metadata_is_refused(
    staged: tuple[Workshop, Path], change: Callable[[dict[str, Any]], None]
) -> None:
    workshop, folder = staged
    path = metadata_of(folder, "raw.parcels")
    with changed(path, change):
        message = refused(workshop, folder.name, "prod", code=6)
    assert "metadata cannot be read" in message
    assert path.name in message


def test_an_altered_record_is_refused_by_its_checksum(staged: tuple[Workshop, Path]) -> None:
    workshop, folder = staged
    with changed(folder / "candidate" / "raw.parcels.json", lambda record: record.update(release=1)):
        message = refused(workshop, folder.name, "prod", code=6)
    assert "raw.parcels.json: it is not what the run wrote: its checksum is another one" in message


def test_a_candidate_without_all_its_records_is_refused(
    staged: tuple[Workshop, Path], tmp_path: Path
) -> None:
    workshop, folder = staged
    record = folder / "candidate" / "raw.parcels.json"
    record.rename(tmp_path / record.name)
    message = refused(workshop, folder.name, "prod", code=6)
    (tmp_path / record.name).rename(record)
    assert "raw.parcels.json: it is missing, and the run wrote it" in message


@pytest.mark.long
def test_a_property_of_another_program_leaves_a_candidate_what_it_is(prod: Workshop) -> None:
    prod.run("--target", "prod")
    prod.answer("publish", "latest", "--target", "prod")
    prod.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    run_id = prod.run("--target", "prod")["run_id"]
    folder = prod.home / "prod"
    with prod.catalog("prod") as catalog, catalog.load_table("raw.parcels").transaction() as transaction:
        transaction.set_properties(owner="harbour")
    assert prod.answer("doctor", "--target", "prod") == "Nothing was found in prod.\n"
    place = Environment(
        "prod", Mode.PRODUCTION, f"file://{folder}/warehouse", local_catalog(folder), "", prod.home
    )
    later, floor = datetime.now(UTC) + timedelta(days=4), timedelta(days=3)
    history = read_history(Tables(place), Records(place), {}, later, floor)
    (why,) = [one.why for one in kept(history, "raw.parcels") if one.why.startswith("candidate")]
    assert why == f"candidate of run {run_id}"
    assert busy(history, "raw.parcels") == f"run {run_id} is staged on it: publish that first"
    prod.answer("publish", run_id, "--target", "prod")
    assert prod.table("raw.parcels", "prod").properties["owner"] == "harbour"


def test_a_hold_and_a_run_under_way_refuse_a_publication_and_a_property_does_not(
    staged: tuple[Workshop, Path], tmp_path: Path
) -> None:
    workshop, folder = staged
    holds = workshop.warehouse("prod") / "_slipway" / "holds" / "000001.json"
    holds.parent.mkdir()
    hold = {
        "target": "prod",
        "release": 1,
        "placed_at": "2024-05-01T00:00:00Z",
        "who": "ada",
        "reason": "day 2 is wrong",
    }
    holds.write_text(json.dumps(hold), encoding="utf-8")
    assert "ada: day 2 is wrong" in refused(workshop, folder.name, "prod", code=1)
    holds.unlink()

    # a run of another machine
    lease = workshop.lease("raw.parcels", target="prod")
    message = workshop.refusal("publish", folder.name, "--target", "prod", code=4)
    assert message.startswith(
        f"Publication of run {folder.name} is refused: raw.parcels is taken by run {lease.stem} of ada on harbour"
        " (process 1), since 2024-05-01 00:00:00 UTC"
    )
    lease.unlink()

    with workshop.catalog("prod") as catalog, catalog.load_table("raw.parcels").transaction() as transaction:
        transaction.set_properties({"steward": "ada"})
    workshop.answer("publish", folder.name, "--target", "prod")
    published = workshop.table("raw.parcels", "prod")
    assert published.properties["steward"] == "ada"
    assert published.scan().to_arrow().num_rows == 6
