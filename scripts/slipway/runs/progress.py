"""What a run tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeStarted:
    """dbt began a node."""

    name: str
    kind: str


@dataclass(frozen=True)
class NodeEnded:
    """dbt finished a node; ``at`` of ``total`` nodes of the run, seconds of wall time."""

    name: str
    kind: str
    status: str
    message: str
    seconds: float
    at: int
    total: int


@dataclass(frozen=True)
class Note:
    """A line for the person who watches."""

    text: str


Progress = NodeStarted | NodeEnded | Note
