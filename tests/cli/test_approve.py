"""``slipway approve``: a plan is shown, signed by people with their own keys, and carried out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.harness.keys import MadeKey, keys_yml
from tests.harness.projects import TABLES, keep, put_back

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.projects import Workshop

CI = MadeKey("ci")
ADA = MadeKey("ada", "Ada", ["release-manager"])
BOB = MadeKey("bob", "Bob", ["data-owner"])
POLICY = """
environments:
  prod:
    from: [staging]
    approvals:
      count: 1
      roles: [release-manager]
      classified:
        restricted: {count: 1, roles: [data-owner]}
        confidential: {count: 2}
"""
PROMOTE = ("promote", "--to", "prod")


@pytest.fixture(scope="module")
def signed(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A release of a commit in staging that continuous integration signed; its depots are restricted."""
    found = new_workshop(tmp_path_factory.mktemp("signed") / "run")
    found.keep_locally("staging", "prod", options="?timeout=2")
    found.write("promotion.yml", POLICY)
    found.write("keys.yml", keys_yml(CI, ADA, BOB))
    found.edit(
        "contracts/parcels.odcs.yaml",
        "{name: depot, logicalType: string}",
        "{name: depot, logicalType: string, classification: restricted}",
    )
    found.commit()
    found.settings["SLIPWAY_SIGNING_KEY"] = CI.private
    assert found.slipway("run", "--target", "staging").code == 0
    keep(found.folder)
    return found


@pytest.fixture
def lab(signed: Workshop) -> Workshop:
    """The same for a test that may change it."""
    put_back(signed.folder)
    return replace(signed, settings=dict(signed.settings))


def test_a_plan_is_approved_by_people_and_carried_out(lab: Workshop) -> None:
    made = lab.slipway(*PROMOTE, "--plan", "--output", "json")
    assert made.code == 0, made
    plan = json.loads(made.out)["plan"]
    restricted = next(one for one in plan["demands"] if one["classification"])
    assert restricted["classification"] == "restricted"
    # wherever there is a column of this name
    with_depot = {name for name in TABLES if "depot" in lab.table(name, "staging").schema().column_names}
    assert set(restricted["tables"]) == with_depot
    assert with_depot
    plan_id = plan["plan_id"]
    refusal = lab.refusal("promote", plan_id, "--to", "prod", code=1)
    assert f"Plan {plan_id} is not approved: 1 person with the role release-manager must approve" in refusal
    assert f"slipway approve {plan_id} --target prod" in refusal

    approve = ("approve", plan_id, "--target", "prod", "--yes")
    by_ada = {"SLIPWAY_SIGNING_KEY": ADA.private}
    done = lab.start(*approve, kill_before="slipway.storage.objects:LocalStore.create", **by_ada).wait()
    assert done.code is None, done
    assert not (lab.warehouse("prod") / "_slipway/plans" / plan_id / "approvals").exists()
    given = lab.answer(*approve, "--reason", "looked at the totals", **by_ada)
    assert f"Plan {plan_id}: release 1 of staging to prod, which shows no release" in given
    assert f"The approval of plan {plan_id} is given." in given
    assert "1 person with the role data-owner for restricted data  NOT MET" in given
    assert "Ada (ada) at " in given
    lab.answer(*approve, SLIPWAY_SIGNING_KEY=BOB.private)

    explained = lab.answer("plan", "show", "--target", "prod")
    assert "NOT MET" not in explained
    assert [line.split(" at ")[0] for line in explained.splitlines() if line.endswith(": counts.")] == (
        [name for _, name in sorted((key.keyid, f"{key.owner} ({key.name})") for key in (ADA, BOB))]
    )
    lab.answer("promote", plan_id, "--to", "prod")
    assert lab.published("prod").keys() == TABLES
    found = json.loads(lab.answer("releases", "--target", "prod", "--output", "json"))
    assert set(found[0]["approved_by"].split(", ")) == {"Ada", "Bob"}
    assert "release 1 of staging; approved by " in lab.answer("releases", "--target", "prod")
    assert "approved   by " in lab.answer("show", "serving.depot_weights", "--target", "prod")
