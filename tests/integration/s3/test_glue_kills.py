"""Runs killed at any instant on Glue, which moves one table after the other: readers see whole releases all the same.

Readers are those that heed the records, as ``slipway sql`` does; what Glue itself names is in between until the next run.
To repeat one seed: ``pytest tests/integration/s3/test_glue_kills.py -m long -k 'instant and 1'``. More: ``SLIPWAY_CHAOS_SEEDS=10``.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from tests.integration.chaos import oracle
from tests.integration.chaos.points import PUBLISHING, RECORDING
from tests.integration.s3.conftest import access

if TYPE_CHECKING:
    from tests.integration.chaos.trials import Trials
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server
KILLS = int(os.environ.get("SLIPWAY_CHAOS_KILLS", "25"))  # per seed
REGIONS = (
    *("eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "eu-south-1", "eu-central-1"),
    *("ap-south-1", "ap-northeast-1", "sa-east-1", "us-west-1", "us-west-2"),
)
SPARE = len(REGIONS) - 5
"""From here on they are for test_every_table."""
SEEDS = range(min(int(os.environ.get("SLIPWAY_CHAOS_SEEDS", "2")), SPARE))
COUNT = "select (select count(*) from raw.parcels) as landed, (select sum(parcels) from serving.depot_weights) as served"
FORWARD = "slipway.iceberg.catalogs.glue_catalog:GlueMover.forward"


class Glue:
    """What Glue names, and what that shows of whole releases.

    Args:
        lake: its project.
        region: Glue knows databases by region, so each trial has one to itself.
    """

    def __init__(self, lake: Lake, region: str) -> None:
        self.lake = lake
        endpoint = lake.workshop.settings["AWS_ENDPOINT_URL"]
        self._client = boto3.client("glue", **{**access(endpoint), "region_name": region})
        self.mixed = 0

    def named(self) -> dict[str, str]:
        """Tables, without the ledger, to their metadata file."""
        found = {}
        for database in self._client.get_databases()["DatabaseList"]:
            for table in self._client.get_tables(DatabaseName=database["Name"])["TableList"]:
                found[f"{database['Name']}.{table['Name']}"] = table["Parameters"]["metadata_location"]
        return {name: location for name, location in found.items() if not name.startswith("ops.")}

    def shown(self) -> dict[str, str]:
        """The same for a reader who leaves out a publication that is not recorded and moved only some of its tables."""
        found = self.named()
        for key in self._records(".publishing"):
            if any(key.replace(".publishing", end) in self._records(end) for end in (".json", ".withdrawn")):
                continue
            tables = json.loads(self.lake.get(key))["tables"]
            moved = [name for name, move in tables.items() if found.get(name) == move["metadata_location"]]
            if 0 < len(moved) < len(tables):
                self.mixed += 1
                found |= {name: tables[name]["base"] for name in moved}
        return {name: location for name, location in found.items() if location}

    def _records(self, suffix: str) -> list[str]:
        return [key for key in self.lake.sizes("warehouse/_slipway/releases/") if key.endswith(suffix)]


@pytest.fixture
def new_trials(new_lake: Callable[[Path, str], Lake], tmp_path: Path) -> Callable[[int], tuple[Trials, Glue]]:
    """Makes trials on an environment with one release."""

    def make(seed: int) -> tuple[Trials, Glue]:
        lake = new_lake(tmp_path, f"glue-kills-{seed}")
        settings = lake.workshop.settings
        lake.use(type="glue")
        settings["AWS_REGION"] = REGIONS[seed]
        glue = Glue(lake, REGIONS[seed])
        return lake.trials(glue.shown, settings["AWS_ENDPOINT_URL"], seed), glue

    return make


def read(trials: Trials) -> None:
    """``slipway sql`` shows several tables of the release that the records say is whole, and says so if there is more."""
    shown = trials.store.catalog()
    rows = {name: trials.store.table(shown[name]).scan().to_arrow() for name in (oracle.RAW, oracle.SERVING)}
    (row,) = json.loads(trials.workshop.answer("sql", COUNT, "--output", "json"))
    served: Any = sum(rows[oracle.SERVING].column("parcels").to_pylist())
    assert {name: int(value) for name, value in row.items()} == {
        "landed": rows[oracle.RAW].num_rows,
        "served": served,
    }


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_any_instant(new_trials: Callable[[int], tuple[Trials, Glue]], seed: int) -> None:
    trials, glue = new_trials(seed)
    starts = (FORWARD, f"{FORWARD}#2", PUBLISHING["the end of dbt"][0], RECORDING["the release record"][0])
    kinds = Counter[str]()
    for number in range(KILLS):
        trials.more()
        if trials.chance.random() < 0.3:
            kinds["of a run"] += 1
            trials.at(f"kill {number}", trials.chance.uniform(0.02, 1.05))
            continue
        kinds["of a publication"] += 1
        # the tables move within some tens of milliseconds, the records take longer
        instant = f"{trials.chance.choice(starts)}+{0.001 + 0.3 * trials.chance.random() ** 3:.4f}"
        label = trials.kill(f"kill {number}", before=instant)
        read(trials)
        trials.heal(label)
        assert glue.named() == glue.shown(), label
    print(f"\nGlue, seed {seed}: {trials.tally}; {dict(kinds)}; {glue.mixed} looks at a part")  # noqa: T201
    assert glue.mixed


@pytest.mark.parametrize(
    ("command", "when", "calls"),
    [
        pytest.param("run", "before", (2,), id="the second table", marks=pytest.mark.long),
        *(
            pytest.param(command, when, range(1, 5), id=f"{command}-{when}", marks=pytest.mark.long)
            for command in ("run", "rollback")
            for when in ("before", "after")
        ),
    ],
)
def test_every_table(
    new_trials: Callable[[int], tuple[Trials, Glue]], command: str, when: str, calls: Sequence[int]
) -> None:
    whole = len(calls) > 1
    trials, glue = new_trials(SPARE + 2 * (command == "rollback") + (when == "after") + whole)
    for call in calls:
        trials.more(new=True)
        if command == "rollback":
            trials.heal("something to roll back")
        label = trials.kill(f"table {call}", command, **{when: f"{FORWARD}#{call}"})
        read(trials)
        trials.heal(label, releases=1 if command == "run" else 2)  # what was rolled back is ingested again
        assert glue.named() == glue.shown(), label
    print(f"\nGlue, {command}, {when}: {trials.tally}; {glue.mixed} looks at a part")  # noqa: T201
    # three tables change each time; quarantine need not
    assert trials.tally.killed >= (3 if whole else 1)
    assert glue.mixed
