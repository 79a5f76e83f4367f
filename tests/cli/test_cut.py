"""A release is one consistent cut of its tables: while others publish, after a rollback, and without later tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import World
    from tests.harness.projects import Workshop

# two tables of one release that would differ if they were read at two moments
BOTH = """select (select count(*) from curated.weights)::int as rows,
    (select sum(parcels) from serving.depot_weights)::int as counted"""


@pytest.mark.long
def test_an_earlier_release_is_read_as_it_stood(world: World) -> None:
    releases = ("1", "2")
    read = [json.loads(world.answer("sql", BOTH, "--release", number, "-o", "json")) for number in releases]
    assert read == [[{"rows": 4, "counted": 4}], [{"rows": 5, "counted": 5}]]


@pytest.mark.long
def test_several_tables_of_a_release_are_read_as_they_stood_together(workshop: Workshop) -> None:
    def rows_at(release: int) -> list[dict[str, int]]:
        found: list[dict[str, int]] = json.loads(
            workshop.answer("sql", BOTH, "--release", str(release), "-o", "json")
        )
        return found

    workshop.run()
    assert rows_at(1) == [{"rows": 4, "counted": 4}]
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    workshop.write("models/serving/later.sql", "select count(*) as n from {{ ref('weights') }}\n")
    running = workshop.start("run")
    assert rows_at(1) == [{"rows": 4, "counted": 4}]  # while the run is going to publish
    assert running.wait().code == 0
    assert (rows_at(1), rows_at(2)) == ([{"rows": 4, "counted": 4}], [{"rows": 5, "counted": 5}])
    workshop.answer("rollback", "--reason", "a mistake", "--yes")
    assert [rows_at(number)[0]["rows"] for number in (1, 2, 3)] == [4, 5, 4]
    assert "later" in workshop.refusal("sql", "from serving.later", "--release", "1", code=3)
    assert json.loads(workshop.answer("sql", "from serving.later", "--release", "2", "-o", "json")) == [
        {"n": 5}
    ]
    views = workshop.answer("connect", "--release", "1")
    assert "serving.depot_weights" in views.replace('"', "")
    assert "later" not in views
