"""Tables and columns that have another name on the other side: what models say with ``was``, and tables that kept their files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_BUILT = ("model", "seed", "snapshot")


def former_tables(dbt_manifest: Mapping[str, Any]) -> dict[str, str]:
    """``layer.table`` to the name that it had before, as ``was`` of its model says."""
    found = {}
    for node in dbt_manifest["nodes"].values():
        given = (node.get("config") or {}).get("was") if node["resource_type"] in _BUILT else None
        if isinstance(given, str) and given:
            layer, _, name = given.rpartition(".")
            found[f"{node['schema']}.{node['alias']}"] = f"{layer or node['schema']}.{name}"
    return found


def former_columns_of(dbt_manifest: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """``layer.table`` to its columns that had another name before, with that name."""
    return {
        f"{node['schema']}.{node['alias']}": former_columns(node.get("columns") or {})
        for node in dbt_manifest["nodes"].values()
        if node["resource_type"] in _BUILT
    }


def former_columns(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Columns of a model to the names that they had before, as ``was`` in their ``meta`` says.

    Args:
        columns: of a node in dbt's manifest.
    """
    found = {}
    for name, described in columns.items():
        meta = {**(described.get("meta") or {}), **((described.get("config") or {}).get("meta") or {})}
        if given := meta.get("was"):
            found[name] = str(given)
    return found


def renamed_tables(
    base: Mapping[str, str], head: Mapping[str, str], former: Mapping[str, str]
) -> dict[str, tuple[str, bool]]:
    """Tables that only head has under this name, to the name in base, and whether a model says so.

    Args:
        base: ``layer.table`` to its metadata file.
        head: the same.
        former: what models say: names to names before. It counts in both directions, as base may be the newer side.
    """
    gone, new = base.keys() - head.keys(), head.keys() - base.keys()
    found: dict[str, tuple[str, bool]] = {}
    for name in sorted(new):
        said = [old for old in sorted(gone) if former.get(name) == old or former.get(old) == name]
        folder = _folder(head[name])
        same = [old for old in sorted(gone) if folder and _folder(base[old]) == folder]
        if said or same:
            found[name] = ((said or same)[0], bool(said))
            gone.discard(found[name][0])
    return found


def renamed_columns(
    base: Collection[str], head: Collection[str], former: Mapping[str, str]
) -> dict[str, str]:
    """Columns of base to their names in head, for those that have another name there.

    Args:
        base: columns of base.
        head: columns of head.
        former: columns to their names before; it counts in both directions.
    """
    return {
        then: now
        for pair in former.items()
        for now, then in (pair, pair[::-1])
        if then in base and now in head and now not in base and then not in head
    }


def _folder(metadata_location: str) -> str:
    return metadata_location.rpartition("/metadata/")[0]
