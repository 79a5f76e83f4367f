"""Environments whose tables are staged and published in the test's own process, in any catalog and store."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.catalog import Catalog, load_catalog

from slipway.engines.duckdb import engine
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import Environment, Mode
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.release_records import Intent
from slipway.records.release_records import Release as ReleaseRecord
from slipway.records.run_manifest import Code
from slipway.records.store import Records
from slipway.releases.candidates import record_of
from slipway.releases.publication import heal, release
from slipway.releases.published import visible_tables

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE01", "AWS_SECRET_ACCESS_KEY": "example"}
CODE = Code(commit=None, dirty=True)
_number = itertools.count(1)


@dataclass
class Place:
    """An environment with tables of one number each; ``prefix`` begins its namespaces, to keep them apart from those of other tests."""

    environment: Environment
    prefix: str
    connection: duckdb.DuckDBPyConnection
    runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """What a new process starts with; the client of the catalog is kept, because to make one takes long."""
        self.tables, self.records = Tables(self.environment), Records(self.environment)
        self.tables.__dict__["catalog"] = self._opened

    def name(self, table: str) -> str:
        return str(self.id(table))

    def id(self, table: str) -> TableName:
        return TableName.parse(f"{self.prefix}{table}")

    def stage(self, **numbers: int) -> Callable[[], ReleaseRecord]:
        """Stage tables ``namespace_name=number``; the result publishes them."""
        self.restart()
        run_id = f"20240501T0000{next(self.runs):02d}Z-0000abcd"
        number, now, staged = self.records.reserve(), self.tables.locations(), []
        for table, value in numbers.items():
            identifier = self.id(table.replace("_", "."))
            base = now.get(identifier)
            request = WriteRequest(identifier, f"select {value} as n", "replace", run_id, f"release-{number}")
            loaded = self.tables.load(identifier, base) if base else None
            staged.append(write(self.connection, self.tables, loaded, request).staged)
            record = record_of(staged[-1], number)
            self.records.write(run_id, f"candidate/{identifier}.json", record)
        intent = Intent(number=number, run_id=run_id, code=CODE)
        return lambda: release(self.tables, self.records, staged, intent)

    def publish(self, **numbers: int) -> ReleaseRecord:
        return self.stage(**numbers)()

    def heal(self) -> list[str]:
        self.restart()
        return heal(self.tables, self.records)

    @cached_property
    def _opened(self) -> Catalog:
        return Tables(self.environment).catalog

    def catalog(self) -> Any:  # noqa: ANN401 - any of pyiceberg's catalogs
        """The catalog as another program opens it."""
        return self._foreign

    @cached_property
    def _foreign(self) -> Any:  # noqa: ANN401 - any of pyiceberg's catalogs
        properties = dict(self.environment.catalog_properties)
        if properties.get("uri", "").startswith("postgresql:"):
            properties["uri"] = properties["uri"].replace("postgresql:", "postgresql+psycopg2:")
        return load_catalog(self.environment.name, **properties)

    def numbers(self) -> dict[str, int]:
        """What the catalog shows, as pyiceberg reads it: ``namespace_name`` to number."""
        catalog, found = self.catalog(), {}
        for (namespace,) in catalog.list_namespaces():
            for name in catalog.list_tables(namespace) if namespace.startswith(self.prefix) else ():
                rows = catalog.load_table(name).scan().to_arrow().column("n").to_pylist()
                found["_".join(name).removeprefix(self.prefix)] = rows[0]
        return found

    def visible(self) -> dict[str, int]:
        """What slipway shows to readers."""
        self.restart()
        cut = visible_tables(self.tables, self.records).locations
        return {
            "_".join(identifier).removeprefix(self.prefix): self.tables.load(identifier, location)
            .scan()
            .to_arrow()
            .column("n")
            .to_pylist()[0]
            for identifier, location in cut.items()
            if identifier[0].startswith(self.prefix)
        }

    def commit(self, table: str) -> int:
        """Another program changes a table: the snapshot that it makes."""
        changed = self.catalog().load_table(self.id(table))
        changed.append(changed.scan().to_arrow())
        return int(changed.refresh().current_snapshot().snapshot_id)

    def keys(self, suffix: str) -> list[str]:
        return [item.key for item in self.records.store.entries("releases") if item.key.endswith(suffix)]


def place(root: str, connection: duckdb.DuckDBPyConnection | None = None, /, **properties: str) -> Place:
    """An environment with a warehouse of its own below a root; catalogs get its address, except those of servers."""
    prefix = f"p{next(_number)}_"
    warehouse = f"{root}/{prefix.removesuffix('_')}"
    location = {} if properties["type"] == "rest" else {"warehouse": warehouse}
    environment = Environment(
        name="staging",
        mode=Mode.SCHEDULED,
        warehouse=warehouse,
        catalog_properties={**location, **properties},
        landing="",
        home=Path(tempfile.gettempdir()),
    )
    return Place(environment, prefix, connection or engine.connect(environment))


def target(name: str, warehouse: str, /, **properties: str) -> dict[str, str]:
    """Environment variables with which commands work on a target of profiles.yml.

    Args:
        name: of the target.
        warehouse: where its tables are kept.
        properties: of its catalog, as pyiceberg names them.
    """
    catalog = {
        f"PYICEBERG_CATALOG__{name.upper()}__{key.upper().replace('-', '_')}": value
        for key, value in properties.items()
    }
    return {"DBT_TARGET": name, "SLIPWAY_WAREHOUSE": warehouse, **catalog}
