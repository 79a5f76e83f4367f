"""Files that a pydantic model describes: the line of what is wrong, and the nearest of the keys that are known at that place."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field

from slipway.contracts.described_file import parse_described
from slipway.contracts.problems import Problem
from slipway.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Colour | None = None
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = ()


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    of: str = Field(alias="from")
    parts: dict[str, Part] = Field(default_factory=dict)
    others: list[Part] = Field(default_factory=list)
    spare: Part | None = None


def read(text: str) -> Whole:
    def no_secret(whole: Whole) -> Iterator[Problem]:
        if whole.of == "secret":
            yield Problem(("from",), "is a secret", "Write another")

    return parse_described(text, Whole, "whole.yml", "Write a mapping with from", no_secret)


def test_what_is_right_is_read() -> None:
    found = read("from: here\nparts: {a: {colour: red, sizes: [1, 2]}}\nothers: [{colour: green}]")
    assert (found.parts["a"].sizes, found.others[0].colour) == ((1, 2), Colour.GREEN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"whole.yml cannot be read: it is empty. Write a mapping with from"),
        ("from: [", r"whole.yml, line \d cannot be read: it is not YAML"),
        ("form: here", r"Unknown key `form` in whole.yml \(whole.yml, line 1\). Did you mean `from`\?"),
        ("from: a\nparts:\n  a:\n    color: red", r"Unknown key `color` .*line 4\). Did you mean `colour`\?"),
        ("from: a\nothers:\n- siezs: [1]", r"Unknown key `siezs` .*line 3\). Did you mean `sizes`\?"),
        ("from: a\nspare: {size_s: [1]}", r"Unknown key `size_s` .*line 2\). Did you mean `sizes`\?"),
        ("from: a\nspare: {zzz: 1}", r"Known are colour, sizes"),
        ("from: a\nspare: {colour: gren}", r"Unknown value `gren` .*Did you mean `green`\?"),
        ("from: a\nspare: {colour: mauve}", r"Known are green, red"),
        ("from: a\nparts: {a: {sizes: [0]}}", r"parts.a.sizes.1 \(whole.yml, line 2\): input should be"),
        ("from: a\nfrom: b", r"line 2\): the key is there twice"),
        ("from: secret", r"from \(whole.yml, line 1\): is a secret. Write another"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(text)
