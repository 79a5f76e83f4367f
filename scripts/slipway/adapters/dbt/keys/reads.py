"""What Jinja code reads beside tables: variables, the environment, the target, the model's own description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slipway.adapters.dbt.keys.jinja import Tag, tags
from slipway.adapters.dbt.keys.python import literal

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
    return _named("var", known, sources)


def environment(known: Mapping[str, str], sources: Iterable[str]) -> dict[str, str | None]:
    """The same of environment variables."""
    return _named("env_var", known, sources)


def target(known: Mapping[str, Any], sources: Iterable[str]) -> dict[str, Any]:
    """Attributes of ``target`` that code reads; all of them where it is used in another way."""
    names: set[str] = set()
    for tag in _tags(sources):
        for following in _following(tag, "target"):
            if len(following) < 2 or following[0] != ("operator", ".") or following[1][1] not in known:
                return dict(known)
            names.add(following[1][1])
    return {name: known[name] for name in sorted(names)}


def dispatched(code: str) -> list[str] | None:
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
    return names


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


def _named(function: str, known: Mapping[str, Any], sources: Iterable[str]) -> dict[str, Any]:
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
