"""What a run would build again: nodes whose key is not the one that their published tables state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.adapters.dbt.definitions import fix_of, keep_of, may_be_stale
from slipway.adapters.dbt.inputs import identifier_of
from slipway.adapters.dbt.invocation import parse
from slipway.adapters.dbt.node_key import definition_key, node_key
from slipway.adapters.dbt.state import TableState, read_state
from slipway.adapters.iceberg.tables import Tables
from slipway.adapters.profile import Profile
from slipway.domain.definitions import others, why_stale
from slipway.domain.environment import Environment

_AT_ONCE = 16  # metadata files that are read


@dataclass(frozen=True)
class Changed:
    """What differs from what is published.

    Args:
        selectors: of the nodes that a run would build again.
        stale: tables with rows that a run would not make again, and what the release needs.
        kept: such tables whose rows are declared to stay, with the reason.
    """

    selectors: list[str] = field(default_factory=list)
    stale: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)


def changed(project: Path, environment: Environment, shown: Mapping[str, str]) -> Changed:
    """The nodes with another key than their table has, which dbt's own ``state:modified`` does not see all.

    It is asked with the inputs that a table was built from, so code, configuration, variables and engine decide.

    Args:
        project: folder of dbt_project.yml.
        environment: whose tables they are.
        shown: ``layer.table`` to metadata file.
    """
    manifest = parse(project, environment.name)
    if manifest is None:
        return Changed()
    tables, variables = Tables(environment), Profile(project).vars
    built = [node for node in manifest.nodes.values() if _name(manifest, node) in shown]

    def state(node: Any) -> TableState:
        identifier = identifier_of(manifest, node.unique_id)
        return read_state(tables.load(identifier, shown[".".join(identifier)]))

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        states = list(pool.map(state, built))
    found = Changed()
    for node, known in zip(built, states, strict=True):
        stale = _stale(manifest, node, known, variables)
        kept = keep_of(node) if stale else ""
        if stale:
            fix = f"kept: {kept}" if kept else fix_of(node, environment.name)
            (found.kept if kept else found.stale)[_name(manifest, node)] = f"{stale}; {fix}"
        if (stale and not kept) or node_key(
            manifest, node.unique_id, known.inputs, variables
        ) != known.node_key:
            found.selectors.append(_selector(node))
    return found


def _stale(manifest: Any, node: Any, known: TableState, variables: Mapping[str, Any]) -> str:
    if not may_be_stale(node):
        return ""
    return why_stale(others(known.made_by, definition_key(manifest, node.unique_id, variables)))


def _selector(node: Any) -> str:
    if re.search(r"[\s,]", "".join(node.fqn)):
        return ".".join(node.unique_id.split(".")[2:])
    return f"fqn:{'.'.join(node.fqn)}"


def _name(manifest: Any, node: Any) -> str:
    if node.resource_type not in ("model", "seed"):  # histories are taken as they are, whatever their code
        return ""
    return ".".join(identifier_of(manifest, node.unique_id))
