"""Raw models that take landed files: which they are, and what they show of them."""

from __future__ import annotations

from typing import Any

from slipway.dbt.keys.node_key import tables_read
from slipway.errors import ConfigError, NotFoundError
from slipway.landing.land import Landing
from slipway.names import TableName
from slipway.runs.intake import Intake


def show_landing(intake: Intake, manifest: Any, database: str, identifier: TableName) -> None:
    """Make a feed readable under its dbt name.

    Raises:
        NotFoundError: no contract describes the feed.
        ConfigError: a model appends it to a table of another name, whose files nobody would remember.
    """
    feed, feeds = identifier[1], intake.landing.feeds
    if feed not in feeds:
        known = ", ".join(feeds) or "none"
        raise NotFoundError(f"No feed {feed}", f"contracts/ describes {known}", "Add its contract")
    _check_readers(manifest, identifier)
    intake.show(database, feed)


def feed_of(landing: Landing, manifest: Any, node: Any, identifier: TableName) -> str | None:
    """The feed that a model takes into its raw table, None for any other model."""
    if identifier[0] != "raw" or identifier[1] not in landing.feeds:
        return None
    return identifier[1] if ("landing", identifier[1]) in _sources(manifest, node) else None


def _check_readers(manifest: Any, source: TableName) -> None:
    """Refuse models that would take what no later run shows them again."""
    schema, feed = source
    raw = TableName("raw", feed)
    nodes = manifest.nodes.values() if manifest else ()
    once = any((node.schema, node.alias) == raw and _is_appended(node) for node in nodes if _is_built(node))
    for node in nodes:
        if not _is_built(node) or (node.schema, node.alias) == raw:
            continue
        if (once or _is_appended(node)) and source in _sources(manifest, node):
            raise ConfigError(
                f"{node.schema}.{node.alias} reads {schema}.{feed}",
                f"it shows a file only until raw.{feed} has taken it, so that later runs would not find it",
                f"Read raw.{feed} instead; the model that reads {schema}.{feed} is called {feed}, in schema raw",
            )


def _is_built(node: Any) -> bool:
    return node.resource_type in ("model", "snapshot") and node.config.materialized not in (
        "ephemeral",
        "view",
    )


def _is_appended(node: Any) -> bool:
    return str(node.config.materialized) in ("incremental", "snapshot")


def _sources(manifest: Any, node: Any) -> list[TableName]:
    read = [manifest.sources.get(name) for name in tables_read(manifest, node.unique_id)]
    return [TableName(source.schema, source.identifier) for source in read if source is not None]


def is_replaced(manifest: Any, raw: TableName) -> bool:
    """Whether this run writes the raw table anew, so that it has to read again what it holds already."""
    from dbt.flags import get_flags

    for node in manifest.nodes.values() if manifest else ():
        if node.resource_type == "model" and (node.schema, node.alias) == raw:
            own = node.config.full_refresh
            asked = getattr(get_flags(), "FULL_REFRESH", False) if own is None else own
            return bool(asked) or node.config.materialized != "incremental"
    return False
