"""``microbatch`` models: dbt runs the materialization once a batch, and the table is staged once it is read."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb

from slipway.dbt.keys.node_key import manifest_node
from slipway.engines.duckdb.batches import BatchedTable, Window, covers, joined, without
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.names import TableName
from slipway.releases.table_state import TableState, read_state

if TYPE_CHECKING:
    from slipway.dbt.session import Session


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


class Unstaged:
    """Tables that are staged when somebody reads them, or when the run ends: more may be written to them before.

    Args:
        lock: the session's; held while a table is staged, so that nobody reads it without.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._waiting: dict[TableName, Callable[[], None]] = {}

    def later(self, identifier: TableName, stage: Callable[[], None]) -> None:
        """Take note of a table that was written to."""
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


def window_of(manifest: Any, unique_id: str, batch: Mapping[str, Any]) -> Window:
    """The window of one batch, as dbt cut it."""
    column = str(manifest_node(manifest, unique_id).config.get("event_time"))
    return Window(column, _moment(batch["event_time_start"]), _moment(batch["event_time_end"]))


def is_last(manifest: Any, unique_id: str, window: Window) -> bool:
    """Whether dbt, which runs the latest batch of a model after all others, has none to come.

    It is asked for what dbt decided by dbt's own means; should this ever differ, keys are looked at before the run is published.
    """
    from dbt.flags import get_flags
    from dbt.materializations.incremental.microbatch import MicrobatchBuilder
    from dbt_common.invocation import get_invocation_started_at

    node, flags = manifest_node(manifest, unique_id), get_flags()
    if (again := getattr(node, "previous_batch_results", None)) is not None:
        return bool(again.failed) and window.end == _moment(again.failed[-1][1])
    sample = getattr(flags, "SAMPLE", None)
    end = sample.end if sample else getattr(flags, "EVENT_TIME_END", None)
    cut = MicrobatchBuilder(node, True, None, end, get_invocation_started_at())
    return window.end == _moment(cut.build_end_time())


def is_built(session: Session, identifier: TableName, node_key: str, window: Window) -> bool:
    """Whether the table holds this batch already, from the same code and inputs."""
    state = _state(session, identifier)
    return state.node_key == node_key and covers(list(state.batches), window.span)


def write_batch(
    session: Session,
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
        session: the run.
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
    with session.lock:
        before = _state(session, identifier)
        model = session.batched.get(identifier)
        if model is None:
            candidate = session.staged.get(identifier)
            full = full and candidate is None
            table = BatchedTable(session.outputs, session.base(identifier), candidate, full=full)
            known = before.batches if before.node_key == state.node_key and not full else ()
            state = replace(state, batches=known, windows={} if full else before.windows)
            model = session.batched[identifier] = BatchedModel(table, state, cut=cut, column=window.column)
    rows = model.table.write(cursor, request, window, last=last)
    with session.lock:
        model.last = request
        model.built(window, whole=not request.predicates)
    return model, rows


def _state(session: Session, identifier: TableName) -> TableState:
    if identifier in session.batched:
        return session.batched[identifier].state
    staged = session.staged.get(identifier)
    return read_state(staged.table if staged else session.base(identifier))


def _moment(value: Any) -> dt.datetime:
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
