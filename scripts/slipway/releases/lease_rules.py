"""Leases: what a run that is under way says of itself, so that others on the same tables wait for it.

They are advisory. That two runs never both publish on the same base is decided only by the catalog
(docs/decisions/0021-advisory-leases.md).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

from pydantic import AwareDatetime

from slipway.errors import ConflictError
from slipway.records.record import Record

RENEWED = 15.0
"""Seconds after which a run that lives writes its lease again."""
EXPIRES = 120.0
"""Seconds after which a lease that was not renewed does not count any more."""
WAITS = 300.0
"""Seconds that a run waits for others, if nothing else was asked for."""


class Standing(StrEnum):
    """What became of a lease.

    ``live``: it counts. ``dead``: its process ended on this machine without releasing it. ``expired``: nobody has
    renewed it for longer than leases hold.
    """

    LIVE = "live"
    DEAD = "dead"
    EXPIRED = "expired"


class Lease(Record):
    """A run that is under way, or waits to begin.

    Args:
        number: its place among those that want the same tables; 0 while it is looking for one.
        host: the machine's name.
        place: tells machines and containers apart whose names are equal; empty where the system does not say.
        process: the process's start, which tells it from a later one of the same id.
        tables: ``layer.table`` of all that it may publish; None for every table.
    """

    schema_version: int = 1
    run_id: str
    number: int = 0
    who: str
    host: str
    place: str
    pid: int
    process: str
    since: AwareDatetime
    tables: list[str] | None

    def concerns(self, tables: Collection[str]) -> bool:
        """Whether it may publish one of these tables."""
        return bool(tables) and (self.tables is None or not set(self.tables).isdisjoint(tables))

    def shared(self, other: Lease) -> list[str]:
        """Tables that both may publish; ``every table`` when neither names them."""
        if self.tables is None:
            return other.tables if other.tables is not None else ["every table"]
        return sorted(set(self.tables) & set(self.tables if other.tables is None else other.tables))

    def comes_before(self, other: Lease) -> bool:
        """Whether the other has to wait for this one, or for this one to find its place.

        Source: L. Lamport, "A New Solution of Dijkstra's Concurrent Programming Problem" (the bakery algorithm).
        """
        return bool(self.shared(other)) and (self.number, self.run_id) < (other.number, other.run_id)

    def described(self) -> str:
        """Who it is and since when, for messages."""
        return f"run {self.run_id} of {self.who} on {self.host} (process {self.pid}), since {self.since:%Y-%m-%d %H:%M:%S} UTC"


def next_number(others: Collection[Lease]) -> int:
    """The place of a run that comes now."""
    return max((other.number for other in others), default=0) + 1


def standing(*, is_gone: bool, age: float, watched: float) -> Standing:
    """What a lease is worth.

    Args:
        is_gone: its process is known to have ended.
        age: seconds since it was written, both by the store's own clock.
        watched: seconds for which whoever asks has observed it unchanged, by a clock that nobody sets.
    """
    if is_gone:
        return Standing.DEAD
    return Standing.EXPIRED if max(age, watched) > EXPIRES else Standing.LIVE


def refusal(mine: Lease, others: Sequence[Lease], what: str) -> ConflictError:
    """The refusal of something because of the runs that come before it."""
    first = others[0]
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    return ConflictError(
        f"{what} is refused",
        f"{_some(mine.shared(first))} taken by {first.described()}{more}",
        "Wait longer with --wait or SLIPWAY_WAIT, or end that run",
    )


def waits_for(mine: Lease, other: Lease) -> str:
    """What a run reports of the one that it waits for."""
    return f"waits for {other.described()}: {_some(mine.shared(other))} taken"


def _some(tables: Sequence[str]) -> str:
    shown = ", ".join(tables[:3]) + (f" and {len(tables) - 3} more" if len(tables) > 3 else "")
    return f"{shown} {'is' if len(tables) == 1 else 'are'}"
