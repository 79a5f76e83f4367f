"""What a run reads, as it sees it: its own candidate on top of what was published when it began."""

from __future__ import annotations

import threading

from pyiceberg.table import Table

from slipway.engines.duckdb.scan import Views
from slipway.engines.duckdb.target import check_readable
from slipway.iceberg.snapshots import current_content
from slipway.names import TableName
from slipway.runs.intake import Intake
from slipway.runs.origin import UNVERSIONED
from slipway.runs.pinned_tables import INPUT_LAYERS, LANDING, PinnedTables
from slipway.runs.run_candidate import BatchedModels, RunCandidate


class RunInputs:
    """The tables that the models and tests of a run can read.

    Args:
        run_id: the run.
        pinned: what is published.
        candidate: what the run has staged.
        batched: what it has written in batches, which is staged when somebody reads it.
        intake: what it reads of landed files.
        views: show tables under their names in the engine's database.
        lock: of the run.

    Attributes:
        read: tables that were made readable or noted, by name with the database in front.
        noted: database, schema and name of those that nodes depend on which were not looked at again.
    """

    def __init__(
        self,
        run_id: str,
        pinned: PinnedTables,
        candidate: RunCandidate,
        batched: BatchedModels,
        intake: Intake,
        views: Views,
        lock: threading.RLock,
    ) -> None:
        self._run_id, self._pinned, self._candidate, self._batched = run_id, pinned, candidate, batched
        self._intake, self._views, self._lock = intake, views, lock
        self._own = pinned.places.inputs.environment.name
        self.read: dict[str, Table] = {}
        self.noted: set[tuple[str, str, str]] = set()

    def current(self, database: str, identifier: TableName) -> Table | None:
        """A table as this run sees it: its candidate, or what was published when the run began."""
        places = self._pinned.places
        if database == self._own:
            self._batched.stage(identifier)
            if identifier in self._candidate.staged:
                return self._candidate.staged[identifier].table
            pinned = places.pin(identifier)
            if places.is_scratch and (found := self._pinned.base(identifier)):
                return pinned if _is_clone(found, pinned) else found
            if pinned is not None:
                return pinned
            if places.is_slice and identifier[0] not in INPUT_LAYERS:
                return None
        return self._pinned.published(self._pinned.tables_of(database), identifier)

    def is_staged(self, identifier: TableName) -> bool:
        """Whether this run has built a table."""
        return identifier in self._candidate.staged

    def own(self, identifier: TableName) -> Table | None:
        """A table of the run's environment as this run sees it."""
        return self.current(self._own, identifier)

    def known(self, database: str, identifier: TableName) -> Table | None:
        """The same for any database; None for one that is no environment, such as an attached file."""
        return self.current(database, identifier) if self._pinned.is_environment(database) else None

    def is_outside_slice(self, identifier: TableName) -> bool:
        """Whether a table is published, and this run of a slice has none of its own."""
        places = self._pinned.places
        published = places.is_slice and self._pinned.published(places.inputs, identifier) is not None
        return published and not self.is_staged(identifier)

    def name(self, database: str, identifier: TableName) -> str:
        """``layer.table``; of another database with its name in front."""
        is_own = identifier[0] == LANDING or database == self._own
        return ".".join(identifier if is_own else (database, *identifier))

    def content(self, database: str, identifier: TableName) -> str:
        """What tells one content of an input from another; of what is no Iceberg table, it is unknown whether it changed."""
        if identifier[0] == LANDING:
            return self._intake.offer(identifier[1]).key
        table = self.known(database, identifier)
        if table is None:
            return f"{UNVERSIONED}{self._run_id}"
        return current_content(table) or "none"

    def names(self, database: str, namespace: str) -> list[str]:
        """Tables that a model of this run can read in a schema; none of a database that is no environment."""
        pinned = self._pinned
        if not pinned.is_environment(database):
            return []
        if database != self._own:
            locations = pinned.locations(pinned.tables_of(database))
            return sorted(name for space, name in locations if space == namespace)
        found = {*self._candidate.staged, *self._batched.names(), *pinned.own_locations()}
        if pinned.places.is_scratch:
            # of the others this run makes its own from nothing: dbt must not take them for something to add to
            pins = pinned.places.pins
            inputs = pinned.locations(pinned.places.inputs) if pins is None else map(TableName.parse, pins)
            found |= {one for one in inputs if one[0] in INPUT_LAYERS}
        return sorted(name for space, name in found if space == namespace)

    def show(self, database: str, identifier: TableName) -> bool:
        """Make a table readable under its name, as this run sees it; whether there is one."""
        table = self.current(database, identifier)
        if table is None:
            return False
        check_readable(table)
        if not self.is_staged(identifier):
            self._views.scan(table)
        self._views.table(database, identifier, table.metadata_location)
        self._note(database, identifier, table)
        return True

    def note(self, database: str, identifier: TableName) -> None:
        """Count a table as read that a node depends on, although its query was not looked at again."""
        if (table := self.current(database, identifier)) is not None:
            self._note(database, identifier, table)
            self.noted.add((database, *identifier))

    def _note(self, database: str, identifier: TableName, table: Table) -> None:
        with self._lock:
            self.read.setdefault(f"{database}.{identifier}", table)


def _is_clone(table: Table, pinned: Table | None) -> bool:
    """Whether a table of a scratch environment is still as it was cloned: then what it is a clone of is read, which others can find again."""
    if pinned is None:
        return False
    now, then = table.metadata, pinned.metadata
    return (now.current_snapshot_id, now.current_schema_id) == (
        then.current_snapshot_id,
        then.current_schema_id,
    )
