"""A real Spark tries whatever deletes or moves published files. It is refused, and each file is there afterwards with its content."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from tests.integration.s3.conftest import READ, access
from tests.integration.spark.conftest import SparkRun

GC = "GC is disabled"
ATTACKS = {
    "drop": ("drop table {mine}", "it is published, and its readers and rollback need it"),
    "drop-purge": ("drop table {mine} purge", f"{GC}|deletes no files"),
    "drop-another": ("drop table {other}", "cannot be written by run"),
    "drop-another-purge": ("drop table {other} purge", f"{GC}|cannot be written by run"),
    "expire": (
        "call {run}.system.expire_snapshots(table => '{layer}.mine', older_than => timestamp '2100-01-01 00:00:00', retain_last => 1)",
        GC,
    ),
    "expire-another": (
        "call {run}.system.expire_snapshots(table => '{layer}.other', older_than => timestamp '2100-01-01 00:00:00', retain_last => 1)",
        GC,
    ),
    "orphans": (
        "call {run}.system.remove_orphan_files(table => '{layer}.mine', older_than => timestamp '2000-01-01 00:00:00')",
        GC,
    ),
    "collect-garbage": (
        "alter table {mine} set tblproperties ('gc.enabled' = 'true')",
        "engines delete published files",
    ),
    "no-property": (
        "alter table {mine} unset tblproperties ('gc.enabled')",
        "engines delete published files",
    ),
    "location": ("alter table {mine} set location 'file:///tmp/elsewhere'", "its folder is"),
    "location-of-new": (
        "create table {new} (n int) using iceberg location 'file:///tmp/elsewhere'",
        "its folder is",
    ),
    "replace-elsewhere": (
        "create or replace table {mine} using iceberg location 'file:///tmp/elsewhere' as select 1 as n",
        "its folder is|tables do not share files|Invalid S3 URI",
    ),
    "data-path": (
        "alter table {mine} set tblproperties ('write.data.path' = 'file:///tmp/elsewhere')",
        "outside of the table's folder",
    ),
    "version-3": ("alter table {mine} set tblproperties ('format-version' = '3')", "format version 3"),
    "new-version-3": (
        "create table {new} (n int) using iceberg tblproperties ('format-version' = '3')",
        "format version 3",
    ),
    "new-version-3-with-rows": (
        "create table {new} using iceberg tblproperties ('format-version' = '3') as select 1 as n",
        "format version 3",
    ),
    "orc": (
        "create table {new} using iceberg tblproperties ('write.format.default' = 'orc') as select 1 as n",
        "Parquet",
    ),
    "drop-tag": ("alter table {mine} drop tag `release-1`", "a tag keeps the snapshot of a release"),
    "create-tag": ("alter table {mine} create tag mine", "cannot be set by a run"),
    "create-branch": ("alter table {mine} create branch b", "cannot be set by a run"),
    "retention": (
        "alter table {mine} create or replace branch main retain 1 days",
        "Retention|cannot be set by a run",
    ),
    "replace-without-rows": ("create or replace table {mine} (n int) using iceberg", "no current snapshot"),
    "insert-another": ("insert into {other} values (5)", "cannot be written by run"),
    "create-another": ("create table {run}.{layer}.x (n int) using iceberg", "cannot be written by run"),
    "rename": ("alter table {mine} rename to {run}.{layer}.new", "."),
    "drop-namespace": ("drop namespace {run}.{layer} cascade", "."),
    "create-namespace": ("create namespace {run}.elsewhere", "the run makes no table in it"),
}


@pytest.fixture(scope="module")
def run_on_s3(spark: Any, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkRun]:  # noqa: ANN401 - pyspark is an extra
    """A run whose warehouse is on S3; one for all attacks, because nothing of it changes."""
    bucket = f"attacked-{time.time_ns()}"
    boto3.client("s3", **access(endpoint)).create_bucket(Bucket=bucket)
    store = {"s3.endpoint": endpoint, **READ}
    with ExitStack() as stack:
        made = SparkRun(tmp_path_factory.mktemp("s3"), stack, root=f"s3://{bucket}", store=store)
        made.connect(spark)
        yield made


@pytest.mark.server
@pytest.mark.parametrize(("statement", "why"), ATTACKS.values(), ids=ATTACKS)
def test_spark_is_refused_on_s3(run_on_s3: SparkRun, statement: str, why: str) -> None:
    test_spark_is_refused(run_on_s3, statement, why)


@pytest.mark.server
def test_files_on_s3_are_not_deleted_even_by_their_names(run_on_s3: SparkRun) -> None:
    """What Iceberg deletes through its access to the files of a table."""
    java = run_on_s3.spark._jvm
    session = run_on_s3.spark._jsparkSession
    table = java.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(
        session, f"{run_on_s3.catalog_name}.{run_on_s3.layer}.mine"
    )
    for location in (*run_on_s3.published.values(), table.currentSnapshot().manifestListLocation()):
        table.io().deleteFile(location)
    assert table.io().properties()["s3.delete-enabled"] == "false"
    run_on_s3.check_published()


@pytest.mark.parametrize(("statement", "why"), ATTACKS.values(), ids=ATTACKS)
def test_spark_is_refused(run: SparkRun, statement: str, why: str) -> None:
    with pytest.raises(Exception, match=why):
        run.sql(statement)
    run.check_published()
    assert run.catalog.staged(run.names["mine"]) is None
    assert run.catalog.staged(run.names["other"]) is None
    assert run.catalog.staged(run.names["new"]) is None


def test_delete_files_are_refused(run: SparkRun) -> None:
    run.sql("alter table {mine} set tblproperties ('write.delete.mode' = 'merge-on-read')")
    run.sql("insert into {mine} select /*+ coalesce(1) */ id from range(5)")
    with pytest.raises(Exception, match="cannot have delete files"):
        run.sql("delete from {mine} where n = 3")
    run.check_published()


def test_files_of_another_table_are_refused(run: SparkRun) -> None:
    folder = f"{run.place.environment.warehouse}/{run.layer}/other/data"
    with pytest.raises(Exception, match="tables do not share files"):
        run.sql(
            "call {run}.system.add_files(table => '{layer}.mine', source_table => '`parquet`.`"
            + folder
            + "`')"
        )
    run.check_published()


def test_snapshots_that_were_staged_are_not_expired_either(run: SparkRun) -> None:
    run.sql("insert into {mine} values (5)")
    run.sql("insert overwrite {mine} values (6)")
    with pytest.raises(Exception, match=GC):
        run.sql(
            "call {run}.system.expire_snapshots(table => '{layer}.mine', older_than => timestamp '2100-01-01 00:00:00', retain_last => 1)"
        )
    with pytest.raises(Exception, match=f"{GC}|deletes no files"):
        run.sql("drop table {mine} purge")
    assert run.sql("select * from {mine}") == [(6,)]
    run.check_published()
