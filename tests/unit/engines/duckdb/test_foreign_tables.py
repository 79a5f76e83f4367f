"""Tables that another tool wrote: read right, built on where that is safe, and otherwise refused in one line."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.update import SetSnapshotRefUpdate
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import IntegerType, ListType, LongType, NestedField, StringType
from tests.harness.delete_files import deleted

from slipway.engines.duckdb.compact import Shorten, check_compactable, stage_shortened
from slipway.engines.duckdb.target import check_readable
from slipway.errors import ConfigError, ConflictError, ContractError, SlipwayError
from slipway.iceberg.commit import publish
from slipway.iceberg.snapshots import Staging, release_tags
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

STRATEGIES = ("append", "merge", "delete+insert", "insert_overwrite")


def delete(lake: Lake, kind: str) -> None:
    """Let another tool delete the row with k = 1."""
    transaction = deleted(lake.table, kind)
    lake.base = lake.tables.stage(lake.table, transaction, new=False).table


@pytest.mark.parametrize("kind", ["position", "equality"])
def test_deletes_are_applied_by_the_reader_and_refused_by_the_writer(lake: Lake, kind: str) -> None:
    lake.write("select range as k, range * 10 as v from range(3)")
    delete(lake, kind)
    assert lake.by_duckdb() == [(0, 0), (2, 20)]
    assert lake.connection.execute(f"select count(*) from {lake.scan}").fetchall() == [(2,)]
    for strategy in STRATEGIES:
        with pytest.raises(
            ContractError, match=r"layer.thing has delete files: another tool wrote them.*--full-refresh"
        ):
            lake.write("select 2::bigint as k, 21::bigint as v", strategy, unique_key=["k"])
    lake.write("select 2::bigint as k, 21::bigint as v")
    lake.write("select 3::bigint as k, 22::bigint as v", "merge", unique_key=["k"])
    lake.check([(2, 21), (3, 22)])


def foreign(lake: Lake, schema: Schema, rows: dict[str, list[Any]], version: int = 2) -> None:
    """A table that pyiceberg made."""
    catalog = lake.tables.catalog
    catalog.create_namespace_if_not_exists("layer")
    table = catalog.create_table(("layer", "thing"), schema, properties={"format-version": str(version)})
    table.append(pa.table(rows, schema=schema.as_arrow()))
    lake.base = catalog.load_table(("layer", "thing"))


PLAIN = Schema(NestedField(1, "k", LongType()), NestedField(2, "v", LongType()))


def test_format_version_1_is_read_and_raised_by_a_full_build(lake: Lake) -> None:
    foreign(lake, PLAIN, {"k": [1, 2], "v": [3, 4]}, version=1)
    assert lake.by_duckdb() == lake.by_pyiceberg() == lake.by_datafusion() == [(1, 3), (2, 4)]
    for strategy in STRATEGIES:
        with pytest.raises(
            ContractError,
            match=r"layer.thing has format version 1: .*written as version 2. Run with --full-refresh",
        ):
            lake.write("select 2::bigint as k, 1::bigint as v", strategy, unique_key=["k"])
    before, first = lake.table.metadata.table_uuid, lake.table.current_snapshot()
    assert first is not None
    lake.write("select 2::bigint as k, 1::bigint as v", partitioned_by=["k"])
    assert (lake.table.format_version, lake.table.metadata.table_uuid) == (2, before)
    lake.write("select 3::bigint as k, 1::bigint as v", "append", partitioned_by=["bucket(2, k)"])
    lake.check([(2, 1), (3, 1)])
    assert lake.table.scan(snapshot_id=first.snapshot_id).to_arrow().num_rows == 2


def test_format_version_3_is_refused(lake: Lake) -> None:
    lake.write("select 1 as k")
    path = Path(lake.table.metadata_location.removeprefix("file://"))
    metadata = json.loads(path.read_text())
    metadata |= {"format-version": 3, "next-row-id": 1}
    for snapshot in metadata["snapshots"]:
        snapshot |= {"first-row-id": 0, "added-rows": 1}
    newer = path.with_name(f"00007-{uuid.uuid4()}.metadata.json")
    newer.write_text(json.dumps(metadata))
    check_readable(lake.table)
    lake.base = lake.tables.load(TableName("layer", "thing"), f"file://{newer}")
    with pytest.raises(
        ContractError, match=r"layer.thing has format version 3: .*Have that tool write version 2"
    ):
        check_readable(lake.table)
    for strategy in ("replace", *STRATEGIES):
        with pytest.raises(
            ContractError, match=r"layer.thing has format version 3: .*another alias or drop the table"
        ):
            lake.write("select 1 as k", strategy, unique_key=["k"])


@pytest.mark.parametrize("version", ["1", "3"])
def test_another_format_version_cannot_be_asked_for(lake: Lake, version: str) -> None:
    with pytest.raises(ConfigError, match=f"table_properties format-version {version}: .*Leave it out"):
        lake.write("select 1 as k", table_properties={"format-version": version})
    lake.write("select 1 as k", table_properties={"format-version": "2"})
    with pytest.raises(ConfigError, match=f"table_properties format-version {version}"):
        lake.write("select 1 as k", table_properties={"format-version": version})


def test_a_required_column_stays_free_of_null(lake: Lake) -> None:
    schema = Schema(NestedField(1, "k", LongType(), required=True), NestedField(2, "v", StringType()))
    foreign(lake, schema, {"k": [1], "v": ["a"]})
    lake.write("select 2::bigint as k, 'b' as v", "append")
    lake.check([(1, "a"), (2, "b")])
    assert lake.table.schema().find_field("k").required
    with pytest.raises(ContractError, match="Column k is required in the table and NULL in 1 row"):
        lake.write("select null::bigint as k, 'c' as v", "append")
    lake.write("select null::bigint as k, 'c' as v")
    lake.check([(None, "c")])


def test_row_identifiers_stay_while_their_columns_do(lake: Lake) -> None:
    fields = [NestedField(1, "k", LongType(), required=True), NestedField(2, "v", StringType())]
    foreign(lake, Schema(*fields, identifier_field_ids=[1]), {"k": [1], "v": ["a"]})
    more = "select 2::bigint as k, 'b' as v, 1 as w"
    lake.write(more, "append", on_schema_change="append_new_columns")
    assert lake.table.schema().identifier_field_ids == [1]
    lake.check([(1, "a", None), (2, "b", 1)])
    lake.write("select 3::bigint as k")  # of a full build any column may be NULL, which identifiers may not
    assert lake.table.schema().identifier_field_ids == []


def test_required_parts_of_a_column_are_refused(lake: Lake) -> None:
    foreign(lake, Schema(NestedField(1, "l", ListType(2, LongType(), element_required=True))), {"l": [[1]]})
    with pytest.raises(ContractError, match=r"l\.element is required in the table"):
        lake.write("select [2::bigint] as l", "append")
    lake.write("select [2::bigint, null] as l")
    lake.check([([2, None],)])


def test_a_merge_into_a_table_of_another_tool(lake: Lake) -> None:
    foreign(lake, PLAIN, {"k": [1, 2, 3], "v": [1, 1, 1]})
    lake.write("select 2::integer as K, 9::smallint as v", "merge", unique_key=["k"])
    lake.check([(1, 1), (2, 9), (3, 1)])


NEW = "select 1::bigint as k, 99::bigint as v"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_files_without_field_ids_are_not_built_on(lake: Lake, strategy: str) -> None:
    catalog = lake.tables.catalog
    catalog.create_namespace_if_not_exists("layer")
    table = catalog.create_table(("layer", "thing"), PLAIN)
    path = lake.folder / "added.parquet"
    parquet.write_table(pa.table({"k": [1, 2], "v": [10, 20]}), path)
    table.add_files([f"file://{path}"])
    lake.base = catalog.load_table(("layer", "thing"))
    assert lake.by_duckdb() == lake.by_pyiceberg() == [(1, 10), (2, 20)]
    options: dict[str, Any] = {"unique_key": ["k"], "partitioned_by": ["bucket(2, k)"]}
    with pytest.raises(ContractError, match=r"not read by field id, such as added.parquet: .*--full-refresh"):
        lake.write(NEW, strategy, **options)
    lake.write("select unnest([1, 2])::bigint as k, 3::bigint as v", **options)
    lake.write(NEW, strategy, **options)  # the mapping of names is still there, and so is every id
    assert (1, 99) in lake.by_duckdb()
    assert lake.by_duckdb() == lake.by_pyiceberg()


@pytest.mark.parametrize("strategy", ["merge", "delete+insert"])
def test_files_without_the_column_of_their_partition_are_not_built_on(lake: Lake, strategy: str) -> None:
    catalog = lake.tables.catalog
    catalog.create_namespace_if_not_exists("layer")
    schema = Schema(*PLAIN.fields, NestedField(3, "p", StringType()))
    spec = PartitionSpec(PartitionField(3, 1000, IdentityTransform(), "p"))
    table = catalog.create_table(("layer", "thing"), schema, partition_spec=spec)
    written = pa.table({"k": [1, 2], "v": [10, 20], "p": ["a", "a"]}, schema=schema.as_arrow())
    table.append(written)
    lake.base = catalog.load_table(("layer", "thing"))
    options: dict[str, Any] = {"unique_key": ["k"], "partitioned_by": ["p"]}
    lake.write(f"{NEW}, 'a' as p", strategy, **options)
    assert lake.by_pyiceberg() == [(1, 99, "a"), (2, 20, "a")]

    lake.base = table = catalog.load_table(("layer", "thing"))
    manifest = without_counts(table, drop="p")
    lake.base = manifest
    with pytest.raises(ContractError, match=r"not read by field id, .*--full-refresh"):
        lake.write(f"{NEW}, 'a' as p", strategy, **options)


def without_counts(table: Table, drop: str) -> Table:
    """The table with a file in place of its own that has neither the column nor counts of it, as Hive leaves them."""
    (task,) = table.scan().plan_files()
    path = task.file.file_path.removeprefix("file://")
    content = parquet.read_table(path, partitioning=None)
    parquet.write_table(content.drop_columns([drop]), path)
    number = table.schema().find_field(drop).field_id
    transaction = Staging(table)
    with transaction.update_snapshot().overwrite() as change:
        change.delete_data_file(task.file)
        counts = {key: count for key, count in task.file.null_value_counts.items() if key != number}
        file = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=task.file.file_path,
            file_format=FileFormat.PARQUET,
            partition=task.file.partition,
            record_count=task.file.record_count,
            file_size_in_bytes=Path(path).stat().st_size,
            null_value_counts=counts,
            value_counts=counts,
        )
        file.spec_id = task.file.spec_id
        change.append_data_file(file)
    return Table(table.name(), transaction.table_metadata, table.metadata_location, table.io, table.catalog)


@pytest.mark.parametrize("how", ["renamed", "removed and added again"])
def test_structs_that_another_tool_changed_are_not_put_together(lake: Lake, how: str) -> None:
    for number in range(3):
        lake.write(f"select {{'a': {number}, 'c': 'x'}} as s", "append")
    catalog = lake.tables.catalog
    catalog.create_namespace_if_not_exists("layer")
    table = catalog.register_table(("layer", "thing"), lake.table.metadata_location)
    if how == "renamed":
        table.update_schema().rename_column("s.a", "amount").commit()
    else:
        table.update_schema().delete_column("s.a").commit()
        table.update_schema().add_column(("s", "a"), IntegerType()).commit()
    lake.base = catalog.load_table(("layer", "thing"))
    files = sorted(lake.files())
    shorten = Shorten(TableName("layer", "thing"), lake.table.metadata_location, [files])
    for refused in (
        lambda: check_compactable(lake.table),
        lambda: stage_shortened(lake.connection, lake.tables, shorten, "compacted"),
    ):
        with pytest.raises(SlipwayError, match=r"is not compacted: in column s another tool renamed a field"):
            refused()


def test_only_tags_of_releases_are_taken_for_such(lake: Lake) -> None:
    lake.write("select 1::bigint as k")
    catalog = lake.tables.catalog
    catalog.create_namespace_if_not_exists("layer")
    table = catalog.register_table(("layer", "thing"), lake.table.metadata_location)
    (snapshot,) = table.metadata.snapshots
    number = snapshot.snapshot_id
    table.manage_snapshots().create_tag(number, "release-2024-audit").create_branch(
        number, "release-7"
    ).commit()
    assert release_tags(catalog.load_table(("layer", "thing")).metadata) == ["release-1"]


@pytest.mark.parametrize("move", ["forward", "back"])
def test_what_rests_on_expired_snapshots_is_a_conflict(lake: Lake, move: str) -> None:
    """Another program's expiry changes no row, so what was staged before it may have nothing left to stand on."""
    catalog = lake.tables.catalog
    catalog.create_namespace_if_not_exists("layer")
    for number in range(3):
        lake.write(f"select {number}::bigint as k")
    catalog.register_table(("layer", "thing"), lake.table.metadata_location)
    first, second, _ = [snapshot.snapshot_id for snapshot in lake.table.metadata.snapshots]
    gone = [first] if move == "forward" else [first, second]
    shorten = Shorten(
        TableName("layer", "thing"),
        lake.table.metadata_location,
        (),
        gone,
        [f"release-{n + 1}" for n in range(len(gone))],
    )
    staged = [stage_shortened(lake.connection, lake.tables, shorten, "x") for _ in range(2)]
    if move == "back":
        state = lake.tables.load(TableName("layer", "thing"), lake.table.metadata_location)
        transaction = Staging(state)
        transaction._stage((SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=first),))  # type: ignore[call-arg]
        staged[1] = lake.tables.stage(state, transaction, new=False)
    publish(lake.tables, staged[:1])
    with pytest.raises(
        ConflictError, match=r"layer\.thing moved: someone else changed it, or let snapshots expire"
    ):
        publish(lake.tables, staged[1:])
