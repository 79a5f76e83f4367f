"""Commands on Glue and S3: a release is published table by table, and a run that is killed in between is healed."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from pyiceberg.catalog import load_catalog
from tests.harness.projects import TABLES
from tests.integration.s3.conftest import KEY, SECRET, access
from tests.snippets import duckdb_rows, pyiceberg_rows

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server
COUNT = "select (select count(*) from raw.parcels) as landed, (select sum(parcels) from serving.depot_weights) as served"


@pytest.fixture
def lake(new_lake: Callable[[Path, str], Lake], tmp_path: Path, request: pytest.FixtureRequest) -> Lake:
    made = new_lake(tmp_path, f"glue-{zlib.crc32(request.node.name.encode()):08x}")
    # Glue knows its databases by region: those of other modules are elsewhere
    made.use(type="glue")
    made.workshop.settings["AWS_REGION"] = "eu-central-1"
    client = boto3.client("glue", **to_glue(made))
    for database in client.get_databases()["DatabaseList"]:
        client.delete_database(Name=database["Name"])
    return made


def to_glue(lake: Lake) -> dict[str, Any]:
    return {**access(lake.workshop.settings["AWS_ENDPOINT_URL"]), "region_name": "eu-central-1"}


def locations(lake: Lake) -> dict[str, str | None]:
    """What Glue names, without the ledger; None for what is no Iceberg table."""
    client = boto3.client("glue", **to_glue(lake))
    found: dict[str, str | None] = {}
    for database in client.get_databases()["DatabaseList"]:
        for table in client.get_tables(DatabaseName=database["Name"])["TableList"]:
            found[f"{database['Name']}.{table['Name']}"] = table["Parameters"].get("metadata_location")
    return {name: location for name, location in found.items() if not name.startswith("ops.")}


def asked(lake: Lake) -> tuple[dict[str, int], str]:
    """Rows of two tables as ``slipway sql`` shows them together, and its messages."""
    done = lake.workshop.slipway("sql", COUNT, "--output", "json")
    assert done.code == 0, done
    (row,) = json.loads(done.out)
    return {name: int(value) for name, value in row.items()}, done.err


@pytest.mark.long
def test_a_run_that_is_killed_while_it_publishes(lake: Lake) -> None:
    workshop = lake.workshop
    assert workshop.run()["outcome"] == "published"
    first = locations(lake)
    assert first.keys() == TABLES
    assert asked(lake) == ({"landed": 5, "served": 4}, "1 row from staging\n")

    lake.put("landing/parcels/day-3.csv", b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10.125\n")
    forward = "slipway.iceberg.catalogs.glue_catalog:GlueMover.forward"
    assert workshop.start("run", kill_before=f"{forward}#3").wait().code is None
    half = locations(lake)
    assert len({name for name in TABLES if half[name] != first[name]}) == 2
    reported = "release 2 of run "
    rows, notes = asked(lake)
    assert rows == {"landed": 5, "served": 4}
    assert reported in notes
    assert "published in part" in notes
    assert reported in workshop.slipway("releases").err
    shown = workshop.slipway("show", "serving.depot_weights")
    assert (shown.code, reported in shown.err) == (0, True), shown

    examined = workshop.slipway("doctor")
    assert examined.code == 6, examined
    assert reported in examined.out
    assert "it is published in part: " in examined.out
    assert "finish, undo or record interrupted publications" in examined.out

    healed = workshop.slipway("run")
    assert healed.code == 0, healed
    assert f"healed: {reported}" in healed.err
    assert asked(lake) == ({"landed": 6, "served": 5}, "1 row from staging\n")
    releases = json.loads(workshop.answer("releases", "--output", "json"))
    assert [release["number"] for release in releases] == [2, 1]
    assert all(release["guarantee"].startswith("one table after the other") for release in releases)
    assert workshop.run()["outcome"] == "unchanged"
    killed = workshop.answer("doctor", "--fix")
    assert "its process ended before it wrote a run manifest" in killed
    assert workshop.answer("doctor", "--deep") == "Nothing was found in staging.\n"

    endpoint = workshop.settings["AWS_ENDPOINT_URL"]
    keys = {"client.access-key-id": KEY, "client.secret-access-key": SECRET, "client.region": "eu-central-1"}
    catalog = load_catalog("any", type="glue", **{"s3.endpoint": endpoint, "glue.endpoint": endpoint, **keys})
    assert catalog.load_table("curated.weights").scan().to_arrow().num_rows == 5
    text = workshop.answer("connect", "curated.weights")
    assert pyiceberg_rows(text, workshop.settings, workshop.folder.parent) == 5
    assert duckdb_rows(text, workshop.settings, workshop.folder.parent) == 5


@pytest.mark.long
def test_names_that_glue_would_fold_are_refused(lake: Lake) -> None:
    lake.workshop.write("models/serving/Upper.sql", "select 1 as n")
    message = lake.workshop.slipway("run", "--select", "Upper")
    assert message.code == 2, message
    assert "Upper" in message.err
    assert "call it upper (config alias)" in message.err
    assert locations(lake) == {}


@pytest.mark.long
def test_a_name_that_glue_knows_as_something_else(lake: Lake) -> None:
    workshop = lake.workshop
    assert workshop.run()["outcome"] == "published"
    first = locations(lake)
    client, table = (
        boto3.client("glue", **to_glue(lake)),
        {"Name": "older", "Parameters": {"EXTERNAL": "TRUE"}},
    )
    describe = {"DatabaseName": "serving", "TableInput": table}
    client.create_table(**describe)
    workshop.write("models/serving/older.sql", "select count(*) as n from {{ ref('weights') }}")
    lake.put("landing/parcels/day-3.csv", b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10.125\n")
    refused = workshop.slipway("run")
    assert refused.code == 1, refused
    assert "serving.older cannot be a table in Glue" in refused.out + refused.err
    assert locations(lake) == {**first, "serving.older": None}

    client.delete_table(DatabaseName="serving", Name="older")
    forward = "slipway.iceberg.catalogs.glue_catalog:GlueMover.forward"
    assert workshop.start("run", kill_before=f"{forward}#2").wait().code is None
    assert sum(location != first.get(name) for name, location in locations(lake).items()) == 1
    client.create_table(**describe)
    refused = workshop.slipway("run")
    assert refused.code == 1, refused
    assert re.search(r"healed: release \d of run .* was published in part and is taken back", refused.err)
    assert "serving.older cannot be a table in Glue" in refused.out + refused.err
    assert locations(lake) == {**first, "serving.older": None}
    assert asked(lake) == ({"landed": 5, "served": 4}, "1 row from staging\n")

    client.delete_table(DatabaseName="serving", Name="older")
    assert workshop.run()["outcome"] == "published"
    assert asked(lake) == ({"landed": 6, "served": 5}, "1 row from staging\n")
    assert "its process ended before it wrote a run manifest" in workshop.answer("doctor", "--fix")
    assert workshop.answer("doctor", "--deep") == "Nothing was found in staging.\n"
