"""Publish the candidate of an earlier run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.domain.errors import ConflictError, DamagedError, NotFoundError, SlipwayError
from slipway.domain.manifest import Intent, Release, RunManifest
from slipway.domain.run import Outcome

if TYPE_CHECKING:
    from slipway.adapters.records import Records


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
        DamagedError: a record of it is damaged, or the catalog is of another environment; nothing was published.
    """
    from slipway.adapters.belonging import check_catalog
    from slipway.adapters.candidates import staged_of
    from slipway.adapters.iceberg.tables import Tables
    from slipway.adapters.profile import Profile
    from slipway.adapters.records import Records
    from slipway.adapters.releases import heal, release

    environment = Profile(project).environment(target)
    records, tables = Records(environment), Tables(environment)
    heal(tables, records)
    published = tables.locations()
    check_catalog(tables, records, published)
    run_id = records.find_run(run)
    manifest = records.manifest(run_id)
    if manifest is None:
        raise NotFoundError(f"run {run_id} has no run manifest", "it never came to its end", "run it again")
    releases, damaged = records.readable_releases()
    if any(known.run_id == run_id and not known.rolls_back for known in releases):
        raise SlipwayError(f"run {run_id} is published already", fix="list releases with slipway releases")
    if manifest.outcome is not Outcome.STAGED:
        raise SlipwayError(
            f"run {run_id} cannot be published", f"{manifest.outcome}: {manifest.reason}", "run again"
        )
    candidate = records.candidate(run_id)
    _check_whole(records, manifest, candidate)
    number = int(candidate[0]["release"])
    if number in damaged:  # it is published, and its record is damaged
        raise damaged[number]
    staged = []
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
        Intent(number=number, run_id=run_id, code=manifest.code),
    )


def _check_whole(records: Records, manifest: RunManifest, candidate: Sequence[Mapping[str, Any]]) -> None:
    """A run of which not every table is written down as it was tested would be published in part."""
    there = {".".join(record["table"]): record["metadata_location"] for record in candidate}
    wrong = [
        node.table
        for node in manifest.nodes
        if node.table and node.change == "built" and there.get(node.table) != node.metadata_location
    ]
    if wrong or not there:
        raise DamagedError(
            f"run {manifest.run_id} cannot be published",
            f"{records.location(manifest.run_id)}/candidate does not have {', '.join(wrong) or 'any table'} as it was tested",
            "restore it from a copy, or run again",
        )
