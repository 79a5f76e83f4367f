"""Tables without rows in place of those that are published, for commands that look only at code.

While ``invocation.current.stubs`` is set, whatever a macro asks the plugin about a relation is answered from here: neither the catalog nor the
landing area nor a file of data is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slipway.names import TableName
from slipway.sql_text import quote

if TYPE_CHECKING:
    from slipway.engines.duckdb.scan import Views

NO_FINDING = "select null::date as business_date, null::varchar as problem where false"
"""The query of a monitor that is not judged."""


class Stubs:
    """What is known of the columns of each table.

    Attributes:
        incremental: whether a model has a table to add to, that is, whether ``is_incremental()`` holds.
        engine: which engine the model that is compiled has; empty for the one that is configured.
        unknown: why the columns of a table are not known, for those that the node being compiled read since ``begin``.
        monitored: relation and arguments of the monitors that were compiled since ``begin``.
    """

    def __init__(self) -> None:
        self.incremental, self.engine = False, ""
        self.unknown: dict[TableName, str] = {}
        self.monitored: list[tuple[str, Mapping[str, Any]]] = []
        self._columns: dict[TableName, Sequence[tuple[str, str]]] = {}
        self._reasons: dict[TableName, str] = {}

    def begin(self, *, incremental: bool = False, engine: str = "") -> None:
        """Get ready for the next node."""
        self.incremental, self.engine = incremental, engine
        self.unknown, self.monitored = {}, []

    def set_columns(self, table: TableName, columns: Iterable[tuple[str, str]]) -> None:
        """Note names and DuckDB types of the columns of a table."""
        self._columns[_folded(table)] = tuple(columns)
        self._reasons.pop(_folded(table), None)

    def set_unknown(self, table: TableName, why: str) -> None:
        """Note why the columns of a table are not known."""
        self._reasons[_folded(table)] = why

    def columns(self, table: TableName) -> list[str] | None:
        """Names of the columns of a table, None where they are not known."""
        found = self._columns.get(_folded(table))
        return None if found is None else [name for name, _ in found]

    def types(self, table: TableName) -> dict[str, str]:
        """DuckDB types of the columns of a table by their names; none where they are not known."""
        return dict(self._columns.get(_folded(table), ()))

    def names(self, schema: str) -> list[str]:
        """Names of the tables in a schema."""
        return [
            table.name for table in {**self._columns, **self._reasons} if table.namespace == schema.lower()
        ]

    def show(self, views: Views, database: str, table: TableName) -> None:
        """Make a relation without rows, or note that its columns are not known."""
        key = _folded(table)
        columns = self._columns.get(key)
        if columns is None:
            self.unknown[table] = self._reasons.get(key, f"nothing says which columns {table} has")
            return
        shown = ", ".join(f"null::{kind} as {quote(name)}" for name, kind in columns)
        views.select(database, table, f"select {shown} where false", json.dumps(columns))

    def monitor(self, config: dict[str, Any]) -> None:
        """Answer a monitor, which is judged by the history of a table: it finds nothing here."""
        self.monitored.append((str(config["relation"]), config["arguments"]))
        config["sql"], config["says"] = NO_FINDING, ""

    def increment(self, config: dict[str, Any]) -> None:
        """Answer for the rows that a model has not read: the condition has the form that it has in a run."""
        column = config.get("column")
        config["predicate"] = f"{column} in (null)" if column else "_run_id in ('')"


def _folded(table: TableName) -> TableName:
    return TableName(table.namespace.lower(), table.name.lower())
