"""Lines of the source for lines of the compiled query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.check.places import line_declaring, line_naming, line_of_error, source_line

SOURCE = """{{ config(materialized='table') }}

{%- set columns = ['a', 'b'] %}
select
    {%- for column in columns %}
    {{ column }},
    {%- endfor %}
    wrong
from {{ ref('t') }}
where a > 1"""
COMPILED = """
select
    a,
    b,
    wrong
from "dev"."s"."t"
where a > 1"""


@pytest.mark.parametrize(("number", "line"), [(2, 4), (3, 5), (4, 5), (5, 8), (6, 9), (7, 10)])
def test_lines_of_jinja_belong_to_the_line_that_made_them(number: int, line: int) -> None:
    assert source_line(number, COMPILED, SOURCE) == line


def test_the_line_of_an_error_is_that_of_the_query() -> None:
    message = 'Binder Error: Referenced column "wrong" not found!\n\nLINE 6:     wrong\n            ^'
    assert line_of_error(message, COMPILED, SOURCE, before=1) == 8
    assert line_of_error("Binder Error: no line", COMPILED, SOURCE) is None
    assert line_of_error("x\nLINE 99: y\n^", COMPILED, SOURCE) is None


lines = st.lists(
    st.sampled_from(["select", "a,", "b", "from t", "", "  c", "where x"]), min_size=1, max_size=12
)


@given(lines, st.data())
def test_a_query_without_jinja_has_the_lines_of_its_source(text: list[str], data: st.DataObject) -> None:
    source = "\n".join(text)
    number = data.draw(st.integers(1, len(text)))
    assert source_line(number, source, source) == number


@given(lines, lines, st.data())
def test_every_line_of_a_query_is_in_the_source(
    compiled: list[str], source: list[str], data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(compiled)))
    assert 1 <= source_line(number, "\n".join(compiled), "\n".join(source)) <= len(source)


def test_names_are_whole_words() -> None:
    assert line_naming("kg", "select kg_all,\n  Kg\nfrom kgs") == 2
    assert line_naming("x", "select y") is None


def test_a_column_is_selected_before_the_last_from() -> None:
    assert (
        line_naming("kg", "with t as (\n  select kg\n  from u\n)\nselect\n  a,\n  kg\nfrom t\ngroup by a, kg")
        == 7
    )
    assert line_naming("kg", "select *\nfrom t where kg > 1") == 2


def test_a_name_in_yaml_is_below_that_of_its_model() -> None:
    text = "models:\n  - name: a\n    columns:\n      - name: x\n  - name: b\n    columns:\n      - name: 'x' # its own\n"
    assert line_declaring(("b", "x"), text) == 7
    assert line_declaring(("a", "x"), text) == 4
    assert line_declaring(("c", "x"), text) is None
