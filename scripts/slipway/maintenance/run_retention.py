"""Which runs' and plans' records are kept, and which have no use any more: replays and rollbacks decide, then age."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.maintenance.protection import window
from slipway.maintenance.retention import History
from slipway.maintenance.steps import Found
from slipway.records.run_ids import started_at


@dataclass(frozen=True)
class StoredRun:
    """The records of a run.

    Args:
        run_id: the run.
        objects: everything in its folder.
        is_settled: it has a run manifest, or ``slipway doctor`` noted that there will be none.
    """

    run_id: str
    objects: Sequence[Found]
    is_settled: bool


def removable(
    history: History, stored: Collection[StoredRun], days: int, needed: Collection[str]
) -> list[StoredRun]:
    """Runs whose records have no use any more, oldest first.

    Args:
        history: the environment.
        stored: runs of which there are records.
        days: how long they are kept at least; the longest ``keep_days`` counts where it is longer.
        needed: runs that are kept, in addition to those that the history tells of.
    """
    since = _kept_since(history, days)
    newest = max((run.run_id for run in stored), default="")
    spared = {*needed, *_needed(history), newest}
    return sorted(
        (
            run
            for run in stored
            if run.is_settled
            and run.run_id not in spared
            and (began := started_at(run.run_id)) is not None
            and began < since
            and all(one.modified < history.now - history.older_than for one in run.objects)
        ),
        key=lambda run: run.run_id,
    )


def removable_plans(
    history: History, stored: Mapping[str, Sequence[Found]], days: int, needed: Collection[str]
) -> list[Found]:
    """Records of plans of promotions, or of shadow runs, that are as old as those of runs that are removed; the newest stays.

    Args:
        history: the environment.
        stored: each one's record and what is signed of it, by its id.
        days: how long they are kept at least.
        needed: those that are kept.
    """
    since, newest = _kept_since(history, days), max(stored, default="")
    return [
        one
        for plan_id, objects in sorted(stored.items())
        if plan_id not in needed
        and plan_id != newest
        and (made := started_at(plan_id)) is not None
        and made < since
        and all(each.modified < history.now - history.older_than for each in objects)
        for one in objects
    ]


def _kept_since(history: History, days: int) -> datetime:
    policies = (history.default, *history.policies.values())
    return history.now - max([timedelta(days=days), history.older_than, *(one.period for one in policies)])


def _needed(history: History) -> Iterator[str]:
    """Runs of releases that rollback reaches or a table has a tag of, and those that made what is in a table."""
    tagged = {
        int(tag.removeprefix("release-")) for one in history.tables.values() for tag in one.release_tags
    }
    for policy in {history.default, *history.policies.values()}:
        tagged |= window(history, policy)
    for release in history.releases:
        if release.number in tagged:
            yield release.run_id
            yield from (table.run_id for table in release.tables.values() if table.run_id)
    for table in history.tables.values():
        yield from table.made_by
    yield from (intent.run_id for intent in history.intents)
    yield from (run.run_id for run in history.runs)
    yield from (candidate.run_id for candidate in history.candidates)
