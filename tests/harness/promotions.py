"""Two environments of a project and what is promoted between them, in the test's own process; tables are read by pyiceberg and DuckDB."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import StaticTable
from pyiceberg.table.statistics import StatisticsFile
from tests.harness import records as made

from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.iceberg.earlier_states import retired
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.promotion.planning import Proposal, again, keep, propose
from slipway.promotion.promote import carry_out
from slipway.records.release_records import Intent, Release
from slipway.records.run_manifest import RunManifest
from slipway.records.store import Records
from slipway.releases.attestation import release_signed
from slipway.releases.candidates import record_of

PROFILES = """
shop:
  target: staging
  outputs:
    dev: {type: slipway, database: dev, mode: exploratory, local: true}
    staging: {type: slipway, database: staging, mode: scheduled}
    prod: {type: slipway, database: prod, mode: production}
"""
POLICY = """
environments:
  staging: {from: [dev]}
  prod: {from: [staging]}
"""
PUFFIN = b"PFA1"
"""What Puffin files begin and end with."""
_runs = itertools.count(1)


@dataclass
class Stand:
    """A project with environments, in which releases are made without dbt.

    Args:
        folder: of all of it.
        connection: DuckDB as slipway prepares it.
    """

    folder: Path
    connection: duckdb.DuckDBPyConnection
    number: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.write("dbt_project.yml", "name: shop\nprofile: shop\n")
        self.write("profiles.yml", PROFILES)
        self.write("promotion.yml", POLICY)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def write(self, name: str, text: str) -> None:
        self.project.mkdir(exist_ok=True)
        (self.project / name).write_text(text, encoding="utf-8")

    def settings(self) -> dict[str, str]:
        """Environment variables that keep staging and prod in folders next to the project."""
        found = {"SLIPWAY_HOME": str(self.folder / "home"), "SLIPWAY_SIGNING_KEY": "none"}
        for name in ("staging", "prod"):
            catalog = f"PYICEBERG_CATALOG__{name.upper()}"
            found |= {
                f"{catalog}__TYPE": "sql",
                f"{catalog}__URI": f"sqlite:///{self.folder}/{name}.db",
                f"{catalog}__WAREHOUSE": f"file://{self.folder}/{name}",
            }
        return found

    def environment(self, name: str) -> Environment:
        return Profile(self.project).environment(name)

    def records(self, name: str) -> Records:
        return Records(self.environment(name))

    # ------------------------------------------------------------------------------------------ the source

    def publish(
        self,
        *requests: Mapping[str, Any],
        retire: Iterable[str] = (),
        target: str = "staging",
        manifest: Mapping[str, Any] | None = None,
    ) -> Release:
        """Write tables by queries and publish them as a release of a run, whose manifest vouches for them.

        Args:
            requests: fields of write requests, with ``table`` and ``sql``.
            retire: tables that the catalog is not to name any more.
            target: where.
            manifest: fields of the run manifest that matter to the test.
        """
        tables, records = Tables(self.environment(target)), self.records(target)
        now = datetime.now(UTC)
        run_id = f"{now:%Y%m%dT%H%M%SZ}-{next(_runs):08x}"
        number, locations, staged, nodes = records.reserve(), tables.locations(), [], []
        for given in requests:
            more = {"strategy": "replace", **given}
            name = TableName.parse(more.pop("table"))
            request = WriteRequest(identifier=name, run_id=run_id, release=f"release-{number}", **more)
            base = tables.load(name, locations[name]) if name in locations else None
            result = write(self.connection, tables, base, request)
            staged.append(result.staged)
            nodes.append(
                made.node(
                    str(name),
                    candidate_snapshot=str(result.staged.snapshot_id),
                    metadata_location=result.staged.table.metadata_location,
                    digest=str(result.digest),
                )
            )
        staged += [
            retired(tables, TableName.parse(name), locations[TableName.parse(name)]) for name in retire
        ]
        for item in staged:
            records.write(run_id, f"candidate/{item.identifier}.json", record_of(item, number))
        given = {
            "run_id": run_id,
            "target": target,
            "mode": "scheduled",
            "started_at": now,
            "finished_at": now,
            "release": number,
        }
        run: RunManifest = made.manifest(*nodes, **(given | dict(manifest or {})))
        records.write(run_id, "run_manifest.json", run.model_dump_json())
        records.seal(run_id)
        intent = Intent(number=number, run_id=run_id, code=run.code)
        return release_signed(tables, records, staged, intent)

    def computed(self, name: str, place: str, target: str = "staging") -> bytes:
        """Have another program register statistics of a table that is kept in a folder; they are no Puffin file but for its ends.

        Args:
            name: of the table.
            place: of the file, below the table's folder.
            target: where.

        Returns:
            the content of the file.
        """
        table = Tables(self.environment(target)).catalog.load_table(name)
        path = Path(f"{table.location().removeprefix('file://')}/{place}").resolve()
        content = PUFFIN + bytes(20) + PUFFIN
        path.write_bytes(content)
        current = table.current_snapshot()
        assert current
        named = {
            "snapshot-id": current.snapshot_id,
            "statistics-path": f"file://{path}",
            "file-size-in-bytes": len(content),
            "file-footer-size-in-bytes": 20,
            "blob-metadata": [],
        }
        with table.update_statistics() as update:
            update.set_statistics(StatisticsFile(**named))
        return content

    # ------------------------------------------------------------------------------------------ promotion

    def proposal(
        self,
        number: int | None = None,
        source: str = "staging",
        target: str = "prod",
        *,
        replace: bool = False,
    ) -> Proposal:
        return propose(self.project, source, target, number, replace=replace)

    def promote(
        self,
        number: int | None = None,
        source: str = "staging",
        target: str = "prod",
        *,
        replace: bool = False,
    ) -> Release:
        proposal = self.proposal(number, source, target, replace=replace)
        keep(proposal)
        return carry_out(proposal, "", lambda _: None)

    def carried_out(self, plan_id: str, target: str = "prod") -> Release:
        return carry_out(again(self.project, target, plan_id), "", lambda _: None)

    # ------------------------------------------------------------------------------------------ what is there

    def shown(self, target: str = "prod") -> dict[str, str]:
        """Metadata file of every table that the catalog names."""
        return {
            str(name): location for name, location in Tables(self.environment(target)).locations().items()
        }

    def table(self, name: str, target: str = "prod") -> StaticTable:
        """A table as pyiceberg reads it."""
        properties = self.environment(target).catalog_properties
        return StaticTable.from_metadata(self.shown(target)[name], properties)

    def rows(self, name: str, target: str = "prod") -> list[tuple[Any, ...]]:
        """Rows by pyiceberg, sorted; DuckDB is asked as well and has to say the same."""
        table = self.table(name, target)
        read = table.scan().to_arrow()
        columns = [read.column(column).to_pylist() for column in read.column_names]
        by_pyiceberg = sorted(zip(*columns, strict=True), key=repr)
        location = table.metadata_location.removeprefix("file://")
        by_duckdb = self.reader.execute(f"from iceberg_scan('{location}')").fetchall()
        assert sorted(by_duckdb, key=repr) == by_pyiceberg
        return by_pyiceberg

    @cached_property
    def reader(self) -> duckdb.DuckDBPyConnection:
        return self.connection

    def files(self, name: str, target: str = "prod") -> dict[str, bytes]:
        """Live data files below the table's folder, and what they hold."""
        table = self.table(name, target)
        root = f"{table.location()}/"
        return {
            task.file.file_path.removeprefix(root): Path(
                task.file.file_path.removeprefix("file://")
            ).read_bytes()
            for task in table.scan().plan_files()
        }

    def all_files(self, target: str = "prod") -> set[Path]:
        """All data files of an environment that is kept in a folder."""
        return set((self.folder / target).rglob("*.parquet"))

    def copied(self, number: int, target: str = "prod") -> Sequence[str]:
        """Paths of the files that a promotion copied."""
        from slipway.promotion.recorded import read_promotion

        found = read_promotion(self.records(target), number)
        assert found is not None
        return [file.path for files in found.copied.values() for file in files]
