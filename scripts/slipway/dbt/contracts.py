"""Contracts of nodes: what dbt enforces, and what is left to look at when a run is to be published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slipway.dbt.configuration import strategy_of
from slipway.dbt.inputs import identifier_of
from slipway.engines.duckdb.constraints import Contract, Held, check_unique
from slipway.engines.duckdb.views import Views
from slipway.errors import ConfigError
from slipway.iceberg.staged_table import StagedTable
from slipway.names import TableName


def contract_of(node: Any) -> Contract | None:
    """The enforced contract of a model: dbt's own, or ``slipway_contract`` where dbt cannot (Python)."""
    config = node.config
    dbt_contract = getattr(config, "contract", None)
    if not ((dbt_contract and dbt_contract.enforced) or config.get("slipway_contract")):
        return None
    not_null: list[str] = []
    unique: list[list[str]] = []
    checks: list[str] = []
    declared = [
        ([column.name], constraint) for column in node.columns.values() for constraint in column.constraints
    ]
    declared += [(list(constraint.columns), constraint) for constraint in getattr(node, "constraints", [])]
    for columns, constraint in declared:
        kind = str(getattr(constraint.type, "value", constraint.type))
        if kind in ("not_null", "primary_key"):
            not_null += columns
        if kind in ("unique", "primary_key"):
            unique.append(columns)
        elif kind == "check":
            checks.append(str(constraint.expression))
        elif kind in ("foreign_key", "custom"):
            raise ConfigError(
                f"{node.name}: constraint {kind}",
                "it would not be checked",
                "Use a relationships or a singular test",
            )
    return Contract({c.name: c.data_type for c in node.columns.values()}, not_null, unique, checks)


def check_batched(candidate: Mapping[TableName, StagedTable], views: Views, manifest: Any) -> None:
    """Look at the keys of staged ``microbatch`` models that were not looked at with a last batch.

    That is so when the last batch was there already, and after a ``dbt retry`` of others.

    Raises:
        ContractError: a key is there twice.
    """
    for node in manifest.nodes.values():
        if node.resource_type != "model" or node.config.materialized != "incremental":
            continue
        staged = candidate.get(identifier_of(manifest, node.unique_id))
        if staged is None or strategy_of(node) != "microbatch" or (contract := contract_of(node)) is None:
            continue
        held = Held.of(staged.table, full=False)
        if unknown := [columns for columns in contract.unique if not held.is_unique(columns)]:
            scan = views.scan(staged.table)
            cursor = views.cursor.cursor()
            check_unique(cursor, str(staged.identifier), replace(contract, unique=unknown), scan)
