"""Node keys: what a node's result depends on, as one hash.

Same inputs, same code, same configuration, same engine give the same key. Compiled SQL is not used: it
differs between a first and an incremental run of one and the same model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dbt.adapters.factory import FACTORY

from slipway.dbt.keys import jinja_code
from slipway.dbt.keys.jinja_code import (
    MACHINERY,
    arguments_of,
    exact,
    function_macros,
    macros_of,
    materialization,
    named_macros,
    without_config,
)
from slipway.dbt.keys.python_code import own_code, python_parts
from slipway.dbt.keys.sql_code import sql_form
from slipway.dbt.model_engines import engine_of_test
from slipway.dbt.nodes import DbtManifest, DbtNode, engine_of, find, has_jinja, is_inlined, is_python, node_of
from slipway.dbt.promised import contract_digests, retention_digests, typed_digests
from slipway.engines.duckdb.engine import ONCE
from slipway.engines.spark.spark_versions import computing
from slipway.engines.writers import AUTO, DUCKDB, ENGINES, SPARK
from slipway.environments.profiles import ADAPTER

# what says nothing about the result: documentation, and what is checked or compared about it
_IGNORED_CONFIG = frozenset(
    {
        "access",
        "compare_expected",
        "compare_key",
        "compare_tolerance",
        "conserves",
        "docs",
        "enabled",
        "engine",
        "group",
        "meta",
        "packages",
        "persist_docs",
        "sample_key",
        "spark_above",
        "tags",
        "was",
    }
)

# what decides how rows are stored, found, checked and described, not what is in them
_LAYOUT = frozenset(
    {
        "batch_size",
        "begin",
        "concurrent_batches",
        "contract",
        "full_refresh",
        "lookback",
        "on_code_change",
        "on_input_change",
        "on_schema_change",
        "partitioned_by",
        "slipway_contract",
        "sorted_by",
        "table_properties",
    }
)

_BUSINESS_TIME = "as_of"
_RETAINING = ("quarantined", "within_retention")
"""Macros whose rows leave when their retention is over."""
_OF_CONTRACTS = {f"macro.{MACHINERY}.{name}" for name in ("typed", *_RETAINING, "test_meets_contract")}
"""Macros whose SQL is compiled from contracts."""


@dataclass(frozen=True)
class _Scope:
    """What counts.

    Args:
        ignored: keys of the configuration that do not.
        engine: what carries out the code, how rows are stored and what is checked.
    """

    ignored: frozenset[str]
    engine: bool


_NODE = _Scope(_IGNORED_CONFIG, engine=True)
_DEFINITION = _Scope(_IGNORED_CONFIG | _LAYOUT, engine=False)
_CONFIG = re.compile(r"\{\{-?\s*config\(.*?\)\s*-?\}\}", re.DOTALL)
_WAS = re.compile(r"""(?<=[(,\s])was\s*=\s*(?:'[^']*'|"[^"]*")\s*,\s*|,\s*was\s*=\s*(?:'[^']*'|"[^"]*")""")

_ONLY_WAS = re.compile(r"""\{\{-?\s*config\(\s*was\s*=\s*(?:'[^']*'|"[^"]*")\s*,?\s*\)\s*-?\}\}""")


def node_key(
    manifest: DbtManifest,
    unique_id: str,
    upstream: Mapping[str, str],
    variables: Mapping[str, Any],
    engine: str | None = None,
) -> str:
    """The key of a node.

    Args:
        manifest: dbt's manifest.
        unique_id: the node.
        upstream: unique id of every table it reads to the snapshot it reads.
        variables: dbt's vars as the run has them.
        engine: which computes it, None for the one that is configured.

    Returns:
        32 hexadecimal digits.
    """
    codes = sorted(set(_code(manifest, unique_id, variables, _NODE)))
    return _hash(
        [codes, dict(sorted(upstream.items())), _settings(), *_computed_by(manifest, unique_id, engine)]
    )[:32]


def node_keys(
    manifest: DbtManifest, unique_id: str, upstream: Mapping[str, str], variables: Mapping[str, Any]
) -> set[str]:
    """The keys that a node can have: one for each engine that may compute it. The arguments are those of ``node_key``."""
    return set(keys_by_engine(manifest, unique_id, upstream, variables).values())


def keys_by_engine(
    manifest: DbtManifest, unique_id: str, upstream: Mapping[str, str], variables: Mapping[str, Any]
) -> dict[str, str]:
    """The key of a node for each engine that may compute it. Whatever is configured for a data test, DuckDB may have to take it over."""
    node = node_of(manifest, unique_id)
    if node.resource_type == "test":
        reads = [find(manifest, name) for name in tables_read(manifest, unique_id)]
        engines = (DUCKDB,) if engine_of_test(manifest, node, reads) == DUCKDB else ENGINES
    else:
        engines = ENGINES if engine_of(node) == AUTO else (engine_of(node),)
    return {one: node_key(manifest, unique_id, upstream, variables, one) for one in engines}


def _computed_by(manifest: DbtManifest, unique_id: str, by: str | None) -> list[list[str]]:
    """What computes and writes a node: for one of DuckDB's, what it was before there was another engine."""
    node = node_of(manifest, unique_id)
    is_by_spark = node.resource_type in ("model", "test") and (by or engine_of(node)) == SPARK
    return [engine(), spark()] if is_by_spark else [engine()]


def definition_key(manifest: DbtManifest, unique_id: str, variables: Mapping[str, Any]) -> str:
    """The key of what a node makes of its inputs: a node key without data, engine, layout and business time.

    Args:
        manifest: dbt's manifest.
        unique_id: the node.
        variables: dbt's vars as the run has them.

    Returns:
        32 hexadecimal digits.
    """
    given = {name: value for name, value in variables.items() if name != _BUSINESS_TIME}
    return _hash([sorted(set(_code(manifest, unique_id, given, _DEFINITION))), _settings()])[:32]


def unit_test_key(manifest: DbtManifest, unique_id: str, sql: str, config: Mapping[str, Any]) -> str:
    """The key of a dbt unit test: its fixtures stand in its SQL, cast to the columns that its inputs have now.

    Args:
        manifest: dbt's manifest.
        unique_id: the unit test.
        sql: its compiled query.
        config: its configuration, which has the rows that it expects.

    Returns:
        32 hexadecimal digits.
    """
    found = manifest.find_materialization_macro_by_name(manifest.metadata.project_name, "unit", ADAPTER)
    how = {name: exact(text) for name, text in macros_of(manifest, [found.unique_id] if found else [])}
    return _hash([unique_id, sql, config, how, list(_started_with(manifest)), _settings(), engine()])[:32]


def tables_read(manifest: DbtManifest, unique_id: str) -> list[str]:
    """Unique ids of the tables a node reads, through ephemeral models and views."""
    found: dict[str, None] = {}
    for dependency in node_of(manifest, unique_id).depends_on_nodes:
        node = find(manifest, dependency)
        if node is not None and is_inlined(node):
            found.update(dict.fromkeys(tables_read(manifest, dependency)))
        elif node is not None and node.resource_type in ("model", "seed", "snapshot", "source"):
            found[dependency] = None
    return list(found)


def _code(
    manifest: DbtManifest, unique_id: str, variables: Mapping[str, Any], scope: _Scope
) -> Iterator[str]:
    """Hashes of everything that shapes the node apart from data: itself, macros, inlined models, modules."""
    node = node_of(manifest, unique_id)
    makers = function_macros(manifest) if node.resource_type == "function" else []
    macros = dict(macros_of(manifest, [*node.depends_on_macros, *named_macros(manifest, node), *makers]))
    own = {name: sql for name, sql in macros.items() if manifest.macros[name].package_name != MACHINERY}
    compiled = _OF_CONTRACTS & macros.keys()
    macros = macros if scope.engine else own
    how = dict(macros_of(manifest, materialization(manifest, node))) if scope.engine else {}
    hooks = [
        hook.sql for name in ("pre_hook", "post_hook") for hook in getattr(node.config, name, None) or []
    ]
    is_jinja = has_jinja(node)
    code = without_config(node.raw_code) if is_jinja and not scope.engine else node.raw_code
    jinja = [*([code] if is_jinja else []), *arguments_of(node), *hooks]
    sources = [*jinja, *macros.values()]
    used = jinja_code.variables(variables, sources), jinja_code.environment(os.environ, sources)
    described = jinja_code.describes_itself([*jinja, *own.values()], scope.ignored) or _asks_for(
        node, scope.ignored
    )
    yield _hash(
        [
            unique_id if scope.engine else "",  # a model that is renamed makes the same rows
            _own_code(node, code, list(own.values()), used, scope),
            _configuration(node, scope, whole=described),
            [_configuration(other, scope, whole=True) for other in _all(manifest)]
            if jinja_code.graph(sources)
            else None,
            used,
            # Slipway's own macros ask it for the name of the environment, which says where tables are and not what is in them
            jinja_code.target(_target(), [*jinja, *own.values()]),
            *_signature(node),
        ]
    )
    if compiled:
        yield _hash(["contracts", _contracts(compiled, [code, *jinja, *own.values()], variables)])
    for name, sql in {**how, **macros}.items():
        yield _hash([name, exact(sql)])
    if node.resource_type in ("model", "snapshot", "test"):
        yield from _started_with(manifest)
    for dependency in node.depends_on_nodes:
        other = find(manifest, dependency)
        if other is not None and is_inlined(other):
            yield from _code(manifest, dependency, variables, scope)


def _contracts(
    reached: Collection[str], sources: Sequence[str], variables: Mapping[str, Any]
) -> dict[str, str]:
    """Digests of what macros compile of contracts; of all contracts where their names are not known."""
    project = Path(FACTORY.adapters[ADAPTER].config.project_root)  # type: ignore[attr-defined]
    known = contract_digests(project)
    if any(name.endswith("test_meets_contract") for name in reached):
        return known
    leaving = {name for function in _RETAINING for name in jinja_code.named(function, known, sources)}
    kept = retention_digests(project, leaving, variables)
    return typed_digests(project, leaving | set(jinja_code.named("typed", known, sources))) | {
        f"retention of {name}": digest for name, digest in kept.items()
    }


def _started_with(manifest: DbtManifest) -> Iterator[str]:
    """Hashes of the project's own ``on-run-start`` hooks: macros, types and settings that they make are there for every node."""
    hooks = [item for item in manifest.nodes.items() if is_hook(item[1]) and "on-run-start" in item[1].tags]
    for unique_id, node in sorted(hooks):
        reached = macros_of(manifest, [*node.depends_on_macros, *named_macros(manifest, node)])
        macros = {n: exact(sql) for n, sql in reached if manifest.macros[n].package_name != MACHINERY}
        yield _hash([unique_id, exact(node.raw_code), macros])


def is_hook(node: DbtNode) -> bool:
    """Whether a node of dbt's manifest is a hook of the project's own, around the run."""
    return bool(node.resource_type == "operation" and node.package_name != MACHINERY)


def _own_code(node: DbtNode, code: str, macros: Sequence[str], values: object, scope: _Scope) -> object:
    """The node's code without what cannot change its result: comments, and the layout where that is certain."""
    if node.resource_type == "seed":
        path = Path(getattr(node, "root_path", None) or ".") / node.original_file_path
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if is_python(node):
        return python_parts(code, os.environ, versions=scope.engine)
    return sql_form(_without_former_name(code), macros, values)


def _without_former_name(code: str) -> str:
    """Code without ``was`` in its ``config(…)``, or without a call that gives nothing else: a former name does not change rows."""
    code = _ONLY_WAS.sub("", code)
    return _CONFIG.sub(lambda found: _WAS.sub("", found[0]), code)


def _signature(node: Any) -> list[object]:
    """Arguments and result of a function."""
    if node.resource_type != "function":
        return []
    return [[one.to_dict() for one in node.arguments], node.returns.to_dict()]


def _configuration(node: DbtNode, scope: _Scope, *, whole: bool) -> list[object]:
    """Configuration, columns and constraints; what says nothing about the result only where the code may read it."""
    config = node.config.to_dict(omit_none=True)
    ignored: frozenset[str] = frozenset() if whole else scope.ignored
    if not (scope.engine or whole):
        return [{name: value for name, value in config.items() if name not in ignored}]
    columns = [
        [
            column.name,
            column.data_type,
            column.quote,
            _plain_constraints(column.constraints),
            column.description if whole else "",
        ]
        for column in node.columns.values()
    ]
    tested = getattr(node, "test_metadata", None)
    return [
        {name: value for name, value in config.items() if name not in ignored},
        columns,
        _plain_constraints(getattr(node, "constraints", [])),
        tested.to_dict() if tested else None,
        [node.description, [column.meta for column in node.columns.values()]] if whole else None,
    ]


def _asks_for(node: DbtNode, names: Collection[str]) -> bool:
    """Whether a Python model asks ``dbt.config`` for one of some names, or for ``meta``: dbt notes what it asks for."""
    asked = node.config.get("config_keys_used") or []
    return bool(node.config.get("meta_keys_used")) or not set(names).isdisjoint(asked)


def _all(manifest: DbtManifest) -> Iterator[Any]:
    """Everything whose configuration is in ``graph``."""
    yield from (node for _, node in sorted({**manifest.nodes, **manifest.sources}.items()))


def _plain_constraints(constraints: Sequence[Any]) -> list[Any]:
    return [constraint.to_dict(omit_none=True) for constraint in constraints]


def _target() -> dict[str, Any]:
    """What ``target`` holds in Jinja."""
    adapter = FACTORY.adapters.get(ADAPTER)
    return dict(adapter.config.to_target_dict()) if adapter else {}  # type: ignore[attr-defined]


def _settings() -> dict[str, Any]:
    """DuckDB's settings in the profile, such as its time zone, and plugins of the project's own, which may make functions.

    Limits and folders shape no row.
    """
    adapter = FACTORY.adapters.get(ADAPTER)
    credentials = adapter.config.credentials if adapter else None  # type: ignore[attr-defined]
    given = {
        **(getattr(credentials, "settings", None) or {}),
        **(getattr(credentials, "config_options", None) or {}),
    }
    return {
        name: value for name, value in given.items() if name not in ONCE and not name.endswith("_directory")
    } | {
        f"plugin {plugin.module}": code
        for plugin in getattr(credentials, "plugins", None) or []
        if (code := own_code(plugin.module))
    }


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


_SOURCES = Path(__file__).parents[2]
_PACKAGES = ("duckdb", "dbt-core", "dbt-adapters", "dbt-duckdb", "pyarrow", "pyiceberg")
_CODE = (".py", ".sql", ".yml")
_ROOMS = ("dbt", "engines/duckdb", "iceberg", "landing", "runs", "sql_text.py")
"""Rooms and modules whose code makes rows or files of them; the others say where tables are, and what is known of runs."""
_ROOMS_OF_SPARK = ("engines/spark", "run_catalog")
"""Those that models of Spark also need."""


@cache
def engine() -> list[str]:
    """Versions, and a hash of the code that writes tables."""
    return [*(f"{name} {version(name)}" for name in _PACKAGES), _hash_of(_ROOMS)]


@cache
def spark() -> list[str]:
    """The same of what is added to it where Spark computes a model: Spark, Iceberg's jar, and the translator."""
    return [*computing(), f"sqlglot {version('sqlglot')}", _hash_of(_ROOMS_OF_SPARK)]


def _hash_of(rooms: Sequence[str]) -> str:
    code = hashlib.sha256()
    for path in code_files(rooms):
        code.update(f"{path.relative_to(_SOURCES)}\0".encode() + path.read_bytes() + b"\0")
    return code.hexdigest()


def code_files(rooms: Sequence[str] = _ROOMS) -> Iterator[Path]:
    """Files of Slipway whose code takes part in writing a table: Python, and the dbt package of its macros."""
    for room in rooms:
        place = _SOURCES / room
        found = [place] if place.is_file() else place.rglob("*.*")
        yield from sorted(path for path in found if path.suffix in _CODE)
