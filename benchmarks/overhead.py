"""What slipway adds to dbt: each of many tiny tables, and runs in which one model or nothing changed. Whole commands, as typed."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from benchmarks import project
from benchmarks.measure import Measured, ratio
from benchmarks.project import Project
from benchmarks.report import Figure, seconds
from benchmarks.scale import Scale

NAME = "overhead"
_DBT = ("dbt.cli.main", "--quiet")
_SLIPWAY = ("slipway.cli.main",)


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Measure projects of tiny models."""
    built = _builds(folder, scale)
    figures, details = _changed(folder, scale)
    more = _unchanged(folder, scale)
    slim = _slim_ci(folder, scale)
    return [*built[0], *figures, *more[0], *slim[0]], [*built[1], *details, *more[1], *slim[1]]


def _builds(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """A first build, with slipway and with dbt-duckdb's own ``table``."""
    ours = project.make(folder / "slipway", scale.models, slipway=True)
    native = project.make(folder / "native", scale.models, slipway=False)
    measured = [Measured("dbt run with slipway"), Measured("dbt run with native tables")]
    for turn in range(scale.repeats + scale.apart):
        for one, result in zip((ours, native), measured, strict=True):
            one.forget()
            taken = one.seconds(*_DBT, "run")
            if turn or not scale.apart:  # the first parses the project
                result.seconds.append(taken)
    extra = [a - b for a, b in zip(measured[0].seconds, measured[1].seconds, strict=True)]
    each = statistics.median(extra) * 1000 / scale.models
    what = f"{scale.models} tiny tables"
    return [
        Figure(
            NAME, f"{what}: on top of dbt's native table, start and publishing included", each, "ms/model", 60
        ),
        Figure(NAME, f"{what}: dbt run to native tables", ratio(*measured)),
    ], [seconds(f"{NAME}, {what}", measured)]


def _changed(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Runs after one model that no other reads was edited, compared with dbt's run of that model, to native tables and with slipway."""
    ours = project.make(folder / "changed", scale.models, slipway=True, tests=True)
    native = project.make(folder / "changed-native", scale.models, slipway=False, tests=True)
    ours.seconds(*_SLIPWAY, "run")
    native.seconds(*_DBT, "run")
    model = f"model_{scale.models - 1}"
    commands = (
        (native, (*_DBT, "run", "--select", model)),
        (ours, (*_DBT, "run", "--select", model)),
        (ours, (*_SLIPWAY, "run", "--select", model)),
        (ours, (*_SLIPWAY, "run")),
    )
    names = ("dbt run --select, native", "dbt run --select", "slipway run --select", "slipway run")
    measured = [Measured(name) for name in names]
    for turn in range(scale.repeats + scale.apart):
        for at, ((one, command), result) in enumerate(zip(commands, measured, strict=True)):
            one.change(model, 1000 + 10 * turn + at)
            taken = one.seconds(*command)
            if turn or not scale.apart:
                result.seconds.append(taken)
    what = f"{scale.models} models and {2 * scale.models} tests, one changed"
    return [
        Figure(
            NAME, f"{what}: slipway run to dbt run --select of it", ratio(measured[3], measured[1]), goal=1.15
        ),
        Figure(NAME, f"{what}: slipway run --select to dbt run --select", ratio(measured[2], measured[1])),
        Figure(NAME, f"{what}: dbt run --select to the same with native tables", ratio(*measured[1::-1])),
    ], [seconds(f"{NAME}, {what}", measured)]


def _unchanged(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Runs that find nothing to do, compared with ``dbt compile`` of the same project."""
    tiny = project.make(folder / "unchanged", scale.models, slipway=True, tests=True)
    tiny.seconds(*_SLIPWAY, "run")
    commands = {
        "dbt compile": (*_DBT, "compile"),
        "slipway run that starts dbt": (*_SLIPWAY, "run"),  # dbt build was the run before
        "slipway run": (*_SLIPWAY, "run"),
        "dbt build": (*_DBT, "build"),
    }
    measured = [Measured(name) for name in commands]
    for turn in range(scale.repeats + scale.apart):
        for command, result in zip(commands.values(), measured, strict=True):
            taken = tiny.seconds(*command)
            if turn or not scale.apart:
                result.seconds.append(taken)
    what = f"{scale.models} models and {2 * scale.models} tests, nothing changed"
    return [
        Figure(NAME, f"{what}: slipway run to dbt compile", ratio(measured[2], measured[0]), goal=0.25),
        Figure(
            NAME,
            f"{what}: slipway run that starts dbt to dbt compile",
            ratio(measured[1], measured[0]),
            goal=2,
        ),
        Figure(NAME, f"{what}: dbt build to dbt compile", ratio(measured[3], measured[0]), goal=2),
        Figure(NAME, f"{what}: data files that can be read", _without_files(tiny), "files", 0),
    ], [seconds(f"{NAME}, {what}", measured)]


def _slim_ci(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Slim CI of one model that no other reads, compared with dbt's start: parsing the project after the same edit."""
    tiny = project.make(folder / "slim-ci", scale.models, slipway=True, tests=True)
    tiny.seconds(*_SLIPWAY, "run")
    model, built = f"model_{scale.models - 1}", set[int]()
    measured = [Measured("dbt parse"), Measured("slipway ci")]
    for turn in range(scale.repeats + scale.apart):
        tiny.change(model, 1000 + 2 * turn)
        start = tiny.seconds(*_DBT, "parse")
        tiny.change(model, 1001 + 2 * turn)
        taken = tiny.seconds(*_SLIPWAY, "ci", code=1)  # the row differs, and nothing declares it
        written = json.loads((tiny.folder / "target/slipway-ci/ci.json").read_text(encoding="utf-8"))
        built.add(len(written["run"]["nodes"]))
        if turn or not scale.apart:
            measured[0].seconds.append(start)
            measured[1].seconds.append(taken)
    beyond = statistics.median(b - a for a, b in zip(*(one.seconds for one in measured), strict=True))
    what = f"{scale.models} models and {2 * scale.models} tests, one changed: slipway ci"
    return [
        Figure(NAME, f"{what}, beyond dbt parse, processor time", beyond, "s", 15),
        Figure(NAME, f"{what}: models built", max(built), "models", 1),
    ], [seconds(f"{NAME}, {what}", measured)]


def _without_files(tiny: Project) -> int:
    """How many data files there are while one more run finds that nothing changed: none, for they are moved away."""
    files = tiny.data_files()
    for file in files:
        file.rename(file.with_suffix(".away"))
    left = len(tiny.data_files())
    tiny.seconds(*_SLIPWAY, "run")
    for file in files:
        file.with_suffix(".away").rename(file)
    return left
