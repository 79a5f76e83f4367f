"""DuckDB is asked which type an operation has, so that no rule of its types is repeated here."""

from __future__ import annotations

import functools
import re

import duckdb

from slipway.engines.duckdb.database import open_database
from slipway.engines.spark.translation.type_kinds import NULL, Kind, kind_of

_KNOWN: dict[str, Kind] = {}


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """One database without tables for the whole process; each translation has a cursor of its own."""
    connection = open_database()
    connection.execute("set global timezone = 'UTC'")
    return connection


_COLUMN = re.compile(r'"§((?:[^"]|"")*)"')


class Types:
    """Types of expressions of constants and of columns that are named after their type; each is asked for once."""

    def __init__(self) -> None:
        self._connection = _database().cursor()
        self._known = _KNOWN

    def of(self, probe: str) -> Kind:
        """The type of an expression.

        Raises:
            duckdb.Error: DuckDB does not know such an expression.
        """
        if probe not in self._known:
            if probe == "NULL":
                return NULL
            columns = {found[0]: found[1].replace('""', '"') for found in _COLUMN.finditer(probe)}
            row = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
            relation = self._connection.sql(f"SELECT {probe} AS it FROM (SELECT {row or 'NULL'})")
            self._known[probe] = kind_of(relation.types[0])
        return self._known[probe]

    def constant(self, probe: str, kind: Kind) -> str:
        """The value of a constant as text, when it is cast to a type.

        Raises:
            duckdb.Error: the constant has no such value.
        """
        row = self._connection.execute(f"select cast(cast({probe} as {kind.text}) as varchar)").fetchone()
        assert row is not None
        return str(row[0])

    def close(self) -> None:
        """Give the cursor back."""
        self._connection.close()
