"""Nothing is committed that others than the authors made: no packages, archives or programs, and nothing large."""

from __future__ import annotations

from pathlib import PurePath

from tests.harness.commands import ROOT

MOST_BYTES = 512 * 1024
MADE_ELSEWHERE = {".7z", ".dll", ".exe", ".gz", ".jar", ".so", ".tar", ".tgz", ".whl", ".zip", ".zst"}


def test_no_package_and_no_archive_is_committed(files: list[str]) -> None:
    assert [name for name in files if PurePath(name).suffix in MADE_ELSEWHERE] == []


def test_no_file_is_large(files: list[str]) -> None:
    assert [name for name in files if (ROOT / name).stat().st_size > MOST_BYTES] == []
