"""What an environment shows its readers: now, in a release, or in the candidate of one run.

Reading makes nothing: where there is no catalog yet, none is created.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property

from slipway.adapters.belonging import catalog_file, check_catalog, check_file, is_unused, lost
from slipway.adapters.halfway import Seen, seen, unfinished, warning
from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.adapters.records import Records
from slipway.domain.cut import Cut, TableVersion
from slipway.domain.environment import Environment
from slipway.domain.errors import DamagedError, NotFoundError, UnavailableError
from slipway.domain.release import Release


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
        properties = self.environment.catalog_properties
        check_file(self.records)
        file = catalog_file(self.environment)
        if file is not None and not file.is_file():
            raise self._nothing(f"there is no catalog at {file}")
        return Tables(
            replace(self.environment, catalog_properties={**properties, "init_catalog_tables": "false"})
        )

    @cached_property
    def locations(self) -> dict[TableId, str]:
        """Current metadata of every table, asked once: one consistent cut.

        Raises:
            NotFoundError: nothing was ever published.
            DamagedError: the catalog is not that of the releases that are recorded.
            UnavailableError: the catalog cannot be read.
        """
        return self._seen.locations

    @cached_property
    def _seen(self) -> Seen:
        try:
            found = seen(self.tables, self.records)
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
        """What is published at this moment; while a publication is half-way, what was before it."""
        name = self.environment.name
        told = [f"{warning(intent)}: shown is what was before it" for intent in self._seen.unfinished]
        return Cut(
            name,
            {".".join(table): TableVersion(location) for table, location in self.locations.items()},
            "; ".join(told),
        )

    def unfinished(self) -> list[str]:
        """What is to be told of publications that are half-way, and of records of them that cannot be read."""
        try:
            return [warning(intent) for intent in unfinished(self.tables, self.records)]
        except NotFoundError:
            return []
        except DamagedError as error:
            return [error.line()]

    def release(self, number: int) -> Cut:
        """The tables as a release left them.

        Raises:
            NotFoundError: no such release was published.
            DamagedError: its record cannot be read.
        """
        releases, damaged = self.records.readable_releases()
        for release in releases:
            if release.number == number:
                return _cut_of(release)
        if number in damaged:
            raise damaged[number]
        if not releases and not damaged:
            raise self._nothing("there is no release")
        known = ", ".join(str(release.number) for release in releases[-5:])
        raise NotFoundError(
            f"{self.environment.name} has no release {number}",
            f"the last ones are {known}",
            "list them with slipway releases",
        )

    def as_of(self, moment: datetime) -> Cut:
        """The last release that was published at or before a moment.

        Args:
            moment: an aware datetime.

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
                "give a later time",
            )
        return _cut_of(earlier[-1])

    def candidate(self, run_id: str) -> Cut:
        """What a run built, whether it was published or not, beside what it read and found unchanged.

        Raises:
            NotFoundError: the run came to no table.
        """
        tables: dict[str, TableVersion] = {}
        manifest = self.records.manifest(run_id)
        if manifest is not None:
            for read in manifest.inputs:
                name = read.table.removeprefix(f"{self.environment.name}.")
                tables[name] = TableVersion(read.metadata_location, read.snapshot_id)
            for node in manifest.nodes:
                if node.table and node.metadata_location:
                    tables[node.table] = TableVersion(node.metadata_location, node.candidate_snapshot)
        for staged in self.records.candidate(run_id):
            if staged["retires"]:
                continue
            tables[".".join(staged["table"])] = TableVersion(
                staged["metadata_location"], staged["snapshot_id"]
            )
        if not tables:
            raise NotFoundError(
                f"run {run_id} has no tables", "it ended before it built one", f"see slipway show {run_id}"
            )
        return Cut(f"run {run_id}", tables)

    def _nothing(self, why: str) -> NotFoundError:
        return NotFoundError(
            f"nothing is published in {self.environment.name} yet",
            why,
            f"build and publish with slipway run --target {self.environment.name}",
        )


def _cut_of(release: Release) -> Cut:
    return Cut(
        f"release {release.number} of {release.target}",
        {
            name: TableVersion(table.metadata_location, table.snapshot_id)
            for name, table in release.tables.items()
        },
    )


def _second(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
