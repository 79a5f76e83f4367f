"""A table that both engines write, each in runs of its own, and a project with models of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyiceberg.table import Table
from tests.harness.projects import Meters
from tests.integration.spark.conftest import SparkRun

from slipway.engines.duckdb.digest import DIGEST
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.engines.duckdb.writer import write
from slipway.engines.spark.session_settings import catalog_properties
from slipway.engines.spark.spark_writer import SparkWriter
from slipway.engines.writers import ENGINE
from slipway.iceberg.metadata_files import summary_of
from slipway.names import TableName
from slipway.releases.candidates import _leads_there
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_server import serving

LATE = """\
{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partitioned_by=['read_on']) }}
select read_on, meter, kwh, '{{ engine() }}' as made_by
from {{ ref('consumption') }}
{% if is_incremental() %}
where read_on >= (select max(read_on) as last_day from {{ this }})
{% endif %}
"""
FIRST = [("2024-05-01", "m1", "1.500"), ("2024-05-01", "m2", "2.000"), ("2024-05-01", "m3", "0.250")]
SECOND = [("2024-05-02", "m1", "1.250"), ("2024-05-02", "m2", "3.000")]


def compute_by_spark(project: Meters, *models: str) -> None:
    """Have Spark compute models of the serving layer; the readings of the first day have landed."""
    engines = ", ".join(f"{name}: {{+engine: spark}}" for name in models)
    project.edit(
        "dbt_project.yml",
        "    serving: {+schema: serving}",
        f"    serving: {{+schema: serving, {engines}}}",
    )
    (project.landing / "readings" / "day-2.csv").unlink()


def late(project: Meters) -> list[tuple[str, str, str]]:
    return sorted(
        (str(day), meter, str(kwh))
        for day, meter, kwh in project.rows("serving.late", "read_on", "meter", "kwh")
    )


class Both:
    """A table that each engine writes in a run of its own, from the same requests."""

    def __init__(self, run: SparkRun) -> None:
        self.run, self.tables = run, run.place.tables
        self.bases: dict[str, Table | None] = {"spark": None, "duckdb": None}
        self.count = 0
        self.translate: Callable[[str], str] = lambda sql: sql
        self.above: int | None = None

    def write(self, sql: str, strategy: str = "replace", **options: Any) -> dict[str, WriteResult]:  # noqa: ANN401 - of a WriteRequest
        self.count += 1
        made = {}
        for engine in self.bases:
            made[engine] = self.by(engine, sql, strategy, **options)
        assert _leads_there(self.tables, made["spark"].staged, self.count)
        self.bases = {engine: result.staged.table for engine, result in made.items()}
        return made

    def by(self, engine: str, sql: str, strategy: str, **options: Any) -> WriteResult:  # noqa: ANN401 - of a WriteRequest
        """What one engine makes of a request, on top of what it wrote before."""
        name = TableName(self.run.layer, f"by_{engine}")
        request = WriteRequest(name, sql, strategy, f"run-{self.count}", f"release-{self.count}", **options)
        by = self.by_spark if engine == "spark" else self.by_duckdb
        return by(self.bases[engine], request)

    def by_duckdb(self, base: Table | None, request: WriteRequest) -> WriteResult:
        return write(self.run.place.connection, self.tables, base, request)

    def by_spark(self, base: Table | None, request: WriteRequest) -> WriteResult:
        published = {request.identifier: base.metadata_location} if base else {}
        catalog = RunCatalog(self.tables, request.run_id, published)
        environment = self.tables.environment.name
        with serving(catalog) as served:
            session = self.run.spark.newSession()
            for key, value in catalog_properties(environment, served).items():
                session.conf.set(key, value)
            write_with_spark = SparkWriter(lambda: session, catalog, self.translate, above=self.above)
            return write_with_spark(self.run.place.connection, self.tables, base, request)

    def check(self) -> None:
        spark, duckdb = self.bases["spark"], self.bases["duckdb"]
        assert spark is not None
        assert duckdb is not None
        assert rows(spark) == rows(duckdb)
        assert [one.model_dump_json() for one in spark.metadata.schemas] == [
            one.model_dump_json() for one in duckdb.metadata.schemas
        ]
        assert spark.spec() == duckdb.spec()
        assert spark.sort_order() == duckdb.sort_order()
        assert spark.properties == duckdb.properties
        assert spark.metadata.refs.keys() == duckdb.metadata.refs.keys()
        said = [summary_of(one.current_snapshot()) for one in (spark, duckdb)]
        for key in (DIGEST, "slipway.run-id", "slipway.strategy", "total-records"):
            assert said[0][key] == said[1][key], key
        assert said[0][ENGINE] == "spark"


def rows(table: Table) -> list[Any]:
    return sorted(table.scan().to_arrow().to_pylist(), key=str)
