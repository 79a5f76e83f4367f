"""Models that are built anew from everything, because their strategy cannot carry what changed in an input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway.adapters.dbt.inputs import identifier_of
from slipway.adapters.dbt.node_key import manifest_node
from slipway.adapters.dbt.session import Session
from slipway.adapters.dbt.strategy import merge_keys_of, strategy_of
from slipway.domain.errors import ConfigError, SlipwayError


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
            "read the input without rows_added or partitions_changed, or allow full_refresh",
        )
    if keys := merge_keys_of(node):
        raise ConfigError(
            what,
            f"{reason}, and with {', '.join(keys)} a table that is built anew may be another",
            f"decide, and run: slipway run --select {node.name} --full-refresh",
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
