"""``slipway promote --rebuild``: the target builds the commit of a release on its own inputs, and no data is copied."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.keys import MadeKey, keys_yml
from tests.harness.projects import HEADER, TABLES, keep, put_back

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.projects import Workshop

CI = MadeKey("ci")
ADA = MadeKey("ada", "Ada")
POLICY = """
environments:
  ci: {from: [staging], rebuild: true, require: {tests_passed: true, signed: true}}
  prod: {from: [staging], approvals: {count: 1}}
"""
REBUILD = ("promote", "--from", "staging", "--to", "ci", "--rebuild")


@pytest.fixture(scope="module")
def staged(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A signed release of a commit in staging, made with a variable; its targets have other landed files."""
    found = new_workshop(tmp_path_factory.mktemp("rebuilt") / "run")
    found.keep_locally("staging", "prod", options="?timeout=2")
    found.write("promotion.yml", POLICY)
    found.write("keys.yml", keys_yml(CI, ADA))
    found.edit("models/serving/depot_weights.sql", "count(*)", "count(*) + {{ var('more', 0) }}")
    found.write("requirements.lock", "dbt-core==1.11.16\n")
    found.commit()
    found.settings["SLIPWAY_SIGNING_KEY"] = CI.private
    found.run("--target", "staging", "--vars", "{more: 7}")
    found.settings["SLIPWAY_LANDING"] = str(found.folder / "elsewhere")
    parcels = found.folder / "elsewhere/parcels"
    parcels.mkdir(parents=True)
    (parcels / "day-1.csv").write_text(
        f"{HEADER}\nq1,N,2024-05-01,2.500\nq2,N,2024-05-01,1.500\n", encoding="utf-8"
    )
    keep(found.folder)
    return found


@pytest.fixture
def lab(staged: Workshop) -> Workshop:
    """The same for a test that may change it."""
    put_back(staged.folder)
    return replace(staged, settings=dict(staged.settings))


def promotion(lab: Workshop, number: int, target: str = "ci") -> dict[str, Any]:
    path = lab.warehouse(target) / f"_slipway/promotions/{number:06d}/promotion.json"
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def test_a_release_is_built_again_where_its_data_must_not_go(lab: Workshop) -> None:
    copying = lab.refusal("promote", "--to", "ci", code=2)
    assert copying.startswith(
        "No data may be copied to ci: promotion.yml says rebuild: true for it. Promote with"
    )
    done = json.loads(lab.answer(*REBUILD, "--output", "json"))
    (release,) = lab.releases("ci")
    assert (done["release"], done["files_copied"]) == (1, 0)
    # the variable of the run in staging counts, and the files that landed here
    shown = lab.table("serving.depot_weights", "ci").scan().to_arrow().to_pylist()
    assert [(row["depot"], row["parcels"]) for row in shown] == [("N", 2 + 7)]
    (run,) = lab.manifests("ci")
    assert (run["outcome"], release["run_id"]) == ("staged", run["run_id"])
    assert release["promoted"]["rebuilt"] is True
    assert (release["promoted"]["target"], release["promoted"]["release"]) == ("staging", 1)
    assert run["code"]["commit"] == lab.releases("staging")[0]["code"]["commit"]

    kept = promotion(lab, 1)
    assert kept["copied"] == {}
    rebuilt = kept["rebuilt"]
    assert done["rebuilt"] == rebuilt
    assert rebuilt["tables"].keys() == TABLES
    assert rebuilt["tables"]["reference.depots"]["verdict"] == "identical"
    weights = rebuilt["tables"]["curated.weights"]
    source = lab.table("curated.weights", "staging").scan().to_arrow().num_rows
    assert (weights["verdict"], weights["rows"], weights["source_rows"]) == ("different", 2, source)
    rules = {one["rule"] for one in kept["evidence"]}
    assert {"tests_passed", "signed", "tests_passed (rebuilt)", "records (rebuilt)"} <= rules
    verified = lab.slipway("verify", "--target", "ci", "--content", "--output", "json")
    assert verified.code == 0, verified
    kinds = {link["kind"] for link in json.loads(verified.out)["links"]}
    assert {"evidence", "run", "tests", "landed files"} <= kinds


@pytest.mark.long
def test_it_is_approved_as_any_promotion(lab: Workshop) -> None:
    rebuild = ("promote", "--to", "prod", "--rebuild")
    assert "is not approved" in lab.refusal(*rebuild, code=1)
    plan_id = json.loads(lab.answer(*rebuild, "--plan", "--output", "json"))["plan"]["plan_id"]
    assert "the commit of the release, by a run of prod" in lab.answer("plan", "show", "--target", "prod")
    lab.answer("approve", plan_id, "--target", "prod", "--yes", SLIPWAY_SIGNING_KEY=ADA.private)
    said = lab.answer("promote", plan_id, "--to", "prod")
    assert "Release 1 in prod shows what commit" in said
    assert any(line.split()[:2] == ["reference.depots", "identical"] for line in said.splitlines())
    assert "release 1 of staging, rebuilt here" in lab.answer("releases", "--target", "prod")
    assert [one["owner"] for one in promotion(lab, 1, "prod")["approvals"]] == ["Ada"]
    assert lab.slipway("verify", "--target", "prod").code == 0
    # nothing landed since, so there is nothing to publish
    plan_id = json.loads(lab.answer(*rebuild, "--plan", "--output", "json"))["plan"]["plan_id"]
    lab.answer("approve", plan_id, "--target", "prod", "--yes", SLIPWAY_SIGNING_KEY=ADA.private)
    assert "prod shows already what commit" in lab.answer("promote", plan_id, "--to", "prod")
    assert len(lab.releases("prod")) == 1
    # a copy does not continue what was built there
    lab.edit("promotion.yml", ", approvals: {count: 1}", "")
    assert "it was built there and never promoted" in lab.refusal("promote", "--to", "prod", code=1)


@pytest.mark.long
def test_other_code_than_that_of_the_release_is_refused(lab: Workshop) -> None:
    lab.write("models/curated/more.sql", "select 1 as n\n")
    assert "release 1 cannot be rebuilt in ci: the work tree is not what commit" in lab.refusal(
        *REBUILD, code=1
    )
    commit, now = lab.git("rev-parse", "HEAD"), lab.commit()
    said = lab.refusal(*REBUILD, code=1)
    assert (
        f"made from commit {commit[:12]}, and the work tree is at {now[:12]}. Check it out with git checkout"
        in said
    )
    lab.git("checkout", "--quiet", commit)
    (lab.folder / "elsewhere/parcels/day-1.csv").write_text(
        f"{HEADER}\nq1,N,2024-05-01,-2.500\nq2,N,2024-05-01,1.500\n", encoding="utf-8"
    )
    done = lab.slipway(*REBUILD)
    assert done.code == 1, done
    said = done.err.splitlines()[-1]
    assert said.startswith("slipway: Nothing was promoted to ci: run ")
    assert "weights_are_positive" in said
    assert lab.published("ci") == {}
    assert lab.releases("ci") == []


@pytest.mark.long
@pytest.mark.parametrize(
    "before",
    [
        "slipway.promotion.build_again:_judged",
        "slipway.promotion.build_again:write_down",
        "slipway.promotion.build_again:release_signed",
        "slipway.releases.publication:publish",
        "slipway.releases.publication:_record",
        "slipway.releases.attestation:attest",
    ],
)
def test_one_that_is_killed_is_whole_or_nothing(lab: Workshop, before: str) -> None:
    lab.killed(before, *REBUILD, program="slipway")
    published = before.endswith((":_record", ":attest"))
    assert bool(lab.published("ci")) is published
    (lab.folder / "elsewhere/parcels/day-2.csv").write_text(
        f"{HEADER}\nq3,N,2024-05-02,1.000\n", encoding="utf-8"
    )
    done = lab.slipway(*REBUILD)
    assert done.code == 0, done
    assert ("release 1 is not signed" in done.err) is published
    assert lab.table("curated.weights", "ci").scan().to_arrow().num_rows == 3
    assert [one["promoted"]["rebuilt"] for one in lab.releases("ci")] == [True] * (1 + published)
    assert lab.slipway("doctor", "--target", "ci", "--fix").code == 0
    assert lab.slipway("doctor", "--target", "ci").code == 0
    verified = lab.slipway("verify", "--target", "ci")
    assert verified.code == 0, verified.out
