"""The name that a table had before is not part of its code."""

from __future__ import annotations

import pytest

from slipway.dbt.keys.node_key import _without_former_name
from slipway.dbt.keys.sql_code import sql_form

CODE = "select 1 as n"


@pytest.mark.parametrize(
    ("code", "without"),
    [
        pytest.param("{{ config(was='old') }}\n" + CODE, CODE, id="nothing-else"),
        pytest.param('{{- config( was = "curated.old", ) -}}\n' + CODE, CODE, id="spaced"),
        pytest.param(
            "{{ config(was='old', alias='new') }}\n" + CODE, "{{ config(alias='new') }}\n" + CODE, id="first"
        ),
        pytest.param(
            "{{ config(alias='new', was='old') }}\n" + CODE, "{{ config(alias='new') }}\n" + CODE, id="last"
        ),
    ],
)
def test_a_former_name_changes_no_key(code: str, without: str) -> None:
    assert sql_form(_without_former_name(code), [], {}) == sql_form(without, [], {})


def test_another_key_counts() -> None:
    code = "{{ config(alias='new') }}\n" + CODE
    assert _without_former_name(code) == code
