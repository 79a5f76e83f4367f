"""The writer that a model gets, by its engine, and what a run needs before one of its models can be computed by Spark."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import duckdb
from pyiceberg.table import Table

from slipway.contracts.model import FileMode
from slipway.dbt.engine_choice import EngineChoices
from slipway.dbt.inputs import read_as
from slipway.dbt.keys.node_key import tables_read
from slipway.dbt.keys.python_code import module_files
from slipway.dbt.model_engines import INSTEAD, may_be_by_spark, spark_above
from slipway.dbt.nodes import DbtManifest, DbtNode, find, is_python, relation_of, table_of
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.scan import Views
from slipway.engines.duckdb.writer import columns_of, write
from slipway.engines.spark.spark_of_run import PythonOfSpark, SparkOfRun, check_place, check_ready
from slipway.engines.spark.spark_writer import SparkWriter
from slipway.engines.writers import ENGINE, SPARK, Writer
from slipway.errors import ConfigError
from slipway.landing.feeds import Feed
from slipway.names import TableName
from slipway.runs.pinned_tables import Places
from slipway.runs.run_inputs import RunInputs
from slipway.sql_text import quote


def check_spark(
    manifest: DbtManifest,
    selected: Collection[str],
    places: Places,
    feeds: Mapping[str, Feed],
    engines: EngineChoices,
) -> None:
    """Refuse a run with models for Spark where it cannot be started, or where they would read rows that are not current.

    A model whose engine is chosen by size counts if what is published is too large for DuckDB already.

    Args:
        manifest: dbt's.
        selected: unique ids of what the run selects.
        places: where it reads and builds.
        feeds: by name.
        engines: of the run's models.

    Raises:
        ConfigError: the extra, Java or the warehouse is missing or cannot be used; or the files of a feed replace earlier ones.
    """
    nodes = [manifest.nodes[name] for name in sorted(selected) if name in manifest.nodes]
    for node in nodes:
        if engines.needs_spark(manifest, node):
            check_ready()
            for tables in (places.inputs, places.outputs):
                check_place(tables.environment)
            break
    for node in nodes:
        if not (may_be_by_spark(node) or engines.needs_spark(manifest, node)):
            continue
        if why := replaced_input(manifest, node, feeds):
            raise ConfigError(
                f"{node.name} cannot be computed by Spark",
                why,
                f"Read them in a model of DuckDB, or {INSTEAD}",
            )


def replaced_input(manifest: DbtManifest, node: DbtNode, feeds: Mapping[str, Feed]) -> str:
    """Which table with rows that are not current a node reads, and why Spark cannot; empty for none.

    Args:
        manifest: dbt's.
        node: a model.
        feeds: by name.
    """
    for unique_id in tables_read(manifest, node.unique_id):
        read = find(manifest, unique_id)
        assert read is not None
        table = table_of(read)
        feed = feeds.get(table.name) if table.namespace == "raw" else None
        if feed and feed.mode is not FileMode.APPEND:
            return f"it reads {table}, whose files replace earlier ones, and only DuckDB is shown the rows that are current"
    return ""


class ModelWriters:
    """Gives each model of a run the writer of its engine.

    Args:
        inputs: what the run reads.
        views: by which DuckDB reads it.
        spark: of the run.
        engines: of its models.
    """

    def __init__(self, inputs: RunInputs, views: Views, spark: SparkOfRun, engines: EngineChoices) -> None:
        self._inputs, self._views, self._spark, self._engines = inputs, views, spark, engines
        self._returned: dict[str, SparkWriter] = {}

    def of(self, cursor: duckdb.DuckDBPyConnection, manifest: DbtManifest, node: DbtNode) -> Writer:
        """The writer of a model, seed or snapshot.

        Args:
            cursor: the thread's connection.
            manifest: dbt's manifest.
            node: what is written.

        Raises:
            ConfigError: Spark is to compute it, and it reads a table that is not in the run's own catalog.
        """
        if not self._engines.is_by_spark(manifest, node):
            return write
        if is_python(node):
            return self._returned.pop(node.unique_id)
        read = self._read(manifest, node)
        return self._spark.writer(read, self._translation(cursor, node, read), spark_above(node))

    @contextmanager
    def batch(
        self, cursor: duckdb.DuckDBPyConnection, manifest: DbtManifest, node: DbtNode, request: WriteRequest
    ) -> Iterator[WriteRequest]:
        """The request of one batch; where Spark computes the model, its query reads the rows that Spark has computed.

        Raises:
            ConfigError: Spark is to compute it and cannot.
        """
        if not self._engines.is_by_spark(manifest, node):
            yield request
            return
        read = self._read(manifest, node)
        sql = self._translation(cursor, node, read)(request.sql)
        columns = [(name, str(kind)) for name, kind in columns_of(cursor, f"(\n{request.sql}\n)")]
        with self._spark.batch(read, sql, columns, request.model) as computed:
            properties = {**request.snapshot_properties, ENGINE: SPARK}
            yield replace(request, sql=computed, snapshot_properties=properties)

    def _translation(
        self, cursor: duckdb.DuckDBPyConnection, node: DbtNode, read: Sequence[Table]
    ) -> Callable[[str], str]:
        """What makes Spark's SQL of the query of a model, or refuses it."""
        from slipway.engines.spark.translation.translate import translate

        schemas = self._schemas(cursor, node, read)
        return lambda sql: translate(sql, schemas, node.name)

    def schemas(
        self, cursor: duckdb.DuckDBPyConnection, manifest: DbtManifest, node: DbtNode
    ) -> tuple[list[Table], dict[str, dict[str, str]]]:
        """The tables that a node reads, and their columns with DuckDB's types, by the names that a query has for them.

        Raises:
            ConfigError: it reads a table that is not in the run's own catalog.
        """
        read = self._read(manifest, node)
        return read, self._schemas(cursor, node, read)

    def _schemas(
        self, cursor: duckdb.DuckDBPyConnection, node: DbtNode, read: Sequence[Table]
    ) -> dict[str, dict[str, str]]:
        own = relation_of(node)
        schemas = {".".join(own): self._columns(cursor, own)}
        for table in read:
            relation = (own[0], *TableName.of(table.name()))
            schemas[".".join(relation)] = self._columns(cursor, relation)
        return schemas

    def python(self, manifest: DbtManifest, node: DbtNode) -> PythonOfSpark:
        """What a Python model of Spark is run with.

        Raises:
            ConfigError: it reads a table that is not in the run's own catalog, or Spark cannot be started.
        """
        return self._spark.python(table_of(node), self._read(manifest, node), module_files(node.raw_code))

    def returned(self, node: DbtNode, ran: PythonOfSpark, frame: object) -> str:
        """Keep what a Python model of Spark returned until it is written, and give a query without rows that has the columns that the model declares."""
        self._returned[node.unique_id] = ran.writer(frame, spark_above(node))
        listed = ", ".join(
            f"cast(null as {column.data_type}) as {quote(name)}" for name, column in node.columns.items()
        )
        return f"select {listed} where false"

    def _read(self, manifest: DbtManifest, node: DbtNode) -> list[Table]:
        read, own = [], relation_of(node)
        for unique_id in tables_read(manifest, node.unique_id):
            database, table = read_as(self._inputs, manifest, unique_id)
            found = self._inputs.known(database, table)
            if database != own[0]:
                raise ConfigError(
                    f"{node.name} cannot be computed by Spark",
                    f"it reads {table} of {database}, and Spark sees only tables of {own[0]}",
                    f"Build it in {own[0]}, or {INSTEAD}",
                )
            if found is not None:
                read.append(found)
        return read

    def _columns(self, cursor: duckdb.DuckDBPyConnection, relation: tuple[str, str, str]) -> dict[str, str]:
        """DuckDB's types of a table that it is shown, by column; none of one that the query does not read this time."""
        if self._views.version(relation) is None:
            return {}
        rows = cursor.execute(f"describe {'.'.join(map(quote, relation))}").fetchall()
        return {str(row[0]): str(row[1]) for row in rows}
