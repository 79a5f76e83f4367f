"""Nodes and tests of which it is known, before dbt compiles them, that nothing is to be done.

Whether a table is unchanged and whether a test is carried is decided by keys, for which nothing has to be compiled. dbt compiles a node all
the same, so that its query can be looked at: whether it depends on more than the key, whether it may be run. Here the record of an
earlier run answers that: with the same key, on the same metadata files, with the same versions it found nothing. What is not certain is
left to dbt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from dbt.adapters.contracts.connection import AdapterResponse
from dbt.adapters.factory import FACTORY
from dbt.artifacts.schemas.results import RunStatus
from dbt.artifacts.schemas.run import RunResult
from dbt.events.types import JinjaLogDebug
from dbt.task.base import BaseRunner
from dbt.task.test import TestResultData
from dbt_common.events.functions import fire_event
from dbt_common.exceptions import DbtRuntimeError

from slipway.dbt.build import Builder
from slipway.dbt.command import flag
from slipway.dbt.hooks import CarryOver, carried_result
from slipway.dbt.inputs import read_as
from slipway.dbt.keys.jinja_code import MACHINERY, tags
from slipway.dbt.keys.node_key import is_hook, tables_read
from slipway.dbt.nodes import Relation, node_of, relation_of
from slipway.dbt.volatility import Volatility, sources_of, with_inlined
from slipway.environments.profiles import ADAPTER, PLUGIN
from slipway.errors import SlipwayError
from slipway.names import TableName
from slipway.records.run_manifest import Versions
from slipway.runs.earlier_results import EarlierResults, Tables
from slipway.runs.pinned_tables import LANDING, PinnedTables
from slipway.runs.run_inputs import RunInputs
from slipway.runs.run_request import RunRequest
from slipway.settings import Settings, variable

NOT_PLAIN = (
    "FULL_REFRESH",
    "EMPTY",
    "SAMPLE",
    "DEFER",
    "STATE",
    "EVENT_TIME_START",
    "EVENT_TIME_END",
    "SHOW",
)
"""dbt's flags with which a run does something else than to bring the selected nodes up to date."""

_KINDS = frozenset({"table", "incremental", "seed", "snapshot", "test"})
_UNCERTAIN = frozenset({"context", "exceptions", "graph", "log", "print"})
"""Names in Jinja by which a node tells something while it is compiled, by which such a name can be hidden, and the one of every node's code."""


class KnownUnchanged:
    """Finds the nodes of a run that dbt need not compile.

    Args:
        manifest: dbt's.
        request: what was asked of the run.
        earlier: what earlier runs found out.
        versions: with which the run is made.
        pinned: what the run builds on.
        inputs: what it reads.
        volatility: what is known of its queries.
        builder: notes nodes that are unchanged.
        carry_over: notes tests that are carried.
    """

    def __init__(
        self,
        manifest: Any,
        request: RunRequest,
        earlier: EarlierResults,
        versions: Versions,
        *,
        pinned: PinnedTables,
        inputs: RunInputs,
        volatility: Volatility,
        builder: Builder,
        carry_over: CarryOver,
    ) -> None:
        self._manifest, self._request = manifest, request
        self._earlier, self._versions = earlier, versions
        self._pinned, self._inputs, self._volatility = pinned, inputs, volatility
        self._builder, self._carry_over = builder, carry_over
        self._lock = threading.Lock()

    def response(self, node: Any) -> AdapterResponse | None:
        """The response of a node that need not be compiled, and is noted as if it had been; None where that is not certain."""
        with self._lock:
            obstacle = self.obstacle
        if obstacle or not self._is_plain(node):
            return None
        try:
            return self._of_test(node) if node.resource_type == "test" else self._of_table(node)
        except (
            SlipwayError,
            DbtRuntimeError,
            OSError,
        ):  # dbt comes to it, too, and the error is the node's then
            return None

    @cached_property
    def obstacle(self) -> str:
        """Why every node is left to dbt, in words; empty if not."""
        found = next(self._obstacles(), "")
        if found:
            fire_event(JinjaLogDebug(msg=f"dbt compiles every node: {found}"))
        return found

    def _of_table(self, node: Any) -> AdapterResponse | None:
        earlier = self._earlier.unchanged(node.unique_id)
        if earlier is None or not self._is_as_it_was(node, earlier.tables, earlier.versions):
            return None
        response = self._builder.known_unchanged(self._manifest, node.unique_id, earlier.result)
        if response:
            # is_incremental() and dbt's snapshots look at the node's own table
            own = [relation_of(node)] if node.config.materialized in ("incremental", "snapshot") else []
            self._note([*self._read(node), *own], earlier.tables)
        return response

    def _of_test(self, node: Any) -> AdapterResponse | None:
        earlier = self._earlier.tested(node.unique_id)
        if "freshness" in node.tags or earlier is None:
            return None
        if not self._is_as_it_was(node, earlier.tables, earlier.versions):
            return None
        if not self._carry_over.known_test(self._manifest, node.unique_id, earlier.result):
            return None
        self._note(self._read(node), earlier.tables)
        return carried_result()[0]

    def _obstacles(self) -> Iterator[str]:
        if Settings.read().compiles_all:
            yield f"{variable('compile_all')} is set"
        yield from self._of_the_run()
        for node in self._manifest.nodes.values():
            if is_hook(node):
                yield f"{node.name} is a hook of the project"
            config = getattr(node, "config", None)
            if getattr(config, "pre_hook", None) or getattr(config, "post_hook", None):
                yield f"{node.name} has hooks"
        credentials = self._config.credentials
        if any(plugin.module != PLUGIN for plugin in credentials.plugins or []):
            yield "the profile has plugins"
        own = {"path": ":memory:", "alias": self._database}
        for attached in credentials.attach or []:
            given = attached.to_dict(omit_none=True)
            if {name: value for name, value in given.items() if value} != own:
                yield "the profile attaches databases"

    def _of_the_run(self) -> Iterator[str]:
        request, pinned = self._request, self._pinned
        if not request.managed:
            yield "dbt was not started by slipway"
        if request.force or pinned.places.is_scratch or pinned.places.is_slice or request.pins is not None:
            yield "the run is forced, pinned, or in a scratch environment"
        if pinned.renamed:
            yield "tables were renamed"
        for name in NOT_PLAIN:
            if flag(name):
                yield f"dbt's {name.lower()} is set"
        if flag("WARN_ERROR") or getattr(flag("WARN_ERROR_OPTIONS"), "error", None):
            yield "warnings are errors"

    @cached_property
    def _config(self) -> Any:
        """dbt's configuration of the project and its target."""
        return FACTORY.adapters[ADAPTER].config  # type: ignore[attr-defined]

    @property
    def _database(self) -> str:
        return self._pinned.places.inputs.environment.name

    @cached_property
    def _ours(self) -> frozenset[str]:
        """Kinds of nodes whose materialization is Slipway's own."""
        found = {
            kind: self._manifest.find_materialization_macro_by_name(self._config.project_name, kind, ADAPTER)
            for kind in _KINDS
        }
        return frozenset(kind for kind, macro in found.items() if macro and macro.package_name == MACHINERY)

    def _is_plain(self, node: Any) -> bool:
        """Whether a node is made by Slipway's own materialization for tables and tests, in one piece."""
        if node.resource_type not in ("model", "seed", "snapshot", "test"):
            return False
        kind = "test" if node.resource_type == "test" else node.config.materialized
        is_in_batches = str(node.config.get("incremental_strategy") or "") == "microbatch"
        return kind in self._ours and not is_in_batches

    def _is_as_it_was(self, node: Any, tables: Tables, versions: Versions) -> bool:
        """Whether a node would be compiled to what it was, as far as its key does not say it, and without a word."""
        if versions != self._versions:
            return False
        for unique_id in with_inlined(self._manifest, node.unique_id):
            one = node_of(self._manifest, unique_id)
            if self._volatility.rendered.get(unique_id) or not self._resolves(one):
                return False
            if any(
                _UNCERTAIN.intersection(tag.texts)
                for sql in sources_of(self._manifest, one)
                for tag in tags(sql)
            ):
                return False
        return all(self._is_same_table(*relation, tables) for relation in self._read(node))

    def _is_same_table(self, database: str, schema: str, name: str, tables: Tables) -> bool:
        if database != self._database or schema == LANDING:
            return False
        table = self._inputs.own(TableName(schema, name))
        return table is not None and table.metadata_location == tables.locations.get(
            f"{database}.{schema}.{name}"
        )

    def _read(self, node: Any) -> list[Relation]:
        found = (
            read_as(self._inputs, self._manifest, one) for one in tables_read(self._manifest, node.unique_id)
        )
        return [(str(database), *table) for database, table in found]

    def _note(self, relations: list[Relation], tables: Tables) -> None:
        """Count tables as read that the earlier run read, for a query that is not compiled this time."""
        for database, schema, name in relations:
            if f"{database}.{schema}.{name}" in tables.read:
                self._inputs.note(database, TableName(schema, name))

    def _resolves(self, node: Any) -> bool:
        """Whether dbt finds everything that a node refers to where it found it when it parsed the node, and allows it."""
        manifest, project, package = self._manifest, self._config.project_name, node.package_name
        if (
            node.resource_type == "seed"
        ):  # refers to nothing, and dbt raises an error when it is asked for that
            return True
        known = set(node.depends_on_nodes)
        for ref in getattr(node, "refs", []):
            found = manifest.resolve_ref(node, ref.name, ref.package, ref.version, project, package)
            if getattr(found, "unique_id", None) not in known:
                return False
            forbidden = (manifest.is_invalid_private_ref, manifest.is_invalid_protected_ref)
            if any(refuses(node, found, self._config.dependencies) for refuses in forbidden):
                return False
        for source, table in getattr(node, "sources", []):
            found = manifest.resolve_source(source, table, project, package)
            if getattr(found, "unique_id", None) not in known:
                return False
        return True


def install(find: Callable[[Any], AdapterResponse | None]) -> None:
    """Have dbt ask before it compiles and runs a node.

    Args:
        find: the response of a node that need not be compiled, None for every other.
    """
    usual = getattr(BaseRunner.compile_and_execute, "of_dbt", BaseRunner.compile_and_execute)

    def compile_and_execute(runner: Any, manifest: Any, context: Any) -> Any:
        response = find(runner.node) if flag("WHICH") == "build" else None
        return usual(runner, manifest, context) if response is None else _result(runner, response)

    compile_and_execute.of_dbt = usual  # type: ignore[attr-defined]  # a process that invokes dbt again has another plugin
    BaseRunner.compile_and_execute = compile_and_execute  # type: ignore[method-assign, assignment]


def _result(runner: Any, response: AdapterResponse) -> RunResult:
    """dbt's result of a node, as its own runner makes it of what a materialization answers."""
    answer = response.to_dict(omit_none=True)
    if runner.node.resource_type == "test":
        data = TestResultData(failures=0, should_warn=False, should_error=False, adapter_response=answer)
        found: RunResult = runner.build_test_run_result(runner.node, data)
        return found
    return RunResult(
        node=runner.node,
        status=RunStatus.Success,
        timing=[],
        thread_id=threading.current_thread().name,
        execution_time=0,
        message=str(response),
        adapter_response=answer,
        failures=None,
        batch_results=None,
    )
