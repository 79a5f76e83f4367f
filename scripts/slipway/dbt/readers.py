"""Who reads what a node makes, as dbt's manifest has it: models, snapshots and exposures, also through semantic models and metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from slipway.dbt.nodes import is_inlined, table_of
from slipway.names import SEMANTIC_LAYER

_BUILT = ("model", "snapshot")
_NAMED = 4


def definitions(manifest: Any) -> dict[str, Any]:
    """Semantic models, metrics and saved queries of dbt's manifest by their unique ids."""
    return {name: one for part in SEMANTIC_LAYER for name, one in getattr(manifest, part).items()}


def readers_of_nodes(manifest: Any) -> dict[str, list[str]]:
    """Unique ids of nodes, exposures and definitions by the unique id of what they depend on."""
    found: dict[str, list[str]] = {}
    for one in (
        *manifest.nodes.values(),
        *manifest.exposures.values(),
        *definitions(manifest).values(),
    ):
        for name in one.depends_on_nodes:
            found.setdefault(name, []).append(one.unique_id)
    return found


def tables_read(manifest: Any, names: Collection[str]) -> Iterator[str]:
    """Unique ids of the tables among some nodes, and of those that ephemeral models, views and definitions among them read."""
    defined = definitions(manifest)
    for name in names:
        node = manifest.nodes.get(name)
        if node is not None and not is_inlined(node):
            yield name
        elif one := node or defined.get(name):
            yield from tables_read(manifest, one.depends_on_nodes)


def deprecated_models(manifest: Any, now: datetime) -> list[tuple[Any, str]]:
    """Models whose ``deprecation_date`` has passed, each with a sentence that names its readers and what to do.

    Args:
        manifest: dbt's.
        now: with a time zone.
    """
    readers = readers_of_nodes(manifest)
    models = [node for node in manifest.nodes.values() if _deprecated_since(node) is not None]
    found = []
    for node in sorted(models, key=lambda one: str(one.unique_id)):
        since = _deprecated_since(node)
        if since is None or since > now:
            continue
        version = f" v{node.version}" if node.version is not None else ""
        what = f"Model {node.name}{version} is deprecated since {since:%Y-%m-%d}"
        names = _names(manifest, readers.get(node.unique_id, ()))
        latest = getattr(node, "latest_version", None)
        newer = f"v{latest}" if latest is not None and latest != node.version else "what replaces it"
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            said = f"{what}, and still read by {', '.join(names[:_NAMED])}{more}. Refer to {newer} there."
        else:
            said = (
                f"{what}, and nothing in the project reads it. Delete it when nobody else reads {table_of(node)}, and take the table away with"
                f" slipway retire {table_of(node)}."
            )
        found.append((node, said))
    return found


def next_deprecation(manifest: Any, now: datetime) -> datetime | None:
    """When the next deprecation date of a model passes; None where none is set that lies ahead."""
    dates = filter(None, map(_deprecated_since, manifest.nodes.values()))
    return min((one for one in dates if one > now), default=None)


def _deprecated_since(node: Any) -> datetime | None:
    given: datetime | None = getattr(node, "deprecation_date", None)
    return given if given is None or given.tzinfo else given.replace(tzinfo=UTC)


def _names(manifest: Any, unique_ids: Sequence[str]) -> list[str]:
    """What readers are called, models and snapshots first."""
    built = [manifest.nodes[name] for name in unique_ids if name in manifest.nodes]
    others = {**manifest.exposures, **definitions(manifest)}
    rest = [others[name] for name in unique_ids if name in others]
    return [
        *sorted(str(one.alias) for one in built if one.resource_type in _BUILT),
        *sorted(f"{str(one.resource_type).replace('_', ' ')} {one.name}" for one in rest),
    ]
