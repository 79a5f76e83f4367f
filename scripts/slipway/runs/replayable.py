"""What a replay of a run takes as it was and what it builds, only from the run manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slipway.names import TableName
from slipway.records.node_results import Node, Status
from slipway.records.run_manifest import Outcome, RunManifest

_INPUT_LAYERS = ("raw",)
_REPLAYABLE = (Outcome.PUBLISHED, Outcome.STAGED, Outcome.UNCHANGED)


def why_not_replayable(manifest: RunManifest) -> str:
    """Why a run cannot be built again; empty when it can."""
    if manifest.outcome not in _REPLAYABLE:
        return f"it is {manifest.outcome}: {manifest.reason}"
    if manifest.code.commit is None:
        return f"no commit holds its code ({manifest.code.unknown})"
    if manifest.code.dirty:
        return f"it ran from a work tree with uncommitted changes ({manifest.code.unknown})"
    return ""


def inputs_of(manifest: RunManifest) -> dict[str, tuple[str, str | None]]:
    """Tables that a replay takes as they were: ``layer.table`` to metadata file and snapshot."""
    made = made_by(manifest)
    named = ((item.table.removeprefix(f"{manifest.target}."), item) for item in manifest.inputs)
    found = {name: (item.metadata_location, item.snapshot_id) for name, item in named if name not in made}
    for node in manifest.nodes:
        if node.table and node.metadata_location and not _is_made(node):
            found[node.table] = (node.metadata_location, node.candidate_snapshot)
    return found


def made_by(manifest: RunManifest) -> dict[str, Node]:
    """Tables that a replay builds, ``layer.table`` to what the run wrote down about them."""
    return {node.table: node for node in manifest.nodes if node.table and _is_made(node)}


def is_history(unique_id: str) -> bool:
    """Whether a node's table holds what no input does: a dbt snapshot."""
    return unique_id.startswith("snapshot.")


def kept_by(manifest: RunManifest) -> list[str]:
    """What a replay does not build although the run did."""
    return [
        f"{node.table}: the history of a snapshot, taken as the run left it"
        for node in manifest.nodes
        if node.metadata_location and is_history(node.unique_id)
    ]


def selection_of(manifest: RunManifest, described: Mapping[str, Any]) -> list[str]:
    """Selectors of the nodes to build: those that made a table, and the views that they may read.

    Args:
        manifest: the run's.
        described: dbt's manifest of the run, which knows where a node was: a bare name may be that of a folder, too.
    """
    return sorted(
        _selector(node.unique_id, described["nodes"].get(node.unique_id) or {})
        for node in manifest.nodes
        if _is_made(node) or (node.table is None and node.status is Status.SUCCESS)
    )


def _selector(unique_id: str, described: Mapping[str, Any]) -> str:
    fqn, path = ".".join(described.get("fqn") or []), str(described.get("original_file_path", ""))
    if not (fqn and path) or re.search(r"[\s,]", fqn + path):  # dbt would take it for several selectors
        return ".".join(unique_id.split(".")[2:])
    return f"fqn:{fqn},path:{path}"


def _is_made(node: Node) -> bool:
    """Whether a replay builds the table; inputs are taken as they were."""
    is_input = is_history(node.unique_id) or TableName.parse(node.table or "").layer in _INPUT_LAYERS
    return not is_input and node.metadata_location is not None
