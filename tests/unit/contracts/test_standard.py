"""The small interpreter of the standard's JSON schema is as strict as a general validator."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft201909Validator  # type: ignore[import-untyped]
from open_data_contract_standard.model import OpenDataContractStandard
from tests.unit.contracts.test_contract_files import ALL_KEYS, DOCUMENT

from slipway.contracts.standard import KEYWORDS, NEWEST, problems, schema

ANNOTATIONS = {"$defs", "$schema", "default", "deprecated", "description", "examples", "format", "title"}


def keywords(part: Any, *, are_names: bool = False) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(part, dict):
        for key, inside in part.items():
            if not are_names:
                yield key
            if are_names or key not in ("const", "default", "enum", "examples"):
                # below ServerSource are schemas by name
                names = not are_names and key in ("properties", "$defs")
                yield from keywords(inside, are_names=names or (are_names and key == "ServerSource"))
    elif isinstance(part, list):
        for inside in part:
            yield from keywords(inside)


def test_all_that_the_schema_says_is_interpreted() -> None:
    assert set(keywords(schema())) - ANNOTATIONS == KEYWORDS


def test_the_newest_version_is_the_one_of_the_library() -> None:
    assert schema()["properties"]["apiVersion"]["default"] == NEWEST
    assert set(schema()["properties"]) == {
        field.alias or name for name, field in OpenDataContractStandard.model_fields.items()
    }


def test_the_whole_contract_is_valid_for_the_general_validator() -> None:
    assert list(Draft201909Validator(schema()).iter_errors(DOCUMENT)) == []


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-3, max_value=200),
    st.sampled_from(
        [
            "",
            "x",
            "a.b",
            "foreignKey",
            "string",
            "date",
            "sql",
            "library",
            "text",
            "local",
            "s3",
            "object",
            "array",
        ]
    ),
    st.lists(st.sampled_from(["x", "a.b", 1, 2, 2]), max_size=3),
    st.dictionaries(
        st.sampled_from(["name", "value", "property", "pattern", "x"]), st.sampled_from(["x", 1]), max_size=2
    ),
)


@given(st.sampled_from(ALL_KEYS), st.one_of(_VALUES, st.just(...)))
def test_what_is_read_is_valid(path: tuple[str | int, ...], value: object) -> None:
    """Replace any value, or remove it: what has no problem here has no error there."""
    document = copy.deepcopy(DOCUMENT)
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    if value is ... and path[-1] == "logicalType":
        return  # the schema asks for a map of a property without a type
    if not list(problems(document)):
        assert [error.message for error in Draft201909Validator(schema()).iter_errors(document)] == []


@pytest.mark.parametrize("version", ["v2.2.2", "v4.0.0", "3.2.0", "latest"])
def test_other_versions_are_not_guessed(version: str) -> None:
    (problem,) = problems({**DOCUMENT, "apiVersion": version})
    assert problem.fix == f"Write `apiVersion: {NEWEST}`"
