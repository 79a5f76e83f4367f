"""The same releases in every kind of catalog: SQLite and REST with a folder, PostgreSQL and Glue with S3."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.types import LongType
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from tests.harness.environments import CODE, Place, place
from tests.harness.rest_catalog import serving

from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.errors import ConflictError, ReadOnlyError, UnavailableError
from slipway.iceberg.catalogs.glue_catalog import GlueMover
from slipway.iceberg.catalogs.movers import UpdateMover
from slipway.iceberg.earlier_states import find_source, retired, stage_state
from slipway.iceberg.metadata_files import files_of
from slipway.iceberg.tables import Tables
from slipway.monitors.column_profiles import (
    PROFILES,
    ColumnProfile,
    keep_profiles,
    stored_profiles,
)
from slipway.names import TableName
from slipway.records.release_records import Intent
from slipway.records.release_records import Release as ReleaseRecord
from slipway.records.store import Records
from slipway.releases.candidates import record_of
from slipway.releases.publication import release


class Killed(BaseException):
    """The process ends here: nothing that it meant to do is done."""


@pytest.fixture
def sqlite(tmp_path: Path, duck: duckdb.DuckDBPyConnection) -> Place:
    return place(f"file://{tmp_path}/w", duck, type="sql", uri=f"sqlite:///{tmp_path}/catalog.db")


@pytest.fixture
def glue(bucket: dict[str, str]) -> Iterator[Place]:
    made = place("s3://catalogs", type="glue", **bucket)
    yield made
    made.connection.close()
    client = boto3.session.Session(region_name="us-east-1").client("glue")
    for database in client.get_databases()["DatabaseList"]:
        client.delete_database(Name=database["Name"])


@pytest.fixture
def on_postgres(bucket: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Place]:
    server = request.getfixturevalue("postgres")
    database = f"catalogs_{time.time_ns()}"
    with closing(server.connect("postgres")) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"create database {database}")
    made = place("s3://catalogs", type="sql", uri=server.uri(database), **bucket)
    yield made
    made.connection.close()


def on_rest(folder: Path, duck: duckdb.DuckDBPyConnection, *, several: bool) -> Iterator[Place]:
    with serving(several=several) as server:
        yield place(f"file://{folder}/w", duck, type="rest", uri=server.uri)


@pytest.fixture
def rest(tmp_path: Path, duck: duckdb.DuckDBPyConnection) -> Iterator[Place]:
    yield from on_rest(tmp_path, duck, several=True)


@pytest.fixture
def rest_by_table(tmp_path: Path, duck: duckdb.DuckDBPyConnection) -> Iterator[Place]:
    yield from on_rest(tmp_path, duck, several=False)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("on_postgres", marks=[pytest.mark.server, pytest.mark.long]),
        pytest.param("glue", marks=[pytest.mark.server, pytest.mark.long]),
        "rest",
        pytest.param("rest_by_table", marks=pytest.mark.long),
    ]
)
def anywhere(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("on_postgres", marks=[pytest.mark.server, pytest.mark.long]),
        pytest.param("glue", marks=[pytest.mark.server, pytest.mark.long]),
        "rest",
        pytest.param("rest_by_table", marks=pytest.mark.long),
    ]
)
def of_each_kind(request: pytest.FixtureRequest) -> Place:
    """A catalog in one transaction, one that moves table by table, and a server."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    "anywhere",
    [
        "sqlite",
        pytest.param("on_postgres", marks=pytest.mark.server),
        pytest.param("glue", marks=[pytest.mark.server, pytest.mark.long]),
        "rest",
        pytest.param("rest_by_table", marks=pytest.mark.long),
    ],
    indirect=True,
)
def test_releases_are_published_and_recorded(anywhere: Place) -> None:
    first = anywhere.publish(raw_a=1, raw_b=1, serving_c=1)
    assert anywhere.numbers() == {"raw_a": 1, "raw_b": 1, "serving_c": 1}
    second = anywhere.publish(raw_b=2, serving_d=2)
    assert (
        anywhere.numbers() == {"raw_a": 1, "raw_b": 2, "serving_c": 1, "serving_d": 2} == anywhere.visible()
    )
    changed = {name for name, table in second.tables.items() if table.changed}
    assert changed == {anywhere.name("raw.b"), anywhere.name("serving.d")}
    unchanged = anywhere.name("raw.a")
    assert second.tables[unchanged] == first.tables[unchanged].model_copy(update={"changed": False})
    tags = anywhere.catalog().load_table(anywhere.id("raw.b")).metadata.refs
    assert {"main", "release-1", "release-2"} == tags.keys()
    assert anywhere.heal() == []
    assert [found.number for found in anywhere.records.releases()] == [1, 2]


def test_a_foreign_commit_refuses_all_of_it(anywhere: Place) -> None:
    anywhere.publish(raw_a=1, raw_b=1, raw_c=1)
    before = anywhere.tables.locations()
    publish = anywhere.stage(raw_a=2, raw_b=2, raw_c=2, raw_d=2)
    foreign = anywhere.commit("raw.b")
    with pytest.raises(ConflictError, match=rf"raw.b moved: its current snapshot is now {foreign}, not of"):
        publish()
    after = Tables(anywhere.environment).locations()
    moved = {name for name in after if after[name] != before.get(name)}
    assert {name for name in moved if name[0].startswith(anywhere.prefix)} == {anywhere.id("raw.b")}
    assert anywhere.numbers() == {"raw_a": 1, "raw_b": 1, "raw_c": 1} == anywhere.visible()
    assert len(anywhere.keys(".withdrawn")) == 1
    assert anywhere.heal() == []


def test_a_foreign_commit_that_does_not_change_rows_is_kept(of_each_kind: Place) -> None:
    of_each_kind.publish(raw_a=1, raw_b=1)
    publish = of_each_kind.stage(raw_a=2, raw_b=2)
    table = of_each_kind.catalog().load_table(of_each_kind.id("raw.b"))
    before = table.current_snapshot().snapshot_id
    with table.transaction() as transaction:
        transaction.set_properties({"steward": "ada"})
    with table.manage_snapshots() as manage:
        manage.create_tag(before, "audited")
    published = publish()
    assert of_each_kind.numbers() == {"raw_a": 2, "raw_b": 2} == of_each_kind.visible()
    found = of_each_kind.catalog().load_table(of_each_kind.id("raw.b"))
    assert found.properties["steward"] == "ada"
    assert found.metadata.refs["audited"].snapshot_id == before
    assert found.metadata.refs["release-2"].snapshot_id == found.metadata.current_snapshot_id
    recorded = published.tables[of_each_kind.name("raw.b")]
    assert recorded.changed
    assert recorded.metadata_location == found.metadata_location
    assert of_each_kind.heal() == []
    of_each_kind.publish(raw_b=3)  # and the next run builds on it
    assert of_each_kind.catalog().load_table(of_each_kind.id("raw.b")).properties["steward"] == "ada"


def test_a_foreign_change_of_the_schema_refuses_all_of_it(of_each_kind: Place) -> None:
    of_each_kind.publish(raw_a=1, raw_b=1)
    publish = of_each_kind.stage(raw_a=2, raw_b=2)
    with of_each_kind.catalog().load_table(of_each_kind.id("raw.b")).update_schema() as update:
        update.add_column("m", LongType())
    with pytest.raises(ConflictError, match=r"raw\.b moved: its schema was changed by someone else"):
        publish()
    assert of_each_kind.numbers() == {"raw_a": 1, "raw_b": 1} == of_each_kind.visible()
    assert of_each_kind.catalog().load_table(of_each_kind.id("raw.b")).schema().column_names == ["n", "m"]


def test_a_foreign_commit_to_a_branch_refuses_all_of_it(sqlite: Place) -> None:
    sqlite.publish(raw_a=1)
    publish = sqlite.stage(raw_a=2)
    table = sqlite.catalog().load_table(sqlite.id("raw.a"))
    with table.manage_snapshots() as manage:
        manage.create_branch(table.current_snapshot().snapshot_id, "trial")
    table.append(table.scan().to_arrow(), branch="trial")
    foreign = table.refresh().metadata.refs["trial"].snapshot_id
    with pytest.raises(
        ConflictError, match=rf"someone committed snapshot {foreign} outside of its main branch"
    ):
        publish()
    assert sqlite.catalog().load_table(sqlite.id("raw.a")).metadata.refs["trial"].snapshot_id == foreign


@pytest.mark.long
@pytest.mark.server
def test_what_was_put_on_top_of_a_foreign_commit_is_taken_back_from_it(glue: Place) -> None:
    glue.publish(**ONE)
    publish = glue.stage(**TWO)
    with glue.catalog().load_table(glue.id("raw.a")).transaction() as transaction:
        transaction.set_properties({"steward": "ada"})
    killed_at(GlueMover, "forward", 3, publish)
    assert glue.numbers()["raw_a"] == 2
    glue.commit("raw.c")
    (message,) = glue.heal()
    assert message.endswith("was published in part and is taken back")
    assert glue.numbers() == ONE
    restored = glue.catalog().load_table(glue.id("raw.a"))
    assert restored.properties["steward"] == "ada"
    assert restored.metadata.refs.keys() == {"main", "release-1"}
    assert glue.heal() == []


@pytest.fixture(params=["sqlite", pytest.param("on_postgres", marks=pytest.mark.server)])
def in_one_transaction(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def test_a_record_shows_what_readers_saw_when_another_is_published_before_it_is_written(
    in_one_transaction: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = in_one_transaction
    place.publish(raw_a=1, raw_b=1)
    first, second = place.stage(raw_a=2), place.stage(raw_b=3)
    real, looked = Records.last_release, list[int]()

    def late(self: Records) -> ReleaseRecord | None:
        looked.append(len(looked))
        if looked == [0, 1]:  # the look after the publication; the one before is for damaged records
            with (
                monkeypatch.context() as patch
            ):  # the second had looked for what to heal before the first moved
                patch.setattr(Records, "open_intents", lambda _: [])
                second()
        return real(self)

    monkeypatch.setattr(Records, "last_release", late)
    first()
    found = place.records.releases()
    assert [release.number for release in found] == [1, 2, 3]
    cuts = [{name: table.snapshot_id for name, table in release.tables.items()} for release in found]
    changed = [set(now.items()) - set(before.items()) for before, now in itertools.pairwise(cuts)]
    assert [{name for name, _ in each} for each in changed] == [{place.name("raw.a")}, {place.name("raw.b")}]


def test_a_commit_whose_answer_is_lost_is_found_out(
    in_one_transaction: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, real = in_one_transaction, Session.commit
    place.publish(raw_a=1)
    publish = place.stage(raw_a=2, raw_b=2)

    def lost(self: Session) -> None:
        real(self)
        raise OperationalError("commit", {}, ConnectionError("server closed the connection"))

    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", lost)
        assert publish().number == 2
    assert place.numbers() == {"raw_a": 2, "raw_b": 2}
    assert [release.number for release in place.records.releases()] == [1, 2]
    assert place.heal() == []


def test_releases_are_in_the_order_of_their_publication(of_each_kind: Place) -> None:
    first, second = of_each_kind.stage(raw_a=1), of_each_kind.stage(raw_b=2)
    assert (second().number, first().number) == (2, 1)
    found = of_each_kind.records.releases()
    assert [release.number for release in found] == [2, 1]
    assert [set(release.tables) for release in found] == [
        {of_each_kind.name("raw.b")},
        {of_each_kind.name("raw.a"), of_each_kind.name("raw.b")},
    ]


def test_a_table_that_someone_else_made_is_not_touched(of_each_kind: Place) -> None:
    of_each_kind.publish(raw_a=1)
    publish = of_each_kind.stage(raw_a=2, raw_x=2, raw_y=2)
    catalog, name = of_each_kind.catalog(), of_each_kind.id("raw.y")
    theirs = catalog.create_table(
        name,
        catalog.load_table(of_each_kind.id("raw.a")).schema(),
        f"{of_each_kind.environment.warehouse}/theirs",
    )
    with pytest.raises(ConflictError, match=r"raw.y moved: someone else created it, its current snapshot is"):
        publish()
    assert of_each_kind.catalog().load_table(name).metadata_location == theirs.metadata_location
    with pytest.raises(NoSuchTableError):
        of_each_kind.catalog().load_table(of_each_kind.id("raw.x"))


def test_a_dropped_table_refuses_all_of_it(of_each_kind: Place) -> None:
    of_each_kind.publish(raw_a=1, raw_b=1)
    publish = of_each_kind.stage(raw_a=2, raw_b=2)
    of_each_kind.catalog().drop_table(of_each_kind.id("raw.b"))
    with pytest.raises(ConflictError, match=r"raw.b moved: it was dropped since the run began"):
        publish()
    assert of_each_kind.numbers() == {"raw_a": 1}


def killed_at(owner: type, function: str, call: int, work: Callable[[], object]) -> None:
    """Do something in a process that dies before it calls a function for the nth time, counted from 1."""
    real, calls = getattr(owner, function), itertools.count(1)

    def die(*arguments: object, **named: object) -> object:
        if next(calls) == call:
            raise Killed
        return real(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, function, die)
        with pytest.raises(Killed):
            work()


ONE = {"raw_a": 1, "raw_b": 1, "raw_c": 1}
TWO = {"raw_a": 2, "raw_b": 2, "raw_c": 2, "raw_d": 2}


@pytest.mark.server
@pytest.mark.parametrize(
    "moved",
    [
        2,
        pytest.param(0, marks=pytest.mark.long),
        pytest.param(4, marks=pytest.mark.long),
        pytest.param(1, marks=pytest.mark.long),
        pytest.param(3, marks=pytest.mark.long),
    ],
)
def test_a_publication_that_died_is_finished(glue: Place, moved: int) -> None:
    glue.publish(**ONE)
    publish = glue.stage(**TWO)
    if moved == len(TWO):
        killed_at(Records, "write_release", 1, publish)
    else:
        killed_at(GlueMover, "forward", moved + 1, publish)
    assert len(glue.keys(".publishing")) == 2
    shown = list(glue.numbers().values())
    assert shown.count(2) == moved
    assert glue.visible() == (TWO if moved == len(TWO) else ONE)
    message = glue.heal()
    if moved == 0:  # its process may still be about to do it
        assert message == []
        assert glue.numbers() == ONE
    else:
        assert len(message) == 1
        assert "release 2 of run" in message[0]
        assert glue.numbers() == TWO == glue.visible()
        assert [found.number for found in glue.records.releases()] == [1, 2]
    assert glue.heal() == []
    assert glue.publish(raw_a=3, raw_b=3).number == 3


@pytest.mark.server
@pytest.mark.long
@pytest.mark.parametrize("moved", [1, 2])
def test_a_publication_that_died_is_taken_back_when_it_cannot_be_finished(glue: Place, moved: int) -> None:
    glue.publish(**ONE)
    publish = glue.stage(**TWO)
    killed_at(GlueMover, "forward", moved + 1, publish)
    glue.commit("raw.c")
    killed_at(GlueMover, "back", moved, glue.heal)  # and so does the one that takes it back
    assert glue.visible()["raw_a"] == glue.visible()["raw_b"] == 1
    assert "taken back" in glue.heal()[0]
    assert glue.numbers() == ONE
    assert glue.heal() == []
    assert len(glue.keys(".withdrawn")) == 1


@pytest.mark.long
@pytest.mark.server
def test_what_others_committed_on_top_of_a_part_stays(glue: Place) -> None:
    glue.publish(**ONE)
    publish = glue.stage(**TWO)
    killed_at(GlueMover, "forward", 3, publish)
    on_top = glue.commit("raw.a")
    instead = glue.commit("raw.c")
    (message,) = glue.heal()
    assert f"was taken back, except {glue.name('raw.a')}" in message
    assert str(instead) in message
    assert glue.numbers() == {"raw_a": 2, "raw_b": 1, "raw_c": 1}
    current = glue.catalog().load_table(glue.id("raw.a")).current_snapshot()
    assert current.snapshot_id == on_top
    assert glue.heal() == []


@pytest.mark.long
@pytest.mark.server
def test_a_commit_between_look_and_move_is_not_lost(glue: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    glue.publish(**ONE)
    publish = glue.stage(**TWO)
    real = GlueMover._holding
    foreign: list[int] = []

    def late(self: GlueMover, identifier: TableName, location: str) -> object:
        held = real(self, identifier, location)
        if identifier == glue.id("raw.b") and not foreign:
            foreign.append(glue.commit("raw.b"))
        return held

    monkeypatch.setattr(GlueMover, "_holding", late)
    with pytest.raises(ConflictError) as refused:
        publish()
    assert str(foreign[0]) in refused.value.line()
    assert glue.numbers() == ONE
    assert glue.catalog().load_table(glue.id("raw.b")).current_snapshot().snapshot_id == foreign[0]


@pytest.mark.long
@pytest.mark.server
def test_a_catalog_that_fails_half_way_says_so(glue: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    glue.publish(**ONE)
    publish = glue.stage(**TWO)
    catalog, real, calls = glue.tables.catalog, type(glue.tables.catalog)._update_glue_table, []  # type: ignore[attr-defined]

    def denied(self: object, database: str, name: str, described: object, version: str) -> None:
        calls.append(name)
        if len(calls) > 1:
            raise catalog.glue.exceptions.InternalServiceException(  # type: ignore[attr-defined]
                {"Error": {"Code": "InternalServiceException", "Message": "down"}}, "UpdateTable"
            )
        real(self, database, name, described, version)

    with monkeypatch.context() as patch:
        patch.setattr(type(catalog), "_update_glue_table", denied)
        with pytest.raises(UnavailableError) as failed:
            publish()
    assert failed.value.line().startswith(
        "Release 2 may be published in part: Catalog of staging cannot be written"
    )
    assert "The next run or publication finishes or undoes it" in failed.value.line()
    assert glue.visible() == ONE
    assert len(glue.heal()) == 1
    assert glue.numbers() == TWO


@pytest.mark.server
def test_two_publications_at_once(glue: Place) -> None:
    glue.publish(**ONE)
    first = glue.stage(raw_a=2, raw_b=2)
    tables = glue.tables
    second = glue.stage(raw_b=3, raw_c=3)
    assert glue.tables is not tables
    assert second().number == 3
    glue.restart()
    with pytest.raises(ConflictError, match=r"raw\.b moved"):
        first()
    assert glue.numbers() == {"raw_a": 1, "raw_b": 3, "raw_c": 3}


@pytest.mark.server
def test_glue_shows_the_columns_and_properties_of_what_is_current(glue: Place) -> None:
    glue.publish(raw_a=1)
    client, (database, name) = glue.tables.catalog.glue, glue.id("raw.a")  # type: ignore[attr-defined]
    held = client.get_table(DatabaseName=database, Name=name)["Table"]
    location = glue.tables.locations()[glue.id("raw.a")]
    assert held["Parameters"]["metadata_location"] == location
    assert [column["Name"] for column in held["StorageDescriptor"]["Columns"]] == ["n"]
    publish = glue.stage(raw_a=2, raw_b=2)
    glue.catalog().create_namespace_if_not_exists(glue.id("raw.b")[0])
    glue.catalog().create_table(
        glue.id("raw.b"),
        glue.tables.load(glue.id("raw.a"), location).schema(),
        f"{glue.environment.warehouse}/x",
    )
    with pytest.raises(ConflictError):
        publish()
    again = client.get_table(DatabaseName=database, Name=name)["Table"]
    assert again["Parameters"]["metadata_location"] == location
    ours = {key for key in again["Parameters"] if key != "previous_metadata_location"}
    assert ours == held["Parameters"].keys()
    assert again["StorageDescriptor"] == held["StorageDescriptor"]


@pytest.mark.parametrize("moved", [1, pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.parametrize("foreign", [False, True], ids=["finished", "taken back"])
def test_a_server_that_is_given_one_table_after_the_other(
    rest_by_table: Place, moved: int, foreign: bool
) -> None:
    site = rest_by_table
    site.publish(**ONE)
    publish = site.stage(**TWO)
    killed_at(UpdateMover, "forward", moved + 1, publish)
    assert list(site.numbers().values()).count(2) == moved
    assert site.visible() == ONE
    if foreign and moved == 1:
        snapshot = site.commit("raw.c")
    elif foreign:  # someone takes the name of the last table, which is new
        theirs = site.catalog().load_table(site.id("raw.c"))
        site.catalog().create_table(site.id("raw.d"), theirs.schema(), f"{site.environment.warehouse}/x")
        snapshot = None
    (message,) = site.heal()
    if not foreign:
        assert "was published and is now recorded" in message
        assert site.numbers() == TWO == site.visible()
        return
    assert "taken back" in message
    if moved == 1:
        assert site.numbers() == ONE
        assert site.catalog().load_table(site.id("raw.c")).current_snapshot().snapshot_id == snapshot
    restored = site.catalog().load_table(site.id("raw.a"))
    assert restored.scan().to_arrow().column("n").to_pylist() == [1]
    assert restored.metadata.refs.keys() == {"main", "release-1"}
    assert site.heal() == []


def moves(anywhere: Place, *, gone: str, back: str = "", **numbers: int) -> Callable[[], ReleaseRecord]:
    """A rollback that retires a table, registers it under another name if one is given, and moves others."""
    number = anywhere.records.reserve()
    staged, now = [], anywhere.tables.locations()
    location = now[anywhere.id(gone)]
    for table, value in numbers.items():
        identifier = anywhere.id(table.replace("_", "."))
        request = WriteRequest(identifier, f"select {value} as n", "replace", "r", f"release-{number}")
        base = anywhere.tables.load(identifier, now[identifier])
        staged.append(write(anywhere.connection, anywhere.tables, base, request).staged)
    if back:
        found = stage_state(anywhere.tables, anywhere.id(back), location, location, f"release-{number}")
        staged.append(replace(found, base=None, registers=True))
    if back != gone:
        staged.append(retired(anywhere.tables, anywhere.id(gone), location))
    for item in staged:
        anywhere.records.write_rollback(number, ".".join(item.identifier), record_of(item, number))
    intent = Intent(number=number, run_id="r", code=CODE, rolls_back=True)
    return lambda: release(anywhere.tables, anywhere.records, staged, intent)


def test_a_table_is_retired_and_registered_again(anywhere: Place) -> None:
    first = anywhere.publish(raw_a=1, raw_b=1, raw_c=1)
    anywhere.publish(raw_b=2)
    uuid = anywhere.catalog().load_table(anywhere.id("raw.b")).metadata.table_uuid
    anywhere.restart()
    done = moves(anywhere, gone="raw.b")()
    assert anywhere.numbers() == {"raw_a": 1, "raw_c": 1} == anywhere.visible()
    assert done.retired.keys() == {anywhere.name("raw.b")}
    assert done.tables.keys() == {anywhere.name("raw.a"), anywhere.name("raw.c")}
    anywhere.restart()
    source = find_source(
        anywhere.tables,
        anywhere.id("raw.b"),
        list(done.retired.values()),
        first.tables[anywhere.name("raw.b")].metadata_location,
    )
    assert source == done.retired[anywhere.name("raw.b")]
    number, goal = anywhere.records.reserve(), first.tables[anywhere.name("raw.b")].metadata_location
    found = stage_state(anywhere.tables, anywhere.id("raw.b"), source, goal, f"release-{number}")
    found = replace(found, base=None, registers=True)
    anywhere.records.write_rollback(number, anywhere.name("raw.b"), record_of(found, number))
    intent = Intent(number=number, run_id="r", code=CODE, rolls_back=True)
    assert release(anywhere.tables, anywhere.records, [found], intent).tables[anywhere.name("raw.b")].changed
    assert anywhere.numbers() == {"raw_a": 1, "raw_b": 1, "raw_c": 1} == anywhere.visible()
    back = anywhere.catalog().load_table(anywhere.id("raw.b")).metadata
    assert (back.table_uuid, len(back.snapshots)) == (uuid, 2)
    assert anywhere.heal() == []


def test_a_foreign_commit_on_a_table_that_is_retired_refuses_all_of_it(of_each_kind: Place) -> None:
    of_each_kind.publish(raw_a=1, raw_b=1)
    publish = moves(of_each_kind, gone="raw.b", back="raw.d", raw_a=2)
    foreign = of_each_kind.commit("raw.b")
    with pytest.raises(ConflictError, match=rf"raw.b moved: its current snapshot is now {foreign}"):
        publish()
    assert of_each_kind.numbers() == {"raw_a": 1, "raw_b": 1} == of_each_kind.visible()
    assert of_each_kind.heal() == []


@pytest.mark.parametrize(
    "at", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)]
)
@pytest.mark.parametrize(
    "where", ["rest", pytest.param("glue", marks=[pytest.mark.server, pytest.mark.long])]
)
def test_a_rename_that_is_stopped_is_finished(where: str, at: int, request: pytest.FixtureRequest) -> None:
    found: Place = request.getfixturevalue(where)
    found.publish(raw_a=1, raw_b=1, raw_c=1)
    killed_at(
        GlueMover if where == "glue" else UpdateMover,
        "forward",
        at,
        moves(found, gone="raw.b", back="raw.d", raw_a=2),
    )
    before, after = {"raw_a": 1, "raw_b": 1, "raw_c": 1}, {"raw_a": 2, "raw_d": 1, "raw_c": 1}
    assert found.visible() == before
    assert {"raw_b", "raw_d"} & found.numbers().keys()  # who asks the catalog never misses both names
    assert len(found.heal()) == (1 if at > 1 else 0)
    assert found.numbers() == (after if at > 1 else before) == found.visible()
    assert found.heal() == []


@pytest.mark.parametrize(
    "anywhere",
    [
        "sqlite",
        pytest.param("on_postgres", marks=[pytest.mark.server, pytest.mark.long]),
        pytest.param("glue", marks=[pytest.mark.server, pytest.mark.long]),
        "rest",
    ],
    indirect=True,
)
def test_profiles_are_kept_in_any_catalog(anywhere: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is made, added to by two at once, read by table and day, and written as one again without what is too old."""
    monkeypatch.setattr("slipway.monitors.column_profiles._COMPACT_AFTER", 3)
    name, first = TableName("curated", "weights"), date(2024, 5, 1)
    columns = ("kwh", first, 10, 1, 5, "1", "9", 4.5, [1.0, 9.0], None, None)
    profile = ColumnProfile(str(name), *columns, "a", "1", "run", datetime(2024, 5, 2, tzinfo=UTC))
    made = [replace(profile, business_date=first + timedelta(days=day), run_id=f"{day}") for day in range(4)]

    def kept(since: date | None = None) -> list[ColumnProfile]:
        anywhere.restart()
        location = anywhere.tables.locations().get(PROFILES)
        table = anywhere.tables.load(PROFILES, location) if location else None
        return sorted(stored_profiles(table, name, since), key=lambda one: one.business_date)

    assert kept() == []
    keep_profiles(anywhere.tables, [made[0], replace(profile, table_name="curated.others")], 2)
    assert kept() == made[:1]

    tables, load, waiting = anywhere.tables, anywhere.tables.catalog.load_table, [made[1]]

    def overtaken(identifier: TableName) -> Table:
        table = load(identifier)
        if waiting:  # another run writes before this one
            keep_profiles(tables, [waiting.pop()], 2)
        return table

    with monkeypatch.context() as patch:
        patch.setattr(tables.catalog, "load_table", overtaken)
        keep_profiles(tables, [made[2]], 2)
    assert kept() == made[:3]
    assert kept(made[2].business_date) == [made[2]]
    keep_profiles(anywhere.tables, [made[3]], 2)  # the table is written as one
    assert kept() == made[2:]
    assert len(files_of(anywhere.tables.load(PROFILES, anywhere.tables.locations()[PROFILES]))) == 1


def test_a_catalog_that_may_only_be_read_changes_nothing(anywhere: Place) -> None:
    """The client of a process that only reads, asked behind the back of what refuses it elsewhere."""
    anywhere.stage(layer_one=1)()
    before, name = anywhere.tables.locations(), anywhere.id("layer.one")
    tables = Tables(anywhere.environment.read_only())
    assert tables.locations([name]) == {name: before[name]}
    with pytest.raises(Exception, match=r"(?i)not written|read-?only"):
        tables.catalog.create_namespace(f"{anywhere.prefix}more")
    with pytest.raises(Exception, match=r"(?i)not written|read-?only"):
        tables.catalog.drop_table(name)
    with pytest.raises(ReadOnlyError, match="this process only reads the environment"):
        Records(tables.environment).reserve()
    assert anywhere.tables.locations() == before
    if isinstance(tables.catalog, SqlCatalog):
        tables.catalog.engine.dispose()
