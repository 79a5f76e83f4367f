"""Descriptions: what dbt docs shows of a table, from Iceberg metadata alone, and what a table shows of dbt's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pyiceberg.table import Table

from slipway.adapters.dbt.session import Session
from slipway.adapters.iceberg.types import duckdb_type, literal
from slipway.adapters.releases import figures

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


def catalog_query(session: Session, relations: Iterable[Any]) -> str:
    """A query whose rows are what ``dbt docs generate`` wants for every table of the relations' schemas."""
    rows = []
    for database, schema in sorted({(relation.database, relation.schema) for relation in relations}):
        if session.is_environment(database):
            for name in session.names(database, schema):
                table = session.current(database, (schema, name))
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


def column_docs(node: Any) -> dict[str, str]:
    """Column descriptions, where dbt's ``persist_docs`` asks for them."""
    if not (node.config.persist_docs or {}).get("columns"):
        return {}
    return {column.name: " ".join(column.description.split()) for column in node.columns.values()}


def table_properties(node: Any, config: Mapping[str, Any]) -> dict[str, str]:
    """``table_properties``, and the description as the property ``comment`` that other engines show."""
    given = {str(key): str(value) for key, value in (config.get("table_properties") or {}).items()}
    if (node.config.persist_docs or {}).get("relation") and node.description:
        return {"comment": " ".join(node.description.split()), **given}
    return given
