"""Tables with rows that other code made than the present: found at the end of a run, or by comparing code with what is published."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from slipway.dbt.configuration import ON_CODE_CHANGE, keep_of, may_be_stale
from slipway.dbt.keys.node_key import definition_key, node_keys
from slipway.dbt.nodes import DbtManifest, DbtNode, find_node, table_of
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.node_results import Change, Node
from slipway.releases.table_state import TableState, others, read_state, why_stale
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.run_candidate import RunCandidate


def judged(
    manifest: DbtManifest,
    nodes: Iterable[Node],
    known: Collection[str],
    candidate: RunCandidate,
    pinned: PinnedTables,
    variables: Mapping[str, Any],
) -> list[Node]:
    """Nodes of a run, each with what made the rows of its table as the run leaves it.

    Args:
        manifest: dbt's.
        nodes: of the run, with those that it took over from another.
        known: unique ids of those that it came to itself.
        candidate: what it has staged.
        pinned: what was published.
        variables: of dbt.
    """
    found = []
    for noted in nodes:
        node = find_node(manifest, noted.unique_id)
        if node is None or noted.table is None or noted.change in (Change.PINNED, Change.NONE):
            found.append(noted)
            continue
        table = TableName.parse(noted.table)
        staged = candidate.staged.get(table)
        made_by = read_state(staged.table if staged else pinned.base(table)).made_by
        made: dict[str, object] = {"made_by": list(made_by)}
        if may_be_stale(node):
            key = noted.definition_key
            if noted.unique_id not in known:  # the code may have changed since the other run
                key = definition_key(manifest, noted.unique_id, variables)
            stale, kept = why_stale(others(made_by, key)), keep_of(node)
            fix = fix_of(node, pinned.places.inputs.environment.name)
            made |= {
                "definition_key": key,
                "stale": f"{stale}; {fix}" if stale and not kept else "",
                "kept": f"{stale}; kept: {kept}" if stale and kept else "",
            }
        found.append(noted.model_copy(update=made))
    return found


def fix_of(node: DbtNode, target: str) -> str:
    """What to do about a stale table, in words that go on from what is wrong with it."""
    keep = f"declare {ON_CODE_CHANGE}: {{keep: <the reason>}} in its config if they are to stay"
    if node.config.get("full_refresh") is False:
        return f"it is never rebuilt (full_refresh: false): {keep}"
    return f"rebuild it with slipway run --target {target} --full-refresh --select {node.name}+, or {keep}"


_AT_ONCE = 16  # metadata files that are read


@dataclass(frozen=True)
class Changed:
    """What differs from what is published.

    Args:
        selectors: of the nodes that a run would build again.
        stale: tables with rows that a run would not make again, and what the release needs.
        kept: such tables whose rows are declared to stay, with the reason.
        rebuilds: stale tables whose code is not what last ran, to the selectors of their models; only those that a full refresh may rebuild.
    """

    selectors: list[str] = field(default_factory=list)
    stale: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    rebuilds: dict[str, str] = field(default_factory=dict)


def changed(
    manifest: DbtManifest, tables: Tables, shown: Mapping[str, str], variables: Mapping[str, Any]
) -> Changed:
    """The nodes with another key than their table has, which dbt's own ``state:modified`` does not see all.

    It is asked with the inputs that a table was built from, so code, configuration, variables and engine decide.

    Args:
        manifest: dbt's.
        tables: of the environment.
        shown: ``layer.table`` to metadata file.
        variables: of dbt.
    """
    built = [node for node in manifest.nodes.values() if _name(node) in shown]

    def state(node: DbtNode) -> TableState:
        identifier = table_of(node)
        return read_state(tables.load(identifier, shown[str(identifier)]))

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        states = list(pool.map(state, built))
    found = Changed()
    for node, known in zip(built, states, strict=True):
        stale = _stale(manifest, node, known, variables)
        kept = keep_of(node) if stale else ""
        if stale:
            fix = f"kept: {kept}" if kept else fix_of(node, tables.environment.name)
            (found.kept if kept else found.stale)[_name(node)] = f"{stale}; {fix}"
            if not kept and _is_recoded(manifest, node, known, variables):
                found.rebuilds[_name(node)] = _selector(node)
        keys = node_keys(manifest, node.unique_id, known.inputs, variables)
        if (stale and not kept) or known.node_key not in keys:
            found.selectors.append(_selector(node))
    return found


def _stale(manifest: DbtManifest, node: DbtNode, known: TableState, variables: Mapping[str, Any]) -> str:
    if not may_be_stale(node):
        return ""
    return why_stale(others(known.made_by, definition_key(manifest, node.unique_id, variables)))


def _is_recoded(
    manifest: DbtManifest, node: DbtNode, known: TableState, variables: Mapping[str, Any]
) -> bool:
    """Whether a full refresh would build a table by other code than that which last ran."""
    may = node.config.get("full_refresh") is not False
    return may and known.definition.key != definition_key(manifest, node.unique_id, variables)


def _selector(node: DbtNode) -> str:
    if re.search(r"[\s,]", "".join(node.fqn)):
        return ".".join(node.unique_id.split(".")[2:])
    return f"fqn:{'.'.join(node.fqn)}"


def _name(node: DbtNode) -> str:
    if node.resource_type not in ("model", "seed"):  # histories are taken as they are, whatever their code
        return ""
    return str(table_of(node))
