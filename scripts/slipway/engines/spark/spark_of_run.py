"""Spark for one run: nothing until a model is to be computed by it, then one session and one catalog until the run ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pyiceberg.table import Table

from slipway.engines.spark.connect_session import Remote, check_client, connect_session
from slipway.engines.spark.local_session import local_session
from slipway.engines.spark.spark_versions import installed
from slipway.engines.spark.spark_writer import SparkWriter
from slipway.environments.environment import Environment
from slipway.errors import ConfigError, SlipwayError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_server import Listening, serving
from slipway.settings import Settings, variable
from slipway.storage.s3 import is_s3

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SparkOfRun:
    """Gives the models of a run writers that share one session.

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
        self._session: SparkSession | None = None
        self._refusal: SlipwayError | None = None

    def writer(self, reads: Sequence[Table], translate: Callable[[str], str]) -> SparkWriter:
        """What writes one model.

        Args:
            reads: the tables that its query reads, as the run sees them.
            translate: makes Spark's SQL of the query, or refuses it.

        Raises:
            ConfigError: Spark cannot reach the warehouse.
        """
        for place in self._places:
            check_place(place)
        with self._lock:
            if self._catalog is None:
                self._catalog = RunCatalog(self._tables, self._run_id, self._published())
            for table in reads:
                self._catalog.pin(TableName.of(table.name()), table.metadata_location)
            return SparkWriter(self._begun, self._catalog, translate)

    def cancel(self) -> None:
        """End the jobs that are under way, each with an error of its model."""
        session = self._session
        if session is None:
            return
        if Remote.of(Settings.read()):
            session.interruptAll()  # of this session; the server has others
        else:
            session.sparkContext.cancelAllJobs()

    def close(self) -> None:
        """End session and catalog, if they have begun."""
        with self._lock:
            self._session = None
            self._open.close()

    def _begun(self) -> SparkSession:
        with self._lock:
            if self._refusal:
                raise self._refusal  # at once: each attempt takes a while
            if self._session is None:
                assert self._catalog is not None
                try:
                    self._session = self._open.enter_context(self._begin(self._catalog))
                except SlipwayError as error:
                    self._refusal = error
                    raise
            return self._session

    @contextmanager
    def _begin(self, catalog: RunCatalog) -> Iterator[SparkSession]:
        settings, name = Settings.read(), self._tables.environment.name
        remote, on_s3 = Remote.of(settings), any(is_s3(place.warehouse) for place in self._places)
        with serving(catalog, Listening.of(settings) if remote else None) as served:
            begun = (
                connect_session(remote, name, served, on_s3=on_s3)
                if remote
                else local_session(name, served, on_s3=on_s3)
            )
            with begun as session:
                yield session


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
