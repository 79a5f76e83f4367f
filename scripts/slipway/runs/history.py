"""Look back: runs and releases of an environment, and one run or one table that a person names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.environments.environment import Environment
from slipway.errors import DamagedError, NotFoundError, SlipwayError
from slipway.processes import is_held
from slipway.records.node_results import Change, Status
from slipway.records.release_records import Release
from slipway.records.run_ids import started_at
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.records.store import Records, seal_of
from slipway.releases.lease_rules import Standing
from slipway.releases.leases import Found, Leases
from slipway.releases.lookup import LATEST, environment_of, find_run
from slipway.releases.signatures import signature_of

if TYPE_CHECKING:
    from slipway.runs.origin import TableOrigin


INCOMPLETE = "incomplete"
UNREADABLE = "unreadable"
KILLED = "killed"
_MAY_BE_PUBLISHED_LATER = (INCOMPLETE, KILLED, Outcome.STAGED, Outcome.REFUSED)
LONG_AGO = timedelta(hours=24)
"""A run that began earlier and of which nothing else is known is taken for dead."""
_NEWEST = 20
_SAME = (Change.UNCHANGED, Change.SAME_CONTENT, Change.PINNED)


@dataclass(frozen=True)
class RunLine:
    """A run in one line; times UTC, seconds of wall time.

    ``outcome`` is ``incomplete`` for a run that did not come to write its manifest, ``killed`` when ``slipway doctor``
    found its process gone, and ``unreadable`` when the manifest is damaged. ``release`` is also the release that a
    staged run was published as later.
    """

    run_id: str
    started_at: datetime
    outcome: str
    release: int | None = None
    tables_built: int | None = None
    tables_unchanged: int | None = None
    tests_passed: int | None = None
    tests_warned: int | None = None
    tests_failed: int | None = None
    tests_carried: int | None = None
    tests_not_run: int | None = None
    seconds: float | None = None
    commit: str | None = None
    dirty: bool | None = None
    reason: str = ""
    tables_stale: int | None = None


@dataclass(frozen=True)
class RunDetails:
    """One run: its manifest, or what it left behind when it has none; the release it became, and who signed that."""

    run_id: str
    location: str
    manifest: RunManifest | None
    release: int | None
    staged: list[str] = field(default_factory=list)
    signature: str = ""


def list_runs(project_dir: Path | None, target: str | None, limit: int) -> list[RunLine]:
    """The newest runs of an environment, newest first."""
    records = Records(environment_of(project_dir, target))
    lines = [_line(records, run_id) for run_id in islice(records.run_ids(), limit)]
    if any(line.outcome in _MAY_BE_PUBLISHED_LATER for line in lines):
        known, _ = records.readable_releases()
        released = {item.run_id: item.number for item in known if item.by_run}
        lines = [replace(line, release=line.release or released.get(line.run_id)) for line in lines]
    return lines


def list_releases(
    project_dir: Path | None, target: str | None, limit: int
) -> tuple[list[Release], list[str]]:
    """The newest releases of an environment, newest first, and a line for each record that cannot be read."""
    releases, damaged = Records(environment_of(project_dir, target)).readable_releases()
    return list(islice(reversed(releases), limit)), [error.line() for error in damaged.values()]


def unfinished(project_dir: Path | None, target: str | None) -> list[str]:
    """One line for each unfinished publication: readers of several tables may see a mixture."""
    environment = environment_of(project_dir, target)
    if not Records(environment).open_keys():
        return []
    from slipway.releases.published import Published

    return Published(environment).unfinished()


def run_details(project_dir: Path | None, target: str | None, text: str) -> RunDetails:
    """One run by its id, a unique part of it or ``latest``.

    Raises:
        NotFoundError: none or several runs match.
    """
    found = find_run(environment_of(project_dir, target), text)
    manifest = found.records.manifest(found.run_id)
    staged = [] if manifest else list(_staged(found.records, found.run_id))
    release = manifest.release if manifest else None
    if manifest is None or manifest.outcome in _MAY_BE_PUBLISHED_LATER:
        release = next(
            (
                item.number
                for item in found.records.readable_releases()[0]
                if item.run_id == found.run_id and item.by_run
            ),
            None,
        )
    environment = found.records.environment
    signed = signature_of(environment, release) if release and not environment.is_scratch else ""
    return RunDetails(found.run_id, found.records.location(found.run_id), manifest, release, staged, signed)


def _line(records: Records, run_id: str) -> RunLine:
    started = started_at(run_id) or datetime.fromtimestamp(0, UTC)
    try:
        manifest = records.manifest(run_id)
    except SlipwayError as error:
        return RunLine(run_id, started, UNREADABLE, reason=error.line())
    if manifest is None:
        return _line_without_manifest(records, run_id, started)
    changes = [node.change for node in manifest.nodes if node.table]
    executed = [test.status for test in manifest.tests.results if not test.carried]
    return RunLine(
        run_id=run_id,
        started_at=manifest.started_at,
        outcome=str(manifest.outcome),
        release=manifest.release,
        tables_built=changes.count(Change.BUILT),
        tables_unchanged=sum(change in _SAME for change in changes),
        tests_passed=executed.count(Status.PASS),
        tests_warned=manifest.tests.warned,
        tests_failed=manifest.tests.failed,
        tests_carried=manifest.tests.carried,
        tests_not_run=manifest.tests.not_run,
        seconds=round((manifest.finished_at - manifest.started_at).total_seconds(), 3),
        commit=manifest.code.commit,
        dirty=manifest.code.dirty,
        reason=manifest.reason,
        tables_stale=sum(bool(node.stale) for node in manifest.nodes),
    )


def _line_without_manifest(records: Records, run_id: str, started: datetime) -> RunLine:
    try:
        built, closed = len(list(_staged(records, run_id))), records.closed(run_id)
    except SlipwayError as error:
        return RunLine(run_id, started, INCOMPLETE, reason=error.line())
    return RunLine(
        run_id,
        started,
        KILLED if closed else INCOMPLETE,
        tables_built=built,
        reason=closed.reason if closed else "",
    )


def _staged(records: Records, run_id: str) -> Iterator[str]:
    return (str(entry.name) for entry in records.candidate(run_id))


def may_be_alive(environment: Environment, leases: Mapping[str, Found], run_id: str) -> bool:
    """Whether a run holds a live lease or its log, so that it may still be writing its records."""
    if run_id in leases:
        return leases[run_id].standing is Standing.LIVE
    return any(map(is_held, _logs_of(environment, run_id)))


def is_gone(environment: Environment, leases: Mapping[str, Found], run_id: str, now: datetime) -> bool:
    """Whether the process of a run is gone, as far as that can be known from here; now is UTC."""
    if run_id in leases:
        return leases[run_id].standing is not Standing.LIVE
    if logs := _logs_of(environment, run_id):
        return not any(map(is_held, logs))
    began = started_at(run_id)
    return began is None or now - began > LONG_AGO


def _logs_of(environment: Environment, run_id: str) -> list[Path]:
    return list(environment.logs.parent.glob(f"*/{run_id}.jsonl"))  # perhaps another target's


def killed_run(records: Records, now: datetime) -> str | None:
    """The newest run, if its process is gone and it wrote no run manifest; runs that may be at work do not count.

    Raises:
        UnavailableError: the records cannot be read.
    """
    leases = {found.lease.run_id: found for found in Leases(records).found()}
    environment = records.environment
    logs = {path.stem for path in environment.logs.glob("*.jsonl")}  # one killed early left nothing else
    for run_id in sorted({*islice(records.run_ids(), _NEWEST), *logs}, reverse=True):
        with suppress(DamagedError):  # slipway doctor reports it; it has ended
            if records.manifest(run_id) is None and seal_of(records, run_id) is None:
                if records.closed(run_id) is None and not is_gone(environment, leases, run_id, now):
                    continue
                return run_id
        return None
    return None


def explain(project_dir: Path | None, target: str | None, what: str) -> RunDetails | TableOrigin:
    """A run by its id, a unique part of it or ``latest``; or a table by ``layer.table`` or only its name.

    Raises:
        NotFoundError: it is neither, or more than one.
    """
    if "." in what:
        return _table(project_dir, target, what)
    try:
        return run_details(project_dir, target, what)
    except NotFoundError as no_run:
        if what == LATEST or no_run.why:
            raise
    try:
        return _table(project_dir, target, what)
    except NotFoundError as no_table:
        raise NotFoundError(f"There is no run and no table {what}", no_table.why, no_table.fix) from None


def _table(project_dir: Path | None, target: str | None, what: str) -> TableOrigin:
    from slipway.runs.origin import table_origin  # it needs the engines, which a run does not

    return table_origin(project_dir, target, what)
