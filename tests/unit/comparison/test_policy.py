from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from slipway.comparison.policy import ExpectedChange, Tolerance, keys_of_tests, parse_policy
from slipway.errors import ConfigError


def test_reads_every_setting() -> None:
    policy = parse_policy(
        "daily_revenue",
        {
            "materialized": "table",
            "compare_key": ["revenue_date", "country"],
            # PyYAML reads 1e-9 (without a dot) as text.
            "compare_tolerance": {"net_revenue": {"absolute": 0.01, "relative": "1e-9"}},
            "compare_expected": [
                {"columns": ["net_revenue"], "reason": "postage is left out", "until": "2011-09-01"},
                {"rows": ["removed"], "reason": "test shops are left out", "until": date(2011, 9, 1)},
                {"reason": "a new table"},
            ],
        },
    )
    assert policy.key == ("revenue_date", "country")
    assert policy.tolerances == {
        "net_revenue": Tolerance(absolute=Decimal("0.01"), relative=Decimal("0.000000001"))
    }
    columns, rows, whole = policy.expected
    assert columns == ExpectedChange(
        columns=("net_revenue",), reason="postage is left out", until=date(2011, 9, 1)
    )
    assert (rows.rows, rows.until, rows.whole_table) == (("removed",), date(2011, 9, 1), False)
    assert whole.whole_table


def test_nothing_declared_means_no_key_and_no_leniency() -> None:
    policy = parse_policy("lines", {"materialized": "table"})
    assert (policy.key, policy.tolerances, policy.expected) == ((), {}, ())


@pytest.mark.parametrize(
    ("config", "constraints", "columns", "key"),
    [
        pytest.param({"unique_key": "id"}, [], {}, ("id",), id="unique-key-text"),
        pytest.param({"unique_key": ["a", "b"]}, [], {}, ("a", "b"), id="unique-key-list"),
        pytest.param({"unique_key": "a || b"}, [], {}, (), id="unique-key-expression"),
        pytest.param(
            {"unique_key": "a || b"},
            [{"type": "not_null", "columns": ["c"]}, {"type": "primary_key", "columns": ["a", "b"]}],
            {},
            ("a", "b"),
            id="model-constraint",
        ),
        pytest.param(
            {},
            [],
            {
                "a": {"constraints": [{"type": "primary_key"}]},
                "b": {"constraints": [{"type": "not_null"}]},
                "c": {},
            },
            ("a",),
            id="column-constraint",
        ),
        pytest.param({"compare_key": "x", "unique_key": "id"}, [], {}, ("x",), id="own-key-first"),
        pytest.param({"compare_key": [], "unique_key": "id"}, [], {}, (), id="whole-rows-on-purpose"),
    ],
)
def test_default_key(
    config: dict[str, Any],
    constraints: list[dict[str, Any]],
    columns: dict[str, dict[str, Any]],
    key: tuple[str, ...],
) -> None:
    policy = parse_policy("model", config, constraints=constraints, columns=columns)
    assert policy.key == key
    # what data tests say comes last
    tested = parse_policy("model", config, constraints=constraints, columns=columns, tested=[("z",)])
    assert tested.key == (key or (() if "compare_key" in config else ("z",)))


def data_test(name: str, column: object, node: str = "model.p.m", **config: object) -> dict[str, Any]:
    argument = "column_name" if name == "unique" else "combination_of_columns"
    described = {"name": name, "kwargs": {argument: column}}
    return {"resource_type": "test", "test_metadata": described, "attached_node": node, "config": config}


def test_columns_that_tests_say_are_unique() -> None:
    tests = [
        data_test("unique_combination_of_columns", ["a", "b"]),
        data_test("unique", "c"),
        data_test("unique", "b"),
        data_test("unique", "a", where="a > 1"),  # of a part of the rows
        data_test("unique", "lower(a)"),
        data_test("not_null", "a"),
        data_test("unique", "x", node="model.p.other"),
        {"resource_type": "test", "attached_node": None, "config": {}},  # a singular test
    ]
    model = {"resource_type": "model", "columns": {"a": {}, "b": {}, "c": {}}}
    nodes = {"model.p.m": model} | {f"test.p.{at}": test for at, test in enumerate(tests)}
    assert keys_of_tests({"nodes": nodes}) == {
        "model.p.m": [("b",), ("c",), ("a", "b")],
        "model.p.other": [("x",)],
    }


@pytest.mark.parametrize(
    ("config", "finding"),
    [
        pytest.param(
            {"compare_keys": ["a"]}, "unknown key compare_keys (known: compare_key,", id="unknown-key"
        ),
        pytest.param(
            {"compare_key": 3}, "compare_key is 3, expected a column name or a list", id="key-number"
        ),
        pytest.param({"compare_key": ["a", "a"]}, "compare_key is ['a', 'a']", id="key-twice"),
        pytest.param(
            {"compare_tolerance": 0.1}, "compare_tolerance is 0.1, expected {column:", id="bare-tolerance"
        ),
        pytest.param(
            {"compare_tolerance": {"a": {"abs": 1}}},
            "unknown key compare_tolerance.a.abs",
            id="unknown-bound",
        ),
        pytest.param(
            {"compare_tolerance": {"a": {}}}, "compare_tolerance.a: needs absolute or relative", id="no-bound"
        ),
        pytest.param(
            {"compare_tolerance": {"a": {"absolute": -1}}}, "compare_tolerance.a.absolute: ", id="negative"
        ),
        pytest.param(
            {"compare_tolerance": {"a": {"relative": "nan"}}},
            "compare_tolerance.a.relative: ",
            id="not-a-number",
        ),
        pytest.param(
            {"compare_expected": "new"}, "compare_expected is 'new', expected a list", id="not-a-list"
        ),
        pytest.param(
            {"compare_expected": [{"columns": ["a"]}]},
            "compare_expected[0].reason is missing",
            id="no-reason",
        ),
        pytest.param(
            {"compare_expected": [{"reason": " "}]}, "compare_expected[0].reason: ", id="empty-reason"
        ),
        pytest.param(
            {"compare_expected": [{"reason": "x"}, {"reason": "y", "column": "a"}]},
            "unknown key compare_expected[1].column",
            id="unknown-part",
        ),
        pytest.param(
            {"compare_expected": [{"reason": "x", "columns": []}]},
            "compare_expected[0].columns: ",
            id="no-columns",
        ),
        pytest.param(
            {"compare_expected": [{"reason": "x", "rows": ["changed"]}]},
            "compare_expected[0].rows.0: ",
            id="unknown-row-fate",
        ),
        pytest.param(
            {"compare_expected": [{"reason": "x", "until": "soon"}]},
            "compare_expected[0].until: ",
            id="not-a-date",
        ),
    ],
)
def test_refusals_are_one_line(config: dict[str, Any], finding: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_policy("daily_revenue", config)
    message = str(refused.value)
    assert message.startswith("Cannot read the comparison settings of model daily_revenue: ")
    assert finding in message
    assert "\n" not in message


def test_all_findings_come_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_policy("m", {"compare_columns": 1, "compare_key": 2, "compare_tolerance": {"a": {}}})
    assert refused.value.why.count(";") == 2


@pytest.mark.parametrize(
    ("until", "today", "holds"),
    [
        pytest.param(None, None, True, id="unlimited"),
        pytest.param(date(2011, 9, 1), date(2011, 9, 1), True, id="last-day"),
        pytest.param(date(2011, 9, 1), date(2011, 9, 2), False, id="day-after"),
        pytest.param(date(2011, 9, 1), None, False, id="no-date-known"),
    ],
)
def test_until(until: date | None, today: date | None, holds: bool) -> None:
    assert ExpectedChange(reason="x", until=until).holds(today) is holds
