"""Which models cut a slice out of the inputs, by which key they take a sample, and what of the inputs is read whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from slipway.dbt.keys.jinja_code import macros_of
from slipway.dbt.nodes import DbtManifest, DbtNode, DbtSource, find, is_inlined, node_of, table_of
from slipway.environments.environment import requested_slice
from slipway.environments.sample_shares import requested_sample
from slipway.errors import ConfigError
from slipway.records.node_results import Node
from slipway.records.run_manifest import Sample, SampledInput
from slipway.runs.pinned_tables import INPUT_LAYERS, LANDING

_BOUNDARY_MACRO = "slice_predicate"
_KEY = "sample_key"


def sample_key(node: DbtNode) -> tuple[str, ...]:
    """The columns by which a model takes samples, none where it takes its inputs whole."""
    given = node.config.get(_KEY) or ()
    return (given,) if isinstance(given, str) else tuple(given)


def check_sample(manifest: DbtManifest, variables: Mapping[str, object]) -> None:
    """Refuse a sample that no model takes: it would be the whole input under the name of a part.

    Args:
        manifest: dbt's.
        variables: dbt's vars as the run has them.

    Raises:
        ConfigError: no model declares a key, or one declares a key without cutting slices.
    """
    if not (share := requested_sample(variables)):
        return
    keyed = [node for node in manifest.nodes.values() if node.resource_type == "model" and sample_key(node)]
    without = sorted(node.name for node in keyed if not _cuts(manifest, node))
    if without:
        raise ConfigError(
            f"The {_KEY} of {', '.join(without)} has no effect",
            "its query does not call slice_predicate(), which is where a sample is taken",
            f"Add the condition where {{{{ slice_predicate() }}}}, or remove {_KEY}",
        )
    if not keyed:
        raise ConfigError(
            f"There is no key for a sample of {share}",
            f"no model declares {_KEY}, so every table would be taken whole",
            f"Declare it, for example {_KEY}: account_id, in the config of a model whose query calls slice_predicate()",
        )


def empty_slice(variables: Mapping[str, object], nodes: Mapping[str, Node], manifest: DbtManifest) -> str:
    """Why a slice is refused that no input row belongs to; empty otherwise.

    Args:
        variables: dbt's vars as the run has them.
        nodes: of the run, by unique id.
        manifest: dbt's manifest.
    """
    asked, share = requested_slice({}, variables), requested_sample(variables)
    if not asked:
        return ""
    built = _first_tables(nodes, manifest, sampled=bool(share))
    if not built or any(node.rows_after for node in built):
        return ""
    tables = ", ".join(sorted(node.table or node.unique_id for node in built))
    fix = "choose a larger share, or other dates or values" if share else "choose other dates or values"
    return f"the slice {json.dumps(asked, default=str)} holds no row: {tables} would be empty; {fix}"


def sample_taken(
    variables: Mapping[str, object], nodes: Mapping[str, Node], manifest: DbtManifest
) -> Sample | None:
    """How a run took a sample of each of its inputs, None for a run without a sample; arguments as of ``empty_slice``."""
    if not (share := requested_sample(variables)):
        return None
    found: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for node in _built(nodes, manifest):
        takes = [
            (reader.name, str(table_of(table)), _key_of(manifest, reader, table))
            for reader in _with_inlined(manifest, node)
            for read in reader.depends_on_nodes
            if (table := find(manifest, read)) is not None and _is_input(table)
        ]
        # a model often names the raw table again that a sample of is inlined into it, for rows_added
        sampled = {table for _, table, key in takes if key}
        for reader_name, table_name, key in takes:
            if key or table_name not in sampled:
                found.setdefault((table_name, key), set()).add(reader_name)
    return Sample(
        share=share,
        rows=sum(node.rows_after or 0 for node in _first_tables(nodes, manifest, sampled=True)),
        inputs=[
            SampledInput(table=table, key=list(key), models=sorted(models))
            for (table, key), models in sorted(found.items())
        ],
    )


def _key_of(manifest: DbtManifest, reader: DbtNode, table: DbtNode | DbtSource) -> tuple[str, ...]:
    """The key by which a model takes rows of an input, empty where it takes all of them, as of every seed and dbt snapshot."""
    is_cut = table.resource_type in ("model", "source") and _cuts(manifest, reader)
    return sample_key(reader) if is_cut else ()


def _is_input(node: DbtNode | DbtSource) -> bool:
    """Whether a run of a slice takes what it reads there as it is: raw tables, sources, seeds, and the history of dbt snapshots."""
    if node.resource_type == "source":
        return node.schema != LANDING
    return node.resource_type in ("seed", "snapshot") or (
        node.resource_type == "model" and node.schema in INPUT_LAYERS
    )


def _built(nodes: Mapping[str, Node], manifest: DbtManifest) -> Iterator[DbtNode]:
    yield from (node_of(manifest, unique_id) for unique_id, node in nodes.items() if node.change.stages)


def _first_tables(nodes: Mapping[str, Node], manifest: DbtManifest, *, sampled: bool) -> list[Node]:
    """The tables that a run has built of models that cut slices, by themselves or through what is inlined into them."""
    return [
        nodes[node.unique_id]
        for node in _built(nodes, manifest)
        if any(
            _cuts(manifest, reader) and (sample_key(reader) or not sampled)
            for reader in _with_inlined(manifest, node)
        )
    ]


def _cuts(manifest: DbtManifest, node: DbtNode) -> bool:
    """Whether a model calls the macro that cuts a slice, also by macros of the project."""
    reached = macros_of(manifest, node.depends_on_macros)
    return any(name.rsplit(".", 1)[-1] == _BOUNDARY_MACRO for name, _ in reached)


def _with_inlined(manifest: DbtManifest, node: DbtNode) -> Iterator[DbtNode]:
    """A model, and those whose queries stand in its own."""
    yield node
    for dependency in node.depends_on_nodes:
        other = manifest.nodes.get(dependency)
        if other is not None and is_inlined(other):
            yield from _with_inlined(manifest, other)
