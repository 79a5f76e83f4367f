"""Every line of the landed files is where its lineage columns say."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.retail.conftest import Retail


@pytest.mark.long
def test_lines_of_the_bundled_sample_are_where_lineage_says(retail: Retail) -> None:
    bundled = Path(__file__).parents[3] / "seeds" / "landing" / "online_retail"
    check_lines(retail, sorted(bundled.glob("*.csv")))


@pytest.mark.long
def test_lines_of_real_files_are_where_lineage_says(retail: Retail, real_files: list[Path]) -> None:
    check_lines(retail, real_files)


def check_lines(retail: Retail, files: list[Path]) -> None:
    """Python's csv module says which line each record ends on."""
    for path in files:
        retail.land(path.name, path.read_bytes())
    retail.dbt("run", "-s", "online_retail")
    expected = []
    for path in files:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream)
            names = next(reader)
            expected += [
                (path.name, reader.line_num, *(value or None for value in record)) for record in reader
            ]
    found = retail.rows("raw.online_retail", "_source_file", "_source_line", *names)
    assert sorted(found, key=str) == sorted(expected, key=str)
