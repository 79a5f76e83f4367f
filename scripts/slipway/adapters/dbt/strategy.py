"""Incremental configuration of a node, checked before anything of it is run."""

from __future__ import annotations

from typing import Any

from slipway.adapters.dbt.definitions import keep_of
from slipway.adapters.dbt.partial_groups import allowed_of
from slipway.adapters.iceberg.write.merge_clauses import MERGE_KEYS, listed
from slipway.domain.errors import ConfigError

STRATEGIES = ("append", "merge", "delete+insert", "insert_overwrite", "microbatch")
_PREDICATES = ("incremental_predicates", "predicates")
_TAKE_PREDICATES = ("merge", "delete+insert", "microbatch")


def check_incremental(node: Any) -> None:
    """Refuse a strategy that is not known, and keys that the strategy would ignore or cannot do without.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    config = node.config
    keep_of(node)
    allowed_of(node)
    keys = [key for key in _given(config) if key.startswith("merge_")]
    if "merge_returning_columns" in keys:
        raise ConfigError(
            f"{node.name}: merge_returning_columns", "nothing reads the rows it would return", "remove it"
        )
    unknown = sorted(set(keys) - set(MERGE_KEYS))
    if unknown:
        raise ConfigError(
            f"{node.name}: {', '.join(unknown)}", "no such key", f"use one of {', '.join(MERGE_KEYS)}"
        )
    keys += [key for key in _PREDICATES if config.get(key)]
    if config.materialized != "incremental":
        _refuse_keys(node, keys, f"a {config.materialized}")
        return
    strategy = strategy_of(node)
    if strategy not in STRATEGIES:
        raise ConfigError(
            f"{node.name}: incremental_strategy {strategy}", "unknown", f"use one of {', '.join(STRATEGIES)}"
        )
    if strategy != "merge":
        _refuse_keys(node, [key for key in keys if key in MERGE_KEYS], strategy)
    if strategy not in _TAKE_PREDICATES:
        _refuse_keys(node, [key for key in keys if key in _PREDICATES], strategy)
    _check_key(node, strategy)


def refuse_in_batches(node: Any) -> None:
    """Refuse the conditions of increments in a ``microbatch`` model, whose batches replace windows of time as a whole.

    Raises:
        ConfigError: the model is one.
    """
    if strategy_of(node) == "microbatch":
        raise ConfigError(
            f"{node.name}: rows_added and partitions_changed have no place in a microbatch model",
            "a batch replaces its window of time, and would lose the rows that they leave out",
            "remove the condition; dbt gives each batch its window of every input with an event_time",
        )


def strategy_of(node: Any) -> str:
    """The strategy of an incremental model: as configured, else by whether it has a key."""
    chosen = node.config.get("incremental_strategy")
    return str(chosen or ("merge" if _has_key(node) else "append"))


def predicates_of(node: Any) -> list[str]:
    """``incremental_predicates``, also under the shorter name that the adapter knows.

    Raises:
        ConfigError: it is no text or list of texts.
    """
    given = node.config.get("predicates") or node.config.get("incremental_predicates")
    texts = given if isinstance(given, list | tuple) else [given] if given else []
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ConfigError(
            f"{node.name}: incremental_predicates is {given!r}", "", "give a text or a list of texts"
        )
    return listed(texts)


def merge_keys_of(node: Any) -> dict[str, Any]:
    """The merge configuration of a node."""
    return {key: node.config.get(key) for key in MERGE_KEYS if node.config.get(key)}


def _check_key(node: Any, strategy: str) -> None:
    config = node.config
    if strategy == "merge" and not _has_key(node):
        raise ConfigError(f"{node.name}: merge needs unique_key", "none is set", "set it or use append")
    if strategy == "delete+insert" and not config.get("unique_key"):
        raise ConfigError(
            f"{node.name}: delete+insert needs unique_key", "none is set", "set it or use append"
        )
    if strategy == "microbatch" and config.get("unique_key"):
        raise ConfigError(
            f"{node.name}: unique_key has no effect with microbatch",
            "a batch replaces the rows of its time",
            "remove it, or use merge",
        )
    if strategy == "microbatch" and not config.get("event_time"):
        raise ConfigError(
            f"{node.name}: microbatch needs event_time", "none is set", "name the column that says when"
        )


def _has_key(node: Any) -> bool:
    return bool(node.config.get("unique_key") or node.config.get("merge_on_using_columns"))


def _refuse_keys(node: Any, keys: list[str], what: str) -> None:
    if keys:
        raise ConfigError(f"{node.name}: {', '.join(keys)} has no effect with {what}", "", "remove it")


def _given(config: Any) -> list[str]:
    return [key for key, value in config.to_dict(omit_none=True).items() if value not in (None, [], {}, "")]
