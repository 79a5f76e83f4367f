"""SQL without its comments and its layout, where it is certain that they are that.

Jinja makes text from text, so whether ``--`` begins a comment may depend on what a macro or a variable prints. Whatever
prints half a string literal, or could, leaves everything as it is written: a key that changes without need costs a
build, one that stays costs the truth. Lexical rules: those of PostgreSQL's scanner, which DuckDB's is made from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from slipway.dbt.keys.jinja_code import Tag, exact, pieces, tags
from slipway.dbt.keys.python_code import literal

_TAG = "\0"  # stands for a tag in the text around it
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\n\r\f\v]+|--[^\n\r]*|/\*.*?\*/)
    |(?P<string>'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*")
    |(?P<word>[\w.]+)
    |(?P<tag>\0)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
# what begins or joins a literal or a comment; a dollar may begin a quoted string
_UNCERTAIN_SIGNS = frozenset("'\"$")
_JOINS_TAG = frozenset("-/*")
# blocks whose text is a value before it is printed, or is not printed where it stands
_CAPTURES = frozenset({"call", "filter", "macro", "snapshot", "test", "materialization", "docs"})
# what may print anything: results of queries, and code as text
_PRINTS_ANYTHING = frozenset(
    {
        "run_query",
        "load_result",
        "statement",
        "raw_code",
        "compiled_code",
        "graph",
        "render",
        "fromjson",
        "fromyaml",
    }
)
_RELATIONS = frozenset({"ref", "source", "config", "this"})


def sql_form(code: str, macros: Sequence[str], values: object) -> list[object]:
    """A form that is equal for two codes only if both are the same statement, whatever it is rendered to.

    Args:
        code: a model's SQL as written.
        macros: of the macros that it uses, directly or not, what is not dbt's own.
        values: of the variables that they read.
    """
    if all(map(_is_closed, macros)) and _is_harmless(values):
        text = _bare(code)
        if text is not None:
            return [text, *([tag.prints, tag.tokens] for tag in tags(code))]
    return exact(code)


def _is_closed(macro: str) -> bool:
    """Whether what a macro prints begins and ends outside of literals and comments, also if it is printed in one."""
    found = pieces(macro)
    if len(found) < 2 or not all(isinstance(end, Tag) for end in (found[0], found[-1])):
        return False
    tokens = _scanned(found[1:-1])
    quotes = {"blank": "'\"", "string": '"', "name": "'"}
    return tokens is not None and not any(set(quotes.get(kind, "")) & set(text) for kind, text in tokens)


def _bare(code: str) -> str | None:
    """The text with one space for whitespace and comments, None where that is not certain to say the same."""
    tokens = _scanned(pieces(code))
    if tokens is None:
        return None
    text = ""
    for before, (kind, token), after in zip(
        [("", ""), *tokens], tokens, [*tokens[1:], ("", "")], strict=False
    ):
        if kind != "blank":
            text += token
        elif _TAG in token:
            text += f"{token}\n"  # a comment that names a table
        elif before[0] == after[0] == "string":
            text += token  # a line between literals makes one of them
        elif before[1] not in ("", "(", ",") and after[1] not in ("", ")", ","):
            text += " "
    return text


def _scanned(found: Iterable[object]) -> list[tuple[str, str]] | None:
    """Kind and text of the tokens, neighbouring blanks as one; None when it is not certain where they end."""
    found = list(found)
    inside = [piece for piece in found if isinstance(piece, Tag)]
    text = "".join(_TAG if isinstance(piece, Tag) else str(piece) for piece in found)
    if text.count(_TAG) != len(inside) or not all(map(_is_tame, inside)):
        return None
    order = iter(inside)
    tokens: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match[0]
        if not _is_certain(kind, token, [next(order) for _ in range(token.count(_TAG))]):
            return None
        merge = kind == "blank" and tokens and tokens[-1][0] == "blank" and _TAG not in token + tokens[-1][1]
        tokens.append((kind, tokens.pop()[1] + token if merge else token))
    return None if any(_is_joined(*pair) for pair in pairwise(tokens)) else tokens


def _is_certain(kind: str, token: str, own: Sequence[Tag]) -> bool:
    if kind == "sign":
        return token not in _UNCERTAIN_SIGNS
    if kind == "blank":
        return "/*" not in token[2:] and all(_names_table(tag) for tag in own)
    return kind == "tag" or all(tag.prints for tag in own)


def _is_joined(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two neighbours may be read as one: an escape string, half an operator, an open comment."""
    if other[0] == "string" and one[0] in ("word", "tag"):
        return one[0] == "tag" or "\\" in other[1] or one[1][-1:] in "eE"
    if "tag" in (one[0], other[0]):
        return one[1] in _JOINS_TAG or other[1] in _JOINS_TAG
    return one == ("sign", "/") and other == ("sign", "*")


def _is_tame(tag: Tag) -> bool:
    """Whether a tag's own constants cannot open a literal or a comment, and nothing in it prints the unknown."""
    if not tag.prints and _captures(tag):
        return False
    for (_, before), (kind, text), (_, after) in zip(
        [("", ""), *tag.tokens], tag.tokens, [*tag.tokens[1:], ("", "")], strict=False
    ):
        if kind == "name" and (
            text in _PRINTS_ANYTHING or (text == "config" and before != "." and after == ".")
        ):
            return False
    texts = _without_doubling(tag.texts)
    constants = [str(literal(text)) for text in texts if text[:1] in ("'", '"')]
    if all(map(_is_even, constants)):
        return True
    return "if" not in texts and "," not in texts and "~" in texts and _is_even("".join(constants))


def _without_doubling(texts: list[str]) -> list[str]:
    """Tokens without ``replace("'", "''")``, by which a text is made safe to stand in a literal."""
    found: list[str] = []
    for text in texts:
        found.append(text)
        if found[-6:] == ["replace", "(", '"\'"', ",", "\"''\"", ")"]:
            del found[-6:]
    return found


def _captures(tag: Tag) -> bool:
    first = tag.texts[0] if tag.texts else ""
    return first in _CAPTURES or (first == "set" and "=" not in tag.texts)


def _is_even(text: str) -> bool:
    """Whether printing a text leaves a literal, or the code around it, as it was."""
    if any(mark in text for mark in ("--", "/*", "*/", "$", "\\")):
        return False
    single, double = text.count("'"), text.count('"')
    return (single == 0 or double == 0) and single % 2 == 0 and double % 2 == 0


def _is_harmless(value: object) -> bool:
    if isinstance(value, str):
        return _is_even(value)
    if isinstance(value, Mapping):
        return all(_is_harmless(item) for pair in value.items() for item in pair)
    return all(map(_is_harmless, value)) if isinstance(value, list | tuple) else True


def _names_table(tag: Tag) -> bool:
    return tag.prints and bool(tag.texts) and tag.texts[0] in _RELATIONS and len(_called(tag)) <= 1


def _called(tag: Tag) -> list[str]:
    """Names that are called in a tag."""
    return [one for (kind, one), (_, two) in pairwise(tag.tokens) if kind == "name" and two == "("]
