"""Types of DuckDB, and the types of Spark that hold the same values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from duckdb.sqltypes import DuckDBPyType

DECIMAL_DIGITS = 38
EXACT_IN_DOUBLE = 15
"""As many digits a DECIMAL may have so that it becomes the nearest DOUBLE by one division, as DuckDB computes it."""

_SPARK = {
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "integer": "INT",
    "bigint": "BIGINT",
    "hugeint": "DECIMAL(38,0)",
    "float": "FLOAT",
    "double": "DOUBLE",
    "varchar": "STRING",
    "blob": "BINARY",
    "date": "DATE",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamp with time zone": "TIMESTAMP",
}

_DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19, "hugeint": 38}


@dataclass(frozen=True)
class Kind:
    """A type of DuckDB.

    Args:
        text: the type as DuckDB writes it.
        id: its name without parameters, in lower case; ``null`` for a NULL without a type.
        precision: digits of a DECIMAL, else 0.
        scale: digits of a DECIMAL after the point, else 0.
        fields: names and types of a struct's fields, in order; the names are empty for ``row(…)``.
    """

    text: str
    id: str
    precision: int = 0
    scale: int = 0
    fields: tuple[tuple[str, Kind], ...] = ()

    @property
    def is_integer(self) -> bool:
        """Whether it is a signed whole number of at most 64 bits."""
        return self.id in {"tinyint", "smallint", "integer", "bigint"}

    @property
    def is_exact(self) -> bool:
        """Whether it is a whole number or a DECIMAL."""
        return self.is_integer or self.id in {"hugeint", "decimal"}

    @property
    def digits(self) -> int:
        """How many decimal digits an exact number of this type has at most."""
        return self.precision if self.id == "decimal" else _DIGITS[self.id]

    @property
    def spark(self) -> str | None:
        """The type of Spark with the same values, or None."""
        if self.id == "decimal":
            return f"DECIMAL({self.precision},{self.scale})"
        if self.id == "struct" and all(name for name, _ in self.fields):
            inner = [(name, kind.spark) for name, kind in self.fields]
            if any(kind is None for _, kind in inner):
                return None
            return "STRUCT<" + ", ".join(f"`{name.replace('`', '``')}`: {kind}" for name, kind in inner) + ">"
        return _SPARK.get(self.id)

    @property
    def probe(self) -> str:
        """An expression of DuckDB that has this type: a column that ``asking`` provides. A NULL would be folded, and lose its type."""
        if self.id == "null":
            return "NULL"
        if self.id == "struct" and not all(name for name, _ in self.fields):
            return "row(" + ", ".join(kind.probe for _, kind in self.fields) + ")"
        return '"§' + self.text.replace('"', '""') + '"'


def kind_of(found: DuckDBPyType) -> Kind:
    """What DuckDB's Python package says of a type, as a value that can be compared."""
    match found.id:
        case "decimal":
            parts: dict[str, Any] = dict(found.children)
            return Kind(str(found), found.id, int(parts["precision"]), int(parts["scale"]))
        case "struct":
            children: list[tuple[str, Any]] = list(found.children)
            return Kind(
                str(found), found.id, fields=tuple((name, kind_of(child)) for name, child in children)
            )
    return Kind(str(found), found.id)


def named(text: str) -> Kind:
    """The kind of a type by DuckDB's name of it."""
    return kind_of(DuckDBPyType(text))


NULL = Kind("NULL", "null")
BOOLEAN, BIGINT, VARCHAR = named("BOOLEAN"), named("BIGINT"), named("VARCHAR")
DOUBLE, DATE, TIMESTAMP = named("DOUBLE"), named("DATE"), named("TIMESTAMP")
INSTANT = named("TIMESTAMP WITH TIME ZONE")


def sum_of(left: Kind, right: Kind) -> tuple[int, int]:
    """Digits and places of the DECIMAL in which Spark adds or subtracts two exact numbers."""
    scale = max(left.scale, right.scale)
    return _adjusted(max(left.digits - left.scale, right.digits - right.scale) + scale + 1, scale)


def product_of(left: Kind, right: Kind) -> tuple[int, int]:
    """Digits and places of the DECIMAL in which Spark multiplies two exact numbers."""
    return _adjusted(left.digits + right.digits + 1, left.scale + right.scale)


def _adjusted(precision: int, scale: int) -> tuple[int, int]:
    """Source: ``DecimalType.adjustPrecisionScale`` of Spark 4.1."""
    if precision <= DECIMAL_DIGITS:
        return precision, scale
    whole = precision - scale
    return DECIMAL_DIGITS, max(DECIMAL_DIGITS - whole, min(scale, 6))
