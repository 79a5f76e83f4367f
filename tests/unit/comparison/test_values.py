from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import pytest

from slipway.comparison.compare import compare_relations
from slipway.comparison.policy import Tolerance
from slipway.comparison.relations import common_type
from slipway.comparison.results import TableComparison, Verdict


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


def typed(type_: str, base: str, head: str) -> tuple[str, str]:
    """Two one-row relations ``id, x`` whose value has a type."""
    return tuple(f"(select 1 as id, cast({value} as {type_}) as x)" for value in (base, head))  # type: ignore[return-value]


def counts(found: TableComparison) -> tuple[int, int, int, int, int]:
    rows = found.rows
    return rows.added, rows.removed, rows.changed, rows.within_tolerance, rows.identical


def compare_typed(
    con: duckdb.DuckDBPyConnection, type_: str, base: str, head: str, tolerance: Tolerance | None = None
) -> TableComparison:
    tolerances = {"x": tolerance} if tolerance else {}
    return compare_relations(con, "t", *typed(type_, base, head), ["id"], tolerances=tolerances)


@pytest.mark.parametrize("key", [pytest.param(["id"], id="by-key"), pytest.param([], id="whole-rows")])
@pytest.mark.parametrize(
    ("type_", "base", "head"),
    [
        pytest.param("double", "'nan'", "'-nan'", id="nan"),
        pytest.param("double", "-0.0", "0.0", id="negative-zero"),
        pytest.param("float", "'nan'", "'nan'", id="float-nan"),
        pytest.param("double[]", "[-0.0, 'nan'::double, null]", "[0.0, '-nan'::double, null]", id="list"),
        pytest.param(
            "struct(a double, b varchar)", "{'a': -0.0, 'b': null}", "{'a': 0.0, 'b': null}", id="struct"
        ),
        pytest.param("map(varchar, integer)", "map {'a': 1, 'b': 2}", "map {'b': 2, 'a': 1}", id="map-order"),
        pytest.param("integer", "null", "null", id="null"),
        pytest.param("blob", "'\\x80\\xFF'", "'\\x80\\xFF'", id="blob"),
    ],
)
def test_same_values(
    con: duckdb.DuckDBPyConnection, key: Sequence[str], type_: str, base: str, head: str
) -> None:
    found = compare_relations(con, "t", *typed(type_, base, head), key)
    assert found.verdict is Verdict.IDENTICAL
    assert counts(found) == (0, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("type_", "base", "head"),
    [
        pytest.param("double", "1.0", "1.0000000000000002", id="one-ulp"),
        pytest.param("varchar", "'a'", "'a '", id="trailing-space"),
        pytest.param("varchar", "''", "null", id="empty-and-null"),
        pytest.param("integer[]", "[1, 2]", "[2, 1]", id="list-order"),
        pytest.param("struct(a integer)", "{'a': null}", "null", id="null-struct"),
        pytest.param("map(varchar, integer)", "map {'a': 1}", "map {'a': 2}", id="map-value"),
        pytest.param("blob", "'\\x80\\xFF'", "'\\x80\\xFE'", id="blob"),
        pytest.param("double", "'inf'", "'-inf'", id="infinities"),
        pytest.param("date", "date 'infinity'", "date '2011-01-01'", id="infinite-date"),
        pytest.param("timestamp", "timestamp 'infinity'", "timestamp '2011-01-01'", id="infinite-timestamp"),
        pytest.param("double", "1e308", "-1e308", id="change-beyond-double"),
        pytest.param("double", "'nan'", "null", id="nan-and-null"),
        pytest.param("double", "null", "0.0", id="null-and-zero"),
    ],
)
def test_different_values(con: duckdb.DuckDBPyConnection, type_: str, base: str, head: str) -> None:
    found = compare_typed(con, type_, base, head)
    assert found.verdict is Verdict.DIFFERENT
    # Where there is a distance at all, it is one unit in the last place of 1.0.
    assert found.columns[0].largest_absolute_change in (None, 2**-52)


@pytest.mark.parametrize(
    ("type_", "base", "head", "absolute", "relative", "unit"),
    [
        pytest.param("tinyint", "-128", "127", 255, 255 / 128, None, id="tinyint"),
        pytest.param(
            "bigint", "-9223372036854775808", "9223372036854775807", float(2**64 - 1), 2.0, None, id="bigint"
        ),
        pytest.param(
            "hugeint", "170141183460469231731687303715884105727", "0", 2.0**127, 1.0, None, id="hugeint"
        ),
        pytest.param(
            "decimal(18,4)", "6292754.7720", "6292754.7719", 0.0001, 0.0001 / 6292754.772, None, id="decimal"
        ),
        pytest.param(
            "decimal(38,0)", "9" * 38, "-" + "9" * 38, 2e38, 2.0, None, id="decimal-beyond-38-digits"
        ),
        pytest.param("float", "1.5", "-1.5", 3.0, 2.0, None, id="float"),
        pytest.param("date", "'2011-03-01'", "'2011-02-27'", 2.0, None, "days", id="date"),
        pytest.param(
            "timestamp",
            "'2011-03-01 00:00:00'",
            "'2011-03-01 00:01:00.25'",
            60.25,
            None,
            "seconds",
            id="timestamp",
        ),
        pytest.param(
            "timestamptz",
            "'2011-03-01 00:00:00+00'",
            "'2011-03-01 00:00:00+01'",
            3600.0,
            None,
            "seconds",
            id="zoned",
        ),
        pytest.param(
            "timestamp_ns",
            "'2011-03-01 00:00:00'",
            "'2011-03-01 00:00:00.000000001'",
            1e-9,
            None,
            "seconds",
            id="ns",
        ),
    ],
)
def test_largest_change(
    con: duckdb.DuckDBPyConnection,
    type_: str,
    base: str,
    head: str,
    absolute: float,
    relative: float | None,
    unit: str | None,
) -> None:
    (column,) = compare_typed(con, type_, base, head).columns
    assert column.largest_absolute_change == pytest.approx(absolute, rel=1e-15)
    assert column.largest_relative_change == (
        None if relative is None else pytest.approx(relative, rel=1e-12)
    )
    assert column.unit == unit


@pytest.mark.parametrize(
    ("type_", "base", "head", "tolerance", "within"),
    [
        pytest.param("decimal(18,4)", "1.00", "1.01", {"absolute": "0.01"}, True, id="decimal-on-the-bound"),
        pytest.param("decimal(18,4)", "1.00", "1.0101", {"absolute": "0.01"}, False, id="decimal-beyond"),
        pytest.param(
            "decimal(9,2)", "1.00", "1.01", {"absolute": "0.0149"}, True, id="bound-with-more-places"
        ),
        pytest.param("decimal(9,2)", "1.00", "1.01", {"absolute": "0.0099"}, False, id="bound-below-a-cent"),
        pytest.param("decimal(38,0)", "9" * 38, "-" + "9" * 38, {"absolute": "1e38"}, False, id="39-digits"),
        pytest.param("decimal(38,0)", "9" * 38, "0", {"absolute": "1e300"}, True, id="huge-bound"),
        pytest.param("bigint", "0", "3", {"absolute": 3}, True, id="integer-on-the-bound"),
        pytest.param("integer", "100", "129", {"relative": "0.29"}, True, id="relative-on-the-bound"),
        pytest.param("integer", "100", "130", {"relative": "0.29"}, False, id="relative-beyond"),
        pytest.param("integer", "0", "1", {"relative": 100}, False, id="no-relative-change-of-zero"),
        pytest.param(
            "integer", "0", "1", {"relative": 100, "absolute": 1}, True, id="either-bound-is-enough"
        ),
        pytest.param("double", "1e9", "1000000000.5", {"relative": "1e-9"}, True, id="double-relative"),
        pytest.param("double", "1.0", "null", {"absolute": 1000}, False, id="null-is-never-near"),
        pytest.param("double", "1.0", "'nan'", {"absolute": 1000}, False, id="nan-is-never-near"),
        pytest.param("double", "1.0", "'inf'", {"relative": 1000}, False, id="infinity-is-never-near"),
        pytest.param("date", "'2011-03-01'", "'2011-02-28'", {"absolute": 1}, True, id="one-day"),
        pytest.param("date", "'infinity'", "'2011-02-28'", {"absolute": "1e12"}, False, id="infinite-date"),
        pytest.param(
            "timestamp",
            "'2011-03-01 00:00:00'",
            "'2011-03-01 00:00:00.01'",
            {"absolute": "0.01"},
            True,
            id="10-ms",
        ),
        pytest.param(
            "timestamp",
            "'2011-03-01 00:00:00'",
            "'2011-03-01 00:00:00.010001'",
            {"absolute": "0.01"},
            False,
            id="a-microsecond-more",
        ),
    ],
)
def test_tolerance(
    con: duckdb.DuckDBPyConnection,
    type_: str,
    base: str,
    head: str,
    tolerance: dict[str, object],
    within: bool,
) -> None:
    found = compare_typed(con, type_, base, head, Tolerance.model_validate(tolerance))
    assert found.verdict is (Verdict.WITHIN_TOLERANCE if within else Verdict.DIFFERENT)
    assert (found.columns[0].within_tolerance, found.columns[0].different) == ((1, 0) if within else (0, 1))


@pytest.mark.parametrize(
    ("type_", "tolerance", "reason"),
    [
        pytest.param("varchar", {"absolute": 1}, "compare_tolerance.x: VARCHAR has no distance", id="text"),
        pytest.param(
            "date",
            {"relative": 1},
            "compare_tolerance.x: DATE takes absolute (days), not relative",
            id="date",
        ),
    ],
)
def test_a_tolerance_that_the_type_cannot_have(
    con: duckdb.DuckDBPyConnection, type_: str, tolerance: dict[str, int], reason: str
) -> None:
    found = compare_typed(con, type_, "null", "null", Tolerance.model_validate(tolerance))
    assert found.verdict is Verdict.NOT_COMPARED
    assert found.coverage.notes == (reason,)


@pytest.mark.parametrize(
    ("base", "head", "common"),
    [
        pytest.param("INTEGER", "BIGINT", "DECIMAL(19,0)", id="integers"),
        pytest.param("BIGINT", "DECIMAL(18,4)", "DECIMAL(23,4)", id="integer-and-decimal"),
        pytest.param("DECIMAL(38,10)", "DECIMAL(38,2)", None, id="too-wide"),
        pytest.param("DECIMAL(9,2)", "DOUBLE", "DOUBLE", id="decimal-and-double"),
        pytest.param("FLOAT", "DOUBLE", "DOUBLE", id="floats"),
        pytest.param("DATE", "TIMESTAMP", "TIMESTAMP", id="date-and-timestamp"),
        pytest.param("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", None, id="depends-on-the-zone"),
        pytest.param("VARCHAR", "INTEGER", None, id="text-and-number"),
        pytest.param("INTEGER[]", "BIGINT[]", None, id="nested"),
        pytest.param("BOOLEAN", "BOOLEAN", "BOOLEAN", id="same"),
    ],
)
def test_common_type(base: str, head: str, common: str | None) -> None:
    assert common_type(base, head) == common
    assert common_type(head, base) == common


@pytest.mark.parametrize(("head", "matching"), [("1.500", 1), ("1.501", 0), ("null", 0)])
@pytest.mark.parametrize("key", [["id"], []])
def test_decimals_of_another_scale_are_compared_exactly(
    con: duckdb.DuckDBPyConnection, key: list[str], head: str, matching: int
) -> None:
    sides = typed("decimal(9,1)", "1.5", "null")[0], typed("decimal(9,3)", "null", head)[1]
    found = compare_relations(con, "t", *sides, key)
    assert found.rows.identical == matching
    (changed,) = found.schema_changes.type_changed
    assert (changed.base, changed.head) == ("DECIMAL(9,1)", "DECIMAL(9,3)")
    assert found.coverage.not_compared == {}
    assert found.verdict is Verdict.DIFFERENT  # another type is a difference
    assert compare_relations(con, "t", *sides, key, any_types=True).verdict is (
        Verdict.IDENTICAL if matching else Verdict.DIFFERENT
    )


def test_a_time_zone_on_one_side_is_reported(con: duckdb.DuckDBPyConnection) -> None:
    base, head = (
        typed("timestamp", "'2024-05-01 10:00'", "null")[0],
        typed("timestamptz", "null", "'2024-05-01 10:00+00'")[1],
    )
    found = compare_relations(con, "t", base, head, ["id"])
    assert found.verdict is Verdict.DIFFERENT
    assert found.coverage.not_compared == {"x": "TIMESTAMP and TIMESTAMP WITH TIME ZONE have no common type"}


def test_a_sample_has_the_same_rows_on_both_sides(con: duckdb.DuckDBPyConnection) -> None:
    base = "(select i::integer as id, i as x from range(1000) as t(i))"
    head = "(select i::bigint as id, i as x from range(1000) as t(i))"
    for key in (["id"], []):
        found = compare_relations(con, "t", base, head, key, sample=0.3)
        assert (found.rows.added, found.rows.removed, found.rows.changed) == (0, 0, 0)
        assert 200 < found.rows.identical < 400
        assert found.coverage.sample == 0.3


@pytest.mark.parametrize("columns", [700, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_table_of_many_columns(con: duckdb.DuckDBPyConnection, columns: int) -> None:
    values = ", ".join(f"i + {number} as c{number}" for number in range(columns))
    base = f"(select i as id, {values} from range(3) as t(i))"
    head = f"(select * replace (if(id = 1, 0, c5) as c5) from {base})"
    found = compare_relations(con, "t", base, head, ["id"])
    assert [column.name for column in found.columns if column.matching < 3] == ["c5"]
    whole_rows = compare_relations(con, "t", base, head, [])
    assert counts(whole_rows) == (1, 1, 0, 0, 2)
    assert whole_rows.coverage.notes == (f"{columns + 1:,} columns: which of them differ takes a key",)
