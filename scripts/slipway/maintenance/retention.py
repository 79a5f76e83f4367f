"""How much of a table's history is kept, what is known of it when maintenance is planned, and which files are compacted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from slipway.errors import ConfigError
from slipway.records.release_records import Intent, Release
from slipway.records.run_manifest import Outcome
from slipway.releases.cut import TableVersion

KEYS = ("keep_days", "keep_releases")
RUN_KEY = "keep_run_days"
RUN_DAYS = 90
"""How long records of runs are kept, unless the project says otherwise."""
_LEAST = {"keep_days": 0, "keep_releases": 1, RUN_KEY: 0}
_MOST = 36_500  # a hundred years, or as many releases: more is a way to say for ever


@dataclass(frozen=True)
class Retention:
    """The policy of one table.

    Args:
        days: how far back replays and every release reach, in days.
        releases: how many releases rollback reaches back to, however old; the one that is shown counts.
    """

    days: int = 30
    releases: int = 10

    @property
    def period(self) -> timedelta:
        """``days`` as a span of time."""
        return timedelta(days=self.days)


def parse_retention(of: str, settings: Mapping[str, Any], default: Retention) -> Retention:
    """Read the keys of a policy.

    Args:
        of: what they belong to, for the message.
        settings: a model's meta, or the project's vars; other keys are left as they are.
        default: what holds for a key that is not there.

    Raises:
        ConfigError: a value that is not a whole number, too small, or too large.
    """
    days, releases = (_number(of, key, settings.get(key)) for key in KEYS)
    return Retention(
        default.days if days is None else days, default.releases if releases is None else releases
    )


def run_days(variables: Mapping[str, Any]) -> int:
    """How many days the records of runs are kept that nothing needs, by the project's vars.

    Raises:
        ConfigError: a value that is not a whole number, too small, or too large.
    """
    days = _number("vars of dbt_project.yml", RUN_KEY, variables.get(RUN_KEY))
    return RUN_DAYS if days is None else days


def _number(of: str, key: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not _LEAST[key] <= value <= _MOST:
        raise ConfigError(
            f"{of}: {key} is {value}",
            f"it is not a whole number from {_LEAST[key]} to {_MOST}",
            "Write for example 30",
        )
    return value


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
    inputs: Mapping[str, TableVersion]
    made: Mapping[str, TableVersion]


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
    state: TableVersion
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
        older_than: how long a file is kept after it was written, and after the catalog last named it.
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


ENOUGH = 0.75
"""A file of this part of the target size is left as it is."""

MIN_FILES = 5
"""Fewer files are compacted only when they fill a file: otherwise each call would write the same rows again."""


@dataclass(frozen=True)
class LiveFile:
    """A data file of a table's current snapshot.

    Args:
        path: where it is.
        size: bytes.
        partition: its partition, in a form that is equal for equal partitions.
    """

    path: str
    size: int
    partition: str = ""


@dataclass(frozen=True)
class Bin:
    """Files of one partition that become one."""

    files: tuple[LiveFile, ...]

    @property
    def size(self) -> int:
        """Bytes before."""
        return sum(file.size for file in self.files)


def pack(files: Iterable[LiveFile], target: int) -> list[Bin]:
    """Small files in bins of the target size, by first fit, the largest files first."""
    enough = target * ENOUGH
    small: dict[str, list[LiveFile]] = defaultdict(list)
    for file in files:
        if file.size < enough:
            small[file.partition].append(file)
    return [
        Bin(tuple(members))
        for partition in sorted(small)
        for members in _first_fit(small[partition], target)
        if len(members) >= MIN_FILES or (len(members) > 1 and sum(file.size for file in members) >= enough)
    ]


def _first_fit(files: list[LiveFile], target: int) -> list[list[LiveFile]]:
    bins: list[list[LiveFile]] = []
    rooms: list[int] = []
    for file in sorted(files, key=lambda one: (-one.size, one.path)):
        at = next((number for number, room in enumerate(rooms) if room >= file.size), None)
        if at is None:
            bins.append([])
            rooms.append(target)
            at = len(bins) - 1
        bins[at].append(file)
        rooms[at] -= file.size
    return bins
