"""The entries of the books add up to their totals, whatever readers were shown in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.projects import keep, put_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.harness.projects import Workshop

FIGURES = ("landed", "curated", "quarantined", "deduplicated", "expired", "superseded")
TOTALS = ("landed", "curated_rows", "quarantined_rows", "deduplicated", "expired", "superseded")
CURATED = "models/curated/weights.sql"


@pytest.fixture(scope="module")
def history(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Two releases: five rows, one of them quarantined; then two more rows, of which one is quarantined."""
    workshop = new_workshop(tmp_path_factory.mktemp("books") / "run")
    workshop.run()
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10", "p7,S,2024-05-03,light"))
    workshop.run()
    keep(workshop.folder)
    return workshop


@pytest.fixture
def two(history: Workshop) -> Iterator[Workshop]:
    yield history
    put_back(history.folder)


def books(workshop: Workshop, *argv: str) -> dict[str, Any]:
    """What is printed, after it was found that the posted entries add up to the total."""
    found: dict[str, Any] = json.loads(workshop.answer("books", "parcels", *argv, "-o", "json"))
    assert found["balances"]
    posted = [one for one in found["entries"] + found["brought_forward"] if one["posted"]]
    assert all(one["posted"] is (one["release"] is not None) for one in found["entries"])
    for total in found["totals"]:
        sums = [sum(one[name] or 0 for one in posted) for name in FIGURES]
        assert sums == [total[name] for name in TOTALS]
    return found


def lines(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Release and rows landed, curated and quarantined of each entry, newest first."""
    return [(one["release"], one["landed"], one["curated"], one["quarantined"]) for one in found["entries"]]


def test_a_rollback_is_an_entry_and_so_is_the_way_forward_again(two: Workshop) -> None:
    two.answer("rollback")
    found = books(two)
    assert [total["landed"] for total in found["totals"]] == [5]
    assert lines(found) == [(3, -2, -1, -1), (2, 2, 1, 1), (1, 5, 4, 1)]
    assert found["entries"][0]["outcome"] == "rolled back to release 1"

    two.answer("rollback", "--to", "2")
    assert lines(books(two)) == [(4, 2, 1, 1), (3, -2, -1, -1), (2, 2, 1, 1), (1, 5, 4, 1)]


@pytest.mark.long
def test_a_run_after_a_rollback_brings_the_rows_again(two: Workshop) -> None:
    two.answer("rollback")
    two.land("day-4.csv", ("p8,N,2024-05-04,3",))
    two.run()
    found = books(two)
    assert lines(found)[:2] == [(4, 3, 2, 1), (3, -2, -1, -1)]
    assert found["entries"][0]["files"] == 1  # day-3 landed before
    assert "-2" in two.answer("books", "parcels")


@pytest.mark.long
def test_two_rollbacks_and_what_is_brought_forward(two: Workshop) -> None:
    two.land("day-4.csv", ("p8,N,2024-05-04,3",))
    two.run()
    two.answer("rollback")
    two.answer("rollback")
    found = books(two)
    assert lines(found) == [(5, -2, -1, -1), (4, -1, -1, 0), (3, 1, 1, 0), (2, 2, 1, 1), (1, 5, 4, 1)]
    assert found["brought_forward"] == []
    for limit in range(1, 6):
        some = books(two, "--limit", str(limit))
        assert lines(some) == lines(found)[:limit]
        (opening,) = some["brought_forward"] or [None]
        assert (opening is None) is (limit == 5)
        assert opening is None or opening["release"] == 5 - limit


def test_what_no_run_counted_has_no_figures_until_one_counts(two: Workshop) -> None:
    two.answer("rollback", "--to", "1", "--select", "curated.weights")
    found = books(two)
    assert found["totals"] == []
    assert (
        "no run counted raw.parcels, curated.weights and quarantine.weights"
        in found["not_counted"]["raw.parcels"]
    )
    assert lines(found)[0] == (3, None, None, None)
    two.answer("rollback", "--to", "2")
    assert lines(books(two)) == [(4, 0, 0, 0), (3, None, None, None), (2, 2, 1, 1), (1, 5, 4, 1)]


def test_a_run_that_published_nothing_is_in_no_sum(two: Workshop) -> None:
    two.land("day-4.csv", ("p8,N,2024-05-04,-3",))
    two.run(code=1)
    found = books(two)
    assert lines(found)[:2] == [(None, 1, 1, 0), (2, 2, 1, 1)]
    assert (found["entries"][0]["outcome"], found["entries"][0]["posted"]) == ("failed", False)
    assert "[+1]" in two.answer("books", "parcels")


def test_rows_of_files_that_newer_ones_replaced_have_a_figure(two: Workshop) -> None:
    declared = "    format: csv\n    customProperties: [{property: fileMode, value: replace}]"
    two.edit("contracts/parcels.odcs.yaml", "    format: csv", declared)
    two.land("day-3.csv", ("p6,S,2024-05-03,11", "p7,S,2024-05-03,12", "p8,S,2024-05-03,13"))
    two.run()
    found = books(two)
    assert lines(found)[0] == (3, 1, 2, -1)  # three rows for two, and none of them in quarantine
    assert [one["superseded"] for one in found["entries"]] == [2, 0, 0]
    header, newest = two.answer("books", "parcels").split("\n\n")[1].splitlines()[:2]
    assert header.split()[-1] == "replaced"
    assert newest.split()[-1] == "+2"


@pytest.mark.long
def test_a_promotion_is_an_entry_in_the_environment_that_it_goes_to(
    new_workshop: Callable[[Path], Workshop], tmp_path: Path
) -> None:
    workshop = new_workshop(tmp_path / "run")
    workshop.keep_locally("staging", "prod", options="?timeout=2")
    workshop.write("promotion.yml", "environments:\n  staging: {from: [dev]}\n  prod: {from: [staging]}\n")
    workshop.write("requirements.lock", "dbt-core==1.11.16\n")
    workshop.commit()
    workshop.run("--target", "staging")
    promote = ("promote", "--from", "staging", "--to", "prod")
    workshop.answer(*promote)
    assert lines(books(workshop, "--target", "prod")) == [(1, 5, 4, 1)]
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10", "p7,S,2024-05-03,light"))
    workshop.run("--target", "staging")
    workshop.answer(*promote)
    found = books(workshop, "--target", "prod")
    assert lines(found) == [(2, 2, 1, 1), (1, 5, 4, 1)]
    assert found["entries"][0]["outcome"] == "promoted from staging"
    workshop.answer("rollback", "--target", "prod")
    assert lines(books(workshop, "--target", "prod")) == [(3, -2, -1, -1), (2, 2, 1, 1), (1, 5, 4, 1)]

    staged = workshop.run("--target", "prod")
    assert staged["outcome"] == "staged"
    assert lines(books(workshop, "--target", "prod"))[0] == (None, 2, 1, 1)
    workshop.answer("publish", staged["run_id"], "--target", "prod")
    assert lines(books(workshop, "--target", "prod"))[:2] == [(4, 2, 1, 1), (3, -2, -1, -1)]
