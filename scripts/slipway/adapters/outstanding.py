"""What is in the landing area, or was, and not in raw: said by every run until it is dealt with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from slipway.adapters.landing import Landing
from slipway.domain.feed import Feed, OnRejected
from slipway.domain.manifest import LandedFile, Outstanding

_GONE = "it is gone, and nothing took its place"
_CHANGED = "it changed after it was accepted, and waits for the next run"
_VANISHED = "it was accepted, and is gone before it was ingested"
_CHANGES = "it changes while it is read, and waits for the next run"


def outstanding(landing: Landing, missing: Callable[[str], Sequence[LandedFile]]) -> list[Outstanding]:
    """What is outstanding in every feed's folder, and what else is in the landing area.

    Args:
        landing: the landing area after it was looked at.
        missing: accepted files of a feed that were not ingested and cannot be read any more.
    """
    found = [item for feed in landing.feeds.values() for item in _of_feed(landing, feed, missing(feed.name))]
    if landing.feeds:
        found += [
            Outstanding(path=name, reason="no contract describes it as a feed")
            for name in landing.area.others()
            if name.rstrip("/") not in landing.feeds
        ]
    return found


def _of_feed(landing: Landing, feed: Feed, missing: Sequence[LandedFile]) -> list[Outstanding]:
    there, accepted = landing.there(feed.name), landing.ledger.accepted(feed.name)
    blocks = feed.on_rejected is OnRejected.FAIL
    found: list[tuple[str, str, datetime | None, bool]] = []
    for path, entry in landing.ledger.latest(feed.name).items():
        if entry.verdict != "rejected" or entry.sha256 in accepted or feed.is_ignored(path):
            continue
        # what has another name was not expected, so that it can be removed and forgotten
        if path in there or not feed.name_problem(path.rsplit("/", 1)[-1]):
            reason = entry.reason if path in there else f"{entry.reason}; {_GONE}"
            found.append((path, reason, entry.landed_at, blocks))
    for entry in missing:
        changed = entry.path in there
        reason = _CHANGED if changed else _VANISHED
        found.append((entry.path, reason, entry.landed_at, blocks and not changed))
    found += [(path, _CHANGES, None, False) for path in sorted(landing.changing.get(feed.name, ()))]
    return [
        Outstanding(feed=feed.name, path=path, reason=reason, since=since, blocks=each)
        for path, reason, since, each in sorted(found, key=lambda item: item[0])
    ]
