"""Comments and layout of SQL do not count, and whatever could be something else does."""

from __future__ import annotations

import json
import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from slipway.dbt.keys.jinja_code import without_config
from slipway.dbt.keys.sql_code import sql_form

MACROS = {
    "plain": "{% macro plain(x) %}\n    -- half of it\n    ({{ x }} / 2)\n{% endmacro %}",
    "quote": "{% macro quote() %}'{% endmacro %}",
    "opens": "{% macro opens() %}1 -- {% endmacro %}",
    "told": "{% macro told() %}-- it's one\n1{% endmacro %}",
    "twice": "{% macro twice(x) %}'{{ x | replace(\"'\", \"''\") }}'{% endmacro %}",
}


def form(code: str, *macros: str, **values: object) -> list[object]:
    return sql_form(code, [MACROS[name] for name in macros], values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("select 1", "-- what\nselect 1 -- that's it", id="line-comment"),
        pytest.param("select a, b", "select /* it's\n two */ a,\n    b\n", id="block-comment"),
        pytest.param("select {{ x }}", "{#- why -#}\nselect {{x}} {# it's #}", id="jinja-comment"),
        pytest.param("select f(a)", "select f(\n  a -- one\n)", id="inside-parentheses"),
        pytest.param(
            "{% if x %} where a {% endif %} b",
            "{% if x %}\n  -- only new\n where a\n{%endif%}\nb",
            id="branch",
        ),
        pytest.param(
            "select '--', \"/*\" from t", 'select \'--\', -- "x"\n"/*" from t', id="next-to-literals"
        ),
        pytest.param("select '{{ x }}' , 1", "select '{{ x }}', -- one\n1", id="literal-with-a-tag"),
    ],
)
def test_comments_and_layout_do_not_count(one: str, other: str) -> None:
    assert form(one, x="a") == form(other, x="a")
    assert form(f"{one} from {{{{ plain(x) }}}}", "plain") == form(
        f"{other}\n from {{{{ plain(x) }}}}", "plain"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("select 'a -- b'", "select 'a -- c'", id="literal-like-a-comment"),
        pytest.param("select 'it''s -- b' ", "select 'it''s -- c'", id="doubled-quote"),
        pytest.param("select 'a  b'", "select 'a b'", id="whitespace-in-a-literal"),
        pytest.param('select 1 as "a /* x */"', 'select 1 as "a /* y */"', id="quoted-name"),
        pytest.param("select $$ -- a $$", "select $$ -- b $$", id="dollar-quotes"),
        pytest.param("select $t$ ' -- a' $t$", "select $t$ ' -- b' $t$", id="dollar-tag"),
        pytest.param(r"select e'\' -- a'", r"select e'\' -- b'", id="escape-string"),
        pytest.param("select /* /* */ 1 */ 2", "select /* /* */ 3 */ 2", id="nested-comment"),
        pytest.param("select 'a'\n'b'", "select 'a' 'b'", id="literals-that-join"),
        pytest.param("select 1 - -1", "select 1 --1", id="minus-minus"),
        pytest.param("select a b", "select ab", id="words-that-join"),
        pytest.param("select date '2024-01-01'", "select date'2024-01-01'", id="prefix"),
        pytest.param(
            "-- {{ config(x=1) }}\nselect 1", "-- {{ config(x=2) }}\nselect 1", id="jinja-in-a-comment"
        ),
        pytest.param("-- depends_on: {{ ref('a') }}\nselect 1", "select 1", id="dependency-in-a-comment"),
        pytest.param(
            "-- {% if x %} a \n 1 {% endif %}", "-- {% if x %} b \n 1 {% endif %}", id="block-in-a-comment"
        ),
        pytest.param("-- a {{ m() }}\nselect 1", "-- b {{ m() }}\nselect 1", id="macro-in-a-comment"),
        pytest.param('{{ "\'" }} -- a\n {{ "\'" }}', '{{ "\'" }} -- b\n {{ "\'" }}', id="printed-quote"),
        pytest.param("{{ '--' }} 'a\n -- b'", "{{ '--' }} 'a\n -- c'", id="printed-comment"),
        pytest.param(
            "{% set x %}a -- b\n{% endset %}'{{ x }}'",
            "{% set x %}a -- c\n{% endset %}'{{ x }}'",
            id="captured",
        ),
        pytest.param("5 -{{ n }} -- 'a' -- b", "5 -{{ n }} -- 'a' -- c", id="half-an-operator"),
        pytest.param("{% raw %}{{ x }}{% endraw %}", "{{ x }}", id="raw"),
        pytest.param("select 'x {#- a -#} y'", "select 'x {# a #} y'", id="trims-a-literal"),
    ],
)
def test_what_could_be_another_statement_counts(one: str, other: str) -> None:
    assert form(one) != form(other)


@pytest.mark.parametrize(
    ("code", "macros", "values"),
    [
        pytest.param("{{ quote() }} -- a\n{{ quote() }}", ["quote"], {}, id="macro-prints-a-quote"),
        pytest.param("{{ opens() }} 'x\n -- a\n'", ["opens"], {}, id="macro-opens-a-comment"),
        pytest.param("'{{ told() }} -- a\n'", ["told"], {}, id="comment-of-a-macro-in-a-literal"),
        pytest.param("'{{ var(\"x\") }} -- a\n'", [], {"x": "b'"}, id="variable-with-a-quote"),
        pytest.param("'{{ run_query('x') }}' -- a\n", [], {}, id="result-of-a-query"),
    ],
)
def test_what_prints_half_a_literal_leaves_everything_as_written(
    code: str, macros: list[str], values: dict[str, object]
) -> None:
    assert form(code, *macros, **values) != form(code.replace("-- a", "-- b"), *macros, **values)


def test_an_escaped_value_and_an_ordinary_macro_do_not_stand_in_the_way() -> None:
    code = "select {{ twice('x') }}, {{ plain('y') }} -- a\n from t"
    assert form(code, "twice", "plain", x="it") == form(
        code.replace("-- a", "/* b */"), "twice", "plain", x="it"
    )


FRAGMENTS = [
    *(
        "'",
        '"',
        "--",
        "/*",
        "*/",
        "$$",
        "e'",
        "\\",
        "\n",
        " ",
        "\t",
        "-",
        "/",
        "*",
        "(",
        ")",
        ",",
        ";",
        ".",
        "u&'",
    ),
    *(
        "1",
        "a",
        "b",
        "as",
        "x''",
        "'a'",
        '"b"',
        "-- c\n",
        "/* c */",
        "'a' ",
        "\n'b'",
        "it's",
        "x",
        "||",
        "select 1",
    ),
    *(
        "{{ v }}",
        "{{ q }}",
        "{{ m() }}",
        "{{ '--' }}",
        "{% if v %}",
        "{% endif %}",
        "{# c #}",
        "{#- c -#}",
        "{{ c() }}",
    ),
]
QUOTES = {"v": "7", "q": "'"}
BODIES = {"m": "{% macro m() %} 1 -- it\n{% endmacro %}", "c": "{% macro c() %}'/*' {% endmacro %}"}
parts = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=10)
edits = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 2), st.sampled_from(FRAGMENTS)), min_size=1, max_size=3
)


def edited(written: list[str], changed: list[tuple[int, int, str]]) -> list[str]:
    other = list(written)
    for at, dropped, new in changed:
        other[at : at + dropped] = [new]
    return other


@given(parts, st.one_of(edits, st.just([])))
def test_an_edit_that_makes_another_statement_never_keeps_the_form(
    written: list[str], changed: list[tuple[int, int, str]]
) -> None:
    # without an edit, what is written in all that looks like a comment becomes something else
    other = edited(written, changed) if changed else [text.replace(" c", " d") for text in written]
    one, two = (f"select 1 {''.join(some)}" for some in (written, other))
    macros, values = (
        list(BODIES.values()),
        {"v": QUOTES["v"], **({"q": "'"} if "{{ q }}" in one + two else {})},
    )
    if sql_form(one, macros, values) != sql_form(two, macros, values):
        return
    assert parsed(one) == parsed(two), (one, two)


def parsed(code: str) -> object:
    """The statement that code is rendered to as DuckDB reads it, None for what is none."""
    try:
        text = Environment(autoescape=False).from_string("".join(BODIES.values()) + code).render(QUOTES)  # noqa: S701
    except Exception:  # noqa: BLE001 - Jinja refuses in several ways
        return None
    answer = duckdb.sql("select json_serialize_sql($1)", params=[text]).fetchone()
    found = json.loads(answer[0]) if answer else {}
    if found.get("error"):
        return None
    return re.sub(r'"query_location": \d+', "", json.dumps(found))


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("{{ config(materialized='table', x=var('y')) }}\nselect 1", "\nselect 1"),
        ("{{-  config( \n ) -}} select 1", " select 1"),
        ("select {{ config.get('x') }}", None),
        ("{{ config(a=1) ~ 'x' }}", None),
        ("{{ config(a=1) }}{{ this }}", "{{ this }}"),
        ("{# {{ config(a=1) }} #}select '{{ ref(')') }}'", None),
        ("{{ broken", None),
    ],
)
def test_what_config_sets_is_left_out(code: str, left: str | None) -> None:
    found = without_config(code)
    assert found.split() == (code if left is None else left).split()
