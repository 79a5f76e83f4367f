"""Files land, are told good from bad, and are counted once, by whole dbt runs."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Project

HEADER = "meter,read_on,kwh,note\n"


def test_bad_files_are_set_aside_and_the_rest_goes_on(project: Project) -> None:
    project.land("empty.csv", "")
    project.land("header-only.csv", HEADER)
    project.land("no-note.csv", "meter,read_on,kwh\nm1,2024-05-03,1\n")
    project.land("ragged.csv", HEADER + "m1,2024-05-03\n")
    project.land("latin.csv", (HEADER + "m1,2024-05-03,1,ä\n").encode("latin-1"))
    project.land("again.csv", (project.landing / "readings" / "day-1.csv").read_bytes())
    project.land("[x] 100% 'ż'.csv", HEADER + "m3,2024-05-03,4,\n")
    project.land(".part.csv", "half a fi")
    output = project.dbt("build")

    assert "landed readings: 4 files, 6 rows; 5 set aside" in output
    assert "set aside readings/latin.csv: CSV Error on Line: 2; Invalid unicode" in output
    assert "set aside readings/no-note.csv: header differs: missing note (rejected)" in output
    # of two that are equal, the first by name is the original
    assert project.verdicts() == {
        "again.csv": ("accepted", 3),
        "day-1.csv": ("duplicate", None),
        "day-2.csv": ("accepted", 2),
        "header-only.csv": ("accepted", 0),
        "[x] 100% 'ż'.csv": ("accepted", 1),
        "empty.csv": ("rejected", None),
        "no-note.csv": ("rejected", None),
        "ragged.csv": ("rejected", None),
        "latin.csv": ("rejected", None),
    }
    assert len(project.rows("raw.readings")) == 6
    run = project.runs()[-1]
    accepted = [entry for entry in run["landed_files"] if entry["verdict"] == "accepted"]
    assert sum(entry["rows"] for entry in accepted) == 6
    assert "nothing changed" in project.dbt("build")


def test_a_repaired_file_joins_later(project: Project) -> None:
    path = project.land("day-3.csv", HEADER + "m1,2024-05-03\n")
    project.dbt("build")
    path.write_text(HEADER + "m1,2024-05-03,5,\n", encoding="utf-8")
    project.dbt("build")
    assert [float(wh) for _, _, wh in project.rows("serving.daily_consumption")] == [3750, 4250, 5000]
    assert project.verdicts()["day-3.csv"] == ("accepted", 1)


def test_a_file_that_changes_after_it_was_taken_is_a_new_file(built: Project) -> None:
    path = built.readings("day-2.csv", "m1,2024-05-02,9,")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000_000))
    built.dbt("build")
    # raw keeps what it was told before: nothing that arrived is forgotten
    assert (
        sorted(row[0] for row in built.rows("raw.readings", "_source_file"))
        == ["day-1.csv"] * 3 + ["day-2.csv"] * 3
    )


def test_what_was_sent_again_is_counted_once(built: Project) -> None:
    before = built.state()
    original = (built.landing / "readings" / "day-1.csv").read_bytes()
    built.land("resent/day-1.csv", original)
    built.land("day-1 (1).csv", original)
    output = built.dbt("build")
    assert "0 files, 0 rows; 2 set aside" in output
    assert "same content as readings/day-1.csv (duplicate)" in output
    assert "nothing changed" in output
    assert built.state() == before


def test_a_failed_run_has_landed_but_not_ingested(project: Project) -> None:
    project.readings("day-3.csv", "m1,2024-05-03,-1,")
    project.refused("build")
    (project.landing / "readings" / "day-3.csv").unlink()
    project.readings("day-3-right.csv", "m1,2024-05-03,1,")
    output = project.refused("build")
    # what was accepted and is gone cannot be left out in silence
    assert "day-3.csv" in output


def test_no_landing_folder_is_said_and_is_no_error(project: Project) -> None:
    project.settings["SLIPWAY_LANDING"] = str(project.path.parent / "nowhere")
    output = project.dbt("build")
    assert "nowhere" in output
    assert project.rows("raw.readings") == []
    assert [field.name for field in project.table("raw.readings").schema().fields][:4] == [
        "meter",
        "read_on",
        "kwh",
        "note",
    ]


def test_a_project_without_feeds(project: Project) -> None:
    project.remove("contracts/readings.odcs.yaml", "models/raw/readings.sql", "models/raw/_raw__sources.yml")
    project.remove(
        "models/curated/consumption.sql", "models/serving/daily_consumption.sql", "models/_models.yml"
    )
    project.remove("tests/dbt/consumption_is_not_negative.sql")
    project.write(
        "models/serving/sites.sql", "select site, count(*) as n from {{ ref('meters') }} group by site"
    )
    project.dbt("build")
    assert project.rows("serving.sites") == [("north", 2), ("south", 1)]


def test_a_source_without_a_contract_names_what_there_is(project: Project) -> None:
    project.write(
        "models/raw/_more.yml", "sources: [{name: more, schema: landing, tables: [{name: weather}]}]\n"
    )
    project.write("models/raw/weather.sql", "select * from {{ source('more', 'weather') }}\n")
    output = project.refused("build", "-s", "weather")
    assert "no feed weather: contracts/ describes readings. add its contract." in output


def test_a_raw_model_under_another_name_is_refused(project: Project) -> None:
    project.write(
        "models/raw/second.sql",
        "{{ config(materialized='incremental') }}\nselect * from {{ source('landing', 'readings') }}\n",
    )
    output = project.refused("build", "-s", "second")
    assert "raw.second appends landing.readings" in output
    assert "call the model readings" in output


@pytest.mark.long
def test_a_raw_table_can_be_rebuilt_where_that_is_allowed(project: Project) -> None:
    project.write(
        "models/raw/readings.sql",
        "{{ config(materialized='incremental') }}\nselect * from {{ source('landing', 'readings') }}\n",
    )
    project.dbt("build")
    project.readings("day-3.csv", "m3,2024-05-03,1,")
    project.dbt("build")
    project.dbt("build", "--full-refresh")
    assert len(project.rows("raw.readings")) == 6
    project.readings("day-4.csv", "m3,2024-05-04,1,")
    project.dbt("build")
    assert len(project.rows("raw.readings")) == 7
    assert [float(wh) for _, _, wh in project.rows("serving.daily_consumption")] == [3750, 4250, 1000, 1000]


def test_lines_of_the_bundled_sample_are_where_lineage_says(retail: Project) -> None:
    bundled = Path(__file__).parents[2] / "seeds" / "landing" / "online_retail"
    check_lines(retail, sorted(bundled.glob("*.csv")))


@pytest.mark.long
def test_lines_of_real_files_are_where_lineage_says(retail: Project, real_files: list[Path]) -> None:
    check_lines(retail, real_files)


def check_lines(retail: Project, files: list[Path]) -> None:
    """Python's csv module says which line each record ends on."""
    for path in files:
        retail.land(path.name, path.read_bytes(), "online_retail")
    retail.dbt("run", "-s", "online_retail")
    expected = []
    for path in files:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream)
            names = next(reader)
            expected += [
                (path.name, reader.line_num, *(value or None for value in record)) for record in reader
            ]
    found = retail.rows("raw.online_retail", "_source_file", "_source_line", *names)
    assert sorted(found, key=str) == sorted(expected, key=str)
