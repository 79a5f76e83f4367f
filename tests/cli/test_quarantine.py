"""Quarantined rows are found with rule, file and line, written to files, and judged again; the books say where all rows are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.harness.commands import ROOT
from tests.harness.projects import Workshop, keep, put_back

CURATED, QUARANTINE = "models/curated/weights.sql", "models/curated/weights_quarantined.sql"
RETENTION = "customProperties: [{property: quarantineRetention, value: {value: 30, unit: d}}]\n"
LINEAGE = "_source_file, _source_line, _file_sha256, _landed_at, _run_id"


@pytest.fixture(scope="module")
def released(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The project, with tables that say where their rows came from, and one release of it."""
    workshop = new_workshop(tmp_path_factory.mktemp("traced") / "run")
    workshop.edit(CURATED, "as kg\n", f"as kg,\n        {LINEAGE}\n")
    workshop.edit(QUARANTINE, "as rule_id", f"as rule_id, {LINEAGE}")
    workshop.edit("contracts/parcels.odcs.yaml", "{name: kg, ", "{name: kg, classification: confidential, ")
    workshop.edit("contracts/parcels.odcs.yaml", "{name: depot, ", "{name: depot, classification: internal, ")
    workshop.run()
    keep(workshop.folder)
    return workshop


@pytest.fixture
def traced(released: Workshop) -> Workshop:
    """The same for a test that may change it."""
    put_back(released.folder)
    return released


def answer(workshop: Workshop, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(workshop.answer(*arguments, "-o", "json"))


def test_rows_are_found_exported_and_judged_again(traced: Workshop, tmp_path: Path) -> None:
    (one,) = answer(traced, "quarantine", "list")
    assert (one["table"], one["feed"], one["rule"], one["rows"]) == (
        "quarantine.weights",
        "parcels",
        "kg_is_a_number",
        1,
    )
    assert answer(traced, "quarantine", "list", "--since", "2999-01-01") == []
    assert answer(traced, "quarantine", "list", "--feed", "letters") == []
    (row,) = answer(traced, "quarantine", "show", "weights", "--rule", "kg_is_a_number")
    assert (row["parcel"], row["kg"], row["_source_line"], row["release"]) == ("p3", "***", 4, 1)
    (row,) = answer(traced, "quarantine", "show", "weights", "--show-classified")
    assert row["kg"] == "heavy"
    assert answer(traced, "quarantine", "show", "weights", "--rule", "another") == []

    for name in ("rows.csv", "rows.parquet"):
        traced.answer("quarantine", "export", "weights", str(tmp_path / name))
    with (tmp_path / "rows.csv").open(encoding="utf-8") as stream:
        assert [row["kg"] for row in csv.DictReader(stream)] == ["***"]
    assert pq.read_table(tmp_path / "rows.parquet")["parcel"].to_pylist() == ["p3"]
    # what is nested tells as much, whatever its own name is
    nested = "{'KG': kg} as came, json_object('kg', kg) as noted, 'kg' as unit, upper(kg) as load, kg is null as is_empty"
    traced.edit(QUARANTINE, "as rule_id, ", f"as rule_id, {nested}, ")
    traced.run()
    (row,) = answer(traced, "quarantine", "show", "weights")
    assert (row["came"], row["noted"], row["unit"]) == ("***", "***", "kg")
    # and so does what is made from it under another name
    assert (row["load"], row["is_empty"]) == ("***", False)
    assert "load are classified, or made from what is" in traced.slipway("quarantine", "show", "weights").err
    again = traced.refusal("quarantine", "export", "weights", str(tmp_path / "rows.csv"), code=2)
    assert "File exists" in again
    assert "has no quarantine table weight" in traced.refusal("quarantine", "show", "weight", code=3)

    (total,) = answer(traced, "books")["totals"]
    assert (total["counted"], total["landed"], total["curated_rows"]) == ("rows", 5, 4)

    # a heavy parcel weighs 100 kg from now on
    traced.edit(CURATED, "try_cast(kg as", "try_cast(replace(kg, 'heavy', '100') as")
    traced.edit(QUARANTINE, "where try_cast(kg as", "where try_cast(replace(kg, 'heavy', '100') as")
    published = traced.published()
    tried = answer(traced, "quarantine", "retry", "weights", "--dry-run")
    assert tried["rules"] == {"kg_is_a_number": {"before": 1, "after": 0}}
    assert traced.published() == published
    done = answer(traced, "quarantine", "retry", "weights")
    assert (done["rules"], done["release"]) == (tried["rules"], 3)
    assert answer(traced, "quarantine", "list") == []
    books = answer(traced, "books", "parcels")
    assert [
        (entry["release"], entry["files"], entry["landed"], entry["curated"], entry["quarantined"])
        for entry in books["entries"]
    ] == [(3, 0, 0, 1, -1), (2, 0, 0, 0, 0), (1, 2, 5, 4, 1)]
    assert books["balances"]
    assert traced.table("serving.depot_weights").scan().to_arrow()["kg"].to_pylist().count(102) == 1
    assert "There is no feed letters" in traced.refusal("books", "letters", code=3)


@pytest.mark.long
def test_a_dry_run_does_not_look_at_the_landing_area(traced: Workshop) -> None:
    traced.land("day-3.csv", ("p6,N,2024-05-03,6",))
    before = traced.answer("land", "status")
    assert "1 not looked at yet" in before
    tried = traced.slipway("quarantine", "retry", "weights", "--dry-run")
    assert (tried.code, "landed" in tried.err, "Nothing was changed." in tried.out) == (0, False, True), tried
    assert traced.answer("land", "status") == before


@pytest.mark.long
def test_columns_that_a_contract_classifies_are_named_where_a_query_shows_them(traced: Workshop) -> None:
    named = "These columns are classified, or made from what is, and are shown: {} (confidential).\n"
    for query, shown in (
        ("select parcel, kg from curated.weights", "kg"),
        ("select KG from raw.parcels", "kg"),
        ("select kg from serving.depot_weights", "kg"),  # made from it
        ("select parcel, depot from curated.weights", ""),  # depot is internal
        ("select kg as weight from curated.weights", "weight"),
        (
            "with one as (select kg * 2 as heavy, depot from curated.weights) select max(one.heavy) as most from one",
            "most",
        ),
        ("select count(kg) as parcels, bool_or(kg is null) as missing from curated.weights", ""),
        ("select depot as kg from curated.weights", ""),
        ("select 1 as kg, * from reference.depots", ""),  # no contract is of this table
    ):
        for form in ("text", "csv"):
            done = traced.slipway("sql", query, "-o", form)
            assert done.code == 0, done
            assert done.err.endswith(named.format(shown)) is bool(shown), done
            assert ("classified" in done.err) is bool(shown)


def test_rows_are_followed_back_to_files_and_lines_forward(traced: Workshop) -> None:
    top, *others = answer(traced, "trace", "serving.depot_weights", "--key", "depot=N")
    assert (top["table"], top["rows"], top["lines"]) == ("serving.depot_weights", 1, [])
    steps = {step["table"]: step for step in others}
    assert set(steps) == {"curated.weights", "reference.depots"}
    assert "made from no published table" in steps["reference.depots"]["end"]
    source = steps["curated.weights"]
    # p1 of the first day; p4 and p5, the rows of the second
    assert (source["table"], source["depth"], source["rows"], source["files"]) == ("curated.weights", 1, 3, 2)
    assert [line for _, line in source["lines"]] == [2, 2, 3]
    file = source["lines"][0][0]
    good = answer(traced, "trace", "--file", file, "--line", "2")
    assert [step["table"] for step in good] == ["curated.weights", "raw.parcels"]
    bad = answer(traced, "trace", "--file", file, "--line", "4")
    assert [step["table"] for step in bad] == ["quarantine.weights", "raw.parcels"]
    assert f"{file} line 4" in traced.answer("trace", "--file", file, "--line", "4")
    assert "No table has line 9" in traced.refusal("trace", "--file", file, "--line", "9", code=3)
    assert "has no row with depot=X" in traced.refusal(
        "trace", "serving.depot_weights", "--key", "depot=X", code=3
    )
    assert "has no column x" in traced.refusal("trace", "curated.weights", "--key", "x=1", code=2)
    assert "It is not clear what to trace" in traced.refusal("trace", "curated.weights", code=2)
    # a condition in place of a key: above, what agrees with one of its rows in the columns that it names
    where = ("trace", "serving.depot_weights", "--where", "depot = 'N' and parcels > 0")
    by_key = answer(traced, "trace", "serving.depot_weights", "--key", "depot=N")
    by_condition = answer(traced, *where)
    assert [(one["table"], one["rows"], one["lines"]) for one in by_condition] == [
        (one["table"], one["rows"], one["lines"]) for one in by_key
    ]
    assert "1 row where (depot = 'N' and parcels > 0)" in traced.answer(*where)
    assert "with the same depot" in traced.answer(*where)
    assert "has no row where (kg > 1e9)" in traced.refusal(
        "trace", "serving.depot_weights", "--where", "kg > 1e9", code=3
    )
    steps = {
        step["table"]: step
        for step in answer(traced, "trace", "serving.depot_weights", "--key", "city=Narvik")
    }
    assert (steps["reference.depots"]["rows"], steps["curated.weights"]["rows"]) == (1, 0)
    assert steps["curated.weights"]["end"] == "it has none of the columns city"
    both = ("trace", "serving.depot_weights", "--key", "depot=N", "--key", "city=Narvik")
    steps = {step["table"]: step for step in answer(traced, *both)}
    assert steps["curated.weights"]["ignored"] == ["city"]
    assert "it has no column city, so these may be more rows" in traced.answer(*both)


@pytest.mark.long
def test_quarantine_writes_nothing_when_no_bad_row_came(traced: Workshop) -> None:
    before = traced.table("quarantine.weights").current_snapshot()
    assert traced.run()["outcome"] == "unchanged"
    traced.land("day-3.csv", ("p6,N,2024-05-03,6",))
    nodes = {node["table"]: node["change"] for node in traced.run()["nodes"]}
    assert (nodes["curated.weights"], nodes["quarantine.weights"]) == ("built", "same_content")
    assert traced.table("quarantine.weights").current_snapshot() == before


@pytest.mark.long
def test_a_change_that_loses_rows_is_not_published_by_a_retry(traced: Workshop) -> None:
    traced.edit(QUARANTINE, "is null", "is null and kg <> 'heavy'")
    done = traced.slipway("quarantine", "retry", "weights")
    assert done.code == 1
    assert "Nothing was published: 1 row of raw.parcels is neither in curated.weights nor" in done.out
    assert len(answer(traced, "quarantine", "list")) == 1


@pytest.mark.long
def test_too_many_quarantined_rows_keep_a_run_from_being_published(traced: Workshop) -> None:
    """One of five rows is in quarantine, 20 percent; before that, all of them are, because of a wrong decimal mark."""
    weight, of_none = (
        "try_cast(kg as decimal(9, 3))",
        "try_cast(replace(kg || '.', '.', ',') as decimal(9, 3))",
    )
    for model in (CURATED, QUARANTINE):
        traced.edit(model, weight, of_none)
    run = traced.run(code=1)
    assert run["reason"].startswith(
        "All rules together put 5 rows into quarantine, 100 percent of 5, and less than 100 percent are allowed"
    )
    assert run["reason"].endswith("or set another limit in conserves or in the contract of the feed")
    assert [one["rows"] for one in answer(traced, "quarantine", "list", "--run", "latest")] == [5]
    assert len(answer(traced, "quarantine", "show", "weights", "--run", run["run_id"])) == 5
    assert [one["rows"] for one in answer(traced, "quarantine", "list")] == [1]
    for model in (CURATED, QUARANTINE):
        traced.edit(model, of_none, weight)

    traced.edit(
        QUARANTINE,
        "conserves={'raw'",
        "conserves={'limits': {'*': {'mustBeLessThan': 20, 'unit': 'percent'}}, 'raw'",
    )
    run = traced.run("--force", code=1)
    assert run["reason"].startswith(
        "All rules together put 1 row into quarantine, 20 percent of 5, and less than 20 percent are allowed"
    )
    traced.edit(QUARANTINE, "'unit': 'percent'", "'unit': 'percent', 'severity': 'warning'")
    assert "warning: All rules together put 1 row" in traced.answer("run")
    assert "warning: All rules together put 1 row" in traced.answer("books")


@pytest.mark.long
def test_the_contract_limits_how_many_rows_a_rule_may_put_into_quarantine(traced: Workshop) -> None:
    path = "contracts/parcels.odcs.yaml"
    traced.edit(QUARANTINE, "conserves={'raw'", "conserves={'limits': {'*': {'mustBeLessThan': 99}}, 'raw'")
    rules = [item["rule"] for item in answer(traced, "quarantine", "list")]
    before = traced.read(path)
    custom = """
customProperties:
  - property: quarantineLimits
    value: {{"{}": {{{}}}}}
"""
    traced.write(path, before + custom.format("kg_no_number", "mustBeLessThan: 1"))
    lint = traced.slipway("contracts", "lint")
    assert lint.code == 2
    assert "quarantineLimits has a limit of kg_no_number: the contract has no such rule" in lint.out
    traced.write(path, before + custom.format("*", "unit: percent"))
    assert (
        "needs exactly one of mustBeLessThan and mustBeLessOrEqualTo"
        in traced.slipway("contracts", "lint").out
    )

    traced.write(path, before + custom.format("*", "mustBeLessThan: 20, unit: percent"))
    run = traced.run(code=1)
    assert run["reason"].startswith(
        "All rules together put 1 row into quarantine, 20 percent of 5, and less than 20 percent"
    )
    assert run["reason"].endswith("or set another limit in parcels.odcs.yaml")
    assert [limit["contract"] for limit in run["conservation"][0]["limits"]] == ["", "parcels.odcs.yaml"]
    traced.write(path, before + custom.format("*", "mustBeLessThan: 20, unit: percent, severity: warning"))
    assert "warning: All rules together put 1 row" in traced.answer("run")
    assert rules == [item["rule"] for item in answer(traced, "quarantine", "list")]


def of_the_contract(workshop: Workshop) -> None:
    """Make the curated table and its quarantine table of the feed's contract."""
    rows = "select parcel, depot, weighed_on, kg, {} from ({{{{ {}('parcels', ref('parcels_raw')) }}}})"
    config = (workshop.path / QUARANTINE).read_text(encoding="utf-8").partition("}}")[0] + "}}\n"
    workshop.write(
        CURATED, f"{rows.format(LINEAGE, 'typed')} where rule_id is null and {{{{ slice_predicate() }}}}\n"
    )
    workshop.write(QUARANTINE, config + rows.format(f"{LINEAGE}, rule_id, reason", "quarantined"))


@pytest.mark.long
@pytest.mark.parametrize("mode", ["replace", pytest.param("full", marks=pytest.mark.long)])
def test_rows_of_files_that_were_replaced_are_no_loss(workshop: Workshop, mode: str) -> None:
    """A corrected file takes rows away, changes one and brings one; then a file without rows withdraws all of its rows."""
    workshop.edit(
        "contracts/parcels.odcs.yaml",
        "format: csv\n",
        f"format: csv\n    customProperties: [{{property: fileMode, value: {mode}}}]\n",
    )
    workshop.edit(
        "contracts/parcels.odcs.yaml",
        "{name: kg, logicalType: number",
        '{name: kg, logicalType: number, physicalType: "decimal(9, 3)"',
    )
    of_the_contract(workshop)
    workshop.run()
    first = books_of(workshop)
    assert first[0] == sum(first[1:4])
    workshop.land("day-1.csv", ("p1,N,2024-05-01,1.75", "p9,S,2024-05-01,x"))
    assert workshop.run()["outcome"] == "published"
    kept = {"replace": (4, 3, 1, 0, 3), "full": (2, 1, 1, 0, 5)}[mode]
    assert books_of(workshop) == kept
    workshop.land("day-1.csv", ())
    assert workshop.run()["outcome"] == "published"
    assert books_of(workshop) == {"replace": (2, 2, 0, 0, 5), "full": (0, 0, 0, 0, 7)}[mode]


def books_of(workshop: Workshop) -> tuple[int, ...]:
    """Rows that are current, curated, quarantined, deduplicated and superseded."""
    found = answer(workshop, "books", "parcels")
    assert found["balances"]
    (total,) = found["totals"]
    names = ("landed", "curated_rows", "quarantined_rows", "deduplicated", "superseded")
    return tuple(total[name] for name in names)


@pytest.mark.long
def test_rows_that_are_correct_all_the_same_are_released(workshop: Workshop) -> None:
    weight = 'logicalType: number, physicalType: "decimal(9, 3)", logicalTypeOptions: {maximum: 1.9}'
    workshop.edit("contracts/parcels.odcs.yaml", "{name: kg, logicalType: number", f"{{name: kg, {weight}")
    of_the_contract(workshop)
    workshop.run()
    refused = {
        row["parcel"]: row for row in answer(workshop, "quarantine", "show", "weights", "--show-classified")
    }
    assert {parcel: row["rule_id"] for parcel, row in refused.items()} == {
        "p2": "kg_too_large",
        "p3": "kg_not_decimal",
        "p5": "kg_too_large",
    }
    release = ("quarantine", "release", "weights", "--rule", "kg_too_large")
    heavy = ("--file", refused["p5"]["_source_file"], "--line", "3", "--reason", "weighed twice")
    assert "1 row would be released" in workshop.slipway(*release, *heavy, "--dry-run").err
    file = workshop.path / "contracts" / "parcels.released.yaml"
    assert not file.exists()
    done = workshop.slipway(*release, *heavy)
    assert (done.code, "1 row released for kg_too_large" in done.err) == (0, True), done
    assert "weighed twice" in file.read_text(encoding="utf-8")
    assert "are in contracts/parcels.released.yaml already" in workshop.slipway(*release, *heavy).err
    assert len(answer(workshop, "quarantine", "show", "weights")) == 3  # nothing moves by itself

    tried = answer(workshop, "quarantine", "retry", "weights")
    assert tried["rules"] == {
        "kg_not_decimal": {"before": 1, "after": 1},
        "kg_too_large": {"before": 2, "after": 1},
    }
    assert sorted(workshop.table("curated.weights").scan().to_arrow()["parcel"].to_pylist()) == [
        "p1",
        "p4",
        "p5",
    ]
    books = answer(workshop, "books", "parcels")
    assert books["balances"]
    assert workshop.run()["outcome"] == "unchanged"

    assert "No row of weights breaks depot_missing" in workshop.refusal(
        "quarantine", "release", "weights", "--rule", "depot_missing", "--reason", "none", code=3
    )
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("rule: kg_too_large", "rule: kg_too_big"), encoding="utf-8")
    assert "releases rows that break kg_too_big" in workshop.slipway("run").err
    file.write_text("- {rule: kg_too_large}\n", encoding="utf-8")
    refused_run = workshop.slipway("run")
    assert (refused_run.code, refused_run.out) == (2, ""), refused_run
    assert "contracts/parcels.released.yaml cannot be read" in refused_run.err


def test_rows_that_repeat_a_key_are_kept_once_and_the_others_are_in_quarantine(workshop: Workshop) -> None:
    """By the two models of the page about contracts."""
    decimal = '{name: kg, logicalType: number, physicalType: "decimal(9, 3)"'
    workshop.edit("contracts/parcels.odcs.yaml", "{name: kg, logicalType: number", decimal)
    page = (ROOT / "docs" / "reference" / "contracts.md").read_text(encoding="utf-8")
    section = page.partition("### Rows that repeat a key")[2]
    for block in section.split("```sql\n")[1:3]:
        comment, _, sql = block.partition("```")[0].partition("\n")
        name = comment.removeprefix("-- ").partition(":")[0]
        slices = "where rule_id is null"
        workshop.write(name, sql.replace(slices, f"{slices} and {{{{ slice_predicate() }}}}"))
    workshop.land(
        "day-3.csv", ("p1,S,2024-05-03,7", "p3,S,2024-05-03,9", "p9,S,2024-05-03,much", "p9,N,2024-05-03,2")
    )
    workshop.run()
    kept = {
        row["parcel"]: row["kg"] for row in workshop.table("curated.weights").scan().to_arrow().to_pylist()
    }
    assert sorted(kept) == ["p1", "p2", "p3", "p4", "p5", "p9"]
    assert (float(kept["p1"]), float(kept["p3"]), float(kept["p9"])) == (1.5, 9, 2)
    rows = answer(workshop, "quarantine", "show", "weights")
    assert sorted((row["parcel"], row["rule_id"]) for row in rows) == [
        ("p1", "parcel_repeated"),
        ("p3", "kg_not_decimal"),
        ("p9", "kg_not_decimal"),
    ]
    books = answer(workshop, "books", "parcels")
    assert books["balances"]
    assert [
        books["totals"][0][key] for key in ("landed", "curated_rows", "quarantined_rows", "deduplicated")
    ] == [9, 6, 3, 0]


def with_retention(workshop: Workshop, kind: str) -> None:
    """Make the tables of the feed's contract, which keeps rows in quarantine for 30 days."""
    contract = "contracts/parcels.odcs.yaml"
    decimal = '{name: kg, logicalType: number, physicalType: "decimal(9, 3)"'
    workshop.edit(contract, "{name: kg, logicalType: number", decimal)
    of_the_contract(workshop)
    if kind == "incremental":
        added = " where {{ rows_added(ref('parcels_raw')) }}\n"
        options = (
            "materialized='incremental', unique_key=['_source_file', '_source_line'], schema='quarantine'"
        )
        workshop.edit(QUARANTINE, "schema='quarantine'", options)
        text = (workshop.path / QUARANTINE).read_text(encoding="utf-8")
        workshop.write(QUARANTINE, text.rstrip() + "{% if is_incremental() %}" + added + "{% endif %}")
    workshop.write(contract, workshop.read(contract) + RETENTION)


def as_of(moment: str) -> tuple[str, str]:
    return "--vars", json.dumps({"as_of": moment})


@pytest.mark.long
@pytest.mark.parametrize("kind", ["table", "incremental"])
def test_rows_leave_quarantine_when_their_retention_is_over(workshop: Workshop, kind: str) -> None:
    """Rows of the first files expire, an equal row of a younger file stays, and no rebuild brings one back unasked."""
    with_retention(workshop, kind)
    workshop.land("day-0.csv", ("p7,N,2024-05-01,thin",))
    workshop.commit()
    workshop.run()
    assert expiry_of(workshop) == (6, 4, 2, 0, 0)
    workshop.land("day-3.csv", ("p3,N,2024-05-01,heavy", "p8,N,2024-05-03,light"))
    workshop.run()
    ages = workshop.table("raw.parcels").scan().to_arrow()["_landed_at"].to_pylist()
    assert expiry_of(workshop) == (8, 4, 4, 0, 0)

    between = (max(ages) + timedelta(days=30)).isoformat()
    run = workshop.run("--vars", json.dumps({"as_of": between}))
    assert expiry_of(workshop) == (8, 4, 2, 0, 2)
    changes = {node["table"]: node["change"] for node in run["nodes"]}
    assert (changes["curated.weights"], changes["quarantine.weights"]) == ("unchanged", "built")
    (one,) = run["conservation"]
    assert (one["newly_expired"], one["retention_seconds"]) == (2, 30 * 86_400)
    assert "2 expired (landed before" in workshop.answer("books")
    names = workshop.table("quarantine.weights").scan().to_arrow()["parcel"].to_pylist()
    assert sorted(names) == ["p3", "p8"]
    assert workshop.run("--vars", json.dumps({"as_of": between}))["outcome"] == "unchanged"

    # a rebuild from raw does not bring the row back, and neither does a replay
    workshop.run("--full-refresh", "--exclude", "parcels_raw", "--vars", json.dumps({"as_of": between}))
    assert expiry_of(workshop) == (8, 4, 2, 0, 2)
    report = answer(workshop, "replay", run["run_id"])
    assert (report["passed"], "quarantine.weights" in {one["table"] for one in report["tables"]}) == (
        True,
        True,
    )

    forgotten = workshop.run(code=1)
    assert (
        "had expired would come back: when it was built, rows had expired that landed before"
        in forgotten["reason"]
    )
    asked = workshop.run("--vars", json.dumps({"as_of": "2000-01-01"}))
    assert expiry_of(workshop)[-2:] == (0, 0)
    assert asked["conservation"][0]["returns_from"] is not None
    workshop.run("--vars", json.dumps({"as_of": "2999-01-01"}))
    assert expiry_of(workshop) == (8, 4, 0, 0, 4)


@pytest.mark.long
def test_a_quarantine_table_knows_its_cutoff_whatever_became_of_it(workshop: Workshop) -> None:
    """A row that expired before the table ever had it is there again when that is asked for, after maintenance, rollback and without a retention."""
    with_retention(workshop, "incremental")
    workshop.land("day-1.csv", ("p1,N,2024-05-01,1.5",))  # and no row that is refused
    workshop.run(*as_of("2000-01-01"))
    workshop.land("day-3.csv", ("p3,N,2024-05-01,heavy",))
    shown = workshop.table("quarantine.weights").current_snapshot()
    workshop.run(*as_of("2999-01-01"))
    assert expiry_of(workshop)[-3:] == (0, 0, 1)
    assert workshop.table("quarantine.weights").current_snapshot() == shown  # no row changed
    workshop.answer("maintain", "--older-than", "1d")
    run = workshop.run(*as_of("2000-01-01"))
    assert expiry_of(workshop)[-3:] == (1, 0, 0)
    assert [one["change"] for one in run["nodes"] if one["table"] == "quarantine.weights"] == ["built"]
    workshop.run(*as_of("2999-01-01"))
    assert expiry_of(workshop)[-3:] == (0, 0, 1)

    # the table of a rollback counts, not what the run before says: nothing comes back by this run
    workshop.answer("rollback")
    (found,) = workshop.run()["conservation"]
    assert [found[key] for key in ("quarantined_rows", "expired", "newly_expired", "returns_from")] == [
        1,
        0,
        0,
        None,
    ]
    (found,) = workshop.run(*as_of("2999-01-01"))["conservation"]
    assert [found[key] for key in ("quarantined_rows", "expired", "newly_expired")] == [0, 1, 1]
    workshop.edit("contracts/parcels.odcs.yaml", RETENTION, "")
    workshop.run()
    assert answer(workshop, "books", "parcels")["balances"]
    assert len(answer(workshop, "quarantine", "show", "weights")) == 1


def expiry_of(workshop: Workshop) -> tuple[int, ...]:
    """Rows that are landed, curated, quarantined, deduplicated and expired."""
    found = answer(workshop, "books", "parcels")
    assert found["balances"]
    (total,) = found["totals"]
    names = ("curated_rows", "quarantined_rows", "deduplicated", "expired")
    rows = tuple(total[name] for name in names)
    assert sum(rows) == total["landed"]
    entries = [one for one in found["entries"] if one["release"]]
    assert sum(one["expired"] for one in entries) == total["expired"]
    assert sum(one["deduplicated"] for one in entries) == total["deduplicated"]
    return total["landed"], *rows


@pytest.mark.long
def test_a_quarantine_model_that_does_not_let_rows_go_is_refused(traced: Workshop) -> None:
    terms = "customProperties: [{property: quarantineRetention, value: {value: 30, unit: d}}]\n"
    contract = traced.path / "contracts/parcels.odcs.yaml"
    contract.write_text(contract.read_text(encoding="utf-8") + terms, encoding="utf-8")
    decimal = '{name: kg, classification: confidential, logicalType: number, physicalType: "decimal(9, 3)"'
    traced.edit(
        "contracts/parcels.odcs.yaml", "{name: kg, classification: confidential, logicalType: number", decimal
    )
    traced.run()
    run = traced.run("--vars", "as_of: 2999-01-01", "--force", code=1)
    assert (
        "1 row of quarantine.weights is past the quarantineRetention of the feed's contract" in run["reason"]
    )
    traced.edit(QUARANTINE, LINEAGE, "_source_file")
    assert "cannot be distinguished from lost ones" in traced.run(code=1)["reason"]


def test_rows_of_a_model_with_conditions_of_its_own_cannot_be_released(traced: Workshop) -> None:
    refused = traced.refusal(
        "quarantine", "release", "weights", "--rule", "kg_is_a_number", "--reason", "none", code=2
    )
    assert "Rows of weights cannot be released" in refused
