"""pyiceberg's own client reads and writes through the catalog of a run, and what it commits is a candidate like any other."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from pyiceberg.exceptions import (
    CommitFailedException,
    ForbiddenError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.update import AssertRefSnapshotId, SetPropertiesUpdate
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import IntegerType, LongType, NestedField, StringType
from tests.harness.catalog_runs import RUN, CatalogRun, numbers

from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.records.release_records import CandidateTable, Intent
from slipway.records.run_manifest import Code
from slipway.releases.candidates import _leads_there, record_of, staged_of
from slipway.releases.publication import release
from slipway.run_catalog.catalog import served

SCHEMA = Schema(NestedField(1, "n", IntegerType()), NestedField(2, "word", StringType()))
WORDS = pa.table({"n": pa.array([1, 2], pa.int32()), "word": ["a", "b"]})


def test_what_a_client_sees_is_what_was_published(run: CatalogRun) -> None:
    client = run.client()
    assert client.list_namespaces() == [(run.layer,)]
    assert client.list_tables(run.layer) == [(run.layer, "mine"), (run.layer, "other")]
    assert client.load_table((run.layer, "other")).scan().to_arrow().to_pydict() == {"n": [2]}
    assert client.table_exists((run.layer, "mine"))
    assert not client.table_exists((run.layer, "new"))
    with pytest.raises(NoSuchTableError, match="not published when the run began"):
        client.load_table((run.layer, "new"))
    with pytest.raises(NoSuchNamespaceError):
        client.list_tables("nowhere")


def test_reads_are_pinned_to_one_look(run: CatalogRun) -> None:
    run.place.publish(layer_mine=10, layer_other=20, layer_later=30)
    client = run.client()
    assert client.load_table((run.layer, "other")).scan().to_arrow().to_pydict() == {"n": [2]}
    assert (run.layer, "later") not in client.list_tables(run.layer)


def test_a_commit_is_staged_and_nobody_else_sees_it(run: CatalogRun) -> None:
    table = run.client().load_table((run.layer, "mine"))
    table.append(numbers(5))
    assert sorted(table.scan().to_arrow()["n"].to_pylist()) == [1, 5]
    assert sorted(run.client().load_table((run.layer, "mine")).scan().to_arrow()["n"].to_pylist()) == [1, 5]
    run.check_published()
    staged = run.staged("mine")
    assert staged.base == run.published[run.names["mine"]]
    assert staged.table.metadata_location != staged.base
    current = staged.table.current_snapshot()
    assert current is not None
    assert current.summary is not None
    assert current.summary["slipway.run-id"] == RUN
    assert current.summary["slipway.engine"] == "test"


def test_several_commits_lead_from_the_base_to_one_metadata_file(run: CatalogRun) -> None:
    table = run.client().load_table((run.layer, "mine"))
    table.append(numbers(5))
    with table.update_schema() as evolving:
        evolving.add_column("word", StringType())
    table.append(WORDS)
    table.overwrite(WORDS.slice(0, 1))
    run.check_published()
    staged = run.staged("mine")
    log = [entry.metadata_file for entry in staged.table.metadata.metadata_log]
    assert log[-1] == staged.base
    assert staged.table.scan().to_arrow().sort_by("n").to_pydict() == {"n": [1], "word": ["a"]}
    confirmed = run.catalog.confirm(run.names["mine"], "release-9", lambda content: {"of": str(content)})
    assert confirmed.base == staged.base
    assert _leads_there(run.place.tables, confirmed, 9)
    record = CandidateTable.model_validate_json(record_of(confirmed, 9))
    assert staged_of(run.place.tables, record).updates == confirmed.updates


@pytest.mark.parametrize("stages", [False, True], ids=["at-once", "with-its-rows"])
def test_a_table_is_created(run: CatalogRun, stages: bool) -> None:
    client = run.client()
    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "n"))
    if stages:
        with client.create_table_transaction((run.layer, "new"), SCHEMA, partition_spec=spec) as transaction:
            transaction.append(WORDS)
    else:
        client.create_table((run.layer, "new"), SCHEMA, partition_spec=spec).append(WORDS)
    table = client.load_table((run.layer, "new"))
    assert table.location() == f"{run.place.environment.warehouse}/{run.layer}/new"
    assert table.scan().to_arrow().sort_by("n").to_pydict() == {"n": [1, 2], "word": ["a", "b"]}
    run.check_published()
    staged = run.catalog.confirm(run.names["new"], "release-9")
    assert staged.base is None
    assert _leads_there(run.place.tables, staged, 9)
    with pytest.raises(TableAlreadyExistsError):
        client.create_table((run.layer, "new"), SCHEMA)


def test_what_was_staged_is_published_by_a_release(run: CatalogRun) -> None:
    client = run.client()
    client.create_table((run.layer, "new"), SCHEMA).append(WORDS)
    client.load_table((run.layer, "mine")).append(numbers(5))
    records, number = run.place.records, run.place.records.reserve()
    staged = [run.catalog.confirm(run.names[name], f"release-{number}") for name in ("new", "mine")]
    for item in staged:
        records.write(RUN, f"candidate/{item.identifier}.json", record_of(item, number))
    run.check_published()
    intent = Intent(number=number, run_id=RUN, code=Code(commit=None, dirty=True))
    cut = release(run.place.tables, records, staged, intent)
    assert {name for name, table in cut.tables.items() if table.changed} == {
        str(run.names["new"]),
        str(run.names["mine"]),
    }
    assert cut.tables[str(run.names["mine"])].run_id == RUN
    catalog = run.place.catalog()
    mine = catalog.load_table((run.layer, "mine"))
    assert sorted(mine.scan().to_arrow()["n"].to_pylist()) == [1, 5]
    assert f"release-{number}" in mine.refs()
    assert "gc.enabled" not in mine.properties
    assert catalog.load_table((run.layer, "new")).scan().to_arrow().num_rows == 2
    run.place.commit("layer.mine")  # another program goes on with it


def test_rows_of_nobody_cannot_be_confirmed(run: CatalogRun) -> None:
    run.client().create_table((run.layer, "new"), SCHEMA)
    for name in ("new", "mine"):
        with pytest.raises(Exception, match="no snapshot of it was committed"):
            run.catalog.confirm(run.names[name], "release-9")


def test_a_table_that_duckdb_staged_is_shown_and_written_on(run: CatalogRun) -> None:
    tables, name = run.place.tables, run.names["mine"]
    base = tables.load(name, run.published[name])
    request = WriteRequest(name, "select 7 as n", "replace", RUN, "release-9")
    run.catalog.show(write(run.place.connection, tables, base, request).staged)
    table = run.client().load_table(name)
    assert table.scan().to_arrow()["n"].to_pylist() == [7]
    table.append(numbers(8))
    assert sorted(table.scan().to_arrow()["n"].to_pylist()) == [7, 8]
    assert _leads_there(tables, run.catalog.confirm(name, "release-9"), 9)
    run.check_published()


def test_files_are_shown_as_nobodys_to_delete_and_stored_as_they_are(run: CatalogRun) -> None:
    client = run.client()
    assert client.properties["s3.delete-enabled"] == "false"
    table = client.load_table((run.layer, "mine"))
    assert table.properties["gc.enabled"] == "false"
    assert table.properties["write.parquet.compression-codec"] == "zstd"  # Java's own default is gzip
    with table.transaction() as transaction:
        transaction.set_properties({"gc.enabled": "false", "owner": "ana"})
    assert run.staged("mine").table.properties["owner"] == "ana"
    assert {"gc.enabled", "write.parquet.compression-codec"}.isdisjoint(run.staged("mine").table.properties)
    created = client.create_table((run.layer, "new"), SCHEMA, properties={"gc.enabled": "false", "a": "b"})
    assert created.properties["gc.enabled"] == "false"
    assert run.staged("new").table.properties == {"a": "b"}


def test_a_table_of_this_run_may_be_dropped_and_made_anew(run: CatalogRun) -> None:
    client = run.client()
    client.create_table((run.layer, "new"), SCHEMA).append(WORDS)
    with pytest.raises(ForbiddenError, match="new in this run, and its schema cannot change"):
        client.load_table((run.layer, "new")).update_schema().add_column("more", LongType()).commit()
    with pytest.raises(ForbiddenError, match="deletes no files"):
        client.purge_table((run.layer, "new"))
    files = run.files()
    client.drop_table((run.layer, "new"))
    assert run.files() == files
    assert not client.table_exists((run.layer, "new"))
    wider = Schema(*SCHEMA.fields, NestedField(3, "more", LongType()))
    assert client.create_table((run.layer, "new"), wider).schema().column_names == ["n", "word", "more"]


def test_of_two_clients_that_change_the_same_table_one_has_to_repeat_it(run: CatalogRun) -> None:
    one, other = (run.client().load_table(run.names["mine"]) for _ in range(2))
    one.append(numbers(5))
    before = AssertRefSnapshotId(ref="main", snapshot_id=other.metadata.current_snapshot_id)
    with pytest.raises(CommitFailedException, match="not made for its present state"):
        other.catalog.commit_table(other, (before,), (SetPropertiesUpdate(updates={"a": "b"}),))
    assert sorted(one.refresh().scan().to_arrow()["n"].to_pylist()) == [1, 5]
    run.check_published()


def test_clients_that_commit_at_once_lose_nothing(run: CatalogRun) -> None:
    barrier = threading.Barrier(4)

    def append(value: int) -> None:
        client = run.client()
        barrier.wait()
        while True:
            table = client.load_table((run.layer, "mine"))
            try:
                table.append(numbers(value))
            except CommitFailedException:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(10, 14)))
    table = run.client().load_table((run.layer, "mine"))
    assert sorted(table.scan().to_arrow()["n"].to_pylist()) == [1, 10, 11, 12, 13]
    run.check_published()


def test_a_client_may_ask_for_the_snapshots_that_have_a_name(run: CatalogRun) -> None:
    run.client().load_table((run.layer, "mine")).append(numbers(5))
    run.client().load_table((run.layer, "mine")).append(numbers(6))
    whole = json.loads(run.ask("GET", run.path("mine")).text)["metadata"]["snapshots"]
    named = json.loads(run.ask("GET", run.path("mine") + "?snapshots=refs").text)["metadata"]["snapshots"]
    assert len(whole) == 3
    assert [one["snapshot-id"] for one in named] == [whole[0]["snapshot-id"], whole[2]["snapshot-id"]]
    assert json.loads(served(run.staged("mine").table.metadata))["properties"]["gc.enabled"] == "false"


def test_columns_keep_their_ids_as_pyiceberg_applies_them_to_a_local_table(run: CatalogRun) -> None:
    local = run.place.catalog().create_table((run.layer, "local"), SCHEMA)
    run.client().create_table((run.layer, "new"), SCHEMA)
    assert run.staged("new").table.schema() == local.schema()
    assert schema_to_pyarrow(run.staged("new").table.schema()) == schema_to_pyarrow(local.schema())
