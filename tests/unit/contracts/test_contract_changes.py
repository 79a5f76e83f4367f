"""Every difference of two contracts is said once and has a class; what nobody thought of is breaking."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.unit.contracts.test_contract_files import ALL_KEYS, DOCUMENT

from slipway.contracts import standard
from slipway.contracts.change_rules import RULES
from slipway.contracts.change_terms import BOTH, NARROWER, NOBODY, WIDER, Effect
from slipway.contracts.contract_changes import ContractDiff, How, compare, compare_all
from slipway.contracts.model import ColumnSettings, ContractSettings, FileSettings
from slipway.contracts.yaml_text import YamlText

TODAY = date(2026, 6, 1)
FEED = """
apiVersion: v3.2.0
kind: DataContract
id: parcels
version: 1.4.0
servers: [{server: landing, type: local, path: parcels/*.csv, format: csv}]
schema:
  - name: parcels
    physicalName: parcels
    properties:
      - {name: parcel, logicalType: string, required: true}
      - {name: kg, logicalType: number, physicalType: "decimal(18, 3)"}
      - {name: depot, logicalType: string, enum: [{value: N}, {value: S}]}
"""
PRODUCT = """
apiVersion: v3.2.0
kind: DataContract
id: weights
version: 1.4.0
status: active
schema:
  - name: weights
    physicalName: serving.weights
    dataGranularityDescription: One row per depot.
    properties:
      - {name: depot, physicalType: varchar, required: true, classification: internal}
      - name: kg
        physicalType: decimal(18, 3)
        logicalTypeOptions: {minimum: 0, maximum: 100}
        quality:
          - {metric: nullValues, mustBeLessThan: 5, unit: percent}
      - {name: parcels, physicalType: integer}
slaProperties:
  - {property: freshness, value: 24, unit: h}
  - {property: retention, value: 1, unit: y}
  - {property: availability, value: "99.9 %"}
roles: [{role: analyst, access: read}]
customProperties: [{property: regions, value: [eu-west-2]}]
"""


def document(text: str) -> dict[str, Any]:
    found: dict[str, Any] = YamlText(text).value
    return found


def edited(text: str, *edits: tuple[str, str]) -> str:
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def diff(text: str, *edits: tuple[str, str], today: date = TODAY) -> ContractDiff:
    return compare(document(text), document(edited(text, *edits)), today, "file.odcs.yaml")


def at(value: Any, path: tuple[str | int, ...]) -> Any:  # noqa: ANN401 - YAML
    for part in path:
        value = value[part]
    return value


def mutated(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """The whole contract with another value at one place; ``...`` takes the place away."""
    found: dict[str, Any] = copy.deepcopy(DOCUMENT)
    owner = at(found, path[:-1])
    if value is ...:
        del owner[path[-1]]
    else:
        owner[path[-1]] = value
    return found


IDENTITY = (
    "name",
    "property",
    "server",
    "role",
    "id",
    "value",
    "from",
    "to",
    "type",
    "metric",
    "query",
    "vendor",
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401
    """Every key and every item of the whole contract."""
    for part, inside in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, part)
        if isinstance(inside, dict | list):
            yield from places(inside, (*path, part))


PLACES = [path for path in places(DOCUMENT) if path != ("version",)]
_OTHER = st.one_of(
    st.just(...), st.booleans(), st.integers(-3, 99), st.text(max_size=3), st.just([]), st.just({})
)


@given(st.sampled_from(PLACES), _OTHER)
def test_every_mutation_is_reported(path: tuple[str | int, ...], value: object) -> None:
    """Replace or remove anything: it is said once where it is, in both directions; a renamed item is one gone and one new."""
    after = mutated(path, value)
    if repr(after) == repr(DOCUMENT):
        return
    for one, two in ((DOCUMENT, after), (after, DOCUMENT)):
        found = compare(one, two, TODAY).changes
        assert found
        assert len({(change.place, change.how) for change in found}) == len(found)
        for change in found:
            assert change.why.endswith(".")
        is_leaf = not isinstance(at(DOCUMENT, path), dict | list) and not isinstance(value, dict | list)
        if is_leaf and isinstance(path[-1], str) and path[-1] not in IDENTITY:
            assert len(found) == 1
            assert found[0].place.split(".")[0] == path[0]


@given(st.sampled_from(PLACES), _OTHER)
def test_a_contract_does_not_differ_from_itself(path: tuple[str | int, ...], value: object) -> None:
    one = mutated(path, value)
    assert compare(one, copy.deepcopy(one), TODAY).changes == []
    assert compare_all({"a": one}, {"a": copy.deepcopy(one)}, TODAY) == []


MAPPINGS = [(), *(path for path in places(DOCUMENT) if isinstance(at(DOCUMENT, path), dict))]


@given(st.sampled_from(MAPPINGS), st.sampled_from(["futureKey", "mustNotLeave"]))
def test_a_key_that_nobody_knows_is_breaking(path: tuple[str | int, ...], key: str) -> None:
    after = copy.deepcopy(DOCUMENT)
    at(after, path)[key] = 1
    is_text = {"description", "team"} & set(path)
    (change,) = compare(DOCUMENT, after, TODAY).changes
    assert change.breaks == (NOBODY if is_text else BOTH)


def standard_keys(*names: str) -> set[str]:
    """Keys that parts of the standard's schema have, also in what they refer to."""
    found: set[str] = set()
    for name in names:
        known = standard.schema()["$defs"]
        part = known[name] if name in known else known["ServerSource"][name]
        for inside in (part, *part.get("allOf", [])):
            for one in (inside, inside.get("then", {}), inside.get("else", {})):
                found |= set(one.get("properties", {}))
    return found


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("table", ["SchemaElement", "SchemaObject"]),
        ("column", ["SchemaElement", "SchemaBaseProperty", "SchemaItemProperty"]),
        ("server", ["Server", *standard.schema()["$defs"]["ServerSource"]]),
        ("role", ["Role"]),
        ("price", ["Pricing"]),
        ("service level", ["ServiceLevelAgreementProperty"]),
        ("allowed value", ["EnumValue"]),
        ("relationship", ["RelationshipBase"]),
        ("rule", ["DataQuality", "DataQualityLibrary", "DataQualitySql", "DataQualityCustom"]),
    ],
)
def test_every_key_of_the_standard_has_a_rule(part: str, names: list[str]) -> None:
    known = {*map(str, RULES[part].keys), *RULES[part].together, "customProperties"}
    assert standard_keys(*names) - known == set()


def test_every_key_at_the_top_has_a_rule() -> None:
    assert set(standard.schema()["properties"]) - set(RULES["contract"].keys) == set()


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        ("custom properties of the contract", ContractSettings),
        ("custom properties of a server", FileSettings),
        ("custom properties of a column", ColumnSettings),
    ],
)
def test_every_setting_has_a_rule(part: str, settings: type[BaseModel]) -> None:
    assert set(RULES[part].keys) == {str(one.alias) for one in settings.model_fields.values()}


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        pytest.param(
            "{name: depot,", "{name: site, logicalType: string}\n      - {name: depot,", NARROWER, id="column"
        ),
        pytest.param(
            "{name: depot,",
            "{name: site, customProperties: [{property: optional, value: true}]}\n      - {name: depot,",
            NOBODY,
            id="optional column",
        ),
        pytest.param(
            '      - {name: kg, logicalType: number, physicalType: "decimal(18, 3)"}\n',
            "",
            BOTH,
            id="no column",
        ),
        pytest.param("required: true", "required: false", WIDER, id="not required"),
        pytest.param("{name: kg, ", "{name: kg, required: true, ", NARROWER, id="required"),
        pytest.param("{name: kg, ", "{name: kg, required: false, ", NOBODY, id="a default written out"),
        pytest.param("decimal(18, 3)", "numeric(18,3)", NOBODY, id="another spelling"),
        pytest.param("decimal(18, 3)", "decimal(18, 2)", BOTH, id="type"),
        pytest.param(", {value: S}", ", {value: S}, {value: W}", WIDER, id="more values"),
        pytest.param(", {value: S}", "", NARROWER, id="fewer values"),
        pytest.param(
            "{value: N}, {value: S}", "{value: S}, {value: N}", NOBODY, id="values in another order"
        ),
        pytest.param(", enum: [{value: N}, {value: S}]", "", WIDER, id="any value"),
        pytest.param("parcels/*.csv", "weights/*.csv", NARROWER, id="path"),
        pytest.param(
            "format: csv}",
            "format: csv, customProperties: [{property: delimiter, value: ';'}]}",
            NARROWER,
            id="delimiter",
        ),
        pytest.param(
            "format: csv}",
            "format: csv, customProperties: [{property: header, value: true}]}",
            NOBODY,
            id="header",
        ),
        pytest.param("server: landing", "server: lake", BOTH, id="no feed any more"),
        pytest.param("{name: kg,", "{name: kg, physicalName: KG,", BOTH, id="header of a column"),
        pytest.param("{name: kg,", "{name: weight, physicalName: kg,", BOTH, id="renamed without an id"),
    ],
)
def test_what_changes_of_a_feed_mean(old: str, new: str, breaks: Effect) -> None:
    assert diff(FEED, (old, new)).breaks == breaks


@pytest.mark.parametrize(
    ("before", "after", "breaks"),
    [
        ("{columns: freeze, data_type: discard_row}", "{}", NOBODY),
        ("{}", "{columns: evolve}", NOBODY),
        ("{}", "{columns: discard_row}", NOBODY),
        ("{columns: evolve}", "{}", NARROWER),
        ("{columns: discard_value}", "{columns: discard_row}", NARROWER),
        ("{columns: evolve}", "{columns: discard_value}", NOBODY),
        ("{}", "{data_type: freeze}", NARROWER),
        ("{}", "{data_type: discard_value}", WIDER),
        ("{data_type: discard_value}", "{}", NARROWER),
    ],
)
def test_what_changes_of_a_schema_contract_mean(before: str, after: str, breaks: Effect) -> None:
    """Where less arrives producers are concerned, where values become NULL consumers."""
    text = f"{FEED}customProperties: [{{property: schemaContract, value: {before}}}]\n"
    assert diff(text, (before, after)).breaks == breaks


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        pytest.param("      - {name: parcels, physicalType: integer}\n", "", WIDER, id="no column"),
        pytest.param("{name: parcels,", "{name: count,", WIDER, id="renamed"),
        pytest.param(
            "{name: parcels,",
            "{name: count, physicalType: integer}\n      - {name: parcels,",
            NOBODY,
            id="column",
        ),
        pytest.param("physicalType: integer", "physicalType: bigint", WIDER, id="type"),
        pytest.param("required: true", "required: false", WIDER, id="NULL where there was none"),
        pytest.param("{name: parcels,", "{name: parcels, required: true,", NOBODY, id="required"),
        pytest.param("{name: parcels,", "{name: parcels, logicalType: integer,", NOBODY, id="logical type"),
        pytest.param("{name: parcels,", "{name: parcels, primaryKey: true,", WIDER, id="key"),
        pytest.param("value: 24, unit: h", "value: 1, unit: d", NOBODY, id="the same in days"),
        pytest.param("value: 24, unit: h", "value: 2, unit: d", WIDER, id="later"),
        pytest.param("value: 24, unit: h", "value: 90, unit: m", NOBODY, id="sooner"),
        pytest.param("value: 1, unit: y", "value: 6, unit: mo", WIDER, id="shorter retention"),
        pytest.param("value: 1, unit: y", "value: 2, unit: y", NOBODY, id="longer retention"),
        pytest.param("99.9 %", "0.99", WIDER, id="less available"),
        pytest.param("99.9 %", "99.95%", NOBODY, id="more available"),
        pytest.param('"99.9 %"', "99.9, unit: percent", NOBODY, id="the same in another unit"),
        pytest.param("99.9 %", "nan", WIDER, id="no number"),
        pytest.param("99.9 %", "nearly always", WIDER, id="cannot be compared"),
        pytest.param("roles: [{role: analyst, access: read}]\n", "", WIDER, id="no role"),
        pytest.param("access: read}", "access: read}, {role: auditor}", NOBODY, id="role"),
        pytest.param(
            "customProperties: [{property: regions, value: [eu-west-2]}]\n", "", WIDER, id="any region"
        ),
        pytest.param("value: [eu-west-2]", "value: [eu-west-2, us-east-1]", WIDER, id="region"),
        pytest.param("classification: internal", "classification: confidential", WIDER, id="secrecy"),
        pytest.param(
            "classification: internal", "classification: ours", WIDER, id="secrecy of unknown degree"
        ),
        pytest.param("mustBeLessThan: 5", "mustBeLessThan: 9", WIDER, id="weaker rule"),
        pytest.param("mustBeLessThan: 5", "mustBeLessThan: 1", NOBODY, id="stronger rule"),
        pytest.param("unit: percent}", "unit: percent, severity: warning}", WIDER, id="rule that only warns"),
        pytest.param("{minimum: 0, maximum: 100}", "{minimum: 0}", WIDER, id="no limit"),
        pytest.param("maximum: 100", "maximum: 10", NOBODY, id="lower limit"),
        pytest.param("minimum: 0,", "minimum: -1,", WIDER, id="limit below"),
        pytest.param("One row per depot.", "One row per depot and day.", WIDER, id="grain"),
        pytest.param("serving.weights", "serving.loads", WIDER, id="table"),
        pytest.param("status: active", "status: deprecated", NOBODY, id="deprecated"),
        pytest.param("status: active", "status: retired", WIDER, id="retired"),
        pytest.param("id: weights", "id: loads", WIDER, id="another contract"),
        pytest.param("id: weights", "id: weights\ndescription: {usage: Charts.}", NOBODY, id="description"),
    ],
)
def test_what_changes_of_a_product_mean(old: str, new: str, breaks: Effect) -> None:
    assert diff(PRODUCT, (old, new)).breaks == breaks


def test_a_rename_is_one_change_where_an_id_declares_it() -> None:
    base = edited(PRODUCT, ("{name: parcels,", "{id: c3, name: parcels,"))
    (change,) = diff(base, ("{id: c3, name: parcels,", "{id: c3, name: pieces,")).changes
    assert (change.place, change.before, change.after) == (
        "schema.weights.properties.parcels.name",
        "parcels",
        "pieces",
    )
    assert change.breaks == WIDER
    kept = diff(base, ("{id: c3, name: parcels,", "{id: c3, name: pieces, physicalName: parcels,"))
    assert kept.breaks == NOBODY
    found = diff(PRODUCT, ("{name: parcels,", "{name: pieces,")).changes
    assert [change.how for change in found] == [How.REMOVED, How.ADDED]


def test_the_order_of_columns_is_that_of_files() -> None:
    lines = "      - {name: parcel, logicalType: string, required: true}\n"
    moved = [(lines, ""), ("{value: S}]}\n", f"{{value: S}}]}}\n{lines}")]
    (change,) = diff(FEED, *moved).changes
    assert (change.place, change.breaks) == ("schema.parcels.properties", NARROWER)
    names = edited(
        FEED, ("format: csv}", "format: csv, customProperties: [{property: header, value: names}]}")
    )
    assert diff(names, *moved).breaks == NOBODY


@pytest.mark.parametrize(
    ("base", "head", "fails"),
    [
        ("1.4.0", "1.4.0", True),
        ("1.4.0", "1.5.0", True),
        ("1.4.0", "2.0.0", False),
        ("1.4.0", "2.0.0-rc.1", False),
        ("2.0.0-rc.1", "2.0.0", False),
        ("0.4.0", "0.4.1", True),
        ("0.4.0", "0.5.0", False),
        ("1.4.0", "next", True),
        ("2024", "2025", False),
    ],
)
def test_what_breaks_needs_a_new_major_version(base: str, head: str, *, fails: bool) -> None:
    text = edited(PRODUCT, ("version: 1.4.0", f"version: {base}"))
    found = diff(text, (f"version: {base}\n", f"version: {head}\n"), ("required: true", "required: false"))
    assert bool(found.failures) is fails
    assert found.warnings == []


def test_a_failure_says_what_to_write() -> None:
    assert diff(PRODUCT, ("required: true", "required: false")).failures == [
        "weights has 1 breaking change from version 1.4.0 to 1.4.0. Write `version: 2.0.0`, or undo what breaks and announce it first (`deprecated: true`)."
    ]


def test_compatible_changes_in_the_same_version_are_a_warning() -> None:
    found = diff(PRODUCT, ("physicalType: integer", "physicalType: int4"))
    assert found.failures == []
    assert found.warnings == ["weights has changed and is still version 1.4.0. Write `version: 1.5.0`."]


def test_a_version_does_not_go_back() -> None:
    assert diff(PRODUCT, ("version: 1.4.0", "version: 1.3.9")).failures == [
        "The version of weights goes back from 1.4.0 to 1.3.9. Write a later one."
    ]


END = "slaProperties:\n  - {property: endOfLife, value: '2026-12-31', element: weights.parcels}\n"
GONE = [
    ("  - {property: endOfLife, value: '2026-12-31', element: weights.parcels}\n", ""),
    ("      - {name: parcels, deprecated: true, physicalType: integer}\n", ""),
    ("version: 1.4.0", "version: 2.0.0"),
]


def test_what_is_deprecated_stays_until_its_date() -> None:
    base = edited(
        PRODUCT, ("slaProperties:\n", END), ("{name: parcels,", "{name: parcels, deprecated: true,")
    )
    assert (
        diff(
            PRODUCT, ("slaProperties:\n", END), ("{name: parcels,", "{name: parcels, deprecated: true,")
        ).breaks
        == NOBODY
    )
    assert diff(base, *GONE).failures == [
        "weights.parcels is promised until 2026-12-31. Keep it until then, or as `deprecated: true`."
    ]
    assert diff(base, *GONE, today=date(2026, 12, 31)).failures == []
    renamed = edited(base, ("{name: parcels,", "{id: c3, name: parcels,"))
    one = diff(renamed, ("{id: c3, name: parcels,", "{id: c3, name: pieces,"), GONE[0], GONE[2])
    assert "is promised until 2026-12-31" in one.failures[0]
    assert diff(base, ("2026-12-31", "2026-07-01")).breaks == WIDER
    assert diff(base, ("2026-12-31", "2027-01-01")).breaks == NOBODY
    assert diff(base, GONE[0]).breaks == WIDER


def test_a_contract_is_removed_after_its_end() -> None:
    base = document(edited(PRODUCT, ("slaProperties:\n", END.replace(", element: weights.parcels", ""))))
    (early,) = compare_all({"w": base}, {}, TODAY)
    assert early.failures == ["The contract weights is promised until 2026-12-31. Keep it until then."]
    (late,) = compare_all({"w": base}, {}, date(2027, 1, 1))
    assert (late.failures, late.breaks) == ([], NOBODY)
    (sudden,) = compare_all({"w": document(PRODUCT)}, {}, TODAY)
    assert "is removed without notice" in sudden.failures[0]


def part_of(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """A contract with one mapping of a kind in it."""
    found = document(FEED if "server" in name else PRODUCT)
    column = found["schema"][0]["properties"][0]
    if name == "contract":
        return {**found, **value}
    if name == "table":
        found["schema"][0] |= value
    elif name == "column":
        column |= value
    elif name == "options":
        column["logicalTypeOptions"] = value
    elif name == "server":
        found["servers"][0] |= value
    elif name == "service level":
        found["slaProperties"][0] |= value
    elif name == "rule":
        found["schema"][0]["properties"][1]["quality"][0] |= value
    else:
        owner = {"contract": found, "column": column}.get(name.rsplit(maxsplit=1)[-1])
        items = [{"property": key, "value": inside} for key, inside in value.items()]
        (found["servers"][0] if owner is None else owner)["customProperties"] = items
    return found


KNOWN = [
    (name, str(key))
    for name in (
        "contract", "table", "column", "options", "server", "service level", "rule",
        "custom properties of the contract", "custom properties of a server", "custom properties of a column",
    )
    for key in (*RULES[name].keys, *RULES[name].together)
    if (name, key) != ("contract", "version")
]  # fmt: skip
_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 9), st.sampled_from(["a", "A", "2027-01-01", "9 %"])
)
_ANY = st.one_of(
    _PLAIN, st.lists(_PLAIN, max_size=2), st.dictionaries(st.sampled_from(["min", "x"]), _PLAIN, max_size=2)
)


@given(st.sampled_from(KNOWN), _ANY, _ANY)
def test_every_known_key_is_looked_at(where: tuple[str, str], one: object, two: object) -> None:
    """Any value for any other, for each key that has a rule: nothing is passed over, and nothing fails."""
    part, key = where
    before, after = part_of(part, {key: one}), part_of(part, {key: two})
    found = compare(before, after, TODAY).changes
    assert bool(found) is (json.dumps(one, sort_keys=True) != json.dumps(two, sort_keys=True))
    assert len({(change.place, change.how) for change in found}) == len(found)


def test_contracts_are_matched_by_their_ids() -> None:
    feed, product = document(FEED), document(PRODUCT)
    assert compare_all({"a": feed, "b": product}, {"c": product, "d": feed}, TODAY) == []
    (new,) = compare_all({"a": feed}, {"a": feed, "b": product}, TODAY)
    assert (new.base, new.head, new.failures, new.warnings) == (None, "1.4.0", [], [])


def test_every_key_of_the_whole_contract_is_mutated() -> None:
    assert {path for path in ALL_KEYS if path != ("version",)} <= set(PLACES)
