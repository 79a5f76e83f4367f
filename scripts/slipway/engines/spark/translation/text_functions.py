"""Functions of texts."""

from __future__ import annotations

import re

from slipway.engines.spark.translation.case_mapping import mapped_by_character
from slipway.engines.spark.translation.listed import Call, Function
from slipway.engines.spark.translation.operators import as_text
from slipway.engines.spark.translation.refusal import ANYTHING
from slipway.engines.spark.translation.regular_expressions import (
    NotUnderstoodError,
    Pattern,
    java_pattern,
    whole,
)
from slipway.engines.spark.translation.scopes import text_literal

_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


def _pattern(call: Call, at: int = 1) -> Pattern:
    text = call.arguments[at].text
    assert text is not None
    try:
        return java_pattern(text)
    except NotUnderstoodError as error:
        call.translator.refuse(
            call.node,
            f"“{error}” in the regular expression {text!r}",
            "Write the pattern with characters, classes in brackets, groups, | and quantifiers",
        )


def _matches(call: Call) -> str:
    return f"({call.arguments[0].spark} RLIKE {text_literal(_pattern(call).java)})"


def _full_match(call: Call) -> str:
    return f"({call.arguments[0].spark} RLIKE {text_literal(whole(_pattern(call).java))})"


def _extract(call: Call) -> str:
    pattern = _pattern(call)
    group = int(call.arguments[2].spark) if len(call.arguments) > 2 else 0
    if group > pattern.groups:
        call.translator.refuse(
            call.node,
            f"group {group} of a pattern with {pattern.groups}",
            "Name a group that the pattern has",
        )
    return f"REGEXP_EXTRACT({call.arguments[0].spark}, {text_literal(pattern.java)}, {group})"


def _replacement(call: Call, shift: int) -> str:
    text = call.arguments[2].text
    assert text is not None
    written = ""
    for part in re.findall(r"\\[0-9]|\\\\|[^\\]|\\", text):
        if part == "\\":
            call.translator.refuse(
                call.node,
                f"a single backslash in the replacement {text!r}",
                r"Write \\ for a backslash, \1 for a group",
            )
        if re.fullmatch(r"\\[0-9]", part):
            number = int(part[1])
            if number > _pattern(call).groups:
                call.translator.refuse(
                    call.node,
                    f"group {number} in the replacement {text!r}",
                    "Name a group that the pattern has",
                )
            written += f"${number + shift}"
        else:
            written += "\\" + part[-1] if part[-1] in "\\$" else part
    return written


def _replace(call: Call) -> str:
    """Only the first match without 'g': what is before it is matched, too, and put back. Group numbers move by one."""
    x, pattern = call.arguments[0].spark, _pattern(call)
    is_global = len(call.arguments) > 3
    if is_global and call.arguments[3].text != "g":
        call.translator.refuse(call.node, f"the option {call.arguments[3].text!r}", "Only 'g' is translated")
    if pattern.shortest == 0:
        call.translator.refuse(
            call.node,
            "a replacement of matches that may be empty",
            "Write a pattern that matches at least one character",
        )
    if is_global:
        written = _replacement(call, 0)
        _no_digit_after_group(call, written)
        return f"REGEXP_REPLACE({x}, {text_literal(pattern.java)}, {text_literal(written)})"
    written = "$1" + _replacement(call, 2)
    _no_digit_after_group(call, written)
    first = rf"\A((?s:.*?))({pattern.java})"
    return f"REGEXP_REPLACE({x}, {text_literal(first)}, {text_literal(written)})"


def _no_digit_after_group(call: Call, written: str) -> None:
    """To Java ``$11`` is group 11 where there is one."""
    if re.search(r"(?<!\\)\$[0-9]+[0-9]", written):
        call.translator.refuse(
            call.node,
            "a digit after a group in a replacement",
            "Put the digit into a text of its own: regexp_replace(…) || '1'",
        )


def _substring(call: Call) -> str:
    length = f", {call.arguments[2].spark}" if len(call.arguments) > 2 else ""
    return f"SUBSTRING({call.arguments[0].spark}, {call.arguments[1].spark}{length})"


def _concat(call: Call) -> str:
    parts = [as_text(call.translator, call.node, one).spark for one in call.arguments]
    return "CONCAT(" + ", ".join(f"COALESCE({one}, '')" for one in parts) + ")"


def _by_character(name: str) -> Function:
    return Function(
        name,
        ("text",),
        f"{name.upper()}({{0}})",
        build=lambda call: mapped_by_character(name, call.arguments[0].spark),
        remark="character by character; Spark's own function would make two characters of one, such as SS of ß",
    )


def _trim(name: str, side: str) -> tuple[Function, Function]:
    return (
        Function(
            name,
            ("text",),
            f"TRIM({side} … FROM {{0}})",
            build=lambda call: f"TRIM({side} {text_literal(_SPACES)} FROM {call.arguments[0].spark})",
            remark="all spaces of Unicode, as in DuckDB; neither tabs nor line feeds",
        ),
        Function(name, ("text", "constant text"), f"TRIM({side} {{1}} FROM {{0}})"),
    )


def _pad(call: Call, name: str) -> str:
    if call.arguments[2].text == "":
        call.translator.refuse(call.node, "an empty text to fill with", "Write a character to fill with")
    return f"{name}({', '.join(call.texts())})"


def _split(call: Call) -> str:
    if call.arguments[1].text == "":
        call.translator.refuse(call.node, "an empty text to split at", ANYTHING)
    return f"SPLIT_PART({', '.join(call.texts())})"


TEXTS: tuple[Function, ...] = (
    Function("length", ("text",), "LENGTH({0})", gives="INT"),
    Function("len", ("text",), "LENGTH({0})", gives="INT"),
    _by_character("upper"),
    _by_character("lower"),
    *_trim("trim", "BOTH"),
    *_trim("ltrim", "LEADING"),
    *_trim("rtrim", "TRAILING"),
    *(
        Function(
            name,
            ("text", "positive constant", *length),
            "SUBSTRING({0}, {1}" + (", {2})" if length else ")"),
            build=_substring,
        )
        for name in ("substr", "substring")
        for length in ((), ("positive constant",))
    ),
    Function("left", ("text", "positive constant"), "LEFT({0}, {1})"),
    Function("right", ("text", "positive constant"), "RIGHT({0}, {1})"),
    Function("replace", ("text", "text", "text"), "REPLACE({0}, {1}, {2})"),
    Function(
        "concat",
        ("any…",),
        "CONCAT(COALESCE({0}, ''), …)",
        build=_concat,
        remark="NULL is the empty text, as in DuckDB",
    ),
    Function(
        "concat_ws",
        ("constant text", "text…"),
        "CONCAT_WS({0}, {1}, …)",
        build=lambda call: f"CONCAT_WS({', '.join(call.texts())})",
    ),
    Function("starts_with", ("text", "text"), "STARTSWITH({0}, {1})"),
    Function("prefix", ("text", "text"), "STARTSWITH({0}, {1})"),
    Function("ends_with", ("text", "text"), "ENDSWITH({0}, {1})"),
    Function("suffix", ("text", "text"), "ENDSWITH({0}, {1})"),
    Function("contains", ("text", "text"), "CONTAINS({0}, {1})"),
    Function("strpos", ("text", "text"), "INSTR({0}, {1})", gives="INT"),
    Function("instr", ("text", "text"), "INSTR({0}, {1})", gives="INT"),
    Function(
        "lpad",
        ("text", "positive constant", "constant text"),
        "LPAD({0}, {1}, {2})",
        build=lambda call: _pad(call, "LPAD"),
    ),
    Function(
        "rpad",
        ("text", "positive constant", "constant text"),
        "RPAD({0}, {1}, {2})",
        build=lambda call: _pad(call, "RPAD"),
    ),
    Function("repeat", ("text", "positive constant"), "REPEAT({0}, {1})"),
    Function(
        "split_part",
        ("text", "constant text", "positive constant"),
        "SPLIT_PART({0}, {1}, {2})",
        build=_split,
    ),
    Function("md5", ("text",), "MD5({0})"),
    Function("sha256", ("text",), "SHA2({0}, 256)"),
    Function("regexp_matches", ("text", "constant text"), "{0} RLIKE …", build=_matches),
    Function("regexp_full_match", ("text", "constant text"), "{0} RLIKE \\A(?:…)\\z", build=_full_match),
    Function("regexp_extract", ("text", "constant text"), "REGEXP_EXTRACT({0}, …, 0)", build=_extract),
    Function(
        "regexp_extract",
        ("text", "constant text", "positive constant"),
        "REGEXP_EXTRACT({0}, …, {2})",
        build=_extract,
    ),
    Function(
        "regexp_replace",
        ("text", "constant text", "constant text"),
        "REGEXP_REPLACE({0}, …)",
        build=_replace,
        remark="only the first match",
    ),
    Function(
        "regexp_replace",
        ("text", "constant text", "constant text", "constant text"),
        "REGEXP_REPLACE({0}, …)",
        build=_replace,
        remark="with the option 'g'",
    ),
)
