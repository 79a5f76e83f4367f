"""Real dbt on real catalogs: a tiny project in a temporary folder, and the bundled one with a home of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tests.harness.commands import Commands
from tests.harness.environments import KEYS
from tests.harness.projects import Meters, copy_of, keep, parsed, put_back
from tests.harness.servers import Postgres, aws, missing

from slipway.engines.duckdb.engine import load_extensions, prepare


@pytest.fixture(scope="session")
def new_meters(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Meters]:
    """Makes a copy of the tiny project with three meters' readings of two days landed."""
    source = parsed(commands, Path(__file__).parent / "project", tmp_path_factory.mktemp("template"))

    def make(folder: Path) -> Meters:
        found = Meters(commands, copy_of(source, folder))
        found.readings("day-1.csv", "m1,2024-05-01,1.5,", "m2,2024-05-01,2,", "m3,2024-05-01,0.25,")
        found.readings("day-2.csv", "m1,2024-05-02,1.25,", "m2,2024-05-02,3,")
        return found

    return make


@pytest.fixture
def project(new_meters: Callable[[Path], Meters], tmp_path: Path) -> Meters:
    """A copy of the project of the test's own."""
    return new_meters(tmp_path)


@pytest.fixture(scope="session")
def first_build(new_meters: Callable[[Path], Meters], tmp_path_factory: pytest.TempPathFactory) -> Meters:
    """The same after ``dbt build``, and a copy of all its files."""
    found = new_meters(tmp_path_factory.mktemp("first") / "build")
    found.dbt("build")
    keep(found.folder)
    return found


@pytest.fixture
def built(first_build: Meters) -> Meters:
    """The same for a test that may change it."""
    put_back(first_build.folder)
    return replace(first_build, settings={})


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Address of the object store, one per worker."""
    server = aws()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb)]
    if not found:
        missing("PostgreSQL is not installed: apt-get install postgresql")
    server = Postgres(found[-1].parent)
    yield server
    server.stop()
    shutil.rmtree(server.folder)


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Properties for a store in S3, whose keys come from the standard variables."""
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    around = {**KEYS, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint, "AWS_CONFIG_FILE": "none"}
    for name, value in around.items():
        monkeypatch.setenv(name, value)
    boto3.session.Session(region_name="us-east-1").client("s3").create_bucket(Bucket="catalogs")
    return {"s3.endpoint": endpoint, "s3.region": "us-east-1", "client.region": "us-east-1"}


@pytest.fixture(scope="session")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB as slipway prepares it, for warehouses that are folders."""
    connection = duckdb.connect()
    prepare(connection, "file:///warehouse")
    yield connection
    connection.close()


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with its Iceberg reader, and nothing of slipway's views."""
    connection = duckdb.connect()
    load_extensions(connection)
    connection.execute("set TimeZone = 'UTC'")
    yield connection
    connection.close()


@pytest.fixture
def catalog(built: Meters) -> Iterator[SqlCatalog]:
    """The catalog of the project that is built, as another program opens it."""
    with built.catalog() as opened:
        yield opened


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One session of Spark for all tests of a process, which can have no second one; it takes half a minute to start."""
    if find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: scripts/test --spark installs it")
    from tests.harness.catalog_runs import CatalogRun

    from slipway.engines.spark.local_session import local_session

    with ExitStack() as stack:
        run = CatalogRun(tmp_path_factory.mktemp("session"), stack)
        yield stack.enter_context(local_session("lake", run.served, on_s3=True))
