"""The translator without Spark: what it writes, what it refuses, and that the list is what the parity suite holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp
from tests.integration.spark.translation.cases import TABLES, Case, cases

from slipway.engines.spark.translation import calls, casts, listed
from slipway.engines.spark.translation import translate as entry
from slipway.engines.spark.translation.asking import Types
from slipway.engines.spark.translation.listed import Function
from slipway.engines.spark.translation.nesting import LEVELS, check_nesting
from slipway.engines.spark.translation.parsing import parse
from slipway.engines.spark.translation.refusal import TranslationError
from slipway.engines.spark.translation.regular_expressions import NotUnderstoodError, java_pattern
from slipway.engines.spark.translation.scopes import Value, text_literal
from slipway.engines.spark.translation.translate import translate

if TYPE_CHECKING:
    from slipway.engines.spark.translation.translator import Translator
from slipway.engines.spark.translation.type_kinds import EXACT_IN_DOUBLE, Kind

SCHEMAS = {
    "cells": {
        "k": "INTEGER", "g": "VARCHAR", "i": "INTEGER", "j": "INTEGER", "l": "BIGINT", "s": "SMALLINT", "n": "DECIMAL(10,2)",
        "m": "DECIMAL(18,4)", "w": "DECIMAL(38,4)", "x": "DOUBLE", "t": "VARCHAR", "u": "VARCHAR", "d": "DATE", "e": "DATE",
        "ts": "TIMESTAMP", "tz": "TIMESTAMP WITH TIME ZONE", "b": "BOOLEAN",
    },
    "extremes": {
        "k": "INTEGER", "i": "INTEGER", "l": "BIGINT", "s": "SMALLINT", "w": "DECIMAL(38,4)", "x": "DOUBLE", "d": "DATE",
        "ts": "TIMESTAMP", "t": "VARCHAR",
    },
}  # fmt: skip
CASES = cases()
COMPUTED = [case for case in CASES if case.verdict != "refused"]
REFUSED = [case for case in CASES if case.verdict == "refused"]


def spark(expression: str) -> str:
    """The text for Spark of one expression."""
    text = translate(f"select {expression} as it from cells", SCHEMAS)
    return (
        text.removeprefix("SELECT ").removesuffix(" AS `it` FROM `cells` AS `cells`").replace("`cells`.", "")
    )


def refusal(sql: str, model: str = "model a.b") -> TranslationError:
    with pytest.raises(TranslationError) as caught:
        translate(sql, SCHEMAS, model)
    return caught.value


# -------------------------------------------------------------------------------------------------------- the verdicts


def test_the_suite_is_large_and_its_tables_are_the_ones_here() -> None:
    assert len(CASES) >= 200
    assert len({case.text for case in CASES}) == len(CASES)
    connection = duckdb.connect()
    connection.execute(TABLES)
    assert {
        name: {row[0]: row[1] for row in connection.execute(f"describe {name}").fetchall()}
        for name in SCHEMAS
    } == SCHEMAS


@dataclass
class Passage:
    """What one translation of all cases came across."""

    refused: list[Case] = field(default_factory=list)
    functions: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    casts: set[tuple[str, str, bool]] = field(default_factory=set)


def kind_name(kind: Kind) -> str:
    """What the reference calls a type."""
    if kind.id == "decimal":
        few = next(name for name in casts.KINDS if name.startswith("decimal of"))
        return few if kind.digits <= EXACT_IN_DOUBLE else "decimal"
    if kind.is_integer:
        return "whole number"
    return {"varchar": "text", "timestamp with time zone": "timestamptz"}.get(kind.id, kind.id)


@pytest.fixture(scope="module")
def passage() -> Passage:
    found = Passage()
    real_takes, real_written = listed.takes, casts._written

    def takes(function: Function, values: Sequence[Value], nodes: Sequence[exp.Expression]) -> bool:
        taken = real_takes(function, values, nodes)
        if taken:
            found.functions.add((function.name, function.takes))
        return taken

    def written(value: Value, kind: Kind, *, tried: bool) -> str | None:
        found.casts.add((kind_name(value.kind), kind_name(kind), tried))
        return real_written(value, kind, tried=tried)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "takes", takes)
        patch.setattr(casts, "_written", written)
        for case in COMPUTED:
            translate(case.sql, SCHEMAS)
    for case in REFUSED:
        try:
            translate(case.sql, SCHEMAS)
        except TranslationError:
            found.refused.append(case)
    return found


def test_what_the_suite_says_is_refused_is_refused(passage: Passage) -> None:
    assert [case for case in REFUSED if case not in passage.refused] == []


# ------------------------------------------------------------------------------------------------------------ the list


def test_every_function_of_the_list_has_a_case(passage: Passage) -> None:
    assert [one for one in calls.FUNCTIONS if (one.name, one.takes) not in passage.functions] == []


def test_every_cast_of_the_list_has_a_case(passage: Passage) -> None:
    assert sorted(set(casts.pairs()) - passage.casts) == []


def test_every_aggregate_window_function_and_operator_has_a_case() -> None:
    names: set[str] = set()
    classes: set[type[exp.Expr]] = set()
    for case in COMPUTED:
        tree = parse(case.sql)
        names |= {node.name.lower() for node in tree.find_all(exp.Anonymous)}
        classes |= {type(node) for node in tree.walk()}
    listed = {one.name for one in calls.AGGREGATES} | {
        *calls.RANKS,
        *calls.OFFSETS,
        *calls.EDGES,
        "struct_pack",
    }
    assert listed - names == set()
    assert {one for one in entry.HANDLERS if one not in classes} == set()


# ------------------------------------------------------------------------------------------------------- what it writes


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("i + 1", "(i + 1)"),
        ("row_number() over (order by i)", "CAST(ROW_NUMBER() OVER (ORDER BY i ASC NULLS LAST) AS BIGINT)"),
        ("d - e", "CAST(DATEDIFF(d, e) AS BIGINT)"),
        ("d + interval 1 month", "(CAST(d AS TIMESTAMP_NTZ) + INTERVAL '1' MONTH)"),
        ("cast(n as int)", "CAST(ROUND(n, 0) AS INT)"),
        ("'2025-01-05' = d", "(DATE'2025-01-05' = d)"),
        ("i // j", "CAST((i DIV NULLIF(j, 0)) AS INT)"),
        ("sum(i)", "SUM(CAST(i AS DECIMAL(28,0)))"),
        ("regexp_replace(t, '(a)b', '\\1')", "REGEXP_REPLACE(t, '\\\\A((?s:.*?))((a)b)', '$1$3')"),
        ("regexp_replace(t, '(a)b', '\\1$', 'g')", "REGEXP_REPLACE(t, '(a)b', '$1\\\\$')"),
        ("t like '%\\_'", "(t LIKE '%\\\\\\\\_')"),
        ("'${x}'", "'\\u0024{x}'"),
    ],
)
def test_text(expression: str, written: str) -> None:
    assert spark(expression).replace("`", "") == written


def test_names_are_quoted_and_keep_their_spelling() -> None:
    text = translate('select "Invoice No" as "A`b" from s."T"', {"s.T": {"Invoice No": "VARCHAR"}})
    assert text == "SELECT `T`.`Invoice No` AS `A``b` FROM `s`.`T` AS `T`"


def test_a_text_of_spark_holds_any_character() -> None:
    assert text_literal("a'b\\c\n${d}") == "'a\\'b\\\\c\n\\u0024{d}'"


# ------------------------------------------------------------------------------------------------------------ refusals


def test_a_refusal_names_function_model_line_and_form() -> None:
    error = refusal("select\n    k,\n    epoch_ms(ts) as it\nfrom cells", "Model curated.x")
    assert (error.function, error.line_number) == ("the function epoch_ms", 3)
    assert error.fix == "epoch_us(x) // 1000"
    assert str(error) == (
        "Model curated.x cannot be computed by Spark: the function epoch_ms (line 3 of its compiled SQL) is not known to have "
        "the same result there as in DuckDB. epoch_us(x) // 1000."
    )


@pytest.mark.parametrize(
    ("sql", "what", "line", "form"),
    [
        ("select sum(x) as it\nfrom cells", "sum of DOUBLE", 1, "cast to DECIMAL"),
        ("select k\nfrom cells\nlimit 3", "LIMIT without ORDER BY", 3, "order by"),
        ("select k from cells\nwhere w / 3 > 1", "from DECIMAL", 2, "at most 15 digits"),
        ("select k from\nelsewhere", "the table elsewhere", 2, "ref and source"),
        (
            "select k,\n  timezone('Mars/Base', ts) as it from cells",
            "the time zone Mars/Base",
            2,
            "Europe/London",
        ),
        ("select k,\n t like u as it from cells", "t LIKE u", 2, "constant pattern"),
        (
            "select k as it from cells\nqualify row_number() over () = 1",
            "without ORDER BY",
            2,
            "in which order",
        ),
        ("select i & 3 as it from cells", "i & 3", 1, "spark-sql.md"),
        ("select it from", "cannot be parsed", 0, "spark-sql.md"),
    ],
)
def test_refusals(sql: str, what: str, line: int, form: str) -> None:
    error = refusal(sql)
    assert what in error.function
    assert error.line_number == line
    assert form in error.fix
    assert "\n" not in str(error)


def test_a_clause_that_nobody_translates_is_refused() -> None:
    """Whatever sqlglot hangs on a part that is known is refused, too, instead of being left out."""
    tree = parse("select k from cells")
    assert isinstance(tree, exp.Select)
    for clause in (
        "select k from cells using sample 3",
        "select k from cells for update",
        "select k from cells order by k limit 10%",
    ):
        refusal(clause)


# ----------------------------------------------------------------------------------------------------------- properties

_PIECES = st.sampled_from([case.text for case in CASES])
_OPERATORS = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "||",
        "=",
        "<",
        "and",
        "or",
        "is not",
        "in",
        "like",
        "->",
        "::",
        "between",
        "**",
        "~",
        "^",
        ",",
        "collate",
    ]
)


@st.composite
def queries(draw: st.DrawFn) -> str:
    """Cases, joined by operators, nested, cut and pasted."""
    left, right = draw(_PIECES), draw(_PIECES)
    text = draw(
        st.sampled_from(
            [
                left,
                f"{left} {draw(_OPERATORS)} {right}",
                f"not ({left})",
                f"coalesce({left}, {right})",
                f"({left})::{right}",
            ]
        )
    )
    if draw(st.booleans()):
        start = draw(st.integers(0, len(text)))
        text = (
            text[:start]
            + draw(
                st.sampled_from(
                    ["", "(", ")", "'", "null", " as ", "over ()", ".", "[1]", "\x00", "é", "--", "/*"]
                )
            )
            + text[start + draw(st.integers(0, 5)) :]
        )
    return text if draw(st.booleans()) else f"select {text} as it from cells group by {right}"


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(sql=queries() | st.text(max_size=40))
def test_nothing_but_a_refusal_is_raised(sql: str) -> None:
    with suppress(TranslationError):
        assert translate(sql, SCHEMAS)


def test_what_is_parsed_is_parsed_again_from_its_text() -> None:
    for case in COMPUTED:
        tree = parse(case.sql)
        assert parse(tree.sql(dialect="duckdb", comments=False)).sql(dialect="duckdb") == tree.sql(
            dialect="duckdb"
        ), case


@pytest.mark.parametrize(
    ("pattern", "java", "shortest"),
    [
        ("^a$", r"\Aa\z", 1),
        (r"\d+\.\w{2,3}", r"[0-9]+\.[0-9A-Za-z_]{2,3}", 4),
        ("a|bc?", "a|bc?", 1),
        ("(?:x|)y*", "(?:x|)y*", 0),
        (".", r"[^\n]", 1),
        ("[a&&b-]", r"[a\&\&b\-]", 1),
        (r"[^\s\x0b]", r"[^\t\n\f\r \x{0b}]", 1),
    ],
)
def test_patterns(pattern: str, java: str, shortest: int) -> None:
    found = java_pattern(pattern)
    assert (found.java, found.shortest) == (java, shortest)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b",
        r"\1",
        "(?i)a",
        "(?=a)",
        "a**",
        "a+?+",
        "^*",
        "[[:alpha:]]",
        "[]",
        r"\p{L}",
        "(",
        ")",
        "[a",
        "\\",
        "a{2}{3}",
        r"\Qa\E",
    ],
)
def test_patterns_that_are_not_understood(pattern: str) -> None:
    with pytest.raises(NotUnderstoodError):
        java_pattern(pattern)


def test_types_are_those_of_duckdb() -> None:
    types = Types()
    assert types.of('"§DECIMAL(18,4)" * "§INTEGER"').text == "DECIMAL(18,4)"
    types.close()


# ------------------------------------------------------------------------------------------------------------ operators

_BINARY = (
    "or",
    "and",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "is distinct from",
    "is not distinct from",
    "like",
    "||",
)
_BETWEEN = ("+", "-", "*", "/", "//", "%")
_AFTER = ("", " is null", " in (a, b)", " between a and b", "::varchar", " is true")
_BEFORE = ("", "not ", "-")


class _Anything:
    """In place of a translator: it only refuses."""

    def refuse(self, *_: object) -> None:
        raise TranslationError("", "", "", function="", line_number=0)


def _nested_safely(tree: exp.Expression) -> bool:
    try:
        for node in tree.walk():
            if type(node) in LEVELS:
                check_nesting(cast("Translator", _Anything()), cast("exp.Expression", node))
    except TranslationError:
        return False
    return True


def _with_parentheses(tree: exp.Expression) -> str:
    explicit = tree.copy()
    for node in reversed(list(explicit.find_all(*LEVELS))):
        node.replace(exp.Paren(this=node.copy()))
    return explicit.sql(dialect="duckdb")


def _without_places(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _without_places(value) for key, value in tree.items() if key != "query_location"}
    return [_without_places(one) for one in tree] if isinstance(tree, list) else tree


@pytest.mark.long
def test_operators_are_bound_as_duckdb_binds_them() -> None:
    """What needs no parentheses has the same tree in DuckDB with and without those that sqlglot's tree implies."""
    connection = duckdb.connect()

    def tree(sql: str) -> object:
        row = connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
        assert row is not None
        return _without_places(json.loads(row[0]))

    texts = [
        f"select {before}a {one} {middle}b {other} c{after} as it from t"
        for one in (*_BINARY, *_BETWEEN)
        for other in (*_BINARY, *_BETWEEN)
        for before, middle, after in [
            ("", "", ""),
            *((b, m, "") for b in _BEFORE for m in _BEFORE),
            *(("", "", a) for a in _AFTER),
        ]
    ]
    compared = 0
    for text in dict.fromkeys(texts):
        found = tree(text)
        try:
            parsed = parse(text)
        except ValueError:
            continue
        if "error_type" in str(found)[:200] or not _nested_safely(parsed):
            continue
        assert tree(_with_parentheses(parsed)) == found, text
        compared += 1
    assert compared > 500
