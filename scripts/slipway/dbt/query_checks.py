"""What queries of a node may not do: list DuckDB's catalog, or read a table that dbt does not know of. Those of its Jinja are looked at, too.

A model may reach SQL by ``run_query``, ``statement``, ``adapter.execute`` and any macro of a package; all of it goes through the
``adapter`` of the context in which dbt compiles the node, or runs its hooks. That is where it is looked at, whatever it is called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol

import duckdb
from dbt import compilation
from dbt.task import run

from slipway.dbt.inputs import read_as
from slipway.dbt.keys.node_key import tables_read
from slipway.dbt.keys.python_code import texts_of
from slipway.dbt.nodes import DbtManifest, DbtNode, Relation, find_node, is_python, relation_of
from slipway.dbt.volatility import MAY_LIST, Volatility
from slipway.engines.duckdb.scan import Views
from slipway.errors import ConfigError
from slipway.runs.run_inputs import RunInputs

_PART = r'("(?:[^"]|"")+"|\w+)'
_NAME = re.compile(rf"{_PART}\s*\.\s*{_PART}\s*\.\s*{_PART}")
_WITHOUT_PLAN = re.compile(
    r"\binformation_schema\W*\.|\bduckdb_(?:col|con|dat|dep|ind|sch|seq|tab|vie)\w+\b|\bpg_\w+\b|\bsqlite_\w*(?:master|schema)\b"
    r"|\bpragma_database_list\b|\bquery(?:_table)?\W*\(|\(\s*show\b",
    re.IGNORECASE,
)
_OF_DATABASE = re.compile(r'"information_schema\.(\w+)" does not exist')
_EXPLAIN = re.compile(r"^\s*explain\b(\s+analyze\b)?", re.IGNORECASE)
_LISTS = frozenset(
    f"DUCKDB_{what}"
    for what in (
        "COLUMNS",
        "CONSTRAINTS",
        "DATABASES",
        "DEPENDENCIES",
        "INDEXES",
        "SCHEMAS",
        "SEQUENCES",
        "TABLES",
        "VIEWS",
    )
)


class QueryChecks:
    """Refuses queries of the nodes of a run.

    Tables that a query names in plain SQL are unknown to dbt: nothing keeps the node from running before they are built, and its
    key does not change with them.
    """

    def __init__(self, inputs: RunInputs, views: Views, volatility: Volatility) -> None:
        self._inputs, self._views, self._volatility = inputs, views, volatility

    def check(
        self,
        cursor: duckdb.DuckDBPyConnection,
        manifest: DbtManifest,
        node: DbtNode,
        sql: str,
        *,
        always: bool = False,
    ) -> None:
        """Refuse a query that lists tables, or reads one by its name, and a Python model that has the name in a text.

        Args:
            cursor: the connection that would run the query.
            manifest: dbt's manifest.
            node: whose query it is.
            sql: the query.
            always: see ``check_listings``.

        Raises:
            ConfigError: it does.
        """
        check_listings(cursor, node.name, sql, self._volatility.made(), always=always)
        if (known := find_node(manifest, node.unique_id)) is None:
            return
        if not is_python(known):
            self._check_names(manifest, known, sql, "{{ ref('…') }} or {{ source('…', '…') }}")
            return
        for text in texts_of(known.raw_code):
            self._check_names(manifest, known, text, "dbt.ref('…') or dbt.source('…', '…')")

    def is_read(self, manifest: DbtManifest, node: DbtNode, relation: Relation) -> bool:
        """Whether dbt knows that a node reads a relation, or makes it."""
        known = find_node(manifest, node.unique_id)
        if known is None:
            return False
        return _folded(relation) in {_folded(relation_of(known)), *self._declared(manifest, known)}

    def _check_names(self, manifest: DbtManifest, node: DbtNode, sql: str, instead: str) -> None:
        shown = {_folded(name): name for name in (*self._views.names(), *self._inputs.noted)}
        if not (named := shown.keys() & _names(sql)) or not (named := named - self._declared(manifest, node)):
            return
        if (read := self._volatility.tables_named(sql)) is not None:  # else the words are all there is
            named &= set(map(_folded, read))
        if named:
            _, schema, table = shown[min(named)]
            raise ConfigError(
                f"{node.name} reads {schema}.{table} by its name",
                "dbt does not know that it depends on it, and would neither wait for it nor build it again when it changes",
                f"Write {instead} for {schema}.{table}",
            )

    def _declared(self, manifest: DbtManifest, node: DbtNode) -> set[Relation]:
        """The tables that a node reads by ``ref`` or ``source``, and its own."""
        read = [read_as(self._inputs, manifest, one) for one in tables_read(manifest, node.unique_id)]
        found = {_folded((database, *table)) for database, table in read}
        return found if node.resource_type == "test" else {*found, _folded(relation_of(node))}


def check_listings(
    cursor: duckdb.DuckDBPyConnection, name: str, sql: str, made: Collection[str], *, always: bool = False
) -> None:
    """Refuse a query that lists tables, columns, views, schemas or databases.

    What the query names is only the reason to look; its plan says what it does, also through views and macros.

    Args:
        cursor: the connection that would run the query.
        name: of the node, for the message.
        sql: the query.
        made: names of functions and views that may list, see ``Volatility.made``.
        always: look at the plan whatever the query names, because a hook may have made something that only this
            connection knows.

    Raises:
        ConfigError: it does.
    """
    lowered = sql.lower()
    if not always and not MAY_LIST.search(sql) and not any(one in lowered for one in made):
        return
    try:
        found = sorted({one for part in cursor.extract_statements(sql) for one in _listed(cursor, part, sql)})
    except (duckdb.Error, json.JSONDecodeError) as error:
        found = _OF_DATABASE.findall(str(error).lower())  # as macros of packages write it
        # whatever else cannot be planned cannot be run, and the error is shown then
    if found:
        raise ConfigError(
            f"{name} lists {' and '.join(found)} of DuckDB's catalog",
            "there are only those that this run has read so far, not what is published",
            "Name the tables with ref or source; adapter.get_relation and adapter.get_columns_in_relation answer from the "
            "Iceberg catalog, and slipway sql lists what is published",
        )


def _listed(cursor: duckdb.DuckDBPyConnection, statement: duckdb.Statement, sql: str) -> Iterator[str]:
    """What a statement lists. DuckDB plans no PIVOT whose columns come from the data: of that the words are all there is."""
    if not statement.query:
        yield from ["tables"] if _WITHOUT_PLAN.search(sql) else []
        return
    query = _EXPLAIN.sub("", statement.query)
    for _, plan in cursor.execute(f"explain (format json) {query}").fetchall():
        for node in json.loads(plan):
            yield from (one.removeprefix("DUCKDB_").lower() for one in _functions(node) if one in _LISTS)


def _functions(plan: dict[str, Any]) -> Iterator[str]:
    yield str((plan.get("extra_info") or {}).get("Function", ""))
    for child in plan.get("children", ()):
        yield from _functions(child)


def _names(text: str) -> set[Relation]:
    found = (match.groups() for match in _NAME.finditer(text))
    return {_folded((_bare(one), _bare(two), _bare(three))) for one, two, three in found}


def _bare(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def _folded(name: Relation) -> Relation:
    database, schema, table = name
    return database.lower(), schema.lower(), table.lower()


_NODES = frozenset({"model", "snapshot", "test", "unit_test"})
_SQL = frozenset({"add_query", "execute", "get_column_schema_from_query"})
_RELATIONS = frozenset({"get_columns_in_relation", "get_missing_columns", "get_relation"})
_BY_NAME = frozenset({"already_exists", "get_columns_in_table"})
_DISK = frozenset({"location_exists"})
_REFUSED = frozenset({"check_schema_exists", "get_partitions_metadata"})


class Watch(Protocol):
    """Who looks at what the Jinja of a node does."""

    def look(self, node: DbtNode, sql: str, *, compiles: bool) -> None:
        """Refuse a query, or note what it depends on.

        Args:
            node: whose Jinja runs it.
            sql: the query.
            compiles: the node's own SQL depends on it, and not only a hook.
        """

    def ask(self, node: DbtNode, relation: tuple[str, str, str]) -> None:
        """Note that the Jinja of a node asks about a relation: database, schema and name."""

    def note(self, node: DbtNode, why: str) -> None:
        """Note what else the Jinja of a node depends on."""

    def refuse(self, error: ConfigError) -> None:
        """Raise an error as dbt takes it."""


class JinjaAdapter:
    """The adapter of one context.

    Args:
        adapter: dbt's own wrapper.
        node: whose context it is.
        watch: looks at what it does.
        compiles: the node is being compiled; otherwise its materialization and its hooks run.
    """

    def __init__(self, adapter: Any, node: DbtNode, watch: Watch, *, compiles: bool) -> None:
        self._adapter, self._node, self._watch, self._compiles = adapter, node, watch, compiles

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._adapter, name)
        look = self._looks().get(name)
        if look is None:
            return found

        def looked_at(*arguments: Any, **named: Any) -> Any:
            look(*arguments, **named)
            return found(*arguments, **named)

        return looked_at

    def _looks(self) -> Mapping[str, Callable[..., None]]:
        looks: dict[str, Callable[..., None]] = dict.fromkeys(_SQL, self._sql)
        if self._compiles:
            looks |= dict.fromkeys(_RELATIONS, self._relations) | dict.fromkeys(_BY_NAME, self._by_name)
            looks |= dict.fromkeys(_DISK, self._disk) | {name: self._refused(name) for name in _REFUSED}
        return looks

    def _sql(self, *arguments: Any, **named: Any) -> None:
        self._watch.look(
            self._node, str(named.get("sql", arguments[0] if arguments else "")), compiles=self._compiles
        )

    def _relations(self, *arguments: Any, **named: Any) -> None:
        given = [*arguments, *named.values()]
        if given and all(
            isinstance(one, str | None) for one in given
        ):  # get_relation(database, schema, identifier)
            given = [
                _Named(**dict(zip(("database", "schema", "identifier"), arguments, strict=False)), **named)
            ]
        for one in given:
            self._watch.ask(self._node, (str(one.database), str(one.schema), str(one.identifier)))

    def _by_name(self, schema: str, name: str = "", *, identifier: str = "") -> None:
        self._watch.ask(self._node, (str(self._node.database), schema, name or identifier))

    def _disk(self, location: str) -> None:
        self._watch.note(self._node, f"its Jinja looks whether {location} exists")

    def _refused(self, name: str) -> Callable[..., None]:
        def refuse(*_: Any, **__: Any) -> None:
            self._watch.refuse(
                ConfigError(
                    f"{self._node.name} calls adapter.{name}",
                    "DuckDB's catalog has only what this run has read so far, not what is published",
                    "Ask about a table that the model reads: adapter.get_relation answers from the Iceberg catalog",
                )
            )

        return refuse


class _Named:
    def __init__(
        self, database: str | None = None, schema: str | None = None, identifier: str | None = None
    ) -> None:
        self.database, self.schema, self.identifier = database, schema, identifier


def install(watch: Watch) -> None:
    """Have dbt hand contexts that adapter from now on."""
    for module, name, compiles in (
        (compilation, "generate_runtime_model_context", True),
        (compilation, "generate_runtime_unit_test_context", True),
        (run, "generate_runtime_model_context", False),
    ):
        setattr(module, name, _watched(getattr(module, name), watch, compiles=compiles))


def _watched(
    make: Callable[..., dict[str, Any]], watch: Watch, *, compiles: bool
) -> Callable[..., dict[str, Any]]:
    """dbt's function that makes a context, with that adapter in it."""
    make = getattr(make, "of_dbt", make)  # a process that invokes dbt again has another plugin

    def made(node: DbtNode, *arguments: Any) -> dict[str, Any]:
        context = make(node, *arguments)
        if node.resource_type in _NODES:
            context["adapter"] = JinjaAdapter(context["adapter"], node, watch, compiles=compiles)
        return context

    made.of_dbt = make  # type: ignore[attr-defined]
    return made
