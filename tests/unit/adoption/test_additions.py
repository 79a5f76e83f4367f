"""What is put into YAML is there afterwards, and so is every line that was there."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway.adoption.additions import OneLine, add, as_yaml

WANTED: dict[str, Any] = {
    "flags": {"strict": True},
    "models": {"shop": {"+schema": "curated", "marts": {"+schema": "serving"}}},
}


def is_within(lines: list[str], more: list[str]) -> bool:
    """Whether all lines are among the others, in their order."""
    rest = iter(more)
    return all(line in rest for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", WANTED, id="empty"),
        pytest.param("name: shop", {"name": "shop"} | WANTED, id="no-end-of-line"),
        pytest.param(
            "models:\n  # why\n  shop:\n    marts:\n      +tags: x  # y\nflags:\n",
            {
                "models": {"shop": {"+schema": "curated", "marts": {"+schema": "serving", "+tags": "x"}}},
                "flags": {"strict": True},
            },
            id="nested",
        ),
        pytest.param(
            "models:\n    shop:\n          schema: mine\n          marts: {}\n",
            {"models": {"shop": {"schema": "mine", "marts": {}}}, "flags": {"strict": True}},
            id="own-value-stays",
        ),
        pytest.param(
            "models:\r\n  other:\r\n    +tags: x\r\n",
            {"models": {"other": {"+tags": "x"}, **WANTED["models"]}, "flags": {"strict": True}},
            id="windows",
        ),
        pytest.param(
            "---\nname: shop\n... # the end\n",
            {"name": "shop"} | WANTED,
            id="end-of-document",
        ),
        pytest.param("  name: shop\n", {"name": "shop"} | WANTED, id="indented"),
        pytest.param(
            "models:\n  shop:\n    staging: &views\n      +materialized: view\n    reports: *views\n",
            {
                "models": {
                    "shop": {
                        "+schema": "curated",
                        "marts": {"+schema": "serving"},
                        "staging": {"+materialized": "view"},
                        "reports": {"+materialized": "view"},
                    }
                },
                "flags": {"strict": True},
            },
            id="alias-next-to-it",
        ),
        pytest.param(
            "x: &x\n  +tags: t\nmodels:\n  shop:\n    <<: *x\n    <<: {+docs: d}\n",
            {
                "x": {"+tags": "t"},
                "models": {
                    "shop": {
                        "+tags": "t",
                        "+docs": "d",
                        "+schema": "curated",
                        "marts": {"+schema": "serving"},
                    }
                },
                "flags": {"strict": True},
            },
            id="merge-keys",
        ),
    ],
)
def test_lines_are_added(text: str, expected: dict[str, Any]) -> None:
    done = add(text, WANTED)
    assert yaml.safe_load(done.text) == expected
    assert is_within(text.splitlines(), done.text.splitlines())
    assert ("\r\n" in text) == ("\r\n" in done.text)
    assert add(done.text, WANTED).text == done.text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("{name: shop}\n", WANTED, id="flow"),
        pytest.param(
            "models:\n  shop:\n    marts: {+tags: x}\n",
            {"models": {"shop": {"marts": {"+schema": "serving"}}}},
            id="flow-inside",
        ),
        pytest.param("models: &m\n  shop: {}\nsources: *m\nflags: none\n", WANTED, id="alias"),
        pytest.param(
            "models:\n  other: &o\n    +tags: x\n  shop:\n    marts: *o\n",
            {"models": {"shop": {"marts": {"+schema": "serving"}}}},
            id="alias-of-another",
        ),
        pytest.param(
            "x: &x\n  marts: {+tags: t}\nmodels:\n  shop:\n    <<: *x\n",
            {"models": WANTED["models"]},
            id="merged-from-elsewhere",
        ),
        pytest.param("models: &m\n  shop:\nseeds: *m\n", {"models": WANTED["models"]}, id="alias-of-all"),
        pytest.param("models: [shop]\n", {"models": WANTED["models"]}, id="list"),
    ],
)
def test_what_would_change_a_line_is_left(text: str, left: dict[str, Any]) -> None:
    done = add(text, WANTED)
    assert done.left == left
    assert is_within(text.splitlines(), done.text.splitlines())
    assert yaml.safe_load(as_yaml(done.left)) == left


def test_a_mapping_in_one_line_is_not_looked_into() -> None:
    wanted = {"p": {"outputs": {"lake": OneLine({"type": "slipway", "attach": [{"path": ":memory:"}]})}}}
    done = add("p:\n  outputs:\n    dev: {type: duckdb}\n", wanted)
    assert done.text.splitlines()[2] == "    lake: {type: slipway, attach: [{path: ':memory:'}]}"
    assert done.left == {}


_NAMES = st.sampled_from(["a", "b", "c", "+schema"])
_TREES = st.recursive(
    st.one_of(st.none(), st.integers(0, 3), st.just("text")),
    lambda inner: st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(
    there=st.dictionaries(_NAMES, _TREES, max_size=3),
    wanted=st.dictionaries(
        _NAMES,
        st.recursive(st.integers(0, 3), lambda inner: st.dictionaries(_NAMES, inner, min_size=1, max_size=3)),
        max_size=3,
    ),
    flow=st.sampled_from([False, None, True]),
)
def test_nothing_that_is_there_changes(
    there: dict[str, Any], wanted: dict[str, Any], flow: bool | None
) -> None:
    """Whatever is wanted: all values stay, the rest is there or left."""
    text = yaml.safe_dump(there, default_flow_style=flow)
    done = add(text, wanted)
    assert is_within(text.splitlines(), done.text.splitlines())
    after = yaml.safe_load(done.text) or {}
    assert kept(there, after)
    assert add(done.text, wanted).left == done.left


def kept(before: object, after: object) -> bool:
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            name in after and kept(value, after[name]) for name, value in before.items()
        )
    return before is None or before == after
