"""dbt's events as progress, and as lines of the run's JSON log."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from slipway.dbt.processor_time import ProcessorTime
from slipway.errors import UnavailableError
from slipway.processes import hold
from slipway.records.node_results import Status
from slipway.runs.progress import NodeEnded, NodeStarted, Note, Progress
from slipway.secrets import hide
from slipway.storage.objects import writing_below

_QUIET = frozenset({"debug", "test"})
_RAISED = frozenset({"GenericExceptionOnRun", "CatchableExceptionOnRun", "InternalErrorOnRun"})
_NOTHING_BUILT = frozenset({"operation", "exposure", "saved_query"})


class EventStream:
    """Receives every dbt event of a run.

    Args:
        run_id: stands on every line of the log.
        log: the file that lines are appended to while the run goes on.
        show: gets progress.

    ``reasons`` are the first errors that were raised, by the unique id of their node; ``used`` measures from now on.

    Raises:
        UnavailableError: the log cannot be written.
    """

    def __init__(self, run_id: str, log: Path, show: Callable[[Progress], None]) -> None:
        self.path = log
        self._run_id, self._show = run_id, show
        self._file = _opened(log)
        hold(self._file)
        self._lock = threading.Lock()
        self.reasons: dict[str, str] = {}
        self.used = ProcessorTime()
        self._ended, self._total = 0, 0

    def __call__(self, event: Any) -> None:
        """Take one event; called from dbt's threads."""
        name, level = event.info.name, event.info.level
        if level not in _QUIET:
            self.write(str(event.info.msg), name, level, event.info.ts.ToJsonString(), _node(event))
        if name in _RAISED:
            self.reasons.setdefault(_node(event) or str(event.data.unique_id), str(event.data.exc).strip())
        if name == "NodeStart":
            self.used.started(_node(event))
        elif name == "LogStartLine":
            self._started(event.data)
        elif name == "NodeFinished":
            self.used.ended(_node(event))
            self._finished(event.data)
        elif name == "JinjaLogInfo":
            self._show(Note(str(event.data.msg)))

    def write(self, text: str, event: str, level: str = "info", time: str = "", node: str = "") -> None:
        """Append one line to the log."""
        line = {"run_id": self._run_id, "time": time, "level": level, "event": event, "message": hide(text)}
        if node:
            line["node"] = node
        # no room: dbt's threads call this, and dbt would wait for ever for one that an error ended
        with self._lock, suppress(OSError):
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()

    def close(self) -> bytes:
        """End the log and return what was written."""
        self._file.close()
        return self.path.read_bytes()

    def _started(self, data: Any) -> None:
        self._total = max(self._total, int(data.total))
        info = data.node_info
        if not _is_hidden(info):
            self._show(NodeStarted(_name(info), info.materialized or info.resource_type))

    def _finished(self, data: Any) -> None:
        info, result = data.node_info, data.run_result
        if _is_hidden(info):
            return
        with self._lock:
            self._ended += 1
        self._show(
            NodeEnded(
                name=_name(info),
                kind=info.resource_type,
                status=result.status,
                message=with_reason(result.status, result.message, self.reasons.get(info.unique_id, "")),
                seconds=float(result.execution_time),
                at=self._ended,
                total=max(self._total, self._ended),
            )
        )


@contextmanager
def report_log_failure_once(show: Callable[[Progress], None]) -> Iterator[None]:
    """Say in one line that dbt's log cannot be written, where Python prints a traceback for each of its lines.

    Args:
        show: gets that line.
    """
    usual, reported = logging.Handler.handleError, threading.Event()

    def handle(handler: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            usual(handler, record)
        elif not reported.is_set():
            reported.set()
            where = getattr(handler, "baseFilename", "dbt's log")
            show(Note(f"{where} cannot be written: {error.strerror or error}; the run continues without it"))

    logging.Handler.handleError = handle  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        logging.Handler.handleError = usual  # type: ignore[method-assign]


def with_reason(status: str, message: str, reason: str) -> str:
    """What dbt says of a node, with the first error of its batches: of those it says only how many failed.

    Args:
        status: dbt's.
        message: dbt's.
        reason: what was raised, empty where nothing was.
    """
    if not reason or status not in (Status.ERROR, Status.PARTIAL_SUCCESS) or reason in message:
        return message
    return reason if message == "ERROR" else f"{message}: {reason}"


def _opened(log: Path) -> IO[str]:
    try:
        with writing_below(str(log.parent)):
            log.parent.mkdir(parents=True, exist_ok=True)
            return log.open("a", encoding="utf-8")
    except FileExistsError:
        raise UnavailableError(
            f"{log.parent} cannot be made", "a file is in its place", "Check SLIPWAY_HOME"
        ) from None


def _name(info: Any) -> str:
    relation = info.node_relation
    if info.resource_type in ("model", "seed", "snapshot") and relation.schema:
        return f"{relation.schema}.{relation.alias}"
    return str(info.node_name)


def _is_hidden(info: Any) -> bool:
    return str(info.resource_type) in _NOTHING_BUILT or str(info.materialized) == "ephemeral"


def _node(event: Any) -> str:
    info = getattr(event.data, "node_info", None)
    return str(info.unique_id) if info is not None else ""
