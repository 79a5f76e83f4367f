"""What differences amount to: sums, distributions, and ranges in which they are."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pytest

from slipway.comparison.compare import compare_relations
from slipway.comparison.report import make_report, to_dict
from slipway.comparison.text_report import to_text
from slipway.monitors.formulas import stability_index

BASE = """(
    select i as id, date '2024-01-01' + (i // 10)::integer as day, (i % 10)::integer as kind, (i / 4)::decimal(9, 2) as amount
    from range(1000) as t(i)
)"""


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


def test_sums_of_columns_that_differ(con: duckdb.DuckDBPyConnection) -> None:
    head = f"(select * replace (if(id = 8, 102, amount)::decimal(9, 2) as amount) from {BASE})"
    found = compare_relations(con, "t", BASE, head, ["id"])
    # 0 + 0.25 + … + 249.75, and the 2.00 of the ninth row is 102.00
    assert [(one.column, one.base, one.head) for one in found.effects] == [("amount", 124875, 124975)]
    assert "net effect: amount 124,875.00 → 124,975.00 (+0.0801 %)" in to_text(make_report([found]))
    assert compare_relations(con, "t", BASE, BASE, ["id"]).effects == ()


def test_a_column_of_some_key_has_no_sum(con: duckdb.DuckDBPyConnection) -> None:
    head = f"(select * replace (if(id = 8, 0, kind)::integer as kind) from {BASE})"
    assert [one.column for one in compare_relations(con, "t", BASE, head, ["id"]).effects] == ["kind"]
    assert compare_relations(con, "t", BASE, head, ["id"], identifiers={"kind"}).effects == ()


def test_sums_of_rows_that_come_and_go(con: duckdb.DuckDBPyConnection) -> None:
    head = f"(from {BASE} where id > 0 union all select 2000, date '2024-01-01', 3, 1)"
    for key in (["id"], []):
        found = {
            one.column: (one.base, one.head) for one in compare_relations(con, "t", BASE, head, key).effects
        }
        assert found["amount"] == (124875, 124876)
        assert found["kind"] == (4500, 4503)


def test_a_distribution_that_moves(con: duckdb.DuckDBPyConnection) -> None:
    head = f"(select * replace (if(kind < 5, 0, kind)::integer as kind) from {BASE})"
    (drift,) = compare_relations(con, "t", BASE, head, ["id"]).drifts
    # deciles of base are the ten kinds; values above the ninth decile have the last bin
    base, after = [100] * 9 + [100, 0], [500, 0, 0, 0, 0, 100, 100, 100, 100, 100, 0]
    assert drift.column == "kind"
    assert drift.stability_index == pytest.approx(stability_index(base, after), rel=0.2)
    assert drift.stability_index > 0.25
    text = to_text(make_report([compare_relations(con, "t", BASE, head, ["id"])]))
    assert "distribution moved (PSI, from 0.25 on much): kind " in text


def test_few_rows_have_no_distribution(con: duckdb.DuckDBPyConnection) -> None:
    few = f"(from {BASE} limit 20)"
    head = f"(select * replace (0 as kind) from {few})"
    assert compare_relations(con, "t", few, head, ["id"]).drifts == ()


def test_a_range_of_time_that_has_the_changes(con: duckdb.DuckDBPyConnection) -> None:
    head = f"""(
        select * replace (if(day between '2024-02-01' and '2024-02-05' and kind < 8, 0, amount)::decimal(9, 2) as amount)
        from {BASE}
    )"""
    found = compare_relations(con, "t", BASE, head, ["id"])
    segment = next(one for one in found.segments if one.column == "day")
    assert (segment.value, segment.until, segment.rows, segment.of_rows) == (
        "2024-02-01",
        "2024-02-05",
        40,
        40,
    )
    # five days of a hundred
    assert (segment.table_share, segment.lift) == (0.05, 20)
    assert (
        "40 of 40 differing rows have day from 2024-02-01 to 2024-02-05, which 5 % of all rows have (lift 20)"
        in to_text(make_report([found]))
    )


def test_few_values_are_bins_and_nulls_are_one_more(con: duckdb.DuckDBPyConnection) -> None:
    base = "(select i as id, if(i < 60, 'a', 'b') as word, 'x' || i as many from range(100) as t(i))"
    head = "(select i as id, if(i < 60, 'a', null) as word, 'y' || i as many from range(100) as t(i))"
    (drift,) = compare_relations(con, "t", base, head, ["id"]).drifts
    # a, b and NULL; each of the hundred texts is another value, of which there are too many to tell
    assert drift.column == "word"
    assert drift.stability_index == pytest.approx(stability_index([60, 40, 0], [60, 0, 40]))


def test_what_is_no_number_of_json_is_left_out(con: duckdb.DuckDBPyConnection) -> None:
    base, head = (
        f"(select i as id, {big}::double as big, {small}::double as small from range(3) t(i))"
        for big, small in (("1e308", "1e-300"), ("1.5e308", "1e100"))
    )
    found = compare_relations(con, "t", base, head, ["id"])
    big, small = found.columns
    assert (big.largest_relative_change, small.largest_relative_change) == (0.5, None)
    assert [one.column for one in found.effects] == ["small"]
    json.dumps(to_dict(make_report([found])), allow_nan=False)
