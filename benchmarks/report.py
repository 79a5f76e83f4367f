"""Results as a table, with a description of the machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Measured

_PACKAGES = ("duckdb", "pyiceberg", "pyarrow", "dbt-core", "dbt-duckdb")
_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        benchmark: the benchmark's name.
        what: what was measured.
        value: the number.
        unit: ``×`` for a ratio.
        goal: the most (or, if ``at_least``, the least) it should be; None where there is no goal.
    """

    benchmark: str
    what: str
    value: float
    unit: str = "×"
    goal: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met, None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def markdown(figures: Sequence[Figure], details: Sequence[str], conditions: str) -> str:
    """Everything a run of the benchmarks found."""
    rows = ["| benchmark | what | result | goal | met |", "| --- | --- | ---: | ---: | --- |"]
    for figure in figures:
        met = {True: "yes", False: "**no**", None: ""}[figure.met]
        goal = (
            "" if figure.goal is None else f"{'≥' if figure.at_least else '≤'} {figure.goal:g} {figure.unit}"
        )
        rows.append(
            f"| {figure.benchmark} | {figure.what} | {_number(figure.value)} {figure.unit} | {goal} | {met} |"
        )
    return "\n".join([conditions, "", *rows, "", *details, ""])


def seconds(title: str, measured: Iterable[Measured]) -> str:
    """Seconds and memory of contenders, one line each."""
    lines = []
    for one in measured:
        memory = f", peak {max(one.peak) / 1e6:,.0f} MB" if one.peak else ""
        low, high = _number(min(one.seconds)), _number(max(one.seconds))
        lines.append(f"- {one.name}: {_number(one.median)} s ({low} to {high}){memory}")
    return "\n".join([f"{title}:", "", *lines, ""])


def machine() -> str:
    """Cores, memory and versions, in one sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    return (
        f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB memory, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def save(path: Path, text: str) -> None:
    """Write results to a file; into one that has a place for them, only there."""
    if path.is_file() and _BEGIN in (old := path.read_text(encoding="utf-8")):
        between = re.compile(f"{_BEGIN}.*{_END}", re.DOTALL)
        text = between.sub(lambda _: f"{_BEGIN}\n\n{text}\n{_END}", old)
    path.write_text(text, encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
