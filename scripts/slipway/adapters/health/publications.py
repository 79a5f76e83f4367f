"""Publications that were interrupted, and holds of releases that never came."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.adapters.belonging import check_file
from slipway.adapters.health.examination import Examination
from slipway.adapters.holds import Holds
from slipway.adapters.publication import positions
from slipway.domain.errors import DamagedError
from slipway.domain.health import Finding, Heal
from slipway.domain.publication import Position
from slipway.domain.release import Intent


def interrupted(at: Examination) -> Iterator[Finding]:
    """Releases that were published in part, or as a whole and not recorded."""
    if not at.intents:
        return
    try:
        check_file(at.records)
    except DamagedError:  # told of where the catalog is examined; nothing can be said of these without it
        return
    for intent in at.intents:
        if what := _state(at, intent):
            yield Finding(
                f"release {intent.number} of run {intent.run_id}",
                what,
                "the next run or publication does it, too",
                [Heal()],
            )


def holds(at: Examination) -> Iterator[Finding]:
    """A hold that was placed by a rollback which never moved anything."""
    try:
        hold = Holds(at.records).current()
    except DamagedError:  # told of where records are examined
        return
    found, damaged = at.releases
    known = {release.number for release in found} | damaged.keys() | {item.number for item in at.intents}
    if hold and hold.release not in known:
        yield Finding(
            f"hold of {hold.placed_at:%Y-%m-%d %H:%M} UTC",
            f"{hold.who} placed it with release {hold.release}, which was never published: {hold.reason}",
            "roll back, or lift it with slipway hold --lift",
        )


def _state(at: Examination, intent: Intent) -> str:
    found = positions(at.tables, intent, at.locations)
    shown = [name for name, where in found.items() if where.shows_release]
    if len(shown) == len(found):
        return "it is published and not recorded"
    if shown:
        return f"it is published in part: {', '.join(shown)} of {len(found)} tables"
    if at.records.is_taken_back(intent.number):
        return "it is taken back and not closed"
    if Position.ELSEWHERE in found.values():
        return "it was not published, and another was published since"
    return ""  # not begun: its process may be about to; a later publication closes it
