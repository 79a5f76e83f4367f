"""Slices: a part of the input is built in a scratch environment, and the environment itself stays as it is."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

PROJECT = "dbt_project.yml"
DATE_DIMENSION = "    date: {column: weighed_on, kind: range}\n"


@pytest.fixture(scope="module")
def released(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The project, published once; parcels can be sliced by depot, too."""
    workshop = new_workshop(tmp_path_factory.mktemp("slices"))
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125", "p7,O'Hara,2024-05-03,1"))
    workshop.edit(PROJECT, DATE_DIMENSION, f"{DATE_DIMENSION}    depots: {{column: depot, kind: list}}\n")
    workshop.run()
    return workshop


@pytest.fixture
def published(released: Workshop) -> Iterator[Workshop]:
    """The same for a test that changes code or lands files; the environment must stay as it is."""
    before = state(released)
    with released.restored():
        yield released
    assert state(released) == before


def state(workshop: Workshop) -> object:
    """What the environment shows, its ledger included, and what is recorded of it."""
    records = sorted(path for path in workshop.warehouse().rglob("*") if path.is_file())
    return workshop.locations(), records


def content(scratch: str, name: str) -> list[dict[str, Any]]:
    """Rows of a table of a scratch environment, read by pyiceberg."""
    from pyiceberg.table import StaticTable

    connection = sqlite3.connect(Path(scratch) / "catalog.db")
    query = "select metadata_location from iceberg_tables where table_namespace || '.' || table_name = ?"
    (location,) = connection.execute(query, [name]).fetchone()
    connection.close()
    rows: list[dict[str, Any]] = StaticTable.from_metadata(location).scan().to_arrow().to_pylist()
    return rows


def parcels(scratch: str) -> str:
    return " ".join(sorted(row["parcel"] for row in content(scratch, "curated.weights")))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        pytest.param("from: 2024-05-01, to: 2024-05-02", "p1 p2", id="one day", marks=pytest.mark.long),
        pytest.param(
            "from: 2024-05-02, to: 2024-05-03", "p4 p5", id="the day in the middle", marks=pytest.mark.long
        ),
        pytest.param("from: 2024-05-02", "p4 p5 p6 p7", id="only from", marks=pytest.mark.long),
        pytest.param("to: 2024-05-03", "p1 p2 p4 p5", id="only to", marks=pytest.mark.long),
        pytest.param("depots: S, to: 2024-05-03", "p2", id="one value and a range", marks=pytest.mark.long),
        pytest.param('depots: [N, "O\'Hara"]', "p1 p4 p5 p7", id="a list with a quote"),
    ],
)
def test_a_slice_holds_what_was_asked_for(published: Workshop, asked: str, found: str) -> None:
    run = published.run("--vars", f"{{slice: {{{asked}}}}}")
    assert run["outcome"] == "published"
    assert Path(run["scratch"]).is_relative_to(published.home / "scratch")
    assert parcels(run["scratch"]) == found
    by_name = {node["table"]: node for node in run["nodes"]}
    assert by_name["raw.parcels"]["change"] == "pinned"  # an input, read whole as it is published
    assert by_name["curated.weights"]["rows_after"] == len(found.split())
    assert sum(row["parcels"] for row in content(run["scratch"], "serving.depot_weights")) == len(
        found.split()
    )
    (raw,) = [item for item in run["inputs"] if item["table"] == "dev.raw.parcels"]
    assert raw["metadata_location"] == published.locations()["raw.parcels"]
    assert run["conservation"] == []  # a part of the rows is nothing to conserve


@pytest.mark.long
def test_plain_dbt_builds_a_slice_and_says_where(published: Workshop) -> None:
    published.land("later.csv", ("p8,S,2024-05-01,1",))  # a slice is cut from what is published
    parcels_folder = published.folder / "landing" / "parcels"
    (parcels_folder / "day-1.csv").unlink()  # raw has it: the producer may clean up
    (parcels_folder / "day-2.csv").touch()
    output = published.dbt("build", "--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    message = re.search(r"published release 1: 4 tables of run \S+ in scratch environment (\S+)", output)
    assert message is not None, output
    assert parcels(message[1]) == "p1 p2"


@pytest.mark.long
def test_the_scratch_environment_is_named_and_can_be_removed(published: Workshop) -> None:
    answer = published.answer("run", "--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    message = re.search(r"in a scratch environment: (\S+)\n", answer)
    assert message is not None, answer
    assert f"Remove it with:  rm -r {message[1]}\n" in answer
    assert (Path(message[1]) / "warehouse" / "curated" / "weights").is_dir()


REFUSED = {
    "unknown": ("{colour: red}", 1, "slice has unknown dimension colour. Use one of from, to"),
    "no dimension": ("{}", 2, "The slice is empty: it names no dimension"),
}
ALSO_REFUSED = {
    "empty range": ("{from: 2024-05-02, to: 2024-05-02}", 1, "is not before to 2024-05-02"),
    "reversed range": ("{from: 2024-05-03, to: 2024-05-02}", 1, "is not before to 2024-05-02"),
    "no date": ("{from: }", 1, "slice dimension from is no date: None"),
    "what is no date": ("{from: soon}", 1, "slice dimension from is no date: soon"),
    "no such day": (
        "{from: '2023-02-29'}",
        1,
        "slice dimension from is a day that does not exist: 2023-02-29",
    ),
    "no such month": ("{to: '2024-00-10'}", 1, "slice dimension to is a day that does not exist: 2024-00-10"),
    "no value": ("{depots: }", 1, "slice dimension depots has no value"),
    "an empty list": ("{depots: []}", 1, "slice dimension depots has no value"),
    "no mapping": ("7", 1, "slice is not a mapping: 7"),
    "nothing": ("", 2, "The slice is empty: it names no dimension"),
}


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        *(pytest.param(*case, id=name) for name, case in REFUSED.items()),
        *(pytest.param(*case, id=name, marks=pytest.mark.long) for name, case in ALSO_REFUSED.items()),
    ],
)
def test_refused(published: Workshop, asked: str, code: int, message: str) -> None:
    assert message in published.refusal("run", "--vars", f"{{slice: {asked}}}", code=code)


@pytest.mark.long
def test_refused_by_plain_dbt(published: Workshop) -> None:
    assert "The slice is empty" in published.dbt("build", "--vars", "{slice: {}}", code=2)


def test_a_slice_that_holds_no_row_is_refused(published: Workshop) -> None:
    done = published.slipway("run", "--vars", "{slice: {from: 2030-01-01, to: 2030-02-01}}")
    assert done.code == 1
    asked = re.escape('{"from": "2030-01-01", "to": "2030-02-01"}')
    assert re.search(
        rf"Not published \(failed\).*: the slice {asked} holds no row: curated\.weights", done.out
    )


@pytest.mark.long
def test_what_a_model_needs_has_to_be_selected_too(published: Workshop) -> None:
    slice_vars = ("--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    done = published.slipway("run", "--select", "depot_weights", *slice_vars)
    assert done.code == 1
    assert "curated.weights is not in this slice: the model that makes it is not selected" in done.err
    assert "--select … +weights" in done.err
    run = published.run("--select", "depot_weights", "+weights", "depots", *slice_vars)
    assert run["outcome"] == "published"


@pytest.mark.long
def test_a_slice_in_the_project_file_is_a_slice(published: Workshop) -> None:
    published.edit(PROJECT, "vars:\n", "vars:\n  slice: {to: 2024-05-02}\n")
    run = published.run()
    assert parcels(run["scratch"]) == "p1 p2"


@pytest.mark.long
def test_a_slice_before_anything_is_published(workshop: Workshop) -> None:
    run = workshop.run("--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    assert parcels(run["scratch"]) == "p1 p2"
    assert len(content(run["scratch"], "raw.parcels")) == 5
    # what landed is noted in the scratch environment
    assert len(content(run["scratch"], "ops.landed_files")) == 2
    assert workshop.locations() == {}
    assert not workshop.warehouse().exists()
    assert workshop.run()["landed_files"] != []
