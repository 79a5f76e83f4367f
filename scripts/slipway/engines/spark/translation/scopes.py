"""What the names of a query stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from slipway.engines.spark.translation.type_kinds import Kind


def quoted(name: str) -> str:
    """An identifier of Spark."""
    return "`" + name.replace("`", "``") + "`"


def text_literal(text: str) -> str:
    """A text of Spark; ``${`` would be replaced by a variable of its configuration."""
    escaped = (
        text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\u0024{").replace("\x00", "\\u0000")
    )
    return f"'{escaped}'"


_GIVEN = "__slipway_given"


def computed_once(text: str, body: Callable[[str], str]) -> str:
    """An expression that uses another one several times, and computes it once.

    Args:
        text: the expression for Spark that is used.
        body: writes the whole of a name; it may have neither aggregates nor queries in it.
    """
    if "(" not in text:
        return body(text)
    return f"TRANSFORM(ARRAY({text}), {_GIVEN} -> {body(_GIVEN)})[0]"


@dataclass(frozen=True)
class Column:
    """A column of a query or table: its name as it is written, and its type."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Value:
    """A translated expression.

    Args:
        spark: its text for Spark.
        kind: its type in DuckDB, which the text has on Spark, too.
        probe: an expression of DuckDB with the same type: a constant itself, else a NULL.
        is_constant: whether it has no columns in it.
        text: the characters of a text literal, else None.
    """

    spark: str
    kind: Kind
    probe: str
    is_constant: bool = False
    text: str | None = None


@dataclass
class Source:
    """What a name in FROM stands for."""

    name: str
    columns: list[Column]

    def find(self, name: str) -> Column | None:
        """The column of a name, whatever its case."""
        return next((one for one in self.columns if one.name.lower() == name.lower()), None)


@dataclass
class Scope:
    """The names that an expression of one SELECT can use.

    Args:
        sources: what FROM and its joins bring, in order.
        outer: the scope of the query that this one stands in.
        aliases: expressions of the select list by the lower case of their alias.
        windows: definitions of the WINDOW clause by the lower case of their name.
        merged: columns that USING made one, by the lower case of their name.
    """

    sources: list[Source] = field(default_factory=list)
    outer: Scope | None = None
    aliases: dict[str, exp.Expression] = field(default_factory=dict)
    windows: dict[str, exp.Window] = field(default_factory=dict)
    merged: dict[str, Column] = field(default_factory=dict)
    is_correlated: bool = False
    expanding: list[str] = field(default_factory=list)

    def matches(self, name: str, table: str | None) -> Iterator[tuple[str, Column]]:
        """Texts and columns that a name, with or without a table's, may mean in only this scope."""
        if table is None and name.lower() in self.merged:
            yield quoted(self.merged[name.lower()].name), self.merged[name.lower()]
            return
        for source in self.sources:
            if table is None or source.name.lower() == table.lower():
                found = source.find(name)
                if found is not None:
                    yield f"{quoted(source.name)}.{quoted(found.name)}", found

    def has_source(self, table: str) -> bool:
        """Whether FROM or an outer query's FROM has this name."""
        return any(one.name.lower() == table.lower() for one in self.sources) or (
            self.outer is not None and self.outer.has_source(table)
        )
