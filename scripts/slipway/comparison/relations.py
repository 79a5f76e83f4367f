"""Two relations that are compared: their identifiers, common types, and the distance between two values."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Any, Protocol

from slipway.comparison.policy import Tolerance
from slipway.comparison.results import Row
from slipway.sql_text import quote

if TYPE_CHECKING:
    import duckdb


_INTEGERS = {
    "TINYINT": 3,
    "SMALLINT": 5,
    "INTEGER": 10,
    "BIGINT": 19,
    "UTINYINT": 3,
    "USMALLINT": 5,
    "UINTEGER": 10,
    "UBIGINT": 20,
}
_HUGE_INTEGERS = ("HUGEINT", "UHUGEINT")
_FLOATS = ("FLOAT", "DOUBLE")
_MICROSECOND_TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_MAX_DIGITS = 38
_EXACT = Context(prec=400)
_MAX_TEXT = 200
_ITEMS = 100
_SIDES = ("base", "head")
_BITS, _BITS_A_VALUE = 2**27, 64
"""At most, of the range of a key: as each thread of DuckDB holds them, and as counting the values would take."""
_PARTS = 10_000
"""A sample is chosen to this part of the rows."""


def as_text(value: str) -> str:
    """SQL for a value as text of at most 200 characters, NULL for NULL."""
    text = f"cast({value} as varchar)"
    return f"case when length({text}) > {_MAX_TEXT} then left({text}, {_MAX_TEXT}) || '…' else {text} end"


def common_type(base: str, head: str) -> str | None:
    """The type in which values of two types compare without loss; None when there is none.

    An exact number against a float compares as DOUBLE, as it would in any query.
    """
    if base == head:
        return base
    numbers = [_digits(type_) for type_ in (base, head)]
    if all(type_ in _FLOATS or number for type_, number in zip((base, head), numbers, strict=True)):
        exact = [number for number in numbers if number is not None]
        if len(exact) < len(numbers):
            return "DOUBLE"
        scale = max(number[1] for number in exact)
        width = max(number[0] - number[1] for number in exact) + scale
        return f"DECIMAL({width},{scale})" if width <= _MAX_DIGITS else None
    if {base, head} <= {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"}:
        return "TIMESTAMP"
    if {base, head} <= {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}:
        return "TIMESTAMP_NS"
    return None


def is_number(type_: str) -> bool:
    """Whether a type is of numbers."""
    return type_ in _FLOATS or is_exact_number(type_)


def is_exact_number(type_: str) -> bool:
    """Whether a type is of integers or decimals."""
    return type_ in _HUGE_INTEGERS or _digits(type_) is not None


def _digits(type_: str) -> tuple[int, int] | None:
    """Decimal digits and scale that hold every value of an exact type."""
    if type_ in _INTEGERS:
        return _INTEGERS[type_], 0
    found = _DECIMAL.fullmatch(type_)
    return (int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True)
class Column:
    """A column in a comparison, known in SQL as ``b<n>`` on the base side and ``h<n>`` on the head side.

    Args:
        index: the ``n``.
        name: its name in both relations.
        base_type: type in base; ``head_type`` in head.
        type: the type both are compared in.
        tolerance: how far values may move.
    """

    index: int
    name: str
    base_type: str
    head_type: str
    type: str
    tolerance: Tolerance | None = None

    @property
    def base(self) -> str:
        """Its base value in the joined relation."""
        return f"b{self.index}"

    @property
    def head(self) -> str:
        """Its head value in the joined relation."""
        return f"h{self.index}"

    def read(self, own_type: str) -> str:
        """SQL that reads it from its own relation, in the type of the comparison."""
        value = quote(self.name)
        if own_type != self.type:
            value = f"cast({value} as {self.type})"
        if self.type.startswith("MAP(") and self.type.endswith(")"):
            # The order of a map's entries means nothing, but DuckDB's equality sees it.
            value = f"list_sort(map_entries({value}))"
        return value

    @property
    def differs(self) -> str:
        """SQL predicate: the two values are not the same (NULL and NaN equal themselves, -0.0 equals 0.0)."""
        return f"({self.base} is distinct from {self.head})"

    @property
    def unit(self) -> str | None:
        """The unit of a distance where the type does not say it."""
        if self.type == "DATE":
            return "days"
        return "seconds" if self._ticks_per_second else None

    @property
    def has_distance(self) -> bool:
        """Whether the type is a number, a date or a timestamp."""
        return self._is_number or self.unit is not None

    @property
    def distance(self) -> str:
        """SQL for ``|head - base|`` as DOUBLE in ``unit``; NULL where a value is NULL or not finite."""
        if self.type in _FLOATS:
            change = f"abs(cast({self.head} as double) - cast({self.base} as double))"
            return f"case when isfinite({change}) then {change} end"
        exact = f"cast({self._exact_distance} as double)"
        if self._ticks_per_second:
            return f"{exact} / {self._ticks_per_second}"
        if self.unit:
            return exact
        # The difference of two 38 digit numbers may need 39.
        return f"coalesce({exact}, abs(cast({self.head} as double) - cast({self.base} as double)))"

    @property
    def relative_distance(self) -> str:
        """SQL for ``|head - base| / |base|`` as DOUBLE; NULL where base is zero, where it is not finite, and for times."""
        if not self._is_number:
            return "cast(null as double)"
        change = f"{self.distance} / nullif(abs(cast({self.base} as double)), 0)"
        return f"case when isfinite({change}) then {change} end"

    @property
    def tolerated(self) -> str:
        """SQL predicate: the values differ and the tolerance allows it."""
        if self.tolerance is None:
            return "false"
        bounds = []
        if self.tolerance.absolute is not None:
            bounds.append(self._within_absolute(self.tolerance.absolute))
        if self.tolerance.relative is not None:
            bounds.append(f"{self.relative_distance} <= cast('{self.tolerance.relative}' as double)")
        return f"({self.differs} and coalesce({' or '.join(bounds)}, false))"

    def refusal(self) -> str | None:
        """Why the tolerance cannot be applied, or None."""
        if self.tolerance is None:
            return None
        if not self.has_distance:
            return f"compare_tolerance.{self.name}: {self.type} has no distance"
        if self.tolerance.relative is not None and not self._is_number:
            return f"compare_tolerance.{self.name}: {self.type} takes absolute ({self.unit}), not relative"
        return None

    def _within_absolute(self, bound: Decimal) -> str:
        if self.type in _FLOATS:
            return f"{self.distance} <= cast('{bound}' as double)"
        ticks = self._ticks_per_second or 1
        # Distances are whole multiples of the last decimal place, so the bound may be rounded down to it.
        largest = Decimal("9" * _MAX_DIGITS).scaleb(-self._scale, _EXACT)
        bound = min(_EXACT.multiply(bound, Decimal(ticks)), largest)
        bound = bound.quantize(Decimal(1).scaleb(-self._scale), ROUND_FLOOR, _EXACT)
        return f"{self._exact_distance} <= cast('{bound:f}' as decimal({_MAX_DIGITS},{self._scale}))"

    @property
    def _is_number(self) -> bool:
        return self.type in _FLOATS or self.type in _HUGE_INTEGERS or _digits(self.type) is not None

    @property
    def _scale(self) -> int:
        digits = _digits(self.type)
        return digits[1] if digits else 0

    @property
    def _ticks_per_second(self) -> int | None:
        if self.type in _MICROSECOND_TIMES:
            return 1_000_000
        return 1_000_000_000 if self.type == "TIMESTAMP_NS" else None

    @property
    def _exact_distance(self) -> str:
        """SQL for the distance as DECIMAL(38, scale); NULL when it does not fit."""
        if self.type == "DATE":
            days = f"cast(abs({self.head} - {self.base}) as decimal({_MAX_DIGITS},0))"
            return f"case when isfinite({self.base}) and isfinite({self.head}) then {days} end"
        ticks = {1_000_000: "epoch_us({})", 1_000_000_000: "epoch_ns({})", None: "{}"}[self._ticks_per_second]
        base, head = (
            f"cast({ticks.format(value)} as decimal({_MAX_DIGITS},{self._scale}))"
            for value in (self.base, self.head)
        )
        return f"try(abs({head} - {base}))"


def read_side(relation: str, columns: Sequence[Column], side: str, marker: str, *, alias: str) -> str:
    """A subquery over one relation with its columns under positional names.

    Args:
        relation: SQL of the relation.
        columns: what to read.
        side: ``base`` or ``head``.
        marker: an SQL select item that marks the rows of this side.
        alias: the letter before the column's index.
    """
    items = [marker]
    for column in columns:
        own_type = column.base_type if side == "base" else column.head_type
        items.append(f"{column.read(own_type)} as {alias}{column.index}")
    return f"(select {', '.join(items)} from {relation})"


@dataclass(frozen=True)
class Profile:
    """The number of rows of one side, and of NULLs by column index, None where these are not counted."""

    rows: int
    nulls: tuple[int | None, ...]


class Shared(Protocol):
    """Rows that both sides have besides those of the relations that are compared."""

    @property
    def rows(self) -> int:
        """How many there are."""

    def nulls(self, column: str) -> int | None:
        """NULLs of a column, None where they are not counted."""

    def having(self, column: str, low: object, high: object, *, read: bool) -> int | None:
        """Rows with a value in a column that is in a range, both ends included; None where they would have to be read for that, and are not."""

    def with_keys(self, keys: Sequence[Column]) -> str | None:
        """SQL of the keys that may be those of compared rows, too, as ``k<n>``; None when there are none."""


class NothingShared:
    """The relations that are compared have all rows."""

    @property
    def rows(self) -> int:
        """None of them."""
        return 0

    def nulls(self, column: str) -> int:  # noqa: ARG002 - the signature of ``Shared``
        """None of them."""
        return 0

    def having(self, column: str, low: object, high: object, *, read: bool) -> int:  # noqa: ARG002
        """None of them."""
        return 0

    def with_keys(self, keys: Sequence[Column]) -> None:
        """None of them."""


NOTHING_SHARED = NothingShared()


@dataclass(frozen=True)
class Pair:
    """Two relations, the columns they share, and the connection that reads them.

    Args:
        columns: the columns to compare, in the order of their index.
        examples: how many examples to fetch of each kind.
        shared: rows that both sides have and that are in neither relation.
        identifiers: columns, in small letters, whose sums mean nothing.
    """

    con: duckdb.DuckDBPyConnection
    base: str
    head: str
    columns: list[Column]
    examples: int
    shared: Shared
    identifiers: frozenset[str] = frozenset()

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Name and relation of both sides."""
        return ("base", self.base), ("head", self.head)

    def fetch(self, sql: str) -> list[Any]:
        """All rows of a query."""
        return self.con.execute(sql).fetchall()

    def fetch_row(self, items: Sequence[str], source: str) -> tuple[Any, ...]:
        """The values of aggregates over a source, in portions: what DuckDB takes to plan them grows with the square of their number."""
        portions = (items[at : at + _ITEMS] for at in range(0, len(items), _ITEMS))
        return tuple(
            value
            for portion in portions
            for value in self.fetch(f"select {', '.join(portion)} from {source}")[0]
        )

    def profiles(self) -> tuple[Profile, Profile]:
        """Row and NULL counts of base and head, with the rows that both share."""
        counted = ["count(*)", *(f"count(*) - count({quote(column.name)})" for column in self.columns)]
        base, head = (self.fetch_row(counted, relation) for _, relation in self.sides)
        rows, nulls = self.shared.rows, [self.shared.nulls(column.name) for column in self.columns]
        return _with_shared(base, rows, nulls), _with_shared(head, rows, nulls)

    def repeated_keys(self, keys: Sequence[Column]) -> str:
        """How many keys occur more than once, by side; empty when the key is unique on both.

        Keys that only rows have which both sides share are not looked at: these rows need no counterpart.
        """
        other = self.shared.with_keys(keys)
        if not other and len(keys) == 1 and all(self._are_distinct(keys[0], side) for side in _SIDES):
            return ""
        names = ", ".join(f"k{key.index}" for key in keys)
        same = " and ".join(f"own.k{key.index} is not distinct from other.k{key.index}" for key in keys)
        also = f" or exists (select 1 from {other} as other where {same})" if other else ""
        found = []
        for side, relation in self.sides:
            read = read_side(relation, keys, side, "1", alias="k")
            own = f"(select {names}, count(*) as times from {read} group by {names}) as own"
            repeated = count_rows(self.con, f"(select 1 from {own} where times > 1{also})")
            if repeated:
                found.append(f"{repeated:,} repeated in {side}")
        return ", ".join(found)

    def _are_distinct(self, key: Column, side: str) -> bool:
        """Whether integers are found to be distinct on one side, NULL too, by a bit for each number from the least to the largest.

        That takes a fifth of the time of counting the rows of each. False where they are not, are no integers, or lie too far apart.
        """
        if key.type not in _INTEGERS or key.type == "UBIGINT":
            return False
        relation = read_side(dict(self.sides)[side], [key], side, "1", alias="k")
        value = f"cast(k{key.index} as bigint)"
        (rows, values, low, high), *_ = self.fetch(
            f"select count(*), count({value}), min({value}), max({value}) from {relation}"
        )
        if rows - values > 1:
            return False
        if values == 0:
            return True
        if not values <= high - low + 1 <= min(_BITS, values * _BITS_A_VALUE):
            return False
        ((bits,),) = self.fetch(f"select bit_count(bitstring_agg({value}, {low}, {high})) from {relation}")
        return bool(bits == values)

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

    def sampled(self, columns: Sequence[Column], share: float) -> Pair:
        """The same with a share of the rows, those with a small hash of some columns, so that equal ones are in it on both sides.

        Rows that both sides share are left out: of a sample in which nothing else is, nothing is known.

        Args:
            columns: those of the key, or all of them.
            share: a fraction, to a ten-thousandth.
        """
        base, head = (
            f"(select * from {relation} where hash({', '.join(column.read(own_type) for column, own_type in read)})"
            f" % {_PARTS} < {round(share * _PARTS)})"
            for relation, read in (
                (self.base, [(column, column.base_type) for column in columns]),
                (self.head, [(column, column.head_type) for column in columns]),
            )
        )
        return replace(self, base=base, head=head, shared=NOTHING_SHARED)

    @contextmanager
    def temporary(self, sql: str) -> Iterator[str]:
        """A temporary table with the rows of a query, dropped at the end."""
        name = quote(f"slipway_compare_{uuid.uuid4().hex}")
        self.con.execute(f"create temporary table {name} as {sql}")
        try:
            yield name
        finally:
            self.con.execute(f"drop table {name}")


def _with_shared(own: Sequence[int], rows: int, nulls: Sequence[int | None]) -> Profile:
    both = zip(own[1:], nulls, strict=True)
    return Profile(own[0] + rows, tuple(None if more is None else count + more for count, more in both))


def count_rows(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    """The number of rows of a relation."""
    ((count,),) = con.execute(f"select count(*) from {relation}").fetchall()
    return int(count)
