"""The candidate of the run under way: the tables that it has staged, each written down at once, and its release number.

Tables that are written in batches of event time are staged once somebody reads them or the run ends.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import duckdb

from slipway.counts import plural
from slipway.engines.duckdb.batches import BatchedTable, Window, covers, joined, without
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.engines.duckdb.scan import Views, keeps_older_files
from slipway.iceberg.earlier_states import retired
from slipway.iceberg.snapshots import StagedTable
from slipway.names import TableName
from slipway.records.store import Records
from slipway.releases.candidates import check_case, record_of
from slipway.releases.table_state import TableState, read_state
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


@dataclass
class BatchedModel:
    """A model that this run writes batches of.

    Args:
        table: what was written so far.
        state: node key, inputs and the windows that were built with them.
        last: the request of the latest batch.
        cut: dbt cuts an input to each batch, so that a row outside of it is not in another.
        column: the event time.
    """

    table: BatchedTable
    state: TableState
    last: WriteRequest | None = None
    cut: bool = False
    column: str = ""

    def stage(self) -> WriteResult:
        """Stage what was written, with the state that it has now."""
        assert self.last is not None
        request = replace(
            self.last,
            described=lambda remade: self.state.after(remade).summary(),
            confirm=lambda content, remade: self.state.after(remade).table_property(content),
        )
        return self.table.stage(request, self.column, self.state.windows.get(self._own, ()))

    @property
    def _own(self) -> str:
        return f"{self.state.definition.key}/{self.column.lower()}"

    def built(self, window: Window, *, whole: bool) -> None:
        """Take note of a batch that was written.

        Args:
            window: of event time.
            whole: all rows in it were replaced.
        """
        state, span = self.state, window.span
        windows = {  # those of another event time are other rows
            key: tuple(without(spans, span))
            for key, spans in state.windows.items()
            if key.endswith(f"/{self.column.lower()}")
        }
        if whole:
            windows[self._own] = tuple(joined([*windows.get(self._own, ()), span]))
        self.state = replace(state, batches=tuple(joined([*state.batches, span])), windows=windows)

    def notes(self) -> list[str]:
        """What the batches left out of what their queries gave, in words."""
        left = self.table.left_out
        timeless = [batch["without_time"] for batch in left] or [0]
        said = []
        # what is not cut to a batch is given by each of them again
        if count := sum(timeless) if self.cut else max(timeless):
            said.append(
                f"{plural(count, 'row')} of the query {'has' if count == 1 else 'have'} no event time: no batch takes them"
            )
        if self.cut and (count := sum(batch["outside"] for batch in left)):
            said.append(
                f"{plural(count, 'row')} of the query {'lies' if count == 1 else 'lie'} outside of the batch that gave them, and {'is' if count == 1 else 'are'} left out: let the model's event_time "
                "be that of its input"
            )
        return said


class BatchedModels:
    """The models of a run that are written in batches.

    Args:
        pinned: what the run builds on.
        candidate: what it has staged.
        lock: of the run; held while a table is staged, so that nobody reads it without.
    """

    def __init__(self, pinned: PinnedTables, candidate: RunCandidate, lock: threading.RLock) -> None:
        self._pinned, self._candidate, self._lock = pinned, candidate, lock
        self._models: dict[TableName, BatchedModel] = {}
        self._waiting: dict[TableName, Callable[[], None]] = {}

    def __contains__(self, identifier: TableName) -> bool:
        return identifier in self._models

    def names(self) -> list[TableName]:
        """The tables that batches were written of."""
        return list(self._models)

    def is_built(self, identifier: TableName, node_key: str, window: Window) -> bool:
        """Whether the table holds this batch already, from the same code and inputs."""
        state = self._state(identifier)
        return state.node_key == node_key and covers(list(state.batches), window.span)

    def write(
        self,
        cursor: duckdb.DuckDBPyConnection,
        request: WriteRequest,
        state: TableState,
        window: Window,
        *,
        full: bool,
        last: bool,
        cut: bool,
    ) -> tuple[BatchedModel, int]:
        """Write one batch.

        Args:
            cursor: the thread's connection.
            request: the batch's query and the model's configuration.
            state: node key and inputs of this run.
            window: the batch.
            full: the run replaces the table; it is its first batch that does.
            last: no batch of the model comes after it.
            cut: dbt cuts an input of the model to each batch.

        Returns:
            The model and the rows written.
        """
        identifier = request.identifier
        with self._lock:
            before = self._state(identifier)
            model = self._models.get(identifier)
            if model is None:
                candidate, pinned = self._candidate.staged.get(identifier), self._pinned
                full = full and candidate is None
                table = BatchedTable(pinned.places.outputs, pinned.base(identifier), candidate, full=full)
                known = before.batches if before.node_key == state.node_key and not full else ()
                state = replace(state, batches=known, windows={} if full else before.windows)
                model = self._models[identifier] = BatchedModel(table, state, cut=cut, column=window.column)
        rows = model.table.write(cursor, request, window, last=last)
        with self._lock:
            model.last = request
            model.built(window, whole=not request.predicates)
        return model, rows

    def later(self, identifier: TableName, stage: Callable[[], None]) -> None:
        """Take note of what stages a table that was written to: more may be written to it before."""
        with self._lock:
            self._waiting[identifier] = stage

    def stage(self, identifier: TableName) -> None:
        """Stage a table, if it waits for that."""
        with self._lock:
            if stage := self._waiting.get(identifier):
                stage()
                del self._waiting[identifier]

    def stage_all(self) -> None:
        """Stage what nobody has read yet."""
        for identifier in list(self._waiting):
            self.stage(identifier)

    def _state(self, identifier: TableName) -> TableState:
        if identifier in self._models:
            return self._models[identifier].state
        staged = self._candidate.staged.get(identifier)
        return read_state(staged.table if staged else self._pinned.base(identifier))
