"""The candidate of the run under way: the tables that it has staged, each written down at once, and its release number."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from functools import cached_property

from slipway.engines.duckdb.views import Views, keeps_older_files
from slipway.iceberg.restoring import retired
from slipway.iceberg.staged_table import StagedTable
from slipway.names import TableName
from slipway.records.store import Records
from slipway.releases.candidates import check_case, record_of
from slipway.runs.pinned_tables import PinnedTables


class RunCandidate:
    """The tables that a run has staged.

    Args:
        records: where they are written down.
        run_id: the run.
        pinned: what the run builds on.
        views: show tables under their names in the engine's database.
        lock: of the run.

    Attributes:
        staged: the tables that publishing makes current.
        retired: the tables that it takes away, because they have another name by now.
    """

    def __init__(
        self, records: Records, run_id: str, pinned: PinnedTables, views: Views, lock: threading.RLock
    ) -> None:
        self._records, self._run_id, self._pinned = records, run_id, pinned
        self._views, self._lock = views, lock
        self._stagings: Counter[TableName] = Counter()
        self.staged: dict[TableName, StagedTable] = {}
        self.retired: dict[TableName, StagedTable] = {}

    @cached_property
    def number(self) -> int:
        """The number of the release that this run becomes when it is published, reserved on first use."""
        return self._records.reserve()

    @property
    def tag(self) -> str:
        """The Iceberg tag of this release."""
        with self._lock:
            return f"release-{self.number}"

    def stage(self, staged: StagedTable) -> None:
        """Take a table into the candidate, if ``check_case`` lets it, write it down, and show it to what reads it from now on.

        It is written down each time anew. A table that had another name has no base under its new one.
        """
        renamed = self._pinned.renamed
        with self._lock:
            check_case(staged.identifier, {*self.staged, *self._pinned.own_locations()}, renamed)
            if old := renamed.get(staged.identifier):
                staged = replace(staged, base=None, registers=True)
                self._retire(old)
            self.staged[staged.identifier] = staged
            self._stagings[staged.identifier] += 1
            count = self._stagings[staged.identifier]
        self._write(staged, f".{count:06d}" if count > 1 else "")
        if keeps_older_files(staged, self._run_id):
            self._views.scan(staged.table)
        database = self._pinned.places.inputs.environment.name
        self._views.table(database, staged.identifier, staged.table.metadata_location)

    def _retire(self, old: TableName) -> None:
        """Have the catalog not name a table's old name any more when the run is published."""
        if old not in self.retired:
            location = self._pinned.own_locations()[old]
            self.retired[old] = retired(self._pinned.places.outputs, old, location)
            self._write(self.retired[old])

    def _write(self, staged: StagedTable, suffix: str = "") -> None:
        name = f"candidate/{staged.identifier}.json{suffix}"
        self._records.write(self._run_id, name, record_of(staged, self.number))
