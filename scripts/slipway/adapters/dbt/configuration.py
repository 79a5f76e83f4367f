"""Configuration of nodes, all of it looked at before the first row is read: what cannot be carried out, or would do nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from slipway.adapters.dbt.strategy import check_incremental, predicates_of, refuse_in_batches, strategy_of
from slipway.adapters.iceberg.write.merge_clauses import MERGE_KEYS
from slipway.domain.errors import ConfigError

OWN_KEYS = (
    "compare_expected",
    "compare_key",
    "compare_tolerance",
    "conserves",
    "incremental_predicates",
    "on_code_change",
    "on_partial_groups",
    "partitioned_by",
    "predicates",
    "slipway_contract",
    "sorted_by",
    "table_properties",
    *MERGE_KEYS,
)
"""Keys that mean something here and are no fields of dbt's configuration."""
_OTHER_ADAPTERS = {
    "partition_by": "partitioned_by",
    "partition_columns": "partitioned_by",
    "partitions": "partitioned_by",
    "partitioning": "partitioned_by",
    "cluster_by": "sorted_by",
    "clustered_by": "sorted_by",
    "order_by": "sorted_by",
    "sort": "sorted_by",
    "sort_by": "sorted_by",
    "sort_order": "sorted_by",
    "tblproperties": "table_properties",
    "properties": "table_properties",
    "primary_key": "unique_key",
    "incremental_predicate": "incremental_predicates",
    "full-refresh": "full_refresh",
}
_SCHEMA_CHANGES = ("ignore", "fail", "append_new_columns", "sync_all_columns")
_LISTS = ("unique_key", "partitioned_by", "sorted_by")
_ALIKE = 0.82  # a key of a macro of the project's own is rarely so close to one of ours
_INCREMENTS = re.compile(r"\b(?:rows_added|partitions_changed)\s*\(")
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def check_configuration(manifest: Any, selected: Iterable[str]) -> None:
    """Refuse a run if the configuration of a node that it is to build cannot be carried out.

    Args:
        manifest: dbt's.
        selected: unique ids of what the run selects.

    Raises:
        ConfigError: one message for all nodes and keys.
    """
    found = []
    for unique_id in sorted(selected):
        node = manifest.nodes.get(unique_id)
        if node is not None and node.resource_type in ("model", "seed", "snapshot"):
            found += list(problems(node))
    if found:
        count = "1 setting of a node" if len(found) == 1 else f"{len(found)} settings of nodes"
        raise ConfigError(f"{count} cannot be carried out", "; ".join(found))


def problems(node: Any) -> Iterator[str]:
    """What is wrong with the configuration of a node, each as a sentence with the key, the value, and what to write."""
    yield from _unknown(node)
    yield from _of_other_types(node)
    if node.resource_type != "model":
        return
    try:
        check_incremental(node)
        predicates_of(node)
    except ConfigError as error:
        yield error.line().rstrip(".")
    if node.config.materialized == "incremental":
        yield from _increments(node)


def _unknown(node: Any) -> Iterator[str]:
    known = {field.name for field in fields(node.config)} | set(OWN_KEYS)
    for key in node.config.extra if hasattr(node.config, "extra") else node.config._extra:
        if key in known or key.startswith(("merge_", "config_keys_", "meta_keys_")):
            continue  # those of merge are looked at with the strategy
        near = difflib.get_close_matches(key.lower(), sorted(known), 1, _ALIKE)
        meant = _OTHER_ADAPTERS.get(key.lower()) or (near[0] if near else None)
        if meant:
            yield f"{node.name}: {key} has no effect here: write {meant}"


def _of_other_types(node: Any) -> Iterator[str]:
    config = node.config
    for key in _LISTS:
        value = config.get(key)
        texts = value if isinstance(value, list | tuple) else [value]
        if value is not None and not all(isinstance(text, str) and text.strip() for text in texts):
            yield f"{node.name}: {key} is {value!r}: write a text or a list of texts"
    if (given := config.get("table_properties")) is not None and not isinstance(given, Mapping):
        yield f"{node.name}: table_properties is {given!r}: write a mapping of names to values"
    change = config.get("on_schema_change")
    if change is not None and change not in _SCHEMA_CHANGES:
        near = difflib.get_close_matches(str(change), _SCHEMA_CHANGES, 1, 0.3)
        meant = f"write {near[0]}" if near else f"use one of {', '.join(_SCHEMA_CHANGES)}"
        others = f", or one of {', '.join(_SCHEMA_CHANGES)}" if near else ""
        yield f"{node.name}: on_schema_change is {change!r}, which is unknown: {meant}{others}"


def _increments(node: Any) -> Iterator[str]:
    strategy = strategy_of(node)
    if strategy != "microbatch":
        for key in ("batch_size", "begin"):
            if node.config.get(key) is not None:
                yield f"{node.name}: {key} has no effect with {strategy}: remove it, or use microbatch"
    if strategy == "append" and node.config.get("unique_key"):
        yield (
            f"{node.name}: unique_key has no effect with append, which adds rows whatever their key is: use merge, or name the key"
            " that comparisons find rows by in compare_key"
        )
    if _INCREMENTS.search(_COMMENT.sub("", getattr(node, "raw_code", "") or "")):
        try:
            refuse_in_batches(node)
        except ConfigError as error:
            yield error.line().rstrip(".")
