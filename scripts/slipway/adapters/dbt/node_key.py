"""Node keys: what a node's result depends on, as one hash.

Same inputs, same code, same configuration, same engine give the same key. Compiled SQL is not used: it
differs between a first and an incremental run of one and the same model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dbt.adapters.factory import FACTORY
from dbt.clients.jinja_static import statically_extract_macro_calls

from slipway.adapters.dbt.keys import reads
from slipway.adapters.dbt.keys.engine import engine
from slipway.adapters.dbt.keys.jinja import exact
from slipway.adapters.dbt.keys.python import python_parts
from slipway.adapters.dbt.keys.sql import sql_form
from slipway.adapters.spill import ONCE

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
        "group",
        "meta",
        "packages",
        "tags",
    }
)

_ENGINE = ("dbt", "dbt_duckdb")


def node_key(manifest: Any, unique_id: str, upstream: Mapping[str, str], variables: Mapping[str, Any]) -> str:
    """The key of a node.

    Args:
        manifest: dbt's manifest.
        unique_id: the node.
        upstream: unique id of every table it reads to the snapshot it reads.
        variables: dbt's vars as the run has them.

    Returns:
        32 hexadecimal digits.
    """
    codes = sorted(set(_code(manifest, unique_id, variables)))
    return _hash([codes, dict(sorted(upstream.items())), _settings(), engine()])[:32]


def tables_read(manifest: Any, unique_id: str) -> list[str]:
    """Unique ids of the tables a node reads, through ephemeral models and views."""
    found: dict[str, None] = {}
    for dependency in _dependencies(manifest_node(manifest, unique_id)):
        node = manifest_node(manifest, dependency)
        if node is None or not hasattr(node, "config"):
            continue
        if node.resource_type == "model" and node.config.materialized in ("ephemeral", "view"):
            found.update(dict.fromkeys(tables_read(manifest, dependency)))
        elif node.resource_type in ("model", "seed", "snapshot", "source"):
            found[dependency] = None
    return list(found)


def manifest_node(manifest: Any, unique_id: str) -> Any:
    """A node or source of dbt's manifest, None when there is none."""
    return manifest.nodes.get(unique_id) or manifest.sources.get(unique_id)


def _code(manifest: Any, unique_id: str, variables: Mapping[str, Any]) -> Iterator[str]:
    """Hashes of everything that shapes the node apart from data: itself, macros, inlined models, modules."""
    node = manifest_node(manifest, unique_id)
    macros = dict(_macros(manifest, [*node.depends_on.macros, *_named_macros(manifest, node)]))
    how = dict(_macros(manifest, _materialization(manifest, node)))
    hooks = [
        hook.sql for name in ("pre_hook", "post_hook") for hook in getattr(node.config, name, None) or []
    ]
    is_jinja = node.resource_type != "seed" and getattr(node, "language", "sql") == "sql"
    sources = [*([node.raw_code] if is_jinja else []), *hooks, *macros.values()]
    used = reads.variables(variables, sources), reads.environment(os.environ, sources)
    described = reads.describes_itself(sources, _IGNORED_CONFIG) or _asks_for(node, _IGNORED_CONFIG)
    yield _hash(
        [
            unique_id,
            _own_code(node, list(macros.values()), used),
            _configuration(node, whole=described),
            [_configuration(other, whole=True) for other in _all(manifest)] if reads.graph(sources) else None,
            used,
            reads.target(_target(), sources),
        ]
    )
    for name, sql in {**how, **macros}.items():
        yield _hash([name, exact(sql)])
    for dependency in _dependencies(node):
        other = manifest_node(manifest, dependency)
        if (
            other is not None
            and other.resource_type == "model"
            and other.config.materialized in ("ephemeral", "view")
        ):
            yield from _code(manifest, dependency, variables)


def _own_code(node: Any, macros: Sequence[str], values: object) -> object:
    """The node's code without what cannot change its result: comments, and the layout where that is certain."""
    if node.resource_type == "seed":
        path = Path(node.root_path or ".") / node.original_file_path
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if getattr(node, "language", "sql") == "python":
        return python_parts(node.raw_code, os.environ)
    return sql_form(node.raw_code, macros, values)


def _configuration(node: Any, *, whole: bool) -> list[object]:
    """Configuration, columns and constraints; what says nothing about the result only where the code may read it."""
    config = node.config.to_dict(omit_none=True)
    documented = whole or any((config.get("persist_docs") or {}).values())
    ignored: frozenset[str] = frozenset() if whole else _IGNORED_CONFIG
    columns = [
        [
            column.name,
            column.data_type,
            column.quote,
            _told(column.constraints),
            column.description if documented else "",
        ]
        for column in node.columns.values()
    ]
    tested = getattr(node, "test_metadata", None)
    return [
        {name: value for name, value in config.items() if name not in ignored},
        columns,
        _told(getattr(node, "constraints", [])),
        tested.to_dict() if tested else None,
        [node.description, [column.meta for column in node.columns.values()]] if documented else None,
    ]


def _asks_for(node: Any, names: Collection[str]) -> bool:
    """Whether a Python model asks ``dbt.config`` for one of some names, or for ``meta``: dbt notes what it asks for."""
    asked = node.config.get("config_keys_used") or []
    return bool(node.config.get("meta_keys_used")) or not set(names).isdisjoint(asked)


def _all(manifest: Any) -> Iterator[Any]:
    """Everything of which ``graph`` tells the configuration."""
    for _, node in sorted({**manifest.nodes, **manifest.sources}.items()):
        if getattr(node, "config", None) is not None:
            yield node


def _told(constraints: Sequence[Any]) -> list[Any]:
    return [constraint.to_dict(omit_none=True) for constraint in constraints]


def _named_macros(manifest: Any, node: Any) -> Iterator[str]:
    """Ids of the macros that a node's SQL names, also where this run does not go: dbt adds a macro when it is called."""
    if getattr(node, "language", "sql") != "sql" or node.resource_type == "seed":
        return
    for name in statically_extract_macro_calls(node.raw_code, {}):
        package, _, macro_name = name.rpartition(".")
        macro = manifest.find_macro_by_name(macro_name, node.package_name, package or None)
        if macro is not None:
            yield macro.unique_id
    yield from _dispatched(manifest, node.raw_code)


def _dispatched(manifest: Any, code: str) -> Iterator[str]:
    """Ids of the macros that code may reach by ``adapter.dispatch`` or by a computed name."""
    names = reads.dispatched(code)
    if names == []:
        return
    for unique_id, macro in manifest.macros.items():
        if names is None or macro.name.partition("__")[2] in names:
            yield unique_id


def _materialization(manifest: Any, node: Any) -> list[str]:
    """The materialization of a node, by which its table is made; none for what is inlined, and for tests."""
    if node.resource_type not in ("model", "seed", "snapshot"):
        return []
    found = manifest.find_materialization_macro_by_name(
        manifest.metadata.project_name, node.config.materialized, "duckdb"
    )
    return [found.unique_id] if found else []


def _macros(manifest: Any, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Id and code of the macros of our own that are reached from some.

    dbt's and the adapter's macros are part of the engine, whose version is in the key. What they call may be ours: a macro that
    takes the place of one that they dispatch.
    """
    ours = {name: macro for name, macro in manifest.macros.items() if macro.package_name not in _ENGINE}
    in_place: dict[str, list[str]] = {}
    for name, macro in ours.items():
        in_place.setdefault(macro.name.partition("__")[2], []).append(name)
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        macro = manifest.macros.get(name)
        if macro is None or name in seen:
            continue
        seen.add(name)
        waiting += macro.depends_on.macros
        if name in ours:
            yield name, macro.macro_sql
            waiting += _dispatched(manifest, macro.macro_sql)
        else:
            # dbt does not resolve its own dispatch anew when a macro of ours comes
            waiting += in_place.get(macro.name, [])


def _target() -> dict[str, Any]:
    """What ``target`` holds in Jinja."""
    adapter = FACTORY.adapters.get("duckdb")
    return dict(adapter.config.to_target_dict()) if adapter else {}  # type: ignore[attr-defined]


def _settings() -> dict[str, Any]:
    """DuckDB's settings in the profile, such as its time zone; limits and folders shape no row."""
    adapter = FACTORY.adapters.get("duckdb")
    credentials = adapter.config.credentials if adapter else None  # type: ignore[attr-defined]
    given = {
        **(getattr(credentials, "settings", None) or {}),
        **(getattr(credentials, "config_options", None) or {}),
    }
    return {
        name: value for name, value in given.items() if name not in ONCE and not name.endswith("_directory")
    }


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _dependencies(node: Any) -> list[str]:
    return list(getattr(node.depends_on, "nodes", []))  # a seed depends on macros only
