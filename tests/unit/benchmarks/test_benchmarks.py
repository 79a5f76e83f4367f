"""Every benchmark runs and counts what it says, on a few rows; how long anything takes is not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import overhead, report
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.measure import Measured, ratio
from benchmarks.report import Figure
from benchmarks.scale import SCALES


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("landing", "merge") else [pytest.mark.long])
        for name in sorted(BENCHMARKS.keys() - {overhead.NAME})
    ],
)
def test_benchmark_gives_ratios_and_right_counts(name: str, tmp_path: Path) -> None:
    figures, _ = BENCHMARKS[name](tmp_path, SCALES["tiny"])
    assert figures
    assert all(figure.benchmark == name and figure.value >= 0 for figure in figures)
    assert [figure.what for figure in figures if figure.unit == "files" and not figure.met] == []
    assert [path.name for path in tmp_path.iterdir() if path.name == "round"] == []


@pytest.mark.long
def test_overhead_of_dbt_commands(tmp_path: Path) -> None:
    figures, _ = BENCHMARKS[overhead.NAME](tmp_path, SCALES["tiny"])
    assert {figure.unit for figure in figures} == {Figure("", "", 0).unit, "files", "ms/model", "s", "models"}
    assert [one.what for one in figures if one.unit in ("files", "models") and not one.met] == []


def test_command_writes_only_where_there_is_a_place_for_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n", encoding="utf-8")
    arguments = ["pruning", "--scale", "tiny", "--folder", str(tmp_path / "data")]
    main([*arguments, "--output", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("<!-- end of results -->\nafter\n")
    assert "old" not in text
    for reader in ("DuckDB", "pyiceberg"):
        assert f"| pruning | one day of 6 by {reader} | 1 files | ≤ 1 files | yes |" in text
    assert list((tmp_path / "data").iterdir()) == []
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "no benchmark nothing" in capsys.readouterr().err


def test_a_ratio_is_of_rounds_that_saw_the_same_machine() -> None:
    # the machine got ten times slower in the second round, which says nothing about either
    one, other = Measured("one", [2.0, 20.0, 3.0]), Measured("other", [1.0, 10.0, 1.0])
    assert ratio(one, other) == 2.0


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(1.5, False, True), (1.51, False, False), (1.5, True, True), (1.4, True, False)],
)
def test_goals(value: float, at_least: bool, met: bool) -> None:
    figure = Figure("build", "what", value, goal=1.5, at_least=at_least)
    assert figure.met is met
    line = report.markdown([figure], [], "").splitlines()[4]
    assert line.endswith("| yes |" if met else "| **no** |")
