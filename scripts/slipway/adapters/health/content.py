"""The rows of published tables beside the digests that were written with them; every data file is read."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from slipway.adapters import engine
from slipway.adapters.belonging import elsewhere
from slipway.adapters.health.examination import Examination
from slipway.adapters.iceberg.reading import RESTORE, damages, data_files
from slipway.adapters.iceberg.tables import duckdb_path
from slipway.adapters.iceberg.types import literal
from slipway.adapters.iceberg.write.digest import digest_of, recorded
from slipway.domain.errors import UnavailableError
from slipway.domain.health import Finding


def rows(at: Examination) -> Iterator[Finding]:
    """Data files that cannot be read, and tables whose rows are not those that were written."""
    if not at.deep or elsewhere(at.environment, at.locations):
        return
    connection = engine.connect(at.environment, at.environment.home)
    try:
        for identifier, location in sorted(at.locations.items()):
            yield from _table(at, connection, identifier, location)
    finally:
        connection.close()


def _table(
    at: Examination, connection: duckdb.DuckDBPyConnection, identifier: tuple[str, str], location: str
) -> Iterator[Finding]:
    name = ".".join(identifier)
    try:
        table = at.tables.load(identifier, location)
        files = data_files(table)
    except UnavailableError:  # told where files are examined
        return
    wanted = recorded(table.current_snapshot())
    scan = f"iceberg_scan({literal(duckdb_path(location))})"
    try:
        found = digest_of(connection, scan, table.schema()) if wanted else None
    except duckdb.Error:
        found = None
    if wanted and found == wanted:
        return
    told = False
    for damage in damages(connection, table, files):
        told = True
        yield Finding(name, f"it cannot be read as a whole: {damage.why}", RESTORE)
    if wanted and found and not told:
        yield Finding(
            name,
            f"its rows are not those that were written: their digest is {found}, and {wanted} was recorded",
            "restore its data files from a copy, or build it again with slipway run --full-refresh",
        )
