"""The books of an environment: where the rows of each feed are, release by release and in total, as runs counted them.

Each release is posted with what it changed for readers, also one that no run made, such as a rollback: its totals minus those of the release before. So
the entries, and what is brought forward from earlier releases, add up to the totals. A run that is no release has an entry that is not posted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from slipway.errors import DamagedError, NotFoundError
from slipway.records.conservation import Conservation
from slipway.records.release_records import Release
from slipway.records.run_ids import started_at
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.records.store import Records
from slipway.releases.lookup import environment_of


class Figures(NamedTuple):
    """Rows of a feed, or by how many they change: landed = curated + quarantined + deduplicated + expired.

    Where files replace earlier ones, ``landed`` are the rows of the current files, and ``superseded`` those of earlier ones, which raw has as well.
    """

    landed: int = 0
    curated: int = 0
    quarantined: int = 0
    deduplicated: int = 0
    expired: int = 0
    superseded: int = 0

    @classmethod
    def of(cls, item: Conservation) -> Figures:
        """What was counted."""
        return cls(
            item.landed,
            item.curated_rows,
            item.quarantined_rows,
            item.deduplicated,
            item.expired,
            item.superseded,
        )

    def since(self, before: Figures) -> Figures:
        """What has changed."""
        return Figures(*(now - then for now, then in zip(self, before, strict=True)))


@dataclass(frozen=True)
class Entry:
    """What a release or a run changed in one feed.

    Args:
        run_id: the run; of a rollback, a promotion or a retirement the one whose tables are shown; empty for what is brought forward.
        at: when the release was published, or the run that is none began; UTC.
        outcome: how the run ended, or what the release is that no run made.
        release: its number; None for a run that is no release.
        raw: the raw table.
        files: files that the run accepted; None where no run looked.
        change: rows; None where nobody counted them.
        posted: whether it is in the sum.
        problem: why the rows do not add up, or are not counted; empty where all is well.
    """

    run_id: str
    at: datetime
    outcome: str
    release: int | None
    raw: str
    files: int | None
    change: Figures | None
    posted: bool
    problem: str = ""


@dataclass(frozen=True)
class Books:
    """The totals that readers see, and entries, newest first.

    ``release`` is the one that the totals are of, ``not_counted`` raw tables to the reason why they have none, ``brought_forward`` what all releases before those of
    the entries come to, ``damaged`` runs whose records cannot be read.
    """

    release: int | None
    totals: list[Conservation]
    not_counted: dict[str, str]
    entries: list[Entry] = field(default_factory=list)
    brought_forward: list[Entry] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def balances(self) -> bool:
        """Whether every total adds up."""
        return not any(item.problem for item in self.totals)


def books_of(project_dir: Path | None, target: str | None, feed: str | None, limit: int) -> Books:
    """The books of all feeds, or of one.

    Args:
        project_dir: the dbt project.
        target: the environment.
        feed: name of a feed or of its raw table.
        limit: how many releases and runs are looked at, newest first.

    Raises:
        NotFoundError: nothing is published yet, or the feed is not known.
        DamagedError: the record of the last release, or of its run, cannot be read.
    """
    environment = environment_of(project_dir, target)
    records = Records(environment)
    releases, damaged = records.readable_releases()
    for number, error in damaged.items():
        if not releases or number > releases[-1].number:  # it may be what readers see
            raise error
    if not releases:
        raise NotFoundError(
            f"{environment.name} has no books", "nothing is published yet", "Start with slipway run"
        )
    last = releases[-1]
    counts = _Counts(records)
    shown = counts.manifest(last.run_id)
    if shown is None:
        raise NotFoundError(
            f"{environment.name} has no books",
            f"the records of run {last.run_id} are gone",
            "Start with slipway run",
        )
    posted, runs, before = _newest(records, releases, limit)
    counts.read([*([before] if before else []), *posted], runs)
    totals, reasons = counts.of(last)
    known = sorted({pair.raw for pair in totals} | reasons.keys())
    wanted = [raw for raw in known if feed in (None, raw, raw.partition(".")[2])]
    if feed is not None and not wanted:
        raise NotFoundError(
            f"There is no feed {feed} in the books of {environment.name}",
            f"release {last.number} has {', '.join(known) or 'none'}",
            "Name one of them",
        )
    entries, opening = _entries(counts, posted, runs, before)
    return Books(
        release=last.number,
        totals=[item for pair, item in totals.items() if pair.raw in wanted],
        not_counted={raw: reason for raw, reason in reasons.items() if raw in wanted},
        entries=[entry for entry in entries if feed is None or entry.raw in wanted],
        brought_forward=[entry for entry in opening if feed is None or entry.raw in wanted],
        damaged=counts.damaged,
    )


def counted_in(records: Records, release: Release) -> tuple[list[Conservation], dict[str, str]]:
    """The counts that are true of what a release shows, and raw tables to the reason why they have none.

    Args:
        records: of the environment.
        release: one of it.

    Raises:
        DamagedError: the record of its run cannot be read.
    """
    counts = _Counts(records)
    own = counts.manifest(release.run_id)
    found, reasons = counts.of(release)
    answered = {pair.raw for pair in found} | {item.raw for item in (own.not_counted if own else ())}
    if any(name.startswith("raw.") and name not in answered for name in release.tables):
        counts.read([release], [])  # other runs made its tables
        found, reasons = counts.of(release)
    return list(found.values()), reasons


def _newest(
    records: Records, releases: Sequence[Release], limit: int
) -> tuple[list[Release], list[str], Release | None]:
    """The newest releases and the runs that are none, ``limit`` of both together, and the release before them."""
    by_run = {release.run_id for release in releases if release.by_run}
    runs = [run_id for run_id in islice(records.run_ids(), limit) if run_id not in by_run]
    times = [(release.published_at, "") for release in releases]
    times += [(began, run_id) for run_id in runs if (began := started_at(run_id))]
    chosen = sorted(times, reverse=True)[:limit]
    number = sum(not run_id for _, run_id in chosen)
    first = len(releases) - number
    shown = {run_id for _, run_id in chosen}
    return (
        list(releases[first:]),
        [run_id for run_id in runs if run_id in shown],
        releases[first - 1] if first else None,
    )


class _Pair(NamedTuple):
    """The three tables of a count."""

    raw: str
    curated: str
    quarantine: str

    @classmethod
    def of(cls, item: Conservation) -> _Pair:
        return cls(item.raw, item.curated, item.quarantine)


class _Counts:
    """What runs counted, and which of it is true of a release: what a run counted on the very snapshots that the release shows."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._read: dict[str, RunManifest | None] = {}
        self.damaged: list[str] = []

    def manifest(self, run_id: str) -> RunManifest | None:
        """The manifest of a run of this environment, or of one that came with a promotion."""
        if run_id not in self._read:
            found = self._records.manifest(run_id)
            if found is None and (came := self._records.promoted_manifest(run_id)):
                found = came[0]
            self._read[run_id] = found
        return self._read[run_id]

    def known(self, run_id: str) -> RunManifest | None:
        """The manifest of a run, if it was read."""
        return self._read.get(run_id)

    def read(self, releases: Sequence[Release], runs: Sequence[str]) -> None:
        """Read what releases may need: their runs, those that made tables of the first of them or of one that no run made, and runs that are no release."""
        wanted = [release.run_id for release in releases]
        for number, release in enumerate(releases):
            if not (number and release.by_run):
                wanted += [table.run_id for table in release.tables.values() if table.run_id]
        for run_id in dict.fromkeys([*wanted, *runs]):
            try:
                self.manifest(run_id)
            except DamagedError as error:
                self._read[run_id] = None
                self.damaged.append(error.line())

    def of(self, release: Release) -> tuple[dict[_Pair, Conservation], dict[str, str]]:
        """The counts that are true of a release, and raw tables that it shows to the reason why they have none."""
        own = self.known(release.run_id)
        known = [own, *(one for one in self._read.values() if one is not own)]
        found: dict[_Pair, Conservation] = {}
        reasons = {item.raw: item.reason for item in own.not_counted} if own and release.by_run else {}
        for manifest in filter(None, known):
            for item in manifest.conservation:
                pair = _Pair.of(item)
                if pair in found or release.tables.get(pair.raw) is None:
                    continue
                if all(shows(release, manifest, table) for table in pair):
                    found[pair] = item
                elif manifest is own:
                    reasons.setdefault(
                        pair.raw,
                        f"no run counted {pair.raw}, {pair.curated} and {pair.quarantine} as release {release.number} shows them; the next run counts",
                    )
        counted = {pair.raw for pair in found}
        return found, {raw: reason for raw, reason in reasons.items() if raw not in counted}


def shows(release: Release, manifest: RunManifest, name: str) -> bool:
    """Whether a release shows a table in a state that a run read or staged; a compaction leaves the rows as they are."""
    table = release.tables.get(name)
    return table is not None and not manifest.snapshots_of(name).isdisjoint(
        {table.snapshot_id, table.content}
    )


def _entries(
    counts: _Counts, posted: Sequence[Release], runs: Sequence[str], before: Release | None
) -> tuple[list[Entry], list[Entry]]:
    """Entries of releases and of runs that are none, newest first; and what is brought forward.

    ``open_`` are raw tables of which the first release that is looked at has rows that no record counts any more: the first count is what is brought forward.
    """
    state: dict[_Pair, Figures] = {}
    opening: list[Entry] = []
    open_: set[str] = set()
    if before is not None:
        counted, _ = counts.of(before)
        state = {pair: Figures.of(item) for pair, item in counted.items()}
        opening = [_opening(pair, before, figures) for pair, figures in state.items() if any(figures)]
        there = {name for name, table in before.tables.items() if table.rows != 0}
        open_ = there - {pair.raw for pair in counted}
    began = {run_id: manifest.started_at for run_id in runs if (manifest := counts.known(run_id))}
    waiting = sorted(began, key=lambda run_id: (began[run_id], run_id), reverse=True)
    found: list[Entry] = []
    for release in posted:
        while waiting and began[waiting[-1]] < release.published_at:
            found += _of_run(counts, waiting.pop(), state, open_)
        entries, state = _of_release(counts, release, state, open_)
        found += entries
        for pair in [pair for pair in state if pair.raw in open_]:  # what it came to before is not known
            opening.append(_opening(pair, release, state[pair]))
            open_.discard(pair.raw)
    while waiting:
        found += _of_run(counts, waiting.pop(), state, open_)
    return found[::-1], opening


def _opening(pair: _Pair, release: Release, figures: Figures) -> Entry:
    return Entry(
        "", release.published_at, "brought forward", release.number, pair.raw, None, figures, posted=True
    )


def _of_release(
    counts: _Counts, release: Release, before: Mapping[_Pair, Figures], open_: Collection[str]
) -> tuple[list[Entry], dict[_Pair, Figures]]:
    """Entries of a release, and the totals after it; what nobody counted stays as it was until somebody does."""
    manifest = counts.known(release.run_id)
    counted, reasons = counts.of(release)
    after, entries = dict(before), []
    for pair in sorted({*before, *counted}):
        item = counted.get(pair)
        if item is not None:
            after[pair] = Figures.of(item)
        elif _is_empty(release, pair.raw) or any(other.raw == pair.raw for other in counted):
            after.pop(pair, None)  # the rows are gone, or other tables share them
        elif pair.raw not in reasons:
            reasons[pair.raw] = "no run counted it as this release shows it"
    for pair in sorted({*before, *counted}):
        item = counted.get(pair)
        known = pair.raw not in open_ and (item is not None or pair not in after)
        entries.append(
            Entry(
                run_id=release.run_id,
                at=release.published_at,
                outcome=_what(release),
                release=release.number,
                raw=pair.raw,
                files=_files(manifest, pair.raw) if release.by_run and manifest else None,
                change=after.get(pair, Figures()).since(before.get(pair, Figures())) if known else None,
                posted=True,
                problem=item.problem if item else reasons.get(pair.raw, ""),
            )
        )
    return entries, after


def _is_empty(release: Release, raw: str) -> bool:
    table = release.tables.get(raw)
    return table is None or table.rows == 0


def _of_run(
    counts: _Counts, run_id: str, before: Mapping[_Pair, Figures], open_: Collection[str]
) -> Iterator[Entry]:
    """Entries of a run that is no release: by how many rows its tables differ from what readers saw when it began."""
    manifest = counts.known(run_id)
    if manifest is None:
        return
    for item in manifest.conservation:
        now, then = Figures.of(item), before.get(_Pair.of(item), Figures())
        yield Entry(
            run_id=run_id,
            at=manifest.started_at,
            outcome=str(manifest.outcome),
            release=None,
            raw=item.raw,
            files=_files(manifest, item.raw),
            change=None if item.raw in open_ else now.since(then),
            posted=False,
            problem=item.problem,
        )


def _files(manifest: RunManifest, raw: str) -> int:
    feed = raw.partition(".")[2]
    return sum(file.feed == feed and file.verdict == "accepted" for file in manifest.landed_files)


def _what(release: Release) -> str:
    """What a release is."""
    if release.rolls_back:
        return "rolled back" + (f" to release {release.returns_to}" if release.returns_to else "")
    if release.promoted and not release.promoted.rebuilt:
        return f"promoted from {release.promoted.target}"
    return "retired" if release.retirement else str(Outcome.PUBLISHED)
