"""Real dbt on real catalogs: a tiny project in a temporary folder, and the bundled one with a home of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable
from tests.harness.commands import Commands, Output, Running, environment
from tests.harness.projects import locations, manifests, new_project, published, put_back, releases, write
from tests.integration.environments import KEYS
from tests.integration.servers import Postgres, aws, missing

from slipway.engines.duckdb.engine import load_extensions, prepare

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
Row = tuple[Any, ...]


@dataclass
class Project:
    """A dbt project, where it keeps its tables and what lands there; read without dbt and slipway."""

    commands: Commands
    path: Path
    home: Path
    landing: Path
    target: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        own = {
            "DBT_USE_COLORS": "false",
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.target / "logs"),
            "SLIPWAY_HOME": str(self.home),
            "SLIPWAY_LANDING": str(self.landing),
            **{name: os.environ[name] for name in ("TMPDIR",) if name in os.environ},
        }
        return environment(self.home.parent, **{**own, **self.settings})

    def start(self, *argv: str, kill_before: str = "", cwd: Path | None = None) -> Running:
        """Start a dbt command in the project's folder."""
        return self.commands.start(
            "dbt", argv, cwd or self.path, self.env, together=True, kill_before=kill_before
        )

    def run(self, *argv: str, cwd: Path | None = None) -> Output:
        """Run a dbt command, whatever comes of it."""
        return self.start(*argv, cwd=cwd).wait()

    def dbt(self, *argv: str, cwd: Path | None = None) -> str:
        """Run a dbt command that must succeed, and return what it printed."""
        result = self.run(*argv, cwd=cwd)
        assert result.code == 0, result.out
        return result.out

    def refused(self, *argv: str) -> str:
        """Run a dbt command that must fail, and return what it printed."""
        result = self.run(*argv)
        assert result.code in (1, 2), result.out
        return result.out

    def killed(self, before: str, *argv: str) -> None:
        """Run a dbt command that is killed before a function of it is called."""
        result = self.start(*argv, kill_before=before).wait()
        assert result.code is None, result.out

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        write(self.path / name, text)

    def remove(self, *names: str) -> None:
        """Remove files of the project."""
        for name in names:
            (self.path / name).unlink()

    def land(self, name: str, content: str | bytes, feed: str = "readings") -> Path:
        """Put a file into the landing area, whole at once."""
        target = self.landing / feed / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def readings(self, name: str, *rows: str) -> Path:
        """Land a file of readings, rows as ``meter,read_on,kwh,note``."""
        return self.land(name, "\n".join(["meter,read_on,kwh,note", *rows, ""]))

    @property
    def database(self) -> Path:
        """The catalog's SQLite file."""
        return self.home / "dev" / "catalog.db"

    def locations(self) -> dict[str, str]:
        """Published tables, ``schema.table`` to metadata location."""
        return published(self.database)

    def table(self, name: str) -> StaticTable:
        """A published table as pyiceberg reads it."""
        return StaticTable.from_metadata(self.locations()[name])

    def rows(self, name: str, *columns: str) -> list[Row]:
        """Rows of a published table by pyiceberg, sorted."""
        read = self.table(name).scan(selected_fields=columns or ("*",)).to_arrow()
        return ordered(
            zip(*(read.column(column).to_pylist() for column in columns or read.column_names), strict=True)
        )

    def content(self, name: str) -> list[Row]:
        """Rows of a published table without its lineage columns."""
        names = [column.name for column in self.table(name).schema().fields]
        return self.rows(name, *(column for column in names if not column.startswith("_")))

    def state(self) -> dict[str, int | None]:
        """Current snapshot of every published table."""
        snapshots = {name: self.table(name).current_snapshot() for name in self.locations()}
        return {name: snapshot.snapshot_id if snapshot else None for name, snapshot in snapshots.items()}

    def files(self, name: str) -> set[str]:
        """Paths of a table's live data files."""
        return {task.file.file_path for task in self.table(name).scan().plan_files()}

    def ledger(self) -> list[dict[str, Any]]:
        """What became of every file that landed, in order."""
        location = locations(self.database).get("ops.landed_files")
        entries: list[dict[str, Any]] = (
            StaticTable.from_metadata(location).scan().to_arrow().to_pylist() if location else []
        )
        return sorted(entries, key=lambda entry: (entry["landed_at"], entry["path"]))

    def verdicts(self) -> dict[str, tuple[str, int | None]]:
        """The last verdict and the row count of every landed file, by its path in the feed's folder."""
        return {entry["path"].split("/", 1)[1]: (entry["verdict"], entry["rows"]) for entry in self.ledger()}

    def results(self) -> dict[str, str]:
        """Node name to status of the last command."""
        found = json.loads((self.target / "run_results.json").read_text(encoding="utf-8"))["results"]
        names = {result["unique_id"]: result["status"] for result in found}
        return {
            name.split(".")[2]: status for name, status in names.items() if not name.startswith("operation.")
        }

    def runs(self) -> list[dict[str, Any]]:
        """Run manifests, oldest first."""
        return manifests(self.home / "dev" / "warehouse")

    def changes(self) -> dict[str, str]:
        """Table to what the last run did with it."""
        return {node["table"]: node["change"] for node in self.runs()[-1]["nodes"]}

    def releases(self) -> list[dict[str, Any]]:
        """Release records in order of their number."""
        return releases(self.home / "dev" / "warehouse")


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Rows in an order that NULLs do not disturb."""
    return sorted(rows, key=lambda row: [(value is not None, str(value)) for value in row])


@pytest.fixture(scope="session")
def template(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project, parsed once."""
    path = tmp_path_factory.mktemp("template") / "project"
    new_project(HERE / "project", path)
    folder = path.parent
    Project(commands, path, folder / "home", folder / "landing", path / "target").dbt("parse")
    return path


def _new_project(commands: Commands, template: Path, folder: Path) -> Project:
    path = folder / "project"
    shutil.copytree(template, path)
    found = Project(commands, path, folder / "home", folder / "landing", path / "target")
    found.readings("day-1.csv", "m1,2024-05-01,1.5,", "m2,2024-05-01,2,", "m3,2024-05-01,0.25,")
    found.readings("day-2.csv", "m1,2024-05-02,1.25,", "m2,2024-05-02,3,")
    return found


@pytest.fixture
def project(commands: Commands, template: Path, tmp_path: Path) -> Project:
    """A copy of the tiny project with three meters' readings of two days landed."""
    return _new_project(commands, template, tmp_path)


@pytest.fixture(scope="session")
def first_build(commands: Commands, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same after ``dbt build``, and a copy of all its files."""
    folder = tmp_path_factory.mktemp("first") / "build"
    found = _new_project(commands, template, folder)
    found.dbt("build")
    shutil.copytree(folder, folder.with_name("kept"))
    return found


@pytest.fixture
def built(first_build: Project) -> Project:
    """The same for a test that may change it: put back where it was built, because metadata names files by whole paths."""
    put_back(first_build.path.parent)
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
    prepare(connection)
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
def catalog(built: Project) -> Iterator[SqlCatalog]:
    """The catalog of the project that is built, as another program opens it."""
    opened = SqlCatalog(
        "dev", uri=f"sqlite:///{built.database}", warehouse=f"file://{built.home}/dev/warehouse"
    )
    yield opened
    opened.engine.dispose()
