"""The code of a release as dbt knew it: the state that ``state:modified`` compares with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway.errors import NotFoundError
from slipway.records.release_records import Release
from slipway.records.store import Records
from slipway.releases.lookup import newest_runs_of_nodes, tables_of


def released_code(records: Records, releases: Sequence[Release]) -> dict[str, Any]:
    """dbt's manifest of the last of some releases, each node in it as the last release built or looked at it.

    A release of a part says nothing of the code of the other tables. What no release ever looked at is left out, so that it
    counts as new.

    Raises:
        NotFoundError: the run of the last release has no manifest of dbt.
    """
    against = releases[-1]
    described = records.dbt_manifest(against.run_id)
    if described is None:
        raise NotFoundError(
            f"Run {against.run_id} has no manifest of dbt",
            "slim CI compares with it",
            "Make one with slipway run --force",
        )
    nodes = described["nodes"]
    remaining = tables_of(nodes)
    for run_id, found in newest_runs_of_nodes(records, releases, remaining.copy()):
        older = records.dbt_manifest(run_id) if run_id != against.run_id else None
        nodes |= {unique_id: older["nodes"][unique_id] for unique_id in found} if older else {}
        remaining -= found
    for unique_id in remaining:
        del nodes[unique_id]
    return described
