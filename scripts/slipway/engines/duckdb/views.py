"""Views in dbt's in-memory database: how relations become readable under their dbt names."""

from __future__ import annotations

import threading
from typing import Any

import duckdb
from pyiceberg.table import Table

from slipway.engines.duckdb.scan import scan_of, whole_scan
from slipway.iceberg.staged_table import StagedTable
from slipway.iceberg.types import quote
from slipway.names import TableName


class Views:
    """Views that the threads of an invocation share, made apart from dbt's own connections.

    Args:
        connection: dbt's in-memory database.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.cursor = connection.cursor()
        self._lock = threading.RLock()
        self._versions: dict[tuple[str, str, str], str] = {}
        self._whole: set[str] = set()

    def scan(self, table: Table) -> str:
        """A FROM item over a table whose manifests are whole: DuckDB may end the process when it meets one that is not.

        Raises:
            DamagedTableError: one of them is missing or damaged.
            UnavailableError: one cannot be read.
        """
        location = table.metadata_location
        if location not in self._whole:
            whole_scan(table)
            self._whole.add(location)
        return scan_of(location)

    def table(self, database: str, identifier: TableName, metadata_location: str) -> None:
        """Show one metadata file of an Iceberg table under a relation's name."""
        self.select(database, identifier, f"from {scan_of(metadata_location)}", metadata_location)

    def select(self, database: str, identifier: TableName, select: str, version: str) -> None:
        """Show a query under a relation's name, unless this version of it is shown already."""
        key = (database, *identifier)
        with self._lock:
            if self._versions.get(key) == version:
                return
            schema = f"{quote(database)}.{quote(identifier[0])}"
            self.cursor.execute(f"create schema if not exists {schema}")
            self.cursor.execute(f"create or replace view {schema}.{quote(identifier[1])} as {select}")
            self._versions[key] = version

    def version(self, name: tuple[str, str, str]) -> str | None:
        """What is shown under a relation's name, None where these views do not show anything."""
        with self._lock:
            return self._versions.get(name)

    def names(self) -> list[tuple[str, str, str]]:
        """Relations that are shown."""
        with self._lock:
            return list(self._versions)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query on the connection of the views."""
        with self._lock:
            return self.cursor.execute(sql).fetchall()


def keeps_older_files(staged: StagedTable, run_id: str) -> bool:
    """Whether a candidate shows manifests that another run wrote, which may be damaged."""
    current = staged.table.current_snapshot()
    summary = current.summary.additional_properties if current and current.summary else {}
    is_new = summary.get("slipway.run-id") == run_id
    has_older = staged.base is not None or staged.registers
    return has_older and not (is_new and summary.get("slipway.strategy") == "replace")
