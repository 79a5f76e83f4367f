"""Commands with a real REST server and S3: runs, a rollback and the way forward, and a run that is killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog import load_catalog
from tests.integration.rest.programs import Served
from tests.integration.s3.conftest import KEY, SECRET

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = [pytest.mark.server, pytest.mark.long]
ALL = {"reference.depots", "raw.parcels", "curated.weights", "quarantine.weights", "serving.depot_weights"}
DAY_3 = b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10.125\n"


def rows(lake: Lake, server: Served) -> dict[str, int]:
    """Rows of the published tables as another program reads them."""
    keys = {"s3.access-key-id": KEY, "s3.secret-access-key": SECRET, "s3.region": "us-east-1"}
    endpoint = lake.workshop.settings["AWS_ENDPOINT_URL"]
    catalog: Any = load_catalog("any", type="rest", uri=server.uri, **{"s3.endpoint": endpoint, **keys})
    return {name: catalog.load_table(name).scan().to_arrow().num_rows for name in sorted(ALL)}


def releases(lake: Lake) -> list[dict[str, Any]]:
    """What ``slipway releases`` lists, newest first."""
    found: list[dict[str, Any]] = json.loads(lake.workshop.answer("releases", "--output", "json"))
    return found


def test_runs_are_published_rolled_back_and_healed(
    new_lake: Callable[[Path, str], Lake], tmp_path: Path, reference_server: Served
) -> None:
    lake = new_lake(tmp_path, "reference-lake")
    lake.use(type="rest", uri=reference_server.uri)
    workshop = lake.workshop
    assert workshop.run()["outcome"] == "published"
    first = rows(lake, reference_server)
    assert (first["raw.parcels"], first["curated.weights"], first["quarantine.weights"]) == (5, 4, 1)
    assert workshop.run()["outcome"] == "unchanged"

    lake.put("landing/parcels/day-3.csv", DAY_3)
    request = "slipway.iceberg.catalogs.rest_catalog:ServedCatalog.commit_several#1"
    assert workshop.start("run", kill_before=request).wait().code is None
    assert rows(lake, reference_server) == first
    assert workshop.run()["outcome"] == "published"
    second = rows(lake, reference_server)
    assert (second["raw.parcels"], second["curated.weights"], second["quarantine.weights"]) == (6, 5, 1)
    number = releases(lake)[0]["number"]

    workshop.answer("rollback", "--to", "1", "--yes")
    assert rows(lake, reference_server) == first
    counted = workshop.answer("sql", "select count(*) as n from curated.weights", "--output", "json")
    assert json.loads(counted) == [{"n": 4}]
    workshop.answer("rollback", "--to", str(number), "--yes")
    assert rows(lake, reference_server) == second
    reported = [release["guarantee"].partition(",")[0] for release in releases(lake)]
    assert reported == 3 * ["all tables in one request"] + ["one table after the other"]


def test_a_run_with_nessie_is_refused(
    new_lake: Callable[[Path, str], Lake], tmp_path: Path, nessie_server: Served
) -> None:
    lake = new_lake(tmp_path, "nessie-lake")
    lake.use(type="rest", uri=nessie_server.uri, warehouse="lake")
    message = lake.workshop.refusal("run", code=5)
    assert message.startswith("Cannot publish to staging: Nessie keeps neither tags nor earlier snapshots")
