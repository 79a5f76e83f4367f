"""Slices: a run of a part of the input, in a scratch environment. The condition itself is a macro, package/macros/slices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from slipway.errors import UsageError
from slipway.records.run_manifest import Change, Node

_BOUNDARY_MACRO = "slice_predicate"


def model_name(manifest: Any, table: tuple[str, str]) -> str:
    """The model that makes a table, by which it is selected; the table's own name when there is none."""
    nodes = manifest.nodes.values() if manifest else ()
    return next((str(node.name) for node in nodes if (node.schema, node.alias) == table), table[1])


def requested_slice(given: Mapping[str, Any], effective: Mapping[str, Any]) -> Any:
    """The slice of a run, None for the whole input.

    Args:
        given: variables of the command line.
        effective: the same over those of dbt_project.yml.

    Raises:
        UsageError: the command line asks for a slice of nothing, which must not mean everything.
    """
    if "slice" in given and not given["slice"]:
        raise UsageError(
            "The slice is empty", "it names no dimension", "Write slice: {from: 2011-08-01, to: 2011-08-08}"
        )
    return effective.get("slice") or None


def empty_slice(asked: Any, nodes: Mapping[str, Node], manifest: Any) -> str:
    """Why a slice is refused that no input row belongs to; empty otherwise.

    Args:
        asked: the slice, None for the whole input.
        nodes: of the run, by unique id.
        manifest: dbt's manifest.
    """
    if not asked:
        return ""
    built = [
        node
        for unique_id, node in nodes.items()
        if node.change is Change.BUILT and _BOUNDARY_MACRO in set(_macro_names(manifest, unique_id))
    ]
    if not built or any(node.rows_after for node in built):
        return ""
    tables = ", ".join(sorted(node.table or node.unique_id for node in built))
    return f"the slice {json.dumps(asked, default=str)} holds no row: {tables} would be empty; choose other dates or values"


def _macro_names(manifest: Any, unique_id: str) -> Iterator[str]:
    """Names of the macros that a node calls by itself or through ephemeral models."""
    from slipway.dbt.keys.node_key import manifest_node  # what a slice is, is asked before dbt is imported

    node = manifest_node(manifest, unique_id)
    if node is None or not hasattr(node, "depends_on"):
        return
    yield from (macro.rsplit(".", 1)[-1] for macro in node.depends_on.macros)
    for dependency in getattr(node.depends_on, "nodes", []):
        other = manifest_node(manifest, dependency)
        if other is not None and getattr(other.config, "materialized", "") in ("ephemeral", "view"):
            yield from _macro_names(manifest, dependency)
