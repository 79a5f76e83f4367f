"""What tables needed to be built, from run manifests, and which of them come to the limits of one machine."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path

from slipway.engines.writers import DUCKDB
from slipway.errors import DamagedError
from slipway.records.node_results import Change
from slipway.records.run_manifest import RunManifest
from slipway.records.store import Records
from slipway.releases.lookup import environment_of

_CLOSE = 0.7
_LATEST = 5
_FEWEST = 3
_HORIZON = 365


class Fit(StrEnum):
    """How the builds of a table fit into the memory that DuckDB was allowed."""

    SPILLS = "spills"
    CLOSE = "close to the limit"
    FITS = "fits"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Build:
    """What one run needed to build a table; seconds of wall time, bytes as DuckDB counted them, None where they were not counted.

    ``limit`` is what DuckDB was allowed to hold in memory, ``engine`` what computed the rows.
    """

    at: datetime
    seconds: float
    bytes_read: int | None
    peak_memory: int | None
    spilled: int | None
    limit: int | None
    engine: str = DUCKDB

    @property
    def share(self) -> float | None:
        """The part of the memory that it took at most."""
        return self.peak_memory / self.limit if self.limit and self.peak_memory is not None else None


@dataclass(frozen=True)
class Sizing:
    """The most that a table needed in several builds.

    ``engine`` is what computed it last. ``measured`` counts the builds whose memory is known, none of a table that Spark computes. ``share`` is of the memory that DuckDB was
    allowed in the same build. ``days_left`` says after how many days the memory is taken, if it grows on as it did; None where it does not grow, or where that is not known.
    """

    table: str
    engine: str
    fit: Fit
    builds: int
    measured: int
    seconds: float
    bytes_read: int | None
    peak_memory: int | None
    share: float | None
    spilled: int | None
    days_left: int | None = None


@dataclass(frozen=True)
class Sizings:
    """Of all tables that runs built, those first that need most of the memory; and how many runs were looked at."""

    tables: list[Sizing]
    runs: int
    damaged: list[str] = field(default_factory=list)


def sizings(project_dir: Path | None, target: str | None, limit: int) -> Sizings:
    """What tables needed in the newest runs of an environment.

    Args:
        project_dir: as for every command.
        target: the dbt target, the profile's by default.
        limit: how many runs are looked at.
    """
    records = Records(environment_of(project_dir, target))
    manifests, damaged = list[RunManifest](), list[str]()
    for run_id in islice(records.run_ids(), limit):
        try:
            manifest = records.manifest(run_id)
        except DamagedError as error:
            damaged.append(error.line())
            continue
        if manifest is not None:
            manifests.append(manifest)
    builds: dict[str, list[Build]] = {}
    for manifest in reversed(manifests):
        for table, build in builds_of(manifest):
            builds.setdefault(table, []).append(build)
    found = [sizing(table, known) for table, known in builds.items()]
    order = list(Fit)
    found.sort(key=lambda one: (order.index(one.fit), -(one.share or 0), -one.seconds, one.table))
    return Sizings(found, len(manifests), damaged)


def builds_of(manifest: RunManifest) -> Iterable[tuple[str, Build]]:
    """The tables that a run built, and what each needed. A slice and a sample say nothing of the whole, and are left out."""
    if manifest.scratch or manifest.sample is not None:
        return
    for node in manifest.nodes:
        if node.table and node.change in (Change.BUILT, Change.SAME_CONTENT):
            yield (
                node.table,
                Build(
                    manifest.started_at,
                    node.seconds,
                    node.bytes_read,
                    node.peak_memory_bytes,
                    node.spilled_bytes,
                    manifest.memory_limit_bytes,
                    node.engine or DUCKDB,
                ),
            )


def sizing(table: str, builds: Sequence[Build]) -> Sizing:
    """The most that builds of a table needed, and how that fits.

    Args:
        table: ``layer.table``.
        builds: in the order of time, at least one. Only the newest that were measured decide how it fits, because what once was
            too large may have been repaired. What DuckDB needed says nothing of a table that Spark computes now.
    """
    engine = builds[-1].engine
    by_duckdb = [one for one in builds if one.engine == engine == DUCKDB]
    measured = [one for one in by_duckdb if one.share is not None]
    latest = measured[-_LATEST:]
    share = max((one.share for one in latest if one.share is not None), default=None)
    spills = [
        one.spilled for one in by_duckdb if one.spilled is not None
    ]  # also where the limit is not known
    spilled = max(spills[-_LATEST:], default=None)
    if spilled:
        fit = Fit.SPILLS
    elif share is None:
        fit = Fit.UNKNOWN
    else:
        fit = Fit.CLOSE if share >= _CLOSE else Fit.FITS
    return Sizing(
        table,
        engine,
        fit,
        len(builds),
        len(measured),
        max(one.seconds for one in builds),
        max((one.bytes_read for one in builds if one.bytes_read is not None), default=None),
        max((one.peak_memory for one in latest if one.peak_memory is not None), default=None),
        share,
        spilled,
        None if fit is Fit.SPILLS else _days_left(measured),
    )


def _days_left(measured: Sequence[Build]) -> int | None:
    """Days from the newest build until the memory is taken, by a straight line through the builds; None for more than a year."""
    shares = [one.share for one in measured if one.share is not None]
    days = [(one.at - measured[0].at).total_seconds() / 86_400 for one in measured]
    if len(shares) < _FEWEST or days[-1] < 1:
        return None
    slope, at_first = statistics.linear_regression(days, shares)
    if slope <= 0:
        return None
    left = (1 - at_first) / slope - days[-1]
    return max(round(left), 0) if left <= _HORIZON else None
