"""The adapter's own macros, rendered without dbt: what a merge configuration means is read off its statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from types import SimpleNamespace
from typing import Any

from tests.harness.macros import macros_below

_FOLDERS = {
    "dbt.include.duckdb": ("macros/materializations/incremental_strategy", "macros/utils"),
    "dbt.include.global_project": ("macros/materializations/models/incremental",),
}


def merge_statement(
    config: Mapping[str, Any],
    target: str,
    source: str,
    unique_key: Sequence[str],
    columns: Sequence[str],
    predicates: Sequence[str] = (),
) -> str:
    """The MERGE that dbt-duckdb runs for a model's configuration."""
    macros: dict[str, Any] = {}
    adapter = SimpleNamespace(
        is_ducklake=lambda _: False, dispatch=lambda name, _: macros[f"default__{name}"]
    )
    macros |= macros_below(
        (
            resources.files(package).joinpath(folder)
            for package, folders in _FOLDERS.items()
            for folder in folders
        ),
        config=SimpleNamespace(get=lambda name, default=None: config.get(name, default)),
        adapter=adapter,
    )
    dest = [SimpleNamespace(name=name, column=name, quoted=f'"{name}"') for name in columns]
    rendered = macros["duckdb__get_merge_sql"](target, source, list(unique_key), dest, list(predicates))
    return str(rendered)
