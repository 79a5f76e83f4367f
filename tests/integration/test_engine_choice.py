"""With ``engine: auto`` a run chooses the engine of a model by the size of what it reads; here DuckDB, or Spark where no Java is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.harness.projects import Meters

NO_JAVA = "/nowhere"
MISSING = f"JAVA_HOME is {NO_JAVA}" if find_spec("pyspark") else "the package pyspark is not installed"
SITES = "    serving: {+schema: serving}"


def auto(project: Meters, bound: str) -> None:
    """Have the engine of ``sites`` chosen."""
    text = project.read("dbt_project.yml")
    lines = [line for line in text.splitlines() if not line.startswith("    serving:")]
    at = next(number for number, line in enumerate(lines) if line.startswith("    curated:"))
    given = f"+engine: auto{f', +spark_above: {bound}' if bound else ''}"
    lines.insert(at + 1, f"    serving: {{+schema: serving, sites: {{{given}}}}}")
    project.write("dbt_project.yml", "\n".join([*lines, ""]))


def sites(manifest: dict[str, Any]) -> dict[str, Any]:
    (found,) = (node for node in manifest["nodes"] if node["table"] == "serving.sites")
    return dict(found)


def bytes_read(project: Meters) -> int:
    """Bytes of the data files of the tables that ``sites`` reads, as their files are on disk."""
    paths = project.files("curated.consumption") | project.files("reference.meters")
    return sum(Path(path.removeprefix("file://")).stat().st_size for path in paths)


def test_duckdb_computes_what_is_not_larger_than_the_bound(project: Meters) -> None:
    auto(project, "")
    project.edit("models/serving/sites.sql", "    site,\n", "    site,\n    '{{ engine() }}' as made_by,\n")
    first = project.run(JAVA_HOME=NO_JAVA)
    built = sites(first)
    assert (built["engine"], built["change"]) == ("duckdb", "built")
    (note,) = built["notes"]
    read = f"the tables that it reads have {bytes_read(project) / 1024:.1f} KiB"
    assert note == f"computed by DuckDB, because {read}, which is not more than spark_above, 18.6 GiB"
    assert f"serving.sites: {note}" in project.answer("run", "--force", JAVA_HOME=NO_JAVA)

    assert {row[0] for row in project.rows("serving.sites", "made_by")} == {"duckdb"}
    assert project.run(JAVA_HOME=NO_JAVA)["outcome"] == "unchanged"

    # the bound by itself is no reason to build the table again
    auto(project, "1 GB")
    kept = sites(project.run(JAVA_HOME=NO_JAVA))
    assert (kept["engine"], kept["change"], kept["notes"]) == ("duckdb", "unchanged", [])

    done = project.slipway(
        "ci", "--base", "published", "--output-dir", str(project.folder / "ci"), JAVA_HOME=NO_JAVA
    )
    assert (done.code, "Built 0 tables" in done.out) == (0, True), done

    # nor is the choice: it is the same table that engine: duckdb makes
    project.edit("dbt_project.yml", "+engine: auto, +spark_above: 1 GB", "+engine: duckdb")
    assert sites(project.run(JAVA_HOME=NO_JAVA))["change"] == "unchanged"


def test_the_bound_is_exact(project: Meters) -> None:
    auto(project, "1 GB")
    project.run(JAVA_HOME=NO_JAVA)
    exact = bytes_read(project)
    auto(project, str(exact))
    assert sites(project.run("--force", JAVA_HOME=NO_JAVA))["engine"] == "duckdb"
    auto(project, str(exact - 1))
    landed = project.ledger()
    project.readings("day-3.csv", "m1,2024-05-03,1,")
    said = project.refusal("run", code=2, JAVA_HOME=NO_JAVA)
    assert said.startswith(f"Spark cannot be started: {MISSING}")
    assert project.ledger() == landed


def test_the_first_run_finds_out_when_the_model_is_to_be_built(project: Meters) -> None:
    auto(project, "1 B")
    failed = project.run(code=1, JAVA_HOME=NO_JAVA)
    node = sites(failed)
    assert (node["engine"], node["status"]) == ("spark", "error")
    assert f"Spark cannot be started: {MISSING}" in node["message"]
    assert project.published() == {}


@pytest.mark.parametrize("bound", ["", "1 B"])
def test_check_looks_at_both_texts(project: Meters, bound: str) -> None:
    auto(project, bound)
    text = "select count(*) as n{% if engine() == 'spark' %}, median(kwh) as middle{% endif %}\nfrom {{ ref('consumption') }}\n"
    project.write("models/serving/sites.sql", text)
    done = project.slipway("check")
    assert done.code == 1, done
    assert "sites has other columns on Spark than on DuckDB: middle" in done.out
    assert "the function median" in done.out
    project.write("models/serving/sites.sql", "select count(*) as n from {{ ref('consumption') }}\n")
    assert project.slipway("check").code == 0


def test_a_replay_computes_by_the_engine_that_was_chosen_then(project: Meters) -> None:
    auto(project, "\"{{ env_var('BOUND', '1 GB') }}\"")
    project.commit()
    run_id = project.run(JAVA_HOME=NO_JAVA)["run_id"]
    done = project.slipway("replay", run_id, "--output", "json", BOUND="1 B", JAVA_HOME=NO_JAVA)
    assert done.code == 0, done
    found = {one["table"]: one["verdict"] for one in json.loads(done.out)["tables"]}
    assert found["serving.sites"] == "identical"


def test_data_tests_of_large_tables_are_left_to_duckdb_where_spark_cannot_be_started(project: Meters) -> None:
    text = project.read("dbt_project.yml")
    project.write("dbt_project.yml", f"{text}\ndata_tests:\n  meters: {{+engine: auto, +spark_above: 1 B}}\n")
    done = project.slipway("run", JAVA_HOME=NO_JAVA)
    assert done.code == 0, done
    (manifest,) = project.manifests()
    tests = {test["unique_id"].split(".")[2]: test for test in manifest["tests"]["results"]}
    assert {test["engine"] for test in tests.values()} == {"duckdb"}
    assert {test["status"] for test in tests.values()} == {"pass"}
    for name, test in tests.items():
        (note,) = test["notes"]
        assert note.startswith("run by DuckDB, although the tables that it reads have ")
        assert f", and spark_above is 1 B: Spark cannot be started: {MISSING}" in note
        assert f"  {name}: {note}" in done.out.splitlines()

    # whichever engine the tests are given: nothing about their result has changed
    project.edit("dbt_project.yml", "+spark_above: 1 B", "+spark_above: 1 GB")
    carried = project.run(JAVA_HOME=NO_JAVA)["tests"]
    assert carried["carried"] == carried["expected"] == len(tests)
    assert not any(test["notes"] for test in carried["results"])
    forced = project.run("--force", JAVA_HOME=NO_JAVA)["tests"]
    assert forced["executed"] == len(tests)
    assert project.run(JAVA_HOME=NO_JAVA)["tests"]["carried"] == len(tests)
