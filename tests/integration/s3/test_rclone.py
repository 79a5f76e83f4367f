"""The tests of S3 against a second, independent store: ``rclone serve s3``, which ignores conditional writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_concurrent import add_parts, all_of, consistent, start
from tests.integration.s3.test_s3 import (
    Recorded,
    test_a_slice_is_built_on_this_machine_from_the_bucket,
    test_an_unchanged_run_adds_its_record_and_nothing_else,
    test_bytes_read_are_counted,
    test_connect_gives_what_pyiceberg_needs,
    test_sql_reads_the_published_tables,
    test_tables_are_published_in_the_bucket,
    test_the_run_manifest_is_right_about_the_objects,
    test_what_landed_is_ingested_once,
)

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = [pytest.mark.server, pytest.mark.long]

__all__ = [
    "test_a_slice_is_built_on_this_machine_from_the_bucket",
    "test_an_unchanged_run_adds_its_record_and_nothing_else",
    "test_bytes_read_are_counted",
    "test_connect_gives_what_pyiceberg_needs",
    "test_sql_reads_the_published_tables",
    "test_tables_are_published_in_the_bucket",
    "test_the_run_manifest_is_right_about_the_objects",
    "test_what_landed_is_ingested_once",
]


@pytest.fixture(scope="module")
def recorded(
    new_lake: Callable[..., Lake], tmp_path_factory: pytest.TempPathFactory, rclone: str
) -> Recorded:
    folder = tmp_path_factory.mktemp("s3")
    return Recorded(new_lake(folder, f"parcels-{folder.name}", rclone), shows_folders=False)


def test_a_store_that_ignores_conditional_writes_is_named(recorded: Recorded) -> None:
    expected = (
        "ignores conditional writes: runs that publish go one after the other there, whatever their tables"
    )
    assert f"s3://{recorded.lake.bucket}/warehouse/_slipway {expected}" in recorded.text.err
    examined = recorded.lake.workshop.slipway("doctor")
    assert examined.code == 6, examined
    assert examined.out.startswith(
        f"s3://{recorded.lake.bucket}/warehouse/_slipway: {expected.replace(':', '.')}"
    )


def test_runs_go_one_after_the_other_without_conditional_writes(
    new_lake: Callable[..., Lake], tmp_path: Path, rclone: str
) -> None:
    lake = new_lake(tmp_path, "many-lake", rclone)
    lake.workshop.run()
    add_parts(lake.workshop, 4)
    done = all_of([start(lake.workshop, number, "run", "--select", f"part_{number}") for number in range(4)])
    assert [one.code for one in done] == [0] * 4, done
    assert sum("every table is taken" in one.err or "is taken" in one.err for one in done) >= 1
    releases = [
        json.loads(lake.get(key))
        for key in lake.sizes("warehouse/_slipway/releases/")
        if key.endswith(".json")
    ]
    assert len(consistent(releases, lake.published())) == 5
    assert lake.sizes("warehouse/_slipway/leases/") == {}
