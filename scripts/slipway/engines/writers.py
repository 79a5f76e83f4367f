"""What every engine that computes models has in common: it is given a request, and stages one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import duckdb
from pyiceberg.table import Table

from slipway.counts import bytes_of
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.iceberg.tables import Tables

DUCKDB, SPARK = "duckdb", "spark"
ENGINES = (DUCKDB, SPARK)
"""The engines, by the names that configuration and records have for them."""

AUTO = "auto"
"""Configured in the place of an engine: the run chooses one by the size of what the model reads."""

SPARK_ABOVE = "spark_above"
"""Configuration of a model or data test: bytes above which Spark computes it, if the run chooses; also those of a table that maintenance writes again."""
_DEFAULT_ABOVE = 20_000_000_000


def bytes_above(given: object) -> int:
    """The bound that is configured by ``spark_above``, 20 GB where it is not."""
    found = None if given is None else bytes_of(str(given))
    return _DEFAULT_ABOVE if found is None else found


ENGINE = "slipway.engine"
"""Key in a snapshot's summary: which engine computed its rows; those of DuckDB do not say it."""


def engine_in(summary: Mapping[str, str]) -> str:
    """The engine that computed the rows of a snapshot, by its summary; empty if Slipway did not write it."""
    return summary.get(ENGINE) or (DUCKDB if "slipway.run-id" in summary else "")


class Writer(Protocol):
    """Runs the query of a model, and stages its result on top of what is published."""

    def __call__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        tables: Tables,
        base: Table | None,
        request: WriteRequest,
    ) -> WriteResult:
        """Run a query and stage its result.

        Args:
            cursor: DuckDB's, on which the query is bound for names and types, whichever engine computes it.
            tables: of the environment.
            base: the table that is built on, None for a new one.
            request: the query in DuckDB's SQL, and what is asked for.

        Raises:
            ConfigError: the engine cannot carry out what is asked for; nothing was written.
            ContractError: the query or the written rows do not keep to the contract, or a type cannot be held.
        """
