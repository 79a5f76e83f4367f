"""Which macros a node reaches, by dbt's manifest and by the code itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dbt.clients.jinja_static import statically_extract_macro_calls

from slipway.adapters.dbt.keys import reads

_ENGINE = ("dbt", "dbt_duckdb")

SHIMS = frozenset(
    {
        "connect_once",
        "declare_increments",
        "duckdb__collect_freshness",
        "duckdb__get_catalog",
        "duckdb__get_catalog_relations",
        "duckdb__get_columns_in_relation",
        "duckdb__list_relations_without_caching",
        "generate_schema_name",
        "has_table",
        "is_incremental",
        "last_landed_at",
        "on_run_begin",
        "on_run_finish",
        "own",
        "partitions_changed",
        "pin",
        "ref",
        "rows_added",
        "run_query",
        "slice_predicate",
        "slipway",
        "source",
        "_is_unit_test_of_whole_input",
        "_slice_date",
        "_slice_values",
    }
)
"""Macros of Slipway's that models reach: they say which rows are read, and belong to the engine."""


def named_macros(manifest: Any, node: Any) -> Iterator[str]:
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


def materialization(manifest: Any, node: Any) -> list[str]:
    """The materialization of a node, by which its table is made; none for what is inlined, and for tests."""
    if node.resource_type not in ("model", "seed", "snapshot"):
        return []
    found = manifest.find_materialization_macro_by_name(
        manifest.metadata.project_name, node.config.materialized, "duckdb"
    )
    return [found.unique_id] if found else []


def function_macros(manifest: Any) -> list[str]:
    """Macros of our own by which dbt's functions may be made: dbt reaches them by computed names."""
    return [
        unique_id
        for unique_id, macro in manifest.macros.items()
        if macro.package_name not in _ENGINE and "function" in macro.name
    ]


def macros_of(manifest: Any, names: Iterable[str]) -> Iterator[tuple[str, str]]:
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
