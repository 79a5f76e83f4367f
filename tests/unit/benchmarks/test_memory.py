"""Writes keep to DuckDB's memory limit, whatever is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def measured(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """Case to what was measured; nothing that was spilled is left."""
    command = [sys.executable, "-m", "benchmarks.memory", "--folder", str(folder), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert list((folder / "spill").iterdir()) == []
    return {line["case"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.long
def test_peak_of_one_case_is_bounded(tmp_path: Path) -> None:
    found = measured(tmp_path, "--rows", "200000", "--memory-limit", "200MB", "--cases", "whole")
    assert found["whole"]["peak_rss_mb"] < 900
    assert found["whole"]["files"] == 1


@pytest.mark.long
def test_peak_of_every_case_is_bounded(tmp_path: Path) -> None:
    """What the process needs besides DuckDB's buffers is some hundred MB, however many rows there are."""
    found = measured(tmp_path, "--rows", "1000000", "--memory-limit", "500MB")
    assert set(found) == {"whole", "build", "merge", "sorted", "whole-sorted", "batches"}
    assert {case: line["peak_rss_mb"] for case, line in found.items() if line["peak_rss_mb"] > 1200} == {}
    assert found["sorted"]["files"] == 1000
    assert found["build"]["files"] <= 1100
    assert found["whole"]["files"] == 1


@pytest.mark.long
def test_a_file_of_a_size_lands_in_bounded_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.landing", "--size", "30MB", "--folder", str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found = json.loads(done.stdout)
    assert (found["kind"], found["rows"] % 500_000) == ("csv.gz", 0)
    assert found["bytes"] >= 30_000_000
    assert 100 < found["peak_mib"] < 900
    assert list(tmp_path.iterdir()) == []
