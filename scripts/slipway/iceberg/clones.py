"""Clones: tables of a throw-away environment that begin as other tables are, without a byte of their data being copied.

A clone is a metadata file of its own that names the manifests and data files of the other table where they are. What is written to it goes below
its own location, so nothing of the other table is changed or removed, also where it says itself where its files are to be written.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH

from slipway.iceberg.carried import PLACES
from slipway.iceberg.commit import publish
from slipway.iceberg.metadata_files import write_metadata
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName


def clone_all(tables: Tables, sources: Mapping[TableName, Table]) -> None:
    """Enter clones of tables into an environment that has none of them.

    Args:
        tables: of the environment that gets them, which has a SQL catalog.
        sources: the tables under the names that the clones get.

    Raises:
        UnavailableError: a file of a clone, or the catalog, cannot be written.
    """
    clones = [_clone(tables, name, source) for name, source in sources.items()]
    if clones:
        publish(tables, clones)


def _clone(tables: Tables, identifier: TableName, source: Table) -> StagedTable:
    location = tables.location_of(identifier)
    known = source.metadata
    metadata = known.model_copy(
        update={
            "location": location,
            "properties": {key: value for key, value in known.properties.items() if key not in PLACES},
            "refs": {name: ref for name, ref in known.refs.items() if name == MAIN_BRANCH},
            "metadata_log": [],
        }
    )
    io = tables.io(location)
    written = write_metadata(io, f"{location}/metadata/00000-{{}}.metadata.json", metadata)
    table = Table(identifier, metadata, written, io, tables.catalog)
    return StagedTable(identifier, table, base=None, registers=True)
