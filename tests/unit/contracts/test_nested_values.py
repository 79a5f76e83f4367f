"""Objects, arrays and maps are typed as strictly as columns, and a row with a part that is not as the contract says is set aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.contracts.contract_files import read_contract
from slipway.contracts.model import Contract
from slipway.contracts.typed_rows import quarantined_sql, typed_sql
from slipway.errors import ConfigError

INTEGER = {"logicalType": "integer", "logicalTypeOptions": {"format": "i64"}}
NUMBER = {"logicalType": "number", "physicalType": "decimal(30, 9)"}
STRING = {"logicalType": "string"}
BOOLEAN = {"logicalType": "boolean"}
DATE = {"logicalType": "date"}


def contract(column: dict[str, Any], **custom: str) -> Contract:
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "f",
        "version": "1.0.0",
        "servers": [{"server": "landing", "type": "local", "path": "f/*.jsonl", "format": "json"}],
        "schema": [{"name": "f", "properties": [{"name": "a", **column}]}],
    }
    if custom:
        document["customProperties"] = [{"property": "schemaContract", "value": custom}]
    found, problems = read_contract(yaml.safe_dump(document, sort_keys=False), "f.odcs.yaml")
    assert problems == [], problems
    assert found is not None
    return found


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("set timezone = 'UTC'")
        lineage = "_source_file varchar, _source_line bigint, _file_sha256 varchar, _landed_at timestamptz, _run_id varchar"
        made.execute(f"create table raw (a varchar, {lineage})")
        yield made


def typed(
    connection: duckdb.DuckDBPyConnection, found: Contract, *texts: str | None
) -> list[tuple[Any, Any]]:
    """Values and broken rules of texts, in their order."""
    connection.execute("delete from raw")
    for line, text in enumerate(texts):
        connection.execute(
            "insert into raw values (?, 'f', ?, 'x', '2024-05-05 00:00:00+00', 'r')", [text, line]
        )
    return connection.execute(
        f"select a, rule_id from ({typed_sql(found, 'raw')}) order by _source_line"
    ).fetchall()


ADDRESS = {
    "logicalType": "object",
    "properties": [
        {"name": "zip", "required": True, **STRING},
        {"name": "since", **DATE},
        {"name": "House", "physicalName": "house/no", **INTEGER},
    ],
}


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        (ADDRESS, '{"zip": "01234", "since": "2024-05-01", "house/no": 7, "more": []}', {"zip": "01234", "since": "2024-05-01", "House": 7}),
        (ADDRESS, '{"zip": 1.50}', {"zip": "1.50", "since": None, "House": None}),
        (ADDRESS, '{"since": "2024-05-01"}', None),
        (ADDRESS, '{"zip": null}', None),
        (ADDRESS, '{"zip": "x", "since": "soon"}', None),
        (ADDRESS, '{"zip": "x", "house/no": 1.5}', None),
        (ADDRESS, '{"zip": {}}', None),
        (ADDRESS, '{"zip": "x"', None),
        (ADDRESS, "[]", None),
        (ADDRESS, "null", None),
        ({"logicalType": "array", "items": NUMBER}, "[123456789012345678901.123456789, 1e0, null]", None),
        ({"logicalType": "array", "items": NUMBER}, "[123456789012345678901.123456789, -0.5, null]", [Decimal("123456789012345678901.123456789"), Decimal("-0.5"), None]),
        ({"logicalType": "array", "items": {"required": True, **NUMBER}}, "[1, null]", None),
        ({"logicalType": "array", "items": NUMBER}, "[]", []),
        ({"logicalType": "array", "items": NUMBER}, "{}", None),
        ({"logicalType": "array", "items": ADDRESS}, '[{"zip": "x"}, {}]', None),
        ({"logicalType": "map", "map": {"key": STRING, "value": INTEGER}}, '{"a/b": 1, "~": null, "": 3}', {"a/b": 1, "~": None, "": 3}),
        ({"logicalType": "map", "map": {"key": STRING, "value": INTEGER}}, '{"a": "x"}', None),
        ({"logicalType": "map", "map": {"key": STRING, "value": INTEGER}}, "[1]", None),
        ({"logicalType": "map", "map": {"key": STRING, "value": INTEGER}}, '{"a": 1, "a": 2}', None),
    ],
)  # fmt: skip
def test_text_is_read_as_a_nested_value(
    connection: duckdb.DuckDBPyConnection, column: dict[str, Any], text: str, expected: object
) -> None:
    ((value, rule),) = typed(connection, contract(column), text)
    if isinstance(value, dict) and value.get("since"):
        value["since"] = str(value["since"])
    assert (value, rule) == (expected, None if expected is not None else f"a_not_{column['logicalType']}")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"logicalType": "object"}, "a cannot be typed: the contract does not say what is in it. Write `properties:`"),
        ({"logicalType": "array"}, "a cannot be typed: .*Write `items:"),
        ({"logicalType": "array", "items": {"logicalType": "array"}}, "a items cannot be typed"),
        ({"logicalType": "array", "logicalTypeOptions": {"minItems": 1}, "items": STRING}, "a has minItems: inside of objects"),
        ({"logicalType": "array", "items": {"enum": [{"value": "x"}], **STRING}}, "a items has enum"),
        ({"logicalType": "object", "properties": [{"name": "b", "logicalType": "string", "logicalTypeOptions": {"pattern": "x"}}]}, "a.b has pattern"),
        ({"logicalType": "object", "properties": [{"name": "b", "unique": True, **STRING}]}, "a.b has unique"),
        ({"logicalType": "object", "properties": [{"name": "b", "logicalType": "timestamp", "logicalTypeOptions": {"defaultTimezone": "Europe/Paris"}}]}, "a.b has a defaultTimezone"),
        ({"logicalType": "object", "properties": [{"name": "b", **STRING}, {"name": "B", **STRING}]}, "a has the properties b and B"),
        ({"logicalType": "object", "properties": [{"name": "b", "logicalType": "number"}]}, "number b cannot be typed"),
        ({"logicalType": "map", "map": {"key": INTEGER, "value": STRING}}, "a has keys of the logical type integer"),
    ],
)  # fmt: skip
def test_what_would_not_be_checked_is_refused(column: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        typed_sql(contract(column), "raw")


def test_a_discarded_value_is_null_and_kept_as_it_landed(connection: duckdb.DuckDBPyConnection) -> None:
    found = contract({"logicalType": "array", "items": INTEGER}, data_type="discard_value")
    typed(connection, found, '[1, "x"]')
    ((value, rule, discarded),) = connection.execute(
        f"select a, rule_id, _discarded from ({typed_sql(found, 'raw')})"
    ).fetchall()
    assert (value, rule, json.loads(discarded)) == (None, None, {"a_not_array": '[1, "x"]'})


def parts(depth: int) -> st.SearchStrategy[tuple[dict[str, Any], st.SearchStrategy[Any]]]:
    """Parts of a contract, each with values that it allows."""
    texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
    leaves: list[tuple[dict[str, Any], st.SearchStrategy[Any]]] = [
        (STRING, texts),
        (INTEGER, st.integers(-(2**63), 2**63 - 1)),
        (NUMBER, st.decimals(-(10**20), 10**20, places=9, allow_nan=False, allow_infinity=False)),
        (BOOLEAN, st.booleans()),
    ]
    leaf = st.sampled_from(leaves)
    if not depth:
        return leaf

    def array(item: tuple[dict[str, Any], Any]) -> tuple[dict[str, Any], Any]:
        return {"logicalType": "array", "items": item[0]}, st.lists(st.none() | item[1], max_size=3)

    def mapped(item: tuple[dict[str, Any], Any]) -> tuple[dict[str, Any], Any]:
        part = {"logicalType": "map", "map": {"key": STRING, "value": item[0]}}
        return part, st.dictionaries(texts, st.none() | item[1], max_size=3)

    def made(items: list[tuple[dict[str, Any], Any]]) -> tuple[dict[str, Any], Any]:
        names = [f"p {number}" for number in range(len(items))]
        properties = [{"name": name, **part} for name, (part, _) in zip(names, items, strict=True)]
        values = {name: st.none() | value for name, (_, value) in zip(names, items, strict=True)}
        return {"logicalType": "object", "properties": properties}, st.fixed_dictionaries(values)

    inner = parts(depth - 1)
    return st.one_of(inner.map(array), inner.map(mapped), st.lists(inner, min_size=1, max_size=3).map(made))


def written(value: object) -> str:
    """JSON in which a decimal has all of its digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_value_comes_back_as_it_was_written(
    connection: duckdb.DuckDBPyConnection, data: st.DataObject
) -> None:
    part, values = data.draw(st.integers(1, 3).flatmap(parts))
    while part["logicalType"] not in ("object", "array", "map"):
        part, values = data.draw(parts(1))
    rows = data.draw(st.lists(values, min_size=1, max_size=3))
    found = contract(part)
    assert typed(connection, found, *map(written, rows)) == [(row, None) for row in rows]
    broken = [written(rows[0])[:-1], "5", '"x"']
    assert typed(connection, found, *broken) == [(None, f"a_not_{part['logicalType']}")] * len(broken)
    kept = connection.execute(
        f"select a from ({quarantined_sql(found, 'raw')}) order by _source_line"
    ).fetchall()
    assert kept == [(text,) for text in broken]
