"""Retention of the records of runs: what is needed stays, what goes is written down first, at whatever moment it is killed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.harness.records import environment

from slipway.errors import DamagedError, NotFoundError
from slipway.maintenance.retention import Damage, History, TableHistory
from slipway.maintenance.run_records import apply_forget, find_forgettable
from slipway.records.record_files import SHARED_AGAIN_AFTER
from slipway.records.store import Records, note_removed, removed_runs, stored_run_ids
from slipway.storage.objects import LocalStore

NOW = datetime(2024, 9, 1, tzinfo=UTC)
OLD, OTHER, KILLED, MADE, NEWEST = (
    f"2024{day}T000000Z-0000000{n}" for n, day in enumerate(("0101", "0102", "0103", "0104", "0201"), start=1)
)
HISTORY = History(
    now=NOW, older_than=timedelta(days=3), tables={"raw.a": TableHistory("m", "1", {}, made_by={MADE})}
)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """Five old runs: two that nothing needs, one that was killed, one that made a snapshot, and the newest."""
    found = Records(environment(tmp_path, warehouse=f"file://{tmp_path}"))
    for number, run_id in enumerate((OLD, OTHER, KILLED, MADE, NEWEST)):
        nodes = {"m": {"text": "old" if number < 2 else "new"}}
        dbts = {"metadata": {"invocation_id": run_id}, "nodes": nodes, "exposures": {}}
        found.write_dbt_manifest(run_id, json.dumps(dbts).encode())
        found.write(run_id, "candidate/raw.a.json", "{}")
        found.write_compressed(run_id, "log.jsonl", b"{}")
        if run_id != KILLED:
            found.write(run_id, "closed.json", "{}")
    age(tmp_path, 200)
    return found


def age(root: Path, days: float) -> None:
    then = (NOW - timedelta(days=days)).timestamp()
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def forget(records: Records, history: History = HISTORY, name: str = "first") -> list[str]:
    steps, left = find_forgettable(records, history, {"keep_run_days": 30})
    assert left == []
    for step in steps:
        apply_forget(records, step, name, history)
    return [run_id for step in steps for run_id in step.runs]


def manifests(root: Path) -> list[Path]:
    return sorted(root.glob("_slipway/dbt_manifests/*"))


def test_what_nothing_needs_goes_and_is_written_down(records: Records, tmp_path: Path) -> None:
    before = manifests(tmp_path)
    assert len(before) == 2
    assert forget(records) == [OLD, OTHER]
    assert list(records.run_ids()) == [NEWEST, MADE, KILLED]
    assert removed_runs(records.store) == {OLD: "2024-09-01", OTHER: "2024-09-01"}
    assert not (tmp_path / "_slipway/runs/2024-01-01").exists()
    assert len(manifests(tmp_path)) == 1  # that of the others stays
    assert records.dbt_manifest(NEWEST)
    with pytest.raises(NotFoundError, match=f"retention removed the records of run {OLD} on 2024-09-01"):
        records.find_run(OLD)
    with pytest.raises(NotFoundError, match="no such run"):
        records.find_run("20231231T000000Z-00000009")
    assert forget(records) == []


def test_policy_and_age_are_both_waited_for(records: Records, tmp_path: Path) -> None:
    assert find_forgettable(records, HISTORY, {"keep_run_days": 36_500}) == ([], [])
    assert find_forgettable(records, HISTORY, {})[0][0].runs == (OLD, OTHER)
    age(tmp_path, 1)  # somebody wrote there, or copied the warehouse
    assert forget(records) == []


def test_nothing_goes_while_a_table_or_the_list_cannot_be_read(records: Records, tmp_path: Path) -> None:
    damaged = History(NOW, timedelta(days=3), {}, damaged={"raw.a": Damage("m", "empty")})
    steps, (left,) = find_forgettable(records, damaged, {})
    assert (steps, left.table) == ([], "_slipway/runs")
    (tmp_path / "_slipway/removed").mkdir()
    (tmp_path / "_slipway/removed/x.json.gz").write_bytes(b"")
    steps, (left,) = find_forgettable(records, HISTORY, {})
    assert steps == []
    assert "x.json.gz cannot be read" in left.why
    with pytest.raises(DamagedError):
        note_removed(records.store, "y", [OLD], "2024-09-01")
    assert list(records.run_ids()) == [NEWEST, MADE, KILLED, OTHER, OLD]


class Killed(BaseException):
    """The process ends here."""


def test_killed_at_every_step_and_continued(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_create, real_unlink, real_rmdir = LocalStore.create, Path.unlink, Path.rmdir
    kills = 0
    left = -1

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    def create(store: LocalStore, key: str, content: bytes) -> None:
        tick()
        real_create(store, key, content)

    def unlink(path: Path, **options: bool) -> None:
        tick()
        real_unlink(path, **options)

    def rmdir(path: Path) -> None:
        tick()
        real_rmdir(path)

    monkeypatch.setattr(LocalStore, "create", create)
    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(Path, "rmdir", rmdir)
    for allowed in range(1, 200):
        left = allowed % 4 + 1
        try:
            done = not forget(records, name=f"n{allowed}")
        except Killed:
            kills, done = kills + 1, False
        left = -1
        # whatever is gone was written down, and no reader meets a run of which a part is gone
        known = set(removed_runs(records.store))
        assert {OLD, OTHER} - known <= set(records.run_ids())
        assert not known & set(records.run_ids())
        assert all(records.dbt_manifest(run_id) for run_id in records.run_ids())
        if done:
            break
    assert kills > 2
    assert set(removed_runs(records.store)) == {OLD, OTHER}
    assert list(tmp_path.glob("_slipway/runs/2024-01-0[12]/*/*")) == []


def test_two_at_once(records: Records) -> None:
    plans = [find_forgettable(records, HISTORY, {"keep_run_days": 30})[0] for _ in range(2)]
    for name, steps in zip("ab", plans, strict=True):
        for step in steps:
            apply_forget(records, step, name, HISTORY)
    assert set(removed_runs(records.store)) == {OLD, OTHER}
    assert len(records.store.entries("removed")) == 1
    assert set(stored_run_ids(records.store)) == {NEWEST, MADE, KILLED}


def test_a_stored_manifest_that_a_run_is_about_to_name_stays(records: Records, tmp_path: Path) -> None:
    steps, _ = find_forgettable(records, HISTORY, {"keep_run_days": 30})
    assert len(steps) == 2
    nodes = {"metadata": {}, "nodes": {"m": {"text": "old"}}, "exposures": {}}
    records.write_dbt_manifest("20240901T000000Z-00000007", json.dumps(nodes).encode())
    for step in steps:
        apply_forget(records, step, "a", HISTORY)
    assert len(manifests(tmp_path)) == 2
    assert records.dbt_manifest("20240901T000000Z-00000007")


def test_a_stored_manifest_is_written_again_when_it_is_a_day_old(records: Records, tmp_path: Path) -> None:
    old = {path: path.stat().st_mtime_ns for path in manifests(tmp_path)}
    nodes = {"metadata": {}, "nodes": {"m": {"text": "new"}}, "exposures": {}}
    for run_id, rewritten in (("20240901T000000Z-00000007", 1), ("20240901T000000Z-00000008", 0)):
        records.write_dbt_manifest(run_id, json.dumps(nodes).encode())
        now = {path: path.stat().st_mtime_ns for path in manifests(tmp_path)}
        assert sum(old[path] != now[path] for path in now) == rewritten
        old = now
    assert timedelta(hours=1) < SHARED_AGAIN_AFTER < timedelta(days=2)


def test_lists_are_put_together(records: Records) -> None:
    note_removed(records.store, "a", [OLD], "2024-09-01")
    note_removed(records.store, "b", [OTHER], "2024-09-02")
    note_removed(records.store, "c", [OLD], "2024-09-03")  # which says nothing new
    assert removed_runs(records.store) == {OLD: "2024-09-01", OTHER: "2024-09-02"}
    assert [item.key for item in records.store.entries("removed")] == ["removed/b.json.gz"]
