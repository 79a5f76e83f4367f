"""What a table comes from: other tables in one state each, and landed files at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

LANDING = "landing."
UNVERSIONED = "read by "
"""Begins the version of what has none of its own: the run that read it follows."""


@dataclass(frozen=True)
class Source:
    """A table in one state, among what another table comes from.

    Args:
        table: ``layer.table``, or ``landing.feed``.
        version: snapshot id, or the key of a set of landed files.
        run_id: the run that wrote the snapshot; None if another tool did.
        written_at: when the snapshot was written.
        rows: rows of the table in this state.
        files: data files of the table in this state.
        bytes_total: their bytes.
        operation: Iceberg's name for what the snapshot did.
        is_published: the catalog still shows this state.
        inputs: what it was built from, table to version.
    """

    table: str
    version: str
    run_id: str | None = None
    written_at: datetime | None = None
    rows: int | None = None
    files: int | None = None
    bytes_total: int | None = None
    operation: str | None = None
    is_published: bool = False
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceFile:
    """A landed file whose rows are in a raw table."""

    file: str
    rows: int
    sha256: str
    landed_at: datetime | None


@dataclass(frozen=True)
class SourceFiles:
    """The landed files in one state of a raw table: how many, their rows, and the newest of them."""

    feed: str
    table: str
    files: int
    rows: int
    newest: list[SourceFile]
