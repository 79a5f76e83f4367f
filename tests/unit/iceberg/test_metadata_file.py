"""A metadata file says the same to everybody, and a snapshot that nobody looked at is written as it was read."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.io import load_file_io
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile, ToOutputFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.refs import SnapshotRef
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.types import NestedField, StringType

from slipway.errors import UnavailableError
from slipway.iceberg import metadata_files
from slipway.iceberg.tables import Tables
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

IO = load_file_io({})
TRICKY = st.text() | st.sampled_from(
    ['"snapshots":[]', '\n],{"snapshots":[\n', "},\n{", '{"snapshot-id":1,', "\\"]
)


@st.composite
def tables(draw: st.DrawFn) -> TableMetadata:
    """Metadata of tables with names, properties and histories of any kind."""
    schema = Schema(NestedField(1, draw(TRICKY.filter(bool)), StringType(), required=False, doc=draw(TRICKY)))
    properties = draw(st.dictionaries(TRICKY, TRICKY, max_size=3))
    properties.pop("format-version", None)
    made = new_table_metadata(
        schema, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "file:///t", properties
    )
    snapshots = [
        Snapshot(
            **{"snapshot-id": number, "parent-snapshot-id": number - 1 or None, "sequence-number": number},
            **{"timestamp-ms": number, "manifest-list": f"file:///t/{draw(TRICKY)}.avro"},
            summary=draw(
                st.none()
                | st.builds(
                    lambda message: Summary(Operation.APPEND, **message),
                    st.dictionaries(TRICKY.filter(lambda key: key != "operation"), TRICKY, max_size=3),
                )
            ),
        )
        for number in range(1, draw(st.integers(0, 4)) + 1)
    ]
    last = snapshots[-1].snapshot_id if snapshots else None
    tag = {"snapshot-id": last, "type": "tag"}
    refs = {name: SnapshotRef(**tag) for name in draw(st.lists(TRICKY, max_size=3)) if last}
    if last:
        refs["main"] = SnapshotRef(**{**tag, "type": "branch"})
    return made.model_copy(
        update={"snapshots": snapshots, "current_snapshot_id": last, "refs": refs, "last_sequence_number": 9}
    )


def location(folder: Path, name: str) -> str:
    return f"file://{folder / name}.metadata.json"


def written(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path.removeprefix("file://")).read_bytes())
    return found


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=20,
    deadline=None,
)
@given(tables(), st.data())
def test_a_file_says_what_pyiceberg_would_write(
    tmp_path_factory: pytest.TempPathFactory, made: TableMetadata, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("metadata")
    ours, theirs, again = (location(folder, name) for name in ("ours", "theirs", "again"))
    metadata_files.write_metadata(IO, ours, made)
    ToOutputFile.table_metadata(made, IO.new_output(theirs))
    assert written(ours) == written(theirs)
    assert FromInputFile.table_metadata(IO.new_input(ours)) == made
    read = metadata_files.read_metadata(IO, ours)
    for snapshot in read.snapshots:
        if data.draw(st.booleans()):
            assert snapshot.manifest_list == made.snapshots[snapshot.snapshot_id - 1].manifest_list
    metadata_files.write_metadata(IO, again, read)
    assert written(again) == written(theirs)
    assert metadata_files.read_metadata(IO, theirs) == made == metadata_files.read_metadata(IO, again)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda one: one, id="compared"),
        pytest.param(copy.copy, id="copied"),
        pytest.param(copy.deepcopy, id="copied-in-depth"),
        pytest.param(lambda one: one.model_copy(update={}), id="copied-by-pydantic"),
        pytest.param(
            lambda one: Snapshot.model_validate_json(one.model_dump_json()), id="written-by-pydantic"
        ),
        pytest.param(lambda one: Snapshot(**dict(one)), id="listed"),
    ],
)
def test_a_snapshot_that_was_not_looked_at_is_whole(lake: Lake, use: Any) -> None:  # noqa: ANN401
    lake.write("select 1 as id")
    (unread,) = read_again(lake).snapshots
    (expected,) = FromInputFile.table_metadata(IO.new_input(lake.table.metadata_location)).snapshots
    assert (type(unread), type(expected)) == (metadata_files._Line, Snapshot)
    found = use(unread)
    assert found == expected
    assert type(found) is Snapshot
    assert repr(found) == repr(expected)
    assert found.model_dump_json() == expected.model_dump_json()
    with pytest.raises(AttributeError, match="nothing"):
        _ = getattr(found, "nothing")  # noqa: B009 - not declared


def test_metadata_with_snapshots_that_were_not_looked_at_is_written_whole_by_pyiceberg(lake: Lake) -> None:
    for number in range(3):
        lake.write(f"select {number} as id", "append")
    expected = FromInputFile.table_metadata(IO.new_input(lake.table.metadata_location))
    assert read_again(lake).model_dump_json() == expected.model_dump_json()
    assert read_again(lake) == expected


def test_a_write_looks_only_at_the_current_snapshot(lake: Lake) -> None:
    for number in range(5):
        lake.write(f"select {number} as id", "append")
    lake.base = again(lake)
    staged = lake.write("select 9 as id", "append").staged
    kinds = [type(snapshot).__name__ for snapshot in staged.table.metadata.snapshots]
    assert kinds == ["_Line"] * 4 + ["Snapshot"] * 2
    assert lake.base.metadata.snapshots[:5] == staged.table.metadata.snapshots[:5]
    lake.check([(number,) for number in (0, 1, 2, 3, 4, 9)])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[:-1], id="cut-off"),
        pytest.param(lambda text: text[:40], id="cut-in-a-snapshot"),
        pytest.param(lambda text: text.replace(b"snapshot-id", b"snap", 1), id="no-snapshot"),
        pytest.param(lambda text: text.replace(b'"format-version":2,', b""), id="no-version"),
        pytest.param(lambda text: text.replace(b'"format-version":2,', b'"format-version":9,'), id="future"),
        pytest.param(lambda _: b"{}", id="nothing"),
    ],
)
def test_a_damaged_file_is_named(lake: Lake, damage: Any) -> None:  # noqa: ANN401
    lake.write("select 1 as id")
    path = Path(lake.table.metadata_location.removeprefix("file://"))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnavailableError, match=r"metadata.* cannot be read: .*\.metadata\.json"):
        again(lake)


def read_again(lake: Lake) -> TableMetadata:
    return metadata_files.read_metadata(IO, lake.table.metadata_location)


def again(lake: Lake) -> Table:
    """The table as a later process loads it."""
    return Tables(lake.tables.environment).load(TableName("layer", lake.name), lake.table.metadata_location)
