"""Temporary folders say whose they are, and only those of processes that are gone are taken for left over."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.processes import OwnFolder, left_over, mark, remove_left_over, temporary

MAKES = "import os, sys; from slipway.processes import OwnFolder; made = OwnFolder('landing'); print(made.path, flush=True); "


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def made_by_another(ending: str) -> Path:
    done = subprocess.run([sys.executable, "-c", MAKES + ending], check=False, capture_output=True, text=True)
    return Path(done.stdout.strip())


def test_a_process_that_ends_leaves_nothing_and_one_that_is_killed_leaves_its_folder(place: Path) -> None:
    assert not made_by_another("").exists()
    killed = made_by_another("os.kill(os.getpid(), 9)")
    assert [*left_over()] == [("landing", killed)]
    remove_left_over("samples")
    assert killed.exists()
    remove_left_over("landing")
    assert [*place.iterdir()] == []


def test_what_others_use_or_made_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnFolder("landing")
    killed = made_by_another("os.kill(os.getpid(), 9)")
    named = killed.name.partition("-landing-")[2]
    for name in (f"other-landing-{named}", "slipway-landing-0123abcd", "slipway-canary-0123abcd"):
        (place / name).mkdir()
    (place / f"slipway-landing-{named}x").write_text("a file")
    (place / f"slipway-landing-{named}y").symlink_to(own.path)
    assert [*left_over()] == [("landing", killed)]
    # a process in another container, whose id is none here
    handle = os.open(killed, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert [*left_over()] == []
    os.close(handle)
    with monkeypatch.context() as patched:  # another user's
        patched.setattr("os.getuid", lambda: killed.stat().st_uid + 1)
        assert [*left_over()] == []
    assert [*left_over()] == [("landing", killed)]
    of_one = killed.rename(
        place / killed.name.replace(named, f"{named.partition('-')[0]}-{mark(place)}-0123abcd")
    )
    assert ([*left_over()], [*left_over(place / "other")]) == ([], [])  # another environment's
    assert [*left_over(place)] == [("landing", of_one)]
    own.remove()
    assert not own.path.exists()


def test_a_folder_that_is_kept_says_no_process(place: Path) -> None:
    with temporary("canary", keep=True) as kept, temporary("canary") as own:
        assert str(os.getpid()) in own.name.split("-")
    assert [*place.iterdir()] == [kept]
    assert str(os.getpid()) not in kept.name.split("-")
