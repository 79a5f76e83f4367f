"""What git does to files of this repository when it checks them out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["sales/day-1.csv", "readings/Tour 6.CSV", "pressure/day.txt", "a/b/c.dat"])
def test_a_landed_sample_keeps_its_bytes(name: str) -> None:
    """The landing area of the repository is data: another line end would be another value, and another checksum."""
    command = ["git", "check-attr", "text", "--", f"seeds/landing/{name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.endswith(": text: unset\n")
