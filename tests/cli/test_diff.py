"""``slipway diff``: what names a side, what is found, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import World
    from tests.harness.projects import Workshop

WEIGHTS = "serving.depot_weights"


def report(world: Workshop, *arguments: str, code: int) -> dict[str, Any]:
    done = world.slipway("diff", *arguments, "--output", "json")
    assert done.code == code, done
    found: dict[str, Any] = json.loads(done.out)
    assert found["passed"] is (code == 0)
    return found


def table(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["tables"] if one["name"] == name)


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["verdict"] for one in found["tables"]}


def test_two_releases_differ_in_what_landed_and_what_the_model_gained(world: World) -> None:
    found = report(world, "1", "release-2", code=1)
    assert found["base"].startswith("release 1 of dev, ")
    assert verdicts(found) == {
        "curated.weights": "different",
        "quarantine.weights": "identical",
        "raw.parcels": "different",
        "reference.depots": "identical",
        WEIGHTS: "different",
    }
    # day-3 has one parcel
    assert table(found, "raw.parcels")["rows"]["added"] == 1
    assert table(found, "reference.depots")["coverage"]["method"] == "same_snapshot"
    assert table(found, WEIGHTS)["schema_changes"]["added"] == {"heaviest": "DECIMAL(9,3)"}


def test_a_release_and_itself_are_identical_whatever_it_is_called(world: World) -> None:
    for one, other in (("2", "2"), ("2", "dev"), ("dev", "@today"), ("release-1", world.runs["first"])):
        found = report(world, one, other, code=0)
        assert set(verdicts(found).values()) == {"identical"}
        assert {one["coverage"]["method"] for one in found["tables"]} == {"same_snapshot"}


def test_only_the_tables_that_are_named(world: World) -> None:
    found = report(world, "1", "2", "serving.*", code=1)
    assert set(verdicts(found)) == {WEIGHTS}
    assert table(found, WEIGHTS)["edited"]  # said of a single table, too
    assert set(verdicts(report(world, "1", "2", WEIGHTS, "reference.depots", code=1))) == {
        WEIGHTS,
        "reference.depots",
    }


def test_a_run_is_compared_in_the_tables_that_it_built(world: World) -> None:
    found = report(world, "1", world.runs["slice"], code=1)
    assert found["remarks"] == ["Not compared, because the run did not build it: raw.parcels"]
    # the slice is the first day: a parcel for each depot, instead of the three and the one of two days
    assert table(found, "curated.weights")["rows"]["removed"] == 2


def test_nothing_in_common_is_never_green(world: World) -> None:
    found = report(world, "1", world.runs["slice"], "raw.parcels", code=1)
    assert found["tables"] == []
    text = world.slipway("diff", "1", world.runs["slice"], "raw.parcels").out
    assert text.startswith("Difference: failed, nothing was compared")


def test_a_file_is_read_in_the_types_of_the_table(world: World, tmp_path: Path) -> None:
    file = tmp_path / "weights.csv"
    file.write_text(
        "Depot,city,parcels,kg,heaviest\nN,Narvik,3,5.75,4.0000\nS,Siena,2.0,12.125,10.125\n",
        encoding="utf-8",
    )
    found = report(world, str(file), WEIGHTS, "--key", "depot", code=0)
    assert verdicts(found) == {WEIGHTS: "identical"}
    assert (table(found, WEIGHTS)["rows"]["identical"], table(found, WEIGHTS)["coverage"]["key"]) == (
        2,
        ["depot"],
    )
    assert verdicts(report(world, str(file), "2", WEIGHTS, "--key", "depot", code=0)) == {
        WEIGHTS: "identical"
    }
    # a thousandth more than the type of the column holds is not rounded away
    file.write_text(file.read_text(encoding="utf-8").replace("5.75", "5.7504"), encoding="utf-8")
    found = report(world, str(file), WEIGHTS, "--key", "depot", code=1)
    (change,) = (one for one in table(found, WEIGHTS)["columns"] if one["matching"] < one["compared"])
    assert (change["name"], change["examples"][0]["key"]) == ("kg", {"depot": "N"})
    assert change["largest_absolute_change"] == pytest.approx(0.0004)


def test_a_parquet_file_is_compared_without_regard_to_its_types(world: World, tmp_path: Path) -> None:
    done = world.slipway(
        "sql", f"select depot, parcels::double as parcels, kg::double as kg from {WEIGHTS}", "-o", "parquet"
    )
    file = tmp_path / "weights.parquet"
    file.write_bytes(done.stdout)
    found = report(world, WEIGHTS, str(file), "--key", "depot", code=1)
    assert table(found, WEIGHTS)["schema_changes"]["type_changed"] == []
    assert {one["kind"] for one in table(found, WEIGHTS)["differences"]} == {"column_removed"}
    assert table(found, WEIGHTS)["rows"]["identical"] == 2


def test_a_sample_says_that_it_is_one(world: World) -> None:
    text = world.slipway("diff", "1", "2", "--sample", "50", "curated.weights").out
    assert "A sample of 50 % of the rows was compared: what differs in the others is not found" in text
    # what is less would be no row at all
    refused = world.slipway("diff", "1", "2", "--sample", "0.001")
    assert (refused.code, "0.001 is not in the range" in refused.err) == (2, True)


NOT_FOUND = [
    pytest.param(("9", "1"), "dev has no release 9: the last ones are 1, 2. List them with slipway releases.", id="release"),
    pytest.param(("@2001-01-01", "1"), "dev had no release at 2001-01-01T23:59:59Z: release 1 is the first", id="time"),
    pytest.param(("1", "2", "serving.weights"), "Perhaps curated.weights or quarantine.weights is meant.", id="table"),
    pytest.param(("serving.zebras", "1"), "dev has no table serving.zebras: it is not published.", id="one-table"),
    pytest.param(("zebra", "1"), "zebra names nothing that can be compared: There is no run zebra in dev.", id="run"),
    pytest.param(("there-is-none.csv", "1"), "There is no file there-is-none.csv", id="file"),
]  # fmt: skip


@pytest.mark.parametrize(("sides", "message"), NOT_FOUND)
def test_a_reference_that_names_nothing(world: World, sides: tuple[str, ...], message: str) -> None:
    assert message in world.refusal("diff", *sides, code=3)


UNCLEAR = [
    pytest.param(("@lately", "1"), "@lately is not a time: after @ comes today, yesterday, a day or a time in ISO 8601.", id="time"),
    pytest.param(("1", WEIGHTS, "raw.parcels", "raw.parcels"), "it is not clear which one it is compared with", id="several"),
    pytest.param((WEIGHTS, WEIGHTS, "raw.parcels"), "raw.parcels is named as well. Leave it out.", id="a-table-too-many"),
    pytest.param(("", "1"), "A side of the comparison is empty: nothing is named.", id="empty"),
]  # fmt: skip


@pytest.mark.parametrize(("sides", "message"), UNCLEAR)
def test_a_reference_that_is_not_clear(world: World, sides: tuple[str, ...], message: str) -> None:
    assert message in world.refusal("diff", *sides, code=2)


def reason(found: dict[str, Any], name: str) -> str:
    notes: list[str] = table(found, name)["coverage"]["notes"]
    return "; ".join(notes)


def test_a_key_that_both_sides_do_not_have(world: World, tmp_path: Path) -> None:
    file = tmp_path / "weights.csv"
    file.write_text("city,kg\nNarvik,1\n", encoding="utf-8")
    found = report(world, str(file), WEIGHTS, "--key", "depot", code=1)
    assert verdicts(found) == {WEIGHTS: "not_compared"}
    assert "there is no common key, because key column depot cannot be matched on both sides" in reason(
        found, WEIGHTS
    )
    found = report(world, "1", "2", WEIGHTS, "--key", "zebra", code=1)
    assert reason(found, WEIGHTS) == "neither side has the configured column zebra"


def test_a_value_of_another_type_is_named(world: World, tmp_path: Path) -> None:
    file = tmp_path / "weights.csv"
    file.write_text("depot,kg\nN,heavy\n", encoding="utf-8")
    found = report(world, str(file), WEIGHTS, "--key", "depot", code=1)
    assert "1 value of column kg is no number, such as 'heavy'" in reason(found, WEIGHTS)


def test_repeated_and_missing_keys_are_reported(world: World, tmp_path: Path) -> None:
    file = tmp_path / "weights.csv"
    file.write_text("depot,parcels\nN,3\nN,3\n,2\n", encoding="utf-8")
    found = report(world, str(file), WEIGHTS, "--key", "depot", code=1)
    assert "the key (depot) is not unique, 1 repeated in base: compared whole rows" in reason(found, WEIGHTS)
    file.write_text("depot,parcels\nN,3\n,2\n", encoding="utf-8")
    found = report(world, str(file), WEIGHTS, "--key", "depot", code=1)
    assert "key column depot has NULLs (1 in base, 0 in head), which match each other" in reason(
        found, WEIGHTS
    )


def test_a_file_without_rows_against_an_empty_result(world: World, tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    for file in (one, other):
        file.write_text("depot,kg\n", encoding="utf-8")
    text = world.slipway("diff", str(one), str(other))
    assert text.code == 1
    assert text.out.startswith(
        "Difference: failed, nothing was compared: 1 table without a row on either side"
    )


@pytest.mark.long
def test_a_snapshot_that_has_expired(workshop: Workshop) -> None:
    workshop.run()
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    first = workshop.table(WEIGHTS)
    workshop.run()
    snapshot = first.current_snapshot()
    assert snapshot is not None
    with workshop.catalog() as catalog:
        table_now = catalog.load_table(WEIGHTS)
        table_now.manage_snapshots().remove_tag("release-1").commit()
        table_now.maintenance.expire_snapshots().by_id(snapshot.snapshot_id).commit()
    Path(first.metadata_location.removeprefix("file://")).unlink()
    found = report(workshop, "1", "2", code=1)
    assert verdicts(found)[WEIGHTS] == "not_compared"
    assert reason(found, WEIGHTS) == (
        f"{WEIGHTS} of release 1 of dev is not kept any more: snapshot {snapshot.snapshot_id} has expired."
        " Compare with a later release."
    )
    assert verdicts(found)["reference.depots"] == "identical"


def test_the_release_in_which_a_number_changed(world: World) -> None:
    found = report(world, "--bisect", WEIGHTS, "--where", "depot = 'S'", "--key", "depot", code=1)
    assert (found["title"], found["head"]) == (f"Change of {WEIGHTS}", "release 2 of dev")
    assert found["context"]["run"] == world.runs["second"]
    (change,) = (one for one in table(found, WEIGHTS)["columns"] if one["name"] == "kg")
    assert (change["examples"][0]["base"], change["examples"][0]["head"]) == ("2.000", "12.125")
    # nothing of Narvik landed on the third day; the column that the model gained is in no earlier release
    where = "depot = 'N' and kg > 0"
    text = world.slipway("diff", "--bisect", "curated.weights", "1", "2", "--where", where)
    assert text.out.startswith("No change of curated.weights: the same rows in 2 releases\n"), text
    assert text.code == 0
    changed = world.slipway("diff", "--bisect", WEIGHTS).out
    assert changed.startswith(f"Change of {WEIGHTS}: in release 2 (run {world.runs['second']}, "), changed
    assert "Searched 2 releases with 2 states of the table, one after the other; 2 states and" in text.out


def test_a_search_without_rows_or_without_sense(world: World) -> None:
    nothing = world.slipway("diff", "--bisect", WEIGHTS, "--where", "depot = 'Z'")
    assert (nothing.code, "nothing was compared" in nothing.out) == (1, True), nothing
    line = world.refusal("diff", "--bisect", WEIGHTS, "--where", "zebra = 1", code=2)
    assert line.startswith("--where zebra = 1 cannot be evaluated: Referenced column")
    assert "goes with --bisect only" in world.refusal("diff", "1", "2", "--where", "true", code=2)
    assert "has two sides: one is given" in world.refusal("diff", "1", code=2)


def test_rows_and_sums_of_each_release(world: World) -> None:
    lines = json.loads(world.answer("log", WEIGHTS, "-o", "json"))
    assert [(one["release"], one["rows"], one["sums"]) for one in lines] == [
        (2, 2, {"parcels": 5, "kg": "17.875", "heaviest": "14.125"}),
        (1, 2, {"parcels": 4, "kg": "7.750", "heaviest": None}),
    ]
    text = world.answer("log", WEIGHTS, "--where", "depot = 'N'")
    assert text.splitlines()[0].split() == [
        "release",
        "published",
        "(UTC)",
        "commit",
        "rows",
        "parcels",
        "kg",
        "heaviest",
    ]
    assert text.splitlines()[1].endswith("1        3  5.750     4.000")


def test_sums_of_classified_columns_are_hidden(world: World) -> None:
    contract = world.read("contracts/parcels.odcs.yaml")
    try:
        for word in ("confidential", "internal"):
            world.write(
                "contracts/parcels.odcs.yaml",
                contract.replace("{name: kg, ", f"{{name: kg, classification: {word}, ", 1),
            )
            (newest, _) = json.loads(world.answer("log", WEIGHTS, "-o", "json"))
            # there are two rows: of so few of them an internal sum is hidden, too
            # and the heaviest parcel has the weight of one, whatever its column is called
            assert newest["sums"] == {"parcels": 5, "kg": None, "heaviest": None}
            assert newest["hidden"] == ["kg", "heaviest"]
            done = world.slipway("log", WEIGHTS)
            assert "17.875" not in done.out
            assert "kg, heaviest are classified, or made from what is: sums are hidden" in done.err
            (newest, _) = json.loads(world.answer("log", WEIGHTS, "-o", "json", "--show-classified"))
            assert newest["sums"]["kg"] == "17.875"
            found = report(world, "1", "2", WEIGHTS, code=1)
            assert [one["column"] for one in table(found, WEIGHTS)["effects"]] == ["parcels"]
            assert "10.125" not in json.dumps(found)
            assert "14.125" not in json.dumps(found)
            said = world.slipway(
                "sql",
                f"select depot as kg, max(kg) as most, count(kg) as counted from {WEIGHTS} group by all",
            ).err
            assert ("are shown: most (confidential).\n" in said) is (word == "confidential"), said
        # the model may say that it is another thing
        models = world.read("models/_models.yml")
        declared = "      - {name: heaviest, config: {meta: {classification: public}}}\n"
        world.write("models/_models.yml", f"{models.rstrip()}\n{declared}")
        (newest, _) = json.loads(world.answer("log", WEIGHTS, "-o", "json"))
        assert newest["hidden"] == ["kg", "heaviest"]  # not in the release that readers see
        # a contract that cannot be understood may classify anything
        world.write(
            "contracts/parcels.odcs.yaml",
            contract.replace("name: kg, ", "nam: kg, classification: confidential, ", 1),
        )
        for command in (("log", WEIGHTS), ("diff", "1", "2", WEIGHTS)):
            assert "parcels.odcs.yaml" in world.refusal(*command, code=2)
            assert world.slipway(*command, "--show-classified").code in (0, 1)
        done = world.slipway("sql", f"select kg from {WEIGHTS}")
        assert (done.code, "Whether columns are classified is not known" in done.err) == (0, True), done
    finally:
        world.write("contracts/parcels.odcs.yaml", contract)
