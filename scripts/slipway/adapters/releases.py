"""The cut of an environment that a release is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from pyiceberg.table import Table

from slipway.adapters.iceberg.commit import guarantee
from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.domain.manifest import Code, Release, ReleasedTable

_OUTSIDE = frozenset({"ops"})
"""Namespaces that are written outside of releases."""


def released_cut(
    tables: Tables, *, number: int, run_id: str, code: Code, changed: Collection[TableId], now: datetime
) -> Release:
    """What an environment shows right after a run was published: what changed, and what it stands beside."""
    found = {
        ".".join(identifier): _released(tables.load(identifier, location), changed=identifier in changed)
        for identifier, location in sorted(tables.locations().items())
        if identifier[0] not in _OUTSIDE
    }
    return Release(
        number=number,
        run_id=run_id,
        target=tables.environment.name,
        published_at=now,
        code=code,
        guarantee=guarantee(tables.catalog),
        tables=found,
    )


def figures(table: Table | None) -> dict[str, int | None]:
    """Rows, files and bytes of a table's current snapshot, from its summary alone."""
    current = table.current_snapshot() if table else None
    summary = current.summary.additional_properties if current and current.summary else {}

    def number(name: str) -> int | None:
        return int(summary[name]) if name in summary else (0 if current is None else None)

    return {
        "rows": number("total-records"),
        "files": number("total-data-files"),
        "bytes": number("total-files-size"),
    }


def _released(table: Table, *, changed: bool) -> ReleasedTable:
    current = table.current_snapshot()
    summary = current.summary.additional_properties if current and current.summary else {}
    return ReleasedTable(
        snapshot_id=str(current.snapshot_id) if current else None,
        schema_id=table.schema().schema_id,
        metadata_location=table.metadata_location,
        rows=figures(table)["rows"],
        changed=changed,
        run_id=summary.get("slipway.run-id"),
    )
