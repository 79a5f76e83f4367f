"""The same query on DuckDB and, translated, on Spark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from slipway.engines.spark.translation.translate import translate
from slipway.engines.spark.translation.type_kinds import kind_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Answer:
    """What an engine gives for a query.

    Args:
        types: names and types of the columns, as Spark writes types.
        rows: the rows in no order, with values that can be compared; empty where it failed.
        error: what the engine said, or the empty text.
    """

    types: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Any, ...], ...]
    error: str = ""


@dataclass
class BothEngines:
    """DuckDB, and a Spark that reads its tables."""

    duckdb: duckdb.DuckDBPyConnection
    spark: SparkSession
    folder: Path
    schemas: dict[str, dict[str, str]] = field(default_factory=dict)

    def share(self, name: str, view: str) -> None:
        """Give Spark a table of DuckDB as a view; queries of both call it by its name in DuckDB."""
        path = self.folder / f"{view}.parquet"
        self.duckdb.execute(f"copy (from {name}) to '{path}' (format parquet)")
        self.spark.read.parquet(str(path)).createOrReplaceTempView(view)
        described = self.duckdb.execute(f"describe {name}").fetchall()
        self.schemas[name.replace('"', "")] = {row[0]: row[1] for row in described}

    def translated(self, sql: str, views: Mapping[str, str] | None = None) -> str:
        """The query for Spark, with views in place of tables that have longer names."""
        text = translate(sql, self.schemas)
        for name, view in (views or {}).items():
            text = text.replace(".".join(f"`{part}`" for part in name.split(".")), f"`{view}`")
        return text

    def by_duckdb(self, sql: str) -> Answer:
        try:
            relation = self.duckdb.sql(sql)
            types = tuple(
                (name, _type_name(str(kind_of(kind).spark).lower()))
                for name, kind in zip(relation.columns, relation.types, strict=True)
            )
            return Answer(types, _sorted(relation.fetchall()))
        except duckdb.Error as error:
            return Answer((), (), str(error))

    def by_spark(self, sql: str, views: Mapping[str, str] | None = None) -> Answer:
        from py4j.protocol import Py4JJavaError
        from pyspark.errors import PySparkException

        try:
            frame = self.spark.sql(self.translated(sql, views))
            types = tuple((one.name, _type_name(one.dataType.simpleString())) for one in frame.schema)
            return Answer(types, _sorted([tuple(row.values()) for row in _rows(frame)]))
        except (PySparkException, Py4JJavaError) as error:
            return Answer((), (), str(error).split("\n\n", 1)[0])


def _rows(frame: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - pyspark is typed only where it is installed
    return frame.toArrow().to_pylist()  # type: ignore[no-any-return]


def _type_name(text: str) -> str:
    return text.replace("`", "").replace(": ", ":").replace(", ", ",")


def _sorted(rows: list[tuple[Any, ...]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(sorted((tuple(_comparable(value) for value in row) for row in rows), key=repr))


def _comparable(value: Any) -> Any:  # noqa: ANN401 - a value of any type
    """A value by which equal ones are equal and others are not: NaN, the sign of zero, and the instant of a time with a zone."""
    match value:
        case float():
            return "NaN" if math.isnan(value) else repr(value)
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).isoformat()
        case dict():
            return {name: _comparable(one) for name, one in value.items()}
        case list() | tuple():
            return [_comparable(one) for one in value]
    return value
