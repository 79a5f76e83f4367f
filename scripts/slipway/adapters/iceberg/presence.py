"""Whether the files of a snapshot are there, told without opening a data file."""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.table import Table

from slipway.adapters.iceberg.reading import files_of
from slipway.adapters.iceberg.tables import uri
from slipway.adapters.objects import object_store


def missing_file(table: Table, properties: Mapping[str, str]) -> str | None:
    """A data file of a table's current snapshot that is gone, None when all are there.

    The table's folder is listed; only files that stand elsewhere are asked for one by one.

    Args:
        table: the table as its metadata describes it.
        properties: of the catalog, for access to the store.

    Raises:
        DamagedTableError: a manifest is gone or damaged.
    """
    files = files_of(table)
    if not files:
        return None
    root = uri(f"{table.location()}/data")
    there = {f"{root}/{item.key}" for item in object_store(root, properties).entries("")}
    wanted = sorted({file.file_path for file in files})
    absent = (path for path in wanted if uri(path) not in there)
    return next((path for path in absent if not table.io.new_input(path).exists()), None)
