"""The query of a node as dbt renders it, apart from any command of dbt."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

from slipway.environments.profiles import ADAPTER

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

    from slipway.dbt.nodes import DbtManifest


def compiled(manifest: DbtManifest, unique_id: str) -> str:
    """A node's query, rendered anew by the adapter that is open; dbt's manifest keeps what it has."""
    from dbt.adapters.factory import FACTORY
    from dbt.compilation import Compiler

    node: Any = deepcopy(manifest.nodes[unique_id])
    node.compiled, node.compiled_code, node.extra_ctes, node.extra_ctes_injected = False, None, [], False
    config: Any = FACTORY.adapters[ADAPTER].config  # type: ignore[attr-defined]
    done = Compiler(config).compile_node(node, cast("Manifest", manifest), write=False)
    return str(done.compiled_code)
