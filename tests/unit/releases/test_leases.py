"""Leases in a store: taken, renewed, taken over and released."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.records import environment

from slipway import processes
from slipway.errors import ConflictError
from slipway.records.store import Records
from slipway.releases import leases as module
from slipway.releases.lease_rules import EXPIRES, Standing
from slipway.releases.leases import HeldLease, Leases
from slipway.storage.objects import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(environment(tmp_path))


def take(records: Records, run_id: str, *tables: str, wait: float = 0, **more: Any) -> HeldLease:  # noqa: ANN401
    return Leases(records).take(run_id, list(tables), wait=wait, what="this", **more)


def file_of(records: Records, run_id: str) -> Path:
    return Path(records.store.root.removeprefix("file://")) / "leases" / f"{run_id}.json"


def change(records: Records, run_id: str, **fields: object) -> None:
    path = file_of(records, run_id)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")


def standings(records: Records) -> dict[str, Standing]:
    return {found.lease.run_id: found.standing for found in Leases(records).found()}


def test_disjoint_leases_are_held_together_and_overlapping_ones_are_refused(records: Records) -> None:
    first = take(records, "1", "a", "b")
    second = take(records, "2", "c")
    with pytest.raises(
        ConflictError, match=r"this is refused: b is taken by run 1 of \S+ on \S+ \(process \d+"
    ):
        take(records, "3", "b", "d")
    assert standings(records) == {"1": Standing.LIVE, "2": Standing.LIVE}
    first.release()
    take(records, "3", "b", "d").release()
    second.release()
    second.release()
    assert not list(file_of(records, "1").parent.iterdir())


def test_a_waiting_run_names_the_other_and_goes_on_at_its_release(records: Records) -> None:
    first, message = take(records, "1", "a"), list[str]()

    def tell(text: str) -> None:
        message.append(text)
        threading.Timer(0.2, first.release).start()

    take(records, "2", "a", wait=30, tell=tell).release()
    assert len(message) == 1
    assert message[0].startswith("waits for run 1 of ")
    assert message[0].endswith(": a is taken")


def a_pid_that_ended() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(lambda: {"pid": a_pid_that_ended()}, Standing.DEAD, id="ended"),
        pytest.param(lambda: {"process": "1"}, Standing.DEAD, id="id given out again"),
        pytest.param(
            lambda: {"place": "another boot", "pid": 1, "process": "1"}, Standing.LIVE, id="elsewhere"
        ),
        pytest.param(lambda: {"place": ""}, Standing.LIVE, id="of no place"),
    ],
)
def test_a_dead_process_is_recognized_only_on_its_own_machine(
    records: Records, fields: Callable[[], dict[str, object]], expected: Standing
) -> None:
    held = take(records, "1", "a")
    change(records, "1", **fields())
    assert standings(records) == {"1": expected}
    if expected is Standing.DEAD:
        take(records, "2", "a").release()  # at once, and what is left is taken away
        assert standings(records) == {}
    else:
        with pytest.raises(ConflictError):
            take(records, "2", "a")
    held.release()


def test_a_zombie_is_dead(records: Records) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    for _ in range(500):
        if not processes.started(ended.pid):
            break
        time.sleep(0.01)
    assert Path(f"/proc/{ended.pid}").exists()
    assert processes.started(ended.pid) == ""
    ended.wait()


def test_a_lease_that_is_not_renewed_expires(records: Records) -> None:
    held = take(records, "1", "a")
    change(records, "1", place="another boot")
    written = time.time() - EXPIRES
    os.utime(file_of(records, "1"), (written + 5, written + 5))
    assert standings(records) == {"1": Standing.LIVE}
    os.utime(file_of(records, "1"), (written - 1, written - 1))
    assert standings(records) == {"1": Standing.EXPIRED}
    take(records, "2", "a").release()
    held.release()


def test_a_lease_is_renewed_until_it_is_taken_over(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEWED", 0.02)
    held, path = take(records, "1", "a"), file_of(records, "1")
    os.utime(path, (0, 0))
    deadline = time.monotonic() + 20
    while path.stat().st_mtime == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert standings(records) == {"1": Standing.LIVE}
    Leases(records).remove("1")
    assert held._thread is not None
    held._thread.join(20)
    assert not held._thread.is_alive()
    assert not path.exists()
    held.release()


def test_without_conditional_writes_every_lease_is_of_every_table(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStore, "is_write_once", property(lambda _: False))
    held = take(records, "1", "a")
    with pytest.raises(ConflictError, match="every table is taken by run 1"):
        take(records, "2", "b")
    held.release()


def test_what_cannot_be_read_is_no_lease(records: Records) -> None:
    take(records, "1", "a").release()
    folder = file_of(records, "1").parent
    (folder / "2.json").write_text("", encoding="utf-8")  # ended by someone who may not delete
    (folder / "3.json").write_text('{"schema_version": 2}', encoding="utf-8")
    assert standings(records) == {}
    take(records, "4", "a").release()


def test_what_is_being_written_is_not_listed(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed or paused while it reserves a number leaves a file that nobody takes for one."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            records.reserve()
    assert records.store.entries("releases") == []
    assert records.reserve() == 1
