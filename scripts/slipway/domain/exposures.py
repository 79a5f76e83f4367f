"""Exposures: who reads a table, as dbt's manifest says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_NO_TABLE = ("ephemeral", "view")


@dataclass(frozen=True)
class Exposure:
    """Something that reads published tables: a dashboard, a notebook, an application."""

    name: str
    kind: str
    owner: str
    tables: tuple[str, ...]


def affected(manifest: Mapping[str, Any], tables: Collection[str]) -> list[Exposure]:
    """Exposures that read one of the tables, by themselves or through models that are no tables.

    Args:
        manifest: dbt's manifest.json.
        tables: ``schema.name`` of what changes.

    Returns:
        By name; ``tables`` of each are those that change.
    """
    nodes: Mapping[str, Any] = manifest.get("nodes", {})
    found = []
    for exposure in manifest.get("exposures", {}).values():
        read = set(_tables(nodes, exposure["depends_on"]["nodes"]))
        if hit := sorted(read & set(tables)):
            owner = exposure.get("owner") or {}
            told = str(owner.get("name") or owner.get("email") or "")
            found.append(Exposure(exposure["name"], exposure["type"], told, tuple(hit)))
    return sorted(found, key=lambda exposure: exposure.name)


def _tables(nodes: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for node in (nodes[name] for name in names if name in nodes):
        if node["config"].get("materialized") in _NO_TABLE:
            yield from _tables(nodes, node["depends_on"]["nodes"])
        else:
            yield f"{node['schema']}.{node.get('alias') or node['name']}"
