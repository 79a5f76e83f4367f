"""Whatever clients do in whatever order, what is published stays, and what is staged is what pyiceberg makes of the same changes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import BadRequestError, CommitFailedException, ForbiddenError
from pyiceberg.table import Table
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    RemovePartitionSpecsUpdate,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    SetLocationUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableUpdate,
    UpgradeFormatVersionUpdate,
)
from pyiceberg.types import LongType
from tests.harness.catalog_runs import RUN, CatalogRun, numbers

from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_server import serving

_number = itertools.count(1)
Change = Callable[[Table], object]


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, connection: duckdb.DuckDBPyConnection
) -> Iterator[CatalogRun]:
    """One environment, in which every example is a run of its own."""
    with ExitStack() as stack:
        yield CatalogRun(tmp_path_factory.mktemp("sequences"), stack, connection)


@pytest.fixture(scope="module")
def local() -> Iterator[SqlCatalog]:
    """A catalog of pyiceberg's that has no rules."""
    catalog = SqlCatalog("local", uri="sqlite:///:memory:", warehouse="file:///nowhere")
    catalog.create_namespace("local")
    yield catalog
    catalog.engine.dispose()


def add_column(table: Table) -> None:
    with table.update_schema() as changed:
        changed.add_column(f"c{len(table.schemas())}", LongType())


def widen(table: Table) -> None:
    with table.update_schema() as changed:
        changed.update_column("n", LongType())


def partition(table: Table) -> None:
    with table.update_spec() as changed:
        changed.add_identity("n") if table.spec().is_unpartitioned() else changed.remove_field("n")


def append(value: int) -> Change:
    return lambda table: table.append(numbers(value))


def replace(value: int) -> Change:
    return lambda table: table.overwrite(numbers(value))


def delete(value: int) -> Change:
    return lambda table: table.delete(f"n = {value}")


def set_property(key: str, value: str) -> Change:
    def change(table: Table) -> None:
        with table.transaction() as transaction:
            transaction.set_properties({key: value})

    return change


def remove_property(key: str) -> Change:
    def change(table: Table) -> None:
        if key in table.properties:
            with table.transaction() as transaction:
                transaction.remove_properties(key)

    return change


values = st.integers(0, 3)
keys = st.sampled_from(["a", "b"])
allowed: st.SearchStrategy[Change] = st.one_of(
    st.builds(append, values),
    st.builds(replace, values),
    st.builds(delete, values),
    st.builds(set_property, keys, st.text("xy", max_size=2)),
    st.builds(remove_property, keys),
    st.sampled_from([add_column, widen, partition]),
)


def raw(make: Callable[[Table], TableUpdate]) -> Change:
    """A commit with one update, as no client of pyiceberg's would send it."""
    return lambda table: table.catalog.commit_table(table, (), (make(table),))


def first(table: Table) -> int:
    return table.metadata.snapshots[0].snapshot_id


def to_main(number: int) -> SetSnapshotRefUpdate:
    return SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=number)  # type: ignore[call-arg]


def stale(table: Table) -> None:
    """A commit for a state that the table had before."""
    earlier = AssertRefSnapshotId(ref="main", snapshot_id=1)
    table.catalog.commit_table(table, (earlier,), (SetPropertiesUpdate(updates={"stale": "x"}),))


refused: st.SearchStrategy[Change] = st.sampled_from(
    [
        raw(lambda table: RemoveSnapshotsUpdate(snapshot_ids=[first(table)])),
        raw(lambda _: RemoveSnapshotRefUpdate(ref_name="release-1")),
        raw(lambda _: RemoveSnapshotRefUpdate(ref_name="main")),
        raw(lambda _: SetLocationUpdate(location="file:///elsewhere")),
        raw(lambda _: UpgradeFormatVersionUpdate(format_version=3)),
        raw(lambda _: RemovePartitionSpecsUpdate(spec_ids=[0])),
        raw(lambda _: SetPropertiesUpdate(updates={"gc.enabled": "true"})),
        raw(lambda _: SetPropertiesUpdate(updates={"write.metadata.path": "file:///elsewhere"})),
        raw(lambda _: to_main(17)),
        lambda table: table.catalog.drop_table(table.name()),
        lambda table: table.catalog.purge_table(table.name()),
        lambda table: table.catalog.load_table((table.name()[0], "other")).append(numbers(1)),
        stale,
    ]
)
steps = st.lists(
    st.one_of(allowed.map(lambda one: (True, one)), refused.map(lambda one: (False, one))),
    min_size=1,
    max_size=8,
)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
@settings(max_examples=30)
@given(steps)
def test_any_sequence_of_changes(
    run: CatalogRun, local: SqlCatalog, changes: list[tuple[bool, Change]]
) -> None:
    name = run.names["mine"]
    copy_of_it = ("local", f"t{next(_number)}")
    local.register_table(copy_of_it, run.published[name])
    catalog = RunCatalog(run.place.tables, RUN, run.published)
    catalog.allow(name)
    with (
        serving(catalog) as served,
        RestCatalog("run", uri=served.uri, token=served.token) as client,
    ):
        for is_allowed, change in changes:
            table, other = client.load_table(name), local.load_table(copy_of_it)
            if is_allowed:
                outcome = attempt(change, other)
                assert attempt(change, table) == outcome
            else:
                before = catalog.staged(name)
                with pytest.raises((BadRequestError, ForbiddenError, CommitFailedException)):
                    change(table)
                assert catalog.staged(name) is before
        table, other = client.load_table(name), local.load_table(copy_of_it)
        assert state(table) == state(other)
        assert rows(table) == rows(other)
    staged = catalog.staged(name)
    assert (staged.base if staged else run.published[name]) == run.published[name]
    run.check_published()


def attempt(change: Change, table: Table) -> str:
    """What pyiceberg refuses of a change before it asks a catalog, empty if nothing."""
    try:
        change(table)
    except ValueError as error:  # rows that do not fit columns that were added
        return type(error).__name__
    return ""


def rows(table: Table) -> list[Any]:
    return sorted(table.scan().to_arrow().to_pylist(), key=str)


def state(table: Table) -> dict[str, Any]:
    """What both have to agree on: everything but ids and times of snapshots, and what catalogs of runs add."""
    metadata = table.metadata
    place = {one.snapshot_id: at for at, one in enumerate(metadata.snapshots)}
    return {
        "schemas": [one.model_dump_json() for one in metadata.schemas],
        "schema": metadata.current_schema_id,
        "last column": metadata.last_column_id,
        "specs": [one.model_dump_json() for one in metadata.partition_specs],
        "spec": metadata.default_spec_id,
        "orders": [one.model_dump_json() for one in metadata.sort_orders],
        "location": metadata.location,
        "uuid": metadata.table_uuid,
        "properties": {
            key: value
            for key, value in metadata.properties.items()
            if key not in ("gc.enabled", "write.parquet.compression-codec")
        },
        "refs": {name: place[ref.snapshot_id] for name, ref in metadata.refs.items()},
        "snapshots": [
            (
                place.get(one.parent_snapshot_id or 0),
                one.sequence_number,
                one.schema_id,
                {
                    key: value
                    for key, value in summary(one).items()
                    if key != "slipway.run-id" and "size" not in key
                },
            )
            for one in metadata.snapshots
        ],
    }


def summary(snapshot: Any) -> dict[str, str]:  # noqa: ANN401 - of pyiceberg's
    return {"operation": snapshot.summary.operation.value, **snapshot.summary.additional_properties}
