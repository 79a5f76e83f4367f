"""No room left: what is published is said, and a log that cannot be written is one line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

DAY_3 = ("p6,S,2024-05-03,10.125",)
FULL = "/dev/full"

pytestmark = pytest.mark.skipif(not Path(FULL).exists(), reason="there is no /dev/full here")


def started(workshop: Workshop, *argv: str, **streams: str) -> tuple[int | None, str, str]:
    more: dict[str, Any] = dict(streams)
    done = workshop.commands.start("slipway", argv, workshop.path, workshop.env(), **more).wait()
    return done.code, done.out, done.err


@pytest.mark.long
def test_a_report_that_cannot_be_written(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    code, _, err = started(built, "run", output=FULL)
    assert code == 5, err
    run = built.releases()[-1]["run_id"]
    assert err.splitlines()[-1] == (
        f"slipway: Release 2 of run {run} is published; what comes after it failed: cannot write: "
        "No space left on device. Nothing needs to be done again."
    )
    code, _, err = started(built, "rollback", output=FULL)
    assert (code, len(built.releases())) == (5, 2), err  # what it would do cannot be shown, so it is not done
    code, _, err = started(built, "rollback", "--output", "json", output=FULL)
    assert (code, len(built.releases())) == (5, 3), err
    assert "Release 3 shows release 1; what comes after it failed" in err


@pytest.mark.long
def test_stderr_that_cannot_be_written_stops_nothing(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    code, out, _ = started(built, "run", "--output", "json", errors=FULL)
    assert (code, len(built.releases())) == (0, 2), out


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a device of 64 KB that is full."""
    folder = tmp_path / "device"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a device can be mounted by root only")
    (folder / "fill").write_bytes(bytes(60_000))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.long
def test_a_log_folder_without_room(built: Workshop, full: Path) -> None:
    built.land("day-3.csv", DAY_3)
    done = built.slipway("run", DBT_LOG_PATH=str(full))
    assert done.code == 0, done
    message = [line for line in done.err.splitlines() if "dbt.log" in line]
    assert message == [
        f"{full}/dbt.log cannot be written: No space left on device; the run continues without it"
    ], done.err
    assert "Logging error" not in done.err
