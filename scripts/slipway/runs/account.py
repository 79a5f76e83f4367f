"""The books of an environment: where the rows of each feed are, run by run and in total, as the runs counted them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from slipway.errors import DamagedError, NotFoundError
from slipway.records.run_manifest import Change, Conservation, Node, RunManifest
from slipway.records.store import Records
from slipway.releases.lookup import environment_of


@dataclass(frozen=True)
class Entry:
    """What a run changed in one feed; rows, and the release that it became, if any."""

    run_id: str
    started_at: datetime
    outcome: str
    release: int | None
    raw: str
    files: int
    landed: int
    curated: int
    quarantined: int
    deduplicated: int
    expired: int
    problem: str


@dataclass(frozen=True)
class Books:
    """The totals that readers see, and entries of runs, newest first.

    ``release`` is the one that the totals are of, ``not_counted`` raw tables to the reason why they have none, ``damaged`` runs
    whose records cannot be read.
    """

    release: int | None
    totals: list[Conservation]
    not_counted: dict[str, str]
    entries: list[Entry] = field(default_factory=list)
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
        limit: how many runs are looked at, newest first.

    Raises:
        NotFoundError: nothing is published yet, or the feed is not known.
        DamagedError: the record of the last release, or of its run, cannot be read.
    """
    environment = environment_of(project_dir, target)
    records = Records(environment)
    last = records.last_release()
    shown = records.manifest(last.run_id) if last else None
    if last is None or shown is None:
        why = f"the records of run {last.run_id} are gone" if last else "nothing is published yet"
        raise NotFoundError(f"{environment.name} has no books", why, "Start with slipway run")
    known = sorted({item.raw for item in shown.conservation} | {item.raw for item in shown.not_counted})
    wanted = [raw for raw in known if feed in (None, raw, raw.partition(".")[2])]
    if feed is not None and not wanted:
        raise NotFoundError(
            f"There is no feed {feed} in the books of {environment.name}",
            f"release {last.number} has {', '.join(known) or 'none'}",
            "Name one of them",
        )
    releases = {item.run_id: item.number for item in records.readable_releases()[0] if item.by_run}
    entries, damaged = [], []
    for run_id in islice(records.run_ids(), limit):
        try:
            manifest = records.manifest(run_id)
        except DamagedError as error:
            damaged.append(error.line())
            continue
        if manifest is not None:
            entries += [entry for entry in _entries(manifest, releases.get(run_id)) if entry.raw in wanted]
    return Books(
        release=last.number,
        totals=[item for item in shown.conservation if item.raw in wanted],
        not_counted={item.raw: item.reason for item in shown.not_counted if item.raw in wanted},
        entries=entries,
        damaged=damaged,
    )


def _entries(manifest: RunManifest, release: int | None) -> Iterator[Entry]:
    nodes = {node.table: node for node in manifest.nodes}
    for item in manifest.conservation:
        landed, curated, quarantined = (
            _change(nodes.get(table)) for table in (item.raw, item.curated, item.quarantine)
        )
        feed = item.raw.partition(".")[2]
        yield Entry(
            run_id=manifest.run_id,
            started_at=manifest.started_at,
            outcome=str(manifest.outcome),
            release=release,
            raw=item.raw,
            files=sum(file.feed == feed and file.verdict == "accepted" for file in manifest.landed_files),
            landed=landed,
            curated=curated,
            quarantined=quarantined,
            deduplicated=landed - curated - quarantined - item.newly_expired,
            expired=item.newly_expired,
            problem=item.problem,
        )


def _change(node: Node | None) -> int:
    """How many rows more a table has after a run."""
    if node is None or node.change is not Change.BUILT:
        return 0
    return (node.rows_after or 0) - (node.rows_before or 0)
