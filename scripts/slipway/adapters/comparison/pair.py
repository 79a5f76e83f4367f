"""Two relations that are compared, and the reads every comparison of them needs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.adapters.comparison.sql import Column, as_text, quote, read_side
from slipway.domain.comparison.records import Row

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Profile:
    """The number of rows of one side, and of NULLs by column index."""

    rows: int
    nulls: tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """Two relations, the columns they share, and the connection that reads them.

    Args:
        columns: the columns to compare, in the order of their index.
        examples: how many examples to fetch of each kind.
    """

    con: duckdb.DuckDBPyConnection
    base: str
    head: str
    columns: list[Column]
    examples: int

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Name and relation of both sides."""
        return ("base", self.base), ("head", self.head)

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """All rows of a query."""
        return self.con.execute(sql, list(parameters)).fetchall()

    def profiles(self) -> tuple[Profile, Profile]:
        """Row and NULL counts of base and head."""
        nulls = "".join(f", count(*) - count({quote(column.name)})" for column in self.columns)
        base, head = (self.fetch(f"select count(*){nulls} from {relation}")[0] for _, relation in self.sides)
        return Profile(base[0], base[1:]), Profile(head[0], head[1:])

    def repeated_keys(self, keys: Sequence[Column]) -> str:
        """How many keys occur more than once, by side; empty when the key is unique on both."""
        names = ", ".join(f"k{key.index}" for key in keys)
        found = []
        for side, relation in self.sides:
            read = read_side(relation, keys, side, "1", alias="k")
            repeated = count_rows(self.con, f"(select 1 from {read} group by {names} having count(*) > 1)")
            if repeated:
                found.append(f"{repeated:,} repeated in {side}")
        return ", ".join(found)

    def row_examples(
        self, table: str, columns: Sequence[Column], alias: str, condition: str
    ) -> tuple[Row, ...]:
        """The first rows of a temporary table that meet a condition, as text by column name."""
        values = [f"{alias}{column.index}" for column in columns]
        rows = self.fetch(
            f"select {', '.join(as_text(value) for value in values)} from {table} where {condition}"
            f" order by {', '.join(values)} limit {self.examples}"
        )
        return tuple(dict(zip((column.name for column in columns), row, strict=True)) for row in rows)

    @contextmanager
    def temporary(self, sql: str) -> Iterator[str]:
        """A temporary table with the rows of a query, dropped at the end."""
        name = quote(f"slipway_compare_{uuid.uuid4().hex}")
        self.con.execute(f"create temporary table {name} as {sql}")
        try:
            yield name
        finally:
            self.con.execute(f"drop table {name}")


def count_rows(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    """The number of rows of a relation."""
    row = con.execute(f"select count(*) from {relation}").fetchone()
    assert row is not None
    return int(row[0])


def emptiness(base: Profile, head: Profile) -> tuple[str, ...]:
    """A note where equality says little because there was nothing to look at."""
    return () if base.rows or head.rows else ("both sides are empty",)
