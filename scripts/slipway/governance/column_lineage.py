"""Column lineage of the tables of a project: which columns each column is made from, and which decide what rows there are.

A table whose query cannot be resolved (a Python model, a function that DuckDB does not know, a column of an unknown type) has a reason instead, and every
question about it is answered as if each of its columns depended on every column that its model reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from slipway.errors import first_line
from slipway.governance.query_plan import QueryColumns, Sources, UnknownPlanError, columns_of
from slipway.iceberg.types import duckdb_type
from slipway.records.record import SCHEMA_VERSION, Record
from slipway.releases.lookup import is_table
from slipway.sql_text import quote

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.schema import Schema

Columns = Mapping[str, str]
"""Names of the columns of a table to their DuckDB types."""
NOT_COMPILED = "its compiled query is not recorded"
"""Why the lineage of a table is not known in a manifest of dbt, although another one may have its query."""
_NODES = ("nodes", "sources")
_PASSED_OVER = ("test", "operation", "analysis", "unit_test")


class TableLineage(Record):
    """What the columns of a table depend on.

    Args:
        table: ``layer.table``.
        parents: tables that its model reads, through views and ephemeral models, too.
        columns: each column to the columns that its values are made from, by table.
        rows: columns that decide which rows the table has, or what is summed up in one, by table: those of filters, joins, groups, keys. If one of them
            changes, every column may change.
        only_counted: those of ``columns`` whose values are not in the column: rows are counted, ranked or chosen by them, or they are asked for NULL.
        unknown: why the lineage is not known; empty where it is. ``columns`` and ``rows`` are empty then.
    """

    schema_version: int = SCHEMA_VERSION
    table: str
    parents: list[str] = Field(default_factory=list)
    columns: dict[str, dict[str, list[str]]] = Field(default_factory=dict)
    rows: dict[str, list[str]] = Field(default_factory=dict)
    only_counted: dict[str, dict[str, list[str]]] = Field(default_factory=dict)
    unknown: str = ""

    def depends_on(self, column: str | None, parent: str, changed: Collection[str] | None) -> bool:
        """Whether a change of a table above can be seen in a column.

        Args:
            column: of this table; None for its rows, which are added or removed.
            parent: a table that its model reads.
            changed: columns of it whose values changed; None where rows came or went, or it is not known which columns changed.
        """
        if parent not in self.parents and parent != self.table:
            return False
        if self.unknown or changed is None:
            return True
        wanted = {name.casefold() for name in changed}
        if wanted & {name.casefold() for name in self.rows.get(parent, ())}:
            return True
        if column is None:
            return False
        own = {name.casefold(): made for name, made in self.columns.items()}
        if (made := own.get(column.casefold())) is None:
            return True  # something else than the query writes it
        return bool(wanted & {name.casefold() for name in made.get(parent, ())})


def columns_of_schema(schema: Schema) -> dict[str, str]:
    """Names and DuckDB types of the columns of an Iceberg table."""
    return {column.name: duckdb_type(column.field_type) for column in schema.fields}


def lineages(
    dbt_manifest: Mapping[str, Any],
    schemas: Mapping[str, Columns],
    only: Collection[str] | None = None,
) -> dict[str, TableLineage]:
    """The column lineage of all tables of a project.

    Args:
        dbt_manifest: dbt's manifest as JSON, with compiled queries.
        schemas: ``layer.table`` to its columns, of all tables that models read.
        only: the tables that are asked for; None for all.

    Returns:
        ``layer.table`` to its lineage; a table whose lineage is not known says why.
    """
    return _Project(dbt_manifest, schemas).lineages(only)


def upstream(found: Mapping[str, TableLineage], table: str, column: str) -> dict[str, set[str]]:
    """All columns that the values of a column are made from, over any number of tables.

    Returns:
        ``layer.table`` to columns; a table whose lineage is not known has all of its parents' known columns in the answer, under the name ``*``.
    """
    answer: dict[str, set[str]] = {}
    waiting = [(table, column)]
    while waiting:
        at, name = waiting.pop()
        lineage = found.get(at)
        if lineage is None:
            continue
        if lineage.unknown or name == "*" or name not in lineage.columns:
            above: Iterable[tuple[str, str]] = [(parent, "*") for parent in lineage.parents]
        else:
            above = [(parent, one) for parent, names in lineage.columns[name].items() for one in names]
        for parent, one in above:
            if one not in answer.setdefault(parent, set()):
                answer[parent].add(one)
                waiting.append((parent, one))
    return answer


def with_all_above(dbt_manifest: Mapping[str, Any], tables: Collection[str]) -> set[str]:
    """Tables, and all that they are made from, over any number of models."""
    project = _Project(dbt_manifest, {})
    return project.with_all_above(tables)


class _Project:
    """The tables of a project without rows, in DuckDB."""

    def __init__(self, dbt_manifest: Mapping[str, Any], schemas: Mapping[str, Columns]) -> None:
        nodes: dict[str, Mapping[str, Any]] = {}
        for kind in _NODES:
            nodes |= dbt_manifest.get(kind) or {}
        self._nodes = {
            name: node for name, node in nodes.items() if node["resource_type"] not in _PASSED_OVER
        }
        self._schemas = schemas
        self._names = {unique_id: _name(node) for unique_id, node in self._nodes.items()}
        self._whys: dict[str, str] = {}
        self._parents: dict[str, set[str]] = {}

    def lineages(self, only: Collection[str] | None) -> dict[str, TableLineage]:
        """The lineage of each table that is asked for."""
        from slipway.engines.duckdb.database import open_database

        wanted = {unique_id for unique_id in self._nodes if only is None or self._names[unique_id] in only}
        needed = {self._names[unique_id] for unique_id in wanted}
        needed |= {name for unique_id in wanted for name in self.parents(unique_id)}
        with open_database() as connection:
            self._create(connection, needed)
            return {
                self._names[unique_id]: self._lineage(connection, unique_id, node)
                for unique_id, node in self._nodes.items()
                if unique_id in wanted and node["resource_type"] != "source" and is_table(node)
            }

    def _create(self, connection: duckdb.DuckDBPyConnection, needed: Collection[str]) -> None:
        import duckdb

        attached: set[str] = {"memory"}
        for unique_id, node in self._nodes.items():
            database, schema = str(node.get("database") or "memory"), str(node["schema"])
            if database not in attached:
                connection.execute(f"attach ':memory:' as {quote(database)}")
                attached.add(database)
            connection.execute(f"create schema if not exists {quote(database)}.{quote(schema)}")
            if _is_view(node) or self._names[unique_id] not in needed:
                continue
            if not (columns := self._schemas.get(self._names[unique_id])):
                continue
            listed = ", ".join(f"{quote(name)} {kind}" for name, kind in columns.items())
            try:
                connection.execute(f"create table {_relation(node)} ({listed})")
            except duckdb.Error as error:
                self._whys[unique_id] = first_line(error)
        for unique_id in self._views():
            node = self._nodes[unique_id]
            try:
                connection.execute(f"create view {_relation(node)} as {node.get('compiled_code') or ''}")
            except duckdb.Error as error:
                self._whys[unique_id] = first_line(error)

    def _views(self) -> list[str]:
        """Views, each after those that it reads."""
        ordered: dict[str, None] = {}

        def add(unique_id: str) -> None:
            for parent in _depends(self._nodes[unique_id]):
                if parent in self._nodes and parent not in ordered:
                    add(parent)
            if _is_view(self._nodes[unique_id]):
                ordered[unique_id] = None

        for unique_id in self._nodes:
            add(unique_id)
        return list(ordered)

    def parents(self, unique_id: str) -> set[str]:
        """Tables that a node reads."""
        if unique_id not in self._parents:
            self._parents[unique_id] = set()
            for parent in _depends(self._nodes[unique_id]):
                if (node := self._nodes.get(parent)) is None:
                    continue
                if node["resource_type"] == "source" or is_table(node):
                    self._parents[unique_id].add(self._names[parent])
                else:
                    self._parents[unique_id] |= self.parents(parent)
        return self._parents[unique_id]

    def with_all_above(self, tables: Collection[str]) -> set[str]:
        """Tables, and all that they are made from."""
        ids: dict[str, list[str]] = {}
        for unique_id, name in self._names.items():
            ids.setdefault(name, []).append(unique_id)
        found, waiting = set[str](), list(tables)
        while waiting:
            if (name := waiting.pop()) in found:
                continue
            found.add(name)
            waiting += [parent for unique_id in ids.get(name, ()) for parent in self.parents(unique_id)]
        return found

    def _lineage(
        self, connection: duckdb.DuckDBPyConnection, unique_id: str, node: Mapping[str, Any]
    ) -> TableLineage:
        table, parents = self._names[unique_id], sorted(self.parents(unique_id))
        if node["resource_type"] == "seed":
            return TableLineage(table=table)
        why = ""
        if node.get("language", "sql") != "sql":
            why = "it is a Python model"
        elif not node.get("compiled_code"):
            why = NOT_COMPILED
        if not why:
            try:
                found = columns_of(connection, str(node["compiled_code"]).strip().rstrip(";"))
                return _of_query(table, parents, found, _keys(node))
            except UnknownPlanError as error:
                why = str(error)
        return TableLineage(table=table, parents=parents, unknown=why)


def _of_query(
    table: str, parents: Collection[str], found: QueryColumns, keys: Collection[str]
) -> TableLineage:
    """The lineage of a table by that of its query.

    Raises:
        UnknownPlanError: the query reads a table that dbt does not know of.
    """
    rows = found.rows
    own = {name.casefold(): made for name, made in found.columns.items()}
    for key in keys:  # a merge finds rows by them
        if key.casefold() not in own:
            raise UnknownPlanError(f"its key {key} is no column of its query")
        rows |= own[key.casefold()]
    by_table = {name: _by_table(made) for name, made in found.columns.items()}
    decide = _by_table(rows)
    read = {name for one in (*by_table.values(), decide) for name in one}
    if unknown := sorted(read - {*parents, table}):
        raise UnknownPlanError(f"it reads {', '.join(unknown)}, which dbt does not know of")
    counted = {name: _by_table(only) for name, only in found.only_counted.items()}
    return TableLineage(
        table=table, parents=list(parents), columns=by_table, rows=decide, only_counted=counted
    )


def _by_table(sources: Sources) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for schema, table, column in sorted(sources):
        found.setdefault(f"{schema}.{table}", []).append(column)
    return found


def _keys(node: Mapping[str, Any]) -> list[str]:
    """Columns by which an incremental model or a snapshot finds the rows that it replaces."""
    given = (node.get("config") or {}).get("unique_key")
    return list(given) if isinstance(given, list) else [given] if given else []


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['schema']}.{node.get('alias') or node.get('identifier') or node['name']}"


def _relation(node: Mapping[str, Any]) -> str:
    schema, _, name = _name(node).partition(".")
    return ".".join(map(quote, (str(node.get("database") or "memory"), schema, name)))


def _is_view(node: Mapping[str, Any]) -> bool:
    return (node.get("config") or {}).get("materialized") == "view" and node["resource_type"] == "model"


def _depends(node: Mapping[str, Any]) -> list[str]:
    return list((node.get("depends_on") or {}).get("nodes") or ())
