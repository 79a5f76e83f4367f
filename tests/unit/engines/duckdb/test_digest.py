"""Digests are sums: order does not matter, and parts can be added and taken away."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.engines.duckdb.digest import ALGORITHM, Digest, digest_of
from slipway.engines.duckdb.writer import columns_of
from slipway.iceberg.schema import query_schema

FEW = settings(derandomize=True, deadline=None, max_examples=40)
Row = tuple[int | None, str | None]
values = st.lists(
    st.tuples(st.none() | st.integers(-3, 3), st.none() | st.sampled_from(["", "a", "b"])), max_size=8
)


def of(connection: duckdb.DuckDBPyConnection, relation: str) -> Digest:
    return digest_of(connection, relation, query_schema(columns_of(connection, relation)))


def digest(connection: duckdb.DuckDBPyConnection, rows: list[Row], names: str = "k, t") -> Digest:
    empty = "select null::integer as k, null::varchar as t where false"
    listed = ", ".join(f"({'null' if k is None else k}, {'null' if t is None else repr(t)})" for k, t in rows)
    query = f"({empty} union all select * from (values {listed}))" if rows else f"({empty})"
    return of(connection, f"(select {names} from {query} as source)")


@FEW
@given(values, values, st.randoms(use_true_random=False))
def test_a_digest_is_a_sum_over_rows(
    connection: duckdb.DuckDBPyConnection, left: list[Row], right: list[Row], chance: object
) -> None:
    one, other, both = digest(connection, left), digest(connection, right), digest(connection, right + left)
    assert one + other == both == digest(connection, sorted(left + right, key=str))
    assert both - other == one
    assert both.rows == len(left) + len(right)
    assert (sorted(map(str, left)) == sorted(map(str, right))) == (one == other)


@FEW
@given(values)
def test_a_digest_is_written_and_read(connection: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    found = digest(connection, rows)
    assert Digest.parse(str(found)) == found
    assert str(found).startswith(f"{ALGORITHM}:{len(rows)}:")


def test_digests_of_another_algorithm_are_not_compared() -> None:
    assert Digest.parse(None) is None
    assert Digest.parse("") is None
    assert Digest.parse("duckdb-0.1-rowhash:1:00:00") is None


def test_nothing_plus_nothing_is_nothing() -> None:
    one = Digest(1, 2, 3)
    assert one + Digest() == one
    assert one - one == Digest()
    # sums wrap around: taking away what is larger and adding it again comes back
    assert (Digest(0, 0, 0) - one) + one == Digest()


def test_columns_may_stand_in_any_order_and_volatile_ones_do_not_count(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert digest(connection, [(1, "a")]) == digest(connection, [(1, "a")], "t, k")
    with_run = "(select 1 as k, 'a' as t, 'run-1' as _run_id, timestamptz '2024-01-01' as _landed_at)"
    assert of(connection, with_run) == digest(connection, [(1, "a")])
    assert of(connection, "(select 1 as _run_id)").rows == 1


def test_values_do_not_change_places_unnoticed(connection: duckdb.DuckDBPyConnection) -> None:
    one = of(connection, "(select 'a' as x, 'b' as y union all select 'b', 'a')")
    other = of(connection, "(select 'a' as x, 'a' as y union all select 'b', 'b')")
    assert one != other
    # what is there twice is not taken back by being there twice
    twice = of(connection, "(select unnest(['a', 'a']) as x)")
    assert twice != of(connection, "(select unnest(['b', 'b']) as x)")


def test_values_whose_hashes_differ_in_other_bits_do_not_change_places_unnoticed(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """DuckDB joins the hashes of two columns by exclusive or: where no bit differs in both, the sum stays the same."""

    def alike(hashes: str) -> str:
        pairs = f"select i, {hashes} as h from range(1000) as r(i)"
        return (
            f"(select one.i as one, other.i as other, xor(one.h, other.h) as bits from ({pairs}) as one, "
            f"({pairs}) as other where one.i < other.i order by bit_count(bits) limit 40)"
        )

    first, second = alike("xor(hash(i::integer, 0::integer), hash(0::integer))"), alike("hash(i::integer)")
    (found,) = connection.execute(
        f"select x.one, x.other, y.one, y.other from {first} as x, {second} as y where x.bits & y.bits = 0 limit 1"
    ).fetchall()
    a, b, u, v = found
    as_written, swapped = (
        of(connection, f"(values ({a}, {one}), ({b}, {other})) as t(x, y)") for one, other in ((u, v), (v, u))
    )
    assert as_written.first == swapped.first
    assert as_written.second != swapped.second


ALIKE = {
    "varchar[]": (
        "null", "[]", "[null]", "['NULL']", "['']", "['a, b']", "['a', 'b']", "['a'', ''b']", "['[]']", "[' a']", "['a']",
        "['a\\b']", "['''a''']", "['\"a\"']", "['null']",
    ),
    "integer[][]": (
        "null", "[]", "[[]]", "[null]", "[[], []]", "[null, null]", "[[], [1]]", "[null, [1]]", "[[1, 2], [3]]", "[[1, 2, 3]]",
        "[[1], [2], [3]]", "[[1], [2, 3]]", "[[null]]",
    ),
    "struct(a varchar, b varchar)": (
        "null", "{a: null, b: null}", "{a: 'NULL', b: null}", "{a: null, b: 'NULL'}", "{a: '', b: null}",
        "{a: 'x, ''b'': y', b: null}", "{a: 'x', b: 'y'}",
    ),
    "map(varchar, varchar)": (
        "null", "map {}", "map {'a': null}", "map {'a': 'NULL'}", "map {'a=b': 'c'}", "map {'a': 'b=c'}", "map {'a': 'b, c=d'}",
        "map {'a': 'b', 'c': 'd'}",
    ),
    "blob[]": ("['\\xAA'::blob]", "['\\x5CxAA'::blob]", "[''::blob]", "['\\x00'::blob]", "[null]", "['NULL'::blob]"),
    "double[]": ("[0.0]", "[-0.0::double]", "['nan']", "[0.1]", "[0.1::double + 2e-17]", "[null]"),
    "double": ("0.0", "-0.0::double", "'nan'", "null", "1e-300"),
    "float": ("0.0", "-0.0::float", "'nan'", "null"),
    "decimal(38, 0)": ("null", "0", "-1", "1", "-2", "18446744073709551616", "18446744073709551617", "-18446744073709551616"),
    "decimal(20, 2)": ("null", "0", "-0.01", "0.01", "0.1"),
    "hugeint": ("0", "-1", "1", "18446744073709551616"),
    "uuid": (
        "'80000000-0000-0000-0000-000000000000'", "'7fffffff-ffff-ffff-ffff-ffffffffffff'",
        "'80000000-0000-0001-0000-000000000002'", "'80000000-0000-0002-0000-000000000001'",
    ),
    "decimal(38, 10)[]": ("[1234567890123456789012345678.0123456789]", "[1234567890123456789012345678.0123456788]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ALIKE)
def test_values_that_differ_have_different_digests(connection: duckdb.DuckDBPyConnection, kind: str) -> None:
    found: dict[Digest, str] = {}
    for value in ALIKE[kind]:
        for relation in (f"(select ({value})::{kind} as x)", f"(select 7 as w, ({value})::{kind} as x)"):
            message = of(connection, relation)
            assert message not in found, f"{found.get(message)} and {relation}"
            found[message] = relation
    assert of(connection, f"(select ({ALIKE[kind][0]})::{kind} as x)") in found


def test_not_a_number_is_one_value(connection: duckdb.DuckDBPyConnection) -> None:
    one = of(connection, "(select 'nan'::double as x)")
    assert one == of(connection, "(select -'nan'::double as x)")


def test_the_time_zone_of_a_profile_does_not_matter(connection: duckdb.DuckDBPyConnection) -> None:
    relation = "(select [to_timestamp(range)] as x, to_timestamp(range) as y from range(1729990000, 1730000000, 900))"
    found = of(connection, relation)
    connection.execute("set TimeZone = 'Europe/Berlin'")
    try:
        assert of(connection, relation) == found
        assert connection.execute("select current_setting('TimeZone')").fetchall() == [("Europe/Berlin",)]
    finally:
        connection.execute("set TimeZone = 'UTC'")
