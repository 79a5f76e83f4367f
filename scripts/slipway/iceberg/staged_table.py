"""A table of a candidate: ordinary Iceberg metadata in the warehouse that no catalog points to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pyiceberg.table import Table
from pyiceberg.table.update import TableUpdate

from slipway.names import TableName


@dataclass
class StagedTable:
    """A table of a candidate.

    Args:
        identifier: namespace and name.
        table: the candidate state, loaded from its own metadata file.
        base: metadata location that the catalog named when the run began; None for a new table.
        updates: what leads from the base to the candidate, for catalogs that apply updates themselves.
        retires: the catalog is not to name the table any more; ``table`` is its last state.
        registers: a table with a history enters the catalog again, or under another name; it has no base.
    """

    identifier: TableName
    table: Table
    base: str | None
    updates: tuple[TableUpdate, ...] = field(default=(), repr=False)
    retires: bool = False
    registers: bool = False

    @property
    def snapshot_id(self) -> int | None:
        """The snapshot that publishing makes current."""
        current = self.table.current_snapshot()
        return current.snapshot_id if current else None


@dataclass(frozen=True)
class Moved:
    """What a catalog shows right after tables were moved, and when that was, UTC."""

    locations: dict[TableName, str]
    at: datetime
