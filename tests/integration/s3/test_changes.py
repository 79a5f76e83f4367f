"""Changes are judged and releases are rebuilt where warehouses are in S3 and catalogs in PostgreSQL or on Glue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.keys import MadeKey, keys_yml

if TYPE_CHECKING:
    from tests.harness.servers import Postgres
    from tests.integration.s3.conftest import Lake

pytestmark = [pytest.mark.server, pytest.mark.long]
POLICY = "environments: {ci: {from: [staging], rebuild: true, require: {tests_passed: true, signed: true}}}"
CI = MadeKey("ci")
WEIGHT_MODEL = "models/serving/depot_weights.sql"
REBUILD = ("promote", "--from", "staging", "--to", "ci", "--rebuild")


@pytest.fixture(params=["postgres", "glue"])
def shore(request: pytest.FixtureRequest, lake: Lake, postgres: Postgres) -> Lake:
    """A release of a commit in staging."""
    if request.param == "postgres":
        lake.use_postgres(postgres, "staging", "ci")
    else:
        lake.use(type="glue")
        lake.workshop.settings["AWS_REGION"] = "eu-west-3"  # where its databases are of nobody else
    lake.workshop.write("promotion.yml", POLICY)
    lake.workshop.write("keys.yml", keys_yml(CI))
    lake.workshop.write("requirements.lock", "dbt-core==1.11.16\n")
    lake.workshop.settings["SLIPWAY_SIGNING_KEY"] = CI.private
    lake.workshop.commit()
    done = lake.workshop.slipway("run", "--target", "staging")
    assert done.code == 0, done
    return lake


def objects(lake: Lake) -> dict[str, int]:
    """All objects of the warehouse but for records of trials and comparisons."""
    return {
        key: size
        for key, size in lake.sizes().items()
        if not key.startswith(("staging/_slipway/shadows/", "warehouse/_slipway/shadows/"))
    }


def test_a_shadow_run_and_a_canary_against_what_is_published(shore: Lake) -> None:
    shore.workshop.edit(
        WEIGHT_MODEL, "sum(kg) as kg", "sum(kg) * case when depot = 'S' then 2 else 1 end as kg"
    )
    shore.workshop.commit()
    before = objects(shore)
    done = shore.workshop.slipway("run", "--shadow", "--target", "staging")
    assert done.code == 1, done
    assert "1 table differs" in done.out
    listed = json.loads(shore.workshop.answer("runs", "--shadow", "--target", "staging", "--output", "json"))
    assert [one["verdicts"]["serving.depot_weights"] for one in listed] == ["different"]

    judged = shore.workshop.slipway(
        "canary", "--base", "published", "--target", "staging", "--output", "json"
    )
    assert judged.code == 1, judged
    tables: list[dict[str, Any]] = json.loads(judged.out)["tables"]
    assert {table["name"]: table["verdict"] for table in tables}["serving.depot_weights"] == "different"
    assert objects(shore) == before


@pytest.mark.parametrize("shore", ["postgres"], indirect=True)
def test_a_release_is_built_again(shore: Lake) -> None:
    shore.workshop.settings["SLIPWAY_LANDING"] = f"s3://{shore.bucket}/elsewhere"
    shore.put(
        "elsewhere/parcels/day-1.csv",
        b"parcel,depot,weighed_on,kg\nq1,N,2024-05-01,2.500\nq2,N,2024-05-01,1.500\n",
    )
    before = {key: size for key, size in shore.sizes().items() if key.startswith("staging/")}
    done = json.loads(shore.workshop.answer(*REBUILD, "--output", "json"))
    assert (done["release"], done["files_copied"]) == (1, 0)
    verdicts = {name: table["verdict"] for name, table in done["rebuilt"]["tables"].items()}
    assert verdicts["reference.depots"] == "identical"
    assert verdicts["curated.weights"] == "different"
    (row,) = json.loads(
        shore.workshop.answer(
            "sql", "select sum(parcels) as n from serving.depot_weights", "--target", "ci", "--output", "json"
        )
    )
    assert int(row["n"]) == 2
    verified = shore.workshop.slipway("verify", "--target", "ci", "--content")
    assert verified.code == 0, verified
    assert before == {key: size for key, size in shore.sizes().items() if key.startswith("staging/")}
