"""Jinja as its own lexer reads it, which macros a node reaches, and what Jinja code reads apart from tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dbt.clients.jinja_static import statically_extract_macro_calls
from jinja2 import Environment, TemplateSyntaxError

from slipway.dbt.keys.python_code import literal
from slipway.dbt.nodes import DbtManifest, DbtNode, has_jinja
from slipway.environments.profiles import ADAPTER

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
    """Text and tags in order, exactly as far as they decide what is rendered: text is never empty, nor next to text.

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


_OF_MODEL = frozenset(
    {
        "name",
        "alias",
        "schema",
        "database",
        "unique_id",
        "resource_type",
        "batch",
        "language",
        "package_name",
        "config",
    }
)


def variables(known: Mapping[str, Any], sources: Iterable[str]) -> dict[str, Any]:
    """Name to value of each variable that code reads; all of them where a name is computed."""
    return named("var", known, sources)


def environment(known: Mapping[str, str], sources: Iterable[str]) -> dict[str, str | None]:
    """The same of environment variables."""
    return named("env_var", known, sources)


def target(known: Mapping[str, Any], sources: Iterable[str]) -> dict[str, Any]:
    """Attributes of ``target`` that code reads; all of them where it is used in another way."""
    names: set[str] = set()
    for tag in _tags(sources):
        for following in _following(tag, "target"):
            if len(following) < 2 or following[0] != ("operator", ".") or following[1][1] not in known:
                return dict(known)
            names.add(following[1][1])
    return {name: known[name] for name in sorted(names)}


@lru_cache(maxsize=4096)
def dispatched(code: str) -> tuple[str, ...] | None:
    """Names of the macros that code dispatches, None where it calls a macro by a computed name."""
    names = []
    for tag in tags(code):
        if _following(tag, "context"):
            return None
        for (_, one), (_, two), following in zip(tag.tokens, tag.tokens[1:], tag.tokens[2:], strict=False):
            if (one, two) == ("dispatch", "("):
                name = _constant(following)
                if name is None:
                    return None
                names.append(name)
    return tuple(names)


def graph(sources: Iterable[str]) -> bool:
    """Whether code reads ``graph``, the description of every node."""
    return any(_following(tag, "graph") for tag in _tags(sources))


def describes_itself(sources: Iterable[str], ignored: frozenset[str]) -> bool:
    """Whether code may read what says nothing about a result otherwise: documentation, tags, ``meta``."""
    for tag in _tags(sources):
        for following in _following(tag, "config"):
            if following[:1] == [("operator", ".")] and not _asks_for_other(following, ignored):
                return True
        for following in _following(tag, "model"):
            path = [text for _, text in following[:4]]
            if path[:1] != ["."] or (path[1:2] and path[1] not in _OF_MODEL):
                return True
            if path[1:2] == ["config"] and (
                path[2:3] != ["."] or (path[3:4] and path[3] in {"get", *ignored})
            ):
                return True
    return False


def _asks_for_other(following: list[tuple[str, str]], ignored: frozenset[str]) -> bool:
    """Whether ``config`` is followed by ``.get('name')`` of something that counts anyhow."""
    asked = [text for _, text in following[1:3]]
    if asked not in (["get", "("], ["require", "("]) or len(following) < 4:
        return False
    return _constant(following[3]) not in (None, *ignored)


def named(function: str, known: Mapping[str, Any], sources: Iterable[str]) -> dict[str, Any]:
    """Name to value of everything that code calls a function for by a constant; all of them where a name is computed."""
    names: set[str] = set()
    for tag in _tags(sources):
        for following in _following(tag, function):
            name = _constant(following[1]) if len(following) > 2 and following[0][1] == "(" else None
            if name is None or following[2][1] not in (")", ","):
                return dict(known)
            names.add(name)
    return {name: known.get(name) for name in sorted(names)}


def _tags(sources: Iterable[str]) -> Iterator[Tag]:
    for source in sources:
        yield from tags(source)


def _following(tag: Tag, name: str) -> list[list[tuple[str, str]]]:
    """What follows each use of a name; not where it is an attribute or a keyword argument of that name."""
    found = []
    for at, token in enumerate(tag.tokens):
        before = tag.tokens[at - 1][1] if at else ""
        following = list(tag.tokens[at + 1 :])
        if token == ("name", name) and before != "|" and following[:1] != [("operator", "=")]:
            if before == "." and tag.tokens[at - 2][1] not in ("builtins", "context"):
                continue
            found.append(following)
    return found


def _constant(token: tuple[str, str]) -> str | None:
    return str(literal(token[1])) if token[0] == "string" else None


_CALL = re.compile(r"\s*(env_var|ref|var|source|doc)\s*\(.+\)\s*$")
_ENGINE = ("dbt", "dbt_duckdb")

MACHINERY = "dbt_slipway"
"""The dbt package of Slipway's macros: what models reach of it says which rows are read, and counts as a part of the engine."""


def named_macros(manifest: DbtManifest, node: DbtNode) -> Iterator[str]:
    """Ids of the macros that a node's SQL names, also where this run does not go: dbt adds a macro when it is called."""
    if not has_jinja(node):
        return
    names = [name for code in (node.raw_code, *arguments_of(node)) for name in _calls(code)]
    # dbt takes these two for functions of its own, and some generic tests are not rendered before they are compiled
    names += [name for name in ("ref", "source") if getattr(node, f"{name}s", None)]
    for name in names:
        package, _, macro_name = name.rpartition(".")
        macro = manifest.find_macro_by_name(macro_name, node.package_name, package or None)
        if macro is not None:
            ours = f"macro.{MACHINERY}.{macro_name}"  # an adapter's macros go before those of what it is built on
            yield ours if macro.package_name in _ENGINE and ours in manifest.macros else macro.unique_id
    for code in (node.raw_code, *arguments_of(node)):
        yield from _dispatched(manifest, code)


@lru_cache(maxsize=4096)
def _calls(code: str) -> tuple[str, ...]:
    """Names of the macros that code calls, as dbt reads it; the same tests and macros are asked for with every node."""
    return tuple(statically_extract_macro_calls(code, {}))


def arguments_of(node: DbtNode) -> Iterator[str]:
    """The Jinja in the arguments of a generic test, which dbt renders when it compiles the test; none of any other node.

    A text that is one call of these functions is Jinja, too, as ``dbt.clients.jinja.add_rendered_test_kwargs`` has it.
    """
    tested = getattr(node, "test_metadata", None)
    waiting: list[Any] = [tested.kwargs] if tested else []
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and _CALL.match(one):
            yield f"{{{{ {one} }}}}"
        elif isinstance(one, str) and "{" in one:
            yield one


def _dispatched(manifest: DbtManifest, code: str) -> Iterator[str]:
    """Ids of the macros that code may reach by ``adapter.dispatch`` or by a computed name."""
    names = dispatched(code)
    if names == ():
        return
    for unique_id, macro in manifest.macros.items():
        if names is None or macro.name.partition("__")[2] in names:
            yield unique_id


def materialization(manifest: DbtManifest, node: DbtNode) -> list[str]:
    """The materialization of a node, by which its table is made; none for what is inlined, and for tests."""
    if node.resource_type not in ("model", "seed", "snapshot"):
        return []
    found = manifest.find_materialization_macro_by_name(
        manifest.metadata.project_name, node.config.materialized, ADAPTER
    )
    return [found.unique_id] if found else []


def function_macros(manifest: DbtManifest) -> list[str]:
    """Macros of our own by which dbt's functions may be made: dbt reaches them by computed names."""
    return [
        unique_id
        for unique_id, macro in manifest.macros.items()
        if macro.package_name not in _ENGINE and "function" in macro.name
    ]


@lru_cache(maxsize=4)
def _by_dispatched_name(macros: tuple[str, ...]) -> dict[str, list[str]]:
    """Ids of macros by the name by which ``adapter.dispatch`` finds them: ``as_date`` for ``duckdb__as_date``."""
    found: dict[str, list[str]] = {}
    for unique_id in macros:
        found.setdefault(unique_id.rpartition(".")[2].partition("__")[2], []).append(unique_id)
    return found


def macros_of(manifest: DbtManifest, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Id and code of the macros of our own that are reached from some.

    dbt's and the adapter's macros are part of the engine, whose version is in the key. What they call may be ours: a macro that
    takes the place of one that they dispatch.
    """
    ours = tuple(name for name, macro in manifest.macros.items() if macro.package_name not in _ENGINE)
    in_place = _by_dispatched_name(ours)
    waiting, visited = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in manifest.macros or name in visited:
            continue
        macro = manifest.macros[name]
        visited.add(name)
        waiting += macro.depends_on_macros
        if macro.package_name not in _ENGINE:
            yield name, macro.macro_sql
            waiting += _dispatched(manifest, macro.macro_sql)
        else:
            # dbt does not resolve its own dispatch anew when a macro of ours comes
            waiting += in_place.get(macro.name, [])
