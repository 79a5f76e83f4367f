"""Typed and quarantined rows of a feed are the same on both engines, whatever the texts are that landed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.contracts import contract
from tests.integration.spark.translation.engines import BothEngines

from slipway.contracts.typed_rows import LINEAGE, quarantined_sql, typed_sql

TEXTS = [
    *(None, "", " ", "\t", "\u00a0", "a", " a\u00a0", "ab", "AB12", "x\ny", "'", "€", "-", "null"),
    *(
        "0",
        "-0",
        "+6",
        " +6.00 ",
        "6.7",
        "6.",
        ".5",
        "-.5",
        "1e3",
        "1,5",
        "0x1F",
        "007",
        "--1",
        "1 2",
        "\u0661",
    ),
    *("2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808"),
    *(
        "9999999.99",
        "9999999.995",
        "10000000",
        "1.555",
        "1.50",
        "1.500",
        "12345678901234567890123456.7891",
        "1" * 40,
    ),
    *("true", "YES", "n", "F", "1", "perhaps", "on", "True "),
    *(
        "2024-02-29",
        "2023-02-29",
        "2024-2-3",
        "0001-01-01",
        "0000-01-01",
        "9999-12-31",
        "12024-01-01",
        "2024-02-03T",
    ),
    *("2024-02-03 10:20", "2024-02-03T10:20:30", "2024-02-03 10:20:30.123456", "2024-02-03 10:20:30.1234567"),
    *(
        "2024-02-03 24:00:00",
        "2024-02-03 23:59:60",
        "2024-03-31 01:30:00",
        "2024-10-27 01:30:00",
        "2024-02-03 10:20:30Z",
    ),
]
COLUMNS: dict[str, dict[str, Any]] = {
    "text": {"logicalType": "string", "required": True},
    "short": {"logicalType": "string", "logicalTypeOptions": {"minLength": 2, "maxLength": 3}},
    "pattern": {"logicalType": "string", "logicalTypeOptions": {"pattern": "[A-Z]{2}[0-9]+"}},
    "enum": {"logicalType": "string", "enum": [{"value": "a"}, {"value": "'"}]},
    "integer": {"logicalType": "integer", "logicalTypeOptions": {"minimum": 0}},
    "bigint": {"logicalType": "integer", "physicalType": "bigint", "logicalTypeOptions": {"multipleOf": 3}},
    "decimal": {
        "logicalType": "number",
        "physicalType": "decimal(9, 2)",
        "logicalTypeOptions": {"maximum": 5.5},
    },
    "long": {"logicalType": "number", "physicalType": "decimal(30, 4)"},
    "boolean": {"logicalType": "boolean"},
    "date": {"logicalType": "date", "logicalTypeOptions": {"minimum": "2024-01-01"}},
    "timestamp": {"logicalType": "timestamp"},
    "local": {"logicalType": "timestamp", "logicalTypeOptions": {"defaultTimezone": "Europe/London"}},
    "valid": {
        "quality": [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["a", "6.7"]}}]
    },
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_rows_are_typed_and_set_aside_alike(engines: BothEngines, kind: str) -> None:
    found = contract({"name": "n", "physicalName": "its n", **COLUMNS[kind]})
    table = f"landed_{kind}"
    lineage = ", ".join(f"{name} {of}" for name, of in LINEAGE.items())
    engines.duckdb.execute(f'create or replace table {table} ("its n" varchar, {lineage})')
    engines.duckdb.executemany(
        f"insert into {table} values (?, 'a.csv', ?, 'x', '2024-05-05 00:00:00+00', 'r')",
        [[text, line] for line, text in enumerate(TEXTS, 2)],
    )
    engines.share(table, table)
    for sql in (typed_sql(found, table), quarantined_sql(found, table)):
        expected = engines.by_duckdb(sql)
        assert not expected.error
        assert engines.by_spark(sql) == expected
