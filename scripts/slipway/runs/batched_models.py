"""Tables that a run writes in batches of event time, and stages once somebody reads them or the run ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import duckdb

from slipway.engines.duckdb.batches import BatchedTable, Window, covers, joined, without
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.names import TableName
from slipway.releases.table_state import TableState, read_state
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.run_candidate import RunCandidate


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
            said.append(f"{count} rows of the query have no event time: no batch takes them")
        if self.cut and (count := sum(batch["outside"] for batch in left)):
            said.append(
                f"{count} rows of the query lie outside of the batch that gave them, and are left out: let the model's event_time "
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
