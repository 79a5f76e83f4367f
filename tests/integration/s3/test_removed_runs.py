"""Retention of the records of runs where they are in S3."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.integration.s3.conftest import READ

from slipway.environments.environment import Environment, Mode
from slipway.maintenance.retention import History
from slipway.maintenance.run_records import apply_forget, find_forgettable
from slipway.records.store import Records, removed_runs, stored_run_ids

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server
OLD, OTHER, NEWEST = (f"2024010{n}T000000Z-0000000{n}" for n in (1, 2, 3))


@pytest.mark.long
def test_two_at_once_of_which_one_was_killed(lake: Lake) -> None:
    properties = {**READ, "s3.endpoint": lake.workshop.settings["AWS_ENDPOINT_URL"]}
    place = f"s3://{lake.bucket}/warehouse"
    records = Records(Environment("dev", Mode.EXPLORATORY, place, properties, "", lake.workshop.folder))
    for run_id in (OLD, OTHER, NEWEST):
        dbts = {"metadata": {"invocation_id": run_id}, "nodes": {"m": {"text": run_id}}, "exposures": {}}
        records.write_dbt_manifest(run_id, json.dumps(dbts).encode())
        records.write(run_id, "closed.json", "{}")
    before = lake.sizes("warehouse/")
    history = History(
        now=records.store.clock() + timedelta(days=200), older_than=timedelta(days=3), tables={}
    )
    plans = [find_forgettable(records, history, {"keep_run_days": 30})[0] for _ in range(2)]
    assert [[step.runs for step in steps] for steps in plans] == [[(OLD, OTHER)]] * 2
    for name, (step,) in zip("ab", plans, strict=True):
        apply_forget(records, step, name, history)
    gone = {key for key in before if OLD in key or OTHER in key}
    # a stored manifest may be named by a run that is under way: this store has it since a moment ago
    assert before.keys() - gone == lake.sizes("warehouse/").keys() - {"warehouse/_slipway/removed/a.json.gz"}
    assert set(removed_runs(records.store)) == {OLD, OTHER}
    lake.put(f"warehouse/_slipway/runs/2024-01-01/{OLD}/closed.json", b"{}")  # as a killed removal leaves it
    assert list(records.run_ids()) == [NEWEST]
    (step,), _ = find_forgettable(records, history, {"keep_run_days": 30})
    assert step.runs == (OLD,)
    apply_forget(records, step, "c", history)
    assert list(stored_run_ids(records.store)) == [NEWEST]
    assert set(removed_runs(records.store)) == {OLD, OTHER}
