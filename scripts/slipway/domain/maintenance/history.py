"""What is known of an environment when maintenance is planned: tables, releases, runs, candidates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from slipway.domain.maintenance.retention import Retention
from slipway.domain.release import Intent, Release
from slipway.domain.run import Outcome


@dataclass(frozen=True)
class State:
    """A state of a table: the metadata file that shows it, and its snapshot."""

    location: str
    snapshot_id: str | None


@dataclass(frozen=True)
class Superseded:
    """A metadata file that the catalog named until a moment."""

    location: str
    until: datetime


@dataclass(frozen=True)
class TableHistory:
    """A table as the catalog names it.

    Args:
        location: its metadata file.
        snapshot_id: its current snapshot.
        snapshots: every snapshot that it names, to when it was made.
        refs: tags and branches, to the snapshot that they name.
        release_tags: those of the refs that releases made.
        log: the metadata files before, oldest first.
        made_by: runs that made its snapshots.
    """

    location: str
    snapshot_id: str | None
    snapshots: Mapping[str, datetime]
    refs: Mapping[str, str] = field(default_factory=dict)
    release_tags: Collection[str] = ()
    log: Sequence[Superseded] = ()
    made_by: Collection[str] = ()


@dataclass(frozen=True)
class RecordedRun:
    """A run that can be replayed.

    Args:
        run_id: the run.
        started_at: when it began.
        inputs: tables that a replay reads, by name, as the run read them.
        made: tables that it built; a replay that comes to other rows reads them.
    """

    run_id: str
    started_at: datetime
    inputs: Mapping[str, State]
    made: Mapping[str, State]


@dataclass(frozen=True)
class Candidate:
    """A table that a run staged and that was not published.

    Args:
        run_id: the run.
        started_at: when it began.
        table: ``layer.table``.
        base: the metadata file that it is to be published on; None for a new table.
        state: what was staged.
        outcome: how the run ended; None when it did not, or was killed.
    """

    run_id: str
    started_at: datetime
    table: str
    base: str | None
    state: State
    outcome: Outcome | None


@dataclass(frozen=True)
class Damage:
    """A table of the catalog of which a file is missing or damaged.

    Args:
        location: its metadata file.
        why: which file, and what is wrong with it.
    """

    location: str
    why: str


@dataclass(frozen=True)
class History:
    """An environment at one moment.

    Args:
        now: the moment.
        older_than: how long a file is left alone after it was written, and after the catalog last named it.
        tables: what the catalog names, by ``layer.table``.
        releases: in the order of publication.
        runs: runs that can be replayed, of the longest policy's days at least.
        candidates: likewise.
        intents: releases that were to be published, and neither recorded nor withdrawn.
        policies: by table, where one differs from the default.
        default: the policy of every other table.
        damaged: tables that cannot be read whole, by name; nothing is done to them.
    """

    now: datetime
    older_than: timedelta
    tables: Mapping[str, TableHistory]
    releases: Sequence[Release] = ()
    runs: Sequence[RecordedRun] = ()
    candidates: Sequence[Candidate] = ()
    intents: Sequence[Intent] = ()
    policies: Mapping[str, Retention] = field(default_factory=dict)
    default: Retention = field(default_factory=Retention)
    damaged: Mapping[str, Damage] = field(default_factory=dict)

    def policy(self, table: str) -> Retention:
        """How much of a table's history is kept."""
        return self.policies.get(table, self.default)

    def names(self) -> set[str]:
        """Every table that anything is known of."""
        recorded = {name for release in self.releases for name in release.tables}
        return (
            recorded
            | set(self.tables)
            | set(self.damaged)
            | {candidate.table for candidate in self.candidates}
        )
