"""The comparison against an independent one, row by row in Python, on small generated tables."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway.comparison.compare import compare_relations
from slipway.comparison.policy import Tolerance
from slipway.comparison.results import Method, TableComparison, Verdict

Rows = list[tuple[Any, ...]]

NAN, INF = math.nan, math.inf
floats = st.sampled_from([0.0, -0.0, 1.0, 1.25, 1.5, -2.0, 1e300, NAN, INF, -INF])
# Few different values, so that rows of both sides often meet and differ in a single column.
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "integer": (pa.int64(), st.integers(-2, 2) | st.sampled_from([-(2**63), 2**63 - 1])),
    "float": (pa.float64(), floats),
    "decimal": (
        pa.decimal128(9, 2),
        st.sampled_from([Decimal(n).scaleb(-2) for n in (0, 99, 100, 101, -100)]),
    ),
    "text": (pa.string(), st.sampled_from(["", "a", "A", "a ", "é", "'", '"'])),
    "date": (pa.date32(), st.dates(dt.date(2011, 2, 27), dt.date(2011, 3, 2))),
    "timestamp": (
        pa.timestamp("us"),
        st.sampled_from([dt.datetime(2011, 3, 1) + dt.timedelta(microseconds=n) for n in (0, 1, 10**6)]),  # noqa: DTZ001
    ),
    "boolean": (pa.bool_(), st.booleans()),
    "list": (pa.list_(pa.float64()), st.lists(floats | st.none(), max_size=2)),
    "struct": (
        pa.struct([("a", pa.float64()), ("b", pa.string())]),
        st.fixed_dictionaries({"a": floats | st.none(), "b": st.sampled_from(["x", "y"])}),
    ),
}
TOLERANCES = {
    "integer": Tolerance(absolute=Decimal(1)),
    "float": Tolerance(absolute=Decimal("0.25"), relative=Decimal("0.2")),
    "decimal": Tolerance(absolute=Decimal("0.01")),
    "date": Tolerance(absolute=Decimal(1)),
    "timestamp": Tolerance(absolute=Decimal("0.000001")),
}


@dataclass(frozen=True)
class Case:
    """Two small tables with the same columns, a key, and tolerances by column."""

    kinds: tuple[str, ...]
    base: Rows
    head: Rows
    key: tuple[int, ...]
    tolerances: dict[str, Tolerance]

    @property
    def names(self) -> list[str]:
        return [f"c{position} {kind}" for position, kind in enumerate(self.kinds)]

    def table(self, rows: Rows) -> pa.Table:
        columns = [
            pa.array([row[position] for row in rows], type=KINDS[kind][0])
            for position, kind in enumerate(self.kinds)
        ]
        return pa.table(columns, names=self.names)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kinds = tuple(draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4)))
    row = st.tuples(*(KINDS[kind][1] | st.none() for kind in kinds))
    base = draw(st.lists(row, max_size=6))
    # Most rows of head come from base, some with one value replaced.
    head = draw(st.permutations(base))[: draw(st.integers(0, 6))]
    for position in draw(st.sets(st.integers(0, 5), max_size=3)):
        if position < len(head):
            place = draw(st.integers(0, len(kinds) - 1))
            value = draw(KINDS[kinds[place]][1] | st.none())
            head[position] = (*head[position][:place], value, *head[position][place + 1 :])
    head += draw(st.lists(row, max_size=2))
    key = tuple(sorted(draw(st.sets(st.integers(0, len(kinds) - 1), max_size=2))))
    tolerances = {
        f"c{position} {kind}": TOLERANCES[kind]
        for position, kind in enumerate(kinds)
        if kind in TOLERANCES and draw(st.booleans())
    }
    return Case(kinds, base, head, key, tolerances)


def same(value: Any) -> Any:  # noqa: ANN401 — any value of any column
    """A stand-in that is equal and hashes equal exactly where two values count as the same."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    if isinstance(value, list):
        return ("list", *map(same, value))
    if isinstance(value, dict):
        return ("struct", *((name, same(value[name])) for name in sorted(value)))
    return value


def distance(base: Any, head: Any) -> Decimal | float | None:  # noqa: ANN401
    """How far two values are apart, exactly for exact types; None where that means nothing."""
    if base is None or head is None or isinstance(base, bool | str | list | dict):
        return None
    if isinstance(base, float):
        return abs(head - base) if math.isfinite(base) and math.isfinite(head) else None
    if isinstance(base, dt.date):
        span = abs(head - base)
        return Decimal(span // dt.timedelta(microseconds=1)) / (
            86_400_000_000 if type(base) is dt.date else 10**6
        )
    return abs(Decimal(head) - Decimal(base))


def tolerated(base: Any, head: Any, tolerance: Tolerance | None) -> bool:  # noqa: ANN401
    apart = distance(base, head)
    if tolerance is None or apart is None or same(base) == same(head):
        return False
    within = tolerance.absolute is not None and apart <= tolerance.absolute
    if tolerance.relative is not None and base != 0:
        within = within or float(apart) / abs(float(base)) <= float(tolerance.relative)
    return within


def brute_force(case: Case, found: TableComparison) -> None:
    """Assert every count and statistic by going through the rows one by one."""
    by_key = [
        {tuple(same(row[place]) for place in case.key): row for row in rows}
        for rows in (case.base, case.head)
    ]
    unique = case.key and len(by_key[0]) == len(case.base) and len(by_key[1]) == len(case.head)
    assert (found.base.rows, found.head.rows) == (len(case.base), len(case.head))
    assert found.coverage.method is (Method.KEY if unique else Method.MULTISET)
    for column in found.columns:
        place = case.names.index(column.name)
        nulls = [sum(row[place] is None for row in rows) for rows in (case.base, case.head)]
        assert [column.base_nulls, column.head_nulls] == nulls
    if unique:
        keyed(case, found, *by_key)
    else:
        whole_rows(case, found)


def keyed(case: Case, found: TableComparison, base: dict[Any, Any], head: dict[Any, Any]) -> None:
    both = [(base[key], head[key]) for key in base if key in head]
    fates: Counter[str] = Counter()
    for old, new in both:
        unequal = [place for place in range(len(old)) if same(old[place]) != same(new[place])]
        near = all(tolerated(old[at], new[at], case.tolerances.get(case.names[at])) for at in unequal)
        fates["identical" if not unequal else "tolerated" if near else "changed"] += 1
    assert found.rows.added == len(head.keys() - base.keys())
    assert found.rows.removed == len(base.keys() - head.keys())
    assert found.rows.identical == fates["identical"]
    assert found.rows.within_tolerance == fates["tolerated"]
    assert found.rows.changed == fates["changed"]
    assert len(found.columns) == len(case.kinds) - len(case.key)
    for column in found.columns:
        place = case.names.index(column.name)
        pairs = [(old[place], new[place]) for old, new in both]
        unequal_pairs = [(old, new) for old, new in pairs if same(old) != same(new)]
        assert column.compared == len(pairs)
        assert column.matching == len(pairs) - len(unequal_pairs)
        tolerance = case.tolerances.get(column.name)
        assert column.within_tolerance == sum(tolerated(old, new, tolerance) for old, new in unequal_pairs)
        spans = [(old, span) for old, new in unequal_pairs if (span := distance(old, new)) is not None]
        assert column.largest_absolute_change == close(max((float(span) for _, span in spans), default=None))
        is_number = case.kinds[place] in {"integer", "float", "decimal"}
        shares = [float(span) / abs(float(old)) for old, span in spans if is_number and old != 0]
        assert column.largest_relative_change == close(max(shares, default=None))
        assert len(column.examples) == min(len(unequal_pairs), 3)


def whole_rows(case: Case, found: TableComparison) -> None:
    base, head = (Counter(same(list(row)) for row in rows) for rows in (case.base, case.head))
    assert found.rows.removed == (base - head).total()
    assert found.rows.added == (head - base).total()
    assert found.rows.identical == (base & head).total()
    assert (found.rows.changed, found.rows.within_tolerance) == (0, 0)
    for column in found.columns:
        place = case.names.index(column.name)
        old, new = (Counter(same(row[place]) for row in rows) for rows in (case.base, case.head))
        assert column.matching == (old & new).total()


def close(value: float | None) -> Any:  # noqa: ANN401 — what pytest.approx returns has no public type
    return None if value is None else pytest.approx(value, rel=1e-12)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def compare(con: duckdb.DuckDBPyConnection, case: Case, base: Rows, head: Rows) -> TableComparison:
    con.register("base_rows", case.table(base))
    con.register("head_rows", case.table(head))
    key: Sequence[str] = [case.names[place] for place in case.key]
    tolerances = {name: bound for name, bound in case.tolerances.items() if name not in key}
    return compare_relations(con, "t", "base_rows", "head_rows", key, tolerances=tolerances, examples=3)


REAL = settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@REAL
@given(case=cases())
def test_agrees_with_going_through_the_rows(con: duckdb.DuckDBPyConnection, case: Case) -> None:
    brute_force(case, compare(con, case, case.base, case.head))


@REAL
@given(case=cases(), data=st.data())
def test_order_of_rows_means_nothing(con: duckdb.DuckDBPyConnection, case: Case, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(case.base))
    found = compare(con, case, case.base, shuffled)
    assert found.verdict is (Verdict.IDENTICAL if case.base else Verdict.NO_EVIDENCE)
    assert found.rows.identical == len(case.base)


@pytest.mark.long
@REAL
@given(case=cases())
def test_the_other_way_round_added_is_removed(con: duckdb.DuckDBPyConnection, case: Case) -> None:
    there = compare(con, case, case.base, case.head)
    back = compare(con, case, case.head, case.base)
    assert (there.rows.added, there.rows.removed) == (back.rows.removed, back.rows.added)
    assert there.rows.identical == back.rows.identical
    assert [column.matching for column in there.columns] == [column.matching for column in back.columns]
    assert [column.largest_absolute_change for column in there.columns] == [
        column.largest_absolute_change for column in back.columns
    ]
