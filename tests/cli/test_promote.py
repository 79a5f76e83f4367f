"""``slipway promote`` and ``slipway plan``: from a run in one environment to what readers of another one see."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.harness.keys import MadeKey, keys_yml
from tests.harness.projects import TABLES, keep, put_back

from slipway.environments.environment import Environment, Mode
from slipway.iceberg.tables import Tables
from slipway.maintenance.apply import propose_in
from slipway.maintenance.steps import Forget
from slipway.maintenance.survey import read_history
from slipway.records.store import Records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.keys import MadeKey, keys_yml
from tests.harness.projects import Workshop

POLICY = """
environments:
  staging: {from: [dev]}
  prod:
    from: [staging]
    require:
      tests_passed: true
      rows_balance: true
      clean_commit: true
      commit_on: main
      run_max_age: 24h
      contracts_compatible: true
      quarantine_max_percent: 50
"""
PROMOTE = ("promote", "--from", "staging", "--to", "prod")


@pytest.fixture(scope="session")
def staged(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The project at a commit, with a release in staging, and a target prod, both kept in folders."""
    found = new_workshop(tmp_path_factory.mktemp("staged") / "run")
    found.keep_locally("staging", "prod", options="?timeout=2")
    found.write("promotion.yml", POLICY)
    found.write("requirements.lock", "dbt-core==1.11.16\n")
    found.commit()
    assert found.slipway("run", "--target", "staging").code == 0
    keep(found.folder)
    return found


@pytest.fixture
def lab(staged: Workshop) -> Workshop:
    """The same for a test that may change it."""
    put_back(staged.folder)
    return replace(staged, settings=dict(staged.settings))


def test_a_release_is_promoted_with_its_evidence(lab: Workshop) -> None:
    plan = lab.slipway(*PROMOTE, "--plan")
    assert plan.code == 0, plan
    assert "NOT MET" not in plan.out
    assert lab.published("prod") == {}
    plan_id = plan.err.split("slipway promote ")[1].split()[0]
    explained = lab.answer("plan", "show", "--target", "prod")
    assert f"Plan {plan_id}: release 1 of staging to prod, which shows no release" in explained
    for rule in (
        "tests_passed",
        "rows_balance",
        "clean_commit",
        "commit_on",
        "run_max_age",
        "contracts_compatible",
    ):
        assert any(line.split()[:2] == [rule, "met"] for line in explained.splitlines()), rule

    done = lab.answer("promote", plan_id, "--to", "prod")
    assert f"Release 1 in prod shows release 1 of staging: {len(TABLES)} tables, " in done
    assert lab.published("prod").keys() == TABLES
    for name in TABLES:
        one, other = (lab.table(name, target).scan().to_arrow() for target in ("staging", "prod"))
        assert one == other
    (release,) = lab.releases("prod")
    (source,) = lab.releases("staging")
    assert release["promoted"]["release"] == 1
    assert release["promoted"]["plan_id"] == plan_id
    assert release["code"] == source["code"]
    again = lab.slipway(*PROMOTE)
    assert again.code == 0
    assert "prod shows release 1 of staging already." in again.out
    assert len(lab.releases("prod")) == 1


@pytest.mark.long
def test_a_run_after_a_promotion_builds_only_what_reads_the_name_of_the_target(lab: Workshop) -> None:
    lab.write("models/curated/places.sql", "select '{{ target.name }}' as place\n")
    lab.commit()
    lab.run("--target", "staging")
    lab.answer(*PROMOTE)
    shown = lab.published("prod")
    found = lab.run("--target", "prod")
    changes = {node["table"]: (node["change"], node["notes"]) for node in found["nodes"]}
    change, (note,) = changes.pop("curated.places")
    assert change == "built"
    assert note == (
        "built again after the promotion of release 2 of staging: its code or variables are others, "
        "or what its code reads of target or of environment variables"
    )
    assert changes == dict.fromkeys(TABLES, ("unchanged", []))
    assert lab.published("prod") == shown  # a production target stages only


def test_two_plans_at_once_are_two_plans(lab: Workshop) -> None:
    started = [lab.start(*PROMOTE, "--plan", "--output", "json") for _ in range(2)]
    done = [one.wait() for one in started]
    assert [one.code for one in done] == [0, 0], done
    plans = {found["plan_id"]: found for one in done if (found := json.loads(one.out)["plan"])}
    assert len(plans) == 2
    for plan_id, plan in plans.items():
        shown = json.loads(lab.answer("plan", "show", plan_id, "--target", "prod", "--output", "json"))
        assert {name: shown[name] for name in plan} == plan
    last = max(plans.values(), key=lambda plan: plan["made_at"])
    assert f"Plan {last['plan_id']}:" in lab.answer("plan", "show", "--target", "prod")


@pytest.mark.long
def test_readers_of_the_target_see_where_it_comes_from(lab: Workshop) -> None:
    lab.answer(*PROMOTE, "--reason", "first one")
    assert "release 1 of staging: first one" in lab.answer("releases", "--target", "prod")
    shown = lab.answer("show", "serving.depot_weights", "--target", "prod")
    (run,) = lab.manifests("staging")
    assert "it is of release 1 of staging" in shown
    assert f"run        {run['run_id']}" in shown
    assert run["code"]["commit"] in shown
    assert "of another environment" not in shown
    assert "no longer known" not in shown
    assert "tests in the run that wrote it" in shown
    rows = lab.answer(
        "sql", "select count(*) as n from serving.depot_weights", "--target", "prod", "--output", "csv"
    )
    assert rows.splitlines()[1] == str(
        lab.table("serving.depot_weights", "staging").scan().to_arrow().num_rows
    )
    assert lab.slipway("doctor", "--target", "prod").code == 0

    lab.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    assert lab.slipway("run", "--target", "staging").code == 0
    lab.answer(*PROMOTE)
    back = lab.answer("rollback", "--target", "prod", "--yes")
    assert "Release 1 is release 1 of staging." in back
    assert "shows release 1, which is release 1 of staging" in back
    assert lab.slipway("doctor", "--target", "prod").code == 0


@pytest.mark.long
def test_policies_and_exposures_of_the_project_come_along(lab: Workshop) -> None:
    lab.write(
        "models/serving/_exposures.yml",
        """
exposures: [{name: board, type: dashboard, owner: {name: Ada}, depends_on: [ref('depot_weights')]}]
""",
    )
    model = lab.read("models/serving/depot_weights.sql")
    lab.write("models/serving/depot_weights.sql", f"{{{{ config(meta={{'keep_days': 400}}) }}}}\n{model}")
    lab.commit()
    lab.answer(*PROMOTE)
    lab.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    assert lab.slipway("run", "--target", "staging").code == 0
    lab.answer(*PROMOTE)
    back = lab.answer("rollback", "--target", "prod", "--dry-run")
    assert "read by dashboard board of Ada: serving.depot_weights" in back
    environment = environment_at(lab.warehouse("prod"), lab.database("prod"))
    tables, records = Tables(environment), Records(environment)
    history = read_history(tables, records, {}, datetime.now(UTC), timedelta(days=3))
    assert history.policies["serving.depot_weights"].days == 400
    # what is kept of dbt's manifest for it is in use
    later = datetime.now(UTC) + timedelta(days=1000)
    found = propose_in(environment, {}, {}, (), timedelta(days=3), later, dry_run=True)
    removed = [one.location for step in found.plan.steps if isinstance(step, Forget) for one in step.objects]
    (named,) = {
        json.loads(path.read_text(encoding="utf-8"))["slipway_rest_sha256"]
        for path in (lab.warehouse("prod") / "_slipway/promotions/000002/dbt").iterdir()
    }
    assert f"dbt_manifests/{named}.json.gz" not in removed


def environment_at(warehouse: Path, database: Path) -> Environment:
    properties = {"type": "sql", "uri": f"sqlite:///{database}", "warehouse": f"file://{warehouse}"}
    return Environment("prod", Mode.PRODUCTION, f"file://{warehouse}", properties, "", warehouse.parent)


@pytest.mark.long
def test_a_run_in_the_target_comes_to_the_same_rows(lab: Workshop) -> None:
    """Also in raw: the files that came with it are not ingested again."""
    lab.answer(*PROMOTE)
    run = lab.run("--target", "prod")
    assert {node["change"] for node in run["nodes"]} <= {"unchanged", "same_content"}


def test_a_rule_that_is_not_met_is_explained(lab: Workshop) -> None:
    lab.edit("promotion.yml", "quarantine_max_percent: 50", "quarantine_max_percent: 1")
    plan = lab.slipway(*PROMOTE, "--plan", "--output", "json")
    assert plan.code == 1
    found = json.loads(plan.out)["plan"]
    (unmet,) = [one for one in found["evidence"] if not one["met"]]
    assert unmet["rule"] == "quarantine_max_percent"
    assert (
        "20 percent of the rows of raw.parcels are in quarantine.weights, and 1 are allowed" in unmet["why"]
    )
    refusal = lab.refusal("promote", found["plan_id"], "--to", "prod", code=1)
    assert "staging release 1 cannot be promoted to prod: quarantine_max_percent:" in refusal
    assert lab.published("prod") == {}
    # the policy was changed, so the plan is void, and a new one is carried out
    lab.edit("promotion.yml", "quarantine_max_percent: 1", "quarantine_max_percent: 50")
    assert "promotion.yml has changed" in lab.refusal("promote", found["plan_id"], "--to", "prod", code=4)
    lab.answer(*PROMOTE)


@pytest.mark.long
def test_a_commit_that_is_not_on_the_branch_is_refused(lab: Workshop) -> None:
    lab.git("checkout", "--quiet", "-b", "attempt")
    lab.write("models/serving/extra.sql", "select 1 as n")
    lab.commit()
    assert lab.slipway("run", "--target", "staging").code == 0
    refusal = lab.refusal(*PROMOTE, code=1)
    assert "commit_on: run" in refusal
    assert "is not on main" in refusal


@pytest.mark.long
def test_a_contract_that_broke_its_promise_is_refused(lab: Workshop) -> None:
    lab.answer(*PROMOTE)
    contract = next((lab.path / "contracts").glob("*.odcs.yaml")).relative_to(lab.path).as_posix()
    text = lab.read(contract)
    lab.write(contract, text.replace("logicalType: number", "logicalType: string"))
    assert lab.read(contract) != text
    lab.write("models/serving/extra.sql", "select 1 as n")
    lab.commit()
    assert lab.slipway("run", "--target", "staging").code == 0
    assert "contracts_compatible: " in lab.refusal(*PROMOTE, code=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "environments: {prod: {from: [staging], requires: {}}}",
            "Unknown key `requires` in promotion.yml (promotion.yml, line 1). Did you mean `require`?",
            id="rules",
        ),
        pytest.param(
            "environments:\n  prod:\n    from: [staging]\n    require: {test_passed: true}",
            "Unknown key `test_passed` in promotion.yml (promotion.yml, line 4). Did you mean `tests_passed`?",
            id="require",
        ),
        pytest.param(
            "environments: {prod: {from: [staging], require: {run_max_age: 3 weeks}}}",
            "is no age: write hours or days, such as 12h or 3d",
            id="age",
        ),
        pytest.param("environments: {prod: {layers: [raw]}}", "environments.prod.from", id="from"),
        pytest.param("[]", "promotion.yml", id="list"),
    ],
)
def test_a_policy_that_cannot_be_read_is_refused(lab: Workshop, text: str, message: str) -> None:
    lab.write("promotion.yml", text)
    assert message in lab.refusal(*PROMOTE, code=2)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("slipway.storage.transfer:Transfer.copy", id="copy", marks=pytest.mark.long),
        pytest.param("slipway.storage.transfer:Transfer.copy#3", id="copies", marks=pytest.mark.long),
        pytest.param("slipway.promotion.promote:stage_carried", id="stage", marks=pytest.mark.long),
        pytest.param("slipway.promotion.promote:stage_carried#3", id="stages", marks=pytest.mark.long),
        pytest.param("slipway.promotion.promote:write_promotion", id="record", marks=pytest.mark.long),
        pytest.param("slipway.promotion.promote:release_signed", id="release", marks=pytest.mark.long),
        pytest.param("slipway.releases.publication:publish", id="publish", marks=pytest.mark.long),
        pytest.param("slipway.releases.publication:_record", id="published"),
        pytest.param("slipway.releases.attestation:attest", id="recorded", marks=pytest.mark.long),
    ],
)
def test_a_promotion_that_is_killed_is_whole_or_nothing(lab: Workshop, before: str) -> None:
    lab.answer(*PROMOTE)
    was = lab.published("prod")
    lab.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    assert lab.slipway("run", "--target", "staging").code == 0
    lab.killed(before, *PROMOTE, program="slipway")
    now = lab.published("prod")
    assert (now == was) is not before.endswith((":_record", ":attest"))
    done = lab.slipway(*PROMOTE)
    assert done.code == 0, done
    for name in TABLES:
        assert lab.table(name, "staging").scan().to_arrow() == lab.table(name, "prod").scan().to_arrow()
    newest = lab.releases("prod")[-1]
    assert newest["promoted"]["release"] == lab.releases("staging")[-1]["number"]
    assert lab.slipway("doctor", "--target", "prod", "--fix").code == 0
    assert lab.slipway("doctor", "--target", "prod").code == 0


@pytest.mark.long
def test_a_recorded_canary_of_the_commit_is_evidence(lab: Workshop) -> None:
    lab.edit("promotion.yml", "run_max_age: 24h", "run_max_age: 24h\n      comparison_max_age: 1d")
    commit = lab.git("rev-parse", "HEAD")
    before = lab.git("commit-tree", "HEAD^{tree}", "-m", "Before")
    canary = ("canary", "--base", before, "--target", "staging", "--record")
    assert "only for a clean work tree" in lab.refusal(*canary, code=1)
    lab.git("stash", "--quiet")
    assert f"Recorded the verdict for commit {commit[:12]}" in lab.slipway(*canary).err
    lab.git("stash", "pop", "--quiet")
    (path,) = (lab.warehouse("staging") / "_slipway/comparisons" / commit).iterdir()
    lab.answer(*PROMOTE, "--plan")
    kept = path.read_bytes()
    path.unlink()
    assert f"no canary of commit {commit[:12]} is recorded" in lab.refusal(*PROMOTE, code=1)
    # where it is promoted to it counts as well
    there = lab.warehouse("prod") / "_slipway/comparisons" / commit / path.name
    there.parent.mkdir(parents=True)
    there.write_bytes(kept)
    key = MadeKey("ci")
    lab.settings["SLIPWAY_SIGNING_KEY"] = key.private
    lab.write("keys.yml", keys_yml(key))
    lab.answer(*PROMOTE)
    # and what is signed of the promotion has it as the canary wrote it down
    envelopes = (lab.warehouse("prod") / "_slipway/releases/000001.intoto.jsonl").read_text(encoding="utf-8")
    payloads = [json.loads(b64decode(json.loads(line)["payload"])) for line in envelopes.splitlines()]
    (stated,) = (one["predicate"] for one in payloads if one["predicateType"] == "urn:slipway:comparison:v1")
    (listed,) = stated["comparisons"]
    recorded = json.loads(kept)
    assert recorded["verdicts"] == {
        "curated.weights": "identical",
        "quarantine.weights": "identical",
        "reference.depots": "identical",
        "serving.depot_weights": "identical",
    }
    shown = ("commit", "base", "made_at", "who", "passed", "covers", "verdicts")
    assert {name: listed[name] for name in shown} == {name: recorded[name] for name in shown}


@pytest.mark.long
def test_what_came_with_a_signed_promotion_is_verified(lab: Workshop) -> None:
    key = MadeKey("ci")
    lab.settings["SLIPWAY_SIGNING_KEY"] = key.private
    lab.write("keys.yml", keys_yml(key))
    lab.write("promotion.yml", "environments: {prod: {from: [staging], require: {signed: true}}}")
    lab.commit()
    lab.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    assert lab.slipway("run", "--target", "staging", "--force").code == 0
    lab.answer(*PROMOTE)

    def links() -> dict[tuple[str, str], tuple[str, str]]:
        done = lab.slipway("verify", "--target", "prod", "--content", "--output", "json")
        found = json.loads(done.out)["links"]
        return {(link["kind"], link["what"]): (link["state"], link["note"]) for link in found}

    run_id = lab.manifests("staging")[-1]["run_id"]
    found = links()
    assert {state for state, _ in found.values()} == {"verified"}, found
    assert {"run", "tests", "evidence"} <= {kind for kind, _ in found}
    assert found["landed files", "raw.parcels"][1].endswith(", which landed in staging")
    (path,) = (lab.warehouse("prod") / "_slipway/promotions").rglob(f"runs/{run_id}.json")
    path.write_bytes(path.read_bytes().replace(b'"pass"', b'"warn"', 1))
    # which files landed is known where they did
    lab.warehouse("staging").rename(lab.warehouse("staging").with_name("away"))
    lab.database("staging").rename(lab.database("staging").with_name("away.db"))
    found = links()
    assert found["run", run_id][0] == found["evidence", "release 1"][0] == "broken"
    state, note = found["landed files", "raw.parcels"]
    assert state == "missing"
    assert "; where they landed cannot be looked at: " in note
