"""The candidate of a run: one record per staged table, from which it is published, continued or healed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pyiceberg.table.update import TableUpdate

from slipway.adapters.iceberg.tables import StagedTable, Tables
from slipway.domain.errors import DamagedError
from slipway.domain.manifest import SCHEMA_VERSION

_UPDATES: TypeAdapter[tuple[TableUpdate, ...]] = TypeAdapter(tuple[TableUpdate, ...])


def record_of(staged: StagedTable, release: int) -> str:
    """A staged table as JSON."""
    return json.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "table": list(staged.identifier),
            "metadata_location": staged.table.metadata_location,
            "base": staged.base,
            "snapshot_id": str(staged.snapshot_id),
            "release": release,
            "updates": [json.loads(update.model_dump_json()) for update in staged.updates],
        }
    )


def staged_of(tables: Tables, record: Mapping[str, Any]) -> StagedTable:
    """The staged table that a record is of; its metadata file is read.

    Raises:
        DamagedError: the record and the metadata file do not belong together.
        UnavailableError: the metadata file cannot be read.
    """
    namespace, name = record["table"]
    loaded = tables.load((namespace, name), record["metadata_location"])
    why = ""
    if str(loaded.metadata.current_snapshot_id) != record["snapshot_id"]:
        why = f"it names snapshot {record['snapshot_id']}, its metadata file {loaded.metadata.current_snapshot_id}"
    try:
        updates = _UPDATES.validate_python(record["updates"])
    except ValidationError as error:
        updates, why = (), f"its updates are not Iceberg's: {error.errors()[0]['msg']}"
    if why:
        raise DamagedError(f"candidate record of {namespace}.{name} cannot be used", why, "run again")
    return StagedTable((namespace, name), loaded, record["base"], updates)
