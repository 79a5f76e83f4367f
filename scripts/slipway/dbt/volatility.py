"""Whether a node depends on more than what is in its key: a clock, chance, files, listings of tables.

Its query is bound a second time, in an empty database of its own that has nothing but the columns of the tables that the query
reads. What cannot be bound there needs something that no key covers; what can be is a plan in which macros and views are expanded and
nothing is computed yet, so that DuckDB's catalogue says of each function in it whether its result may change.

Jinja code may look at the clock, the invocation and results of SQL while it is rendered. The compiled SQL holds only the value that was
found, so its plan cannot say that the value may be another one next time: names in the code do.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import duckdb

from slipway.dbt.keys.jinja_code import MACHINERY, arguments_of, macros_of, named_macros, tags
from slipway.dbt.keys.python_code import literal as python_literal
from slipway.dbt.keys.python_code import python_volatile
from slipway.dbt.nodes import DbtManifest, DbtNode, find_node, has_jinja, is_python, node_of
from slipway.engines.duckdb.database import open_database
from slipway.sql_text import literal, quote

if TYPE_CHECKING:
    from slipway.engines.duckdb.scan import Views

MAY_LIST = re.compile(
    # what `query` and `query_table` read is the value of an expression
    r"\b(?:show\w*|information_schema|duckdb_\w+|pragma_\w+|database_list|pg_\w+|sqlite_\w+)\b|\bquery(?:_table)?\W*\(|\bdescribe\W*$",
    re.IGNORECASE,
)


_Name = tuple[str, str, str]

# rows of these follow only from their arguments; every other table function looks at files, settings or the catalog
_PURE_TABLES = frozenset(
    {
        "generate_series",
        "json_each",
        "json_tree",
        "range",
        "repeat",
        "repeat_row",
        "seq_scan",
        "summary",
        "unnest",
    }
)
# of which the catalogue says that they do not change
_CHANGING = frozenset({"current_localtime", "current_localtimestamp", "current_setting", "getvariable"})
# what they read stands in no syntax tree
_BY_TEXT = frozenset({"query", "query_table"})
_BY_CHANCE = frozenset({"reservoir_quantile"})
# DuckDB puts it around each subquery that may have one row only
_HARMLESS = frozenset({"error"})
_BOUND = frozenset({"BOUND_FUNCTION", "BOUND_AGGREGATE", "BOUND_WINDOW"})
_PART = r'(?:"(?:[^"]|"")*"|\w+)'
_VIEW = re.compile(
    rf"\s*create (?:temp(?:orary)? )?view {_PART}(?:\.{_PART})*\s*(?:\([^)]*\))? as ", re.IGNORECASE
)
_MOST = 3


class Volatility:
    """Looks at the queries of one session; threads take turns.

    Args:
        views: what the session has made readable.

    Attributes:
        rendered: what was found of the queries that nodes ran while they were rendered, by unique id.
    """

    def __init__(self, views: Views) -> None:
        self._views = views
        self.rendered: dict[str, str] = {}
        self._lock = threading.Lock()
        self._made: dict[_Name, str] = {}
        self._own: frozenset[str] | None = None
        self._unstable: frozenset[str] = frozenset()
        self._listing: frozenset[str] | None = None
        self._planned: tuple[str, dict[str, Any]] = ("", {})
        """The query that was bound last, and DuckDB's answer."""

    def made(self) -> frozenset[str]:
        """Names, in small letters, through which a query may list tables: functions and views that somebody made in the run's database."""
        with self._lock:
            if self._own is None:
                self._own = self._own_functions()
            if self._listing is None:
                self._listing = self._listing_views(self._own)
            return self._own | self._listing

    def why(self, sql: str) -> str:
        """What else a query depends on, in words; empty if nothing."""
        with self._lock:
            try:
                return self._why(sql)
            except duckdb.Error as error:
                return f"DuckDB cannot analyze it: {_first_line(str(error))}"

    def why_without_tables(self, sql: str) -> str:
        """The same of a query whose key covers no table: one that reads a table depends on it."""
        if found := self.why(sql):
            return found
        with self._lock:
            nodes = list(_walk(self._one("json_serialize_sql", sql)))
        read = [node for node in nodes if node.get("type") == "BASE_TABLE" and node.get("schema_name")]
        return f"it reads the table {read[0]['schema_name']}.{read[0]['table_name']}" if read else ""

    def tables_named(self, sql: str) -> set[_Name] | None:
        """Database, schema and name of the tables that a query names with all three, None where its syntax does not tell."""
        with self._lock:
            answer = self._one("json_serialize_sql", sql)
        nodes = list(_walk(answer))
        if answer.get("error") or any(str(one.get("function_name", "")).lower() in _BY_TEXT for one in nodes):
            return None
        return {
            (str(one["catalog_name"]), str(one["schema_name"]), str(one["table_name"]))
            for one in nodes
            if one.get("type") == "BASE_TABLE" and one.get("catalog_name")
        }

    def plan(self, sql: str, named: str) -> dict[str, Any]:
        """The bound plan of a query, with conditions in it that stand for others.

        Args:
            sql: the query as the run has it.
            named: the same, with those conditions.

        Raises:
            duckdb.Error: it cannot be bound in a database that has nothing but the columns of the tables that it reads.
        """
        with self._lock:
            if self._own is None:
                self._own = self._own_functions()
            self._prepare(sql, self._own, set())
            answer = self._plan_of(named)
            if answer.get("error") or len(answer["plans"]) != 1:
                raise duckdb.BinderException(answer.get("error_message", "several statements"))
            found: dict[str, Any] = answer["plans"][0]
            return found

    def note(self, unique_id: str, sql: str) -> None:
        """Look at a query that a node ran while it was rendered.

        Args:
            unique_id: the node; empty for a query of no node's Jinja.
            sql: the query.
        """
        if unique_id and (why := self.why(sql)):
            self.rendered[unique_id] = f"of a query that its Jinja runs: {why}"
            self.forget()  # it may be no query, and make a function or a view

    def forget(self) -> None:
        """Ask anew which functions were made in the run's database: a hook may have made some."""
        with self._lock:
            self._own = self._listing = None
            self._planned = "", {}

    def _why(self, sql: str) -> str:
        if self._own is None:  # DuckDB takes many milliseconds to list its functions
            self._own = self._own_functions()
        own = self._own
        reason = self._prepare(sql, own, set())
        if reason:
            return reason
        answer = self._plan_of(sql)
        if answer.get("error"):
            error = _first_line(answer.get("error_message", ""))
            return f"it needs more than tables, such as a file or a variable; read that from a table instead (DuckDB: {error})"
        names = sorted(set(self._changing(answer)))
        return f"it calls {', '.join(names[:_MOST])}" if names else ""

    def _prepare(self, sql: str, own: frozenset[str], within: set[_Name]) -> str:
        """Make what a query reads, through views; what makes it depend on more than that."""
        answer = self._one("json_serialize_sql", sql)
        if answer.get("error"):
            return f"DuckDB cannot analyze it before it runs: {_first_line(answer.get('error_message', ''))}"
        for node in _walk(answer):
            called = str(node.get("function_name", "")).lower()
            if called in own:
                return f"it calls {called}, which is no function of DuckDB's own"
            if called in _CHANGING or called in _BY_TEXT:
                return f"it calls {called}"
            if node.get("type") != "BASE_TABLE" or not node.get("catalog_name"):
                continue
            name = (str(node["catalog_name"]), str(node["schema_name"]), str(node["table_name"]))
            if name not in within and (reason := self._make(name, own, {*within, name})):
                return reason
        return ""

    def _make(self, name: _Name, own: frozenset[str], within: set[_Name]) -> str:
        """A table with the columns of one that this run reads, or the view itself where it is one of the project's."""
        version = self._views.version(name)
        if version is not None:
            if self._made.get(name) != version:
                self._create("table", name, f"({', '.join(self._columns(name))})")
                self._made[name] = version
            return ""
        found = self._views.query(
            f"select sql from duckdb_views() where not internal and {_where(name, 'view_name')}"
        )
        if not found:
            return ""  # it cannot be bound, which says it
        text = _VIEW.sub("", str(found[0][0]), count=1).rstrip().removesuffix(";")
        if reason := self._prepare(text, own, within):
            return reason
        if self._made.get(name) != text:
            self._create("view", name, f"as {text}")
            self._made[name] = text
        return ""

    def _create(self, what: str, name: _Name, definition: str) -> None:
        database, schema, relation = (quote(part) for part in name)
        self._planned = "", {}
        self._database.execute(f"attach if not exists ':memory:' as {database}")
        self._database.execute(f"create schema if not exists {database}.{schema}")
        self._database.execute(
            f"drop table if exists {database}.{schema}.{relation}"
        ) if what == "table" else None
        self._database.execute(f"create or replace {what} {database}.{schema}.{relation} {definition}")

    def _columns(self, name: _Name) -> list[str]:
        # a listing of DuckDB's is searched whole, and takes the longer, the more tables there are
        rows = self._views.query(f"describe {'.'.join(map(quote, name))}")
        return [f"{quote(str(row[0]))} {row[1]}" for row in rows]

    def _own_functions(self) -> frozenset[str]:
        """Names of functions and macros that somebody made in the run's database; they go before DuckDB's.

        The same listing says which of DuckDB's own may give another result: it takes tens of milliseconds, and is read once for both.
        """
        rows = self._views.query(
            "select function_name, internal from duckdb_functions()"
            " where not internal or stability <> 'CONSISTENT' or has_side_effects"
        )
        self._unstable = (frozenset(str(name) for name, internal in rows if internal) | _CHANGING) - _HARMLESS
        # in small letters not by SQL: ``lower`` may be among them
        return frozenset(str(name).lower() for name, internal in rows if not internal)

    def _listing_views(self, own: frozenset[str]) -> frozenset[str]:
        """Views that may list tables, by what they name: DuckDB's listings, functions that somebody made, and each other."""
        rows = self._views.query("select view_name, sql from duckdb_views() where not internal")
        views = {str(name).lower(): _VIEW.sub("", str(text), count=1).lower() for name, text in rows}
        found: set[str] = set()
        while True:
            more = {
                name
                for name, text in views.items()
                if name not in found and (MAY_LIST.search(text) or any(one in text for one in own | found))
            }
            if not more:
                return frozenset(found)
            found |= more

    def _changing(self, plan: object) -> Iterator[str]:
        for node in _walk(plan):
            kind, name = node.get("type"), str(node.get("name", ""))
            if node.get("expression_class") in _BOUND:
                once = (
                    name == "age" and len(node.get("children", ())) == 1
                )  # until midnight of the day that it is
                if once or name in _BY_CHANCE or name in self._unstable:
                    yield name
            elif kind == "LOGICAL_GET" and name not in _PURE_TABLES:
                yield name
            elif kind == "LOGICAL_SAMPLE" and node["sample_options"].get("seed", -1) < 0:
                yield "sample without repeatable"

    @cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        made = open_database()
        made.execute("set enable_external_access = false")
        made.execute("set python_enable_replacements = false")
        return made

    def _plan_of(self, sql: str) -> dict[str, Any]:
        """The plan of a query whose tables are there, as DuckDB answers; the same query is often asked for twice, one after the other."""
        if self._planned[0] != sql:
            self._planned = sql, self._one("json_serialize_plan", sql)
        return self._planned[1]

    def _one(self, function: str, sql: str) -> dict[str, Any]:
        # not as a parameter: for one of those DuckDB imports pandas
        row = self._database.execute(f"select {function}({literal(sql)})").fetchone()
        assert row is not None
        found: dict[str, Any] = json.loads(row[0])
        return found


def _walk(value: object) -> Iterator[dict[str, Any]]:
    """Every object of a JSON document."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _where(name: _Name, column: str) -> str:
    return f"database_name = {literal(name[0])} and schema_name = {literal(name[1])} and {column} = {literal(name[2])}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


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


def volatile_node(volatility: Volatility, manifest: DbtManifest, unique_id: str, query: str | None) -> str:
    """What else than its key a node's result depends on, in words; empty if nothing.

    Args:
        volatility: of the session.
        manifest: dbt's manifest.
        unique_id: the node.
        query: its compiled SQL, None for what has none.
    """
    for name in with_inlined(manifest, unique_id):
        if used := changing_names(sources_of(manifest, node_of(manifest, name))):
            return f"its Jinja uses {', '.join(used)}"
        if reason := volatility.rendered.get(name, ""):
            return reason
    if query:
        return volatility.why(query)
    node = node_of(manifest, unique_id)
    return python_volatile(node.raw_code) if is_python(node) else ""


def volatile_unit_test(
    volatility: Volatility, manifest: DbtManifest, unique_id: str, queries: Sequence[str]
) -> str:
    """What a unit test depends on besides its SQL, in words; empty if nothing.

    Args:
        volatility: of the session.
        manifest: dbt's manifest.
        unique_id: the unit test.
        queries: its compiled SQL, and that of its expected rows if it has one.
    """
    test = manifest.unit_tests[unique_id]
    fixtures = [one.rows for one in test.given if isinstance(one.rows, str)]
    tested = manifest.nodes[test.depends_on.nodes[0]]
    if used := changing_names([*fixtures, *sources_of(manifest, tested)]):
        return f"its Jinja uses {', '.join(used)}"
    if found := volatility.rendered.get(unique_id, ""):
        return found
    return next(filter(None, map(volatility.why_without_tables, queries)), "")


def changing_names(sources: Iterable[str]) -> list[str]:
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
    """The name at a place of a tag if its value may differ, or if it is unknown what is asked of ``modules``; otherwise empty."""
    (kind, text), before = tokens[at], tokens[at - 1][1] if at else ""
    following = [text for _, text in tokens[at + 1 : at + 3]]
    if kind == "string":
        is_attribute = before == "[" or [one for _, one in tokens[max(at - 2, 0) : at]] == ["attr", "("]
        return (
            str(python_literal(text))
            if has_modules and is_attribute and python_literal(text) in _OF_MODULES
            else ""
        )
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


def sources_of(manifest: DbtManifest, node: DbtNode) -> Iterator[str]:
    """The Jinja of a node that shapes its rows: its own, its hooks' and that of macros of the project and of packages."""
    if not has_jinja(node):
        return
    yield node.raw_code
    yield from arguments_of(node)
    for name in ("pre_hook", "post_hook"):
        yield from (hook.sql for hook in getattr(node.config, name, None) or [])
    for name, sql in macros_of(manifest, [*node.depends_on_macros, *named_macros(manifest, node)]):
        if manifest.macros[name].package_name != MACHINERY:
            yield sql


def with_inlined(manifest: DbtManifest, unique_id: str) -> Iterator[str]:
    """A node, and the ephemeral models and views that it reads."""
    waiting, known = [unique_id], set[str]()
    while waiting:
        name = waiting.pop()
        node = find_node(manifest, name)
        if node is None or name in known:
            continue
        if name == unique_id or node.config.materialized in ("ephemeral", "view"):
            known.add(name)
            yield name
            waiting += node.depends_on_nodes
