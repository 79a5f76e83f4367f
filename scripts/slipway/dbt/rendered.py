"""What Jinja code looks at while it is rendered that no key covers: the clock, the invocation, results of SQL.

The compiled SQL holds only the value that was found, so its plan cannot say that the value may be another one next time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from slipway.dbt.keys.jinja_code import MACHINERY, macros_of, named_macros, tags
from slipway.dbt.keys.node_key import manifest_node
from slipway.dbt.keys.python_code import literal
from slipway.dbt.volatility import Volatility, volatile_of

_OF_THE_RUN = frozenset(
    {
        "dbt_metadata_envs",
        "flags",
        "invocation_args_dict",
        "invocation_id",
        "lipsum",
        "run_started_at",
        "selected_resources",
        "thread_id",
    }
)
_OF_MODULES = frozenset({"now", "today", "utcnow"})
_NO_MATTER = frozenset({"INTROSPECT", "WHICH"})  # of flags: the same in every run that builds


def volatile_node(volatility: Volatility, manifest: Any, unique_id: str, query: str | None) -> str:
    """What else than its key a node's result depends on, in words; empty if nothing.

    Args:
        volatility: of the session.
        manifest: dbt's manifest.
        unique_id: the node.
        query: its compiled SQL, None for what has none.
    """
    for name in _with_inlined(manifest, unique_id):
        if used := looked_at(sources_of(manifest, manifest_node(manifest, name))):
            return f"its Jinja uses {', '.join(used)}"
        if reason := volatility.rendered.get(name, ""):
            return reason
    return volatile_of(volatility, manifest_node(manifest, unique_id), query)


def volatile_unit_test(volatility: Volatility, manifest: Any, unique_id: str, queries: Sequence[str]) -> str:
    """What a unit test depends on besides its SQL, in words; empty if nothing.

    Args:
        volatility: of the session.
        manifest: dbt's manifest.
        unique_id: the unit test.
        queries: its compiled SQL, and that of its expected rows if it has one.
    """
    test = manifest.unit_tests[unique_id]
    fixtures = [one.rows for one in test.given if isinstance(one.rows, str)]
    tested = manifest_node(manifest, test.depends_on.nodes[0])
    if used := looked_at([*fixtures, *sources_of(manifest, tested)]):
        return f"its Jinja uses {', '.join(used)}"
    if found := volatility.rendered.get(unique_id, ""):
        return found
    return next(filter(None, map(volatility.why_without_tables, queries)), "")


def looked_at(sources: Iterable[str]) -> list[str]:
    """Names in Jinja code whose values differ between two runs with the same key, sorted."""
    found: set[str] = set()
    for source in sources:
        parts = [tag.tokens for tag in tags(source)]
        has_modules = any(("name", "modules") in tokens for tokens in parts)
        for tokens in parts:
            found.update(
                filter(None, (_used(tokens, at, has_modules=has_modules) for at in range(len(tokens))))
            )
    return sorted(found)


def _used(tokens: Sequence[tuple[str, str]], at: int, *, has_modules: bool) -> str:
    """The name at a place of a tag if its value may differ, or what is asked of ``modules`` cannot be told; otherwise empty."""
    (kind, text), before = tokens[at], tokens[at - 1][1] if at else ""
    following = [text for _, text in tokens[at + 1 : at + 3]]
    if kind == "string":
        is_attribute = before == "[" or [one for _, one in tokens[max(at - 2, 0) : at]] == ["attr", "("]
        return str(literal(text)) if has_modules and is_attribute and literal(text) in _OF_MODULES else ""
    if kind != "name":
        return ""
    if before == ".":
        return text if has_modules and text in _OF_MODULES else ""
    if text in _OF_THE_RUN:
        is_keyword = following[:1] == ["="] and before in ("(", ",")
        harmless = text == "flags" and following[:1] == ["."] and following[1] in _NO_MATTER
        return "" if is_keyword or harmless else text
    is_chance = text == "random" and before == "|"
    is_whole = text == "modules" and following[:1] != ["."]
    return text if is_chance or is_whole else ""


def sources_of(manifest: Any, node: Any) -> Iterator[str]:
    """The Jinja of a node that shapes its rows: its own, its hooks' and that of macros of the project and of packages."""
    if node.resource_type == "seed" or getattr(node, "language", "sql") != "sql":
        return
    yield node.raw_code
    for name in ("pre_hook", "post_hook"):
        yield from (hook.sql for hook in getattr(node.config, name, None) or [])
    for name, sql in macros_of(manifest, [*node.depends_on.macros, *named_macros(manifest, node)]):
        if manifest.macros[name].package_name != MACHINERY:
            yield sql


def _with_inlined(manifest: Any, unique_id: str) -> Iterator[str]:
    """A node, and the ephemeral models and views that it reads."""
    waiting, known = [unique_id], set[str]()
    while waiting:
        name = waiting.pop()
        node = manifest_node(manifest, name)
        kind = getattr(node, "config", None) and node.config.get("materialized")
        if name in known or (name != unique_id and kind not in ("ephemeral", "view")):
            continue
        known.add(name)
        yield name
        waiting += getattr(getattr(node, "depends_on", None), "nodes", [])
