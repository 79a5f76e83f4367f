"""Promotions that are killed between S3 and PostgreSQL: readers see the last whole release, and the next command goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.projects import TABLES

from slipway.environments.environment import Environment, Mode
from slipway.iceberg.tables import Tables
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.harness.servers import Postgres
    from tests.integration.s3.conftest import Lake

PROMOTE = ("promote", "--from", "staging", "--to", "prod")
POLICY = "environments: {prod: {from: [staging], require: {tests_passed: true, clean_commit: true}}}"


@pytest.fixture
def shore(lake: Lake, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Staging and prod in one bucket, with catalogs in PostgreSQL, and a release that was promoted."""
    lake.use_postgres(postgres, "staging", "prod")
    settings = lake.workshop.settings
    for name, value in settings.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    lake.workshop.write("promotion.yml", POLICY)
    lake.workshop.commit()
    assert lake.workshop.slipway("run", "--target", "staging").code == 0
    assert lake.workshop.slipway(*PROMOTE).code == 0
    return lake


def rows(lake: Lake, target: str) -> dict[str, Any]:
    """What readers of an environment see."""
    settings = lake.workshop.settings
    catalog = f"PYICEBERG_CATALOG__{target.upper()}"
    properties = {
        "type": "sql",
        "uri": settings[f"{catalog}__URI"],
        "warehouse": settings[f"{catalog}__WAREHOUSE"],
        "s3.endpoint": settings["AWS_ENDPOINT_URL"],
        "s3.region": "us-east-1",
    }
    place = Environment(
        target, Mode.PRODUCTION, properties["warehouse"], properties, "", lake.workshop.folder
    )
    tables = Tables(place)
    now = tables.locations()
    names = sorted(TABLES)
    return {
        name: sorted(
            map(
                str,
                tables.load(TableName.parse(name), now[TableName.parse(name)]).scan().to_arrow().to_pylist(),
            )
        )
        for name in names
    }


@pytest.mark.long
@pytest.mark.server
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "place",
    [
        "slipway.promotion.planning:keep",
        "slipway.storage.transfer:Transfer.copy",
        "slipway.storage.transfer:Transfer.copy#3",
        "slipway.promotion.promote:stage_carried#2",
        "slipway.records.store:Records.write_rollback#2",
        "slipway.promotion.promote:write_promotion",
        "slipway.records.store:Records.write_intent",
        "slipway.iceberg.catalogs.sql_catalog:move",
        "slipway.records.store:Records.write_release",
    ],
)
def test_a_killed_promotion(shore: Lake, place: str, when: str) -> None:
    workshop = shore.workshop
    before = rows(shore, "prod")
    assert before == rows(shore, "staging")
    shore.put("landing/parcels/day-3.csv", b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10.125\n")
    assert workshop.slipway("run", "--target", "staging").code == 0
    wanted = rows(shore, "staging")
    assert wanted != before
    done = workshop.start(*PROMOTE, program="slipway", **{f"kill_{when}": place}).wait()
    assert done.code is None, done
    assert rows(shore, "prod") in (before, wanted)
    again = workshop.slipway(*PROMOTE, "--output", "json")
    assert again.code == 0, again
    assert rows(shore, "prod") == wanted
    releases = json.loads(workshop.answer("releases", "--target", "prod", "--output", "json"))
    assert [one["promoted"]["release"] for one in releases] == [2, 1]
    assert workshop.slipway("doctor", "--target", "prod", "--fix").code == 0
    assert workshop.slipway("doctor", "--target", "prod").code == 0
