"""Jinja as its own lexer reads it: what is printed as it is, and tags; comments and trimmed whitespace are gone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, TemplateSyntaxError

_LEXER = Environment(autoescape=True).lexer  # dbt changes nothing about how text is cut
_COMMENT = frozenset({"comment_begin", "comment", "comment_end", "raw_begin", "raw_end"})


@dataclass(frozen=True)
class Tag:
    """A ``{{ … }}`` or ``{% … %}``.

    Args:
        prints: whether it is the former.
        tokens: kind and text of what stands in it, without whitespace.
    """

    prints: bool
    tokens: tuple[tuple[str, str], ...]

    @property
    def texts(self) -> list[str]:
        """The tokens' text."""
        return [text for _, text in self.tokens]


Piece = str | Tag


@lru_cache(maxsize=4096)
def pieces(code: str) -> tuple[Piece, ...]:
    """Text and tags in order, exactly as far as they tell what is rendered: text is never empty, nor beside text.

    Code that Jinja does not read is one text.
    """
    found: list[Piece] = []
    inside: list[tuple[str, str]] | None = None
    try:
        tokens = list(_LEXER.tokeniter(code, None))
    except TemplateSyntaxError:
        return (code,)
    for _, kind, text in tokens:
        if kind in ("variable_begin", "block_begin"):
            inside = []
        elif kind in ("variable_end", "block_end"):
            found.append(Tag(kind == "variable_end", tuple(inside or ())))
            inside = None
        elif inside is not None:
            if kind != "whitespace":
                inside.append((kind, text))
        elif kind not in _COMMENT and text:
            before = found.pop() if found and isinstance(found[-1], str) else ""
            found.append(f"{before}{text}")
    return tuple(found)


def tags(code: str) -> list[Tag]:
    """The tags of code."""
    return [piece for piece in pieces(code) if isinstance(piece, Tag)]


def exact(code: str) -> list[object]:
    """A form that is equal for two codes only if they render alike: Jinja's comments do not count."""
    return [piece if isinstance(piece, str) else [piece.prints, piece.tokens] for piece in pieces(code)]


def without_config(code: str) -> str:
    """Code without ``{{ config(…) }}``: what it sets is known from the node.

    Code that Jinja does not read is left as it is.
    """
    found: list[str] = []
    tag: list[tuple[str, str]] | None = None
    try:
        for _, kind, text in _LEXER.tokeniter(code, None):
            if kind == "variable_begin":
                tag = []
            if tag is None:
                found.append(text)
                continue
            tag.append((kind, text))
            if kind == "variable_end":
                found += [] if _is_config(tag) else [part for _, part in tag]
                tag = None
    except TemplateSyntaxError:
        return code
    return "".join([*found, *(part for _, part in tag or ())])


def _is_config(tag: list[tuple[str, str]]) -> bool:
    """Whether a tag is one call of ``config`` and nothing else."""
    texts = [text for kind, text in tag[1:-1] if kind != "whitespace"]
    if texts[:2] != ["config", "("]:
        return False
    depth = 0
    for at, text in enumerate(texts):
        depth += {"(": 1, ")": -1}.get(text, 0)
        if depth == 0 and at:
            return at == len(texts) - 1
    return False
