"""Which engine computes a model or a data test, and what keeps Spark from computing it, as far as configuration and code say."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeGuard, cast

from slipway.counts import bytes_of
from slipway.dbt.nodes import DbtManifest, DbtNode, engine_of, find, is_python, table_of
from slipway.engines.spark.spark_writer import STRATEGIES
from slipway.engines.writers import AUTO, DUCKDB, ENGINES, SPARK, SPARK_ABOVE, bytes_above
from slipway.runs.pinned_tables import LANDING

_TABLES = ("model", "seed", "snapshot")
INSTEAD = "write engine: duckdb for it"
_CONFIGURED = (*ENGINES, AUTO)
_MONITOR = "macro.dbt_slipway._slipway_monitor"
"""The macro of tests whose query has only what was found while it was compiled."""


def may_be_by_spark(node: DbtNode) -> bool:
    """Whether Spark is configured to compute the table of a node, at least from some size on."""
    return is_by(SPARK, node) and engine_of(node) in (SPARK, AUTO)


def is_by(engine: str, node: DbtNode) -> bool:
    """Whether an engine is Spark and a node has a table; an ephemeral model is a part of those that read it, and has none."""
    return engine == SPARK and node.resource_type in _TABLES and node.config.materialized != "ephemeral"


def is_chosen(node: DbtNode) -> bool:
    """Whether a run chooses the engine of a node."""
    return engine_of(node) == AUTO


def spark_above(node: DbtNode) -> int:
    """Bytes of the tables that a node reads, above which Spark computes it."""
    return bytes_above(node.config.get(SPARK_ABOVE))


def engine_of_test(manifest: DbtManifest, test: DbtNode, reads: Iterable[object]) -> str:
    """Which engine is configured for a data test: its own, else ``auto`` if Spark may compute a table that it reads.

    Args:
        manifest: dbt's.
        test: the data test.
        reads: nodes and sources with the tables that it reads.
    """
    found = (
        engine_of(test) if test.config.get("engine") else AUTO if any(map(_is_of_spark, reads)) else DUCKDB
    )
    return DUCKDB if found == DUCKDB or _is_monitor(manifest, test) else found


def _is_monitor(manifest: DbtManifest, test: DbtNode) -> bool:
    waiting, seen = list(test.depends_on_macros), set[str]()
    while waiting:
        name = waiting.pop()
        if name == _MONITOR:
            return True
        if name not in seen and name in manifest.macros:
            waiting += manifest.macros[name].depends_on_macros
        seen.add(name)
    return False


def bound_of_test(test: DbtNode, reads: Iterable[object]) -> int:
    """Bytes of the tables that a data test reads, above which Spark computes it: its own bound, else the lowest of the tables that Spark may compute."""
    if test.config.get(SPARK_ABOVE) is not None:
        return spark_above(test)
    return min((spark_above(node) for node in reads if _is_of_spark(node)), default=spark_above(test))


def _is_of_spark(node: object) -> TypeGuard[DbtNode]:
    return getattr(node, "resource_type", "") == "model" and may_be_by_spark(cast("DbtNode", node))


def engine_problems(
    manifest: DbtManifest, node: DbtNode, strategy: Callable[[DbtNode], str]
) -> Iterator[str]:
    """What is wrong with the engine of a node, each as a sentence with the value, and what to write.

    Args:
        manifest: dbt's.
        node: a model, seed, snapshot or data test; others have no engine.
        strategy: says the one of an incremental model.
    """
    if node.resource_type not in (*_TABLES, "test"):
        return
    engine = engine_of(node)
    if engine not in _CONFIGURED:
        near = difflib.get_close_matches(engine.lower(), _CONFIGURED, 1, 0.3)
        meant = f"write {near[0]}, or one of" if near else "use one of"
        yield f"{node.name}: engine is {node.config.get('engine')!r}, which is unknown: {meant} {', '.join(_CONFIGURED)}"
    elif (
        node.resource_type in _TABLES
        and may_be_by_spark(node)
        and (why := obstacle(manifest, node, strategy))
    ):
        yield f"{node.name}: engine is {engine}, and {why}: {INSTEAD}"
    given = node.config.get(SPARK_ABOVE)
    if given is not None and bytes_of(str(given)) is None:
        yield f"{node.name}: {SPARK_ABOVE} is {given!r}, which is no number of bytes: write it like 20 GB"
    elif given is not None and (
        # the bound of a model of Spark is that of its data tests and of compaction
        node.config.get("engine") in ENGINES if node.resource_type == "test" else engine == DUCKDB
    ):
        yield f"{node.name}: {SPARK_ABOVE} has no effect with engine: {engine}: write engine: {AUTO}, or remove it"


def obstacle_of_test(manifest: DbtManifest, test: DbtNode) -> str:
    """Why Spark cannot compute a data test, as far as its configuration and what it reads say; empty for no reason."""
    if test.config.get("sql_header"):
        return "its sql_header is a statement of DuckDB"
    return _of_inputs(manifest, test)


def obstacle(manifest: DbtManifest, node: DbtNode, strategy: Callable[[DbtNode], str]) -> str:
    """Why Spark cannot compute a node, as far as its configuration says; empty for no reason."""
    return _of_kind(node, strategy(node)) or _of_strategy(node, strategy(node)) or _of_inputs(manifest, node)


def other_frames(node: DbtNode, engine: str) -> str:
    """Why an engine cannot run a Python model that is not configured for it by name; empty for other nodes."""
    if not is_python(node) or engine_of(node) == engine:
        return ""
    return "it is a Python model, which is written for the frames of one engine"


def _of_kind(node: DbtNode, strategy: str) -> str:
    if node.resource_type != "model":
        return f"it is a {node.resource_type}, which only DuckDB makes"
    if node.config.materialized not in ("table", "incremental"):
        return f"it is a {node.config.materialized}, which only DuckDB makes"
    if why := other_frames(node, SPARK):
        return why
    if is_python(node) and strategy == "microbatch":
        return "it is a Python model, whose frame is not cut into batches"
    if is_python(node):
        untyped = [name for name, column in node.columns.items() if not column.data_type]
        if untyped or not node.columns:
            what = f"the data_type of {', '.join(untyped)}" if untyped else "columns with data_type"
            return f"it is a Python model whose YAML does not declare {what}"
    if hooks := [name for name in ("pre_hook", "post_hook") if node.config.get(name)]:
        return f"its {' and '.join(hooks)} would run on DuckDB"
    return ""


def _of_strategy(node: DbtNode, strategy: str) -> str:
    if node.config.materialized != "incremental":
        return ""
    if strategy not in (*STRATEGIES, "microbatch"):
        return f"its strategy is {strategy}, while Spark has {', '.join((*STRATEGIES[1:], 'microbatch'))}"
    if strategy == "insert_overwrite" and not node.config.get("partitioned_by"):
        return "insert_overwrite without partitioned_by has no partition to replace"
    return ""


def _of_inputs(manifest: DbtManifest, node: DbtNode) -> str:
    waiting = list(node.depends_on_nodes)
    while waiting:
        other = find(manifest, waiting.pop(0))
        if other is None:
            continue
        kind = getattr(other.config, "materialized", "")
        if other.resource_type == "function" or kind == "view":
            return f"it reads the {kind or 'function'} {other.name}, which is in DuckDB's memory"
        if kind == "ephemeral":
            waiting += getattr(other, "depends_on_nodes", [])
        elif table_of(other).namespace == LANDING:
            return f"it reads landed files of {table_of(other).name}, which only DuckDB does"
    return ""
