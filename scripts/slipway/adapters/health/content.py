"""The rows of published tables beside the digests that were written with them; every data file is read."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
from pyiceberg.table import Table

from slipway.adapters.health.examination import Examination
from slipway.adapters.iceberg.content_names import RESTORE
from slipway.adapters.iceberg.reading import data_files
from slipway.adapters.iceberg.scan import damages, whole_scan
from slipway.adapters.iceberg.write.digest import digest_of, recorded
from slipway.domain.health import Finding


def rows(at: Examination, table: Table) -> Iterator[Finding]:
    """Data files of a table that cannot be read, and rows that are not those that were written.

    Raises:
        DamagedTableError: its metadata is missing or damaged.
    """
    name, connection = ".".join(table.name()), at.connection
    files = data_files(table)
    wanted = recorded(table.current_snapshot())
    scan = whole_scan(table)
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
