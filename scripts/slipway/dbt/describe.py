"""Descriptions: what dbt shows of a table, only from Iceberg metadata, and what a table shows of dbt's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, cast

import duckdb
from pyiceberg.table import Table

from slipway.dbt.nodes import DbtManifest, DbtNode, table_of
from slipway.environments.profiles import ADAPTER
from slipway.iceberg.types import duckdb_type, literal, quote
from slipway.names import TableName
from slipway.releases.publication import figures
from slipway.runs.run_inputs import RunInputs

_FIXED = (
    "table_database",
    "table_schema",
    "table_name",
    "table_type",
    "table_comment",
    "column_name",
    "column_index",
    "column_type",
    "column_comment",
    "table_owner",
)
_STATISTICS = ("row_count", "size", "files", "snapshot", "written", "run")


def catalog_query(inputs: RunInputs, relations: Iterable[Any]) -> str:
    """A query whose rows are what ``dbt docs generate`` wants for every table of the relations' schemas."""
    rows = []
    for database, schema in sorted({(relation.database, relation.schema) for relation in relations}):
        for name in inputs.names(database, schema):
            table = inputs.current(database, TableName(schema, name))
            if table is not None:
                rows += list(_rows(database, schema, name, table))
    columns = [*_FIXED]
    for statistic in _STATISTICS:
        columns += [f"stats:{statistic}:{part}" for part in ("label", "value", "description", "include")]
    names = ", ".join(f'"{column}"' for column in columns)
    if not rows:
        nothing = ", ".join(f'null as "{column}"' for column in columns)
        return f"select {nothing} limit 0"
    return f"select * from (values {', '.join(rows)}) as catalog({names})"


def _rows(database: str, schema: str, name: str, table: Table) -> Iterator[str]:
    statistics = ", ".join(
        f"{literal(label)}, {literal(value)}, {literal(description)}, true"
        for label, value, description in _statistics(table)
    )
    for at, field in enumerate(table.schema().fields, start=1):
        kind = duckdb_type(field.field_type)
        fixed = ", ".join(
            [
                *map(literal, (database, schema, name, "ICEBERG TABLE", "", field.name)),
                str(at),
                *map(literal, (kind, field.doc or "", "")),
            ]
        )
        yield f"({fixed}, {statistics})"


def _statistics(table: Table) -> list[tuple[str, str, str]]:
    counts, current = figures(table), table.current_snapshot()
    summary = current.summary.additional_properties if current and current.summary else {}
    # plain numbers where dbt docs formats them by their id; a snapshot id as text, agate would make a float of it
    return [
        ("Rows", str(counts["rows"] or 0), "Rows in the current snapshot"),
        ("Size", str(counts["bytes"] or 0), "Bytes of the live data files"),
        ("Files", str(counts["files"] or 0), "Live data files"),
        ("Snapshot", f"#{current.snapshot_id}" if current else "none", "Current Iceberg snapshot"),
        (
            "Written",
            _when(current.timestamp_ms) if current else "never",
            "When the snapshot was written, UTC",
        ),
        ("Run", summary.get("slipway.run-id", "unknown"), "The run that wrote the snapshot"),
    ]


def _when(timestamp_ms: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(timestamp_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def column_docs(node: DbtNode) -> dict[str, str]:
    """Column descriptions, where dbt's ``persist_docs`` asks for them."""
    if not (node.config.get("persist_docs") or {}).get("columns"):
        return {}
    return {column.name: " ".join(column.description.split()) for column in node.columns.values()}


def table_properties(node: DbtNode, config: Mapping[str, Any]) -> dict[str, str]:
    """``table_properties``, and the description as the property ``comment`` that other engines show."""
    given = {str(key): str(value) for key, value in (config.get("table_properties") or {}).items()}
    if (node.config.get("persist_docs") or {}).get("relation") and node.description:
        return {"comment": " ".join(node.description.split()), **given}
    return given


def own_columns(
    inputs: RunInputs, cursor: duckdb.DuckDBPyConnection, manifest: DbtManifest, relation: Any
) -> str:
    """A query with the columns that ``this`` is to have in the unit test that is running; empty for every other table.

    These are the columns of the table, if there is one, and those that a first build would add.
    """
    from dbt_common.events.contextvars import get_node_info

    identifier = TableName(relation.schema, relation.identifier)
    test = manifest.unit_tests.get(str(get_node_info().get("unique_id")))
    tested = test.depends_on.nodes[0] if test else ""
    if not tested or table_of(manifest.nodes[tested]) != identifier:
        return ""
    first = f"(\n{_compiled(manifest, tested)}\n)"
    if inputs.own(identifier) is None:
        return f"select * from {first}"
    known = {str(name).lower() for name in cursor.sql(f"select * from {relation.render()} limit 0").columns}
    new = [name for name in cursor.sql(f"select * from {first} limit 0").columns if name.lower() not in known]
    added = "".join(f", added.{quote(name)}" for name in new)
    return f"select own.*{added} from {relation.render()} as own{f', {first} as added' if new else ''}"


def _compiled(manifest: DbtManifest, unique_id: str) -> str:
    """A model's query as its first build would run it."""
    from dbt.adapters.factory import FACTORY
    from dbt.compilation import Compiler
    from dbt.contracts.graph.manifest import Manifest

    node: Any = deepcopy(manifest.nodes[unique_id])
    node.compiled, node.compiled_code, node.extra_ctes, node.extra_ctes_injected = False, None, [], False
    config: Any = FACTORY.adapters[ADAPTER].config  # type: ignore[attr-defined]
    done = Compiler(config).compile_node(node, cast("Manifest", manifest), write=False)
    return str(done.compiled_code)
