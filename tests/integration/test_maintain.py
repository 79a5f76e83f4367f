"""Maintenance in every kind of catalog and store: what may be read is there and the same, what may not be needed goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from pyiceberg.table import StaticTable, Table
from tests.harness.environments import CODE, Place, place
from tests.harness.rest_catalog import serving

from slipway.doctor import table_checks as health_of_tables
from slipway.doctor.examination import Examination
from slipway.engines.duckdb import compact, copying
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.errors import ConflictError
from slipway.iceberg.snapshots import StagedTable
from slipway.maintenance import apply
from slipway.maintenance.apply import Maintained, Proposal, maintain, propose_in
from slipway.maintenance.steps import OLDER_THAN, Compact, Delete, Expire, orphans
from slipway.maintenance.survey import survey
from slipway.records.release_records import Intent, Release
from slipway.releases.candidates import record_of
from slipway.releases.publication import release
from slipway.sql_text import literal
from slipway.storage.locations import duckdb_path
from slipway.storage.objects import canonical, object_store

TABLE = "raw.events"
FILES = 5
KEEP = {"keep_days": 30, "keep_releases": 2}
LATER = timedelta(days=60)


class Killed(BaseException):
    """The process ends here: nothing that it meant to do is done."""


def on_rest(folder: Path, *, several: bool) -> Iterator[Place]:
    with serving(several=several) as server:
        yield place(f"file://{folder}/w", type="rest", uri=f"http://127.0.0.1:{server.server_port}")


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    return place(f"file://{tmp_path}/w", type="sql", uri=f"sqlite:///{tmp_path}/catalog.db")


@pytest.fixture
def s3(tmp_path: Path, bucket: dict[str, str]) -> Place:
    return place("s3://catalogs", type="sql", uri=f"sqlite:///{tmp_path}/catalog.db", **bucket)


@pytest.fixture
def glue(bucket: dict[str, str]) -> Iterator[Place]:
    yield place("s3://catalogs", type="glue", **bucket)
    client = boto3.session.Session(region_name="us-east-1").client("glue")
    for database in client.get_databases()["DatabaseList"]:
        client.delete_database(Name=database["Name"])


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Place]:
    yield from on_rest(tmp_path, several=True)


@pytest.fixture
def rest_by_table(tmp_path: Path) -> Iterator[Place]:
    yield from on_rest(tmp_path, several=False)


@pytest.fixture
def anywhere(request: pytest.FixtureRequest) -> Iterator[Place]:
    found: Place = request.getfixturevalue(request.param)
    yield found
    found.connection.close()


def catalogs(*ordinary: str) -> pytest.MarkDecorator:
    """Runs a test in every kind of catalog and store, those not named in the long suites."""
    params = []
    for name in ("sqlite", "s3", "glue", "rest", "rest_by_table"):
        marks = [pytest.mark.server] if name in ("s3", "glue") else []
        params.append(pytest.param(name, marks=marks if name in ordinary else [*marks, pytest.mark.long]))
    return pytest.mark.parametrize("anywhere", params, indirect=True)


def stage(where: Place, sql: str) -> tuple[StagedTable, Intent]:
    where.restart()
    run_id, number = f"20240501T0000{next(where.runs):02d}Z-0000abcd", where.records.reserve()
    location = where.tables.locations().get(where.id(TABLE))
    base = where.tables.load(where.id(TABLE), location) if location else None
    request = WriteRequest(
        where.id(TABLE),
        sql,
        "append",
        run_id,
        f"release-{number}",
        partitioned_by=["part"],
        sorted_by=["name desc"],
    )
    staged = write(where.connection, where.tables, base, request).staged
    where.records.write(run_id, f"candidate/{where.name(TABLE)}.json", record_of(staged, number))
    return staged, Intent(number=number, run_id=run_id, code=CODE)


def publish(where: Place, sql: str) -> Release:
    staged, intent = stage(where, sql)
    return release(where.tables, where.records, [staged], intent)


def day(number: int) -> str:
    return f"select {number} * 100 + i as id, 'n' || (i % 7) as name, i % 2 as part from range(40) as t(i)"


def history(where: Place) -> list[Release]:
    """Each release adds a file to each of two partitions, in an order."""
    return [publish(where, day(number)) for number in range(FILES)]


def plan(where: Place, after: timedelta = timedelta(), *, dry_run: bool = False) -> Proposal:
    where.restart()
    moment = datetime.now(UTC) + after
    return propose_in(where.environment, KEEP, {}, [], OLDER_THAN, moment, dry_run=dry_run)


def done(where: Place, after: timedelta = timedelta()) -> Maintained:
    return maintain(plan(where, after), lambda _: None)


def static(where: Place, location: str) -> StaticTable:
    return StaticTable.from_metadata(location, where.environment.catalog_properties)


def rows(table: Table) -> list[dict[str, Any]]:
    return sorted(table.scan().to_arrow().to_pylist(), key=lambda row: int(row["id"]))


def now(where: Place) -> Table:
    """The table as another program loads it from the catalog."""
    found: Table = where.catalog().load_table(where.id(TABLE))
    return found


def objects(where: Place) -> set[str]:
    store = object_store(now(where).metadata.location, where.environment.catalog_properties)
    return {item.key for folder in ("data", "metadata") for item in store.entries(folder)}


@catalogs("sqlite")
def test_the_same_rows_in_fewer_files(anywhere: Place) -> None:
    history(anywhere)
    before = now(anywhere)
    visible, there = rows(before), objects(anywhere)
    proposal = plan(anywhere, dry_run=True)
    assert objects(anywhere) == there
    (step,) = proposal.plan.steps
    assert isinstance(step, Compact)
    assert [len(one.files) for one in step.bins] == [FILES, FILES]
    assert done(anywhere).plan.steps == proposal.plan.steps
    after = now(anywhere)
    snapshot = after.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation.value == "replace"
    assert snapshot.parent_snapshot_id == before.metadata.current_snapshot_id
    assert rows(after) == visible
    files = [task.file for task in after.scan().plan_files()]
    assert sorted(file.partition[0] for file in files) == [0, 1]
    for file in files:
        assert file.sort_order_id == after.metadata.default_sort_order_id != 0
        read = anywhere.connection.execute(
            f"select name, part from read_parquet({literal(duckdb_path(file.file_path))})"
        ).fetchall()
        assert [name for name, _ in read] == sorted((name for name, _ in read), reverse=True)
        assert {part for _, part in read} == {file.partition[0]}
    scan = f"iceberg_scan({literal(duckdb_path(after.metadata_location))})"
    assert anywhere.connection.execute(f"select count(*), sum(id) from {scan}").fetchall() == [
        (len(visible), sum(row["id"] for row in visible))
    ]
    assert plan(anywhere).plan.steps == []
    assert publish(anywhere, day(9)).tables[anywhere.name(TABLE)].changed
    assert len(rows(now(anywhere))) == len(visible) + 40


@catalogs("sqlite")
def test_doctor_finds_nothing_in_what_was_put_together(anywhere: Place, tmp_path: Path) -> None:
    history(anywhere)
    assert [type(step) for step in done(anywhere).plan.steps] == [Compact]
    at = Examination(anywhere.environment, tmp_path, datetime.now(UTC))
    assert [*health_of_tables.released(at), *health_of_tables.files(at)] == []
    table = now(anywhere)
    table.delete("id = 101")
    at = Examination(anywhere.environment, tmp_path, datetime.now(UTC))
    (found,) = health_of_tables.released(at)
    assert "is of no release: another program committed" in found.what


@catalogs("sqlite")
def test_what_expires_and_what_goes(anywhere: Place) -> None:
    releases = history(anywhere)
    stray = f"{now(anywhere).metadata.location}/data/stray.parquet"
    store = object_store(now(anywhere).metadata.location, anywhere.environment.catalog_properties)
    store.create("data/stray.parquet", b"x")
    assert not any(isinstance(step, Delete) for step in plan(anywhere).plan.steps)
    expired = done(anywhere, LATER)
    kinds = [type(step) for step in expired.plan.steps]
    assert kinds == [Compact, Expire, Delete]
    last = expired.plan.steps[-1]
    assert isinstance(last, Delete)
    assert canonical(stray) in {one.location for one in last.objects}
    assert expired.plan.reach.release is not None
    assert expired.plan.reach.release.number == releases[-2].number
    table = now(anywhere)
    kept = {one.tables[anywhere.name(TABLE)].snapshot_id for one in releases[-2:]}
    assert {str(one.snapshot_id) for one in table.snapshots()} == {
        *kept,
        str(table.metadata.current_snapshot_id),
    }
    assert table.metadata.refs.keys() == {"main", *(f"release-{one.number}" for one in releases[-2:])}
    before = objects(anywhere)
    again = done(anywhere, LATER + timedelta(days=4))
    assert again.plan.size > 0
    left = objects(anywhere)
    assert left < before
    for one, number in zip(releases[-2:], (FILES - 1, FILES), strict=True):
        old = static(anywhere, one.tables[anywhere.name(TABLE)].metadata_location)
        assert len(rows(old)) == number * 40
    assert len(rows(now(anywhere))) == FILES * 40
    assert done(anywhere, LATER + timedelta(days=4)).plan.steps == []
    assert objects(anywhere) == left


@catalogs("sqlite")
def test_a_run_that_was_building_is_refused_as_a_whole(anywhere: Place) -> None:
    history(anywhere)
    staged, intent = stage(anywhere, day(8))
    visible = rows(now(anywhere))
    assert [type(step) for step in done(anywhere).plan.steps] == [Compact]
    anywhere.restart()
    with pytest.raises(ConflictError, match="moved"):
        release(anywhere.tables, anywhere.records, [staged], intent)
    assert rows(now(anywhere)) == visible
    assert publish(anywhere, day(8)).number > intent.number


@catalogs("rest_by_table")
def test_who_commits_first_wins(anywhere: Place) -> None:
    history(anywhere)
    late = plan(anywhere)
    publish(anywhere, day(9))
    visible = rows(now(anywhere))
    message = maintain(late, lambda _: None)
    assert [left.why.split(":")[0] for left in message.plan.left] == ["it moved meanwhile"]
    assert message.plan.steps == []
    assert rows(now(anywhere)) == visible


def test_two_at_once(sqlite: Place) -> None:
    history(sqlite)
    plans = [plan(sqlite, LATER), plan(sqlite, LATER)]
    visible = rows(now(sqlite))
    first, second = (maintain(one, lambda _: None) for one in plans)
    assert len(first.plan.steps) == 3
    assert [type(step) for step in second.plan.steps] == [Delete]
    assert rows(now(sqlite)) == visible
    left = survey(sqlite.tables, sqlite.records, KEEP, datetime.now(UTC), OLDER_THAN)
    assert [one for folder in left.folders.values() for one in orphans(left.history, folder)] == []


@pytest.mark.parametrize("function", ["publish", "apply_delete", "_bytes_added"])
def test_killed_at_any_moment(sqlite: Place, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    history(sqlite)
    visible = rows(now(sqlite))

    def die(*_: object, **__: object) -> None:
        raise Killed

    killed = plan(sqlite, LATER)
    with monkeypatch.context() as patch:
        patch.setattr(apply, function, die)
        with pytest.raises(Killed):
            maintain(killed, lambda _: None)
    assert rows(now(sqlite)) == visible
    done(sqlite, LATER)
    done(sqlite, LATER + timedelta(days=4))
    done(sqlite, LATER + timedelta(days=8))
    assert rows(now(sqlite)) == visible
    assert plan(sqlite, LATER + timedelta(days=8)).plan.steps == []


def test_rows_that_changed_on_the_way_are_not_published(
    sqlite: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(sqlite)
    before = sqlite.tables.locations()
    monkeypatch.setattr(
        compact, "copy", lambda cursor, select, to: copying.copy(cursor, f"{select} where id <> 101", to)
    )
    maintained = done(sqlite)
    (left,) = maintained.plan.left
    assert maintained.differ == [left.table]
    assert "is not compacted: 100 rows were read and 99 written, or not the same ones" in left.why
    sqlite.restart()
    assert sqlite.tables.locations() == before


def test_files_that_duckdb_reads_otherwise_are_not_touched(sqlite: Place, tmp_path: Path) -> None:
    history(sqlite)
    table, files = now(sqlite), []
    for number in range(5):
        files.append(f"{tmp_path}/{number}.parquet")
        query = f"select {900 + number} as id, 'x' as name, 0 as part"
        sqlite.connection.execute(f"copy ({query}) to '{files[-1]}' (format parquet)")
    with table.transaction() as change:
        change.set_properties(
            {"schema.name-mapping.default": table.metadata.schema().name_mapping.model_dump_json()}
        )
    now(sqlite).add_files(files)
    visible = rows(now(sqlite))
    assert len(visible) == FILES * 40 + 5
    (left,) = done(sqlite).plan.left
    assert "has values in" in left.why
    assert rows(now(sqlite)) == visible


def test_files_that_are_not_there_are_a_reason_to_remove_nothing(sqlite: Place) -> None:
    history(sqlite)
    lost = next(iter(now(sqlite).scan().plan_files())).file.file_path
    Path(lost.removeprefix("file://")).unlink()
    found = plan(sqlite, LATER)
    assert not any(isinstance(step, Delete) for step in found.plan.steps)
    assert f"{lost.rsplit('/', 1)[-1]} is a file of it and is not there" in [
        left.why for left in found.plan.left
    ]


def test_a_table_that_is_not_in_the_catalog_keeps_its_files(sqlite: Place) -> None:
    history(sqlite)
    location = now(sqlite).metadata_location
    sqlite.catalog().drop_table(sqlite.id(TABLE))
    found = done(sqlite, LATER)
    assert found.plan.steps == []
    assert [left.why for left in found.plan.left] == [
        "the last release has it, and the catalog does not name it"
    ]
    assert len(rows(static(sqlite, location))) == FILES * 40


def test_other_ways_to_name_a_file(sqlite: Place, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "w")
    real = canonical(f"{tmp_path}/w/a/data/x.parquet")
    for name in ("file:///", "file:/", "/"):
        for folder in ("w", "link"):
            assert canonical(f"{name}{str(tmp_path)[1:]}/{folder}/a/data/x.parquet") == real
    assert canonical("s3a://b/k/x") == canonical("s3n://b/k/x") == "s3://b/k/x"
