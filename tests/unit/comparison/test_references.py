"""Moments that references name, and which tables of two sides are compared with each other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.harness.records import environment, manifest, release

from slipway.comparison.references import NamedFile, NamedTables, _describing, _moment, pair
from slipway.errors import NotFoundError, UsageError
from slipway.records.run_manifest import Outcome
from slipway.records.store import Records
from slipway.releases.cut import Cut, TableVersion

NOW = datetime(2026, 3, 1, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("@today", "2026-03-01T23:59:59.999999+00:00", id="today"),
        pytest.param("@yesterday", "2026-02-28T23:59:59.999999+00:00", id="yesterday"),
        pytest.param("@2024-02-29", "2024-02-29T23:59:59.999999+00:00", id="day"),
        pytest.param("@2024-02-29T06:00", "2024-02-29T06:00:00+00:00", id="time"),
        pytest.param("@2024-02-29T06:00+02:00", "2024-02-29T04:00:00+00:00", id="time-zone"),
    ],
)
def test_a_day_means_its_end(text: str, moment: str) -> None:
    assert _moment(text, NOW).isoformat() == moment


@pytest.mark.parametrize("text", ["@", "@tomorrow", "@2024-02-30", "@20x"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a time"):
        _moment(text, NOW)


def tables(label: str, *names: str, single: str | None = None, is_part: bool = False) -> NamedTables:
    cut = Cut(label, {name: TableVersion("m") for name in ("ops.landed_files", *names)})
    published: Any = SimpleNamespace()
    return NamedTables(label, published, cut, single=single, is_part=is_part)


RELEASE = tables("release 1", "raw.a", "curated.b", "serving.c")
LATER = tables("release 2", "raw.a", "curated.b", "serving.d")
FILE = NamedFile("out.csv", "out.csv")


def test_tables_of_either_side_are_compared_and_those_outside_of_releases_are_not() -> None:
    assert pair(RELEASE, LATER, ()).names == [
        ("curated.b", "curated.b", "curated.b"),
        ("raw.a", "raw.a", "raw.a"),
        ("serving.c", "serving.c", None),
        ("serving.d", None, "serving.d"),
    ]
    assert [name for name, *_ in pair(RELEASE, LATER, ["serving.*", "raw.a"]).names] == [
        "raw.a",
        "serving.c",
        "serving.d",
    ]


def test_a_run_of_a_part_is_compared_in_that_part() -> None:
    run = tables("run x", "curated.b", "serving.e", is_part=True)
    found = pair(RELEASE, run, ())
    assert found.names == [("curated.b", "curated.b", "curated.b"), ("serving.e", None, "serving.e")]
    assert found.left_out == ["raw.a", "serving.c"]
    both = pair(run, tables("run y", "raw.a", is_part=True), ())
    assert (both.names, both.left_out) == ([], ["curated.b", "raw.a", "serving.e"])


def test_a_file_or_one_table_takes_the_name_of_the_table_that_it_is_compared_with() -> None:
    one = tables("serving.c of dev", "serving.c", "raw.a", single="serving.c")
    assert pair(FILE, RELEASE, ["raw.a"]).names == [("raw.a", None, "raw.a")]
    assert pair(RELEASE, FILE, ["raw.a"]).names == [("raw.a", "raw.a", None)]
    assert pair(one, RELEASE, ()).names == [("serving.c", "serving.c", "serving.c")]
    assert pair(FILE, one, ()).names == [("serving.c", None, "serving.c")]
    assert pair(FILE, FILE, ()).names == [("out.csv", None, None)]


def test_it_has_to_be_clear_which_table_is_meant() -> None:
    with pytest.raises(UsageError, match=r"out\.csv is one table, and release 1 has several"):
        pair(FILE, RELEASE, ())
    with pytest.raises(NotFoundError, match=r"release 1 has no table serving\.x"):
        pair(FILE, RELEASE, ["serving.x"])
    with pytest.raises(NotFoundError, match=r"Neither release 1 nor release 2 has a table serving\.x"):
        pair(RELEASE, LATER, ["serving.x"])


def test_what_is_shown_now_is_described_by_the_newest_run_that_changed_no_table(tmp_path: Path) -> None:
    """What a model declares about its comparison makes no release."""
    records = Records(environment(tmp_path))
    runs = [f"2024050{day}T120000Z-{day:08}" for day in range(1, 5)]
    outcomes = (Outcome.UNCHANGED, Outcome.PUBLISHED, Outcome.UNCHANGED, Outcome.FAILED)
    for run_id, outcome in zip(runs, outcomes, strict=True):
        records.write(run_id, "run_manifest.json", manifest(run_id=run_id, outcome=outcome).model_dump_json())
    assert _describing(records, release(1, run_id=runs[1])) == runs[1]  # no later one kept dbt's manifest
    for run_id in runs:
        records.write_dbt_manifest(run_id, b'{"metadata": {}, "nodes": {}, "exposures": {}}')
    assert _describing(records, release(1, run_id=runs[1])) == runs[2]
    assert _describing(records, release(1, run_id=runs[3])) == runs[3]
    (Path(records.location(runs[2]).removeprefix("file://")) / "run_manifest.json").write_text("{", "utf-8")
    assert _describing(records, release(1, run_id=runs[1])) == runs[1]
