"""Processor time and memory of a run and of its nodes, as dbt's events begin and end them.

Source: ``CLOCK_PROCESS_CPUTIME_ID`` of clock_gettime(2) and ``ru_maxrss`` of getrusage(2).
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from dataclasses import dataclass


@dataclass
class _Running:
    depth: int
    began: float
    alone: bool


class ProcessorTime:
    """Measures this process from now on.

    The processor time of a process is that of all its threads, those of DuckDB included. So it is that of a node only if no
    other node ran meanwhile.

    Attributes:
        seconds: processor time by the unique id of the node, of nodes that ran alone.
    """

    def __init__(self) -> None:
        self._began = time.process_time()
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self.seconds: dict[str, float] = {}

    def started(self, unique_id: str) -> None:
        """A node begins, or a batch of it."""
        with self._lock:
            if found := self._running.get(unique_id):
                found.depth += 1
                return
            for other in self._running.values():
                other.alone = False
            self._running[unique_id] = _Running(1, time.process_time(), alone=not self._running)

    def ended(self, unique_id: str) -> None:
        """A node ends, or a batch of it; without effect on one that never began."""
        with self._lock:
            found = self._running.get(unique_id)
            if found is None:
                return
            found.depth -= 1
            if not found.depth:
                del self._running[unique_id]
                if found.alone:
                    self.seconds[unique_id] = round(time.process_time() - found.began, 4)

    @property
    def total(self) -> float:
        """Processor seconds since the measurement began."""
        return round(time.process_time() - self._began, 4)

    @property
    def peak_memory(self) -> int:
        """The most memory that this process ever had, in bytes."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
