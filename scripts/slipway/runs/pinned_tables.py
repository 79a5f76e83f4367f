"""The tables that a run finds published: pinned when it first asks a catalog, so that one query is the view of the whole run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyiceberg.table import Table

from slipway.environments.profiles import Profile
from slipway.errors import SlipwayError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.store import Records
from slipway.releases.publication import heal
from slipway.releases.published import check_catalog, check_file, visible_tables
from slipway.releases.signatures import left_unsigned

LANDING = "landing"
"""The layer of dbt sources that show landed files instead of tables."""
INPUT_LAYERS = frozenset({"raw", "ops", LANDING})
"""Layers that a slice reads whole from the environment; everything after them is built from the slice."""


@dataclass(frozen=True)
class Places:
    """Where a run reads, and where it builds.

    Args:
        profile: its targets are the environments that a run can read.
        inputs: the tables of its environment.
        outputs: the tables that it builds on and publishes: the same, or those of a scratch environment.
        is_slice: it builds a part of the input.
        pins: ``layer.table`` to the metadata file that it reads whatever is published; None for a run that looks itself.
    """

    profile: Profile
    inputs: Tables
    outputs: Tables
    is_slice: bool = False
    pins: Mapping[str, str] | None = None

    @property
    def is_scratch(self) -> bool:
        """Whether the run builds tables of its own instead of the environment's."""
        return self.outputs is not self.inputs

    def pin(self, table: TableName) -> Table | None:
        """A table as the run was asked to read it, None for one that it was not asked about."""
        location = (self.pins or {}).get(str(table))
        return self.inputs.load(table, location) if location else None


class PinnedTables:
    """What catalogs named when a run first asked them.

    Args:
        places: where the run reads and builds.
        records: of the outputs.
        lock: of the run.
        builds: the run may publish, so that it heals first, and finds tables under their new names.
        rename: adds tables to what the catalog names under the new names that the project has for them, and returns new name
            to old one.
    """

    def __init__(
        self,
        places: Places,
        records: Records,
        lock: threading.RLock,
        *,
        builds: bool,
        rename: Callable[[dict[TableName, str]], dict[TableName, TableName]],
    ) -> None:
        self.places, self.renamed = places, dict[TableName, TableName]()
        self._records, self._lock, self._builds, self._rename = records, lock, builds, rename
        self._tables = {places.inputs.environment.name: places.inputs}
        self._locations: dict[int, dict[TableName, str] | SlipwayError] = {}
        self._healed: list[str] | None = None

    def is_environment(self, database: str) -> bool:
        """Whether a database is a target of the profile."""
        return database in self.places.profile.targets

    def tables_of(self, database: str) -> Tables:
        """The tables of the environment that a relation's database names."""
        with self._lock:
            if database not in self._tables:
                self._tables[database] = Tables(self.places.profile.environment(database))
            return self._tables[database]

    def base(self, identifier: TableName) -> Table | None:
        """The table that a model of this run builds on."""
        return self.published(self.places.outputs, identifier)

    def published(self, tables: Tables, identifier: TableName) -> Table | None:
        """A table as the catalog named it at first use."""
        location = self.locations(tables).get(identifier)
        return tables.load(identifier, location) if location else None

    def whole_input(self, identifier: TableName, *, history: bool = False) -> Table | None:
        """An input that a scratch run takes as it is, instead of building it; None for everything else.

        Args:
            identifier: the table.
            history: it is a snapshot of dbt's, whose history no input holds; taken as it is where it is pinned.
        """
        places = self.places
        if not places.is_scratch or (identifier[0] not in INPUT_LAYERS and not history):
            return None
        if (pinned := places.pin(identifier)) is not None:
            return pinned
        return self.published(places.inputs, identifier) if places.is_slice and not history else None

    def own_locations(self) -> dict[TableName, str]:
        """What the catalog of the outputs named."""
        return self.locations(self.places.outputs)

    def locations(self, tables: Tables) -> dict[TableName, str]:
        """What the catalog named when it was first asked: one query is the pin of the whole run."""
        with self._lock:
            if (found := self._locations.get(id(tables))) is None:
                found = self._locations[id(tables)] = self._look(tables)
            if isinstance(found, SlipwayError):
                raise found  # at once: a silent store takes a minute, and dbt asks for each schema
            return found

    def _look(self, tables: Tables) -> dict[TableName, str] | SlipwayError:
        is_own = tables is self.places.outputs
        try:
            if is_own:
                self.heal()
            records = self._records if is_own else Records(tables.environment)
            check_file(records)
            found = visible_tables(tables, records).locations
            check_catalog(tables, records, found)
            if is_own and self._builds:
                self.renamed = self._rename(found)
        except SlipwayError as error:
            return error
        return found

    def look_again(self) -> bool:
        """Pin anew what the catalogs name now, healed; whether the run's own environment changed since the first look."""
        with self._lock:
            before, self._locations, self._healed = self._locations, {}, None
            return before.get(id(self.places.outputs)) != self.own_locations()

    def heal(self) -> list[str]:
        """Finish or undo what dead processes began to publish, before this run looks at the catalog; returns lines about it, and about what they did not sign."""
        with self._lock:
            if self._healed is None:
                heals = self._builds and not self.places.is_scratch
                self._healed = heal(self.places.outputs, self._records) if heals else []
                self._healed += left_unsigned(self._records) if heals else []
            return self._healed
