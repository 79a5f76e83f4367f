"""How columns of published tables, and of the results of queries, are classified: by declarations, and by what they are made from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.contracts.classification import Classifications, strictest
from slipway.errors import DamagedError
from slipway.governance.classified_columns import classifications_of, with_lineage
from slipway.governance.query_plan import QueryColumns, UnknownPlanError, columns_of
from slipway.governance.recorded_lineage import TablesOfCut
from slipway.names import TableName
from slipway.releases.cut import Cut
from slipway.releases.published import Published
from slipway.sql_text import quote

if TYPE_CHECKING:
    import duckdb

_OPEN = ("public", "internal")
"""Whoever may query tables may see these."""


def classified_in(
    project: Path, published: Published, tables: Collection[str], cut: Cut, *, show_classified: bool = False
) -> Classifications:
    """How the columns of published tables are classified, also by what they are made from.

    Args:
        project: folder of dbt_project.yml.
        published: the environment.
        tables: ``layer.table`` of those that are asked for.
        cut: which state of the tables.
        show_classified: somebody asked to see all values: nothing is hidden.

    Raises:
        ConfigError: a contract cannot be understood, so that it is not known what it classifies.
    """
    described = _described(published)
    given = classifications_of(project, described, show_classified=show_classified)
    columns = TablesOfCut(published, cut)
    return with_lineage(given, described, tables, columns, published.records, columns.made)


def _described(published: Published) -> dict[str, Any] | None:
    """dbt's manifest of the last release; None where it is not known."""
    with suppress(DamagedError):  # what contracts declare holds all the same
        last = published.records.last_release()
        return published.records.dbt_manifest(last.run_id) if last else None
    return None


def classified_result(
    project: Path, published: Published, cut: Cut, sql: str, columns: Iterable[str]
) -> dict[str, str]:
    """Columns of a result that show more than an internal classification allows, each with the strictest one that it has.

    A column of the result has the classifications of the columns whose values make its own. Where the query cannot be resolved, it has those of the columns of its name
    in the tables that the query may read.

    Args:
        project: folder of dbt_project.yml.
        published: the environment.
        cut: the tables that the query read.
        sql: the query.
        columns: names of the result.

    Raises:
        ConfigError: a contract cannot be understood, so that it is not known what it classifies.
    """
    described = _described(published)
    given = classifications_of(project, described)
    if not any(map(_strict, given.by_name.values())):
        return {}  # columns that are made from others have no other classifications than these
    tables, known = cut.mentioned_in(sql), TablesOfCut(published, cut)
    classified = with_lineage(given, described, tables, known, published.records, known.made)
    by_table = {name: classified.of_table(name).by_name for name in tables}
    if not any(any(map(_strict, found.values())) for found in by_table.values()):
        return {}
    try:
        query = _resolved(published.environment.name, sql, known, tables)
    except UnknownPlanError:
        return _shown({name: frozenset().union(*_of_name(by_table.values(), name)) for name in columns})
    return _shown({name: _of_sources(by_table, query, name) for name in columns})


def _resolved(
    database: str, sql: str, known: Mapping[str, Mapping[str, str]], tables: Iterable[str]
) -> QueryColumns:
    """What a query depends on, found out with tables without rows.

    Raises:
        UnknownPlanError: it is not a query of only these tables, or has something whose lineage is not known.
    """
    import duckdb

    from slipway.engines.duckdb.database import open_database

    with open_database(config={"enable_external_access": False}) as connection:
        try:
            _create(connection, database, known, tables)
        except duckdb.Error as error:
            raise UnknownPlanError(str(error)) from error
        return columns_of(connection, sql)


def _create(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    known: Mapping[str, Mapping[str, str]],
    tables: Iterable[str],
) -> None:
    layers = {TableName.parse(name).namespace.casefold() for name in tables}
    # a table would be one of the database or of the layer of this name, as where the query ran
    called = quote("unnamed" if database.casefold() in layers else database)
    connection.execute(f"attach ':memory:' as {called}")
    connection.execute(f"use {called}")
    for name in tables:
        table = TableName.parse(name)
        if columns := known.get(name):
            listed = ", ".join(f"{quote(column)} {kind}" for column, kind in columns.items())
            connection.execute(f"create schema if not exists {quote(table.namespace)}")
            connection.execute(f"create table {quote(table.namespace)}.{quote(table.name)} ({listed})")


def _of_sources(
    by_table: Mapping[str, Mapping[str, frozenset[str]]], query: QueryColumns, name: str
) -> frozenset[str]:
    own = {column.casefold(): column for column in query.columns}
    if (column := own.get(name.casefold())) is None:
        return frozenset().union(*_of_name(by_table.values(), name))
    made = query.columns[column] - query.only_counted.get(column, frozenset())
    folded = {table.casefold(): found for table, found in by_table.items()}
    return frozenset().union(
        *(
            folded.get(f"{schema}.{table}".casefold(), {}).get(source.casefold(), frozenset())
            for schema, table, source in made
        )
    )


def _of_name(found: Iterable[Mapping[str, frozenset[str]]], name: str) -> list[frozenset[str]]:
    return [by_name.get(name.casefold(), frozenset()) for by_name in found]


def _strict(given: Collection[str]) -> bool:
    return any(one not in _OPEN for one in given)


def _shown(found: Mapping[str, frozenset[str]]) -> dict[str, str]:
    return {name: strictest(given) for name, given in found.items() if _strict(given)}
