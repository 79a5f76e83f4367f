"""Records of releases: what is about to be published, what was, and holds; written once, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from slipway.domain.manifest import SCHEMA_VERSION, Code, Record


class Move(Record):
    """A table of a publication: metadata files that it comes from (None for a new table) and goes to."""

    base: str | None
    metadata_location: str


class Intent(Record):
    """Written before the first table of a release is moved; whoever finds it can finish or undo the publication."""

    schema_version: int = SCHEMA_VERSION
    number: int
    run_id: str
    code: Code
    tables: dict[str, Move] = Field(default_factory=dict)
    rolls_back: bool = False
    returns_to: int | None = None
    reason: str = ""

    @property
    def tag(self) -> str:
        """The Iceberg tag that the tables of this release carry."""
        return f"release-{self.number}"

    def in_order(self) -> list[str]:
        """Tables in the order in which they are moved, the same for all; new ones last, so that few are dropped again."""
        return sorted(self.tables, key=lambda name: (self.tables[name].base is None, name))


class ReleasedTable(Record):
    """A table as a release shows it.

    ``rewrites`` is the snapshot whose rows a compaction put into other files, ``stale`` says why rows of the table are not
    what the code makes that last ran.
    """

    snapshot_id: str | None
    schema_id: int
    metadata_location: str
    rows: int | None
    changed: bool
    run_id: str | None
    rewrites: str | None = None
    stale: str = ""

    @property
    def content(self) -> str | None:
        """The snapshot that brought the rows."""
        return self.rewrites or self.snapshot_id


class CandidateTable(Record):
    """A staged table of a run or rollback, as it is written down; ``updates`` are Iceberg table updates."""

    schema_version: int = SCHEMA_VERSION
    table: list[str] = Field(min_length=2, max_length=2)
    metadata_location: str
    base: str | None
    snapshot_id: str
    release: int
    updates: list[dict[str, Any]]


class Release(Record):
    """A consistent cut of an environment: every published table after the release, changed or not.

    A rollback is a release, too. ``run_id`` is then the run of the release that it shows again, and ``returns_to`` that
    release, unless only some tables were rolled back.
    """

    schema_version: int = SCHEMA_VERSION
    number: int
    run_id: str
    target: str
    published_at: datetime
    code: Code
    guarantee: str
    tables: dict[str, ReleasedTable]
    rolls_back: bool = False
    returns_to: int | None = None
    reason: str = ""


class Hold(Record):
    """An environment in which nothing is published until the hold is lifted; ``release`` is the one that placed it."""

    schema_version: int = SCHEMA_VERSION
    target: str
    release: int
    placed_at: datetime
    who: str
    reason: str


class Lift(Record):
    """The end of a hold."""

    schema_version: int = SCHEMA_VERSION
    lifted_at: datetime
    who: str
