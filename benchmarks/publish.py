"""A release of many tables: seconds to publish it, record it, and nothing of it when one table moved."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.lake import SCHEMA, Lake
from benchmarks.measure import Measured
from benchmarks.report import Figure, seconds
from benchmarks.scale import Scale
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import Environment
from slipway.errors import ConflictError
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.release_records import Intent
from slipway.records.run_manifest import Code
from slipway.records.store import Records
from slipway.releases.publication import release

NAME = "publish"
GOAL = 1.0


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Publish tables that are new, and the same again, on SQLite and on PostgreSQL where it is installed."""
    figures, remarks = [], []
    with _environments(folder) as environments:
        for kind, environment in environments.items():
            tables = _Tables(environment, scale.tables)
            tables.publish()  # all new, and all that a process loads once
            whole = Measured(f"{scale.tables} tables on {kind}")
            refused = Measured(f"{scale.tables} tables on {kind}, one of which moved: nothing published")
            for _ in range(scale.repeats):
                whole.seconds.append(tables.publish())
            refused.seconds.append(tables.refused())
            figures.append(Figure(NAME, whole.name, whole.median, "s", GOAL))
            remarks.append(seconds(f"Publishing on {kind}", [whole, refused]))
    return figures, remarks


@contextmanager
def _environments(folder: Path) -> Iterator[dict[str, Environment]]:
    """An environment of each kind of SQL catalog; PostgreSQL where it is installed, without waiting for its disk."""
    from tests.harness.servers import Postgres

    local = Lake(folder / "sqlite").tables.environment
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        yield {"SQLite": local}
        return
    server = Postgres(programs[-1])
    try:
        properties = {
            "type": "sql",
            "uri": server.uri("postgres"),
            "warehouse": f"file://{folder}/on-postgres",
        }
        other = replace(local, warehouse=properties["warehouse"], catalog_properties=properties)
        yield {"SQLite": local, "PostgreSQL": other}
    finally:
        server.stop()
        shutil.rmtree(server.folder)


class _Tables:
    """Tables of one row each, staged anew for every release."""

    def __init__(self, environment: Environment, count: int) -> None:
        self._environment, self._count, self._run = environment, count, 0
        self._connection = Lake(environment.home / "lake").connection

    def publish(self) -> float:
        """Seconds of a release of all tables, as a process that has just built them publishes it."""
        tables, records, staged, intent = self._stage()
        began = time.perf_counter()
        release(tables, records, staged, intent)
        return time.perf_counter() - began

    def refused(self) -> float:
        """Seconds of a publication that finds one table moved.

        Raises:
            AssertionError: anything of it was published.
        """
        stale = self._stage()
        moved = self._stage(only=self._count // 2)
        release(*moved)
        before = Tables(self._environment).locations()
        began = time.perf_counter()
        try:
            release(*stale)
        except ConflictError:
            took = time.perf_counter() - began
            assert Tables(self._environment).locations() == before
            return took
        raise AssertionError("a table moved, and the release was published")

    def _stage(self, only: int | None = None) -> tuple[Tables, Records, list[StagedTable], Intent]:
        tables, records = Tables(self._environment), Records(self._environment)
        self._run += 1
        number, now, staged = records.reserve(), tables.locations(), []
        for at in range(self._count) if only is None else [only]:
            identifier = TableName(SCHEMA, f"table_{at}")
            sql = f"select {self._run} as run, {at} as id"
            request = WriteRequest(identifier, sql, "replace", f"run-{self._run}", f"release-{number}")
            base = now.get(identifier)
            loaded = tables.load(identifier, base) if base else None
            staged.append(write(self._connection, tables, loaded, request).staged)
        return (
            tables,
            records,
            staged,
            Intent(number=number, run_id=f"run-{self._run}", code=Code(commit=None, dirty=True)),
        )
