"""Descriptions: what dbt shows of a table, only from Iceberg metadata, and what a table shows of dbt's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import Table

from slipway.contracts.contract_files import read_contracts
from slipway.dbt.compiled import compiled
from slipway.dbt.nodes import DbtManifest, DbtNode, table_of
from slipway.engines.duckdb.target import COMMENT
from slipway.engines.writers import engine_in
from slipway.iceberg.types import duckdb_type
from slipway.landing.feeds import Feed
from slipway.names import TableName
from slipway.releases.publication import figures
from slipway.runs.run_inputs import RunInputs
from slipway.sql_text import literal, quote

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
TABLE_TYPE = "ICEBERG TABLE"
_STATISTICS = ("row_count", "size", "files", "snapshot", "written", "run", "engine")


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
    shown = ", ".join(
        f"{literal(label)}, {literal(value)}, {literal(description)}, true"
        for label, value, description in statistics(table).values()
    )
    for at, (column, kind, comment) in enumerate(columns_of(table), start=1):
        fixed = ", ".join(
            [
                *map(literal, (database, schema, name, TABLE_TYPE, "", column)),
                str(at),
                *map(literal, (kind, comment, "")),
            ]
        )
        yield f"({fixed}, {shown})"


def columns_of(table: Table) -> list[tuple[str, str, str]]:
    """Name, DuckDB type and comment of each column of a table."""
    return [(field.name, duckdb_type(field.field_type), field.doc or "") for field in table.schema().fields]


def statistics(table: Table) -> dict[str, tuple[str, str, str]]:
    """Label, value and description of what dbt's docs show of a table, by dbt's id."""
    counts, current = figures(table), table.current_snapshot()
    summary = current.summary.additional_properties if current and current.summary else {}
    # plain numbers where dbt docs formats them by their id; a snapshot id as text, agate would make a float of it
    values = (
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
        ("Engine", engine_in(summary) or "unknown", "What computed the rows of the snapshot"),
    )
    return dict(zip(_STATISTICS, values, strict=True))


def _when(timestamp_ms: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(timestamp_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


class Descriptions:
    """The descriptions that tables get, where dbt's ``persist_docs`` asks for them: those of dbt's YAML, and of contracts for columns that have none there.

    Args:
        project: folder of dbt_project.yml, whose contracts are read once.
    """

    def __init__(self, project: Path) -> None:
        self._project = project

    @cached_property
    def _of_contracts(self) -> dict[str, dict[str, str]]:
        """Tables, as ``layer.table`` or by only their names, to their columns and what contracts say of them."""
        found: dict[str, dict[str, str]] = {}
        for contract in read_contracts(self._project):
            feed = Feed.of(contract)
            for table in contract.tables:
                name = f"raw.{feed.name}" if feed else table.physical_name or table.name
                found[name] = {column.header: column.description or "" for column in table.columns}
        return found

    def columns(self, node: DbtNode) -> dict[str, str]:
        """Columns to their descriptions, each on one line; empty for a column without one."""
        if not (node.config.get("persist_docs") or {}).get("columns"):
            return {}
        known = self._of_contracts
        promised = known.get(f"{node.schema}.{node.alias}") or known.get(node.alias) or {}
        found = {name.lower(): (name, text) for name, text in promised.items()}
        for column in node.columns.values():
            _, text = found.get(column.name.lower(), ("", ""))
            found[column.name.lower()] = (column.name, column.description or text)
        return {name: " ".join(text.split()) for name, text in found.values()}

    def digest(self, node: DbtNode) -> str:
        """A hash of all that ``persist_docs`` asks to be written; empty for nothing."""
        written = [self.columns(node), comment(node)]
        return hashlib.sha256(json.dumps(written).encode()).hexdigest()[:16] if any(written) else ""


def comment(node: DbtNode) -> str | None:
    """The property ``comment`` of a table that other engines show: configured, or the description where ``persist_docs`` asks for it; None for none."""
    given = (node.config.get("table_properties") or {}).get(COMMENT)
    if given is not None:
        return str(given)
    asked = (node.config.get("persist_docs") or {}).get("relation")
    return " ".join(node.description.split()) or None if asked else None


def table_properties(node: DbtNode, config: Mapping[str, Any]) -> dict[str, str]:
    """``table_properties``, and the description as the property ``comment``."""
    given = {str(key): str(value) for key, value in (config.get("table_properties") or {}).items()}
    described = comment(node)
    return given if described is None else {COMMENT: described, **given}


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
    first = f"(\n{compiled(manifest, tested)}\n)"
    if inputs.own(identifier) is None:
        return f"select * from {first}"
    known = {str(name).lower() for name in cursor.sql(f"select * from {relation.render()} limit 0").columns}
    new = [name for name in cursor.sql(f"select * from {first} limit 0").columns if name.lower() not in known]
    added = "".join(f", added.{quote(name)}" for name in new)
    return f"select own.*{added} from {relation.render()} as own{f', {first} as added' if new else ''}"
