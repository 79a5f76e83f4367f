"""Writes keep to DuckDB's memory limit, whatever is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.long
@pytest.mark.parametrize(("rows", "limit", "most"), [(1_000_000, 500, 1200)])
def test_peak_of_every_case_is_bounded(tmp_path: Path, rows: int, limit: int, most: int) -> None:
    """What the process needs beside DuckDB's buffers is some hundred MB, however many rows there are."""
    command = [sys.executable, "-m", "benchmarks.memory", "--folder", str(tmp_path)]
    told = subprocess.run(
        [*command, "--rows", str(rows), "--memory-limit", f"{limit}MB"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    found = {line["case"]: line for line in map(json.loads, told.stdout.splitlines())}
    assert set(found) == {"whole", "build", "merge", "sorted", "whole-sorted", "batches"}
    assert {case: line["peak_rss_mb"] for case, line in found.items() if line["peak_rss_mb"] > most} == {}
    assert found["sorted"]["files"] == 1000
    assert found["build"]["files"] <= 1100
    assert found["whole"]["files"] == 1
    assert list((tmp_path / "spill").iterdir()) == []
