"""The catalog of an environment on PostgreSQL: atomic publication, conflicts, and a server that fails."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tests.cli.test_concurrent import add_parts, all_of, consistent, start
from tests.harness.environments import target
from tests.harness.projects import TABLES
from tests.harness.servers import PASSWORD, Postgres
from tests.snippets import duckdb_rows, pyiceberg_rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.projects import Workshop

pytestmark = pytest.mark.server


@dataclass
class Site:
    """The project with a catalog in a database of its own."""

    workshop: Workshop
    postgres: Postgres
    database: str

    def published(self) -> dict[str, str]:
        """Tables that the catalog names, without the ledger, to their metadata location."""
        rows = self.query(
            "select table_namespace || '.' || table_name, metadata_location from iceberg_tables"
        )
        return {name: location for name, location in rows if not name.startswith("ops.")}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(self.postgres.connect(self.database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def catalog(self) -> SqlCatalog:
        """The catalog as another program opens it."""
        warehouse = f"file://{self.workshop.home}/warehouse"
        uri = self.postgres.uri(self.database).replace("postgresql:", "postgresql+psycopg2:")
        return SqlCatalog("staging", uri=uri, warehouse=warehouse)

    def releases(self) -> list[str]:
        return sorted(
            path.name for path in (self.workshop.home / "warehouse/_slipway/releases").glob("*.json")
        )


@pytest.fixture
def site(postgres: Postgres, workshop: Workshop) -> Site:
    database = f"catalog_{time.time_ns()}"
    with closing(postgres.connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"create database {database}")
    workshop.home.mkdir()
    for name in ("prod", "staging"):
        workshop.settings |= target(
            name, f"file://{workshop.home}/warehouse", type="sql", uri=postgres.uri(database)
        )
    return Site(workshop, postgres, database)


@pytest.mark.long
def test_runs_publish_and_are_unchanged(site: Site, tmp_path: Path) -> None:
    first = site.workshop.run()
    assert (first["outcome"], first["release"]) == ("published", 1)
    assert site.published() == {node["table"]: node["metadata_location"] for node in first["nodes"]}
    assert site.workshop.run()["outcome"] == "unchanged"
    site.workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    assert site.workshop.run()["outcome"] == "published"
    catalog = site.catalog()
    assert catalog.load_table("curated.weights").scan().to_arrow().num_rows == 5
    assert {".".join(name) for space in catalog.list_namespaces() for name in catalog.list_tables(space)} == (
        TABLES | {"ops.landed_files"}
    )
    catalog.close()
    text = site.workshop.answer("connect", "curated.weights")
    assert PASSWORD not in text
    assert pyiceberg_rows(text, site.workshop.settings, tmp_path) == 5
    assert duckdb_rows(text, site.workshop.settings, tmp_path) == 5
    releases = json.loads(site.workshop.answer("releases", "--output", "json"))
    assert {release["guarantee"] for release in releases} == {"all tables in one database transaction"}
    leaked = [
        path
        for path in site.workshop.folder.rglob("*")
        if path.is_file() and PASSWORD.encode() in path.read_bytes()
    ]
    assert leaked == []


@pytest.mark.long
def test_two_runs_at_once_give_no_mixture(site: Site) -> None:
    site.workshop.run()
    site.workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    done = all_of([start(site.workshop, number, "run") for number in range(2)])
    assert [one.code for one in done] == [0, 0], done
    rows = {name: rows_of(location) for name, location in site.published().items()}
    assert (rows["raw.parcels"], rows["curated.weights"], rows["quarantine.weights"]) == (6, 5, 1)


@pytest.mark.long
def test_eight_runs_at_once_from_nothing_and_eight_disjoint_ones(site: Site) -> None:
    workshop = site.workshop
    done = all_of([start(workshop, number, "run") for number in range(8)])
    assert [one.code for one in done] == [0] * 8, done
    assert {name: rows_of(location) for name, location in site.published().items()}["raw.parcels"] == 5
    assert site.query("select count(*) from iceberg_tables where table_namespace = 'ops'") == [(1,)]
    add_parts(workshop, 8)
    done = all_of([start(workshop, number, "run", "--select", f"part_{number}") for number in range(8)])
    assert [one.code for one in done] == [0] * 8, done
    assert not any("waits for" in one.err for one in done)
    folder = workshop.home / "warehouse/_slipway"
    records = [json.loads(path.read_bytes()) for path in folder.glob("releases/*.json")]
    assert len(consistent(records, site.published())) == 9
    assert list(folder.glob("leases/*")) == []


def rows_of(location: str) -> int:
    from pyiceberg.table import StaticTable

    rows: int = StaticTable.from_metadata(location).scan().to_arrow().num_rows
    return rows


@pytest.mark.long
def test_a_foreign_commit_refuses_the_whole_publication(site: Site) -> None:
    site.workshop.run()
    site.workshop.commit()
    site.workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    run = site.workshop.run("--target", "staging", "--exclude", "resource_type:test", code=1)
    assert run["outcome"] == "failed"  # what was not tested is not published
    before = site.published()
    appended = foreign_commit(site)
    point_at(site, before["serving.depot_weights"])  # it is not committed yet
    late = f"update iceberg_tables set metadata_location = '{appended}' where table_name = 'depot_weights'"
    staged = hold_and_publish(site, late, "LOCK TABLE%", lambda: None)
    assert staged.code == 4, staged
    assert "serving.depot_weights moved" in staged.err
    after = site.published()
    assert {name for name in TABLES if after[name] != before[name]} == {"serving.depot_weights"}
    assert site.releases() == ["000001.json"]
    assert rows_of(after["raw.parcels"]) == 5


def foreign_commit(site: Site) -> str:
    """Another program appends to a table; returns the metadata file that it wrote."""
    catalog = site.catalog()
    table = catalog.load_table("serving.depot_weights")
    table.append(table.scan().to_arrow())
    catalog.close()
    return str(table.metadata_location)


def point_at(site: Site, location: str) -> None:
    """Have the catalog name a metadata file of the same table."""
    with closing(site.postgres.connect(site.database)) as other, other.cursor() as cursor:
        cursor.execute(
            "update iceberg_tables set metadata_location = %s where table_name = 'depot_weights'", (location,)
        )
        other.commit()


def hold_and_publish(site: Site, statement: str, waits_in: str, meanwhile: Callable[[], object]) -> Any:  # noqa: ANN401 - an output
    """Run while another transaction has carried out a statement, so that the publication waits until that one commits."""
    with closing(site.postgres.connect(site.database)) as other, other.cursor() as cursor:
        cursor.execute(statement)
        running = site.workshop.start("run")
        waiting = (
            f"select pid from pg_stat_activity where wait_event_type = 'Lock' and query ilike '{waits_in}'"
        )
        deadline = time.monotonic() + 60
        while not site.query(waiting):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        meanwhile()
        other.commit()
    return running.wait()


@pytest.mark.long
def test_a_lost_connection_publishes_nothing(site: Site) -> None:
    site.workshop.run()
    site.workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    before = site.published()
    end = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and query like 'UPDATE%'"
    held = "select 1 from iceberg_tables where table_name = 'parcels' for update"
    done = hold_and_publish(site, held, "UPDATE%", lambda: site.query(end))
    assert done.code == 5, done
    assert done.err.splitlines()[-1].startswith("slipway: Catalog of staging cannot be written: ")
    assert "Traceback" not in done.err
    assert site.published() == before
    assert site.workshop.run()["outcome"] == "published"
    assert rows_of(site.published()["raw.parcels"]) == 6
    assert len(site.releases()) == 2


@pytest.mark.parametrize(
    ("uri", "reported"),
    [
        pytest.param("{wrong}", "password authentication failed", id="wrong password"),
        pytest.param("{nowhere}", "does not exist", id="no such database", marks=pytest.mark.long),
        pytest.param(
            "postgresql://slipway:{password}@127.0.0.1:9/db", "Connection refused", id="nobody listens"
        ),
        pytest.param(
            "postgresql//slipway:{password}@host/db",
            "Could not parse",
            id="no address",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_catalog_that_cannot_be_opened(site: Site, uri: str, reported: str) -> None:
    places = {
        "wrong": site.postgres.uri(site.database, f"{PASSWORD}-wrong"),
        "nowhere": site.postgres.uri("nowhere"),
        "password": PASSWORD,
    }
    began = time.monotonic()
    message = site.workshop.refusal("run", code=5, PYICEBERG_CATALOG__STAGING__URI=uri.format(**places))
    assert time.monotonic() - began < 45
    assert message.startswith("Catalog of staging cannot be ")
    assert reported in message
    assert PASSWORD not in message
    assert not (site.workshop.home / "warehouse").exists()


@pytest.mark.long
def test_a_server_that_does_not_answer_is_given_up(site: Site) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        uri = f"postgresql://slipway:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/db"
        began = time.monotonic()
        message = site.workshop.refusal("run", code=5, PYICEBERG_CATALOG__STAGING__URI=uri)
        assert time.monotonic() - began < 60
    assert message.startswith("Catalog of staging cannot be opened: ")
    assert "timeout" in message


@pytest.mark.long
def test_staged_in_production_and_published(site: Site) -> None:
    site.workshop.commit()
    run = site.workshop.run("--target", "prod")
    assert (run["outcome"], site.published()) == ("staged", {})
    stopped = threading.Event()
    site.postgres.stop()
    try:
        message = site.workshop.refusal("publish", run["run_id"], "--target", "prod", code=5)
        stopped.set()
    finally:
        site.postgres.start()
    assert stopped.is_set()
    assert message.startswith("Catalog of prod cannot be ")
    site.workshop.answer("publish", run["run_id"], "--target", "prod")
    assert site.published().keys() == TABLES
