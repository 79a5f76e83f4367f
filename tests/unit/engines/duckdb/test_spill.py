"""What does not fit in memory goes below the environment's home, and nothing of it stays."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from slipway.engines.duckdb import engine
from slipway.errors import UnavailableError

LARGE = "create temp table large as select range as k, md5(range::varchar) as t from range(1000000)"


def test_duckdb_spills_below_home_and_removes_it(tmp_path: Path) -> None:
    config: dict[str, object] = {}
    settings: dict[str, object] = {"memory_limit": "40MB", "threads": 1, "preserve_insertion_order": False}
    engine.configure(settings, config, tmp_path)
    assert settings == {"preserve_insertion_order": False}
    with duckdb.connect(":memory:", config=config) as connection:  # type: ignore[arg-type]
        connection.execute(LARGE)
        (folder,) = (tmp_path / "spill").iterdir()
        assert list(folder.iterdir())
        for _ in range(2):  # as dbt-duckdb prepares every connection
            connection.cursor().execute("set preserve_insertion_order = 'False'")
    assert list((tmp_path / "spill").iterdir()) == []


def test_what_the_profile_says_wins(tmp_path: Path) -> None:
    config: dict[str, object] = {"temp_directory": "/elsewhere"}
    engine.configure({"memory_limit": "1GB"}, config, tmp_path)
    assert config == {"temp_directory": "/elsewhere", "memory_limit": "1GB"}
    config = {}
    engine.configure({"temp_directory": "/mine"}, config, tmp_path)
    assert config == {"temp_directory": "/mine"}


def test_left_overs_of_ended_processes_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host, parent = socket.gethostname(), tmp_path / "spill"
    names = [
        f"{host}-{ended.pid}-0123abcd",
        f"{host}-{os.getpid()}-0123abcd",
        f"elsewhere-{ended.pid}-0123abcd",
        "mine",
    ]
    for name in names:
        (parent / name).mkdir(parents=True)
        (parent / name / "duckdb_temp_storage.tmp").write_bytes(b"x")
    engine.spill_folder(tmp_path)
    assert {path.name for path in parent.iterdir()} == {*names[1:]}


def test_a_home_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not engine.spill_folder(tmp_path / "file" / "home").exists()


def test_too_little_memory_is_reported_in_one_line() -> None:
    with (
        duckdb.connect(":memory:", config={"memory_limit": "20MB", "temp_directory": ""}) as connection,
        pytest.raises(UnavailableError) as refused,
        engine.limits("thing"),
    ):
        connection.execute(LARGE)
    line = str(refused.value)
    assert line.startswith("thing: memory did not suffice: Out of Memory Error")
    assert line.endswith(
        "Raise memory_limit, lower threads, or choose partitions of more rows (docs/reference/settings.md, Memory)."
    )
    assert "\n" not in line


def test_a_full_disk_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(duckdb.IOException, match="Cannot open"), engine.limits("thing"):
        duckdb.connect(str(tmp_path / "none" / "database"))
    if Path("/dev/full").exists():
        with (
            duckdb.connect() as connection,
            pytest.raises(UnavailableError, match=r"thing: the disk is full: .*No space left"),
            engine.limits("thing"),
        ):
            connection.execute("copy (from range(100000)) to '/dev/full' (format csv)")


_BLOCKS = """
import ctypes, sys
from pathlib import Path
from slipway.engines.duckdb import engine

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
engine.configure({}, {}, Path(sys.argv[1]))
libc.free(libc.malloc(16 * 2**20))  # from here on glibc would keep smaller blocks in its heaps
blocks = [libc.malloc(4 * 2**20) for _ in range(20)]


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks".split()]
    _fields_ += [(name, ctypes.c_size_t) for name in "uordblks fordblks keepcost".split()]


libc.mallinfo2.restype = Mallinfo
before = libc.mallinfo2().hblks
for block in blocks:
    libc.free(block)
print(before - libc.mallinfo2().hblks)
"""


def test_freed_blocks_of_duckdb_go_back_to_the_system(tmp_path: Path) -> None:
    if platform.libc_ver()[0] != "glibc":  # others have no such habit
        engine.configure({}, {}, tmp_path)
        return
    command = [sys.executable, "-c", _BLOCKS, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "20\n"
