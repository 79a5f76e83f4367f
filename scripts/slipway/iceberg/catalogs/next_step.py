"""Publishing table by table: what to do next, from what the catalog names now.

A catalog that cannot move several tables at once is led by a write-ahead record, which says for each table where it
stood (its base) and where it is to go (its staged metadata). Whoever finds the record, the process that wrote it or
one that comes after, asks here and does the same. Why forward: docs/decisions/0016-publishing-without-transactions.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from slipway.records.release_records import Release, ReleasedTable

_MOMENT = timedelta(microseconds=1)


class Position(StrEnum):
    """Where a table of a publication is.

    ``base``: where it stood before. ``staged``: it shows the release. ``beyond``: it shows the release with a later
    commit on top. ``elsewhere``: someone else changed, created or dropped it, and it does not show the release.
    """

    BASE = "base"
    STAGED = "staged"
    BEYOND = "beyond"
    ELSEWHERE = "elsewhere"

    @property
    def shows_release(self) -> bool:
        """Whether readers of the table see the release."""
        return self in (Position.STAGED, Position.BEYOND)


class Action(StrEnum):
    """What to do next; the last three end it.

    ``forward``: move tables to their staged state. ``back``: put tables back to their base. ``published``: all of
    them show the release. ``withdrawn``: none can be made to. ``waiting``: nothing was moved, and it is not for the
    one who asks to begin.
    """

    FORWARD = "forward"
    BACK = "back"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    WAITING = "waiting"


@dataclass(frozen=True)
class Plan:
    """The next action, and the tables it is about, in the order to take them.

    For ``withdrawn`` these are tables that show the release all the same, because someone committed on top of it.
    """

    action: Action
    tables: tuple[str, ...] = ()

    @property
    def is_end(self) -> bool:
        """Whether nothing is left to be moved."""
        return self.action not in (Action.FORWARD, Action.BACK)


def decide(positions: Mapping[str, Position], *, begin: bool, going_back: bool = False) -> Plan:
    """What to do next with a publication.

    A table that someone else moved is never touched. While none is, the release goes forward; once one is, or once
    going back was decided, it goes back.

    Args:
        positions: every table of the publication, in the order in which they are moved.
        begin: whether to begin where nothing was moved yet; else that is left to the process that wrote the record.
        going_back: whether it was decided before, and written down, that the release is taken back.
    """
    shown = [name for name, position in positions.items() if position.shows_release]
    if len(shown) == len(positions):
        return Plan(Action.PUBLISHED)
    if going_back or Position.ELSEWHERE in positions.values():
        undo = _at(positions, Position.STAGED)
        return Plan(Action.BACK, undo[::-1]) if undo else Plan(Action.WITHDRAWN, tuple(shown))
    if not shown and not begin:
        return Plan(Action.WAITING)
    return Plan(Action.FORWARD, _at(positions, Position.BASE))


def published_at(at: datetime, shows: Mapping[str, ReleasedTable], last: Release | None) -> datetime:
    """When a release counts as published: in the order in which readers saw releases, whatever their publishers' clocks say.

    Args:
        at: what the publisher's clock said.
        shows: what readers saw after it.
        last: the release recorded last. It came later if it shows what this one changed.
    """
    if last is None:
        return at
    changed = {name: table.metadata_location for name, table in shows.items() if table.changed}
    came_later = any(
        name in last.tables and last.tables[name].metadata_location == location
        for name, location in changed.items()
    )
    if came_later:
        return min(at, last.published_at - _MOMENT)
    return max(at, last.published_at + _MOMENT)


def is_mixture(positions: Iterable[Position]) -> bool:
    """Whether readers of several tables would see a mixture."""
    return len({position.shows_release for position in positions}) > 1


def _at(positions: Mapping[str, Position], wanted: Position) -> tuple[str, ...]:
    return tuple(name for name, position in positions.items() if position is wanted)
