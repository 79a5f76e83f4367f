"""Who has to do with a table: what is made from it, who reads that, and who owns it. Source: dbt's schema of manifest.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from slipway.alerts.causes import Affected
from slipway.contracts.model import Contract
from slipway.releases.rollback_rules import affected as exposures_of

_BUILT = ("model", "seed", "snapshot")


class Lineage:
    """What dbt's manifest and the contracts say of tables and of who owns them.

    Args:
        manifest: dbt's manifest as JSON; empty where there is none yet.
        contracts: of the project.
    """

    def __init__(self, manifest: Mapping[str, Any], contracts: Iterable[Contract] = ()) -> None:
        self._manifest = manifest
        self._nodes: dict[str, Mapping[str, Any]] = {
            **manifest.get("nodes", {}),
            **manifest.get("sources", {}),
        }
        self._children: dict[str, list[str]] = {}
        self._of_tables: dict[str, list[Mapping[str, Any]]] = {}
        for name, node in self._nodes.items():
            self._of_tables.setdefault(table_of(node), []).append(node)
            for parent in (node.get("depends_on") or {}).get("nodes") or ():
                self._children.setdefault(parent, []).append(name)
        self._contracts = {
            table.physical_name or contract.id: contract
            for contract in contracts
            for table in contract.tables
        }

    @property
    def tables(self) -> dict[str, str]:
        """Unique ids of dbt's nodes to their tables."""
        return {name: table for name, node in self._nodes.items() if (table := table_of(node))}

    def affected(self, table: str) -> Affected:
        """A table with all that is made from it, the exposures that read these tables, and all owners, by name."""
        if not table:
            return Affected()
        nodes = self._with_children(name for name, node in self._nodes.items() if table_of(node) == table)
        built = {table_of(self._nodes[name]) for name in nodes}
        tables = sorted({table, *built} - {""})
        exposures = exposures_of(self._manifest, tables)
        owners = {owner for name in nodes for owner in self._owners(self._nodes[name])}
        owners |= {one.owner for one in exposures} | {owner for name in tables for owner in self._team(name)}
        named = [f"{one.kind} {one.name}" + (f" of {one.owner}" if one.owner else "") for one in exposures]
        return Affected(tables=tables, exposures=named, owners=sorted(owners - {""}))

    def owners(self, table: str) -> list[str]:
        """Who owns a table itself, by name: as its node, its group and its contract say."""
        nodes = self._of_tables.get(table, ())
        return sorted({*(owner for node in nodes for owner in self._owners(node)), *self._team(table)} - {""})

    def _with_children(self, names: Iterable[str]) -> list[str]:
        found, waiting = [], list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.append(name)
                waiting += self._children.get(name, [])
        return found

    def _owners(self, node: Mapping[str, Any]) -> Iterable[str]:
        config = node.get("config") or {}
        for meta in (node.get("meta"), config.get("meta")):
            owner = (meta or {}).get("owner")
            yield from map(str, owner if isinstance(owner, list) else [owner] if owner else [])
        group = node.get("group") or config.get("group")
        for one in self._manifest.get("groups", {}).values():
            if group and one.get("name") == group:
                owner = one.get("owner") or {}
                yield from (str(owner[key]) for key in ("name", "email") if owner.get(key))
                yield str(group)

    def _team(self, table: str) -> Iterable[str]:
        for name in (table, table.rpartition(".")[2]):
            if contract := self._contracts.get(name):
                yield from (member.username for member in contract.team)


def table_of(node: Mapping[str, Any]) -> str:
    """``schema.name`` of what becomes a table; a feed is called like the raw table that its files go to."""
    if node.get("resource_type") in _BUILT:
        return f"{node['schema']}.{node.get('alias') or node['name']}"
    return ""
