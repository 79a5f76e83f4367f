"""Runs at once on one environment whose records are in S3, and leases by the store's own clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_concurrent import add_parts, all_of, consistent, start

from slipway.environments.environment import Environment, Mode
from slipway.records.store import Records
from slipway.releases.lease_rules import EXPIRES, Standing
from slipway.releases.leases import Leases
from slipway.storage.objects import S3Store, object_store

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server


@pytest.mark.long
def test_eight_runs_at_once(new_lake: Callable[..., Lake], tmp_path: Path) -> None:
    lake = new_lake(tmp_path, "eight-lake")
    done = all_of([start(lake.workshop, number, "run") for number in range(8)])
    assert [one.code for one in done] == [0] * 8, done
    assert lake.table("raw.parcels").scan().to_arrow().num_rows == 5
    add_parts(lake.workshop, 8)
    done = all_of([start(lake.workshop, number, "run", "--select", f"part_{number}") for number in range(8)])
    assert [one.code for one in done] == [0] * 8, done
    keys = [key for key in lake.sizes("warehouse/_slipway/releases/") if key.endswith(".json")]
    assert len(consistent([json.loads(lake.get(key)) for key in keys], lake.published())) == 9
    assert lake.sizes("warehouse/_slipway/leases/") == {}


def test_a_lease_expires_by_the_clock_of_the_store(
    bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment("staging", Mode.SCHEDULED, "s3://catalogs/leases", bucket, "", Path())
    records = Records(environment)
    held = Leases(records).take("20240501T000000Z-1", ["a"], wait=0, what="a run")
    store = object_store(environment.warehouse, bucket)
    assert isinstance(store, S3Store)
    assert abs(store.clock() - datetime.now(UTC)) < timedelta(minutes=1)
    text = records.store.read("leases/20240501T000000Z-1.json")
    records.store.replace(
        "leases/20240501T000000Z-1.json", json.dumps(json.loads(text) | {"place": "elsewhere"}).encode()
    )
    assert [found.standing for found in Leases(records).found()] == [Standing.LIVE]
    real = S3Store.clock
    monkeypatch.setattr(S3Store, "clock", lambda self: real(self) + timedelta(seconds=EXPIRES + 2))
    assert [found.standing for found in Leases(records).found()] == [Standing.EXPIRED]
    Leases(records).take("20240501T000000Z-2", ["a"], wait=0, what="a run").release()
    held.release()
    assert Leases(records).found() == []
