"""Data tests of large tables: Spark counts what DuckDB would, and a test that it cannot count is left to DuckDB, with a sentence that says so.

The query of a test is translated, and so is the query that dbt puts around it, with ``fail_calc``, ``warn_if`` and ``error_if``. Spark gives one row, which
dbt is given as a query of constants. Rows that a test stores are brought to DuckDB, where dbt counts them as usual. For a contract Spark counts the
numbers, and DuckDB judges them, so that the sentences are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from pyiceberg.table import Table

from slipway.contracts.table_rules import judging, measuring
from slipway.dbt.engine_choice import EngineChoices
from slipway.dbt.model_engines import obstacle_of_test
from slipway.dbt.model_writers import ModelWriters, replaced_input
from slipway.dbt.nodes import DbtManifest, DbtNode
from slipway.engines.duckdb.writer import columns_of
from slipway.engines.spark.spark_of_run import SparkOfRun, check_place, check_ready
from slipway.engines.spark.translation.refusal import TranslationError
from slipway.engines.writers import DUCKDB, SPARK
from slipway.errors import ConfigError, SlipwayError
from slipway.landing.feeds import Feed
from slipway.runs.pinned_tables import Places
from slipway.runs.run_results import CarriedTests
from slipway.secrets import one_line
from slipway.sql_text import literal, quote

FOUND = "__slipway_found"
"""What the rows of a test are called in the queries around it."""
PROBLEM = "problem"
"""Column of a data test's query with a sentence about each row."""
MOST_PROBLEMS = 100
_STORED = "__slipway_stored"
_SAID = (
    f"select distinct cast(found.{PROBLEM} as varchar) as said from {FOUND} as found where found.{PROBLEM} is not null "
    f"order by said limit {MOST_PROBLEMS}"
)


@dataclass(frozen=True)
class Asked:
    """A data test as dbt compiled it.

    Args:
        sql: its query.
        limit: how many of its rows count; None for all of them.
        counting: the query that dbt puts around the rows, which are in ``FOUND``.
        stores: its rows are kept, and not only counted.
    """

    sql: str
    limit: Any
    counting: str
    stores: bool


@dataclass(frozen=True)
class Answer:
    """What Spark has found, for DuckDB.

    Args:
        counted: a query of constants with the one row that dbt expects; empty where dbt is to count.
        rows: a query with the rows of the test, which does not read its tables; empty where they were counted.
    """

    counted: str = ""
    rows: str = ""


@dataclass(frozen=True)
class _Queries:
    """A test for Spark.

    Args:
        reads: the tables that it reads, as the run sees them.
        main: the query.
        kinds: DuckDB types of its columns.
        said: a query for the sentences in the column ``problem``; empty if the test has none.
    """

    reads: Sequence[Table]
    main: str
    kinds: Mapping[str, str]
    said: str = ""


class DataTests:
    """Runs those data tests of one run that Spark is to run.

    Args:
        engines: chooses them.
        writers: know what nodes read.
        spark: of the run.
        tests: records which engine runs a test, and why.
        places: where it reads and builds.
        feeds: gives the feeds by name.
    """

    def __init__(
        self,
        engines: EngineChoices,
        writers: ModelWriters,
        spark: SparkOfRun,
        tests: CarriedTests,
        *,
        places: Places,
        feeds: Callable[[], Mapping[str, Feed]],
    ) -> None:
        self._engines, self._writers, self._spark, self._tests = engines, writers, spark, tests
        self._places, self._feeds = places, feeds
        self._counted: dict[str, _Queries] = {}

    def run(
        self, cursor: duckdb.DuckDBPyConnection, manifest: DbtManifest, test: DbtNode, asked: Asked
    ) -> Answer | None:
        """Have Spark run a data test.

        Args:
            cursor: the thread's connection; rows that are kept can be read on it until it runs the next test.
            manifest: dbt's.
            test: the data test.
            asked: what it is.

        Returns:
            What Spark found; None where DuckDB is to run the test.

        Raises:
            SlipwayError: Spark ended with an error.
        """
        choice = self._engines.of_test(manifest, test)
        if choice.engine != SPARK:
            return None
        name = test.unique_id
        try:
            queries = self._queries(cursor, manifest, test, asked)
        except SlipwayError as error:
            why = error.why if isinstance(error, TranslationError) else error.line().rstrip(".")
            self._tests.runs_by(name, DUCKDB, f"run by DuckDB, although {choice.why}: {why}")
            return None
        self._tests.runs_by(name, SPARK, f"run by Spark, because {choice.why}")
        if asked.stores and not measuring(asked.sql):
            cursor.register(_STORED, self._spark.arrow(queries.reads, queries.main, test.name))
            return Answer(rows=f"select {_cast(queries.kinds)} from {_STORED}")
        (row,) = self._spark.rows(queries.reads, queries.main, test.name)
        constants = f"select {_constants(row, queries.kinds)}"
        if measuring(asked.sql):
            return Answer(rows=judging(asked.sql, constants))
        self._counted[name] = queries
        return Answer(counted=constants)

    def problems(self, test: DbtNode) -> list[str] | None:
        """What the rows say that Spark has counted, in their column ``problem``; None for a test whose rows DuckDB has.

        Raises:
            SlipwayError: Spark ended with an error.
        """
        queries = self._counted.get(test.unique_id)
        if queries is None:
            return None
        found = self._spark.rows(queries.reads, queries.said, test.name) if queries.said else []
        return [one_line(str(said)) for (said,) in found]

    def _queries(
        self, cursor: duckdb.DuckDBPyConnection, manifest: DbtManifest, test: DbtNode, asked: Asked
    ) -> _Queries:
        """Translate a test, and begin the session.

        Raises:
            SlipwayError: Spark cannot run the test, or cannot be started.
        """
        if why := obstacle_of_test(manifest, test) or replaced_input(manifest, test, self._feeds()):
            raise ConfigError(why)
        check_ready()
        for tables in (self._places.inputs, self._places.outputs):
            check_place(tables.environment)
        reads, schemas = self._writers.schemas(cursor, manifest, test)
        queries = _translated(cursor, test.name, reads, schemas, asked)
        self._spark.begin(reads)
        return queries


def _translated(
    cursor: duckdb.DuckDBPyConnection,
    name: str,
    reads: Sequence[Table],
    schemas: Mapping[str, Mapping[str, str]],
    asked: Asked,
) -> _Queries:
    """The queries of a test for Spark.

    Raises:
        TranslationError: a part of them is not known to have the same result there.
    """
    from slipway.engines.spark.translation.scopes import quoted
    from slipway.engines.spark.translation.translate import translate

    if measured := measuring(asked.sql):
        return _Queries(reads, translate(measured, schemas, name), _kinds(cursor, measured))
    rows, kinds = translate(asked.sql, schemas, name), _kinds(cursor, asked.sql)
    limited = rows if asked.limit is None else f"select * from (\n{rows}\n) limit {int(asked.limit)}"
    if asked.stores:
        # by number, since names may be equal but for their case
        listed = ", ".join(f"{quoted(column)} as {quoted(f'c{at}')}" for at, column in enumerate(kinds))
        return _Queries(reads, f"select {listed} from (\n{limited}\n)", kinds)
    found = {FOUND: kinds}
    counting = translate(asked.counting, found, name)
    none = ", ".join(f"cast(null as {kind}) as {quote(column)}" for column, kind in kinds.items())
    result = _kinds(cursor, f"with {FOUND} as (select {none}) {asked.counting}")
    said = ""
    if PROBLEM in kinds:
        said = f"with {quoted(FOUND)} as (\n{rows}\n) {translate(_SAID, found, name)}"
    return _Queries(reads, f"with {quoted(FOUND)} as (\n{limited}\n) {counting}", result, said)


def _kinds(cursor: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    return {name: str(kind) for name, kind in columns_of(cursor, f"(\n{sql}\n)")}


def _cast(kinds: Mapping[str, str]) -> str:
    """The columns of stored rows, by number, with their names and types."""
    return ", ".join(
        f"cast(c{at} as {kind}) as {quote(name)}" for at, (name, kind) in enumerate(kinds.items())
    )


def _constants(row: Sequence[Any], kinds: Mapping[str, str]) -> str:
    """The values of a row as constants of DuckDB."""
    return ", ".join(
        f"cast({'null' if value is None else literal(str(value))} as {kind}) as {quote(name)}"
        for value, (name, kind) in zip(row, kinds.items(), strict=True)
    )
