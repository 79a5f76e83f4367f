"""Publish the candidate of an earlier run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import ConflictError, NotFoundError, SlipwayError
from slipway.records.release_records import Intent, Release
from slipway.runs.decision import closed_gate

if TYPE_CHECKING:
    from slipway.iceberg.staged_table import StagedTable
    from slipway.iceberg.tables import Tables


def publish_run(project: Path, target: str | None, run: str, wait: float = 0) -> Release:
    """Make every table of a staged run current in one step, if its gates are open still.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        run: a run id, a unique part of one, or ``latest``.
        wait: seconds to wait for runs on the same tables.

    Raises:
        NotFoundError: there is no such run, or it never ended.
        SlipwayError: the run did not pass, is published already, or its gates are closed now: a source is too old, its
            evidence is not complete, the environment is on hold.
        ConflictError: a table moved since the run began, or a run on the same tables is under way; nothing was
            published.
        DamagedError: a record of it is damaged or not what the run wrote, or the catalog is of another environment;
            nothing was published.
    """
    from slipway.environments.profiles import Profile
    from slipway.iceberg.tables import Tables
    from slipway.processes import too_late
    from slipway.records.store import Records, check_seal
    from slipway.releases.candidates import audited
    from slipway.releases.holds import Holds
    from slipway.releases.leases import Leases
    from slipway.releases.publication import heal, release
    from slipway.releases.published import check_catalog

    environment = Profile(project).environment(target)
    records, tables = Records(environment), Tables(environment)
    heal(tables, records)
    check_catalog(tables, records, tables.locations())
    run_id = records.find_run(run)
    manifest = records.manifest(run_id)
    if manifest is None:
        raise NotFoundError(f"Run {run_id} has no run manifest", "it never came to its end", "Run it again")
    releases, damaged = records.readable_releases()
    if any(known.run_id == run_id and known.by_run for known in releases):
        raise SlipwayError(f"Run {run_id} is published already", fix="List releases with slipway releases")
    if why := closed_gate(manifest, environment.mode, datetime.now(UTC)):
        raise SlipwayError(f"Run {run_id} cannot be published", why, "Run again")
    check_seal(records, run_id, f"Publication of run {run_id}")
    Holds(records).refuse(f"A publication in {environment.name}")
    candidate = records.candidate(run_id)
    staged = audited(tables, manifest, candidate)
    number = candidate[0].release
    if number in damaged:  # it is published, and its record is damaged
        raise damaged[number]
    _refuse_moved(tables, run_id, staged)
    names = [str(item.identifier) for item in staged]
    lease = Leases(records).take(run_id, names, wait=wait, what=f"Publication of run {run_id}")
    try:
        intent = Intent(number=number, run_id=run_id, code=manifest.code)
        with too_late():
            return release(tables, records, staged, intent)
    finally:
        lease.release()


def _refuse_moved(tables: Tables, run_id: str, staged: Sequence[StagedTable]) -> None:
    """Tell of a table that moved before anything is written; the publication asks once more."""
    from slipway.iceberg.commit import hindrance

    now = tables.locations({item.identifier for item in staged})
    for item in staged:
        if why := hindrance(tables, item.identifier, item.base, now.get(item.identifier)):
            name = str(item.identifier)
            raise ConflictError(f"Run {run_id} cannot be published", f"{name} moved, {why}", "Run again")
