"""The tables that a query reads, as views; and which file of them an error of DuckDB is about."""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb
from pyiceberg.table import Table

from slipway.adapters import engine
from slipway.adapters.iceberg.scan import find_damaged, whole_scan
from slipway.adapters.iceberg.tables import Tables
from slipway.adapters.published import Published
from slipway.domain.cut import Cut
from slipway.domain.errors import DamagedTableError, SlipwayError

_OF_A_FILE = re.compile(
    r"\.parquet|magic|compress|zstd|snappy|thrift|protocol|corrupt|footer|page|no such file", re.IGNORECASE
)
"""Words of DuckDB's errors that may be about a damaged file, which not all of them name."""


def create_view(
    connection: duckdb.DuckDBPyConnection,
    published: Published,
    cut: Cut,
    name: str,
    create: str,
    opened: list[Table],
) -> None:
    """Make a view of a table of a cut, and note the table as opened.

    Raises:
        DamagedTableError: its metadata or a manifest is missing or damaged.
        UnavailableError: it cannot be read.
    """
    schema, _, table = name.rpartition(".")
    identifier, version, tables = (schema, table), cut.tables[name], Tables(published.environment)
    snapshot = None
    try:
        loaded = tables.load_to_read(identifier, version.metadata_location)
    except DamagedTableError as error:
        # The metadata file is gone: the table's present metadata may still know the snapshot.
        now = published.locations.get(identifier) if version.snapshot_id else None
        if not now or now == version.metadata_location or not isinstance(error.__cause__, FileNotFoundError):
            raise
        loaded = tables.load_to_read(identifier, now)
        snapshot = loaded.snapshot_by_id(int(version.snapshot_id or 0))
        if snapshot is None:
            raise
    scan = whole_scan(loaded, snapshot)
    opened.append(loaded)
    connection.execute(f"{create} from {scan}")


def damage_of(published: Published, opened: Sequence[Table], error: duckdb.Error) -> SlipwayError | None:
    """Which file of the tables that were opened an error is about, None when it is about none."""
    if not _OF_A_FILE.search(str(error)):
        return None
    connection = engine.connect(published.environment, published.environment.home)
    try:
        return next(filter(None, (find_damaged(connection, table) for table in opened)), None)
    finally:
        connection.close()
