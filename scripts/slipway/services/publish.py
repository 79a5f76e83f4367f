"""Publish the candidate of an earlier run."""

from __future__ import annotations

from pathlib import Path

from slipway.domain.errors import ConflictError, NotFoundError, SlipwayError
from slipway.domain.manifest import Intent, Release
from slipway.domain.run import Outcome


def publish_run(project: Path, target: str | None, run: str) -> Release:
    """Make every table of a staged run current in one step.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        run: a run id, a unique part of one, or ``latest``.

    Raises:
        NotFoundError: there is no such run, or it never ended.
        SlipwayError: the run did not pass, or is published already.
        ConflictError: a table moved since the run began; nothing was published.
    """
    from slipway.adapters.candidates import staged_of
    from slipway.adapters.iceberg.tables import Tables
    from slipway.adapters.profile import Profile
    from slipway.adapters.records import Records
    from slipway.adapters.releases import heal, release

    environment = Profile(project).environment(target)
    records, tables = Records(environment), Tables(environment)
    heal(tables, records)
    run_id = records.find_run(run)
    manifest = records.manifest(run_id)
    if manifest is None:
        raise NotFoundError(f"run {run_id} has no run manifest", "it never came to its end", "run it again")
    if any(known.run_id == run_id and not known.rolls_back for known in records.releases()):
        raise SlipwayError(f"run {run_id} is published already", fix="list releases with slipway releases")
    if manifest.outcome is not Outcome.STAGED:
        raise SlipwayError(
            f"run {run_id} cannot be published", f"{manifest.outcome}: {manifest.reason}", "run again"
        )
    candidate = records.candidate(run_id)
    staged, published = [], tables.locations()
    for record in candidate:
        namespace, name = record["table"]
        if published.get((namespace, name)) != record["base"]:
            raise ConflictError(
                f"run {run_id} cannot be published",
                f"{namespace}.{name} was published by another run since",
                "run again",
            )
        staged.append(staged_of(tables, record))
    return release(
        tables,
        records,
        staged,
        Intent(number=int(candidate[0]["release"]), run_id=run_id, code=manifest.code),
    )
