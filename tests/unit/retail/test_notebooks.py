"""Notebooks are committed as their authors wrote them: without results, and without a place that only one machine has."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from tests.harness.commands import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# beginnings of paths of one machine: POSIX, Windows, home folders
PLACE = re.compile(r"""["'(]\s*(/|~|[A-Za-z]:\\|\\\\|file:)""")


def test_there_is_one() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NOTEBOOKS])
def test_a_notebook_holds_no_results_and_no_places(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[] for _ in code]
    assert {cell.execution_count for cell in code} == {None}
    assert [line for cell in code for line in cell.source.splitlines() if PLACE.search(line)] == []
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}


@pytest.mark.parametrize("line", ['"/data/a.csv"', "'~/a.csv'", 'Path("C:\\\\a")', '"file:///a"'])
def test_a_place_of_one_machine_is_noticed(line: str) -> None:
    assert PLACE.search(line)
    assert not PLACE.search('Path("../seeds/landing") / name')
