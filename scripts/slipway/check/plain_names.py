"""Tables that a query names in plain SQL although a node or source of the project makes them: dbt does not know that they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb

from slipway.dbt.keys.node_key import tables_read
from slipway.dbt.keys.python_code import placed_texts
from slipway.dbt.nodes import find, table_of
from slipway.sql_text import literal

_PART = r'("(?:[^"]|"")+"|\w+)'
_NAME = re.compile(rf"{_PART}\s*\.\s*{_PART}")
_WHOLE = re.compile(rf"{_PART}\s*\.\s*{_PART}\s*\.\s*{_PART}")
_UNKNOWN = re.compile(r"Table with name (\S+) does not exist")
_KINDS = ("model", "seed", "snapshot")

_Table = tuple[str, str]


class Named(NamedTuple):
    """A table that is read by its name.

    Args:
        table: ``schema.table`` as the query has it.
        instead: the Jinja to write.
        line: of the query, counted from 1.
    """

    table: str
    instead: str
    line: int


class PlainNames:
    """The tables of a project, and how each is referred to.

    Args:
        manifest: dbt's.
        cursor: parses SQL.
    """

    def __init__(self, manifest: Any, cursor: duckdb.DuckDBPyConnection) -> None:
        self._manifest, self._cursor = manifest, cursor
        own = manifest.metadata.project_name
        self._instead: dict[_Table, str] = {
            _folded(table_of(source)): f"{{{{ source('{source.source_name}', '{source.name}') }}}}"
            for source in manifest.sources.values()
        }
        for node in manifest.nodes.values():
            if node.resource_type in _KINDS and node.config.materialized != "ephemeral":
                package = "" if node.package_name == own else f"'{node.package_name}', "
                version = getattr(node, "version", None)
                given = f"'{node.name}'" + (f", v={version}" if version is not None else "")
                self._instead[_folded(table_of(node))] = f"{{{{ ref({package}{given}) }}}}"

    def found(self, node: Any, sql: str) -> Named | None:
        """The first table that a query of a node reads by its name, None where there is none."""
        pairs = {(_bare(one), _bare(two)) for one, two in _pairs(sql)}
        if not (named := (pairs & self._instead.keys()) - self._declared(node)):
            return None
        for catalog, schema, table, at in self._read(sql):
            if (key := _folded((schema, table))) in named and catalog in ("", node.database):
                return Named(f"{schema}.{table}", self._instead[key], sql.count("\n", 0, at) + 1)
        return None

    def found_in_python(self, node: Any) -> Named | None:
        """The first table that a text of a Python model names: in a query, or with its database, which a run refuses in any text."""
        declared = self._declared(node)
        for text, line in placed_texts(node.raw_code):
            pairs = {(_bare(one), _bare(two)) for one, two in _pairs(text)}
            if not (named := (pairs & self._instead.keys()) - declared):
                continue
            for catalog, schema, table, at in [*self._read(text), *_whole(text)]:
                if (key := _folded((schema, table))) in named and catalog.lower() in (
                    "",
                    node.database.lower(),
                ):
                    instead = f"dbt.{self._instead[key].strip('{} ')}"
                    return Named(f"{schema}.{table}", instead, line + text.count("\n", 0, at))
        return None

    def meant(self, error: str) -> str:
        """The Jinja for a table that DuckDB does not know, by only the name; empty where no or more than one table has the name."""
        found = _UNKNOWN.search(error)
        name = found.group(1).rstrip("!").lower() if found else ""
        fitting = [instead for (_, table), instead in self._instead.items() if table == name]
        return fitting[0] if len(fitting) == 1 else ""

    def _declared(self, node: Any) -> set[_Table]:
        """What dbt knows that a node reads, and its own table where it makes one."""
        read = [find(self._manifest, name) for name in tables_read(self._manifest, node.unique_id)]
        read += [self._manifest.nodes.get(name) for name in node.depends_on_nodes]  # views, too
        if node.resource_type in _KINDS:
            read.append(node)
        return {_folded(table_of(one)) for one in read if one is not None}

    def _read(self, sql: str) -> Iterator[tuple[str, str, str, int]]:
        """Catalog, schema, name and place of the tables that a query reads, as far as DuckDB can say it."""
        row = self._cursor.execute(f"select json_serialize_sql({literal(sql)})").fetchone()
        waiting: list[Any] = [json.loads(row[0])] if row else []
        while waiting:
            one = waiting.pop(0)
            if isinstance(one, dict):
                if one.get("type") == "BASE_TABLE" and one.get("schema_name"):
                    yield (
                        str(one["catalog_name"]),
                        str(one["schema_name"]),
                        str(one["table_name"]),
                        int(one.get("query_location") or 0),
                    )
                waiting += one.values()
            elif isinstance(one, list):
                waiting += one


def _whole(text: str) -> Iterator[tuple[str, str, str, int]]:
    """Database, schema, name and place of what is named with all three."""
    for found in _WHOLE.finditer(text):
        yield (*map(_bare, found.groups()), found.start())  # type: ignore[misc]


def _pairs(sql: str) -> Iterator[tuple[str, str]]:
    """Neighbours among names that are joined by dots, the middle of three with both."""
    at = 0
    while found := _NAME.search(sql, at):
        yield found.group(1), found.group(2)
        at = found.start(2)


def _bare(part: str) -> str:
    return (part[1:-1].replace('""', '"') if part.startswith('"') else part).lower()


def _folded(table: tuple[str, str]) -> _Table:
    return table[0].lower(), table[1].lower()
