"""Contracts are read whole or refused in one plain sentence: no key is passed over, no error of a library comes through."""

from __future__ import annotations

import copy
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from slipway.contracts.contract_files import look_at, read_contract, read_contracts
from slipway.contracts.model import Bounds, Contract, Metric, OnRejected, Severity
from slipway.errors import ConfigError

ROOT = Path(__file__).parents[3]

WHOLE = """
apiVersion: v3.2.0
kind: DataContract
id: orders
version: 1.0.0
status: active
name: Orders
domain: sales
description: {purpose: What was ordered., usage: Monthly figures., limitations: None known.}
servers:
  - server: landing
    type: local
    path: orders/*.csv
    format: csv
    customProperties:
      - {property: delimiter, value: ";"}
      - {property: onRejectedFiles, value: warn}
      - {property: ignoredFiles, value: ["*.md"]}
  - {server: lake, type: iceberg, catalog: main, catalogUrl: "https://catalog.example.com", namespace: sales}
schema:
  - name: orders
    physicalName: orders
    logicalType: object
    dataGranularityDescription: One row per line of an order.
    properties:
      - name: order_id
        logicalType: string
        required: true
        primaryKey: true
        primaryKeyPosition: 1
        logicalTypeOptions: {pattern: "[A-Z][0-9]+", minLength: 2}
      - name: line
        logicalType: integer
        physicalType: integer
        required: true
        primaryKey: true
        primaryKeyPosition: 2
        logicalTypeOptions: {minimum: 1}
      - name: price
        physicalName: Preis
        logicalType: number
        physicalType: decimal(18, 4)
        classification: confidential
        quality:
          - {metric: nullValues, mustBe: 0, id: price_missing, severity: warning, dimension: completeness}
          - {metric: invalidValues, mustBeLessThan: 5, unit: percent, arguments: {validValues: [1, 2]}}
      - name: country
        logicalType: string
        enum: [{value: "NO", label: Norway}, {value: SE}]
        customProperties:
          - {property: optional, value: true}
          - {property: since, value: 2024-05-01}
        relationships:
          - {to: countries.code}
    quality:
      - {metric: rowCount, mustBeBetween: [1, 100]}
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [order_id, line]}}
      - {type: sql, name: "no orders of tomorrow", query: "select count(*) from {object}", mustBeGreaterThan: 0}
      - {type: text, description: The figures are checked by the controller.}
    relationships:
      - {from: [orders.order_id, orders.line], to: [lines.order_id, lines.line]}
slaProperties:
  - {property: frequency, value: 1, unit: d, element: orders.order_id}
  - {property: latency, value: 4, unit: h}
  - {property: retention, value: 3, unit: y}
  - {property: availability, value: "99.9 %"}
roles:
  - {role: analyst, access: read, firstLevelApprovers: head of sales}
team:
  name: Sales
  members: [{username: ada, role: owner}]
customProperties:
  - {property: inputRowsPerRun, value: {min: 1, max: 1000}}
  - {property: regions, value: [eu-central-1]}
  - {property: consumers, value: [monthly_report]}
  - {property: ownKey, value: 1, vendor: another program}
"""


def contract(text: str = WHOLE) -> Contract:
    found, problems = read_contract(text, "orders.odcs.yaml")
    assert problems == []
    assert found is not None
    return found


def messages(text: str) -> list[str]:
    found, problems = read_contract(text, "orders.odcs.yaml")
    assert (found is None) is bool(problems)
    return [problem.error.line() for problem in problems]


def changed(old: str, new: str) -> str:
    assert WHOLE.count(old) == 1, old
    return WHOLE.replace(old, new)


def test_what_a_contract_says_is_typed() -> None:
    found = contract()
    (table,) = found.tables
    assert [column.header for column in table.columns] == ["order_id", "line", "Preis", "country"]
    assert table.key == ("order_id", "line")
    assert table.column("price").physical_type == "decimal(18, 4)"
    assert table.column("price").classification == "confidential"
    country = table.column("country")
    assert (country.enum, country.settings.optional, country.settings.since) == (
        ("NO", "SE"),
        True,
        "2024-05-01",
    )
    assert table.column("order_id").options.pattern == "[A-Z][0-9]+"
    rules = {rule.id: rule for rule in table.rules}
    assert set(rules) == {
        "row_count",
        "duplicate_values",
        "no_orders_of_tomorrow",
        "price_missing",
        "price_invalid_values",
    }
    assert rules["price_missing"].severity is Severity.WARNING
    assert rules["row_count"].value == (1, 100)
    assert rules["duplicate_values"].columns == ("order_id", "line")
    assert rules["price_invalid_values"].metric is Metric.INVALID
    assert [(one.columns, one.to) for one in table.relationships] == [
        (("order_id", "line"), ("lines.order_id", "lines.line")),
        (("country",), ("countries.code",)),
    ]
    assert found.landing is not None
    assert found.landing.files.delimiter == ";"
    assert found.landing.files.on_rejected_files is OnRejected.WARN
    assert found.settings.input_rows_per_run == Bounds(min=1, max=1000)
    assert found.settings.consumers == ("monthly_report",)
    assert {one.property: one.duration.total_seconds() for one in found.sla if one.duration} == {
        "frequency": 86_400,
        "latency": 14_400,
        "retention": 3 * 365 * 86_400,
    }
    assert found.team[0].username == "ada"
    assert found.roles[0].first_level_approvers == "head of sales"


@pytest.mark.parametrize("version", ["v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0"])
def test_contracts_of_earlier_versions_are_read(version: str) -> None:
    found = contract(changed("apiVersion: v3.2.0", f"apiVersion: {version}"))
    assert (found.api_version, found.tables) == (version, contract().tables)


def test_a_team_is_a_list_in_earlier_versions() -> None:
    text = changed(
        "team:\n  name: Sales\n  members: [{username: ada, role: owner}]",
        "team: [{username: ada, role: owner}]",
    )
    assert contract(text).team == contract().team


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param(
            "        required: true\n        primaryKey: true\n        primaryKeyPosition: 1",
            "        requried: true\n        primaryKey: true\n        primaryKeyPosition: 1",
            "Unknown key `requried` in schema.orders.properties.order_id (orders.odcs.yaml, line 28). Did you mean `required`?",
            id="misspelt key",
        ),
        pytest.param(
            "version: 1.0.0\n",
            "",
            "orders.odcs.yaml, line 2: `version` is missing. Write `version: 1.0.0`",
            id="no version",
        ),
        pytest.param(
            "apiVersion: v3.2.0",
            "apiVersion: v2.2.2",
            "apiVersion (orders.odcs.yaml, line 2): is v2.2.2; read are v3.0.0 to v3.2.0. Write `apiVersion: v3.2.0`.",
            id="old version",
        ),
        pytest.param(
            "name: Orders",
            "name: [Orders]",
            "name (orders.odcs.yaml, line 7): is a list, and has to be text.",
            id="list for text",
        ),
        pytest.param(
            "metric: rowCount",
            "metric: rowCounts",
            "Unknown value `rowCounts` in schema.orders.quality.rowCounts.metric",
            id="unknown metric",
        ),
        pytest.param(
            "mustBeBetween: [1, 100]",
            "mustBeWithin: [1, 100]",
            "Unknown key `mustBeWithin`",
            id="unknown operator",
        ),
        pytest.param(
            "metric: rowCount, mustBeBetween: [1, 100]",
            "metric: rowCount",
            "says nothing that has to be so. Write one of mustBe,",
            id="no operator",
        ),
        pytest.param(
            "mustBeBetween: [1, 100]",
            "mustBe: 1, mustNotBe: 2",
            "has mustBe and mustNotBe, of which one is allowed",
            id="two operators",
        ),
        pytest.param(
            "mustBeBetween: [1, 100]", 'mustBe: "1"', "is not compared with a number", id="text for a number"
        ),
        pytest.param(
            "{metric: rowCount, mustBeBetween: [1, 100]}",
            "{type: custom, engine: soda, implementation: x}",
            "is for the engine soda, which is not asked here",
            id="engine",
        ),
        pytest.param(
            'name: "no orders of tomorrow", ', "", "is a query without a name", id="query without a name"
        ),
        pytest.param(
            "validValues: [1, 2]", "validValue: [1, 2]", "Unknown argument `validValue`", id="argument"
        ),
        pytest.param(
            "arguments: {validValues: [1, 2]}",
            "arguments: {}",
            "does not say which values are valid",
            id="no argument",
        ),
        pytest.param(
            "properties: [order_id, line]}",
            "properties: [order_id, lin]}",
            "Unknown property `lin`",
            id="argument that is no property",
        ),
        pytest.param(
            'value: "NO"',
            "value: 7",
            'is 7, and the property is text. Write it in quotes: "7"',
            id="number in text",
        ),
        pytest.param(
            "logicalTypeOptions: {minimum: 1}",
            "logicalTypeOptions: {minLength: 1}",
            "Unknown key `minLength`",
            id="option of another type",
        ),
        pytest.param('pattern: "[A-Z][0-9]+"', 'pattern: "[A-Z"', "is no regular expression", id="pattern"),
        pytest.param(
            'pattern: "[A-Z][0-9]+"',
            'pattern: "(?=A)"',
            "which RE2 does not have",
            id="pattern that looks ahead",
        ),
        pytest.param(
            "primaryKeyPosition: 2",
            "primaryKeyPosition: 1",
            "has the primary key positions 1, 1. Number them 1 to 2",
            id="positions",
        ),
        pytest.param(
            "- name: line\n",
            "- name: Order_ID\n",
            "is the second property of this name, which differs from `order_id` only in its spelling",
            id="two names",
        ),
        pytest.param(
            "physicalName: Preis",
            "physicalName: LINE",
            "is the second physical name of this name",
            id="two headers",
        ),
        pytest.param(
            "property: latency",
            "property: latancy",
            "Unknown service level `latancy` in slaProperties (orders.odcs.yaml, line 64). Did you mean `latency`?",
            id="service level",
        ),
        pytest.param(
            "value: 4, unit: h",
            "value: 4, unit: lightyears",
            "has the unit lightyears. Write d for days",
            id="unit",
        ),
        pytest.param("value: 4, unit: h", "value: 4", "has no unit", id="no unit"),
        pytest.param(
            "value: 4, unit: h", "value: four, unit: h", "has to be a number of at least 0", id="duration"
        ),
        pytest.param(
            "element: orders.order_id", "element: orders.order", "Unknown element `order`", id="element"
        ),
        pytest.param(
            "value: {min: 1, max: 1000}",
            "value: {least: 1}",
            "has `least`, which nothing reads",
            id="inside a custom property",
        ),
        pytest.param(
            "value: {min: 1, max: 1000}",
            "value: {min: -1}",
            "`min` is -1, and has to be at least 0",
            id="bound",
        ),
        pytest.param(
            "property: optional, value: true",
            "property: optional, value: sometimes",
            'is "sometimes", and has to be true or false',
            id="custom type",
        ),
        pytest.param(
            ", vendor: another program",
            "",
            "Unknown custom property `ownKey` in the contract (orders.odcs.yaml, line 76). Remove it, or say whose it is with `vendor:`",
            id="custom property of nobody",
        ),
        pytest.param(
            "severity: warning",
            "severity: warnign",
            "Unknown severity `warnign` in schema.orders.properties.price.quality.nullValues (orders.odcs.yaml, line",
            id="severity",
        ),
        pytest.param("unit: percent", "unit: per cent", "Unknown unit `per cent`", id="unit of a rule"),
        pytest.param(
            "type: iceberg",
            "type: icebreg",
            "Unknown value `icebreg` in servers.lake.type (orders.odcs.yaml, line 19). Did you mean `iceberg`?",
            id="server type",
        ),
        pytest.param(
            "to: [lines.order_id, lines.line]",
            "to: lines.order_id",
            "has one column in `from` and a list in `to`",
            id="relationship",
        ),
        pytest.param(
            "{to: countries.code}",
            "{to: countries}",
            "which is no column in the form `table.column`",
            id="reference",
        ),
        pytest.param(
            "{to: countries.code}",
            "{from: orders.country, to: countries.code}",
            "is the property itself here. Remove `from`",
            id="from in a property",
        ),
        pytest.param(
            "domain: sales",
            "domain: !env DOMAIN",
            "domain (orders.odcs.yaml, line 8): has the YAML tag !env, which contracts do not use. Remove the tag.",
            id="tag",
        ),
        pytest.param(
            "domain: sales",
            "status: active",
            "status (orders.odcs.yaml, line 8): the key is there twice. Keep one.",
            id="key twice",
        ),
        pytest.param(
            "domain: sales",
            "domain: ~",
            "domain (orders.odcs.yaml, line 8): is empty, and has to be text.",
            id="nothing",
        ),
        pytest.param("domain: sales", "domain: sales: x", "it is not YAML", id="indentation"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_its_place(old: str, new: str, message: str) -> None:
    found = messages(changed(old, new))
    assert any(message in line for line in found), found
    for line in found:
        assert line.endswith((".", "?"))
        assert not any(word in line for word in ("Traceback", "KeyError", "validation error", "\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "orders.odcs.yaml: it is empty. Write a contract, or remove the file.", id="empty"),
        pytest.param("# nothing\n", "it is empty", id="comment"),
        pytest.param("---\n", "it is empty", id="document"),
        pytest.param(
            "- a\n- b\n",
            "it is a list. A contract is a mapping that begins with apiVersion: v3.2.0.",
            id="list",
        ),
        pytest.param("orders", "it is a single value", id="scalar"),
        pytest.param(
            "a: [",
            "orders.odcs.yaml, line 2: it is not YAML: did not find expected node content.",
            id="open bracket",
        ),
        pytest.param("a: 1\n---\nb: 2\n", "it is not YAML: but found another document", id="two documents"),
        pytest.param("{" * 100_000, "it is nested more than 50 levels deep", id="deep"),
        pytest.param("a: &a [*a]\n", "its aliases stand for too many values", id="alias of itself"),
        pytest.param(
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{n}: &{n} [{','.join(['*' + p] * 10)}]\n" for p, n in zip("abcdefg", "bcdefgh", strict=True)
            ),
            "its aliases stand for too many values",
            id="aliases of aliases",
        ),
        pytest.param("[a]: b\n", "has a key that is a list or a mapping", id="list as a key"),
        pytest.param("a: \x07\n", "it is not YAML: unacceptable character", id="control character"),
        pytest.param(
            "a: !!python/object/apply:os.system [echo]\n",
            "has the YAML tag !!python/object/apply:os.system",
            id="python tag",
        ),
        pytest.param("a: !!int word\n", "is no int, as its tag says", id="tag of another type"),
        pytest.param("a: .nan\n", "is .nan. Write a finite number", id="not a number"),
    ],
)
def test_a_file_that_is_no_contract_is_refused_in_one_sentence(text: str, message: str) -> None:
    found = messages(text)
    assert message in found[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.odcs.yaml").write_bytes("id: é".encode("latin-1"))
    (tmp_path / "folder.odcs.yaml").mkdir()
    found = [look_at(path).problems[0].error.line() for path in sorted(tmp_path.iterdir())]
    assert found == [
        "folder.odcs.yaml: cannot be read: Is a directory.",
        "latin.odcs.yaml: is not UTF-8 (byte 4). Save it as UTF-8.",
    ]


def test_values_are_those_of_yaml_1_2() -> None:
    text = changed("purpose: What was ordered.", "purpose: NO").replace(
        "usage: Monthly figures.", "usage: 2024-01-01"
    )
    contract(text.replace("limitations: None known.", "limitations: 12:30:00"))


def test_of_several_problems_a_run_names_the_first_and_counts_the_others(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "orders.odcs.yaml").write_text(
        changed("kind: DataContract", "kynd: DataContract").replace("metric: rowCount", "metric: rows"),
        encoding="utf-8",
    )
    with pytest.raises(
        ConfigError, match=r"Did you mean `kind`.*1 more problem of contracts: slipway contracts lint"
    ):
        read_contracts(tmp_path)


def test_two_contracts_of_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    for name in ("a", "b"):
        (tmp_path / "contracts" / f"{name}.odcs.yaml").write_text(WHOLE, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"b\.odcs\.yaml: has the id orders, as a\.odcs\.yaml has"):
        read_contracts(tmp_path)


def test_contracts_that_differ_have_different_digests() -> None:
    assert contract().digest == contract("# a remark\n" + WHOLE).digest
    assert contract().digest != contract(changed("minimum: 1", "minimum: 2")).digest


def _keys(part: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 - YAML
    if isinstance(part, dict):
        for key, inside in part.items():
            yield (*path, key)
            yield from _keys(inside, (*path, key))
    elif isinstance(part, list):
        for index, inside in enumerate(part):
            yield from _keys(inside, (*path, index))


DOCUMENT = yaml.safe_load(WHOLE.replace("2024-05-01", "'2024-05-01'"))
ALL_KEYS = sorted((path for path in _keys(DOCUMENT) if isinstance(path[-1], str)), key=str)
assert len(ALL_KEYS) > 100


@given(
    st.sampled_from(ALL_KEYS), st.integers(min_value=0), st.sampled_from(string.ascii_letters), st.booleans()
)
@example(("apiVersion",), 0, "A", True)
@example(("schema", 0, "properties", 0, "required"), 3, "i", True)
def test_a_misspelt_key_is_an_error_that_names_it(
    path: tuple[str | int, ...], position: int, letter: str, inserted: bool
) -> None:
    """Whichever key of the contract is written with one letter more, or with another one, the message names it and its file."""
    document = copy.deepcopy(DOCUMENT)
    part = document
    for step in path[:-1]:
        part = part[step]
    key = str(path[-1])
    place = position % len(key)
    wrong = key[:place] + letter + key[place + (not inserted) :]
    assume(wrong not in part)
    misspelt = {wrong if name == key else name: copy.deepcopy(value) for name, value in part.items()}
    part.clear()
    part.update(misspelt)
    found, problems = read_contract(
        yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False), "orders.odcs.yaml"
    )
    lines = [problem.error.line() for problem in problems]
    assert found is None
    assert any(f"`{wrong}`" in line and "orders.odcs.yaml, line" in line for line in lines), lines


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=5),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(st.sampled_from(ALL_KEYS), _VALUES)
def test_no_value_leads_to_anything_but_a_contract_or_sentences(
    path: tuple[str | int, ...], value: object
) -> None:
    document = copy.deepcopy(DOCUMENT)
    part = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    found, problems = read_contract(
        yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False), "orders.odcs.yaml"
    )
    assert (found is None) is bool(problems)
    for problem in problems:
        assert problem.error.line().count("\n") == 0


@given(st.text(max_size=60))
def test_no_text_leads_to_anything_but_sentences(text: str) -> None:
    found, problems = read_contract(text, "orders.odcs.yaml")
    assert found is None
    assert problems


@pytest.mark.parametrize("path", sorted(ROOT.glob("**/contracts/*.odcs.yaml")), ids=lambda path: path.stem)
def test_contracts_of_this_repository_are_read(path: Path) -> None:
    assert look_at(path).problems == []
