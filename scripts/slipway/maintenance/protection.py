"""What somebody may still open: the states of a table that are kept, and why.

A rollback needs a release's snapshot and the metadata file that its record names; a replay the metadata files that the
run manifest names; publishing a candidate all that the candidate names; and a reader whatever the catalog named when
it began. Everything else may go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from slipway.maintenance.retention import Candidate, History, RecordedRun, Retention
from slipway.records.release_records import Release
from slipway.records.run_manifest import Outcome
from slipway.releases.cut import TableVersion
from slipway.releases.rollback_rules import shown_by

ENDED = (Outcome.PUBLISHED, Outcome.UNCHANGED, Outcome.DISCARDED)
"""How runs end whose candidates are not published any more."""


@dataclass(frozen=True)
class Kept:
    """A state of a table that somebody may open.

    Args:
        state: the metadata file, and the snapshot that is read through it.
        whole: every snapshot that the metadata file names is read through it.
        why: in words.
    """

    state: TableVersion
    why: str
    whole: bool = False


def kept(history: History, table: str) -> list[Kept]:
    """The states of one table that are kept."""
    return [
        *_current(history, table),
        *_released(history, table),
        *_replayable(history, table),
        *_unpublished(history, table),
    ]


def expired(history: History, table: str, keep: Collection[Kept]) -> tuple[list[str], list[str]]:
    """Snapshots that the catalog's metadata of a table need not name any more, and their tags.

    Returns:
        Ids, oldest first; names of tags.
    """
    known = history.tables[table]
    since = history.now - history.policy(table).period
    needed = {one.state.snapshot_id for one in keep} | {known.snapshot_id}
    needed |= {snapshot for ref, snapshot in known.refs.items() if ref not in known.release_tags}
    gone = sorted(
        (made, snapshot)
        for snapshot, made in known.snapshots.items()
        if snapshot not in needed and made < since
    )
    snapshots = [snapshot for _, snapshot in gone]
    return snapshots, sorted(ref for ref, snapshot in known.refs.items() if snapshot in snapshots)


def busy(history: History, table: str) -> str:
    """Why the catalog's pointer of a table must not be moved now: somebody is about to publish on top of it; or empty."""
    known = history.tables[table]
    for intent in history.intents:
        if table in intent.tables:
            return f"release {intent.number} of run {intent.run_id} is being published"
    for candidate in history.candidates:
        if candidate.table != table or candidate.base != known.location:
            continue
        if candidate.outcome is Outcome.STAGED and _is_live(history, candidate):
            return f"run {candidate.run_id} is staged on it: publish that first"
        if candidate.outcome is None and candidate.started_at >= history.now - history.older_than:
            return f"run {candidate.run_id} builds on it"
    return ""


def shown_since(releases: Sequence[Release], moment: datetime) -> list[Release]:
    """Releases that were shown at a moment or after it."""
    later = [release for release in releases if release.published_at >= moment]
    before = [release for release in releases if release.published_at < moment]
    return [*before[-1:], *later]


def _current(history: History, table: str) -> Iterator[Kept]:
    known = history.tables.get(table)
    if known is None:
        return
    yield Kept(TableVersion(known.location, known.snapshot_id), "what the catalog names", whole=True)
    for entry in known.log:
        if entry.until >= history.now - history.older_than:
            yield Kept(TableVersion(entry.location, None), "what the catalog named a while ago", whole=True)


def _released(history: History, table: str) -> Iterator[Kept]:
    releases, reached = history.releases, window(history, history.policy(table))
    recent = {one.number for one in shown_since(releases, history.now - history.older_than)}
    let_go = _let_go(history, table)
    for release in releases:
        if release.number in reached and (found := release.tables.get(table)):
            state = TableVersion(found.metadata_location, found.snapshot_id)
            whole = release.number in recent and state.metadata_location not in let_go
            yield Kept(state, f"release {release.number}", whole)


def window(history: History, policy: Retention) -> set[int]:
    """Numbers of the releases that a policy keeps."""
    releases, longest = history.releases, max(policy.period, history.older_than)
    reached = {one.number for one in shown_since(releases, history.now - longest)}
    by_number = {release.number: release for release in releases}
    newest: list[int] = []
    for release in reversed(releases):
        number = shown_by(release, by_number).number
        if number not in newest and len(newest) < policy.releases:
            newest.append(number)
        if number in newest or release.number in newest:
            reached.add(release.number)
    return reached


def _let_go(history: History, table: str) -> set[str]:
    """Metadata files that the catalog has not named for so long that nobody still reads what it named then."""
    known = history.tables.get(table)
    before = history.now - history.older_than
    return {entry.location for entry in known.log if entry.until < before} if known else set()


def _replayable(history: History, table: str) -> Iterator[Kept]:
    since = history.now - history.policy(table).period
    for run in history.runs:
        if run.started_at < since:
            continue
        for states in (run.inputs, run.made):
            if found := states.get(table):
                yield Kept(found, f"replay of run {run.run_id}")


def _unpublished(history: History, table: str) -> Iterator[Kept]:
    for intent in history.intents:
        if move := intent.tables.get(table):
            for location in filter(None, (move.base, move.metadata_location)):
                yield Kept(
                    TableVersion(location, None), f"release {intent.number} is being published", whole=True
                )
    known = history.tables.get(table)
    for candidate in history.candidates:
        on_top = candidate.base == (known.location if known else None)
        if candidate.table == table and on_top and _is_live(history, candidate):
            yield Kept(candidate.state, f"candidate of run {candidate.run_id}", whole=True)


def _is_live(history: History, candidate: Candidate) -> bool:
    """Whether a candidate may still be published: by ``slipway publish``, by ``dbt retry``, by its own run."""
    longest = max(history.policy(candidate.table).period, history.older_than)
    return candidate.started_at >= history.now - longest and candidate.outcome not in ENDED


@dataclass(frozen=True)
class Reach:
    """How far back one can go: everything from there on is kept and there.

    Args:
        release: the earliest release that rollback reaches, None when there is none.
        run: the earliest run that replay reaches, None when there is none.
    """

    release: Release | None
    run: RecordedRun | None


def reach(history: History, expire: Collection[str], there: Collection[str]) -> Reach:
    """How far back rollback and replay reach; tables that the catalog does not name are left out.

    Args:
        history: the environment.
        expire: ids of the snapshots that are about to expire.
        there: metadata files that are kept and exist.
    """

    def can_return(name: str, snapshot_id: str | None) -> bool:
        snapshots = history.tables[name].snapshots
        return snapshot_id is None or (snapshot_id in snapshots and snapshot_id not in expire)

    release, run = None, None
    for one in reversed(history.releases):
        states = {name: state for name, state in one.tables.items() if name in history.tables}
        if not all(
            state.metadata_location in there and can_return(name, state.snapshot_id)
            for name, state in states.items()
        ):
            break
        release = one
    for recorded in sorted(history.runs, key=lambda found: found.started_at, reverse=True):
        read = [state for name, state in recorded.inputs.items() if name in history.tables]
        if not all(state.metadata_location in there for state in read):
            break
        run = recorded
    return Reach(release, run)
