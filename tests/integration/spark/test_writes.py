"""What Spark writes through the catalog of a run is staged, published by a release, and read by others as Spark meant it."""

from __future__ import annotations

import pytest
from tests.harness.catalog_runs import RUN
from tests.integration.spark.conftest import SparkRun

from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.scan import scan_of
from slipway.engines.duckdb.writer import write
from slipway.iceberg.earlier_states import missing_file
from slipway.records.release_records import Intent
from slipway.records.run_manifest import Code
from slipway.releases.attestation import list_of
from slipway.releases.candidates import _leads_there, record_of
from slipway.releases.publication import release

WRITES = {
    "insert": (["insert into {mine} values (5), (null)"], [(1,), (5,), (None,)]),
    "overwrite": (["insert overwrite {mine} values (5)"], [(5,)]),
    "delete": (["insert into {mine} values (5)", "delete from {mine} where n = 1"], [(5,)]),
    "update": (["update {mine} set n = n + 1"], [(2,)]),
    "merge": (
        [
            (
                "merge into {mine} as t using (select explode(array(1, 2)) as n) as s on t.n = s.n"
                " when matched then update set n = 10 when not matched then insert *"
            )
        ],
        [(10,), (2,)],
    ),
    "replace": (["create or replace table {mine} using iceberg as select 7 as n"], [(7,)]),
    "evolve": (
        ["alter table {mine} add column word string", "insert into {mine} values (2, 'b')"],
        [(1, None), (2, "b")],
    ),
    "widen": (
        ["alter table {mine} alter column n type bigint", "insert into {mine} values (3000000000)"],
        [(1,), (3000000000,)],
    ),
    "partition": (
        ["alter table {mine} add partition field n", "insert into {mine} values (2)"],
        [(1,), (2,)],
    ),
    "order": (["alter table {mine} write ordered by n desc", "insert into {mine} values (2)"], [(1,), (2,)]),
    "property": (
        ["alter table {mine} set tblproperties ('a' = 'b')", "insert into {mine} values (2)"],
        [(1,), (2,)],
    ),
    "compact": (
        [
            "insert into {mine} values (2)",
            "insert into {mine} values (3)",
            "call {run}.system.rewrite_data_files(table => '{layer}.mine', options => map('min-input-files', '2', 'rewrite-all', 'true'))",
        ],
        [(1,), (2,), (3,)],
    ),
    "manifests": (
        ["insert into {mine} values (2)", "call {run}.system.rewrite_manifests(table => '{layer}.mine')"],
        [(1,), (2,)],
    ),
}


@pytest.mark.parametrize(("statements", "expected"), WRITES.values(), ids=WRITES)
def test_a_published_table_is_written(
    run: SparkRun, statements: list[str], expected: list[tuple[object, ...]]
) -> None:
    for statement in statements:
        run.sql(statement)
    wanted = sorted(expected, key=str)
    assert sorted(run.sql("select * from {mine}"), key=str) == wanted
    run.check_published()
    check_and_publish(run, "mine")
    check_by_slipway(run, "mine")
    shown = run.place.catalog().load_table(run.names["mine"])
    assert sorted((tuple(row.values()) for row in shown.scan().to_arrow().to_pylist()), key=str) == wanted


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(["create table {new} using iceberg as select id as n from range(3)"], id="with-rows"),
        pytest.param(
            ["create table {new} (n bigint) using iceberg", "insert into {new} select id from range(3)"],
            id="before",
        ),
        pytest.param(
            [
                "create table {new} using iceberg as select 'x' as word",
                "drop table {new}",
                "create table {new} using iceberg partitioned by (bucket(2, n)) as select id as n from range(3)",
            ],
            id="anew",
        ),
    ],
)
def test_a_table_is_made(run: SparkRun, statements: list[str]) -> None:
    for statement in statements:
        run.sql(statement)
    run.check_published()
    check_and_publish(run, "new")
    shown = run.place.catalog().load_table(run.names["new"])
    assert sorted(shown.scan().to_arrow()["n"].to_pylist()) == [0, 1, 2]
    assert "gc.enabled" not in shown.properties


def test_spark_reads_what_was_published_when_the_run_began(run: SparkRun) -> None:
    run.place.publish(layer_mine=10, layer_other=20)
    assert run.sql("select n from {mine} union all select n from {other}") == [(1,), (2,)]
    assert run.sql("select count(*) from {mine}.snapshots") == [(1,)]


def check_and_publish(run: SparkRun, name: str) -> None:
    """Publish a table as a run does, whose candidate record leads from the base to it."""
    records, number = run.place.records, run.place.records.reserve()
    staged = run.catalog.confirm(run.names[name], f"release-{number}")
    assert _leads_there(run.place.tables, staged, number)
    records.write(RUN, f"candidate/{staged.identifier}.json", record_of(staged, number))
    cut = release(
        run.place.tables,
        records,
        [staged],
        Intent(number=number, run_id=RUN, code=Code(commit=None, dirty=True)),
    )
    assert cut.tables[str(run.names[name])].changed
    summary = staged.table.metadata.snapshots[-1].summary
    assert summary is not None
    assert (summary["slipway.run-id"], summary["engine-name"]) == (RUN, "spark")


def check_by_slipway(run: SparkRun, name: str) -> None:
    """Slipway finds all files that Spark wrote, under the names that Java gives them, and writes on top of its rows."""
    tables, identifier = run.place.tables, run.names[name]
    table = tables.load(identifier, tables.locations()[identifier])
    environment = run.place.environment
    assert missing_file(table, environment.catalog_properties) is None
    listed = list_of(table, environment, {})
    assert listed.files
    assert all(file.path.startswith(f"{run.layer}/{name}/data/") for file in listed.files)
    columns = ", ".join(table.schema().column_names)
    before = {tuple(row.values()) for row in table.scan().to_arrow().to_pylist()}
    sql = f"select {columns} from {scan_of(table.metadata_location)} where n is not null limit 1"
    request = WriteRequest(identifier, sql, "merge", RUN, "release-99", unique_key=("n",))
    merged = write(run.place.connection, tables, table, request).staged.table
    assert {tuple(row.values()) for row in merged.scan().to_arrow().to_pylist()} == before
    assert merged.scan().to_arrow().num_rows == len(before)
