"""The code of a release as dbt knew it: the state that ``state:modified`` compares with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slipway.errors import ForeignError, NotFoundError
from slipway.records.release_records import Release
from slipway.records.store import Records
from slipway.releases.lookup import newest_runs_of_nodes, tables_of


def released_code(
    records: Records, releases: Sequence[Release], project_name: str | None = None
) -> dict[str, Any]:
    """dbt's manifest of the last of some releases, each node in it as the last release built or looked at it.

    A release of a part says nothing of the code of the other tables. What no release ever looked at is left out, so that it
    counts as new.

    Args:
        records: of the environment.
        releases: in the order in which they were published.
        project_name: the dbt project whose manifest it has to be; None for any.

    Raises:
        NotFoundError: the run of the last release has no manifest of dbt.
        ForeignError: the manifest is of another project, or of a newer dbt.
        DamagedError: it cannot be read.
    """
    against = releases[-1]
    described = records.dbt_manifest(against.run_id)
    if described is None:
        raise NotFoundError(
            f"Run {against.run_id} has no manifest of dbt",
            "slim CI compares with it",
            "Make one with slipway run --force",
        )
    _check(described.get("metadata") or {}, against, project_name)
    nodes = described["nodes"]
    remaining = tables_of(nodes)
    for run_id, found in newest_runs_of_nodes(records, releases, remaining.copy()):
        older = records.dbt_manifest(run_id) if run_id != against.run_id else None
        nodes |= {unique_id: older["nodes"][unique_id] for unique_id in found} if older else {}
        remaining -= found
    for unique_id in remaining:
        del nodes[unique_id]
    return described


def _check(metadata: Mapping[str, Any], against: Release, project_name: str | None) -> None:
    """Refuse a manifest that dbt could not compare with, or that would make every node look new."""
    from dbt.artifacts.schemas.manifest import WritableManifest  # slow to import

    schema, name = metadata.get("dbt_schema_version"), metadata.get("project_name")
    if schema and not WritableManifest.is_compatible_version(schema):
        raise ForeignError(
            f"dbt's manifest of release {against.number} cannot be compared with",
            f"it is of dbt {metadata.get('dbt_version')} ({schema}), and this one reads up to {WritableManifest.dbt_schema_version}",
            "Install the version of dbt that made the release",
        )
    if project_name and name and name != project_name:
        raise ForeignError(
            f"Release {against.number} is not of this project",
            f"dbt's manifest of it is of the project {name}, and this one is {project_name}",
            "Check SLIPWAY_WAREHOUSE, SLIPWAY_HOME and --target",
        )
