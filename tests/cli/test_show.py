"""``slipway show``: a run explained, and where a table comes from."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import World
    from tests.harness.projects import Workshop


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def origin(world: World, table: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.answer("show", table, "--output", "json"))
    return found


def test_run_is_explained(world: World) -> None:
    out = world.answer("show", world.runs["first"])
    text = lines(out)
    assert text[0] == ["run", f"{world.runs['first']}:", "published,", "release", "1"]
    assert ["why", "every", "node", "and", "every", "test", "passed"] in text
    assert "landed: 2 new files, 5 rows; 1 set aside" in out
    # the file was set aside because two columns are not in its header
    aside, outstanding = [line for line in out.splitlines() if "no-header.csv" in line]
    assert aside.startswith("  parcels/no-header.csv (rejected): header differs")
    assert outstanding.startswith("  parcels/no-header.csv: header differs")
    assert "tests: 4 expected = 4 executed + 0 carried + 0 not run; 0 failed, 0 warned" in out
    assert (
        "rows: 5 in raw.parcels = 4 in curated.weights + 1 quarantined (kg_is_a_number 1) + 0 deduplicated"
        in out
    )
    assert "freshness: landing.parcels last brought a file " in out
    at = next(number for number, words in enumerate(text) if words[:2] == ["table", "change"])
    assert text[at][2:] == ["rows", "before", "added", "removed", "files", "size", "seconds", "snapshot"]
    tables = text[at + 1 : at + 6]
    assert [row[:6] for row in tables] == [
        ["reference.depots", "built", "2", "0", "+2", "0"],
        ["raw.parcels", "built", "5", "0", "+5", "0"],
        ["curated.weights", "built", "4", "0", "+4", "0"],
        ["quarantine.weights", "built", "1", "0", "+1", "0"],
        ["serving.depot_weights", "built", "2", "0", "+2", "0"],
    ]


def test_unchanged_run_is_explained(world: World) -> None:
    out = world.answer("show", world.runs["same"])
    assert out.startswith(f"run {world.runs['same']}: unchanged\n")
    assert "tests: 4 expected = 0 executed + 4 carried + 0 not run" in out
    assert out.count(" unchanged ") == 5
    assert "landed" not in out.split("freshness", maxsplit=1)[0]
    assert "outstanding files, which are not in raw:\n  parcels/no-header.csv: header differs" in out


def test_failed_run_names_what_failed(world: World) -> None:
    out = world.answer("show", world.runs["failed"][-8:])
    assert out.startswith(f"run {world.runs['failed']}: failed\n")
    assert "  fail: weights_are_positive: Got 1 result, configured to fail if != 0\n" in out
    assert "tests: 4 expected = 3 executed + 0 carried + 1 not run; 1 failed" in out


def test_killed_run_is_what_it_left(world: World) -> None:
    out = world.answer("show", "latest")
    assert out.startswith(f"run {world.runs['killed']}: incomplete\n")
    assert [line.strip() for line in out.splitlines() if line.startswith("  ") and "." in line][-3:] == [
        "curated.weights",
        "quarantine.weights",
        "raw.parcels",
    ]
    assert json.loads(world.answer("show", "latest", "-o", "json"))["outcome"] == "incomplete"


def test_slice_is_found_in_its_scratch_environment(world: World) -> None:
    out = world.answer("show", world.runs["slice"])
    assert "scratch" in out
    assert "vars       slice: {'from': '2024-05-01', 'to': '2024-05-02'}" in out


def test_run_as_json_is_its_manifest(world: World) -> None:
    (path,) = world.warehouse().glob(f"_slipway/runs/*/{world.runs['second']}/run_manifest.json")
    assert json.loads(world.answer("show", world.runs["second"], "-o", "json")) == json.loads(
        path.read_bytes()
    )


def test_one_screen_is_no_wider_than_the_terminal(world: World) -> None:
    for what in (world.runs["first"], "serving.depot_weights"):
        table = [
            line
            for line in world.answer("show", what, COLUMNS="80").splitlines()
            if " built " in line or "  2  " in line
        ]
        assert table
        assert max(map(len, table)) <= 80


def test_table_is_traced_back_to_landed_files(world: World) -> None:
    found = origin(world, "serving.depot_weights")
    assert (found["table"], found["target"], found["release"]) == ("serving.depot_weights", "dev", 2)
    by_name = {source["table"]: source for source in found["sources"]}
    assert {name: sorted(source["inputs"]) for name, source in by_name.items()} == {
        "serving.depot_weights": ["curated.weights", "reference.depots"],
        "curated.weights": ["raw.parcels"],
        "reference.depots": [],
        "raw.parcels": ["landing.parcels"],
        "landing.parcels": [],
    }
    runs = {name: source["run_id"] for name, source in by_name.items()}
    assert runs["serving.depot_weights"] == runs["raw.parcels"] == world.runs["second"]
    assert runs["reference.depots"] == world.runs["first"]
    assert (by_name["raw.parcels"]["rows"], by_name["curated.weights"]["rows"]) == (6, 5)
    (files,) = found["files"]
    assert (files["feed"], files["files"], files["rows"]) == ("parcels", 3, 6)
    content = (world.folder / "landing" / "parcels" / "day-3.csv").read_bytes()
    assert files["newest"][0]["file"] == "day-3.csv"
    assert files["newest"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert found["runs"][world.runs["second"]]["command"] == ["dbt", "build"]
    assert [column["name"] for column in found["columns"]] == ["depot", "city", "parcels", "kg", "heaviest"]


def test_table_says_which_tests_covered_it(world: World) -> None:
    (wrote,) = origin(world, "serving.depot_weights")["tested"]
    assert (wrote["run_id"], wrote["outcome"]) == (world.runs["second"], "published")
    assert [test["status"] for test in wrote["tests"]] == ["pass"]
    # the seed's last run is one that failed later, after it found the seed unchanged
    tested = origin(world, "reference.depots")["tested"]
    assert [run["run_id"] for run in tested] == [world.runs["first"], world.runs["failed"]]


def test_table_as_text_is_a_tree(world: World) -> None:
    out = world.answer("show", "depot_weights")
    tree = out[out.index("comes from") : out.index("landed files")].splitlines()[1:]
    assert [
        line.split("  ")[0] or line[: len(line) - len(line.lstrip())] + line.split()[0]
        for line in tree
        if line
    ] == [
        "serving.depot_weights",
        "  reference.depots",
        "  curated.weights",
        "    raw.parcels",
        "      landing.parcels",
    ]
    assert (
        "landed files of parcels in raw.parcels: 3 with 6 rows, the newest are\n  day-3.csv: 1 row, landed"
        in out
    )
    assert "tests in the run that wrote it: 1 pass\n  pass  unique_depot_weights_depot" in out
    assert "  release    2, published " in out


def test_a_table_that_a_later_release_did_not_change_says_so(world: World) -> None:
    out = world.answer("show", "reference.depots")
    assert ", the same up to release 2" in out
    assert "tests: none" in out


def test_table_outside_releases_is_explained_too(world: World) -> None:
    out = world.answer("show", "ops.landed_files")
    assert "release    none: it is written outside releases" in out


@pytest.mark.parametrize(
    ("what", "line"),
    [
        pytest.param("serving.depot_weigths", "dev has no table serving.depot_weigths. Perhaps serving.depot_weights is meant.",
                     id="table"),
        pytest.param("depot_weigths", "There is no run and no table depot_weigths. Perhaps serving.depot_weights is meant.",
                     id="table-without-layer"),
        pytest.param("weights", "There is no run and no table weights. Perhaps curated.weights or quarantine.weights is meant.",
                     id="table-in-two-layers"),
        pytest.param("zebra", "There is no run and no table zebra. List the tables with slipway sql 'show tables'.",
                     id="nothing-alike"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(world: World, what: str, line: str) -> None:
    assert world.refusal("show", what, code=3) == line


def test_a_part_of_several_run_ids_is_refused(world: World) -> None:
    line = world.refusal("show", "Z-", code=3)
    assert line.startswith("Run Z- is not unique: 6 runs match: ")


def test_nothing_published_is_reported(empty: World) -> None:
    assert empty.refusal("show", "latest", code=3) == "There is no run yet. Start one with slipway run."
    assert empty.refusal("show", "a.b", code=3).startswith("Nothing is published in dev yet")
    assert not empty.home.exists()


ENFORCED = """
  - name: depot_weights
    config: {contract: {enforced: true}}
    columns:
      - {name: depot, data_type: varchar, constraints: [{type: primary_key}]}
      - {name: city, data_type: varchar}
      - {name: parcels, data_type: bigint, constraints: [{type: not_null}]}
      - {name: kg, data_type: "decimal(38,3)"}
"""


@pytest.mark.long
def test_columns_without_null_are_those_that_the_contract_of_the_model_holds(workshop: Workshop) -> None:
    workshop.edit(
        "models/_models.yml",
        "\n  - name: depot_weights\n    columns:\n      - name: depot\n        data_tests: [unique]\n",
        ENFORCED,
    )
    workshop.run()
    columns = json.loads(workshop.answer("show", "serving.depot_weights", "-o", "json"))["columns"]
    assert {column["name"]: column["required"] for column in columns} == {
        "depot": True,
        "city": False,
        "parcels": True,
        "kg": False,
    }
    screen = lines(workshop.answer("show", "serving.depot_weights"))
    assert ["city", "string", "yes"] in screen
    assert ["parcels", "long"] in screen
