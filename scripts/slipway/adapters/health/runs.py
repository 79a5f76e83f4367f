"""Runs whose process is gone, and a staged run that can no longer be published."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from slipway.adapters.health.examination import Examination
from slipway.adapters.iceberg.catalogs.absorb import stands_on
from slipway.adapters.records import Records
from slipway.adapters.seals import seal_of
from slipway.domain.errors import DamagedError, NotFoundError, UnavailableError
from slipway.domain.health import CloseRun, EndLease, Finding, KeepLog, Remove, Step
from slipway.domain.lease import Standing
from slipway.domain.run import Outcome

LOG = "log.jsonl"
"""Name of a run's log among its records, where it is compressed."""
NEWEST = 50
"""Runs whose records are read, unless all are wanted."""


def run_ids(at: Examination) -> list[str]:
    """The runs to look at, newest first."""
    return list(islice(at.records.run_ids(), None if at.deep else NEWEST))


def leases(at: Examination) -> Iterator[Finding]:
    """Leases of runs that are gone; the next run on the same tables takes them over."""
    for run_id, found in at.leases.items():
        if found.standing is not Standing.LIVE:
            why = "its process is gone" if found.standing is Standing.DEAD else "nobody renews it"
            steps = [EndLease(run_id)]
            yield Finding(f"lease of run {run_id}", why, "the next run on its tables takes it over", steps)


def killed(at: Examination) -> Iterator[Finding]:
    """Runs that have no run manifest, or a log that nobody writes any more."""
    known = run_ids(at)
    for run_id in [*known, *(name for name in at.logs if name not in known)]:
        if at.is_gone(run_id) and (found := _killed(at, run_id)):
            yield found


def _killed(at: Examination, run_id: str) -> Finding | None:
    try:
        ended = any(
            read(run_id) is not None
            for read in (at.records.manifest, at.records.closed, partial(seal_of, at.records))
        )
        staged = len(at.records.candidate(run_id))
    except DamagedError:  # told of where records are examined
        ended, staged = True, 0
    steps: list[Step] = []
    if run_id in at.logs:
        steps.append(_log_step(at, run_id, at.logs[run_id]))
    if not ended:
        steps.append(CloseRun(run_id, "its process was killed"))
    if not steps:
        return None
    what = "its log was left behind" if ended else f"its process was killed; it had staged {staged} tables"
    return Finding(f"run {run_id}", what, "readers are not affected; run again", steps)


def _log_step(at: Examination, run_id: str, log: Path) -> Step:
    return (
        Remove(str(log))
        if kept_log(at.records, run_id, LOG) == log.read_bytes()
        else KeepLog(run_id, str(log))
    )


def kept_log(records: Records, run_id: str, name: str) -> bytes | None:
    """A log among the records of a run, which an older slipway did not compress; None where there is none that can be read."""
    for kept in (f"{name}.gz", name):
        with suppress(NotFoundError, OSError, EOFError, zlib.error):
            content = records.read(run_id, kept)
            return gzip.decompress(content) if kept.endswith(".gz") else content
    return None


def superseded(at: Examination) -> Iterator[Finding]:
    """The newest staged run, when a table that it builds on was published by another since."""
    released = {release.run_id for release in at.releases[0]}
    for run_id in run_ids(at):
        try:
            manifest = at.records.manifest(run_id)
            if manifest is None or manifest.outcome is not Outcome.STAGED or run_id in released:
                continue
            if at.records.closed(run_id) is not None:
                return
            candidate = at.records.candidate(run_id)
        except DamagedError:
            continue
        moved = [".".join(record["table"]) for record in candidate if not _can_follow(at, record)]
        if moved:
            yield _superseded(run_id, moved)
        return


def _can_follow(at: Examination, record: Mapping[str, Any]) -> bool:
    namespace, name = record["table"]
    now = at.locations.get((namespace, name))
    try:
        return now == record["metadata_location"] or stands_on(
            at.tables, (namespace, name), record["base"], now
        )
    except UnavailableError:
        return False


def _superseded(run_id: str, moved: Sequence[str]) -> Finding:
    return Finding(
        f"run {run_id}",
        f"it is staged and cannot be published any more: another published {', '.join(moved)} since",
        "run again, and publish that run",
        [CloseRun(run_id, f"another run published {', '.join(moved)} since")],
    )


def scratch(at: Examination) -> Iterator[Finding]:
    """Scratch environments of slices whose process was killed."""
    folder = at.environment.home / "scratch"
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not at.is_gone(path.name) or path.name in at.logs:
            continue  # with a log it is a finding of its own, and this one after it
        try:
            ended = Records(at.environment.scratch(path)).manifest(path.name) is not None
        except DamagedError:  # of another target, whose slice may be whole; or told to nobody, and kept
            ended = True
        if not ended:
            yield Finding(
                f"scratch environment {path}",
                "the run that made it was killed",
                "nothing of it was published; delete it",
                [Remove(str(path))],
            )
