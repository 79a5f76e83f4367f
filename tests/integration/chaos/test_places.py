"""A disk that is full, a catalog that cannot be written or is locked, and clocks that are wrong."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.harness.servers import missing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.commands import Output
    from tests.integration.chaos.trials import Trials

DAY = 86400  # seconds


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Put what is in a folder on a file system of its own."""
    saved = folder.with_name("saved")
    folder.rename(saved)
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        missing("this user may not mount a small file system")
    try:
        subprocess.run(["cp", "-a", f"{saved}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(folder: Path, left: int) -> Iterator[None]:
    """Leave so many bytes of the file system."""
    found, ballast = os.statvfs(folder), folder / "ballast"
    ballast.write_bytes(bytes(max(found.f_bavail * found.f_frsize - left, 0)))
    try:
        yield
    finally:
        ballast.unlink()


def refused(trials: Trials, done: Output, was: object, label: str) -> None:
    """It failed, in one line that says why, and readers see what they saw."""
    assert done.code in (1, 5), (label, done)
    assert "Traceback" not in done.err, (label, done)
    assert trials.store.catalog() == was, (label, done)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((0,), id="nothing left", marks=pytest.mark.long),
        pytest.param(tuple(range(8192, 409600, 25600)), id="ever more left", marks=pytest.mark.long),
    ],
)
def test_a_disk_that_is_full(new_trials: Callable[[int], Trials], steps: tuple[int, ...]) -> None:
    """Metadata grow with every release, and with them what a run needs: so every part of it is met by a full disk."""
    trials, failed = new_trials(0), 0
    with small_disk(trials.workshop.home, 32):
        for left in steps:
            trials.more()
            was = trials.store.catalog()
            with full(trials.workshop.home, left):
                done = trials.workshop.slipway("run")
                trials.check(f"with {left} bytes left", was)
            label = f"{left} bytes left"
            if done.code and "is published, but " not in done.err:
                refused(trials, done, was, label)
                assert "unexpected" not in done.err, (label, done)
                failed += 1
                print("\n", left, done.code, done.err.splitlines()[-1])  # noqa: T201
            trials.heal(label)
    assert failed


@pytest.mark.long
def test_a_catalog_that_cannot_be_written(new_trials: Callable[[int], Trials]) -> None:
    """By a trigger: the rights of a file mean nothing to root."""
    trials = new_trials(0)
    trials.more()
    was = trials.store.catalog()
    database = trials.workshop.home / "dev" / "catalog.db"
    refuse = (
        "create trigger refuse before update on iceberg_tables begin select raise(abort, 'read-only'); end"
    )
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(refuse)
        done = trials.workshop.slipway("run")
        connection.execute("drop trigger refuse")
    refused(trials, done, was, "read-only")
    assert "Catalog of dev cannot be written: read-only" in done.out + done.err
    trials.heal("a catalog that could not be written")


@pytest.mark.long
def test_a_catalog_that_is_locked_for_a_second(new_trials: Callable[[int], Trials]) -> None:
    """Again and again, by another program; a run waits for it."""
    trials = new_trials(0)
    trials.more()
    database, over = trials.workshop.home / "dev" / "catalog.db", threading.Event()

    def lock() -> None:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as connection:
            while not over.wait(0.3):
                connection.execute("begin exclusive")
                over.wait(1)
                connection.execute("rollback")

    other = threading.Thread(target=lock)
    other.start()
    try:
        done = trials.workshop.slipway("run")
    finally:
        over.set()
        other.join()
    assert done.code == 0, done
    trials.heal("a lock")


@pytest.mark.long
def test_a_clock_that_goes_back(new_trials: Callable[[int], Trials]) -> None:
    """By three days and then by five: releases, landing and history stay in the order in which things happened."""
    trials = new_trials(0)
    for number, clock in enumerate((-3 * DAY, -5 * DAY, 2 * DAY, 0)):
        trials.more()
        content = f"parcel,depot,weighed_on,kg\nr{number},N,2024-05-01,{number + 1}\n".encode()
        trials.put("day-1.csv", content)  # in place of what landed before
        trials.contents.append(content)
        was = trials.store.catalog()
        done = trials.workshop.start("run", clock=str(clock)).wait()
        assert done.code == 0, done
        trials.check(f"clock {clock}", was)
    trials.heal("clocks")  # everything that landed is there
    releases = trials.store.records(".json")
    times = [releases[number]["published_at"] for number in sorted(releases)]
    assert times == sorted(times)
    assert len(set(times)) == len(times) == 5
    listed = json.loads(trials.workshop.answer("releases", "--output", "json"))
    assert [release["number"] for release in listed] == [5, 4, 3, 2, 1]
    for location in trials.store.catalog().values():
        metadata = trials.store.table(location).metadata
        snapshots = [entry.timestamp_ms for entry in metadata.snapshot_log]
        files = [entry.timestamp_ms for entry in metadata.metadata_log]
        assert all(a <= b for a, b in [*pairwise(snapshots), *pairwise(files)])
        assert metadata.last_updated_ms >= max([*snapshots, *files])


@pytest.mark.long
def test_a_rollback_by_a_clock_that_goes_back(new_trials: Callable[[int], Trials]) -> None:
    trials = new_trials(0)
    first = trials.store.catalog()
    trials.more()
    trials.heal("a second release")
    assert trials.workshop.start("rollback", clock=str(-3 * DAY)).wait().code == 0
    listed = json.loads(trials.workshop.answer("releases", "--output", "json"))
    assert [release["number"] for release in listed] == [3, 2, 1]
    for name, location in trials.store.catalog().items():
        table, before = trials.store.table(location), trials.store.table(first[name])
        assert table.metadata.current_snapshot_id == before.metadata.current_snapshot_id
        log = [entry.timestamp_ms for entry in table.metadata.snapshot_log]
        assert log == sorted(log)
        assert table.metadata.last_updated_ms >= log[-1]
    trials.heal("a rollback")
