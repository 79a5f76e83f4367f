"""The list: every function that is translated, with what it takes and how Spark computes the same.

A name that is not here is refused, however well Spark knows it. ``tests/integration/spark/parity`` has a case for each entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from slipway.engines.spark.translation.scopes import Scope, Value
from slipway.engines.spark.translation.translator import Translator
from slipway.engines.spark.translation.type_kinds import Kind


@dataclass(frozen=True)
class Call:
    """A call of a function: its node, its translated arguments, and where it stands."""

    translator: Translator
    node: exp.Expression
    arguments: Sequence[Value]
    scope: Scope

    def texts(self) -> list[str]:
        """The arguments for Spark."""
        return [one.spark for one in self.arguments]


@dataclass(frozen=True)
class Function:
    """A function of DuckDB that is translated.

    Args:
        name: as DuckDB calls it.
        takes: the classes of its arguments (``CLASSES``); the last may end in ``…`` for any number of them.
        spark: how it is written, with ``{0}`` for the first argument; shown in the reference.
        gives: the type that Spark gives this, where DuckDB's may be another one.
        build: writes it where a pattern is not enough; takes precedence over ``spark``.
        remark: what a reader must know.
    """

    name: str
    takes: tuple[str, ...]
    spark: str
    gives: str | None = None
    build: Callable[[Call], str] | None = None
    remark: str = ""


_TESTS: dict[str, Callable[[Kind], bool]] = {
    "text": lambda kind: kind.id == "varchar",
    "whole number": lambda kind: kind.is_integer,
    "exact number": lambda kind: kind.is_exact,
    "number": lambda kind: kind.is_exact or kind.id == "double",
    "double": lambda kind: kind.id == "double",
    "decimal": lambda kind: kind.id == "decimal",
    "boolean": lambda kind: kind.id == "boolean",
    "date": lambda kind: kind.id == "date",
    "timestamp": lambda kind: kind.id == "timestamp",
    "timestamptz": lambda kind: kind.id == "timestamp with time zone",
    "moment": lambda kind: kind.id in {"date", "timestamp", "timestamp with time zone"},
    "any": lambda _kind: True,
}
CLASSES = (*_TESTS, "constant text", "positive constant")
"""What an argument may be. A ``positive constant`` is a whole number that is written in the query, a ``constant text`` a text."""


def fits(value: Value, node: exp.Expression, wanted: str) -> bool:
    """Whether an argument is of a class."""
    if wanted == "constant text":
        return value.text is not None
    if wanted == "positive constant":
        is_number = isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit()
        return is_number and int(node.this) > 0 and value.kind.id == "integer"
    return _TESTS[wanted](value.kind)


def takes(function: Function, values: Sequence[Value], nodes: Sequence[exp.Expression]) -> bool:
    """Whether a function takes these arguments."""
    wanted = list(function.takes)
    if wanted and wanted[-1].endswith("…"):
        many = wanted.pop().removesuffix("…")
        if len(values) <= len(wanted):
            return False
        wanted += [many] * (len(values) - len(wanted))
    return len(wanted) == len(values) and all(
        fits(value, node, one) for value, node, one in zip(values, nodes, wanted, strict=True)
    )
