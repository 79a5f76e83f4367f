"""Files that replace earlier ones, by whole runs: raw keeps everything, and what is made of it has the current rows only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Meters

Files = Mapping[str, tuple[str, ...]]
"""Name of a file to its rows, ``meter,read_on,kwh,note``."""
CONTRACT = "contracts/readings.odcs.yaml"


def begin(project: Meters, mode: str) -> None:
    for path in (project.landing / "readings").iterdir():
        path.unlink()
    project.edit(
        CONTRACT,
        "    customProperties:",
        f"    customProperties:\n      - {{property: fileMode, value: {mode}}}",
    )


def land(project: Meters, **files: str) -> None:
    for name, rows in files.items():
        project.readings(f"{name}.csv", *rows.split())


def current(project: Meters) -> list[tuple[str, str, float]]:
    """What the typed model has, which is incremental by ``rows_added``."""
    return sorted((str(row[0]), str(row[1]), float(row[2])) for row in project.rows("curated.consumption"))


def total(project: Meters) -> float:
    """What is served, by ``partitions_changed``."""
    return sum(float(row[2]) for row in project.rows("serving.daily_consumption")) / 1000


def values(project: Meters) -> list[int]:
    """All that raw has, without marks."""
    return sorted(int(float(row[0])) for row in project.rows("raw.readings", "kwh") if row[0] is not None)


@pytest.mark.long
def test_a_file_of_the_same_name_replaces_the_earlier_one(project: Meters) -> None:
    begin(project, "replace")
    land(project, may="m1,2024-05-01,1, m2,2024-05-01,2,", june="m1,2024-06-01,4,")
    project.dbt("build")
    assert (current(project), total(project)) == (
        [("m1", "2024-05-01", 1), ("m1", "2024-06-01", 4), ("m2", "2024-05-01", 2)],
        7,
    )
    land(project, may="m1,2024-05-01,8,")  # m2 is withdrawn
    project.dbt("build")
    assert (current(project), total(project)) == ([("m1", "2024-05-01", 8), ("m1", "2024-06-01", 4)], 12)
    land(project, july="m1,2024-07-01,16,")  # only adds
    output = project.dbt("build")
    assert "REBUILT" not in output
    assert total(project) == 28
    land(project, may="m1,2024-05-01,1, m2,2024-05-01,2,")  # the first version comes back
    assert "it is current again" in project.dbt("build")
    assert total(project) == 23
    land(project, june="")  # an empty file withdraws its rows
    project.dbt("build")
    assert (current(project), total(project)) == (
        [("m1", "2024-05-01", 1), ("m1", "2024-07-01", 16), ("m2", "2024-05-01", 2)],
        19,
    )
    assert values(project) == [1, 2, 4, 8, 16]  # raw has every version, once
    assert "nothing changed" in project.dbt("build")
    project.dbt("build", "--full-refresh")
    assert total(project) == 19


@pytest.mark.long
def test_each_file_may_be_the_whole(project: Meters) -> None:
    begin(project, "full")
    land(project, a="m1,2024-05-01,1, m2,2024-05-01,2,")
    project.dbt("build")
    assert total(project) == 3
    land(project, b="m1,2024-05-01,4,", c="m3,2024-05-01,8,")  # the last by name is the newest
    project.dbt("build")
    assert (current(project), total(project)) == ([("m3", "2024-05-01", 8)], 8)
    land(project, d="m1,2024-05-01,1, m2,2024-05-01,2,")  # as a.csv was
    project.dbt("build")
    assert total(project) == 3
    land(project, e="")
    project.dbt("build")
    assert (current(project), total(project)) == ([], 0)
    assert values(project) == [1, 2, 4, 8]


def test_a_version_that_is_set_aside_replaces_nothing(project: Meters) -> None:
    begin(project, "replace")
    land(project, may="m1,2024-05-01,1,")
    project.dbt("build")
    project.land("may.csv", "meter,read_on\nm1,2024-05-01\n")
    assert "outstanding" in project.dbt("build")
    assert total(project) == 1


@pytest.mark.long
def test_a_rollback_takes_the_version_back_and_the_next_run_brings_it_again(project: Meters) -> None:
    begin(project, "replace")
    land(project, may="m1,2024-05-01,1,")
    project.dbt("build")
    land(project, may="")
    project.dbt("build")
    assert total(project) == 0
    project.slipway("rollback", "--yes")
    assert total(project) == 1
    project.dbt("build")
    assert total(project) == 0


@pytest.mark.long
def test_a_model_with_a_condition_of_its_own_is_built_anew(project: Meters) -> None:
    begin(project, "replace")
    project.edit(
        "models/curated/consumption.sql",
        "{{ rows_added(ref('readings')) }}",
        "_landed_at > (select max(_landed_at) from {{ ref('readings') }}) - interval 1 microsecond",
    )
    land(project, may="m1,2024-05-01,1, m2,2024-05-01,2,")
    project.dbt("build")
    land(project, may="m1,2024-05-01,4,")
    assert "files of raw.readings were replaced" in project.dbt("build")
    assert total(project) == 4


@pytest.mark.long
@pytest.mark.parametrize("mode", ["append", "replace"])
def test_in_append_nothing_is_replaced(project: Meters, mode: str) -> None:
    begin(project, mode)
    land(project, may="m1,2024-05-01,1,")
    project.dbt("build")
    land(project, may="m2,2024-05-01,2,")
    project.dbt("build")
    assert total(project) == (3 if mode == "append" else 2)
