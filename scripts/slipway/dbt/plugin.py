"""The dbt-duckdb plugin: hooks only.

Macros reach it through ``adapter.store_relation('slipway', relation, [], <operation>, 'iceberg', config)``;
``config`` is a dict that an operation fills in with its answer.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import duckdb
from dbt.adapters.contracts.connection import AdapterResponse
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig
from dbt.adapters.factory import FACTORY
from dbt.contracts.graph.manifest import Manifest
from dbt_common.exceptions import DbtRuntimeError

from slipway.alerts.routes import FILE
from slipway.dbt import command, describe, frames, invocation, known_unchanged, query_checks, seeds
from slipway.dbt.build import BuildResponse
from slipway.dbt.command import Invocation, flag
from slipway.dbt.data_tests import Asked
from slipway.dbt.hooks import carried_result, carried_unit_test, problems_of
from slipway.dbt.monitored import Question, findings_query
from slipway.dbt.nodes import DbtManifest, DbtNode
from slipway.dbt.promised import Question as ContractQuestion
from slipway.dbt.promised import contract_query
from slipway.dbt.session import Session
from slipway.dbt.stubs import Stubs
from slipway.engines.duckdb import engine
from slipway.environments.profiles import ADAPTER, Profile
from slipway.errors import ConfigError, ContractError, SlipwayError
from slipway.names import TableName
from slipway.records.node_results import shortened
from slipway.records.run_ids import new_run_id
from slipway.runs.end import closing_lines
from slipway.runs.run_request import RunRequest
from slipway.secrets import one_line

_OF_STUBS = frozenset(
    {"engine", "exists", "list", "monitor", "partitions_changed", "pin", "rows_added", "staged"}
)
"""Operations that ask for tables, which stubs answer."""


def newest_landed(relation: str) -> datetime | None:
    """When the newest row of a raw table landed; None of one without rows, and of the rows of a unit test, which stand in its query."""
    try:
        found = thread_cursor().execute(f"select epoch_us(max(_landed_at)) from {relation}").fetchone()
    except duckdb.Error:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found[0]) if found and found[0] else None


class Plugin(BasePlugin):
    """Keeps one session per dbt invocation and hands every operation to it."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Called by dbt-duckdb once per process; opens nothing yet."""
        invocation.current.write_python = self.write_python
        invocation.current.run_on_spark = self.run_on_spark
        query_checks.install(self)
        known_unchanged.install(self.known)
        # dbt's reader knows the columns of column_types in one case only; load_seed takes them in any, and refuses what is no column
        warnings.filterwarnings("ignore", ".* does not match the name of any column", RuntimeWarning)
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._invocation: str | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._attached: set[str] = set()
        self._python: dict[str, dict[str, Any]] = {}

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Called before dbt's database is opened: memory, threads and the folder to spill to."""
        with contextlib.suppress(SlipwayError):  # configure_connection reports it
            profile = Profile(command.project_dir(), Path(flag("PROFILES_DIR")))
            engine.configure(creds.settings, config, profile.environment(creds.database).home)

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Prepare dbt's in-memory database: extensions, secrets, one database per target."""
        self._connection = conn
        self._attached = set()
        try:
            session = self._new_session(conn)
            session.check_project()  # before dbt makes a schema in DuckDB for each layer
            engine.prepare(conn, session.environment.warehouse)
            if invocation.current.stubs is None:
                session.secret.renew(conn)
            else:  # what is looked at then is code
                conn.execute("set enable_external_access = false")
            invocation.mask_secrets()
            conn.execute(f"attach if not exists ':memory:' as \"{session.environment.name}\"")
        except SlipwayError as error:
            invocation.current.refusal = invocation.current.refusal or error
            raise DbtRuntimeError(error.line()) from error

    @property
    def session(self) -> Session:
        """The session of the running invocation; a new one begins when dbt is invoked again."""
        with self._lock:
            if self._connection is None:
                self._connect()
            assert self._connection is not None
            if self._session is None or self._invocation != command.invocation_id():
                self._new_session(self._connection)
            assert self._session is not None
            return self._session

    def store(self, target_config: TargetConfig) -> None:
        """Carry out one operation of the macros; an error is the node's error."""
        assert target_config.location is not None
        operation = getattr(self, f"op_{target_config.location.path}")
        with _as_dbt_error():
            stubs = invocation.current.stubs
            if stubs and target_config.location.path in _OF_STUBS:
                self._answer(stubs, target_config.location.path, target_config.relation, target_config.config)
                return
            if stubs is None:
                self.session.secret.renew(thread_cursor())
            with engine.limits(str(getattr(target_config.relation, "identifier", None) or "run")):
                operation(target_config.relation, target_config.config)

    def _answer(self, stubs: Stubs, operation: str, relation: Any, config: dict[str, Any]) -> None:
        """Carry out an operation without the catalog, the landing area and data."""
        if operation == "list":
            config["names"] = stubs.names(relation.schema)
        elif operation == "exists":
            config["exists"] = stubs.incremental
        elif operation == "staged":
            config["staged"] = False
        elif operation == "engine":
            config["engine"] = stubs.engine or config["engine"]
        elif operation == "pin":
            config["columns"] = ""
            if not relation.database:  # an ephemeral model stands in the query itself
                return
            table = TableName(relation.schema, relation.identifier)
            if self.session.pinned.is_environment(relation.database):
                self._attach(relation.database)
                stubs.show(self.session.views, relation.database, table)
            else:
                stubs.unknown[table] = (
                    f"{table} is in the database {relation.database}, which is no environment of the profile"
                )
        elif operation == "monitor":
            stubs.monitor(config)
        else:
            stubs.increment(config)

    def op_begin(self, relation: Any, config: dict[str, Any]) -> None:
        """on-run-start: land files, take over a failed candidate on retry."""
        session = self.session
        session.manifest = self.manifest
        try:
            config["messages"] = session.begin() if command.builds() else []
        except BaseException:  # a run that did not begin has no end either
            session.leave()
            raise

    def op_finish(self, relation: Any, config: dict[str, Any]) -> None:
        """on-run-end of plain dbt: publish what passed, write the records, notify people."""
        session = self.session
        if session.request.managed:
            return
        try:
            config["messages"] = []
            if session.begun:
                done = Invocation(True, config["results"], self.manifest, "", command.invocation_id())
                config["messages"] = closing_lines(session.conclude(done))
        finally:
            session.leave()
            project = command.project_dir()
            if session.begun and not session.scratch and (project / FILE).is_file():
                from slipway.alerts.notify import after_run

                config["messages"] += after_run(project, session.records, session.request.run_id)

    def op_engine(self, relation: Any, config: dict[str, Any]) -> None:
        """Which engine computes the model that is being compiled."""
        node = self.manifest.nodes[config["unique_id"]]
        config["engine"] = self.session.engines.of(self.manifest, node).engine

    def op_list(self, relation: Any, config: dict[str, Any]) -> None:
        """Tables that exist in a schema, for dbt's relation cache."""
        config["names"] = self.session.inputs.names(relation.database, relation.schema)

    def op_exists(self, relation: Any, config: dict[str, Any]) -> None:
        """Whether a model has a table to add to: its own environment's, not one it may merely read."""
        config["exists"] = self.session.increments.adds_to(TableName(relation.schema, relation.identifier))

    def op_pin(self, relation: Any, config: dict[str, Any]) -> None:
        """Make a referenced table readable as this run sees it."""
        if self.session.pinned.is_environment(relation.database):
            self._attach(relation.database)
            self.session.pin(relation.database, TableName(relation.schema, relation.identifier))
        if config.get("columns"):
            config["columns"] = describe.own_columns(
                self.session.inputs, thread_cursor(), self.manifest, relation
            )

    def op_staged(self, relation: Any, config: dict[str, Any]) -> None:
        """Whether this run has built a table, which is then read whatever ``--defer`` says."""
        identifier = TableName(relation.schema, relation.identifier)
        config["staged"] = bool(flag("DEFER")) and self.session.inputs.is_staged(identifier)

    def op_has_columns_from_data(self, relation: Any, config: dict[str, Any]) -> None:
        """Whether DuckDB has to look at data to know the columns of a query."""
        config["has_columns_from_data"] = len(thread_cursor().extract_statements(config["sql"])) > 1

    def op_unchanged(self, relation: Any, config: dict[str, Any]) -> None:
        """Decide whether a node has to be built."""
        session = self.session
        force = bool(config.get("full_refresh")) or session.request.force
        config["response"] = session.builder.unchanged(self.manifest, config, session.code, force=force)

    def op_write(self, relation: Any, config: dict[str, Any]) -> None:
        """Write a model's query as a staged table."""
        written = self._write(thread_cursor(), config)
        config["rebuild" if isinstance(written, str) else "response"] = written

    def op_check_query(self, relation: Any, config: dict[str, Any]) -> None:
        """Refuse a query that asks DuckDB's catalog which tables there are, or reads a table that dbt does not know of."""
        node = self.manifest.nodes[config["unique_id"]]
        self.session.checks.check(
            thread_cursor(), self.manifest, node, config["sql"], always=bool(config.get("always"))
        )

    def look(self, node: DbtNode, sql: str, *, compiles: bool) -> None:
        """Refuse the same of a query that a node's Jinja runs, and note what else its result depends on."""
        with _as_dbt_error():
            self.session.checks.check(thread_cursor(), self.manifest, node, sql)
            if compiles:
                self.session.volatility.note(node.unique_id, sql)

    def ask(self, node: DbtNode, relation: tuple[str, str, str]) -> None:
        """Note that a node's Jinja asks about a table of which dbt does not know that the node depends on it."""
        if invocation.current.stubs:  # whether a table is published is not looked at
            return
        if not self.session.checks.is_read(self.manifest, node, relation):
            self.note(
                node,
                f"its Jinja asks about {'.'.join(relation[1:])}, which it does not read by ref or source",
            )

    def note(self, node: DbtNode, why: str) -> None:
        """Note what else than its key a node's Jinja depends on."""
        self.session.volatility.rendered[node.unique_id] = why

    def refuse(self, error: ConfigError) -> None:
        """Raise an error of a node's Jinja as dbt takes it."""
        with _as_dbt_error():
            raise error

    def op_load_seed(self, relation: Any, config: dict[str, Any]) -> None:
        """Put a seed's rows into the in-memory database, to be written from there."""
        seeds.load(thread_cursor(), relation.identifier, config)

    def op_expect_python(self, relation: Any, config: dict[str, Any]) -> None:
        """Remember how the Python model that runs next is to be written."""
        self._python[config["python_call"]] = config

    def run_on_spark(self, call: str, model: Callable[[Any, Any], Any], dbt: Callable[[Any], Any]) -> Any:
        """Run the function of a Python model with frames and a session of Spark; called from the compiled model.

        Args:
            call: the one that ``op_expect_python`` announced.
            model: the function of the model.
            dbt: makes dbt's object of a function that loads a table by its name.
        """
        config = self._python[call]
        try:
            ran = self.session.writers.python(self.manifest, self.manifest.nodes[config["unique_id"]])
        except SlipwayError as error:
            config["refused"] = error
            return None
        config["spark"] = ran
        return model(dbt(ran.table), ran.session)

    def write_python(self, call: str, frame: Any, connection: Any) -> None:
        """Write what a Python model returned; called from the compiled model, where an error shows as a traceback."""
        config = self._python.pop(call)
        unique_id = config["unique_id"]
        cursor = getattr(connection, "_cursor", connection)
        if config.get("refused"):
            return
        if ran := config.pop("spark", None):
            try:
                node = self.manifest.nodes[unique_id]
                config["sql"] = self.session.writers.returned(node, ran, frame)
                with engine.limits(node.name):
                    config["response"] = self._write(cursor, config)
            except (SlipwayError, duckdb.Error) as error:
                config["refused"] = error
            return
        refused: list[ContractError] = []
        try:
            refused = frames.register(cursor, "__slipway_frame", frame, unique_id.rpartition(".")[2])
            self.session.secret.renew(cursor)
            config["sql"] = "from __slipway_frame"
            with engine.limits(unique_id.rpartition(".")[2]):
                config["response"] = self._write(cursor, config)
        except SlipwayError as error:
            config["refused"] = error
        except duckdb.Error as error:
            config["refused"] = refused[0] if refused else error
        finally:
            cursor.unregister("__slipway_frame")

    def op_python_written(self, relation: Any, config: dict[str, Any]) -> None:
        """Tell of a refusal in one line, now that dbt has left the Python model."""
        if error := config.pop("refused", None):
            raise error

    def op_landed_at(self, relation: Any, config: dict[str, Any]) -> None:
        """When a feed last brought a file that was accepted."""
        config["landed_at"] = self.session.intake.landing.ledger.last_landed_at(relation.identifier)

    def op_contract_query(self, relation: Any, config: dict[str, Any]) -> None:
        """Compile a contract: typed or quarantined rows of a feed, or the rules of a table that do not hold."""
        asked = ContractQuestion(config["form"], config["name"], config["relation"], config["severity"])
        session = self.session
        config["sql"], cutoff = contract_query(command.project_dir(), asked, session.variables, newest_landed)
        session.builder.note_cutoff(config["unique_id"], cutoff)

    def op_monitor(self, relation: Any, config: dict[str, Any]) -> None:
        """Judge a monitor, and say what it found."""
        test = self.manifest.nodes[config["unique_id"]]
        question = Question(thread_cursor(), self.manifest, test, config["relation"], config["arguments"])
        verdict = self.session.monitoring.judge(config["kind"], question)
        config["sql"] = findings_query(verdict)
        # `slipway run` says it at its end
        config["says"] = "" if self.session.request.managed else one_line(verdict.line)

    def op_rows_added(self, relation: Any, config: dict[str, Any]) -> None:
        """A predicate for rows appended to a table since a model read it."""
        self._increment(relation, config)

    def op_partitions_changed(self, relation: Any, config: dict[str, Any]) -> None:
        """A predicate for partitions of a table that changed since a model read it."""
        self._increment(relation, config)

    def _increment(self, relation: Any, config: dict[str, Any]) -> None:
        config["predicate"] = self.session.increments.give(
            self.manifest,
            config["unique_id"],
            TableName(config["this"].schema, config["this"].identifier),
            (relation.database, relation.schema, relation.identifier),
            config.get("column"),
        )

    def op_rebuild(self, relation: Any, config: dict[str, Any]) -> None:
        """Prepare for the query of a full build: until it is written, the model has no table to add to."""
        config["ctes"] = self.session.increments.rebuild(self.manifest, config["unique_id"])

    def op_with_ctes(self, relation: Any, config: dict[str, Any]) -> None:
        """Put the ephemeral models that a query reads in front of it, as dbt does."""
        config["sql"] = with_ctes(config["sql"], config["ctes"])

    def op_test_carried(self, relation: Any, config: dict[str, Any]) -> None:
        """Whether a data test passed before on the same tables with the same code."""
        session = self.session
        config["carried"] = session.carry_over.data_test(
            self.manifest, config["unique_id"], config["sql"], runs=session.request.force or not session.begun
        )
        if config["carried"]:
            config["response"], config["result"] = carried_result()

    def op_test_on_spark(self, relation: Any, config: dict[str, Any]) -> None:
        """Have Spark run a data test of large tables; without an answer DuckDB runs it."""
        asked = Asked(config["sql"], config["limit"], config["counting"], bool(config["stores"]))
        test = self.manifest.nodes[config["unique_id"]]
        answer = self.session.data_tests.run(thread_cursor(), self.manifest, test, asked)
        config["counted"], config["rows"] = (answer.counted, answer.rows) if answer else ("", "")

    def op_test_problems(self, relation: Any, config: dict[str, Any]) -> None:
        """Note what a data test found, where its query says so in sentences."""
        session = self.session
        found = session.data_tests.problems(self.manifest.nodes[config["unique_id"]])
        if found is None:
            found = problems_of(thread_cursor(), config["sql"])
        session.tests.problems[config["unique_id"]] = found
        # `slipway run` says it at its end
        config["says"] = [] if session.request.managed else shortened(found)

    def op_unit_test_carried(self, relation: Any, config: dict[str, Any]) -> None:
        """Whether a dbt unit test passed before as the same SQL, with the same rows expected."""
        session = self.session
        config["carried"] = session.carry_over.unit_test(
            self.manifest,
            config["unique_id"],
            [config["sql"], *filter(None, [config["config"].get("expected_sql")])],
            config["config"],
            runs=session.request.force or not session.begun,
        )
        if config["carried"]:
            config["response"], config["result"] = carried_unit_test()

    def known(self, node: Any) -> AdapterResponse | None:
        """The response for a node of which it is known that nothing is to be done, before dbt compiles it."""
        found = self.session.known
        return found.response(node) if found else None

    def op_describe(self, relation: Any, config: dict[str, Any]) -> None:
        """Rows for dbt docs: columns, row counts and snapshots from Iceberg metadata."""
        config["sql"] = describe.catalog_query(self.session.inputs, config["relations"])

    @property
    def manifest(self) -> DbtManifest:
        """dbt's manifest, which the adapter keeps to resolve macros."""
        return cast("Manifest", FACTORY.adapters[ADAPTER].get_macro_resolver())

    def _write(self, cursor: duckdb.DuckDBPyConnection, config: dict[str, Any]) -> BuildResponse | str:
        session = self.session
        return session.builder.write(cursor, self.manifest, config["unique_id"], config, session.code)

    def _attach(self, database: str) -> None:
        with self._lock:
            assert self._connection is not None
            if database not in self._attached:
                self._connection.execute(f"attach if not exists ':memory:' as \"{database}\"")
                self._attached.add(database)

    def _connect(self) -> None:
        """``test``, ``show`` and ``docs`` reach the plugin before dbt has opened its database."""
        thread_cursor()

    def _new_session(self, connection: duckdb.DuckDBPyConnection) -> Session:
        request = invocation.current.request
        if request is None:
            now = datetime.now(UTC)
            request = RunRequest(
                new_run_id(now), now, vars=dict(flag("VARS") or {}), command=command.command_line()
            )
        assert self.creds is not None
        if self._session:
            self._session.leave()
        profiles_dir, target = Path(flag("PROFILES_DIR")), self.creds.database
        self._session = Session(
            command.project_dir(), profiles_dir, target, request, connection, self.manifest
        )
        self._invocation = command.invocation_id()
        invocation.current.session = self._session
        return self._session


@contextlib.contextmanager
def _as_dbt_error() -> Iterator[None]:
    """Raise what goes wrong as dbt takes it, which makes it the node's error."""
    try:
        yield
    except SlipwayError as error:
        invocation.current.refusal = invocation.current.refusal or error
        raise DbtRuntimeError(error.line()) from error
    except duckdb.Error as error:
        raise DbtRuntimeError(str(error)) from error


def thread_cursor() -> duckdb.DuckDBPyConnection:
    """The connection of the calling dbt thread; opens it when it is not open yet."""
    handle = FACTORY.adapters[ADAPTER].connections.get_thread_connection().handle
    wrapped = handle.cursor()
    return wrapped._cursor  # type: ignore[no-any-return]


def with_ctes(sql: str, ctes: Sequence[tuple[str, str | None]]) -> str:
    """A query with the ephemeral models that it reads in front of it."""
    from dbt.artifacts.resources.v1.components import InjectedCTE
    from dbt.compilation import inject_ctes_into_sql

    given = [InjectedCTE(id=name, sql=text) for name, text in ctes if text]
    return inject_ctes_into_sql(sql, given)
