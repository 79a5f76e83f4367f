"""Names of a project's nodes, all looked at before anything is landed or built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.adapters.dbt.renames import rename_problems
from slipway.domain.environment import Environment
from slipway.domain.errors import ConfigError
from slipway.domain.names import Kind, nearest, shown, twins, why_not, why_not_together

_TABLES = ("model", "seed", "snapshot")
_LOWER_CASE = ("glue",)
"""Kinds of catalogs that keep names in lower case."""


def check_names(manifest: Any, environment: Environment) -> None:
    """Refuse a project in which a node's table, layer, database or declared column cannot have its name.

    Args:
        manifest: dbt's.
        environment: where the tables go; a scratch environment has the rules of the target that it is of.

    Raises:
        ConfigError: one message for all of them, each with the reason and the nearest name that is allowed.
    """
    lower_case = environment.catalog_properties.get("type") in _LOWER_CASE
    nodes = [node for node in manifest.nodes.values() if _has_table(node)]
    found = [
        problem for node in nodes for problem in _problems(node, environment.name, lower_case=lower_case)
    ]
    found += [
        f"{other} and {name} differ only in upper and lower case, which DuckDB does not tell apart: give one of them another alias"
        for other, name in twins(sorted({f"{node.schema}.{node.alias}" for node in nodes}))
    ]
    found += rename_problems(nodes)
    if found:
        count = "1 name" if len(found) == 1 else f"{len(found)} names"
        raise ConfigError(f"{count} of the project cannot be used", "; ".join(sorted(found)))


def tables_of(manifest: Any) -> set[str]:
    """``layer.table`` of every node that makes a table.

    Args:
        manifest: dbt's.
    """
    return {f"{node.schema}.{node.alias}" for node in manifest.nodes.values() if _has_table(node)}


def _has_table(node: Any) -> bool:
    return node.resource_type in _TABLES and node.config.materialized != "ephemeral"


def _problems(node: Any, target: str, *, lower_case: bool) -> Iterator[str]:
    where = f"{node.resource_type} {shown(node.name)} ({shown(node.original_file_path)})"
    if node.database != target:
        yield (
            f"{where} has database {shown(str(node.database))}: tables of a run go to the database of its target, {target};"
            " remove the database from its configuration"
        )
    both_allowed = True
    for kind, key, name in ((Kind.LAYER, "schema", node.schema), (Kind.TABLE, "alias", node.alias)):
        if why := why_not(kind, name, lower_case=lower_case):
            both_allowed = False
            yield (
                f"{where} has the {kind} name {shown(name)}: {why}; call it {nearest(kind, name, lower_case=lower_case)}"
                f" (config {key})"
            )
    if both_allowed and (why := why_not_together(node.schema, node.alias)):
        yield f"{where} has the name {node.schema}.{node.alias}: {why}; give it a shorter alias"
    yield from _column_problems(node, where)


def _column_problems(node: Any, where: str) -> Iterator[str]:
    contract = getattr(node.config, "contract", None)
    if not ((contract and contract.enforced) or node.config.get("slipway_contract")):
        return
    declared = [column.name for column in node.columns.values()]
    for name in declared:
        if why := why_not(Kind.COLUMN, name):
            yield f"{where} declares the column {shown(name)}: {why}; call it {nearest(Kind.COLUMN, name)}"
    for other, name in twins(declared):
        yield f"{where} declares the columns {other} and {name}, which are one name to DuckDB: give one of them another name"
