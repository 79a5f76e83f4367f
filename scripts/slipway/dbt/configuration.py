"""Names and configuration of nodes: what they say, all of it checked before anything is landed or built."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from slipway.counts import plural
from slipway.dbt.model_engines import engine_problems
from slipway.dbt.nodes import DbtManifest, DbtNode
from slipway.dbt.renames import rename_problems
from slipway.engines.duckdb.constraints import Contract
from slipway.engines.duckdb.merge_clauses import MERGE_KEYS, PREDICATES, listed
from slipway.environments.environment import Environment
from slipway.errors import ConfigError
from slipway.names import Kind, nearest, shown, twins, why_not, why_not_together

STRATEGIES = ("append", "merge", "delete+insert", "insert_overwrite", "microbatch")
_TAKE_PREDICATES = ("merge", "delete+insert", "microbatch")


def check_incremental(node: DbtNode) -> None:
    """Refuse a strategy that is not known, and keys that the strategy would ignore or cannot do without.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    config = node.config
    keep_of(node)
    kept_inputs_of(node)
    allowed_of(node)
    keys = [key for key in _given(config) if key.startswith("merge_")]
    if "merge_returning_columns" in keys:
        raise ConfigError(
            f"{node.name}: merge_returning_columns", "nothing reads the rows it would return", "Remove it"
        )
    unknown = sorted(set(keys) - set(MERGE_KEYS))
    if unknown:
        raise ConfigError(
            f"{node.name}: {', '.join(unknown)}", "no such key", f"Use one of {', '.join(MERGE_KEYS)}"
        )
    keys += [key for key in PREDICATES if config.get(key)]
    if config.materialized != "incremental":
        _refuse_keys(node, keys, f"a {config.materialized}")
        return
    strategy = strategy_of(node)
    if strategy not in STRATEGIES:
        raise ConfigError(
            f"{node.name}: incremental_strategy {strategy}", "unknown", f"Use one of {', '.join(STRATEGIES)}"
        )
    if strategy != "merge":
        _refuse_keys(node, [key for key in keys if key in MERGE_KEYS], strategy)
    if strategy not in _TAKE_PREDICATES:
        _refuse_keys(node, [key for key in keys if key in PREDICATES], strategy)
    _check_key(node, strategy)


def refuse_in_batches(node: DbtNode) -> None:
    """Refuse the conditions of increments in a ``microbatch`` model, whose batches replace windows of time as a whole.

    Raises:
        ConfigError: the model is one.
    """
    if strategy_of(node) == "microbatch":
        raise ConfigError(
            f"{node.name}: rows_added and partitions_changed have no place in a microbatch model",
            "a batch replaces its window of time, and would lose the rows that they leave out",
            "Remove the condition; dbt gives each batch its window of every input with an event_time",
        )


def strategy_of(node: DbtNode) -> str:
    """The strategy of an incremental model: as configured, else by whether it has a key."""
    chosen = node.config.get("incremental_strategy")
    return str(chosen or ("merge" if _has_key(node) else "append"))


def predicates_of(node: DbtNode) -> list[str]:
    """``incremental_predicates``, also under the shorter name that the adapter knows.

    Raises:
        ConfigError: it is no text or list of texts.
    """
    given = node.config.get("predicates") or node.config.get("incremental_predicates")
    texts = given if isinstance(given, list | tuple) else [given] if given else []
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ConfigError(
            f"{node.name}: incremental_predicates is {given!r}", "", "Give a text or a list of texts"
        )
    return listed(texts)


def merge_keys_of(node: DbtNode) -> dict[str, Any]:
    """The merge configuration of a node."""
    return {key: node.config.get(key) for key in MERGE_KEYS if node.config.get(key)}


def _check_key(node: DbtNode, strategy: str) -> None:
    config = node.config
    if strategy == "merge" and not _has_key(node):
        raise ConfigError(f"{node.name}: merge needs unique_key", "none is set", "Set it or use append")
    if strategy == "delete+insert" and not config.get("unique_key"):
        raise ConfigError(
            f"{node.name}: delete+insert needs unique_key", "none is set", "Set it or use append"
        )
    if strategy == "microbatch" and config.get("unique_key"):
        raise ConfigError(
            f"{node.name}: unique_key has no effect with microbatch",
            "a batch replaces the rows of its time",
            "Remove it, or use merge",
        )
    if strategy == "microbatch" and not config.get("event_time"):
        raise ConfigError(
            f"{node.name}: microbatch needs event_time", "none is set", "Name the column that says when"
        )


def _has_key(node: DbtNode) -> bool:
    return bool(node.config.get("unique_key") or node.config.get("merge_on_using_columns"))


def _refuse_keys(node: DbtNode, keys: list[str], what: str) -> None:
    if keys:
        raise ConfigError(f"{node.name}: {', '.join(keys)} has no effect with {what}", "", "Remove it")


def _given(config: Any) -> list[str]:
    return [key for key, value in config.to_dict(omit_none=True).items() if value not in (None, [], {}, "")]


OWN_KEYS = (
    "compare_expected",
    "compare_key",
    "compare_tolerance",
    "conserves",
    "engine",
    "incremental_predicates",
    "on_code_change",
    "on_input_change",
    "on_partial_groups",
    "partitioned_by",
    "predicates",
    "sample_key",
    "slipway_contract",
    "spark_above",
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
_LISTS = ("unique_key", "partitioned_by", "sorted_by", "sample_key")
_TABLES = ("model", "seed", "snapshot")
_NAMED = 3  # nodes that a message names, of all that have a setting from dbt_project.yml
_ALIKE = 0.82  # a key of a macro of the project's own is rarely so close to one of ours
_INCREMENTS = re.compile(r"\b(?:rows_added|partitions_changed)\s*\(")
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def check_configuration(manifest: DbtManifest, selected: Iterable[str]) -> None:
    """Refuse a run if the configuration of a node that it is to build cannot be carried out.

    Args:
        manifest: dbt's.
        selected: unique ids of what the run selects.

    Raises:
        ConfigError: one message for all nodes and keys.
    """
    nodes = [node for node in map(partial(_known_node, manifest), sorted(selected)) if node is not None]
    read = {name for node in nodes for name in node.depends_on_nodes if name in manifest.sources}
    nodes += [manifest.sources[name] for name in sorted(read)]
    found: dict[str, list[str]] = {}
    for node in nodes:
        for problem in (*problems(node), *engine_problems(manifest, node, strategy_of)):
            found.setdefault(problem.removeprefix(f"{node.name}: "), []).append(node.name)
    if found:
        count = plural(len(found), "setting")
        of = "a node" if [len(names) for names in found.values()] == [1] else "nodes"
        said = [f"{_some(names)}: {problem}" for problem, names in found.items()]
        raise ConfigError(f"{count} of {of} cannot be carried out", "; ".join(said))


def _known_node(manifest: DbtManifest, unique_id: str) -> Any:
    """What is configured under an id, whichever of dbt's lists it is in; None for what dbt does not know any more."""
    lists = (manifest.nodes, manifest.unit_tests, manifest.functions)
    return next((one[unique_id] for one in lists if unique_id in one), None)


def _some(names: Sequence[str]) -> str:
    others = f" and {len(names) - _NAMED} others" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + others


def problems(node: DbtNode) -> Iterator[str]:
    """What is wrong with the configuration of a node, each as a sentence with the key, the value, and what to write."""
    yield from _unknown(node)
    if node.resource_type in _TABLES:
        yield from _of_other_types(node)
    if node.resource_type != "model":
        return
    if wrong := _conserves_problem(node.config.get("conserves")):
        yield f"{node.name}: {wrong}"
    try:
        check_incremental(node)
        predicates_of(node)
    except ConfigError as error:
        yield error.line().rstrip(".")
    if node.config.materialized == "incremental":
        yield from _increments(node)


def _unknown(node: DbtNode) -> Iterator[str]:
    has_table = node.resource_type in _TABLES
    config: Any = node.config
    known = {field.name for field in fields(config)} | set(OWN_KEYS if has_table else ())
    for key in config.extra if hasattr(config, "extra") else config._extra:
        if key in known or key.startswith(("merge_", "config_keys_", "meta_keys_")):
            continue  # those of merge are looked at with the strategy
        near = difflib.get_close_matches(key.lower(), sorted(known), 1, _ALIKE)
        meant = (_OTHER_ADAPTERS.get(key.lower()) if has_table else None) or (near[0] if near else None)
        if meant:
            yield f"{node.name}: {key} has no effect here: write {meant}"


def _of_other_types(node: DbtNode) -> Iterator[str]:
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


OPERATORS = ("mustBeLessThan", "mustBeLessOrEqualTo")
"""Operators of the Open Data Contract Standard that bound how many rows may be in quarantine."""


def _conserves_problem(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, Mapping):
        tables = [value.get(part) for part in ("raw", "curated")]
        named = all(isinstance(table, str) and table.count(".") == 1 for table in tables)
        if named and not set(value) - {"raw", "curated", "deduplicated_by", "limits"}:
            return _limits_problem(value.get("limits"))
    return (
        f"conserves is {value!r}: write {{raw: raw.TABLE, curated: curated.TABLE}}, and if needed deduplicated_by with columns of raw, "
        "and limits"
    )


def _limits_problem(limits: Any) -> str:
    if limits is not None and not isinstance(limits, Mapping):
        return f"limits of conserves is {limits!r}: write a mapping of rules, or *, to limits"
    for rule, bound in (limits or {}).items():
        given = bound if isinstance(bound, Mapping) else {}
        numbers = [given[key] for key in OPERATORS if key in given]
        if not (
            len(numbers) == 1
            and isinstance(numbers[0], int | float)
            and not isinstance(numbers[0], bool)
            and not set(given) - {*OPERATORS, "unit", "severity"}
            and given.get("unit", "rows") in ("rows", "percent")
            and given.get("severity", "error") in ("error", "warning")
        ):
            return f"the limit of {rule} in conserves is {bound!r}: write for example {{mustBeLessThan: 5, unit: percent, severity: warning}}"
    return ""


def _increments(node: DbtNode) -> Iterator[str]:
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


_LOWER_CASE = ("glue",)
"""Kinds of catalogs that keep names in lower case."""


def check_names(manifest: DbtManifest, environment: Environment) -> None:
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
        f"{other} and {name} differ only in upper and lower case, which DuckDB does not distinguish: give one of them another alias"
        for other, name in twins(sorted({f"{node.schema}.{node.alias}" for node in nodes}))
    ]
    found += rename_problems(nodes)
    if not _names_schemas_itself(manifest):
        found += [
            f"{_shown(node)} has no layer: configure its schema in dbt_project.yml, for example {_with_layer(node)}"
            for node in nodes
            if not node.config.get("schema")
        ]
    if found:
        count = plural(len(found), "name")
        raise ConfigError(f"{count} of the project cannot be used", "; ".join(sorted(found)))


def check_functions(manifest: DbtManifest) -> None:
    """Refuse a project that has functions of dbt: no adapter for DuckDB makes them, and models would call what is not there.

    Raises:
        ConfigError: one message for all of them.
    """
    if found := sorted(manifest.functions.values(), key=lambda one: one.unique_id):
        count = plural(len(found), "function")
        raise ConfigError(
            f"{count} of the project cannot be made: {', '.join(map(_shown, found))}",
            "dbt has no way to create functions in DuckDB",
            "Write them as macros, which dbt compiles into the queries that call them, or disable them with +enabled: false below functions in dbt_project.yml",
        )


def _with_layer(node: DbtNode) -> str:
    """A line of dbt_project.yml that gives a layer to a node and those of its kind in its project or package."""
    layer = "curated" if node.resource_type == "model" else "reference"
    return f"{node.resource_type}s: {{{node.package_name}: {{+schema: {layer}}}}}"


def tables_of(manifest: DbtManifest) -> set[str]:
    """``layer.table`` of every node that makes a table."""
    return {f"{node.schema}.{node.alias}" for node in manifest.nodes.values() if _has_table(node)}


def _has_table(node: DbtNode) -> bool:
    return node.resource_type in _TABLES and node.config.materialized != "ephemeral"


def _names_schemas_itself(manifest: DbtManifest) -> bool:
    """Whether the project has a macro of its own that says which schema a node has."""
    name = f"macro.{manifest.metadata.project_name}.generate_schema_name"
    return name in manifest.macros


def _shown(node: DbtNode) -> str:
    return f"{node.resource_type} {shown(node.name)} ({shown(node.original_file_path)})"


def _problems(node: DbtNode, target: str, *, lower_case: bool) -> Iterator[str]:
    where = _shown(node)
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


def _column_problems(node: DbtNode, where: str) -> Iterator[str]:
    contract = getattr(node.config, "contract", None)
    if not ((contract and contract.enforced) or node.config.get("slipway_contract")):
        return
    declared = [column.name for column in node.columns.values()]
    for name in declared:
        if why := why_not(Kind.COLUMN, name):
            yield f"{where} declares the column {shown(name)}: {why}; call it {nearest(Kind.COLUMN, name)}"
    for other, name in twins(declared):
        yield f"{where} declares the columns {other} and {name}, which are one name to DuckDB: give one of them another name"


def contract_of(node: DbtNode) -> Contract | None:
    """The enforced contract of a model: dbt's own, or ``slipway_contract`` where dbt cannot (Python)."""
    config = node.config
    dbt_contract = getattr(config, "contract", None)
    if not ((dbt_contract and dbt_contract.enforced) or config.get("slipway_contract")):
        return None
    not_null: list[str] = []
    unique: list[list[str]] = []
    key: list[str] = []
    checks: list[str] = []
    declared = [
        ([column.name], constraint) for column in node.columns.values() for constraint in column.constraints
    ]
    declared += [(list(constraint.columns), constraint) for constraint in getattr(node, "constraints", [])]
    for columns, constraint in declared:
        kind = str(getattr(constraint.type, "value", constraint.type))
        if kind in ("not_null", "primary_key"):
            not_null += columns
        if kind in ("unique", "primary_key"):
            unique.append(columns)
        if kind == "primary_key":
            key = columns
        elif kind == "check":
            checks.append(str(constraint.expression))
        elif kind in ("foreign_key", "custom"):
            raise ConfigError(
                f"{node.name}: constraint {kind}",
                "it would not be checked",
                "Use a relationships or a singular test",
            )
    return Contract({c.name: c.data_type for c in node.columns.values()}, not_null, unique, checks, key)


ON_CODE_CHANGE = "on_code_change"
ON_INPUT_CHANGE = "on_input_change"
_ON_PARTIAL_GROUPS = "on_partial_groups"
_MADE_WHOLE = ("table", "seed", "view", "ephemeral")


def may_be_stale(node: DbtNode) -> bool:
    """Whether a node's table may hold rows of earlier code: what is added to, except the history of a dbt snapshot."""
    return node.resource_type == "model" and node.config.materialized not in _MADE_WHOLE


def keep_of(node: DbtNode) -> str:
    """The declared reason why rows of other code stay in a table; empty for none.

    Raises:
        ConfigError: ``on_code_change`` is not ``{keep: <reason>}``, or the model is built whole each time.
    """
    if node.resource_type == "snapshot":
        return "a dbt snapshot holds a history that no code can make again"
    whole = node.config.materialized in _MADE_WHOLE
    return _reason(
        node,
        ON_CODE_CHANGE,
        "keep",
        "rows that other code made stay only with a reason",
        no_effect="all of its rows are made by the present code" if whole else "",
    )


def kept_inputs_of(node: DbtNode) -> str:
    """The declared reason why rows stay that were made from earlier rows of inputs read whole; empty for none.

    Raises:
        ConfigError: ``on_input_change`` is not ``{keep: <reason>}``, or the model is not incremental.
    """
    return _reason(
        node,
        ON_INPUT_CHANGE,
        "keep",
        "rows that were made from earlier rows of an input stay only with a reason",
        no_effect=""
        if node.config.materialized == "incremental"
        else "all of its rows are made from the present inputs",
    )


def allowed_of(node: DbtNode) -> str:
    """The declared reason why groups of which a part is read are written; empty for none.

    Raises:
        ConfigError: ``on_partial_groups`` is not ``{allow: <reason>}``, or the model is not incremental.
    """
    return _reason(
        node,
        _ON_PARTIAL_GROUPS,
        "allow",
        "groups of which a part is read are written only with a reason",
        no_effect="" if node.config.materialized == "incremental" else "it reads its inputs whole",
    )


def _reason(node: DbtNode, key: str, word: str, why: str, *, no_effect: str) -> str:
    """The reason that ``{<word>: <reason>}`` gives under a key; empty where the key is not set."""
    given = node.config.get(key)
    if given is None:
        return ""
    if no_effect:
        raise ConfigError(
            f"{node.name}: {key} has no effect with a {node.config.materialized}", no_effect, "Remove it"
        )
    reason = given.get(word) if isinstance(given, Mapping) else None
    if not isinstance(reason, str) or not reason.strip() or len(given) != 1:
        raise ConfigError(
            f"{node.name}: {key} is {given!r}", why, f"Write {key}: {{{word}: <the reason>}}, or remove it"
        )
    return " ".join(reason.split())
