"""An environment that may only be read: whatever would write to it is refused, by everything that writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from sqlalchemy.exc import OperationalError

from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.errors import ReadOnlyError, UnavailableError
from slipway.iceberg.commit import create_namespace, publish
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.store import Records
from slipway.write_limits import WRITES_BELOW, check_write, is_limited

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

NAME = TableName("layer", "thing")


@dataclass
class Attacked:
    """An environment with a table, opened by a process that may only read."""

    lake: Lake
    staged: StagedTable

    @property
    def tables(self) -> Tables:
        return Tables(self.lake.tables.environment.read_only())

    @property
    def records(self) -> Records:
        return Records(self.tables.environment)

    @property
    def data(self) -> str:
        return next(name for name in self.lake.files())


ATTACKS: dict[str, Callable[[Attacked], object]] = {
    "publish": lambda on: publish(on.tables, [on.staged]),
    "make a namespace": lambda on: create_namespace(on.tables, "more"),
    "make a namespace by pyiceberg": lambda on: on.tables.catalog.create_namespace("more"),
    "drop a table by pyiceberg": lambda on: on.tables.catalog.drop_table(NAME),
    "make a table by pyiceberg": lambda on: on.tables.catalog.create_table(
        ("layer", "more"), Schema(NestedField(1, "a", LongType()))
    ),
    "write a file": lambda on: on.tables.io(on.data).new_output(f"{on.data}.more").create(),
    "remove a file": lambda on: on.tables.io(on.data).delete(on.data),
    "write a record": lambda on: on.records.write("20240502T120000Z-00000000", "run_manifest.json", "{}"),
    "reserve a release": lambda on: on.records.reserve(),
    "replace a record": lambda on: on.records.store.replace("releases/000001.json", b""),
    "remove a record": lambda on: on.records.store.delete(["releases/000001.json"]),
}


@pytest.fixture
def attacked(lake: Lake) -> Attacked:
    staged = lake.write("select 1 as id").staged
    publish(lake.tables, [staged])
    Records(lake.tables.environment).store.create("releases/000001.json", b"{}")
    return Attacked(lake, StagedTable(NAME, staged.table, staged.table.metadata_location, retires=True))


def below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_nothing_of_it_is_written(attacked: Attacked, attack: Callable[[Attacked], object]) -> None:
    before = below(attacked.lake.folder)
    with pytest.raises(
        (ReadOnlyError, UnavailableError, OperationalError), match=r"not written|readonly database"
    ):
        attack(attacked)
    assert below(attacked.lake.folder) == before
    assert attacked.tables.locations()[NAME] == attacked.lake.table.metadata_location


def test_nor_by_duckdb(attacked: Attacked) -> None:
    attacked.lake.tables = attacked.tables
    attacked.lake.base = attacked.tables.load(NAME, attacked.lake.table.metadata_location)
    before = below(attacked.lake.folder / "warehouse")
    with pytest.raises(ReadOnlyError, match="this process only reads the environment"):
        attacked.lake.write("select 2 as id", "append")
    assert below(attacked.lake.folder / "warehouse") == before


def test_a_scratch_environment_of_it_is_written_and_nothing_else(attacked: Attacked, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    attacked.lake.base, attacked.lake.tables = None, Tables(attacked.tables.environment.scratch(scratch))
    staged = attacked.lake.write("select 2 as id").staged
    publish(attacked.lake.tables, [staged])
    assert attacked.lake.by_duckdb() == [(2,)]
    for place in (tmp_path / "elsewhere", f"{scratch}-2", f"{scratch}/../warehouse"):
        with pytest.raises(ReadOnlyError, match="is not written"):
            attacked.lake.tables.io(str(place)).new_output(f"{place}/file").create()
    attacked.lake.tables.catalog.engine.dispose()  # type: ignore[attr-defined]


def test_no_catalog_is_made(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = Environment(
        "dev", Mode.EXPLORATORY, f"file://{home}", local_catalog(home), str(tmp_path), home
    )
    with pytest.raises((UnavailableError, OperationalError)):
        Tables(environment.read_only()).catalog.list_namespaces()
    assert not home.exists()


@pytest.mark.parametrize(
    ("limit", "location", "limited"),
    [
        (None, "s3://lake/prod/a", False),
        ("", "s3://lake/prod/a", True),
        ("", "/srv/a", True),
        ("s3://lake/ci", "s3://lake/ci/a", False),
        ("s3://lake/ci", "s3a://lake/ci/a", False),
        ("s3://lake/ci", "s3://lake/ci-2/a", True),
        ("s3://lake/ci", "s3://lake/prod/a", True),
        ("file:///srv/ci", "/srv/ci/a", False),
        ("file:///srv/ci", "file:///srv/ci/../prod/a", True),
        ("file:///srv/ci", "file:///srv/ci", True),
    ],
)
def test_what_is_below_a_location(limit: str | None, location: str, limited: bool) -> None:
    properties = {} if limit is None else {WRITES_BELOW: limit}
    assert is_limited(properties, location) is limited
    if limited:
        with pytest.raises(ReadOnlyError):
            check_write(properties, location)


def test_the_environment_stays_what_it_was(attacked: Attacked) -> None:
    assert WRITES_BELOW not in attacked.lake.tables.environment.catalog_properties
    assert attacked.records.store.read("releases/000001.json") == b"{}"
