"""dbt's adapter as the Jinja of a node sees it: what it runs and asks there is looked at first.

A model may reach SQL by ``run_query``, ``statement``, ``adapter.execute`` and any macro of a package; all of it goes through the
``adapter`` of the context in which dbt compiles the node, or runs its hooks. That is where it is looked at, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dbt import compilation
from dbt.task import run

from slipway.errors import ConfigError

_NODES = frozenset({"model", "snapshot", "test", "unit_test"})
_SQL = frozenset({"add_query", "execute", "get_column_schema_from_query"})
_RELATIONS = frozenset({"get_columns_in_relation", "get_missing_columns", "get_relation"})
_BY_NAME = frozenset({"already_exists", "get_columns_in_table"})
_DISK = frozenset({"location_exists"})
_REFUSED = frozenset({"check_schema_exists", "get_partitions_metadata"})


class Watch(Protocol):
    """Who looks at what the Jinja of a node does."""

    def look(self, node: Any, sql: str, *, compiles: bool) -> None:
        """Refuse a query, or note what it depends on.

        Args:
            node: whose Jinja runs it.
            sql: the query.
            compiles: the node's own SQL depends on it, and not only a hook.
        """

    def ask(self, node: Any, relation: tuple[str, str, str]) -> None:
        """Note that the Jinja of a node asks about a relation: database, schema and name."""

    def note(self, node: Any, why: str) -> None:
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

    def __init__(self, adapter: Any, node: Any, watch: Watch, *, compiles: bool) -> None:
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
        self._watch.ask(self._node, (self._node.database, schema, name or identifier))

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

    def made(node: Any, *arguments: Any) -> dict[str, Any]:
        context = make(node, *arguments)
        if node.resource_type in _NODES:
            context["adapter"] = JinjaAdapter(context["adapter"], node, watch, compiles=compiles)
        return context

    made.of_dbt = make  # type: ignore[attr-defined]
    return made
