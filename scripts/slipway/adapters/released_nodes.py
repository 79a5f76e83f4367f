"""Which run of a release built or looked at a node last: a release of a part says nothing of the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from slipway.adapters.records import Records
from slipway.domain.release import Release


def looked_at(
    records: Records, releases: Sequence[Release], nodes: Collection[str]
) -> Iterator[tuple[str, set[str]]]:
    """Runs of releases, newest first, and the unique ids of the nodes that no later one built or looked at.

    Raises:
        DamagedError: a run manifest cannot be read.
    """
    unseen = set(nodes)
    for release in reversed(releases):
        if not unseen:
            break
        manifest = records.manifest(release.run_id)
        found = unseen.intersection(node.unique_id for node in manifest.nodes) if manifest else set()
        if found:
            yield release.run_id, found
        unseen -= found


def is_table(node: Mapping[str, Any]) -> bool:
    """Whether a node of dbt's manifest becomes a table."""
    kind = (node.get("config") or {}).get("materialized")
    return node["resource_type"] in ("model", "seed", "snapshot") and kind not in ("ephemeral", "view")


def tables_of(nodes: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Unique ids of the nodes that become tables."""
    return {unique_id for unique_id, node in nodes.items() if is_table(node)}
