"""Names that tell the content: no changed byte of a table's metadata is read, wherever it is."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.manifest import clear_manifest_cache
from pyiceberg.table import Table, TableProperties
from tests.unit.iceberg.files import local, manifest, manifest_list

from slipway.engines.duckdb.compact import Shorten, stage_shortened
from slipway.errors import ConflictError, DamagedTableError
from slipway.iceberg import snapshots
from slipway.iceberg.commit import publish
from slipway.iceberg.file_io import NamingFiles, check, is_named, name_of
from slipway.iceberg.metadata_files import check_whole
from slipway.iceberg.tables import Tables
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

NAMED = TableName("layer", "thing")


def metadata(table: Table) -> Path:
    return local(table.metadata_location)


def read(lake: Lake) -> None:
    """What comes before a table is read, in a process that has not looked at it yet."""
    clear_manifest_cache()
    check_whole(Tables(lake.tables.environment).load_to_read(NAMED, lake.table.metadata_location))


def test_what_is_not_written_to_its_end_is_not_stored(lake: Lake) -> None:
    folder = f"{lake.tables.environment.warehouse}/half"
    output = NamingFiles(lake.tables.io(folder), "PART").new_output(f"{folder}/PART.avro")

    def halves() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"), output.create() as stream:
        stream.writelines(halves())  # type: ignore[attr-defined]
    assert not local(folder).exists()
    with output.create() as stream:
        stream.write(b"whole")
    assert [file.name for file in local(folder).iterdir()] == [f"{name_of(b'whole')}.avro"]


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_name_tells_one_content(content: bytes, other: bytes) -> None:
    name = uuid.UUID(name_of(content))
    assert (name.version, name.variant) == (8, uuid.RFC_4122)
    bits = int.from_bytes(hashlib.sha256(content).digest()[:16])
    kept = (1 << 128) - 1 - (0xF << 76) - (0x3 << 62)
    assert name.int & kept == bits & kept
    for location in (
        f"s3://b/t/metadata/00007-{name}.metadata.json",
        f"/t/snap-71-0-{name}.avro",
        f"{name}-m0.avro",
    ):
        assert is_named(location)
        check(location, content)
        if other != content:
            with pytest.raises(DamagedTableError, match=f"{name}.*: it does not hold what was written"):
                check(location, other)


@given(st.uuids(version=4), st.uuids(version=1))
def test_other_names_tell_nothing(one: uuid.UUID, other: uuid.UUID) -> None:
    eighth = name_of(b"")
    for location in (
        f"/t/{one}-m0.avro",
        f"/t/00001-{other}.metadata.json",
        "/t/snap-1-0.avro",
        f"/{eighth}/a.avro",
    ):
        assert not is_named(location)
        check(location, b"anything")


def test_every_file_of_the_metadata_is_named(lake: Lake) -> None:
    """After every kind of snapshot: of all rows, of some, of none, of merged manifests and of compacted files."""
    few = {TableProperties.MANIFEST_MIN_MERGE_COUNT: "2"}
    lake.write("select i as id, i % 2 as p from range(6) as t(i)", partitioned_by=["p"], table_properties=few)
    lake.write("select 9 as id, 0 as p", "append", partitioned_by=["p"])
    lake.write("select 1 as id, 0 as p", "merge", partitioned_by=["p"], unique_key=["id"])
    lake.write("select 2 as id, 0 as p", "delete+insert", partitioned_by=["p"], unique_key=["id"])
    lake.write("select 3 as id, 1 as p", "insert_overwrite", partitioned_by=["p"])
    files = [file for file in lake.files() if lake.table.scan().plan_files()]
    small = [task.file.file_path for task in lake.table.scan().plan_files() if task.file.partition[0] == 0]
    assert len(small) > 1
    shorten = Shorten(NAMED, lake.table.metadata_location, bins=[small])
    lake.base = stage_shortened(lake.connection, lake.tables, shorten, "put-together").table
    lake.write("select 1 as id, 1 as p where false", partitioned_by=["p"])
    assert files
    folder = metadata(lake.table).parent
    paths = sorted(folder.iterdir())
    assert len(paths) > 15
    for path in paths:
        assert is_named(path.name), path.name
        check(path.name, path.read_bytes())
    assert not [path for path in folder.rglob("*") if path.is_dir()]
    lake.check([])


@pytest.mark.parametrize("file", [metadata, manifest_list, manifest])
def test_no_changed_byte_is_read(lake: Lake, file: Callable[[Table], Path]) -> None:
    lake.write("select i as id, 'x' || i as name from range(100) as t(i)")
    read(lake)
    path = file(lake.table)
    content = path.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 150)):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        with pytest.raises(DamagedTableError, match=path.name):
            read(lake)
    for other in (b"", content[:-1], content + b"\n", bytes(len(content))):
        path.write_bytes(other)
        with pytest.raises(DamagedTableError, match=path.name):
            read(lake)
    path.write_bytes(content)
    read(lake)


def test_a_bound_that_was_changed(lake: Lake) -> None:
    """The case that no count finds: DuckDB leaves out a file by its bounds, and a row is missing."""
    plain = {TableProperties.WRITE_AVRO_COMPRESSION: "null"}
    lake.write("select 'needle' as name", table_properties=plain)
    path = manifest(lake.table)
    content = path.read_bytes()
    assert content.count(b"needle") == 2
    path.write_bytes(content.replace(b"needle", b"aeedle"))
    found = lake.connection.execute(f"select count(*) from {lake.scan} where name = 'needle'").fetchall()
    assert found == [(0,)]
    with pytest.raises(DamagedTableError, match=path.name):
        read(lake)


def test_a_damaged_table_is_written_again(lake: Lake) -> None:
    """By a full build, whose rows are the same; what adds to it refuses."""
    query = "from (values (1, 'a'), (2, 'b')) as t(id, name)"
    lake.write(query)
    manifest(lake.table).write_bytes(b"")
    clear_manifest_cache()
    with pytest.raises(DamagedTableError, match=r"-m0\.avro: it does not hold"):
        lake.write("select 1 as id, 'c' as name", "merge", unique_key=["id"])
    result = lake.write(query)
    assert not result.same_content
    read(lake)
    lake.check([(1, "a"), (2, "b")])
    assert lake.write(query).same_content


def test_a_table_of_another_program(lake: Lake) -> None:
    """Its manifests are counted; those that slipway adds are named, and what was there stays as it is."""
    lake.write("select 1 as id")
    catalog = lake.tables.catalog
    catalog.create_namespace(NAMED[0])
    theirs = catalog.register_table(".".join(NAMED), lake.table.metadata_location)
    theirs.append(theirs.scan().to_arrow())
    lake.base = lake.tables.load(NAMED, theirs.metadata_location)
    assert not is_named(lake.table.metadata_location)
    read(lake)
    lake.write("select 2 as id", "append")
    read(lake)
    assert is_named(lake.table.metadata_location)
    lake.check([(1,), (1,), (2,)])


class Still(dt.datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Still:
        return cls(2100, 1, 1, tzinfo=tz)


@pytest.mark.parametrize("stopped", [False, True])
def test_the_same_content_in_one_millisecond_is_one_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """Two processes maintain a table at once: both write the same metadata, and one of them moves the table."""
    catalog = lake.tables.catalog
    catalog.create_namespace_if_not_exists("layer")
    for number in range(2):
        lake.write(f"select {number}::bigint as k")
    catalog.register_table(NAMED, lake.table.metadata_location)
    first, second = [snapshot.snapshot_id for snapshot in lake.table.metadata.snapshots]
    shorten = Shorten(NAMED, lake.table.metadata_location, (), [first], ["release-1"])
    monkeypatch.setattr(snapshots, "datetime", Still)
    one = stage_shortened(lake.connection, lake.tables, shorten, "x")
    path = metadata(one.table)
    written = path.read_bytes()
    if stopped:  # the other one, while it wrote the file
        path.write_bytes(written[:100])
    two = stage_shortened(lake.connection, lake.tables, shorten, "x")
    assert two.table.metadata_location == one.table.metadata_location
    assert path.read_bytes() == written
    publish(lake.tables, [one])
    with pytest.raises(ConflictError, match="moved"):
        publish(lake.tables, [two])
    left = Tables(lake.tables.environment).load_to_read(NAMED, lake.tables.locations()[NAMED])
    assert [snapshot.snapshot_id for snapshot in left.metadata.snapshots] == [second]
