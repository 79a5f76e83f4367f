"""Tables under a new name: what a model's ``was`` says, and how the table is taken over as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from slipway.dbt.keys.node_key import definition_key, node_keys
from slipway.dbt.nodes import DbtManifest, DbtNode
from slipway.errors import ConfigError
from slipway.names import TableName
from slipway.records.node_results import Definition

_TABLES = ("model", "seed", "snapshot")

Renamed = Mapping[TableName, TableName]
"""Tables that a project has under a new name, to the name that the catalog has them under."""


class _With:
    """dbt's manifest with one node more; the manifest itself is shared by threads."""

    def __init__(self, manifest: DbtManifest, unique_id: str, node: DbtNode) -> None:
        self._manifest, self.nodes = manifest, {**manifest.nodes, unique_id: node}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manifest, name)


def was(node: DbtNode) -> TableName | None:
    """The table that a node continues under another name, ``layer.table`` or a table of its own layer; None without.

    Raises:
        ConfigError: it is no name.
    """
    given = node.config.get("was") if node.resource_type in _TABLES else None
    if given is None:
        return None
    layer, _, name = str(given).rpartition(".")
    if not name or not isinstance(given, str):
        raise ConfigError(f"{node.name}: was is {given!r}", "it names no table", "Write table or layer.table")
    return TableName(layer or node.schema, name)


def rename(manifest: DbtManifest | None, locations: dict[TableName, str]) -> dict[TableName, TableName]:
    """Tables that a project has under a new name, to the name that the catalog has them under.

    Args:
        manifest: dbt's, None when the project is not known.
        locations: what the catalog names; the new names are added, with what the old ones show.
    """
    found: dict[TableName, TableName] = {}
    for node in manifest.nodes.values() if manifest else ():
        new = TableName(node.schema, node.alias)
        if (old := was(node)) and old in locations and new not in locations:
            found[new] = old
    locations |= {new: locations[old] for new, old in found.items()}
    return found


def former_name(manifest: DbtManifest | None, table: TableName) -> TableName | None:
    """The name that a table had before, as its model says."""
    nodes = manifest.nodes.values() if manifest else ()
    return next(
        (old for node in nodes if (node.schema, node.alias) == table and (old := was(node))),
        None,
    )


def rename_problems(nodes: Sequence[DbtNode]) -> Iterator[str]:
    """What is wrong with ``was`` in a project."""
    makers = {(node.schema, node.alias): node for node in nodes}
    heirs: dict[TableName, Any] = {}
    for node in nodes:
        if (old := was(node)) is None:
            continue
        name = str(old)
        if old in makers:
            yield f"{node.name} has was: {name}, and {makers[old].name} makes {name}: remove one of them"
        if old in heirs:
            yield f"{node.name} and {heirs[old].name} both have was: {name}: only one of them can continue the table"
        heirs[old] = node


def former_keys(
    manifest: DbtManifest,
    unique_id: str,
    renamed: Renamed,
    inputs: Mapping[str, str],
    variables: Mapping[str, Any],
) -> set[str]:
    """Node keys that a renamed node would have under its former name: by another file name, alias or layer.

    Args:
        manifest: dbt's manifest.
        unique_id: the node.
        renamed: as ``rename`` returns it.
        inputs: what it reads, as for ``node_key``.
        variables: of dbt.
    """
    before = {str(new): str(old) for new, old in renamed.items()}
    read = {before.get(table, table): content for table, content in inputs.items()}
    return {
        key
        for twin, called in _formerly(manifest, unique_id, renamed)
        for key in node_keys(twin, called, read, variables)
    }


def made_under_new_name(
    manifest: DbtManifest,
    node: DbtNode,
    renamed: Renamed,
    key: str,
    known: Sequence[Definition],
    variables: Mapping[str, Any],
) -> tuple[Definition, ...]:
    """What made the rows of a table; of a renamed one, code that differs only in the name is the present code.

    Args:
        manifest: dbt's manifest.
        node: the node.
        renamed: as ``rename`` returns it.
        key: its definition key.
        known: what the table says.
        variables: of dbt.
    """
    if (node.schema, node.alias) not in renamed:
        return tuple(known)
    same = {
        definition_key(twin, called, variables)
        for twin, called in _formerly(manifest, node.unique_id, renamed)
    }
    return tuple(one.model_copy(update={"key": key}) if one.key in same else one for one in known)


def _formerly(manifest: DbtManifest, unique_id: str, renamed: Renamed) -> Iterator[tuple[Any, str]]:
    """Manifests in which a node has its former name, with its unique id there."""
    node = manifest.nodes[unique_id]
    layer, name = renamed[TableName(node.schema, node.alias)]
    ids = dict.fromkeys((unique_id, f"{unique_id.rpartition('.')[0]}.{name}"))
    aliases = dict.fromkeys((node.config.get("alias"), None, name))
    for called, alias, schema in product(ids, aliases, dict.fromkeys((node.config.get("schema"), layer))):
        twin: Any = copy.copy(node)
        twin.config = twin.config.replace(alias=alias, schema=schema)
        yield _With(manifest, called, twin), called
