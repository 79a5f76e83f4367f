"""Spark for one run: nothing until a model or a data test is to be computed by it, then one session and one catalog until the run ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
from pyiceberg.table import Table

from slipway.engines.duckdb.compact import Shorten
from slipway.engines.spark.computed_rows import computed_rows
from slipway.engines.spark.connect_session import Remote, check_client, connect_session
from slipway.engines.spark.local_session import local_session
from slipway.engines.spark.session_settings import catalog_properties, is_remote, make_active
from slipway.engines.spark.spark_compaction import stage_compacted
from slipway.engines.spark.spark_errors import in_one_line
from slipway.engines.spark.spark_versions import installed
from slipway.engines.spark.spark_writer import SparkWriter
from slipway.engines.spark.translation.scopes import quoted
from slipway.environments.environment import Environment
from slipway.errors import ConfigError, SlipwayError
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_server import Listening, Serving, serving
from slipway.settings import Settings, variable
from slipway.sql_text import unquoted
from slipway.storage.s3 import is_s3

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class PythonOfSpark:
    """The session that a Python model is run with, and the catalog that it sees."""

    session: SparkSession
    catalog: RunCatalog

    def table(self, relation: str) -> DataFrame:
        """The rows of a table, by its name as dbt writes it: with each part in double quotes."""
        parts = [unquoted(part) for part in _PART.findall(relation)]
        return self.session.table(".".join(map(quoted, parts)))

    def writer(self, frame: object, above: int) -> SparkWriter:
        """What writes the rows that the model returned; constraints of a table of more bytes are checked by Spark."""
        return SparkWriter(lambda: self.session, self.catalog, lambda sql: sql, frame, above)


_PART = re.compile(r'"(?:[^"]|"")+"|[^".]+')


class SparkOfRun:
    """Gives the models of a run writers, and its data tests rows, that share one session.

    Args:
        tables: of the environment that the run builds in.
        run_id: the run.
        published: metadata files of its tables, as the run found them.
        inputs: the environment that the run reads, where it is another one: that of a scratch environment.
    """

    def __init__(
        self,
        tables: Tables,
        run_id: str,
        published: Callable[[], Mapping[TableName, str]],
        inputs: Environment | None = None,
    ) -> None:
        self._tables, self._run_id, self._published = tables, run_id, published
        self._places = (tables.environment, inputs or tables.environment)
        self._lock = threading.RLock()
        self._open = ExitStack()
        self._catalog: RunCatalog | None = None
        self._served: Serving | None = None
        self._session: SparkSession | None = None
        self._sessions: list[SparkSession] = []  # that one, and those of Python models on a server
        self._refusal: SlipwayError | None = None

    def writer(self, reads: Sequence[Table], translate: Callable[[str], str], above: int) -> SparkWriter:
        """What writes one model.

        Args:
            reads: the tables that its query reads, as the run sees them.
            translate: makes Spark's SQL of the query, or refuses it.
            above: bytes of its table above which Spark checks constraints.

        Raises:
            ConfigError: Spark cannot reach the warehouse.
        """
        return SparkWriter(self._begun, self._showing(reads), translate, above=above)

    def batch(
        self, reads: Sequence[Table], sql: str, columns: Sequence[tuple[str, str]], model: str
    ) -> AbstractContextManager[str]:
        """A query of DuckDB with the rows that Spark computes, while the block lasts; see ``computed_rows``."""
        self._showing(reads)
        return computed_rows(self._begun, sql, columns, model)

    def begin(self, reads: Sequence[Table]) -> None:
        """Begin the session, and show it some tables.

        Raises:
            SlipwayError: it cannot be begun, or Spark cannot reach the warehouse.
        """
        self._showing(reads)
        self._begun()

    def rows(self, reads: Sequence[Table], sql: str, test: str) -> list[tuple[Any, ...]]:
        """The rows of a query of a data test, of which there are few.

        Args:
            reads: the tables that it reads, as the run sees them.
            sql: the query, in Spark's SQL.
            test: for messages.

        Raises:
            SlipwayError: Spark ended with an error.
        """
        self._showing(reads)
        with in_one_line(test, "test"):
            return [tuple(row) for row in self._begun().sql(sql).collect()]

    def arrow(self, reads: Sequence[Table], sql: str, test: str) -> pa.Table:
        """The same of a query that may have many rows."""
        self._showing(reads)
        with in_one_line(test, "test"):
            return self._begun().sql(sql).toArrow()

    def compact(
        self, cursor: duckdb.DuckDBPyConnection, what: Shorten, *, enough: float, least: int
    ) -> StagedTable:
        """Have Spark compact a table that was published; see ``stage_compacted``."""
        catalog = self._showing(())
        return stage_compacted(self._begun, catalog, cursor, self._tables, what, enough=enough, least=least)

    def _showing(self, reads: Sequence[Table]) -> RunCatalog:
        """The catalog, with these tables as the run sees them."""
        for place in self._places:
            check_place(place)
        with self._lock:
            if self._catalog is None:
                self._catalog = RunCatalog(self._tables, self._run_id, self._published())
            for table in reads:
                self._catalog.pin(TableName.of(table.name()), table.metadata_location)
            return self._catalog

    def python(self, own: TableName, reads: Sequence[Table], modules: Mapping[str, str]) -> PythonOfSpark:
        """What a Python model is run with: a session of its own, which sees nothing but what the model reads and its own table.

        Anything else that its code asked for would be read without being noted as an input.

        Args:
            own: the table of the model.
            reads: the tables that it reads, as the run sees them.
            modules: source of the project's modules that it imports, by file; a server is sent them for its functions.

        Raises:
            ConfigError: Spark cannot be started or used, or cannot reach the warehouse.
        """
        published = {name: place for name, place in self._published().items() if name == own}
        catalog = RunCatalog(self._tables, self._run_id, published)
        for table in reads:
            catalog.pin(TableName.of(table.name()), table.metadata_location)
        self._showing(())
        name = self._tables.environment.name
        with self._lock:
            first = self._begun()
            assert self._served is not None
            served = self._served.serve_also(catalog)
            if remote := self._remote:
                begun = connect_session(remote, name, served, on_s3=self._on_s3, modules=modules)
                session = self._open.enter_context(begun)
                self._sessions.append(session)
                make_active(session)  # for the code of the model, which this thread runs next
                return PythonOfSpark(session, catalog)
        session = first.newSession()
        for key, value in catalog_properties(name, served).items():
            session.conf.set(key, value)
        return PythonOfSpark(session, catalog)

    def cancel(self) -> None:
        """End the jobs that are under way, each with an error of its model."""
        for session in list(self._sessions):
            if is_remote(session):
                session.interruptAll()  # of this session; the server has others
            else:
                session.sparkContext.cancelAllJobs()

    def close(self) -> None:
        """End session and catalog, if they have begun."""
        with self._lock:
            self._session = None
            self._sessions.clear()
            self._open.close()

    def _begun(self) -> SparkSession:
        with self._lock:
            if self._refusal:
                raise self._refusal  # at once: each attempt takes a while
            if self._session is None:
                assert self._catalog is not None
                try:
                    self._session = self._open.enter_context(self._begin(self._catalog))
                    self._sessions.append(self._session)
                except SlipwayError as error:
                    self._refusal = error
                    raise
            return self._session

    @contextmanager
    def _begin(self, catalog: RunCatalog) -> Iterator[SparkSession]:
        remote, name = self._remote, self._tables.environment.name
        # other machines reach a catalog only where the session is on one
        listening = Listening.of(Settings.read()) if remote else None
        with serving(catalog, listening) as self._served:
            served = self._served
            begun = (
                connect_session(remote, name, served, on_s3=self._on_s3)
                if remote
                else local_session(name, served, on_s3=self._on_s3)
            )
            with begun as session:
                yield session

    @property
    def _remote(self) -> Remote | None:
        return Remote.of(Settings.read())

    @property
    def _on_s3(self) -> bool:
        return any(is_s3(place.warehouse) for place in self._places)


def check_ready() -> None:
    """Refuse what keeps Spark from being started or reached, as far as this machine and its settings say.

    Raises:
        ConfigError: pyspark or Java is missing or has another version, or a setting cannot be used.
    """
    settings = Settings.read()
    if Remote.of(settings) is None:
        installed()
    else:
        check_client()
        Listening.of(settings)


def check_place(environment: Environment) -> None:
    """Refuse a warehouse that Spark cannot reach with the jars that it is given.

    Raises:
        ConfigError: it is neither in a folder of this machine nor on S3, or in a folder while Spark is on another machine.
    """
    warehouse = environment.warehouse
    remote = Remote.of(Settings.read())
    if remote and not remote.is_here and not is_s3(warehouse):
        raise ConfigError(
            f"Spark cannot compute models of {environment.name}",
            f"its warehouse is the folder {warehouse}, which the server {remote.host} does not see",
            f"Use a warehouse on S3, or unset {variable('spark_remote')}",
        )
    if "://" in warehouse and not warehouse.startswith("file://") and not is_s3(warehouse):
        raise ConfigError(
            f"Spark cannot compute models of {environment.name}",
            f"its warehouse is {warehouse}, and Spark reads and writes only warehouses in folders and on S3",
            "Let DuckDB compute them: engine: duckdb",
        )
