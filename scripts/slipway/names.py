"""What layers, tables, columns, feeds and targets may be called: one rule for every command, catalog and store.

Names of layers, tables, feeds and targets become folders, object keys, file names of records, rows of a catalog and SQL
identifiers of several engines, so only characters are allowed that mean the same in all of these. Names of columns stay
inside files and schemas, where any visible text works. Why: docs/decisions/0030-names.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Self

LONGEST_TABLE = 128
"""Characters of ``layer.table``. The longest file name with it is a candidate record, ``layer.table.json.000001``: 140 bytes,
while file systems take 255, and encrypted ones (eCryptfs) 143."""
LONGEST_COLUMN = 255
"""Bytes of UTF-8, the limit of AWS Glue."""
SEMANTIC_LAYER = ("semantic_models", "metrics", "saved_queries")
"""Parts of dbt's manifest for which nothing is built, and on which an exposure may depend instead of a model."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PLAIN_LOWER = re.compile(r"[a-z0-9][a-z0-9_]*")
_ONLY = "only letters of ASCII, digits, _ and - are allowed, and a letter or digit in front"
_ONLY_LOWER = (
    "this catalog takes only lower-case letters of ASCII, digits and _, and a letter or digit in front"
)
_HELPERS = ("__partition_", "__slipway_", "__duckdb_field_id")
"""Beginnings of columns that slipway adds while it writes a table."""
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories without anything to see: controls, formats such as right-to-left marks, unassigned, separators."""
_SPELLED = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
)


class TableName(NamedTuple):
    """The name of a table in an environment; pyiceberg takes it as an identifier, and JSON has it as a list."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The table that ``namespace.name`` means; only a namespace may have dots in it."""
        namespace, _, name = text.rpartition(".")
        return cls(namespace, name)

    @classmethod
    def of(cls, parts: Sequence[str]) -> Self:
        """The table of an Iceberg identifier, of which all parts but the last are the namespace."""
        return cls(".".join(parts[:-1]), parts[-1])

    @property
    def layer(self) -> str:
        """The first part of the namespace."""
        return self.namespace.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"


class Kind(StrEnum):
    """What a name is of."""

    LAYER = "layer"
    TABLE = "table"
    COLUMN = "column"
    FEED = "feed"
    TARGET = "target"


RESERVED: Mapping[Kind, Mapping[str, str]] = {
    Kind.LAYER: {
        "landing": "slipway shows the landed files under it",
        "ops": "slipway keeps its own tables in it",
        "information_schema": "DuckDB has its own",
        "pg_catalog": "DuckDB has its own",
        "memory": "DuckDB has a database of this name",
        "system": "DuckDB has a database of this name",
        "temp": "DuckDB has a database of this name",
    },
    Kind.TARGET: {
        "main": "DuckDB does not attach a database of this name",
        "system": "DuckDB has a database of this name",
        "temp": "DuckDB has a database of this name",
        "information_schema": "DuckDB has a schema of this name in every database",
        "pg_catalog": "DuckDB has a schema of this name in every database",
        "logs": "slipway keeps the logs of runs in a folder of this name",
        "scratch": "slipway keeps scratch environments in a folder of this name",
        "spill": "DuckDB writes temporary files to a folder of this name",
    },
}
"""Names that stand for something else, with the reason; upper and lower case are one."""


def why_not(kind: Kind, name: str, *, lower_case: bool = False) -> str:
    """Why something cannot have a name; empty when it can. AWS Glue keeps layers and tables in lower case."""
    if not name:
        return "it is empty"
    if kind is Kind.COLUMN:
        return _why_not_column(name)
    lowered = lower_case and kind in (Kind.LAYER, Kind.TABLE)
    if not (_PLAIN_LOWER if lowered else _PLAIN).fullmatch(name):
        return _ONLY_LOWER if lowered and _PLAIN.fullmatch(name) else _ONLY
    if reason := RESERVED.get(kind, {}).get(name.lower()):
        return f"the name is reserved: {reason}"
    if len(name) > LONGEST_TABLE // 2 and kind is not Kind.TABLE:
        return f"it has {len(name)} characters, and {LONGEST_TABLE // 2} are allowed"
    if len(name) > LONGEST_TABLE - 2:
        return f"it has {len(name)} characters, and with its layer {LONGEST_TABLE} are allowed"
    return ""


def why_not_together(layer: str, table: str) -> str:
    """Why a layer and a table, each of which may have its name, cannot go together; empty when they can."""
    length = len(layer) + 1 + len(table)
    return f"it has {length} characters, and {LONGEST_TABLE} are allowed" if length > LONGEST_TABLE else ""


def nearest(kind: Kind, name: str, *, lower_case: bool = False) -> str:
    """An allowed name that is as close to a name as can be; an allowed one is its own."""
    if not why_not(kind, name, lower_case=lower_case):
        return name
    if kind is Kind.COLUMN:
        return _nearest_column(name)
    found = unicodedata.normalize("NFKD", name.translate(_SPELLED))
    found = "".join(sign for sign in found if not unicodedata.combining(sign))
    lowered = lower_case and kind in (Kind.LAYER, Kind.TABLE)
    found = re.sub(r"[^a-z0-9]+" if lowered else r"[^A-Za-z0-9-]+", "_", found.lower() if lowered else found)
    found = found.strip("_-")[: LONGEST_TABLE // 2] or str(kind)
    return f"{found}_{kind}" if found.lower() in RESERVED.get(kind, {}) else found


def shown(name: str) -> str:
    """A name for a message: what is invisible in it is written as an escape."""
    return name if name.isprintable() and name == name.strip() and name else ascii(name)


def twin_key(name: str) -> str:
    """Two names with the same key are one name to some reader: DuckDB, Spark and Windows fold case."""
    return unicodedata.normalize("NFC", name).lower()


def twins(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names of which a reader would find only one, in the order given."""
    known: dict[str, str] = {}
    found = []
    for name in names:
        if (key := twin_key(name)) in known:
            found.append((known[key], name))
        known.setdefault(key, name)
    return found


def _why_not_column(name: str) -> str:
    if name.lower().startswith(_HELPERS):
        return "the name is reserved for writing"
    hidden = [
        sign for sign in name if unicodedata.category(sign) in _INVISIBLE or (sign.isspace() and sign != " ")
    ]
    if hidden:
        return f"it has the invisible character U+{ord(hidden[0]):04X}"
    if name != name.strip():
        return "it begins or ends with a space"
    if name != unicodedata.normalize("NFC", name):
        return "its accents are separate characters, which look like one and are another name (Unicode NFC is needed)"
    if (size := len(name.encode())) > LONGEST_COLUMN:
        return f"it has {size} bytes, and {LONGEST_COLUMN} are allowed"
    return ""


def _nearest_column(name: str) -> str:
    found = unicodedata.normalize("NFC", name)
    found = "".join(" " if sign.isspace() else sign for sign in found)
    found = "".join(sign for sign in found if unicodedata.category(sign) not in _INVISIBLE)
    found = unicodedata.normalize("NFC", found)
    if found.lower().startswith(_HELPERS):
        found = found.lstrip("_")
    found = found.encode()[:LONGEST_COLUMN].decode(errors="ignore").strip()
    return found or str(Kind.COLUMN)
