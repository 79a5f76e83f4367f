"""Records of releases: what is about to be published, what was, and holds; written once, never changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import AwareDatetime, Field

from slipway.names import TableName
from slipway.records.record import SCHEMA_VERSION, Record
from slipway.records.run_manifest import Code


class Move(Record):
    """A table of a publication: metadata files that it comes from (None for a new table) and goes to (None: it is retired)."""

    base: str | None
    metadata_location: str | None


class PromotedFrom(Record):
    """The release of another environment that a promotion shows, with the sha256 of its record, and the plan that was carried out.

    ``rebuilt``: its data was not copied; a run of this environment built its commit again.
    """

    target: str
    release: int
    sha256: str
    plan_id: str
    rebuilt: bool = False

    def described(self) -> str:
        """The release, for messages."""
        return f"release {self.release} of {self.target}{', rebuilt here' if self.rebuilt else ''}"


class Intent(Record):
    """Written before the first table of a release is moved; whoever finds it can finish or undo the publication.

    ``signing_key`` is the id of the key that the process is going to sign the release with; empty where there is none.
    """

    schema_version: int = SCHEMA_VERSION
    number: int
    run_id: str
    code: Code
    tables: dict[str, Move] = Field(default_factory=dict)
    rolls_back: bool = False
    returns_to: int | None = None
    reason: str = ""
    retirement: bool = False
    promoted: PromotedFrom | None = None
    signing_key: str = ""

    @property
    def by_run(self) -> bool:
        """Whether a run of this environment staged its tables, and not a rollback, a retirement or a promotion that copied them."""
        return not (self.rolls_back or self.retirement or (self.promoted and not self.promoted.rebuilt))

    @property
    def tag(self) -> str:
        """The Iceberg tag that the tables of this release carry."""
        return f"release-{self.number}"

    def published(self, **known: object) -> Release:
        """The record of the release that it leads to; ``known`` are the fields that only a publication knows."""
        same = self.model_dump(exclude={"schema_version", "tables"})
        moves = self.tables.items()
        retired = {name: move.base for name, move in moves if move.metadata_location is None and move.base}
        return Release.model_validate({**same, "retired": retired, **known})

    def in_order(self) -> list[str]:
        """Tables in the order in which they are moved, the same for all; new ones late, so that few are dropped again.

        Those that are retired come last: until all others show the release, nothing of it is missing.
        """

        def rank(name: str) -> tuple[bool, bool, str]:
            move = self.tables[name]
            return move.metadata_location is None, move.base is None, name

        return sorted(self.tables, key=rank)


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
    """A staged table of a run, rollback, retirement or promotion, as it is written down; ``updates`` are Iceberg table updates.

    ``retires``: the catalog is not to name it any more. ``registers``: a table with a history enters the catalog again, or
    under another name.
    """

    schema_version: int = SCHEMA_VERSION
    table: list[str] = Field(min_length=2, max_length=2)
    metadata_location: str
    base: str | None
    snapshot_id: str
    release: int
    updates: list[dict[str, Any]]
    retires: bool = False
    registers: bool = False

    @property
    def name(self) -> TableName:
        """The table's name."""
        return TableName.of(self.table)


class PreviousRelease(Record):
    """The release record before another one, in order of publication: its number and the sha256 of its bytes."""

    number: int
    sha256: str


class Release(Record):
    """A consistent cut of an environment: every published table after the release, changed or not.

    A rollback is a release, too. ``run_id`` is then the run of the release that it shows again, and ``returns_to`` that
    release, unless only some tables were rolled back. So is a retirement, whose ``run_id`` is that of the release before.
    ``promoted`` is the release of another environment that it shows; ``run_id`` and ``code`` are then that one's, unless it was rebuilt.
    ``retired`` are the tables that it took away, to the metadata files that the catalog named last.
    ``previous`` tells when a record before it is changed or removed. ``signing_key`` is the id of the key that its process was going to sign it with: if it is
    not signed, that process ended before.
    """

    schema_version: int = SCHEMA_VERSION
    number: int
    run_id: str
    target: str
    published_at: AwareDatetime
    code: Code
    guarantee: str
    tables: dict[str, ReleasedTable]
    rolls_back: bool = False
    returns_to: int | None = None
    reason: str = ""
    retirement: bool = False
    retired: dict[str, str] = Field(default_factory=dict)
    previous: PreviousRelease | None = None
    promoted: PromotedFrom | None = None
    signing_key: str = ""

    @property
    def by_run(self) -> bool:
        """Whether a run of this environment staged its tables, and not a rollback, a retirement or a promotion that copied them."""
        return not (self.rolls_back or self.retirement or (self.promoted and not self.promoted.rebuilt))

    @property
    def note(self) -> str:
        """What it is where no run of this environment made it, such as a rollback, and what it took away; empty for others."""
        retires = f"retires {', '.join(sorted(self.retired))}"
        if self.promoted:
            what = f"{self.promoted.described()}{f', {retires}' if self.retired else ''}"
            return f"{what}: {self.reason}" if self.reason else what
        if self.by_run:
            return retires if self.retired else ""
        what = f"shows release {self.returns_to} again" if self.returns_to else "some tables rolled back"
        what = retires if self.retirement else what
        return f"{what}: {self.reason}" if self.reason else what

    def without_model(self, made: Collection[str]) -> list[str]:
        """Tables that runs of slipway wrote and that the project does not make any more.

        Args:
            made: ``layer.table`` of all models, seeds and snapshots of the project.
        """
        return sorted(name for name, table in self.tables.items() if table.run_id and name not in made)


class Hold(Record):
    """An environment in which nothing is published until the hold is lifted; ``release`` is the one that placed it."""

    schema_version: int = SCHEMA_VERSION
    target: str
    release: int
    placed_at: AwareDatetime
    who: str
    reason: str


class Lift(Record):
    """The end of a hold."""

    schema_version: int = SCHEMA_VERSION
    lifted_at: AwareDatetime
    who: str
