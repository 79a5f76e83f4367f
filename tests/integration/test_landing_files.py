"""Files land, are accepted or set aside, and are counted once, by whole dbt runs."""

from __future__ import annotations

import gzip
import os
import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Meters

HEADER = "meter,read_on,kwh,note\n"


def test_bad_files_are_set_aside_and_the_rest_goes_on(project: Meters) -> None:
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
    assert "set aside readings/latin.csv: line 2 is not UTF-8 (byte e4, which is ä in cp1252): " in output
    assert (
        "set aside readings/no-note.csv: header differs: missing note; add the column to the file" in output
    )
    assert "outstanding: 4 landed files are not in raw" in output
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
    run = project.manifests()[-1]
    accepted = [entry for entry in run["landed_files"] if entry["verdict"] == "accepted"]
    assert sum(entry["rows"] for entry in accepted) == 6
    again = project.dbt("build")
    assert "nothing changed" in again
    assert "outstanding: 4 landed files are not in raw" in again
    assert "  readings/empty.csv: empty file" in again
    assert "… and 1 more" in again


LARGE = ["m1,2024-05-04,1,a remark that makes the file a large one"] * 90_000
"""More lines than those of a file that DuckDB reads twice."""


@pytest.mark.long
@pytest.mark.parametrize("packed", [False, pytest.param(True, marks=pytest.mark.long)])
def test_large_files_that_only_the_write_to_raw_finds_bad_are_set_aside(
    project: Meters, *, packed: bool
) -> None:
    if packed:
        contract = "contracts/readings.odcs.yaml"
        project.write(contract, project.read(contract).replace("*.csv", "*"))

    def large(name: str, *more: str) -> None:
        texts = random.Random(name)  # which hardly get smaller
        many = [f"m1,2024-05-04,1,{texts.randbytes(50_000).hex()}" for _ in range(100 * packed)]
        content = (HEADER + "\n".join([*LARGE, *more, *many, ""])).encode()
        project.land(name, gzip.compress(content) if packed else content)

    large("day-4.csv")
    large("day-5.csv", "m1,2024-05-05,2")
    large("day-6.csv", "m1,2024-05-06,3,one,more")
    output = project.dbt("build")
    at = len(LARGE) + 2
    for name, found in (("day-5", 3), ("day-6", 5)):
        assert f"set aside readings/{name}.csv: line {at} has {found} values, and the header 4" in output
    good = len(LARGE) + 100 * packed
    verdicts = project.verdicts()
    assert (verdicts["day-4.csv"], verdicts["day-5.csv"], verdicts["day-6.csv"]) == (
        ("accepted", good),
        ("rejected", None),
        ("rejected", None),
    )
    run = project.manifests()[-1]
    assert sorted((entry["path"], entry["verdict"]) for entry in run["landed_files"])[2:] == [
        ("readings/day-4.csv", "accepted"),
        ("readings/day-5.csv", "rejected"),
        ("readings/day-6.csv", "rejected"),
    ]
    assert [(item["path"], item["blocks"]) for item in run["outstanding"]] == [
        ("readings/day-5.csv", True),
        ("readings/day-6.csv", True),
    ]
    assert len(project.rows("raw.readings")) == 5 + good
    assert "nothing changed" in project.dbt("build")
    project.readings("day-5.csv", "m1,2024-05-05,2,")
    assert "outstanding: 1 landed file is not in raw" in project.dbt("build")
    assert len(project.rows("raw.readings")) == 6 + good


def test_a_run_that_does_not_write_raw_reads_large_files_to_their_end(project: Meters) -> None:
    project.land("day-4.csv", HEADER + "\n".join([*LARGE, "m1,2024-05-05,2", ""]))
    output = project.dbt("build", "--select", "resource_type:seed")
    assert "outstanding: 1 landed file is not in raw" in output
    assert project.verdicts()["day-4.csv"] == ("rejected", None)


@pytest.mark.long
def test_a_repaired_file_joins_later(project: Meters) -> None:
    path = project.land("day-3.csv", HEADER + "m1,2024-05-03\n")
    project.dbt("build")
    path.write_text(HEADER + "m1,2024-05-03,5,\n", encoding="utf-8")
    project.dbt("build")
    assert [float(wh) for _, _, wh in project.rows("serving.daily_consumption")] == [3750, 4250, 5000]
    assert project.verdicts()["day-3.csv"] == ("accepted", 1)


@pytest.mark.long
def test_a_file_that_changes_after_it_was_taken_is_a_new_file(built: Meters) -> None:
    path = built.readings("day-2.csv", "m1,2024-05-02,9,")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000_000))
    built.dbt("build")
    # raw keeps what it held before: nothing that arrived is forgotten
    assert (
        sorted(row[0] for row in built.rows("raw.readings", "_source_file"))
        == ["day-1.csv"] * 3 + ["day-2.csv"] * 3
    )


def test_what_was_sent_again_is_counted_once(built: Meters) -> None:
    before = built.state()
    original = (built.landing / "readings" / "day-1.csv").read_bytes()
    built.land("resent/day-1.csv", original)
    built.land("day-1 (1).csv", original)
    output = built.dbt("build")
    assert "0 files, 0 rows; 2 set aside" in output
    assert "same content as readings/day-1.csv (duplicate)" in output
    assert "nothing changed" in output
    assert built.state() == before


@pytest.mark.long
def test_a_failed_run_has_landed_but_not_ingested(project: Meters) -> None:
    path = project.readings("day-3.csv", "m1,2024-05-03,-1,")
    project.refused("build")
    content = path.read_bytes()
    path.unlink()
    project.readings("day-3-right.csv", "m1,2024-05-03,1,")
    output = project.dbt("build")
    # what was accepted and is gone is not left out in silence, and keeps nobody from the rest
    assert "  readings/day-3.csv: it was accepted, and is gone before it was ingested" in output
    assert len(project.rows("raw.readings")) == 6
    project.land("day-3.csv", content.replace(b"-1", b"3"))  # corrected under its own name
    assert "outstanding" not in project.dbt("build")
    assert len(project.rows("raw.readings")) == 7


def test_a_landing_area_that_does_not_exist_is_an_error_and_an_empty_one_is_reported(project: Meters) -> None:
    place = project.path.parent / "nowhere"
    project.settings["SLIPWAY_LANDING"] = str(place)
    output = project.refused("build")
    assert f"The landing area {place} does not exist: SLIPWAY_LANDING" in output
    place.mkdir()
    output = project.dbt("build")
    assert f"landed readings: no file in {place}/readings" in output
    assert project.rows("raw.readings") == []
    assert [field.name for field in project.table("raw.readings").schema().fields][:4] == [
        "meter",
        "read_on",
        "kwh",
        "note",
    ]


@pytest.mark.long
def test_a_new_column_is_taken_or_refused_and_never_lost(built: Meters) -> None:
    """The contract gains a column that the table does not have: with ``select *`` it comes to raw, whatever ``on_schema_change`` says."""
    contract = built.path / "contracts" / "readings.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    contract.write_text(
        text.replace("- {name: note", "- {name: tariff}\n      - {name: note"), encoding="utf-8"
    )
    built.land("day-3.csv", "meter,read_on,kwh,tariff,note\nm1,2024-05-03,1,night,\n")
    built.dbt("build")
    model = "models/raw/readings.sql"
    sql = (built.path / model).read_text(encoding="utf-8")
    rows = built.rows("raw.readings", "read_on", "tariff")
    assert [row[1] for row in rows] == [None] * 5 + ["night"]
    # a list of columns that leaves the new one out is no better, and another name for it is as good
    columns = "meter, read_on, kwh, note, _source_file, _source_line, _file_sha256, _landed_at, _run_id"
    for number, (named, is_taken) in enumerate([("", False), ("tariff as rate, ", True)]):
        built.land(f"day-{4 + number}.csv", f"meter,read_on,kwh,tariff,note\nm{number},2024-05-04,1,day,\n")
        config = sql.partition("}}")[0].replace("full_refresh=false", "on_schema_change='sync_all_columns'")
        built.write(
            model, f"{config}}}}}\nselect {named}{columns} from {{{{ source('landing', 'readings') }}}}\n"
        )
        output = built.dbt("build") if is_taken else built.refused("build")
        assert ("raw.readings would lose tariff: the landed files hold it" in output) is not is_taken
    assert sorted(row[0] for row in built.rows("raw.readings", "rate") if row[0]) == ["day", "day"]


def test_a_raw_model_that_drops_rows_is_refused(built: Meters) -> None:
    sql = (built.path / "models/raw/readings.sql").read_text(encoding="utf-8")
    built.write("models/raw/readings.sql", f"{sql.rstrip()}\nwhere kwh <> '1'\n")
    built.readings("day-3.csv", "m1,2024-05-03,1,", "m1,2024-05-04,2,")
    output = built.refused("build")
    assert "raw.readings would hold 1 row of readings/day-3.csv: 2 were counted when it landed" in output
    assert len(built.rows("raw.readings")) == 5


def test_a_model_that_reads_landed_files_past_raw_is_refused(project: Meters) -> None:
    """It would find a file only in the run that ingests it."""
    project.write(
        "models/curated/inlined.sql",
        "{{ config(materialized='ephemeral') }}\nselect * from {{ source('landing', 'readings') }}\n",
    )
    project.write("models/curated/lines.sql", "select meter from {{ ref('inlined') }}\n")
    output = project.refused("build", "-s", "lines")
    assert (
        "curated.lines reads landing.readings: it shows a file only until raw.readings has taken it" in output
    )


def test_a_project_without_feeds(project: Meters) -> None:
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


def test_a_source_without_a_contract_names_what_there_is(project: Meters) -> None:
    project.write(
        "models/raw/_more.yml", "sources: [{name: more, schema: landing, tables: [{name: weather}]}]\n"
    )
    project.write("models/raw/weather.sql", "select * from {{ source('more', 'weather') }}\n")
    output = project.refused("build", "-s", "weather")
    assert "No feed weather: contracts/ describes readings. Add its contract." in output


def test_a_raw_model_under_another_name_is_refused(project: Meters) -> None:
    project.write(
        "models/raw/second.sql",
        "{{ config(materialized='incremental') }}\nselect * from {{ source('landing', 'readings') }}\n",
    )
    output = project.refused("build", "-s", "second")
    assert "raw.second reads landing.readings" in output
    assert "Read raw.readings instead" in output


@pytest.mark.long
def test_a_raw_table_can_be_rebuilt_where_that_is_allowed(project: Meters) -> None:
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
