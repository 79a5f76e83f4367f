"""Rules of a contract that a table as a whole does not keep are listed with what was found and what is allowed."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from tests.harness.contracts import contract

from slipway.contracts.model import Severity
from slipway.contracts.table_rules import broken_rules_sql


def test_rules_of_a_table_that_do_not_hold_are_listed(connection: duckdb.DuckDBPyConnection) -> None:
    found = contract(
        {"name": "k", "logicalType": "integer", "primaryKey": True, "required": True},
        {"name": "c", "logicalType": "string", "unique": True, "enum": [{"value": "a"}, {"value": "b"}]},
        {"name": "p", "quality": [{"metric": "nullValues", "mustBeLessOrEqualTo": 25, "unit": "percent"}]},
        quality=[
            {"metric": "rowCount", "mustBeBetween": [1, 3]},
            {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["k", "c"]}},
            {
                "type": "sql",
                "name": "sum of k",
                "query": "select sum(k) from {object}",
                "mustBeLessThan": 7,
                "severity": "warning",
            },
        ],
    )
    table = found.tables[0]

    def broken(rows: str, severity: Severity = Severity.ERROR) -> dict[str, float]:
        connection.execute(f"create or replace table t as select * from (values {rows}) as t(k, c, p)")
        sql = broken_rules_sql(table, "t", severity, "f.odcs.yaml")
        return {row[0]: row[1] for row in connection.execute(sql).fetchall()}

    assert broken("(1, 'a', 1), (2, 'b', 1), (3, null, 1)") == {}
    assert broken("(1, 'a', 1), (1, 'a', null), (null, 'c', null), (4, 'b', 1)") == {
        "row_count": 4,
        "duplicate_values": 1,
        "p_null_values": 50,
        "k_missing": 1,
        "c_not_unique": 1,
        "c_not_allowed": 1,
        "primary_key_not_unique": 1,
    }
    assert broken("(3, 'a', 1), (4, 'b', 1)", Severity.WARNING) == {"sum_of_k": 7}
    nothing = broken_rules_sql(contract({"name": "a"}).tables[0], "t", Severity.ERROR, "f.odcs.yaml")
    asked = connection.execute(nothing)
    columns = [column[0] for column in asked.description]
    assert columns == ["rule_id", "measured", "unit", "expected", "table_rows", "problem"]
    assert asked.fetchall() == []


@pytest.mark.parametrize(
    ("rule", "rows", "said"),
    [
        (
            {"metric": "duplicateValues", "mustBeLessThan": 2, "arguments": {"properties": ["k"]}},
            "(1), (1), (1), (null)",
            ("duplicate_values", 2, "rows", "mustBeLessThan 2", 4, "2 of 4 rows"),
        ),
        (
            {"type": "sql", "name": "odd", "query": "select count(*) from {object} where k % 2 = 1", "mustBeLessThan": 25, "unit": "percent"},
            "(1), (2), (4)",
            ("odd", 100 / 3, "percent", "mustBeLessThan 25 percent", 3, "33.3333 percent (1 of 3 rows)"),
        ),
        (
            {"metric": "duplicateValues", "mustBeLessThan": 5, "unit": "percent", "arguments": {"properties": ["k"]}},
            "(null) limit 0",
            ("duplicate_values", None, "percent", "mustBeLessThan 5 percent", 0, "the table has no rows"),
        ),
        (
            {"metric": "rowCount", "mustBeGreaterThan": 1000},
            "(1), (2)",
            ("row_count", 2, "rows", "mustBeGreaterThan 1,000", 2, "the table has 2 rows"),
        ),
        (
            {"type": "sql", "name": "sum of k", "query": "select sum(k) / 4 from {object}", "mustBeBetween": [1, 2.5]},
            "(1200), (1234)",
            ("sum_of_k", 608.5, "", "mustBeBetween 1 and 2.5", 2, "its query returns 608.5"),
        ),
        (
            {"type": "sql", "name": "sum", "query": "select sum(k) from {object}", "mustBe": 0},
            "(null::integer)",
            ("sum", None, "", "mustBe 0", 1, "its query returns no number"),
        ),
    ],
    ids=["rows", "percent", "percent-of-nothing", "rows-of-the-table", "query", "query-without-a-number"],
)  # fmt: skip
def test_a_broken_rule_says_what_was_found_and_what_is_allowed(
    connection: duckdb.DuckDBPyConnection, rule: dict[str, Any], rows: str, said: tuple[Any, ...]
) -> None:
    table = contract({"name": "k", "logicalType": "integer"}, quality=[rule]).tables[0]
    connection.execute(f"create or replace table t as select * from (values {rows}) as t(k)")
    ((*facts, problem),) = connection.execute(
        broken_rules_sql(table, "t", Severity.ERROR, "f.odcs.yaml")
    ).fetchall()
    rule_id, measured, _, expected, _, found = said
    assert facts == [rule_id, pytest.approx(measured), *said[2:5]]
    assert problem == f"Rule {rule_id} of f.odcs.yaml is broken: {found}, and the contract says {expected}"
