"""``slipway publish``, and what waits for it: runs of a target of mode production, and of a gated one."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"
ALL = {
    "reference.depots",
    "raw.parcels",
    "curated.weights",
    "quarantine.weights",
    "serving.depot_weights",
}


@pytest.fixture
def prod(workshop: Workshop) -> Workshop:
    """The project at a commit, with a target prod that is kept in a local folder."""
    for target in ("prod", "staging"):
        folder = workshop.home / target
        folder.mkdir(parents=True)
        workshop.settings |= {
            f"PYICEBERG_CATALOG__{target.upper()}__TYPE": "sql",
            f"PYICEBERG_CATALOG__{target.upper()}__URI": f"sqlite:///{folder}/catalog.db",
            f"PYICEBERG_CATALOG__{target.upper()}__WAREHOUSE": f"file://{folder}/warehouse",
        }
    workshop.commit()
    return workshop


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
    assert staged.keys() == ALL
    assert {name: table["metadata_location"] for name, table in release["tables"].items()} == staged
    for name in ALL:
        metadata = prod.table(name, "prod").metadata
        assert metadata.refs["release-1"].snapshot_id == metadata.current_snapshot_id
    assert prod.published() == {}  # dev saw nothing of it


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
        "a run in prod needs a clean work tree at a commit: there are uncommitted changes"
    )
    assert not prod.warehouse("prod").exists()


def test_a_project_without_a_repository_is_refused_in_production(prod: Workshop, tmp_path: Path) -> None:
    prod.project.joinpath(".git").rename(tmp_path / "elsewhere")
    message = prod.refusal("run", "--target", "prod", code=1)
    assert "this is not a git repository" in message


def test_a_slice_of_production_may_come_from_a_dirty_tree(prod: Workshop) -> None:
    prod.run("--target", "prod")
    prod.slipway("publish", "latest", "--target", "prod")
    before = prod.locations("prod")
    prod.write("scratch.txt", "")
    run = prod.run("--target", "prod", "--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    assert (run["outcome"], bool(run["scratch"])) == ("published", True)
    assert prod.locations("prod") == before


def test_a_gated_target_publishes_by_itself(prod: Workshop) -> None:
    run = prod.run("--target", "staging")
    assert (run["outcome"], run["mode"], run["release"]) == ("published", "scheduled", 1)
    assert prod.published("staging").keys() == ALL


def test_a_gated_target_does_not_publish_what_was_not_tested(prod: Workshop) -> None:
    run = prod.run("--target", "staging", "--exclude", "weights_are_positive", code=1)
    assert (run["outcome"], run["tests"]["not_run"]) == ("failed", 1)
    assert "1 tests of what was built were not run" in run["reason"]
    assert "were not run" in refused(prod, run["run_id"], "staging", code=1)
    assert prod.published("staging") == {}


def refused(workshop: Workshop, run: str, target: str, code: int) -> str:
    """The refusal of a publication that changes nothing."""
    locations, releases = workshop.locations(target), workshop.releases(target)
    records = sorted(workshop.warehouse(target).glob("_slipway/**"))
    message = workshop.refusal("publish", run, "--target", target, code=code)
    assert (workshop.locations(target), workshop.releases(target)) == (locations, releases)
    assert sorted(workshop.warehouse(target).glob("_slipway/**")) == records
    return message


def test_publishing_twice_is_refused(prod: Workshop) -> None:
    run = prod.run("--target", "prod")["run_id"]
    prod.answer("publish", run, "--target", "prod")
    assert refused(prod, run, "prod", code=1).startswith(f"run {run} is published already")


def test_a_failed_run_is_not_published(prod: Workshop) -> None:
    prod.land("day-4.csv", ("p7,N,2024-05-04,-1",))
    run = prod.run("--target", "prod", code=1)["run_id"]
    message = refused(prod, run, "prod", code=1)
    assert message.startswith(f"run {run} cannot be published: failed: ")
    assert "weights_are_positive" in message
    assert prod.published("prod") == {}


def test_an_unchanged_run_is_not_published(prod: Workshop) -> None:
    prod.run("--target", "prod")
    prod.answer("publish", "latest", "--target", "prod")
    run = prod.run("--target", "prod")["run_id"]
    assert refused(prod, run, "prod", code=1).startswith(f"run {run} cannot be published: unchanged: ")


def test_a_candidate_is_stale_when_another_run_was_published(prod: Workshop) -> None:
    first = prod.run("--target", "prod")["run_id"]
    second = prod.run("--target", "prod", "--force")["run_id"]
    prod.answer("publish", second, "--target", "prod")
    message = refused(prod, first, "prod", code=4)
    assert message.startswith(f"run {first} cannot be published: ")
    assert "was published by another run since" in message


def test_a_run_that_was_killed_is_not_published(prod: Workshop) -> None:
    done = prod.start("run", "--target", "prod", kill_before="slipway.adapters.dbt.finish:conclude").wait()
    assert done.code is None
    message = refused(prod, "latest", "prod", code=3)
    assert "it never came to its end" in message


def test_there_is_no_such_run(prod: Workshop) -> None:
    assert refused(prod, "20240501", "prod", code=3).startswith("run 20240501: no such run")
    assert refused(prod, "latest", "prod", code=3).startswith("there is no run yet")


def test_a_publication_that_is_killed_is_recorded_by_the_next_command(prod: Workshop) -> None:
    run = prod.run("--target", "prod")
    kill = "slipway.adapters.records:Records.write_release"
    done = prod.start("publish", run["run_id"], "--target", "prod", kill_before=kill).wait()
    assert done.code is None
    assert prod.published("prod").keys() == ALL  # whole, though not recorded yet
    again = prod.slipway("run", "--target", "prod")
    assert again.code == 0, again
    assert [release["run_id"] for release in prod.releases("prod")] == [run["run_id"]]
    assert refused(prod, run["run_id"], "prod", code=1).startswith(
        f"run {run['run_id']} is published already"
    )


def test_a_publication_that_did_not_come_to_its_end_is_repeated(prod: Workshop) -> None:
    run = prod.run("--target", "prod")["run_id"]
    done = prod.start(
        "publish", run, "--target", "prod", kill_before="slipway.adapters.releases:publish"
    ).wait()
    assert (done.code, prod.published("prod")) == (None, {})
    with sqlite3.connect(prod.home / "prod" / "catalog.db") as other:  # someone else holds the catalog
        other.execute("begin immediate")
        message = prod.refusal("publish", run, "--target", "prod", code=5)
        other.rollback()
    other.close()
    assert message.startswith("catalog of prod cannot be written: database is locked")
    assert prod.published("prod") == {}
    prod.answer("publish", run, "--target", "prod")
    assert prod.published("prod").keys() == ALL
    assert [release["number"] for release in prod.releases("prod")] == [1]


def test_plain_dbt_stages_where_it_does_not_publish(prod: Workshop) -> None:
    output = prod.dbt("build", "--target", "prod")
    (run,) = prod.manifests("prod")
    assert run["outcome"] == "staged"
    assert f"slipway publish {run['run_id']} --target prod" in output
    assert prod.published("prod") == {}
    prod.answer("publish", run["run_id"], "--target", "prod")
    assert prod.published("prod").keys() == ALL
