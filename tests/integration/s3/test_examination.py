"""``slipway doctor`` where the warehouse is in S3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = [pytest.mark.server, pytest.mark.long]


def test_a_lake(new_lake: Callable[[Path, str], Lake], tmp_path: Path) -> None:
    lake = new_lake(tmp_path, "doctored-lake")
    workshop = lake.workshop
    workshop.run()
    assert workshop.answer("doctor", "--deep") == "Nothing was found in staging.\n"

    record = "warehouse/_slipway/releases/000001.json"
    before = json.loads(lake.get(record))
    lake.put(record, b"{")
    location = lake.published()["curated.weights"]
    data = next(key for key in lake.sizes("warehouse/curated/weights/data/"))
    lake.client.delete_object(Bucket=lake.bucket, Key=data)
    done = workshop.slipway("doctor", "--deep", "--fix", "--output", "json")
    assert done.code == 6, done
    found = [item["where"] for item in json.loads(done.out)["findings"]]
    assert found == [f"s3://{lake.bucket}/{record}", "curated.weights"]
    assert json.loads(lake.get(f"{record}.repaired")) | {"published_at": ""} == before | {"published_at": ""}
    assert lake.get(record) == b"{"
    assert lake.published()["curated.weights"] == location
