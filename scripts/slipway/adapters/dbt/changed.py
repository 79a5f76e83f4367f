"""What a run would build again: nodes whose key is not the one that their published tables state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from slipway.adapters.dbt.inputs import identifier_of
from slipway.adapters.dbt.invocation import parse
from slipway.adapters.dbt.node_key import node_key
from slipway.adapters.dbt.state import TableState, read_state
from slipway.adapters.iceberg.tables import Tables
from slipway.adapters.profile import Profile
from slipway.domain.environment import Environment

_AT_ONCE = 16  # metadata files that are read


def changed(project: Path, environment: Environment, shown: Mapping[str, str]) -> list[str]:
    """Selectors of the nodes with another key than their table has, which dbt's own ``state:modified`` does not see all.

    It is asked with the inputs that a table was built from, so code, configuration, variables and engine decide.

    Args:
        project: folder of dbt_project.yml.
        environment: whose tables they are.
        shown: ``layer.table`` to metadata file.
    """
    manifest = parse(project, environment.name)
    if manifest is None:
        return []
    tables, variables = Tables(environment), Profile(project).vars
    built = [node for node in manifest.nodes.values() if _name(manifest, node) in shown]

    def state(node: Any) -> TableState:
        identifier = identifier_of(manifest, node.unique_id)
        return read_state(tables.load(identifier, shown[".".join(identifier)]))

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        states = list(pool.map(state, built))
    return [
        ".".join(node.unique_id.split(".")[2:])
        if re.search(r"[\s,]", "".join(node.fqn))
        else f"fqn:{'.'.join(node.fqn)}"
        for node, known in zip(built, states, strict=True)
        if node_key(manifest, node.unique_id, known.inputs, variables) != known.node_key
    ]


def _name(manifest: Any, node: Any) -> str:
    if node.resource_type not in ("model", "seed"):  # histories are taken as they are, whatever their code
        return ""
    return ".".join(identifier_of(manifest, node.unique_id))
