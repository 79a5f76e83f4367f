"""The candidate of a run: one record per staged table, from which it is published, continued or healed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pyiceberg.table.update import TableUpdate

from slipway.adapters.iceberg.tables import StagedTable, Tables

_UPDATES: TypeAdapter[tuple[TableUpdate, ...]] = TypeAdapter(tuple[TableUpdate, ...])


def record_of(staged: StagedTable, release: int) -> str:
    """A staged table as JSON."""
    return json.dumps(
        {
            "table": list(staged.identifier),
            "metadata_location": staged.table.metadata_location,
            "base": staged.base,
            "snapshot_id": str(staged.snapshot_id),
            "release": release,
            "updates": [json.loads(update.model_dump_json()) for update in staged.updates],
        }
    )


def staged_of(tables: Tables, record: Mapping[str, Any]) -> StagedTable:
    """The staged table that a record is of; its metadata file is read."""
    namespace, name = record["table"]
    return StagedTable(
        (namespace, name),
        tables.load((namespace, name), record["metadata_location"]),
        record["base"],
        _UPDATES.validate_python(record["updates"]),
    )
