"""A product's contract and dbt's YAML agree in both directions, and one is written from the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft201909Validator  # type: ignore[import-untyped]
from open_data_contract_standard.model import OpenDataContractStandard

from slipway.contracts.contract_files import read_contract
from slipway.contracts.products import (
    ModelColumn,
    PromisedModel,
    differences,
    document_of,
    logical_type,
    plain_type,
    yaml_of,
)
from slipway.contracts.standard import schema
from slipway.errors import ConfigError

MODEL = PromisedModel(
    name="weights",
    layer="serving",
    table="depot_weights",
    file="models/serving.yml",
    description="Weights by depot. One row per depot.",
    is_enforced=True,
    columns=(
        ModelColumn(
            "depot",
            "varchar",
            "Where it is.",
            is_required=True,
            values=("N", "S"),
            refers_to=("depots.depot",),
        ),
        ModelColumn("kg", "decimal(18,4)", "Sum."),
        ModelColumn("code", "bigint", is_unique=True),
    ),
    key=("depot",),
    partitioned_by=("depot",),
    consumers=("report",),
)


def found(model: PromisedModel, *models: PromisedModel, document: dict[str, Any] | None = None) -> list[str]:
    contract, problems = read_contract(yaml.safe_dump(document or document_of(model)), "weights.odcs.yaml")
    assert problems == []
    assert contract is not None
    return [problem.error.line() for problem in differences(contract, models or [model])]


def test_what_is_written_of_a_model_agrees_with_it() -> None:
    assert found(MODEL) == []


def changed_column(number: int, **changes: Any) -> PromisedModel:  # noqa: ANN401 - of several types
    columns = [replace(one, **changes) if index == number else one for index, one in enumerate(MODEL.columns)]
    return replace(MODEL, columns=tuple(columns))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(
            changed_column(0, name="depott"), "Unknown column `depot` in the model weights", id="renamed"
        ),
        pytest.param(
            changed_column(0, name="depott"),
            "lacks the column depott of the model weights",
            id="renamed, from dbt",
        ),
        pytest.param(
            changed_column(1, data_type="double"), "is decimal(18,4), and data_type is double", id="type"
        ),
        pytest.param(
            changed_column(1, data_type="varchar"),
            "is number, and data_type is varchar. Write `logicalType: string`",
            id="logical type",
        ),
        pytest.param(
            changed_column(1, data_type=None), "has no data_type in the model weights", id="no type"
        ),
        pytest.param(
            changed_column(1, is_required=True),
            "is not required, and the model has a not_null constraint",
            id="not null",
        ),
        pytest.param(
            replace(MODEL, key=("depot", "code")),
            "have the primary key depot, and the one of the model weights is depot, code",
            id="key",
        ),
        pytest.param(
            replace(MODEL, key=()),
            "have the primary key depot, and the one of the model weights is none",
            id="no key",
        ),
        pytest.param(
            changed_column(2, is_unique=False), "is unique, and the model says otherwise", id="unique"
        ),
        pytest.param(
            changed_column(0, values=("N",)),
            "is what no data test of the model weights looks at",
            id="enum",
        ),
        pytest.param(
            replace(MODEL, is_enforced=False),
            "whose columns are not enforced. Write `contract: {enforced: true}`",
            id="not enforced",
        ),
        pytest.param(
            replace(MODEL, table="weights_by_depot"), "Unknown table `serving.depot_weights`", id="no model"
        ),
    ],
)
def test_what_differs_is_described_in_words(model: PromisedModel, message: str) -> None:
    lines = found(MODEL, model)
    assert any(message in line for line in lines), lines


def test_a_required_column_needs_a_constraint() -> None:
    document = document_of(MODEL)
    document["schema"][0]["properties"][1]["required"] = True
    assert any(
        "is required, and the model has no not_null constraint" in line
        for line in found(MODEL, document=document)
    )


def test_descriptions_are_free_and_physical_types_may_be_left_out() -> None:
    document = document_of(MODEL)
    for column in document["schema"][0]["properties"]:
        column.pop("description", None)
        column.pop("physicalType")
    document["schema"][0]["description"] = "In other words."
    assert found(MODEL, document=document) == []


def test_rules_that_no_test_looks_at_are_an_error() -> None:
    document = document_of(MODEL)
    document["schema"][0]["quality"] = [
        {"metric": "rowCount", "mustBeGreaterThan": 0},
        {"type": "sql", "name": "few", "query": "select 1", "mustBe": 1, "severity": "warning"},
    ]
    lines = found(MODEL, document=document)
    assert len(lines) == 2
    assert "has rules of the severity error, which no data test of the model weights looks at" in lines[0]
    assert (
        "Write `data_tests: [meets_contract: {arguments: {rules: warning}}]` (models/serving.yml)" in lines[1]
    )
    assert found(replace(MODEL, rules_tested=("error", "warning")), document=document) == []


def test_a_name_of_two_tables_has_to_be_qualified() -> None:
    document = document_of(MODEL)
    document["schema"][0]["physicalName"] = "depot_weights"
    lines = found(MODEL, MODEL, replace(MODEL, layer="curated"), document=document)
    assert "may be serving.depot_weights and curated.depot_weights" in lines[0]


def test_a_model_without_types_has_no_contract() -> None:
    with pytest.raises(ConfigError, match=r"kg has no data_type\. Describe the columns"):
        document_of(changed_column(1, data_type=None))
    with pytest.raises(ConfigError, match="describes no columns"):
        document_of(replace(MODEL, columns=()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DECIMAL (18, 4)", "numeric(18,4)"),
        ("TIMESTAMP  WITH TIME ZONE", "timestamptz"),
        ("varchar(20)", "text"),
        ("INT", "integer"),
        ("varchar(3)[]", "text[]"),
        ("decimal", "decimal(18,3)"),
        ("Double Precision", "float8"),
    ],
)
def test_one_type_has_several_spellings(one: str, other: str) -> None:
    assert plain_type(one) == plain_type(other)


@pytest.mark.parametrize(
    ("data_type", "logical"),
    [
        ("bigint", "integer"),
        ("decimal(38,4)", "number"),
        ("varchar", "string"),
        ("timestamp with time zone", "timestamp"),
        ("date", "date"),
        ("integer[]", "array"),
        ("struct(a integer)", "object"),
        ("map(varchar, integer)", "map"),
        ("enormous", None),
    ],
)
def test_types_have_a_logical_type_of_the_standard(data_type: str, logical: str | None) -> None:
    assert logical_type(data_type) == logical


_TYPES = (
    "varchar",
    "bigint",
    "integer",
    "decimal(18,4)",
    "double",
    "date",
    "timestamp",
    "timestamptz",
    "boolean",
    "varchar[]",
)
_NAMES = st.text("abcdefgh_", min_size=1, max_size=8)


@st.composite
def models(draw: st.DrawFn) -> PromisedModel:
    names = draw(st.lists(_NAMES, min_size=1, max_size=5, unique=True))
    columns = tuple(
        ModelColumn(
            name,
            draw(st.sampled_from(_TYPES)),
            draw(st.text("ab. \n:#'\"é", max_size=12)).strip(),
            is_required=draw(st.booleans()),
            is_unique=draw(st.booleans()),
        )
        for name in names
    )
    key = draw(st.lists(st.sampled_from(names), unique=True))
    return PromisedModel(
        "m",
        "serving",
        "t",
        description=draw(st.text("ab. :", max_size=9)).strip(),
        is_enforced=True,
        columns=columns,
        key=tuple(key),
    )


@given(models())
@settings(max_examples=25)
def test_every_model_has_a_valid_contract_that_agrees(model: PromisedModel) -> None:
    text = yaml_of(model)
    assert list(Draft201909Validator(schema()).iter_errors(yaml.safe_load(text))) == []
    assert OpenDataContractStandard.from_string(text).to_yaml() == text
    contract, problems = read_contract(text, "t.odcs.yaml")
    assert problems == []
    assert contract is not None
    assert [problem.error.line() for problem in differences(contract, [model])] == []
