from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.comparison.compare import compare_relations
from slipway.comparison.policy import Tolerance
from slipway.comparison.results import Method, TableComparison, Verdict


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


def values(columns: str, *rows: str) -> str:
    """A relation of literal rows."""
    return f"(select * from (values {', '.join(f'({row})' for row in rows)}) as literal({columns}))"


def counts(found: TableComparison) -> tuple[int, int, int, int, int]:
    rows = found.rows
    return rows.added, rows.removed, rows.changed, rows.within_tolerance, rows.identical


def test_rows_and_values_by_key(con: duckdb.DuckDBPyConnection) -> None:
    base = values("id, city, price", "1, 'Bath', 10.0", "2, 'York', 20.0", "3, 'Hull', 0.0", "4, null, 5.0")
    head = values("id, city, price", "2, 'York', 25.0", "3, 'Hull', 1.0", "4, 'Ely', null", "5, 'Bath', 7.0")
    found = compare_relations(con, "shops", base, head, ["id"])
    assert found.verdict is Verdict.DIFFERENT
    assert (found.base.rows, found.head.rows) == (4, 4)
    assert counts(found) == (1, 1, 3, 0, 0)
    assert found.coverage.method is Method.KEY
    assert found.coverage.columns == ("id", "city", "price")
    city, price = found.columns
    assert (city.name, city.compared, city.matching, city.base_nulls, city.head_nulls) == ("city", 3, 2, 1, 0)
    assert city.largest_absolute_change is None
    assert [(example.key, example.base, example.head) for example in city.examples] == [
        ({"id": "4"}, None, "Ely")
    ]
    assert (price.compared, price.matching, price.match_rate) == (3, 0, 0.0)
    # From 20 to 25: five, a quarter. From 0 to 1 there is no relative change, to NULL no change at all.
    assert (price.largest_absolute_change, price.largest_relative_change) == (5.0, 0.25)
    assert [example.key["id"] for example in price.examples] == ["2", "3", "4"]
    assert (found.added_examples, found.removed_examples) == (({"id": "5"},), ({"id": "1"},))
    assert found.worst_column == price


def test_equal_values_of_a_differing_row_are_no_change(con: duckdb.DuckDBPyConnection) -> None:
    base = values("id, x, y", "1, 1.5::double, 'a'", "2, 'nan'::double, 'a'")
    head = values("id, x, y", "1, 1.5::double, 'b'", "2, 1.0::double, 'a'")
    x, y = compare_relations(con, "t", base, head, ["id"]).columns
    assert (x.matching, x.largest_absolute_change, x.largest_relative_change) == (1, None, None)
    assert y.matching == 1


def test_null_in_the_key_matches_null(con: duckdb.DuckDBPyConnection) -> None:
    base = values("a, b, x", "1, null, 1", "null, null, 2", "null, 1, 3")
    head = values("a, b, x", "1, null, 1", "null, null, 9", "null, 2, 3")
    found = compare_relations(con, "t", base, head, ["a", "b"])
    assert counts(found) == (1, 1, 1, 0, 1)
    assert any("key column a has NULLs (2 in base, 2 in head)" in note for note in found.coverage.notes)


def test_repeated_keys_compare_whole_rows_with_a_note(con: duckdb.DuckDBPyConnection) -> None:
    base = values("id, x", "1, 'a'", "1, 'a'", "2, 'b'")
    head = values("id, x", "1, 'a'", "1, 'c'", "2, 'b'")
    found = compare_relations(con, "t", base, head, ["id"], tolerances={})
    assert found.coverage.method is Method.MULTISET
    assert found.coverage.notes == (
        "the key (id) is not unique, 1 repeated in base, 1 repeated in head: compared whole rows",
    )
    assert counts(found) == (1, 1, 0, 0, 2)
    assert (found.added_examples, found.removed_examples) == (
        ({"id": "1", "x": "c"},),
        ({"id": "1", "x": "a"},),
    )
    assert [(column.name, column.matching) for column in found.columns] == [("id", 3), ("x", 2)]


def test_without_a_key_multiplicity_counts(con: duckdb.DuckDBPyConnection) -> None:
    base = values("x", "1", "1", "1", "null", "2")
    head = values("x", "1", "null", "null", "2")
    found = compare_relations(con, "t", base, head, [])
    assert counts(found) == (1, 2, 0, 0, 3)
    assert found.verdict is Verdict.DIFFERENT


def test_tolerances_without_a_key_are_reported_as_unused(con: duckdb.DuckDBPyConnection) -> None:
    tolerances = {"x": Tolerance(absolute=1)}
    found = compare_relations(con, "t", values("x", "1"), values("x", "2"), [], tolerances=tolerances)
    assert found.verdict is Verdict.DIFFERENT
    assert found.coverage.notes == ("tolerances need a key and were not applied",)


def test_a_row_is_tolerated_only_when_all_its_changes_are(con: duckdb.DuckDBPyConnection) -> None:
    base = values("id, x, y", "1, 1.0, 'a'", "2, 1.0, 'a'", "3, 1.0, 'a'")
    head = values("id, x, y", "1, 1.1, 'a'", "2, 1.1, 'b'", "3, 1.0, 'a'")
    found = compare_relations(con, "t", base, head, ["id"], tolerances={"X": Tolerance(absolute="0.1")})
    assert counts(found) == (0, 0, 1, 1, 1)
    assert [column.within_tolerance for column in found.columns] == [2, 0]
    assert [column.tolerance for column in found.columns] == [Tolerance(absolute=Decimal("0.1")), None]


def test_schema_changes_and_ignored_columns(con: duckdb.DuckDBPyConnection) -> None:
    base = "(select 1 as id, 2 as gone, 3::integer as widened, 'x' as retyped, 'r1' as _run_id)"
    head = "(select 1 as id, date '2011-01-01' as fresh, 3::bigint as widened, 7 as retyped, 'r2' as _run_id)"
    found = compare_relations(con, "t", base, head, ["id"], ignore_columns=["_RUN_ID", "_landed_at"])
    assert found.schema_changes.added == {"fresh": "DATE"}
    assert found.schema_changes.removed == {"gone": "INTEGER"}
    assert [change.column for change in found.schema_changes.type_changed] == ["widened", "retyped"]
    assert found.coverage.columns == ("id", "widened")
    assert found.coverage.not_compared == {
        "gone": "only in base",
        "retyped": "VARCHAR and INTEGER have no common type",
        "_run_id": "ignored",
        "fresh": "only in head",
    }
    assert counts(found) == (0, 0, 0, 0, 1)
    assert found.verdict is Verdict.DIFFERENT


def test_an_ignored_column_of_the_key_is_still_the_key(con: duckdb.DuckDBPyConnection) -> None:
    base, head = values("_line, x", "1, 'a'", "2, 'b'"), values("_line, x", "2, 'b'", "1, 'z'")
    found = compare_relations(con, "t", base, head, ["_line"], ignore_columns=["_line"])
    assert counts(found) == (0, 0, 1, 0, 1)


def test_a_new_grain_compares_whole_rows_of_what_both_have(con: duckdb.DuckDBPyConnection) -> None:
    base, head = values("day, x", "1, 5"), values("day, country, x", "1, 'France', 5")
    found = compare_relations(con, "t", base, head, ["day", "country"])
    assert found.coverage.method is Method.MULTISET
    assert found.coverage.notes == (
        "key column country cannot be matched on both sides: compared whole rows",
    )
    assert counts(found) == (0, 0, 0, 0, 1)
    assert found.verdict is Verdict.DIFFERENT


def integer_keys(bits: int) -> st.SearchStrategy[list[int | None]]:
    """Keys of one side: close to each other, at the ends of the type, or anywhere in it."""
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    near = st.integers(-4, 4) | st.integers(least, least + 3) | st.integers(most - 3, most)
    return st.lists(near | st.integers(least, most) | st.none(), min_size=1, max_size=8)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    keys=st.sampled_from([("TINYINT", 8), ("INTEGER", 32), ("BIGINT", 64)]).flatmap(
        lambda kind: st.tuples(st.just(kind[0]), integer_keys(kind[1]), integer_keys(kind[1]))
    )
)
def test_integer_keys_are_unique_or_counted(
    con: duckdb.DuckDBPyConnection, keys: tuple[str, list[int | None], list[int | None]]
) -> None:
    """A bit for each number tells the same as counting each, NULL and the ends of a type included."""
    type_, *sides = keys
    lists = [", ".join("null" if key is None else str(key) for key in side) for side in sides]
    base, head = (f"(select unnest([{listed}]::{type_}[]) as id)" for listed in lists)
    found = compare_relations(con, "t", base, head, ["id"])
    repeated = [
        f"{times:,} repeated in {name}"
        for name, side in zip(("base", "head"), sides, strict=True)
        if (times := sum(one > 1 for one in Counter(side).values()))
    ]
    assert found.coverage.method is (Method.MULTISET if repeated else Method.KEY)
    if repeated:
        why = f"the key (id) is not unique, {', '.join(repeated)}: compared whole rows"
        assert why in found.coverage.notes


def test_integer_keys_far_apart_are_counted(con: duckdb.DuckDBPyConnection) -> None:
    """So far that a bit for each number between them would take more memory than the rows."""
    base, head = values("id", "-9000000000000000000", "0"), values("id", "9000000000000000000", "0", "0")
    found = compare_relations(con, "t", base, head, ["id"])
    assert found.coverage.notes == ("the key (id) is not unique, 1 repeated in head: compared whole rows",)
    assert compare_relations(con, "t", base, base, ["id"]).coverage.method is Method.KEY


def test_keys_that_become_equal_in_the_common_type_are_repeated(con: duckdb.DuckDBPyConnection) -> None:
    # 2**53 and 2**53 + 1 are one double.
    base = values("id, x", "9007199254740992::bigint, 1", "9007199254740993::bigint, 2")
    found = compare_relations(con, "t", base, values("id, x", "1::double, 1"), ["id"])
    assert found.coverage.method is Method.MULTISET


@pytest.mark.parametrize("key", ["id", "ID"])
def test_a_key_that_was_unique_is_counted_in_the_common_type(
    con: duckdb.DuckDBPyConnection, key: str
) -> None:
    """Two whole numbers above 2^53 may be one as DOUBLE."""
    base = "(select 9007199254740993::bigint as id union all select 9007199254740992)"
    head = "(select id::double as id from (values (9007199254740992), (5)) as t(id))"
    found = compare_relations(con, "t", base, head, [key], is_unique=True)
    assert found.coverage.method is Method.MULTISET
    assert (found.rows.added, found.rows.removed, found.rows.identical) == (1, 1, 1)


def test_a_table_on_one_side_only(con: duckdb.DuckDBPyConnection) -> None:
    there = values("x", "1", "2")
    new = compare_relations(con, "t", None, there, ["x"])
    assert (new.base.exists, new.head.rows, new.verdict) == (False, 2, Verdict.DIFFERENT)
    lost = compare_relations(con, "t", there, None, ["x"])
    assert (lost.base.rows, lost.head.exists, lost.verdict) == (2, False, Verdict.DIFFERENT)
    assert compare_relations(con, "t", None, None, ["x"]).verdict is Verdict.NOT_COMPARED


@pytest.mark.parametrize(
    ("head", "key", "tolerances", "reason"),
    [
        pytest.param(
            "(select 1 as x)", ["y"], {}, "neither side has the configured column y", id="unknown-key"
        ),
        pytest.param(
            "(select 1 as x)",
            ["x"],
            {"z": Tolerance(absolute=1)},
            "neither side has the configured column z",
            id="unknown-tolerance",
        ),
        pytest.param("no_such_table", ["x"], {}, "no_such_table", id="unreadable"),
        pytest.param("(select error('broken row') as x)", ["x"], {}, "broken row", id="failing-query"),
    ],
)
def test_what_keeps_tables_from_being_compared_is_the_reason(
    con: duckdb.DuckDBPyConnection, head: str, key: list[str], tolerances: dict[str, Tolerance], reason: str
) -> None:
    found = compare_relations(con, "t", "(select 1 as x)", head, key, tolerances=tolerances)
    assert found.verdict is Verdict.NOT_COMPARED
    assert reason in found.coverage.notes[0]
    assert "\n" not in found.coverage.notes[0]


def test_nothing_to_look_at_is_reported(con: duckdb.DuckDBPyConnection) -> None:
    empty = "(select 1 as id, 2 as x limit 0)"
    assert compare_relations(con, "t", empty, empty, ["id"]).coverage.notes == ("both sides are empty",)
    ignored = compare_relations(con, "t", "(select 1 as x)", "(select 2 as x)", [], ignore_columns=["x"])
    assert ignored.verdict is Verdict.NOT_COMPARED
    assert ignored.coverage.notes == ("no column is left to compare",)


def test_a_key_without_further_columns(con: duckdb.DuckDBPyConnection) -> None:
    found = compare_relations(con, "t", values("id", "1", "2"), values("id", "2", "3"), ["id"])
    assert counts(found) == (1, 1, 0, 0, 1)


def test_names_are_quoted_and_nothing_is_left_behind(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    name = 'b0 "select"; --'
    quoted = '"' + name.replace('"', '""') + '"'
    path = tmp_path / "it's a file.parquet"
    con.execute(
        f"copy (select 1 as h1, 'x' as {quoted}, 2 as k0) to '{str(path).replace(chr(39), chr(39) * 2)}'"
    )
    relation = f"read_parquet('{str(path).replace(chr(39), chr(39) * 2)}')"
    other = f"(select h1, {quoted} || 'y' as {quoted}, k0 from {relation})"
    before = con.execute("select count(*) from duckdb_tables()").fetchall()
    found = compare_relations(con, "t", relation, other, ["h1"], tolerances={"k0": Tolerance(absolute=1)})
    assert {column.name: column.matching for column in found.columns} == {name: 0, "k0": 1}
    keyed_by_it = compare_relations(con, "t", relation, other, [name])
    assert counts(keyed_by_it) == (1, 1, 0, 0, 0)
    assert con.execute("select count(*) from duckdb_tables()").fetchall() == before


def test_examples_are_few_ordered_and_cut(con: duckdb.DuckDBPyConnection) -> None:
    base = "(select i as id, repeat('a', 300) as t, i::double as x from range(100) r(i))"
    head = "(select i as id, repeat('b', 300) as t, i + i::double as x from range(100) r(i))"
    t, x = compare_relations(con, "t", base, head, ["id"], examples=2).columns
    assert [example.key["id"] for example in t.examples] == ["0", "1"]
    assert t.examples[0].head == "b" * 200 + "…"
    assert [(example.base, example.head) for example in x.examples] == [("99.0", "198.0"), ("98.0", "196.0")]
    none = compare_relations(con, "t", base, head, ["id"], examples=0)
    assert [column.examples for column in none.columns] == [(), ()]


def changed_orders(*changed: int) -> tuple[str, str]:
    """1000 rows, every tenth French and every second online; ``x`` doubles in the given rows, and changes a little in the others."""
    base = """(
        select i as id, if(i % 10 = 0, 'France', 'EIRE') as country, i % 2 = 0 as online, 1.0::double as x
        from range(1000) r(i)
    )"""
    return base, f"(select * replace (if(id in {changed}, 2, 1.001) as x) from {base})"


@pytest.mark.parametrize(
    ("changed", "segments"),
    [
        # Online is what half of all rows are, so it says nothing here.
        pytest.param((1, *range(0, 100, 10)), [("country", "France", 10, 11)], id="most"),
        pytest.param((*range(1, 12, 2), *range(0, 60, 10)), [], id="half"),
        pytest.param(tuple(range(0, 90, 10)), [], id="too-few-rows-to-tell"),
    ],
)
def test_changes_that_concentrate_are_named(
    con: duckdb.DuckDBPyConnection, changed: tuple[int, ...], segments: list[tuple[str, str, int, int]]
) -> None:
    tolerances = {"x": Tolerance(absolute=Decimal("0.01"))}
    found = compare_relations(con, "t", *changed_orders(*changed), ["id"], tolerances=tolerances)
    assert counts(found) == (0, 0, len(changed), 1000 - len(changed), 0)
    single = [segment for segment in found.segments if segment.until is None]
    assert [(found.column, found.value, found.rows, found.of_rows) for found in single] == segments
    assert [segment.table_share for segment in single] == [0.1] * len(segments)


def test_what_most_differing_rows_have_comes_first_and_then_what_is_rarer(
    con: duckdb.DuckDBPyConnection,
) -> None:
    base = """(
        select i as id, if(i < 100, 'France', 'EIRE') as country, if(i < 60, 'Brest', 'Cork') as city, i >= 200 as late, 1 as x
        from range(1000) r(i)
    )"""
    found = compare_relations(
        con, "t", base, f"(select * replace (if(id < 100, 2, 1) as x) from {base})", ["id"]
    )
    single = [segment for segment in found.segments if segment.until is None]
    # all hundred are French and not late; 60 of them are of Brest, which no other row is
    assert [(one.column, one.value, one.rows) for one in single] == [
        ("country", "France", 100),
        ("late", "false", 100),
    ]
    assert [(one.column, one.rows) for one in found.segments] == [
        ("country", 100),
        ("id", 100),
        ("late", 100),
    ]
