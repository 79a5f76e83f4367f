"""Rows are typed exactly or break a rule with an id: contracts compiled to SQL, run by DuckDB on text as raw keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.contracts import contract

from slipway.contracts.model import Contract, Severity
from slipway.contracts.released_rows import ReleasedRows
from slipway.contracts.row_checks import checks_of, limits_of
from slipway.contracts.table_rules import broken_rules_sql
from slipway.contracts.typed_rows import quarantined_sql, typed_sql
from slipway.errors import ConfigError

SHA = "0a" * 32


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("set timezone = 'UTC'")
        yield made


def land(
    connection: duckdb.DuckDBPyConnection, found: Contract, rows: Sequence[Sequence[str | None]]
) -> None:
    headers = [f'"{column.header}"' for column in found.tables[0].columns]
    lineage = "_source_file varchar, _source_line bigint, _file_sha256 varchar, _landed_at timestamptz, _run_id varchar"
    connection.execute(
        f"create or replace table raw ({', '.join(f'{name} varchar' for name in headers)}, {lineage})"
    )
    for line, row in enumerate(rows, 2):
        marks = ", ".join("?" for _ in row)
        connection.execute(
            f"insert into raw values ({marks}, 'a.csv', {line}, 'x', '2024-05-05 00:00:00+00', 'r')",
            list(row),
        )


def typed(
    connection: duckdb.DuckDBPyConnection, found: Contract, *rows: Sequence[str | None]
) -> list[tuple[Any, ...]]:
    """Typed values and the rule, row by row in the order of lines."""
    land(connection, found, rows)
    names = ", ".join(f'"{column.name}"' for column in found.tables[0].columns)
    query = f"select {names}, rule_id from ({typed_sql(found, 'raw')}) order by _source_line"
    return connection.execute(query).fetchall()


def one(
    connection: duckdb.DuckDBPyConnection,
    column: dict[str, Any],
    text: str | None,
    **files: Any,  # noqa: ANN401 - of several types
) -> tuple[Any, Any]:
    ((value, rule),) = typed(connection, contract(column, files=files), [text])
    return value, rule


INTEGER = {"name": "n", "logicalType": "integer"}
DECIMAL = {"name": "n", "logicalType": "number", "physicalType": "decimal(9, 2)"}
FLOAT = {"name": "n", "logicalType": "number", "logicalTypeOptions": {"format": "f64"}}


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (INTEGER, "6", 6),
        (INTEGER, " +6.00 ", 6),
        (INTEGER, "-2147483648", -2147483648),
        (DECIMAL, "1.5", Decimal("1.50")),
        (DECIMAL, ".5000", Decimal("0.50")),
        (FLOAT, "1e3", 1000.0),
        ({"name": "n", "logicalType": "boolean"}, "YES", True),
        ({"name": "n", "logicalType": "string"}, "\u00a0a b\t", "a b"),
        ({"name": "n"}, "a", "a"),
    ],
)
def test_text_is_typed(
    connection: duckdb.DuckDBPyConnection, column: dict[str, Any], text: str, value: object
) -> None:
    assert one(connection, column, text) == (value, None)


@pytest.mark.parametrize(
    ("column", "text", "rule"),
    [
        (INTEGER, "6.7", "n_not_integer"),
        (INTEGER, "2147483648", "n_not_integer"),
        (INTEGER, "1e3", "n_not_integer"),
        (INTEGER, "six", "n_not_integer"),
        (DECIMAL, "1.555", "n_not_decimal"),
        (DECIMAL, "10000000", "n_not_decimal"),
        (DECIMAL, "0,42", "n_not_decimal"),
        (FLOAT, "1e999", "n_not_number"),
        (FLOAT, "nan", "n_not_number"),
        ({"name": "n", "logicalType": "boolean"}, "perhaps", "n_not_boolean"),
        ({"name": "n", "logicalType": "date"}, "2024-02-30", "n_not_date"),
        ({"name": "n", "logicalType": "date"}, "2024-2-3", "n_not_date"),
        ({"name": "n", "logicalType": "timestamp"}, "2024-02-03", "n_not_timestamp"),
        ({"name": "n", "logicalType": "timestamp"}, "2024-02-03 24:00:00", "n_not_timestamp"),
        ({"name": "n", "logicalType": "timestamp", "logicalTypeOptions": {"timezone": True}}, "2024-02-03 10:00:00", "n_not_timestamp"),
        ({"name": "n", "logicalType": "timestamp", "logicalTypeOptions": {"defaultTimezone": "Europe/London"}}, "2024-03-31 01:30:00", "n_skipped_by_clock"),
        ({"name": "n", "logicalType": "time"}, "25:00", "n_not_time"),
        ({"name": "n", "required": True}, " ", "n_missing"),
        ({"name": "n", "logicalType": "string", "enum": [{"value": "a"}]}, "b", "n_not_allowed"),
        ({"name": "n", "logicalType": "string", "logicalTypeOptions": {"pattern": "[a-z]+'?"}}, "a1", "n_other_pattern"),
        ({"name": "n", "logicalType": "string", "logicalTypeOptions": {"minLength": 3}}, "ab", "n_too_short"),
        ({"name": "n", "logicalType": "string", "logicalTypeOptions": {"maxLength": 1}}, "ab", "n_too_long"),
        ({**INTEGER, "logicalTypeOptions": {"minimum": 0}}, "-1", "n_negative"),
        ({**INTEGER, "logicalTypeOptions": {"minimum": 5}}, "4", "n_too_small"),
        ({**INTEGER, "logicalTypeOptions": {"exclusiveMaximum": 5}}, "5", "n_too_large"),
        ({**INTEGER, "logicalTypeOptions": {"multipleOf": 5}}, "6", "n_no_multiple"),
        ({"name": "n", "logicalType": "date", "logicalTypeOptions": {"maximum": "2024-01-01"}}, "2024-01-02", "n_too_large"),
        ({"name": "n", "quality": [{"metric": "nullValues", "mustBe": 0}]}, None, "n_null_values"),
        ({"name": "n", "quality": [{"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": ["-"]}}]}, "-", "n_missing_values"),
        ({"name": "n", "quality": [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["a"]}}]}, "b", "n_invalid_values"),
        ({"name": "n", "quality": [{"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "a+"}}]}, "b", "n_invalid_values"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_has_its_id(
    connection: duckdb.DuckDBPyConnection, column: dict[str, Any], text: str | None, rule: str
) -> None:
    assert one(connection, column, text)[1] == rule
    assert rule in {check.id for check in checks_of(contract(column))}


def test_no_value_breaks_only_the_rule_that_one_is_required(connection: duckdb.DuckDBPyConnection) -> None:
    column = {**INTEGER, "logicalTypeOptions": {"minimum": 5}}
    assert one(connection, column, None) == (None, None)
    assert one(connection, {**column, "required": True}, None) == (None, "n_missing")


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        ("dd.MM.yyyy", "31.12.2024", "2024-12-31"),
        ("d/M/yy", "1/2/24", "2024-02-01"),
        ("yyyyMMdd", "20240229", "2024-02-29"),
        ("d MMM yyyy", "3 Feb 2024", "2024-02-03"),
        ("yyyy'y'MM", "2024y05", "2024-05-01"),
    ],
)
def test_dates_are_read_in_the_form_of_the_contract(
    connection: duckdb.DuckDBPyConnection, form: str, text: str, value: str
) -> None:
    column = {"name": "n", "logicalType": "date", "logicalTypeOptions": {"format": form}}
    found, rule = one(connection, column, text)
    assert (str(found), rule) == (value, None)
    assert one(connection, column, f"{text}x")[1] == "n_not_date"


def test_a_local_time_becomes_an_instant(connection: duckdb.DuckDBPyConnection) -> None:
    column = {
        "name": "n",
        "logicalType": "timestamp",
        "logicalTypeOptions": {"defaultTimezone": "Europe/London"},
    }
    land(connection, contract(column), [["2024-07-01 00:30:00"], ["2024-10-27T01:30"]])
    query = f"select strftime(n, '%Y-%m-%d %H:%M %z') from ({typed_sql(contract(column), 'raw')}) order by _source_line"
    assert connection.execute(query).fetchall() == [("2024-06-30 23:30 +00",), ("2024-10-27 01:30 +00",)]


def test_marks_and_spellings_are_those_of_the_files(connection: duckdb.DuckDBPyConnection) -> None:
    german = {"decimalMark": ",", "thousandsMark": ".", "nullValues": ["-"]}
    values = {
        "1.234.567,8": Decimal("1234567.80"),
        "12,5": Decimal("12.50"),
        "-": None,
        " 1.137 ": Decimal(1137),
    }
    for text, value in values.items():
        assert one(connection, DECIMAL, text, **german) == (value, None)
    for text in ("1.2", "1,234.5", "12.34.567", "1,2,3"):
        assert one(connection, DECIMAL, text, **german)[1] == "n_not_decimal"


def test_the_first_rule_counts_missing_before_malformed_before_out_of_bounds(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = contract(
        {**INTEGER, "physicalName": "N", "logicalTypeOptions": {"minimum": 0}},
        {"name": "text", "physicalName": "The Text", "required": True},
        quality=[
            {
                "type": "sql",
                "name": "sum",
                "query": "select count(*) from {object} where n = 7 or _landed_at < timestamptz '2020-01-01'",
                "mustBe": 0,
            },
            {"metric": "rowCount", "mustBeGreaterThan": 0},
        ],
    )
    rows = typed(connection, found, ["x", None], ["x", "a"], ["-1", "a"], ["7", "a"], ["8", "a"])
    assert [row[-1] for row in rows] == ["text_missing", "n_not_integer", "n_negative", "sum", None]
    columns = connection.execute(f"describe {quarantined_sql(found, 'raw')}").fetchall()
    assert [row[0] for row in columns] == [
        "N", "The Text", "_source_file", "_source_line", "_file_sha256", "_landed_at", "_run_id", "rule_id", "reason", "_row_key",
    ]  # fmt: skip
    away = connection.execute(
        f'select "N", "The Text", reason from ({quarantined_sql(found, "raw")}) order by _source_line'
    ).fetchall()
    assert away[1:3] == [
        ("x", "a", "N is not a whole number that fits integer"),
        ("-1", "a", "N is negative"),
    ]


def test_equal_rows_have_one_key(connection: duckdb.DuckDBPyConnection) -> None:
    found = contract({"name": "a"}, {"name": "b"})
    land(connection, found, [["ab", "c"], ["a", "bc"], [None, "abc"], ["ab", "c"], ["", "abc"]])
    keys = [
        row[0]
        for row in connection.execute(
            f"select _row_key from ({typed_sql(found, 'raw')}) order by _source_line"
        ).fetchall()
    ]
    assert len(set(keys)) == 4
    assert keys[0] == keys[3]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            {"name": "n", "logicalType": "number"},
            r"does not say how exact it is\. Write `physicalType: decimal",
        ),
        ({"name": "n", "logicalType": "array"}, "the contract does not say what is in it"),
        (
            {"name": "n", "logicalType": "vector", "logicalTypeOptions": {"dimensions": 2}},
            "n of the logical type vector cannot be typed: it is not read from text",
        ),
        (
            {"name": "n", "logicalType": "date", "logicalTypeOptions": {"format": "QQ"}},
            "`QQ` in it is not known",
        ),
    ],
)
def test_what_cannot_be_typed_is_refused(column: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        typed_sql(contract(column), "raw")


_NUMBERS = st.from_regex(r"\A[+-]?[0-9]{0,12}[.,]?[0-9]{0,6}(e[0-9])?\Z") | st.text(
    "0123456789+-.e ", max_size=9
)


def as_whole(text: str, bits: int) -> int | None:
    """A whole number written with digits and at most a fraction of zeros, worked out without SQL."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    if (
        "e" in text
        or text.strip().lstrip("+-").startswith(".")
        or "_" in text
        or value != value.to_integral_value()
    ):
        return None
    return int(value) if -(2 ** (bits - 1)) <= value < 2 ** (bits - 1) else None


def as_decimal(text: str, precision: int, scale: int) -> Decimal | None:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    shifted = value.scaleb(scale)
    if "e" in text or shifted != shifted.to_integral_value() or abs(shifted) >= 10**precision:
        return None
    return value


@given(st.lists(_NUMBERS, min_size=1, max_size=20))
@settings(max_examples=25)
def test_numbers_are_read_as_arithmetic_reads_them(texts: list[str]) -> None:
    with duckdb.connect() as connection:
        found = contract({**INTEGER, "logicalTypeOptions": {"format": "i16"}}, {**DECIMAL, "name": "d"})
        rows = typed(connection, found, *[[text, text] for text in texts])
    for text, (whole, exact, _) in zip(texts, rows, strict=True):
        assert whole == as_whole(text, 16), text
        assert exact == as_decimal(text, 9, 2), text


_LONG = st.from_regex(r"\A[+-]?[0-9]{0,24}[.]?[0-9]{0,22}\Z") | st.from_regex(
    r"\A-?9{0,20}[.]9{0,20}0{0,3}\Z"
)


@given(st.lists(_LONG, min_size=1, max_size=30))
@settings(max_examples=20)
def test_long_decimals_are_read_exactly(texts: list[str]) -> None:
    kinds = [(38, 15), (38, 18), (38, 20), (20, 18), (18, 3)]
    columns = [
        {"name": f"d{number}", "logicalType": "number", "physicalType": f"decimal({precision},{scale})"}
        for number, (precision, scale) in enumerate(kinds)
    ]
    with duckdb.connect() as connection, localcontext() as context:
        context.prec = 60
        rows = typed(connection, contract(*columns), *[[text] * len(kinds) for text in texts])
        for text, (*values, _) in zip(texts, rows, strict=True):
            assert values == [as_decimal(text, *kind) for kind in kinds], text


@given(
    st.lists(
        st.tuples(st.none() | st.sampled_from(["1", "2", "x", " "]), st.none() | st.text(max_size=3)),
        max_size=12,
    )
)
@settings(max_examples=15)
def test_each_row_is_typed_or_quarantined_and_none_is_lost(rows: list[tuple[str | None, str | None]]) -> None:
    found = contract({**INTEGER, "required": True}, {"name": "t", "logicalType": "string"})
    with duckdb.connect() as connection:
        land(connection, found, rows)
        good = connection.execute(
            f"select count(*) from ({typed_sql(found, 'raw')}) where rule_id is null"
        ).fetchall()
        bad = connection.execute(
            f"select count(*), count(reason) from ({quarantined_sql(found, 'raw')})"
        ).fetchall()
    assert good[0][0] + bad[0][0] == len(rows)
    assert bad[0][0] == bad[0][1] == sum((row[0] or "").strip() not in ("1", "2") for row in rows)


@given(st.lists(st.sampled_from(["1", "5", "x", None]), max_size=6), st.data())
def test_released_rows_break_no_rule_that_they_were_released_for(
    values: list[str | None], data: st.DataObject
) -> None:
    """Each row is typed or quarantined, once, whatever is released; of other rows nothing changes."""
    found = contract(
        {"name": "n", "logicalType": "integer", "required": True, "logicalTypeOptions": {"maximum": 3}}
    )
    rules = ["n_missing", "n_not_integer", "n_too_large"]
    released = [
        ReleasedRows(
            rule=data.draw(st.sampled_from(rules)),
            file="a.csv",
            sha256=SHA,
            lines=(data.draw(st.integers(1, 8)),),
            reason="r",
            released_by="ada",
            released_at=datetime(2024, 5, 1, tzinfo=UTC),
        )
        for _ in range(data.draw(st.integers(0, 4)))
    ]
    with duckdb.connect() as connection:
        connection.execute(
            "create table raw (n varchar, _source_file varchar, _source_line bigint, _file_sha256 varchar,"
            " _landed_at timestamptz, _run_id varchar)"
        )
        for line, value in enumerate(values, 1):
            connection.execute("insert into raw values (?, 'a.csv', ?, ?, now(), 'r')", [value, line, SHA])

        def judged(*rows: ReleasedRows) -> dict[int, str | None]:
            sql = typed_sql(found, "raw", rows)
            return dict(connection.execute(f"select _source_line, rule_id from ({sql})").fetchall())

        before, after = judged(), judged(*released)
        bad = connection.execute(
            f"select _source_line, rule_id from ({quarantined_sql(found, 'raw', released)})"
        ).fetchall()
    assert dict(bad) == {line: rule for line, rule in after.items() if rule is not None}
    assert after.keys() == before.keys()
    let_through = {(one.rule, line) for one in released for line in one.lines}
    for line, rule in before.items():
        if rule is None or (rule, line) not in let_through:
            assert after[line] == rule
        else:
            assert after[line] != rule


LIMIT = {"mustBeLessThan": 5, "unit": "percent"}


@pytest.mark.parametrize(
    ("column", "rule", "limited"),
    [
        ({"required": True}, {"metric": "nullValues", **LIMIT}, "a_missing"),
        ({"primaryKey": True}, {"metric": "missingValues", **LIMIT}, "a_missing"),
        ({}, {"metric": "nullValues", **LIMIT}, None),
        ({"required": True}, {"metric": "missingValues", "arguments": {"missingValues": ["-"]}, **LIMIT}, None),
        ({"required": True}, {"metric": "duplicateValues", **LIMIT}, None),
        ({"required": True}, {"metric": "nullValues", "mustBe": 0}, None),
        ({"enum": [{"value": "x"}, {"value": "y"}]}, {"metric": "invalidValues", "arguments": {"validValues": ["y", "x"]}, **LIMIT}, "a_not_allowed"),
        ({"enum": [{"value": "x"}]}, {"metric": "invalidValues", "arguments": {"validValues": ["y"]}, **LIMIT}, None),
        ({"logicalTypeOptions": {"pattern": "x+"}}, {"metric": "invalidValues", "arguments": {"pattern": "x+"}, **LIMIT}, "a_other_pattern"),
        ({"logicalTypeOptions": {"pattern": "x+"}}, {"metric": "invalidValues", "arguments": {"pattern": "y"}, **LIMIT}, None),
    ],
)  # fmt: skip
def test_a_rule_that_counts_the_rows_of_a_declared_rule_is_a_limit_of_it(
    connection: duckdb.DuckDBPyConnection,
    column: dict[str, Any],
    rule: dict[str, Any],
    limited: str | None,
) -> None:
    found = contract({"name": "a", "logicalType": "string", **column, "quality": [rule]})
    limits = limits_of(found)
    assert [name for name, _ in limits] == ([limited] if limited else [])
    if limited:
        assert limits[0][1].model_dump(exclude_none=True) == {
            "must_be_less_than": 5.0,
            "unit": "percent",
            "severity": "error",
        }
        # the metric counts what the rule sets aside
        land(connection, found, [["x"], ["y"], ["xx"], [None], [" "], ["z"]])
        aside = connection.execute(
            f"select count(*) from ({quarantined_sql(found, 'raw')}) where rule_id = '{limited}'"
        ).fetchall()
        connection.execute("create or replace table t as select nullif(trim(a), '') as a from raw")
        counted = {"mustBeLessOrEqualTo": 0, "unit": "rows"}
        same = {key: value for key, value in rule.items() if key not in LIMIT} | counted
        table = contract({"name": "a", "logicalType": "string", "quality": [same]}).tables[0]
        broken = connection.execute(broken_rules_sql(table, "t", Severity.ERROR, "f.odcs.yaml")).fetchall()
        assert [row[1] for row in broken] == [row[0] for row in aside]


def conditions_in_scan(connection: duckdb.DuckDBPyConnection, columns: int) -> int:
    """How often DuckDB tests the text of the last of some columns while it leaves out rows that break a rule."""
    names = [f"n{number}" for number in range(columns)]
    found = contract(*({**INTEGER, "name": name, "required": True} for name in names))
    land(connection, found, [["1"] * columns])
    query = f"explain (format json) select n0 from ({typed_sql(found, 'raw')}) where rule_id is null"
    _, plan = connection.execute(query).fetchall()[0]
    (node,) = json.loads(plan)
    filters = []
    while node:
        if node["name"].strip() == "FILTER":
            filters.append(str(node["extra_info"]))
        node = next(iter(node["children"]), None)
    return "".join(filters).count(f"'{names[-1]}'")


def test_rules_are_looked_at_once_whatever_their_number(connection: duckdb.DuckDBPyConnection) -> None:
    few, many = conditions_in_scan(connection, 2), conditions_in_scan(connection, 8)
    assert 0 < few == many
