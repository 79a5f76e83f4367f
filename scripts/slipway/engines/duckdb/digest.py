"""Content digests: order-free, additive, so that an incremental write costs only what it touched.

A digest is the row count and two sums of 64-bit numbers modulo 2**128: a hash of each row, and a hash of that hash. DuckDB
joins the hashes of columns by exclusive or, so that values which change places may leave the first sum as it was; they do
not leave the second. Nested values are hashed as DuckDB writes them as text, which tells what their own hashes do not: NULL
from an empty list, one list of lists from another. So are values of 128 bits, whose halves are joined by exclusive or as well:
0 and -1 have the same hash. ``hash`` is not promised to be stable between versions, so the version is
part of the digest's name and digests are compared only under one name. Lineage that differs between equal runs is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import duckdb
from pyiceberg import types as ice
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Snapshot

from slipway.engines.duckdb import engine
from slipway.iceberg.metadata_files import summary_of
from slipway.sql_text import quote

DIGEST = "slipway.digest"
"""Key in a snapshot's summary: the digest of the table's rows."""

VOLATILE_COLUMNS = frozenset({"_landed_at", "_run_id"})
ALGORITHM = f"duckdb-{duckdb.__version__.rsplit('.', 1)[0]}-rowhash4"
_MODULUS = 1 << 128
_WORD_DIGITS = 18  # DuckDB keeps decimals of so many digits in 64 bits, of more in 128


@dataclass(frozen=True)
class Digest:
    """Rows and two hash sums; supports ``+`` and ``-`` of disjoint sets of rows."""

    rows: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: Digest) -> Digest:
        return Digest(
            self.rows + other.rows,
            (self.first + other.first) % _MODULUS,
            (self.second + other.second) % _MODULUS,
        )

    def __sub__(self, other: Digest) -> Digest:
        return self + Digest(-other.rows, -other.first, -other.second)

    def __str__(self) -> str:
        return f"{ALGORITHM}:{self.rows}:{self.first:032x}:{self.second:032x}"

    @classmethod
    def parse(cls, text: str | None) -> Digest | None:
        """Read a digest written by this algorithm; None for any other or none."""
        if not text or not text.startswith(f"{ALGORITHM}:"):
            return None
        rows, first, second = text.removeprefix(f"{ALGORITHM}:").split(":")
        return cls(int(rows), int(first, 16), int(second, 16))


def digest_of(
    cursor: duckdb.DuckDBPyConnection,
    relation: str,
    schema: Schema,
    without: Collection[str] = VOLATILE_COLUMNS,
) -> Digest:
    """The digest of a relation of a schema, in whatever order its columns are; some are left out."""
    arguments = _arguments(schema, without)
    zoned = any(isinstance(schema.find_type(number), ice.TimestamptzType) for number in schema.field_ids)
    # as text, a moment in a nested value would be written in the time zone of the profile
    with engine.setting(cursor, "TimeZone", "UTC") if zoned else nullcontext():
        (row,) = cursor.execute(
            "select count(*), coalesce(sum(one::hugeint), 0), coalesce(sum(hash(one)::hugeint), 0) "
            f"from (select hash({arguments}) as one from {relation})"
        ).fetchall()
    return Digest(int(row[0]), int(row[1]) % _MODULUS, int(row[2]) % _MODULUS)


def digests_by(
    cursor: duckdb.DuckDBPyConnection,
    relation: str,
    schema: Schema,
    column: str | None,
    without: Collection[str] = VOLATILE_COLUMNS,
) -> dict[str, Digest]:
    """The digests of parts of a relation by the value of a column, which the schema need not have; of all of it by ``""`` without one.

    The time zone of the connection has to be UTC.
    """
    by = column or "''"
    rows = cursor.execute(
        "select part, count(*), sum(one::hugeint), sum(hash(one)::hugeint) "
        f"from (select {by} as part, hash({_arguments(schema, without)}) as one from {relation}) group by part"
    ).fetchall()
    return {row[0]: Digest(int(row[1]), int(row[2]) % _MODULUS, int(row[3]) % _MODULUS) for row in rows}


def _arguments(schema: Schema, without: Collection[str]) -> str:
    chosen = sorted((field for field in schema.fields if field.name not in without), key=lambda f: f.name)
    return ", ".join(argument for field in chosen for argument in _hashed(field)) or "0"


def _hashed(field: ice.NestedField) -> Iterator[str]:
    """What is hashed of a column, so that different values give different hashes."""
    column = quote(field.name)
    if isinstance(field.field_type, ice.StructType | ice.ListType | ice.MapType | ice.UUIDType) or (
        isinstance(field.field_type, ice.DecimalType) and field.field_type.precision > _WORD_DIGITS
    ):
        yield f"{column}::varchar"
        return
    yield column
    if isinstance(field.field_type, ice.FloatType | ice.DoubleType):
        yield f"{column} = 0 and signbit({column})"  # 0.0 and -0.0 are equal, and so are their hashes


def recorded(snapshot: Snapshot | None) -> Digest | None:
    """The digest that a snapshot says its rows have; None for one of another algorithm or tool."""
    return Digest.parse(summary_of(snapshot).get(DIGEST))
