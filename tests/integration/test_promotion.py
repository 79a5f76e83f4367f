"""Releases that are promoted from one environment to another: what travels, what is copied, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pyiceberg.table.snapshots import Operation
from tests.harness import records
from tests.harness.delete_files import deleted
from tests.harness.promotions import POLICY, Stand

from slipway.dbt.inputs import partitions_changed, rows_added
from slipway.errors import (
    ConfigError,
    ConflictError,
    DamagedError,
    NotFoundError,
    SlipwayError,
    UnavailableError,
    UsageError,
)
from slipway.iceberg.metadata_files import summary_of
from slipway.iceberg.snapshots import current_content
from slipway.iceberg.tables import Tables
from slipway.maintenance.apply import maintain, propose_in
from slipway.maintenance.steps import Compact, Delete
from slipway.monitors.volumes import days_of_snapshots
from slipway.promotion import build_again, promote
from slipway.promotion.planning import Proposal, keep, planned, propose
from slipway.promotion.promote import carry_out
from slipway.records.code_comparisons import comparisons_of, keep_comparison
from slipway.records.promotion_records import CodeComparison
from slipway.records.release_records import Hold, Release
from slipway.records.run_manifest import Code, RunManifest
from slipway.releases.holds import Holds
from slipway.releases.publication import heal
from slipway.releases.roll_back import propose as propose_rollback
from slipway.releases.roll_back import roll_back

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.table import Table

ORDERS = {"table": "serving.orders", "sql": "select i as id, i % 3 as day from range(10) t(i)"}
LINES = {"table": "raw.lines", "sql": "select 'a' as line"}


@pytest.fixture
def stand(tmp_path: Path, duck: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(tmp_path, duck)
    for name, value in made.settings().items():
        monkeypatch.setenv(name, value)
    return made


def appended(value: int) -> dict[str, Any]:
    return {**ORDERS, "sql": f"select {value} as id, 1 as day", "strategy": "append"}


def shows_the_same(stand: Stand) -> None:
    """Every table of the target has the rows, files, digest, columns and layout of the source's."""
    assert stand.shown()
    assert stand.shown().keys() == stand.shown("staging").keys()
    for name in stand.shown():
        assert stand.rows(name) == stand.rows(name, "staging")
        assert stand.files(name) == stand.files(name, "staging")
        there, here = stand.table(name, "staging"), stand.table(name)
        one, other = summary_of(there.current_snapshot()), summary_of(here.current_snapshot())
        for key in (
            "slipway.digest",
            "slipway.run-id",
            "total-records",
            "total-data-files",
            "total-files-size",
        ):
            assert other[key] == one[key]
        assert here.schema() == there.schema()
        assert here.schema().schema_id == there.schema().schema_id
        assert (here.spec(), here.sort_order()) == (there.spec(), there.sort_order())
        assert f"file://{stand.folder}/prod/" in here.location()


def test_the_audited_data_itself_is_shown(stand: Stand) -> None:
    stand.publish(
        {
            **ORDERS,
            "partitioned_by": ["bucket(2, id)"],
            "sorted_by": ["day"],
            "table_properties": {"owner": "ada"},
        },
        LINES,
    )
    done = stand.promote()
    assert done.promoted
    assert (done.promoted.target, done.promoted.release) == ("staging", 1)
    shows_the_same(stand)
    orders = stand.table("serving.orders")
    assert orders.properties["owner"] == "ada"
    assert summary_of(orders.current_snapshot())["slipway.promoted-from"] == "staging"
    assert orders.metadata.table_uuid != stand.table("serving.orders", "staging").metadata.table_uuid
    for path in (stand.folder / "prod").rglob("*.metadata.json"):
        assert f"{stand.folder}/staging" not in path.read_text(encoding="utf-8")


def test_only_new_bytes_are_copied(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    before = stand.all_files()
    stand.publish(appended(100))
    proposal = stand.proposal()
    done = stand.promote()
    added = stand.all_files() - before
    assert len(added) == 1
    assert proposal.plan.bytes == sum(path.stat().st_size for path in added)
    assert stand.copied(done.number) == [f"data/{path.name}" for path in added]
    shows_the_same(stand)
    assert len(stand.table("serving.orders").metadata.snapshots) == 2
    assert not stand.proposal().is_needed
    with pytest.raises(
        UsageError, match=r"There is nothing to promote: prod shows release 2 of staging already"
    ):
        carry_out(stand.proposal(), "", lambda _: None)
    shown = propose_rollback(stand.project, "prod", done.number, ())
    assert shown.steps == []
    with pytest.raises(SlipwayError, match=r"Nothing was published: no table would change"):
        roll_back(shown, hold=False, reason="")


def test_a_time_without_a_time_zone_is_refused(stand: Stand) -> None:
    """It could be compared with no other time: of a plan, a canary, a run, a release, a hold and a promotion."""
    stand.publish(ORDERS, manifest={"code": Code(commit="c0ffee", branch="main", dirty=False)})
    staging, prod = stand.records("staging"), stand.records("prod")
    keep(proposal := stand.proposal())
    carry_out(proposal, "", lambda _: None)
    now = datetime.now(UTC)
    Holds(prod).place_hold(Hold(target="prod", release=1, placed_at=now, who="ada", reason="why"))
    canary = CodeComparison(
        comparison_id="c",
        made_at=now,
        who="ada",
        commit="c0ffee",
        base="b",
        passed=True,
        covers="all",
        verdicts={},
    )
    keep_comparison(staging, canary)
    reads: dict[str, tuple[str, str, Callable[[], object]]] = {
        "plan": (
            "prod/**/plans/*.json",
            "made_at",
            lambda: planned(stand.project, "prod", proposal.plan.plan_id),
        ),
        "canary": (
            "staging/**/comparisons/**/c.json",
            "made_at",
            lambda: comparisons_of(staging, "c0ffee"),
        ),
        "run": ("staging/**/run_manifest.json", "started_at", lambda: staging.manifest(proposal.goal.run_id)),
        "release": ("staging/**/releases/000001.json", "published_at", staging.releases),
        "hold": ("prod/**/holds/*.json", "placed_at", Holds(prod).current),
    }
    for name, (place, field, read) in reads.items():
        (path,) = stand.folder.glob(place)
        kept = path.read_text(encoding="utf-8")
        changed = json.loads(kept)
        changed[field] = changed[field].removesuffix("Z").removesuffix("+00:00")
        assert changed[field] != json.loads(kept)[field], name
        path.write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(DamagedError, match=f"the time in {field} has no time zone"):
            read()
        path.write_text(kept, encoding="utf-8")
        read()


def test_a_table_that_was_created_again_has_no_history_of_the_one_before(stand: Stand) -> None:
    other = {"table": "serving.days", "sql": "select 1 as day"}
    stand.publish(ORDERS, other)
    stand.publish(retire=["serving.orders"])
    stand.publish(ORDERS)
    with pytest.raises(NotFoundError) as refused:
        propose_rollback(stand.project, "staging", 1, ())
    line = refused.value.line()
    assert "was created after the wanted one" in line
    assert "expired" not in line
    assert "retire the new table first" in line
    stand.publish(retire=["serving.orders"])
    brought = propose_rollback(stand.project, "staging", 1, ())
    roll_back(brought, hold=False, reason="")
    assert len(stand.rows("serving.orders", "staging")) == 10


def test_a_promotion_may_leave_out_releases(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    for value in (100, 101):
        stand.publish(appended(value))
    stand.publish({**ORDERS, "sql": "select 101 as id, 7 as day", "strategy": "merge", "unique_key": ["id"]})
    done = stand.promote()
    assert done.promoted
    assert done.promoted.release == 4
    shows_the_same(stand)
    assert len(stand.table("serving.orders").metadata.snapshots) == 2
    stand.publish({**ORDERS, "sql": "select 1 as id, 1 as day"})
    stand.promote()
    shows_the_same(stand)


def test_an_earlier_release_is_shown_again_without_a_copy(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    stand.publish(appended(100))
    stand.promote()
    proposal = stand.proposal(1)
    assert [table.action for table in proposal.plan.rests_on.tables.values()] == ["shown again"]
    stand.promote(1)
    assert len(stand.rows("serving.orders")) == 10
    assert len(stand.table("serving.orders").metadata.snapshots) == 2
    stand.promote()
    shows_the_same(stand)


def test_columns_travel_with_their_ids(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    more = {"on_schema_change": "append_new_columns", "strategy": "append"}
    stand.publish({**ORDERS, **more, "sql": "select 100 as id, 1 as day, 'x' as note"})
    stand.publish({**ORDERS, **more, "sql": "select 101 as id, 1 as day, 'y' as note, 2.5::double as price"})
    stand.promote()
    shows_the_same(stand)
    assert (101, 1, "y", 2.5) in stand.rows("serving.orders")
    # types widen and columns go; what was shown before is read by its own schema
    stand.publish({**ORDERS, "sql": "select 1::bigint as id, 'z' as note"})
    stand.promote()
    shows_the_same(stand)
    table = stand.table("serving.orders")
    first = table.metadata.snapshots[0]
    assert table.scan(snapshot_id=first.snapshot_id).to_arrow().column_names == ["id", "day"]


def test_files_of_earlier_partition_specs_travel(stand: Stand) -> None:
    stand.publish({**ORDERS, "partitioned_by": ["day"]})
    stand.publish({**appended(100), "partitioned_by": ["day", "bucket(4, id)"]})
    stand.publish({**appended(101), "partitioned_by": []})
    stand.promote()  # three specs in one snapshot
    shows_the_same(stand)
    specs = {
        task.file.spec_id: task.file.partition for task in stand.table("serving.orders").scan().plan_files()
    }
    assert len(specs) == 3
    found = stand.table("serving.orders").scan(row_filter="day == 1").to_arrow().num_rows
    assert found == stand.table("serving.orders", "staging").scan(row_filter="day == 1").to_arrow().num_rows
    stand.publish({**appended(102), "partitioned_by": ["truncate(10, id)"]})
    stand.promote()
    shows_the_same(stand)


def test_tables_without_rows_travel(stand: Stand) -> None:
    stand.publish({**ORDERS, "sql": "select 1 as id where false"})
    stand.promote()
    shows_the_same(stand)
    assert stand.rows("serving.orders") == []
    stand.publish({**ORDERS, "sql": "select 1 as id"})
    stand.promote()
    assert stand.rows("serving.orders") == [(1,)]
    stand.publish({**ORDERS, "sql": "select 1 as id where false"})
    stand.promote()
    shows_the_same(stand)
    assert stand.rows("serving.orders") == []


@pytest.mark.long
def test_statistics_of_other_tools_travel_with_the_rows(stand: Stand) -> None:
    stand.publish(ORDERS)
    content = stand.computed("serving.orders", "metadata/one.stats")
    stand.publish(LINES)  # a release that shows the table with its statistics
    done = stand.promote()
    assert "metadata/one.stats" in stand.copied(done.number)
    promoted = stand.table("serving.orders")
    (found,) = promoted.metadata.statistics
    assert found.statistics_path == f"{promoted.location()}/metadata/one.stats"
    copy = Path(found.statistics_path.removeprefix("file://"))
    assert copy.read_bytes() == content
    assert len(stand.rows("serving.orders")) == 10
    # a promotion on top keeps them, and maintenance counts the file as the table's
    stand.publish(appended(100))
    stand.promote()
    assert stand.table("serving.orders").metadata.statistics == [found]
    later = datetime.now(UTC) + timedelta(days=4)
    environment = stand.environment("prod")
    maintain(propose_in(environment, {}, {}, (), timedelta(days=3), later, dry_run=False), lambda _: None)
    assert copy.exists()

    stand.computed("serving.orders", "../elsewhere.stats")
    stand.publish({**LINES, "strategy": "append"})
    stand.write("promotion.yml", "environments: {dev: {from: [staging]}}")
    why = r"serving.orders cannot be promoted: its statistics .*elsewhere.stats are outside of its folder"
    with pytest.raises(SlipwayError, match=why):
        stand.promote(None, "staging", "dev")


def test_delete_files_of_other_tools_are_refused(stand: Stand) -> None:
    stand.publish({**ORDERS, "sql": "select i::bigint as id from range(3) t(i)"})
    catalog = Tables(stand.environment("staging")).catalog
    deleted(catalog.load_table("serving.orders"), "position").commit_transaction()
    stand.publish(LINES)
    assert [row[0] for row in stand.rows("serving.orders", "staging")] == [0, 2]
    with pytest.raises(
        SlipwayError, match=r"serving.orders cannot be promoted: another tool wrote delete files for it"
    ):
        stand.promote()
    assert stand.shown() == {}


@pytest.mark.long
def test_a_hundred_tables_are_one_publication(stand: Stand) -> None:
    requests = [{"table": f"serving.t{number}", "sql": f"select {number} as n"} for number in range(100)]
    stand.publish(*requests)
    done = stand.promote()
    assert [release.number for release in stand.records("prod").releases()] == [done.number]
    assert sum(table.changed for table in done.tables.values()) == 100
    assert done.guarantee == "all tables in one database transaction"
    assert stand.rows("serving.t99") == [(99,)]


def test_what_the_source_retired_is_retired(stand: Stand) -> None:
    stand.publish(ORDERS, LINES)
    stand.promote()
    stand.publish(appended(1), retire=["raw.lines"])
    done = stand.promote()
    assert stand.shown().keys() == {"serving.orders"}
    assert done.retired.keys() == {"raw.lines"}
    # and comes back, as another table, when it is made again
    stand.publish(LINES)
    stand.promote()
    shows_the_same(stand)


def test_the_run_of_the_release_vouches_for_what_is_retired(stand: Stand) -> None:
    stand.publish(ORDERS, LINES)
    stand.promote()
    stand.write("promotion.yml", "environments: {prod: {from: [staging], require: {clean_commit: true}}}")
    release = stand.publish(
        retire=["raw.lines"], manifest={"code": Code(commit=None, branch=None, dirty=False)}
    )
    with pytest.raises(SlipwayError, match=f"clean_commit: run {release.run_id}: "):
        stand.promote()
    assert stand.shown().keys() == {"serving.orders", "raw.lines"}


def test_layers_may_be_left_out(stand: Stand) -> None:
    stand.write("promotion.yml", "environments: {prod: {from: [staging], layers: [serving]}}")
    stand.publish(ORDERS, LINES)
    assert stand.proposal().plan.left_out == {"raw.lines": "promotion.yml leaves out layer raw"}
    stand.promote()
    assert stand.shown().keys() == {"serving.orders"}
    assert not stand.proposal().is_needed


def test_a_release_goes_on_from_environment_to_environment(stand: Stand) -> None:
    stand.publish(ORDERS, target="dev")
    stand.promote(None, "dev", "staging")
    done = stand.promote()
    assert done.promoted
    assert done.promoted.target == "staging"
    assert stand.rows("serving.orders") == stand.rows("serving.orders", "dev")
    # the run vouches in every environment, and its manifest came along
    assert [one.met for one in stand.proposal(None, "dev", "staging").plan.evidence] == []
    (run,) = (stand.folder / "prod/_slipway/promotions").rglob("runs/*.json")
    (origin,) = (stand.folder / "home/dev").rglob("run_manifest.json")
    assert run.read_bytes() == origin.read_bytes()


# ---------------------------------------------------------------------------------------------- what stands in the way


def test_a_snapshot_that_expired_is_refused(stand: Stand) -> None:
    stand.publish(ORDERS)
    old = stand.table("serving.orders", "staging")
    stand.publish({**ORDERS, "sql": "select 1 as id"})
    Path(old.metadata_location.removeprefix("file://")).unlink()
    with pytest.raises(NotFoundError, match=r"serving.orders cannot be promoted: its snapshot has expired"):
        stand.promote(1)
    assert stand.shown() == {}
    stand.promote(2)


@pytest.mark.parametrize("part", ["snap-*.avro", "*-m0.avro"])
def test_manifests_that_expired_are_refused(stand: Stand, part: str) -> None:
    stand.publish(ORDERS)
    for path in (stand.folder / "staging/serving").rglob(part):
        path.unlink()
    with pytest.raises(NotFoundError, match="its snapshot has expired"):
        stand.promote()
    assert stand.shown() == {}


def test_a_missing_data_file_is_refused(stand: Stand) -> None:
    stand.publish(ORDERS)
    (path,) = stand.all_files("staging")
    path.unlink()
    with pytest.raises(DamagedError, match=r"data of serving.orders cannot be read: .*it is missing"):
        stand.promote()
    assert stand.shown() == {}


def test_a_data_file_of_another_size_is_refused(stand: Stand) -> None:
    stand.publish(ORDERS, LINES)
    for path in stand.all_files("staging"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=r"is not what it was: it has [\d,]+ bytes, and its manifest says"):
        stand.promote()
    assert stand.shown() == {}
    assert not [path for path in (stand.folder / "prod").rglob("*") if path.name.startswith(".unfinished")]


def test_a_copy_that_came_out_otherwise_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.publish(ORDERS)
    whole = os.fsync

    def flip(handle: int) -> None:
        whole(handle)
        os.pwrite(handle, b"\0", 10)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", flip)
        with pytest.raises(UnavailableError, match="what was written is not what was read"):
            stand.promote()
    assert stand.shown() == {}
    assert stand.all_files("prod") == set()
    stand.promote()
    shows_the_same(stand)


def test_a_file_of_the_target_that_is_gone_is_refused(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    (path,) = stand.all_files("prod")
    path.unlink()
    stand.publish(appended(100))
    with pytest.raises(DamagedError, match="it is missing"):
        stand.promote()
    assert len(stand.records("prod").releases()) == 1


def test_a_folder_that_cannot_be_made_is_refused(stand: Stand) -> None:
    stand.publish(ORDERS, LINES)
    (stand.folder / "prod/serving").mkdir(parents=True)
    (stand.folder / "prod/serving/orders").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot be written: Not a directory"):
        stand.promote()
    assert stand.shown() == {}


def test_a_commit_of_another_program_in_the_target_is_not_hidden(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    catalog = Tables(stand.environment("prod")).catalog
    table = catalog.load_table("serving.orders")
    table.append(table.scan().to_arrow())
    snapshot = table.refresh().current_snapshot()
    assert snapshot
    stand.publish(appended(100))
    with pytest.raises(ConflictError, match=f"current snapshot {snapshot.snapshot_id} is of no release"):
        stand.promote()
    assert len(stand.rows("serving.orders")) == 20


def test_a_property_that_another_program_set_stays(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    catalog = Tables(stand.environment("prod")).catalog
    with catalog.load_table("serving.orders").transaction() as transaction:
        transaction.set_properties(cost_center="17")
    assert not stand.proposal().is_needed
    stand.publish(appended(100))
    stand.promote()
    assert stand.table("serving.orders").properties["cost_center"] == "17"
    shows_the_same(stand)


def test_a_table_that_the_target_built_is_replaced_only_when_that_is_asked_for(stand: Stand) -> None:
    stand.publish({**ORDERS, "sql": "select 'own' as word"}, target="prod")
    stand.publish(ORDERS)
    with pytest.raises(
        SlipwayError, match=r"it was built there and never promoted\. Replace it with --replace"
    ):
        stand.promote()
    stand.promote(replace=True)
    shows_the_same(stand)
    stand.publish(appended(100))
    stand.promote()
    shows_the_same(stand)


def test_columns_that_came_apart_are_refused(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    more = {"on_schema_change": "append_new_columns", "strategy": "append"}
    stand.publish({**ORDERS, **more, "sql": "select 100 as id, 1 as day, 'x' as note"})
    stand.publish({**ORDERS, **more, "sql": "select 100 as id, 1 as day, 5 as price"}, target="prod")
    with pytest.raises(SlipwayError, match="its schema 1 is not what it is where it was promoted from"):
        stand.promote()


def test_what_moves_while_files_are_copied_is_refused(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    stand.publish(appended(100))
    proposal = stand.proposal()
    intruding = stand.publish(appended(7), target="prod")
    with pytest.raises(
        ConflictError, match=f"it shows release {intruding.number} by now, and the plan rests on release 1"
    ):
        carry_out(proposal, "", lambda _: None)

    proposal = stand.proposal()

    def intrude(_: str) -> None:  # as another program, which makes no release
        table = Tables(stand.environment("prod")).catalog.load_table("serving.orders")
        table.append(table.scan().to_arrow())

    with pytest.raises(ConflictError, match=r"serving.orders moved: its current snapshot is now \d+"):
        carry_out(proposal, "", intrude)
    assert len(stand.rows("serving.orders")) == 22
    assert not stand.records("prod").open_keys()


def test_a_release_of_other_tables_while_files_are_copied_is_not_hidden(stand: Stand) -> None:
    """Together they would be a state that nobody has looked at."""
    stand.publish(ORDERS, LINES)
    stand.promote()
    stand.publish(appended(100))
    proposal = stand.proposal()

    def intrude(_: str) -> None:
        stand.publish({**LINES, "sql": "select 'b' as line"}, target="prod")

    with pytest.raises(ConflictError, match="it shows release 2 by now, and the plan rests on release 1"):
        carry_out(proposal, "", intrude)
    assert len(stand.rows("serving.orders")) == 10
    assert not stand.records("prod").open_keys()


def test_evidence_that_grows_old_while_files_are_copied_is_refused(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.write("promotion.yml", "environments: {prod: {from: [staging], require: {run_max_age: 1h}}}")
    stand.publish(ORDERS)
    proposal = stand.proposal()

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Later:
            return super().now(tz) + timedelta(hours=2)

    with pytest.raises(SlipwayError, match=r"run_max_age: run .* which is longer ago than 1 hour"):
        carry_out(proposal, "", lambda _: monkeypatch.setattr(promote, "datetime", Later))
    assert stand.shown() == {}


@pytest.mark.parametrize("same_plan", [False, True])
def test_of_two_promotions_at_once_one_is_refused(stand: Stand, same_plan: bool) -> None:
    stand.publish(ORDERS, LINES)
    stand.promote()
    stand.publish(appended(100))
    first = stand.proposal()
    proposals = [first, first if same_plan else stand.proposal()]
    start = threading.Barrier(2)

    def begin(proposal: Proposal) -> Release | ConflictError:
        start.wait()
        try:
            return carry_out(proposal, "", lambda _: None)
        except ConflictError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(begin, proposals))
    assert sorted(type(end).__name__ for end in ends) in (["ConflictError", "Release"], ["ConflictError"] * 2)
    if not any(isinstance(end, Release) for end in ends):  # each gave way to the other
        stand.promote()
    shows_the_same(stand)
    assert len(stand.records("prod").releases()) == 2
    assert not stand.records("prod").open_keys()


def test_an_environment_on_hold_is_left_as_it_is(stand: Stand) -> None:
    stand.publish(ORDERS)
    hold = Hold(target="prod", release=1, placed_at=datetime.now(UTC), who="ada", reason="audit")
    Holds(stand.records("prod")).place_hold(hold)
    with pytest.raises(
        SlipwayError, match=r"Promotion to prod is refused: prod is on hold since .* by ada: audit"
    ):
        stand.promote()
    assert stand.shown() == {}


def test_runs_on_the_same_tables_come_first(stand: Stand) -> None:
    from slipway.releases.leases import Leases

    stand.publish(ORDERS)
    records = stand.records("prod")
    lease = Leases(records).take("20240501T000000Z-00000000", ["serving.orders"], wait=0, what="A run")
    try:
        with pytest.raises(
            ConflictError, match=r"Promotion to prod is refused: serving.orders is taken by run 2024"
        ):
            stand.promote()
    finally:
        lease.release()
    stand.promote()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        pytest.param(None, r"There is no promotion\.yml: it says what a release needs", id="no-policy"),
        pytest.param(
            "environments: {staging: {from: [dev]}}", "Nothing may be promoted to prod", id="no-rules"
        ),
        pytest.param(
            "environments: {prod: {from: [dev]}}",
            r"Nothing may be promoted from staging to prod: promotion\.yml allows dev",
            id="not-from-there",
        ),
    ],
)
def test_the_policy_says_what_may_be_promoted(stand: Stand, policy: str | None, message: str) -> None:
    stand.publish(ORDERS)
    (stand.project / "promotion.yml").unlink()
    if policy:
        stand.write("promotion.yml", policy)
    with pytest.raises(ConfigError, match=message):
        stand.promote()


def test_one_warehouse_for_both_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_WAREHOUSE", f"{stand.folder}/one")
    with pytest.raises(
        ConfigError,
        match=r"staging and prod have the same warehouse: .*Set PYICEBERG_CATALOG__PROD__WAREHOUSE, and unset",
    ):
        stand.promote()


# ---------------------------------------------------------------------------------------------- plans and evidence


def test_a_plan_is_carried_out_as_it_was_made(stand: Stand) -> None:
    stand.publish(ORDERS)
    proposal = stand.proposal()
    keep(proposal)
    kept = planned(stand.project, "prod", proposal.plan.plan_id[-8:])
    assert kept == proposal.plan
    assert kept.digest == kept.rests_on.digest
    assert stand.shown() == {}
    done = stand.carried_out(kept.plan_id)
    assert done.promoted
    assert done.promoted.plan_id == kept.plan_id
    shows_the_same(stand)
    with pytest.raises(NotFoundError, match="There is no plan 1999"):
        planned(stand.project, "prod", "1999")


def test_of_plans_of_one_second_the_last_is_known_and_none_is_written_over(stand: Stand) -> None:
    """Ids begin with the second."""
    stand.publish(ORDERS)
    first = stand.proposal()
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    second, third = (
        replace(
            first,
            plan=first.plan.model_copy(
                update={"plan_id": f"20300101T000000Z-{end}", "made_at": moment + timedelta(milliseconds=at)}
            ),
        )
        for end, at in (("ffffffff", 1), ("00000000", 2))
    )
    keep(second)
    keep(third)
    assert planned(stand.project, "prod", "latest") == third.plan
    with pytest.raises(ConflictError, match="There is a plan 20300101T000000Z-00000000 in prod already"):
        keep(replace(first, plan=first.plan.model_copy(update={"plan_id": third.plan.plan_id})))
    assert planned(stand.project, "prod", third.plan.plan_id) == third.plan


COMMIT = Code(commit="c0ffee" + "0" * 34, dirty=False)


def test_what_cannot_be_rebuilt_is_refused_when_it_is_planned(stand: Stand) -> None:
    stand.publish(
        ORDERS, manifest={"code": Code(commit=COMMIT.commit, dirty=True, uncommitted=["a.sql: changed"])}
    )
    with pytest.raises(
        SlipwayError, match=r"staging release 1 cannot be rebuilt in prod: no commit holds its code: .*a\.sql"
    ):
        propose(stand.project, "staging", "prod", None, rebuild=True)
    stand.publish(ORDERS, manifest={"code": COMMIT})
    stand.write("promotion.yml", "environments: {prod: {from: [staging], layers: [serving]}}")
    with pytest.raises(ConfigError, match=r"cannot be rebuilt in prod: promotion\.yml leaves out layers"):
        propose(stand.project, "staging", "prod", None, rebuild=True)


def test_a_rebuild_has_to_meet_the_policy_before_and_after_it_was_built(stand: Stand) -> None:
    """What is asked of the run is asked of its manifest, so none of these comes to a publication."""
    stand.publish(ORDERS, manifest={"code": COMMIT})
    asked: list[str] = []

    def build(variables: Mapping[str, Any], staged_for: str) -> RunManifest:
        asked.append(staged_for)
        return records.manifest(**{"target": "prod", "code": COMMIT, "vars": dict(variables), **given})

    def rebuilt() -> Proposal:
        proposal = propose(stand.project, "staging", "prod", None, rebuild=True)
        keep(proposal)
        build_again.rebuild(proposal, "", build, lambda _: None)
        return proposal

    given: dict[str, Any] = {}
    stand.write("promotion.yml", "environments: {prod: {from: [staging], require: {tests_passed: true}}}")
    with pytest.raises(
        SlipwayError, match=r"staging release 1 cannot be promoted to prod: .*it has no tests"
    ):
        rebuilt()
    stand.write("promotion.yml", POLICY)
    with pytest.raises(
        SlipwayError, match=r"release 1 cannot be rebuilt in prod: .*Check out commit c0ffee000000"
    ):
        rebuilt()
    assert asked == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_again, "code_of", lambda _: COMMIT)
        for more, message in (
            (
                {"outcome": "failed", "reason": "1 of 2 nodes failed"},
                "promoted to prod: run r1: 1 of 2 nodes failed",
            ),
            (
                {"outcome": "staged", "code": Code(commit="d" * 40, dirty=False)},
                "the code changed during run r1",
            ),
            (
                {"outcome": "staged", "nodes": [records.node("serving.orders", status="error")]},
                r"built in prod cannot be published: gates of mode production \(rebuilt\): .*serving\.orders was not built",
            ),
        ):
            given.clear()
            given.update(more)
            with pytest.raises(SlipwayError, match=message):
                rebuilt()
    assert len(asked) == 3
    assert stand.shown() == {}


@pytest.mark.parametrize("what", ["target", "policy", "record"])
def test_a_plan_whose_grounds_changed_is_void(stand: Stand, what: str) -> None:
    stand.publish(ORDERS)
    proposal = stand.proposal()
    keep(proposal)
    stand.publish(appended(100))  # a later release of the source is none of its grounds
    if what == "target":
        stand.publish(LINES, target="prod")
        message = "prod shows release 1, and showed no release"
    elif what == "policy":
        stand.write("promotion.yml", f"# another one\n{POLICY}")
        message = r"promotion\.yml has changed"
    else:
        path = stand.folder / "staging/_slipway/releases/000001.json"
        path.write_text(path.read_text().replace("c0ffee", "c0ffef"))
        message = "the record of release 1 of staging is not what it was"
    with pytest.raises(ConflictError, match=f"Plan {proposal.plan.plan_id} is void: {message}"):
        stand.carried_out(proposal.plan.plan_id)
    assert "serving.orders" not in stand.shown()


def test_evidence_is_looked_up_in_the_records_of_the_runs_that_made_the_tables(stand: Stand) -> None:
    from tests.harness.records import NO_COMMIT

    rules = "environments: {prod: {from: [staging], require: {run_max_age: 2d}}}"
    stand.write("promotion.yml", rules)
    stand.publish(ORDERS, manifest={"started_at": datetime.now(UTC) - timedelta(days=3)})
    stand.publish(LINES)
    # the last run did not deal with the orders: the one before is their witness
    unmet = stand.proposal().plan.unmet
    assert [one.rule for one in unmet] == ["run_max_age"]
    assert "which is longer ago than 2 days" in unmet[0].why
    with pytest.raises(
        SlipwayError, match=r"staging release 2 cannot be promoted to prod: run_max_age: run \S+: it began at"
    ):
        stand.promote()
    stand.publish({**ORDERS, "sql": "select 2 as id"}, LINES)
    stand.promote()
    stand.publish(appended(3), manifest={"code": NO_COMMIT})
    assert [one.rule for one in stand.proposal().plan.unmet] == ["gates of mode production"]


@pytest.fixture
def signing(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """The stand with a key that signs the releases of staging, and counts there."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", private)
    stand.write("keys.yml", json.dumps({"keys": [{"name": "ci", "public_key": public}]}))
    stand.write("promotion.yml", "environments: {prod: {from: [staging], require: {signed: true}}}")
    return stand


def test_a_release_that_is_not_signed_is_refused(signing: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SLIPWAY_SIGNING_KEY", "none")
        signing.publish(ORDERS)
    with pytest.raises(SlipwayError, match="signed: release 1 of staging is not signed"):
        signing.promote()
    signing.publish(appended(100))
    done = signing.promote()
    assert (signing.folder / f"prod/_slipway/releases/{done.number:06d}.intoto.jsonl").exists()
    shows_the_same(signing)


def test_a_record_that_was_changed_after_it_was_signed_is_refused(signing: Stand) -> None:
    signing.publish(ORDERS)
    path = signing.folder / "staging/_slipway/releases/000001.json"
    path.write_text(path.read_text(encoding="utf-8").replace("c0ffee", "c0ffef"), encoding="utf-8")
    with pytest.raises(
        SlipwayError, match="signed: its signature is of another record than that of release 1"
    ):
        signing.promote()


def test_a_file_that_was_changed_after_it_was_signed_is_refused(signing: Stand) -> None:
    signing.publish(ORDERS)
    (path,) = signing.all_files("staging")
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DamagedError, match=r"its checksum is sha256:\w+, and sha256:\w+ was signed with the release"
    ):
        signing.promote()
    assert signing.shown() == {}
    assert signing.all_files("prod") == set()


def test_without_the_signed_list_of_its_files_a_table_is_not_signed(signing: Stand) -> None:
    """Nobody would know that a file is not the one that was signed."""
    signing.publish(ORDERS)
    (path,) = (signing.folder / "staging/_slipway/files").iterdir()
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(
        SlipwayError, match=r"signed: the signed list of the files of serving\.orders is gone"
    ):
        signing.promote()
    path.write_bytes(kept.replace(b'"rows": 10', b'"rows": 11'))
    with pytest.raises(SlipwayError, match=r"signed: .* does not have the content that its name tells"):
        signing.promote()
    path.write_bytes(kept)
    signing.promote()


def test_evidence_that_is_not_what_was_signed_does_not_count(signing: Stand) -> None:
    """Whoever changes a manifest can write its checksum anew, too, and cannot sign it."""
    release = signing.publish(ORDERS)
    (path,) = (signing.folder / "staging").rglob("run_manifest.json")
    seal = path.with_name("checksums.json")
    kept = path.read_bytes(), seal.read_bytes()
    path.write_bytes(kept[0].replace(b'"ada"', b'"eve"'))
    before, after = (hashlib.sha256(one).hexdigest() for one in (kept[0], path.read_bytes()))
    seal.write_bytes(kept[1].replace(before.encode(), after.encode()))
    with pytest.raises(
        SlipwayError, match=f"signed: the manifest of run {release.run_id} is not the one that was signed"
    ):
        signing.promote()
    path.write_bytes(kept[0])
    seal.write_bytes(kept[1])
    signing.promote()


def test_evidence_goes_on_from_environment_to_environment_as_it_was_signed(
    signing: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = "{from: [%s], require: {signed: true}}"
    signing.write("promotion.yml", f"environments: {{staging: {signed % 'dev'}, prod: {signed % 'staging'}}}")
    release = signing.publish(ORDERS, target="dev")
    signing.promote(None, "dev", "staging")
    signing.promote()
    # of a later release, the run of an earlier one vouches for what it does not change
    signing.publish(LINES, target="dev")
    signing.promote(None, "dev", "staging")
    (came,) = (signing.folder / "staging/_slipway/promotions/000001/runs").glob(f"{release.run_id}.json")
    came.write_bytes(came.read_bytes().replace(b'"ada"', b'"eve"'))
    with monkeypatch.context() as patch:
        patch.setenv("PYICEBERG_CATALOG__PROD__URI", f"sqlite:///{signing.folder}/other.db")
        patch.setenv("PYICEBERG_CATALOG__PROD__WAREHOUSE", f"file://{signing.folder}/other")
        with pytest.raises(SlipwayError, match=f"manifest of run {release.run_id} is not the one"):
            signing.promote()
    signing.promote()  # prod has this table already


def test_no_record_of_the_source_is_written_outside_of_its_folder(stand: Stand) -> None:
    commit = "../../../outside"
    stand.publish(ORDERS, manifest={"code": Code(commit=commit, branch="main", dirty=False)})
    moment = datetime.now(UTC)
    compared = CodeComparison(
        comparison_id="c",
        made_at=moment,
        who="eve",
        commit=commit,
        base="b",
        passed=True,
        covers="all",
        verdicts={},
    )
    place = stand.folder / "staging/_slipway/comparisons" / commit
    (stand.folder / "staging/_slipway/comparisons").mkdir()
    place.mkdir(parents=True)
    (place / "c.json").write_text(compared.model_dump_json(), encoding="utf-8")
    stand.promote()
    assert not list((stand.folder / "prod").rglob("outside.json"))
    with pytest.raises(DamagedError, match="which is outside of this folder"):
        stand.records("prod").store.create("a/../b.json", b"{}")
    stand.write("promotion.yml", "environments: {prod: {from: [staging], require: {comparison_max_age: 1d}}}")
    stand.publish(appended(1), manifest={"code": Code(commit=commit, branch="main", dirty=False)})
    with pytest.raises(DamagedError, match="which is outside of this folder"):
        stand.promote()


def test_records_that_are_gone_or_changed_are_no_evidence(stand: Stand) -> None:
    stand.publish(ORDERS)
    (path,) = (stand.folder / "staging").rglob("run_manifest.json")
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"ada"', b'"eve"'))
    with pytest.raises(SlipwayError, match="its checksum is another one"):
        stand.promote()
    path.unlink()
    with pytest.raises(SlipwayError, match=r"records: run .* it has no run manifest"):
        stand.promote()
    path.write_bytes(kept)
    stand.promote()


# ---------------------------------------------------------------------------------------------- afterwards


def test_a_rollback_in_the_target_names_the_release_of_the_source(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    stand.publish(appended(100))
    second = stand.promote()
    proposal = propose_rollback(stand.project, "prod", None, ())
    assert proposal.goal.promoted
    assert proposal.goal.promoted.described() == "release 1 of staging"
    roll_back(proposal, hold=False, reason="")
    assert len(stand.rows("serving.orders")) == 10
    stand.promote()
    shows_the_same(stand)
    assert stand.copied(stand.records("prod").releases()[-1].number) == []
    assert second.promoted


def test_files_of_a_promotion_that_died_are_orphans(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.publish(ORDERS)
    stand.promote()
    stand.publish(appended(100))
    from slipway.promotion import promote

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(promote, "stage_carried", die)
        with pytest.raises(KeyboardInterrupt):
            stand.promote()
    before = stand.all_files()
    assert len(before) == 2
    assert len(stand.rows("serving.orders")) == 10
    environment = stand.environment("prod")
    later = datetime.now(UTC) + timedelta(days=4)
    found = propose_in(environment, {}, {}, (), timedelta(days=3), later, dry_run=False)
    maintain(found, lambda _: None)
    assert len(stand.all_files()) == 1
    assert len(stand.rows("serving.orders")) == 10
    stand.promote()
    shows_the_same(stand)


def test_maintenance_leaves_what_a_promotion_wrote_anew_since_it_looked(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    stand.publish(appended(100))
    proposal = stand.proposal()
    (file,) = proposal.carried[0].files
    orphan = Path(file.target.removeprefix("file://"))
    orphan.write_bytes(b"left by a promotion that died")
    later = datetime.now(UTC) + timedelta(days=4)
    found = propose_in(stand.environment("prod"), {}, {}, (), timedelta(days=3), later, dry_run=False)
    assert [step.size for step in found.plan.steps if isinstance(step, Delete)] == [29]
    done = carry_out(proposal, "", lambda _: None)
    maintain(found, lambda _: None)
    assert done.tables["serving.orders"].rows == 11
    shows_the_same(stand)


def test_maintenance_leaves_promoted_files_as_they_are(stand: Stand) -> None:
    stand.publish({**ORDERS, "partitioned_by": []})
    for value in range(100, 108):
        stand.publish(appended(value))
    stand.promote()
    environment = stand.environment("prod")
    found = propose_in(environment, {}, {}, (), timedelta(days=3), datetime.now(UTC), dry_run=False)
    assert found.plan.steps == []
    # those of the source are compacted, which is no reason to promote, and are promoted so with the next content
    source = propose_in(
        stand.environment("staging"), {}, {}, (), timedelta(days=3), datetime.now(UTC), dry_run=False
    )
    maintain(source, lambda _: None)
    assert not stand.proposal().is_needed
    stand.publish(appended(200))
    stand.promote()
    shows_the_same(stand)
    assert len(stand.files("serving.orders")) == 2


def test_a_publication_that_died_is_healed(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.publish(ORDERS, LINES)
    from slipway.releases import publication

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publication, "_record", die)
        with pytest.raises(KeyboardInterrupt):
            stand.promote()
    assert stand.shown().keys() == {"serving.orders", "raw.lines"}
    (note,) = heal(Tables(stand.environment("prod")), stand.records("prod"))
    assert "was published and is now recorded" in note
    (done,) = stand.records("prod").releases()
    assert done.promoted
    assert done.promoted.release == 1
    assert not stand.proposal().is_needed


def test_a_catalog_that_is_gone_is_reported(stand: Stand) -> None:
    stand.publish(ORDERS)
    stand.promote()
    shutil.move(stand.folder / "prod.db", stand.folder / "elsewhere.db")
    with pytest.raises(DamagedError, match="The catalog of prod is gone"):
        stand.proposal()


def test_a_target_knows_what_came_in_by_a_promotion_of_several_runs(stand: Stand) -> None:
    """Models that are built in the target read promoted tables in increments: of each row they have to learn."""

    def publish(value: int, strategy: str = "append") -> Release:
        sql = f"select {value} as k, 'text' as _run_id"
        return stand.publish({"table": "raw.b", "sql": sql, "strategy": strategy, "partitioned_by": ["k"]})

    def promoted(release: Release) -> tuple[str | None, Table]:
        before = current_content(stand.table("raw.b")) if stand.shown() else None
        stand.promote(release.number)
        return before, stand.table("raw.b")

    promoted(publish(1, "replace"))
    before, table = promoted(publish(2))
    (run,) = [summary_of(one)["slipway.run-id"] for one in table.snapshots()][1:]
    assert rows_added(table, before) == f"_run_id in ('{run}')"
    assert partitions_changed(table, before, "k") == '("k" in (2))'
    assert days_of_snapshots(table) == {datetime.now(UTC).date(): 2}

    publish(3)
    before, table = promoted(publish(4))
    assert (rows_added(table, before), partitions_changed(table, before, "k")) == ("true", "true")

    publish(5)
    environment, now = stand.environment("staging"), datetime.now(UTC)
    for value in (6, 6, 6, 6, 6, 6, 6):
        publish(value)
    assert any(
        isinstance(one, Compact)
        for one in maintain(
            propose_in(environment, {}, {}, (), timedelta(), now, dry_run=False), lambda _: None
        ).plan.steps
    )
    before, table = promoted(publish(7, "append"))
    assert (rows_added(table, before), partitions_changed(table, before, "k")) == ("true", "true")

    publish(8, "replace")
    before, table = promoted(publish(9))
    current = table.current_snapshot()
    assert current is not None
    assert current.summary is not None
    assert current.summary.operation is Operation.OVERWRITE
    assert (rows_added(table, before), partitions_changed(table, before, "k")) == ("true", "true")
