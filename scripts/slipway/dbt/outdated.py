"""What is built again: models whose strategy cannot carry what changed, and nodes whose key is another by now."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.dbt.configuration import merge_keys_of, strategy_of
from slipway.dbt.definitions import fix_of, keep_of, may_be_stale
from slipway.dbt.inputs import identifier_of
from slipway.dbt.invocation import parse
from slipway.dbt.keys.node_key import definition_key, manifest_node, node_key
from slipway.dbt.session import Session
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import ConfigError, SlipwayError
from slipway.iceberg.tables import Tables
from slipway.releases.table_state import TableState, others, read_state, why_stale


def check_rebuild(node: Any, reason: str) -> None:
    """Refuse to build a table from everything where that loses what it holds.

    Raises:
        ConfigError: ``full_refresh: false``, or what is stored depends on the order in which it came.
    """
    what = f"{node.name} cannot be brought up to date by {strategy_of(node)}"
    if node.config.full_refresh is False:
        raise ConfigError(
            what,
            f"{reason}, and full_refresh: false keeps its table from being built anew",
            "Read the input without rows_added or partitions_changed, or allow full_refresh",
        )
    if keys := merge_keys_of(node):
        raise ConfigError(
            what,
            f"{reason}, and with {', '.join(keys)} a table that is built anew may be another",
            f"Decide, and run: slipway run --select {node.name} --full-refresh",
        )


def begin_rebuild(session: Session, manifest: Any, unique_id: str) -> list[tuple[str, str | None]]:
    """Have a model compile as if it had no table, and return the ephemeral models that dbt put in front of its query."""
    session.rebuilt.add(identifier_of(manifest, unique_id))
    session.increments.pop(unique_id, None)
    return [(cte.id, cte.sql) for cte in manifest_node(manifest, unique_id).extra_ctes]


def with_ctes(sql: str, ctes: Sequence[tuple[str, str | None]]) -> str:
    """A query with the ephemeral models that it reads in front of it."""
    from dbt.artifacts.resources.v1.components import InjectedCTE
    from dbt.compilation import inject_ctes_into_sql

    given = [InjectedCTE(id=name, sql=text) for name, text in ctes if text]
    return inject_ctes_into_sql(sql, given)


def as_allowed(error: SlipwayError, node: Any) -> SlipwayError:
    """The error as it is, unless it advises ``--full-refresh`` to a model that ignores it."""
    if "--full-refresh" in error.fix and node.config.full_refresh is False:
        error.fix = f"{error.fix.rstrip('.')}, which full_refresh: false keeps from this model: take it out for that run"
    return error


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
        return read_state(tables.load(identifier, shown[str(identifier)]))

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
    return str(identifier_of(manifest, node.unique_id))
