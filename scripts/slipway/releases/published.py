"""What an environment shows its readers: now, while a publication is under way, in a release, or in a candidate.

Reading makes nothing: where there is no catalog yet, none is created.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from slipway.environments.environment import Environment, catalog_file
from slipway.errors import DamagedError, DamagedTableError, NotFoundError, UnavailableError
from slipway.iceberg.catalogs.next_step import is_mixture
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.node_results import Change
from slipway.records.release_records import Intent, Release
from slipway.records.store import Records
from slipway.releases.cut import Cut, TableVersion

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

LEDGER = TableName("ops", "landed_files")
"""Made by slipway where the warehouse is, so its place tells whose catalog it is."""
OUTSIDE = frozenset({"ops"})
"""Namespaces that are written outside of releases."""


def tables_to_read(environment: Environment) -> Tables:
    """An environment's tables, through a catalog that is opened without being made."""
    properties = {**environment.catalog_properties, "init_catalog_tables": "false"}
    return Tables(replace(environment, catalog_properties=properties))


def check_file(records: Records) -> None:
    """Refuse to make a new catalog in the place of one that is gone.

    Raises:
        DamagedError: releases are recorded, and there is no catalog.
    """
    file = catalog_file(records.environment.catalog_properties)
    if file is not None and not file.is_file() and records.release_keys():
        raise lost(records, f"there is no file {file}")


def check_catalog(tables: Tables, records: Records, now: Mapping[TableName, str]) -> None:
    """Refuse a catalog that lost all tables, or is of another warehouse.

    Raises:
        DamagedError: it is such a catalog.
    """
    if where := elsewhere(records.environment, now):
        raise DamagedError(
            f"The catalog of {records.environment.name} is of another environment",
            f"its tables are in {where}, and the warehouse is {records.environment.warehouse}",
            "Check SLIPWAY_WAREHOUSE, SLIPWAY_HOME and --target",
        )
    # asked again: the first release may have been published and recorded since the catalog was
    if not _released(now) and records.release_keys() and not _released(tables.locations()):
        raise lost(records, "the catalog names no table")


def elsewhere(environment: Environment, now: Mapping[TableName, str]) -> str:
    """The warehouse that a catalog is of, when it is not the environment's; empty otherwise."""
    location = now.get(LEDGER, "")
    root, found, _ = location.partition(f"/{'/'.join(LEDGER)}/")
    return root if found and _plain(root) != _plain(environment.warehouse) else ""


def lost(records: Records, why: str) -> DamagedError:
    """The refusal where releases are recorded that the catalog knows nothing of.

    Raises:
        DamagedError: they are another environment's.
    """
    records.last_release()
    newest = records.release_keys()[-1]
    return DamagedError(
        f"The catalog of {records.environment.name} is gone",
        f"{why}, and {records.store.root}/{newest} is of a release",
        "Restore it, check that it is the right one, or have slipway doctor --fix enter the tables of that release",
    )


def is_unused(tables: Tables) -> bool:
    """Whether a SQL catalog can be reached and was never used."""
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    catalog = tables.catalog
    try:
        return isinstance(catalog, SqlCatalog) and not inspect(catalog.engine).has_table("iceberg_tables")
    except SQLAlchemyError:
        return False


def _released(now: Mapping[TableName, str]) -> bool:
    return any(namespace not in OUTSIDE for namespace, _ in now)


def _plain(location: str) -> str:
    return location.removeprefix("file://").replace("s3a://", "s3://", 1).rstrip("/")


_LOOKS = 5


@dataclass(frozen=True)
class VisibleTables:
    """One consistent cut of an environment.

    Args:
        locations: metadata file of every table.
        unfinished: unfinished publications, which are left out.
    """

    locations: dict[TableName, str]
    unfinished: Sequence[Intent] = ()


def visible_tables(tables: Tables, records: Records) -> VisibleTables:
    """The tables as the last whole publication left them.

    A catalog that is listed table by table is looked at again when something was published meanwhile.

    Raises:
        UnavailableError: the catalog or the records cannot be read.
    """
    if tables.kind.is_atomic:
        return VisibleTables(tables.locations())
    before, found = records.publications(), VisibleTables({})
    for _ in range(_LOOKS):
        found = _without_unfinished(tables, tables.locations(), records.open_intents())
        after = records.publications()
        if after == before:
            break
        before = after
    return found


def warning(intent: Intent) -> str:
    """What a reader should know about an unfinished publication."""
    return (
        f"release {intent.number} of run {intent.run_id} is published in part; the next run or publication"
        " finishes or undoes it"
    )


def _without_unfinished(
    tables: Tables, now: Mapping[TableName, str], intents: Sequence[Intent]
) -> VisibleTables:
    from slipway.iceberg.commit import positions

    locations, found = dict(now), []
    for intent in intents:
        if not is_mixture(positions(tables, intent, now).values()):
            continue
        found.append(intent)
        for name, move in intent.tables.items():
            table = TableName.parse(name)
            locations.pop(table, None)
            if move.base is not None:
                locations[table] = move.base
    return VisibleTables(locations, found)


class Published:
    """The readable side of one environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.records = Records(environment)

    @cached_property
    def tables(self) -> Tables:
        """The environment's tables, through a catalog that is opened without being made.

        Raises:
            NotFoundError: there is no catalog, so nothing was ever published.
        """
        check_file(self.records)
        file = catalog_file(self.environment.catalog_properties)
        if file is not None and not file.is_file():
            raise self._nothing(f"there is no catalog at {file}")
        return tables_to_read(self.environment)

    @cached_property
    def locations(self) -> dict[TableName, str]:
        """Current metadata of every table, asked once: one consistent cut.

        Raises:
            NotFoundError: nothing was ever published.
            DamagedError: the catalog is not that of the releases that are recorded.
            UnavailableError: the catalog cannot be read.
        """
        return self._visible.locations

    @cached_property
    def _visible(self) -> VisibleTables:
        try:
            found = visible_tables(self.tables, self.records)
        except UnavailableError:
            if is_unused(self.tables):
                if self.records.release_keys():
                    raise lost(self.records, "the catalog is empty") from None
                raise self._nothing("its catalog is empty") from None
            raise
        if not found.locations and found.unfinished:
            raise self._nothing(warning(found.unfinished[0]))
        check_catalog(self.tables, self.records, found.locations)
        if not found.locations:
            raise self._nothing("its catalog names no table")
        return found

    def now(self) -> Cut:
        """What is published at this moment; while a publication is unfinished, what was before it."""
        name = self.environment.name
        notes = [
            f"{warning(intent)}: what is shown is the state before it" for intent in self._visible.unfinished
        ]
        return Cut(
            name,
            {str(table): TableVersion(location) for table, location in self.locations.items()},
            "; ".join(notes),
        )

    def unfinished(self) -> list[str]:
        """What readers should know about unfinished publications, and about records of them that cannot be read."""
        try:
            tables, intents = self.tables, self.records.open_intents()
            if (
                not intents or tables.kind.is_atomic
            ):  # the catalog is asked only if one was begun and not ended
                return []
            found = _without_unfinished(tables, tables.locations(), intents).unfinished
            return [warning(intent) for intent in found]
        except NotFoundError:
            return []
        except DamagedError as error:
            return [error.line()]

    def release(self, number: int) -> Cut:
        """The tables as a release left them; raises as ``record`` does."""
        return self.cut_of(self.record(number))

    def record(self, number: int) -> Release:
        """The record of a release.

        Raises:
            NotFoundError: no such release was published.
            DamagedError: its record cannot be read.
        """
        releases, damaged = self.records.readable_releases()
        for release in releases:
            if release.number == number:
                return release
        if number in damaged:
            raise damaged[number]
        if not releases and not damaged:
            raise self._nothing("there is no release")
        known = ", ".join(str(release.number) for release in releases[-5:])
        raise NotFoundError(
            f"{self.environment.name} has no release {number}",
            f"the last ones are {known}",
            "List them with slipway releases",
        )

    def as_of(self, moment: datetime) -> Cut:
        """The tables as the last release at or before a moment left them; raises as ``record_as_of`` does."""
        return self.cut_of(self.record_as_of(moment))

    def record_as_of(self, moment: datetime) -> Release:
        """The last release that was published at or before a moment.

        Raises:
            NotFoundError: the first release came later.
            DamagedError: the record of a release cannot be read, so it is not known when it was published.
        """
        releases = self.records.releases()
        if not releases:
            raise self._nothing("there is no release")
        earlier = [release for release in releases if release.published_at <= moment]
        if not earlier:
            first = releases[0]
            raise NotFoundError(
                f"{self.environment.name} had no release at {_second(moment)}",
                f"release {first.number} is the first, published at {_second(first.published_at)}",
                "Give a later time",
            )
        return earlier[-1]

    @staticmethod
    def cut_of(release: Release) -> Cut:
        """The tables as a release left them."""
        return Cut(
            f"release {release.number} of {release.target}",
            {
                name: TableVersion(table.metadata_location, table.snapshot_id)
                for name, table in release.tables.items()
            },
            option=f"--release {release.number}",
        )

    def candidate(self, run_id: str, *, with_inputs: bool = True) -> Cut:
        """What a run built, whether it was published or not, and what it found unchanged and, with its inputs, read.

        Raises:
            NotFoundError: the run came to no table.
        """
        tables: dict[str, TableVersion] = {}
        manifest = self.records.manifest(run_id)
        if manifest is not None:
            for read in manifest.inputs if with_inputs else ():
                name = read.table.removeprefix(f"{self.environment.name}.")
                tables[name] = TableVersion(read.metadata_location, read.snapshot_id)
            for node in manifest.nodes:
                if (
                    node.table
                    and node.metadata_location
                    and (with_inputs or node.change is not Change.PINNED)
                ):
                    tables[node.table] = TableVersion(node.metadata_location, node.candidate_snapshot)
        for staged in self.records.candidate(run_id):
            if staged.retires:
                continue
            tables[str(staged.name)] = TableVersion(staged.metadata_location, staged.snapshot_id)
        if not tables:
            raise NotFoundError(
                f"Run {run_id} has no tables", "it ended before it built one", f"See slipway show {run_id}"
            )
        return Cut(f"run {run_id}", tables, option=f"--run {run_id}")

    def load(self, name: str, version: TableVersion) -> tuple[Table, Snapshot | None]:
        """A table of a cut, and the snapshot that is meant where that is not the current one of the metadata.

        Raises:
            DamagedTableError: its metadata file is missing or damaged.
            UnavailableError: it cannot be read.
        """
        identifier, tables = TableName.parse(name), Tables(self.environment)
        try:
            return tables.load_to_read(identifier, version.metadata_location), None
        except DamagedTableError as error:
            # The metadata file is gone: the table's present metadata may still know the snapshot.
            now = self.locations.get(identifier) if version.snapshot_id else None
            if (
                not now
                or now == version.metadata_location
                or not isinstance(error.__cause__, FileNotFoundError)
            ):
                raise
            loaded = tables.load_to_read(identifier, now)
            snapshot = loaded.snapshot_by_id(int(version.snapshot_id or 0))
            if snapshot is None:
                raise
            return loaded, snapshot

    def has_expired(self, name: str, version: TableVersion) -> bool:
        """Whether the table's present metadata does not know the snapshot of a version any more.

        Raises:
            DamagedTableError: the present metadata is missing or damaged.
            UnavailableError: it cannot be read.
        """
        now = self.locations.get(TableName.parse(name))
        if not now or not version.snapshot_id or now == version.metadata_location:
            return False
        loaded = Tables(self.environment).load_to_read(TableName.parse(name), now)
        return loaded.snapshot_by_id(int(version.snapshot_id)) is None

    def _nothing(self, why: str) -> NotFoundError:
        return NotFoundError(
            f"Nothing is published in {self.environment.name} yet",
            why,
            f"Build and publish with slipway run --target {self.environment.name}",
        )


def _second(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
