"""Node keys: what a node's result depends on, as one hash.

Same inputs, same code, same configuration, same engine give the same key. Compiled SQL is not used: it
differs between a first and an incremental run of one and the same model.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from dbt.clients.jinja_static import statically_extract_macro_calls

_VAR = re.compile(r"\bvar\(\s*(?:(['\"])(\w+)\1)?")
_ENV_VAR = re.compile(r"\benv_var\(\s*(['\"])([^'\"]+)\1")
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
    return _hash([codes, dict(sorted(upstream.items())), _engine()])[:32]


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
    raw = _seed_content(node) if node.resource_type == "seed" else node.raw_code
    macros = list(_macros(manifest, [*node.depends_on.macros, *_named_macros(manifest, node)]))
    config = {k: v for k, v in node.config.to_dict(omit_none=True).items() if k not in _IGNORED_CONFIG}
    columns = [
        [
            column.name,
            column.data_type,
            [constraint.to_dict(omit_none=True) for constraint in column.constraints],
        ]
        for column in node.columns.values()
    ]
    sources = [raw, *(sql for _, sql in macros)]
    used = [_variables(variables, sources), _environment(sources)]
    modules = list(_modules(raw)) if getattr(node, "language", "sql") == "python" else []
    yield _hash([unique_id, raw, config, columns, used, modules])
    for name, sql in macros:
        yield _hash([name, sql])
    for dependency in _dependencies(node):
        other = manifest_node(manifest, dependency)
        if (
            other is not None
            and other.resource_type == "model"
            and other.config.materialized in ("ephemeral", "view")
        ):
            yield from _code(manifest, dependency, variables)


def _named_macros(manifest: Any, node: Any) -> Iterator[str]:
    """Ids of the macros that a node's SQL names, also where this run does not go: dbt adds a macro when it is called."""
    if getattr(node, "language", "sql") != "sql" or node.resource_type == "seed":
        return
    for name in statically_extract_macro_calls(node.raw_code, {}):
        package, _, macro_name = name.rpartition(".")
        macro = manifest.find_macro_by_name(macro_name, node.package_name, package or None)
        if macro is not None:
            yield macro.unique_id


def _macros(manifest: Any, names: list[str], seen: set[str] | None = None) -> Iterator[tuple[str, str]]:
    seen = set() if seen is None else seen
    for name in names:
        macro = manifest.macros.get(name)
        # dbt's own and the adapter's macros are part of the engine, whose version is in the key
        if macro is None or name in seen or macro.package_name in ("dbt", "dbt_duckdb"):
            continue
        seen.add(name)
        yield name, macro.macro_sql
        yield from _macros(manifest, macro.depends_on.macros, seen)


def _variables(variables: Mapping[str, Any], sources: list[str]) -> dict[str, Any]:
    names = set()
    for source in sources:
        for match in _VAR.finditer(source):
            if match[2] is None:  # a computed name: any variable may matter
                return dict(variables)
            names.add(match[2])
    return {name: variables.get(name) for name in sorted(names)}


def _environment(sources: list[str]) -> dict[str, str | None]:
    names = {match[2] for source in sources for match in _ENV_VAR.finditer(source)}
    return {name: os.environ.get(name) for name in sorted(names)}


def _seed_content(node: Any) -> str:
    path = Path(node.root_path or ".") / node.original_file_path
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _modules(code: str, package: str = "", seen: set[str] | None = None) -> Iterator[tuple[str, str]]:
    """Sources of the project's own modules that Python code imports, directly or not."""
    seen = set() if seen is None else seen
    for name in _imports(code, package):
        if name in seen:
            continue
        seen.add(name)
        path = _own_module(name)
        if path is not None:
            source = path.read_text(encoding="utf-8")
            yield name, hashlib.sha256(source.encode()).hexdigest()
            own_package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            yield from _modules(source, own_package, seen)


def _imports(code: str, package: str) -> Iterator[str]:
    """Names that may be modules; importing one runs the packages around it, too."""
    for statement in ast.walk(ast.parse(code)):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield from _with_packages(alias.name)
        elif isinstance(statement, ast.ImportFrom):
            around = (
                package.split(".")[: len(package.split(".")) + 1 - statement.level] if statement.level else []
            )
            origin = ".".join([*around, *([statement.module] if statement.module else [])])
            yield from _with_packages(origin)
            yield from (f"{origin}.{alias.name}" for alias in statement.names)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


@cache
def _own_module(name: str) -> Path | None:
    root = name.split(".", maxsplit=1)[0]
    if root in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    origin = Path(spec.origin)
    return None if "site-packages" in origin.parts or root == "slipway" else origin


@cache
def _engine() -> tuple[str, str]:
    """DuckDB's version and a hash of the code that writes tables."""
    package = Path(__file__).parents[1]
    parts = sorted((package / "iceberg").glob("*.py"))
    return duckdb.__version__, _hash([path.read_text(encoding="utf-8") for path in parts])


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _dependencies(node: Any) -> list[str]:
    return list(getattr(node.depends_on, "nodes", []))  # a seed depends on macros only
