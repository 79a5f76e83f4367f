"""``slipway replay``: a run built again from what it recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.projects import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"
DAY_3 = ("p6,S,2024-05-03,10.125",)


@pytest.fixture(scope="module")
def history(
    new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workshop, list[str]]:
    """Three runs of two commits: the first days, a day more, and a model that is not the same twice."""
    workshop = new_workshop(tmp_path_factory.mktemp("replay"))
    workshop.commit()
    runs = [workshop.run()["run_id"]]
    workshop.land("day-3.csv", DAY_3)
    runs.append(workshop.run()["run_id"])
    workshop.write(
        "models/serving/drawn.sql",
        "{{ config(compare_key=['parcel']) }}\nselect parcel, random() as lot from {{ ref('weights') }}\n",
    )
    workshop.commit()
    runs.append(workshop.run()["run_id"])
    return workshop, runs


def replay(workshop: Workshop, run: str, *, code: int = 0) -> dict[str, dict[str, Any]]:
    """Verdicts by table; the replay leaves no trace."""
    before = workshop.locations(), workshop.releases(), workshop.git("status", "--porcelain")
    done = workshop.slipway("replay", run, "--output", "json")
    assert done.code == code, done.out
    assert (workshop.locations(), workshop.releases(), workshop.git("status", "--porcelain")) == before
    assert workshop.git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert not list(workshop.temporary.glob("slipway-*"))
    report = json.loads(done.out)
    assert report["passed"] is (code == 0)
    return {table["table"]: table for table in report["tables"]}


@pytest.mark.long
def test_an_increment_built_at_once_and_from_older_code_is_identical(
    history: tuple[Workshop, list[str]],
) -> None:
    workshop, runs = history
    found = replay(workshop, runs[1])
    assert {table["verdict"] for table in found.values()} == {"identical"}
    assert found.keys() == {
        "reference.depots",
        "curated.weights",
        "quarantine.weights",
        "serving.depot_weights",
    }
    assert all(table["recorded"] == table["replayed"] for table in found.values())
    # later files and releases are not used
    assert replay(workshop, runs[0])["curated.weights"]["rows"] == 4


def test_what_is_not_the_same_twice_is_named_with_its_key(history: tuple[Workshop, list[str]]) -> None:
    workshop, runs = history
    found = replay(workshop, runs[2], code=1)
    drawn = found.pop("serving.drawn")
    assert drawn["verdict"] == "diverged"
    assert "; first parcel p" in drawn["why"]
    assert {table["verdict"] for table in found.values()} == {"identical"}


def test_an_input_that_is_gone(history: tuple[Workshop, list[str]]) -> None:
    workshop, runs = history
    (node,) = [
        node
        for node in json.loads(workshop.answer("show", runs[0], "-o", "json"))["nodes"]
        if node["table"] == "raw.parcels"
    ]
    location = Path(node["metadata_location"].removeprefix("file://"))
    location.rename(location.with_suffix(".kept"))
    try:
        found = replay(workshop, runs[0], code=1)
        printed = workshop.slipway("replay", runs[0])
    finally:
        location.with_suffix(".kept").rename(location)
    assert {table["verdict"] for table in found.values()} == {"input expired"}
    assert {table["why"] for table in found.values()} == {
        "raw.parcels is not there any more as the run read it"
    }
    assert printed.code == 1
    assert printed.out.splitlines()[-1].endswith(": 4 input expired.")


def test_a_missing_data_file_of_an_input_is_reported_before_anything_is_built(
    history: tuple[Workshop, list[str]],
) -> None:
    workshop, runs = history
    file = next(workshop.warehouse().glob("raw/parcels/data/**/*.parquet"))
    file.rename(file.with_suffix(".kept"))
    try:
        done = workshop.slipway("replay", runs[-1], "--output", "json")
    finally:
        file.with_suffix(".kept").rename(file)
    assert done.code == 1
    assert {table["verdict"] for table in json.loads(done.out)["tables"]} == {"input expired"}
    assert "building" not in done.err


MICROBATCH = """\
{{ config(
    materialized='incremental', incremental_strategy='microbatch', event_time='weighed_on', batch_size='year',
    begin='2024-01-01', compare_key=['parcel'],
) }}
select * from {{ ref('weights') }}
"""
HISTORY = """\
snapshots:
  - name: places
    relation: ref('depots')
    config: {schema: curated, strategy: check, check_cols: all, unique_key: depot}
"""


@pytest.mark.long
def test_windows_versions_views_snapshots_and_selections_are_built_as_the_run_did(workshop: Workshop) -> None:
    """All kinds of nodes in one project: a run of a window, one that adds to it, and one of a selection."""
    workshop.write("models/serving/by_day.sql", MICROBATCH)
    workshop.write(
        "models/serving/seen.sql", "{{ config(materialized='view') }}\nselect * from {{ ref('depots') }}\n"
    )
    workshop.write("models/serving/of_view.sql", "select count(*) as n from {{ ref('seen') }}\n")
    workshop.write("models/serving/told_v1.sql", "select 1 as n\n")
    workshop.write("models/serving/told_v2.sql", "select n from {{ ref('of_places') }}\n")
    workshop.write("models/serving/_told.yml", "models: [{name: told, versions: [{v: 1}, {v: 2}]}]\n")
    workshop.write("models/serving/of_places.sql", "select count(*) as n from {{ ref('places') }}\n")
    workshop.write("snapshots/places.yml", HISTORY)
    workshop.commit()
    workshop.land("day-3.csv", ("p6,S,2025-05-03,10.125",))
    window = ("--event-time-start", "2025-01-01", "--event-time-end", "2026-01-01")
    first = workshop.run(*window)
    assert first["options"] == {
        "select": [],
        "exclude": [],
        "full_refresh": False,
        "event_time_start": "2025-01-01T00:00:00Z",
        "event_time_end": "2026-01-01T00:00:00Z",
    }
    assert {node["table"]: node["rows_after"] for node in first["nodes"]}["serving.by_day"] == 1
    found = replay(workshop, first["run_id"])
    assert {table["verdict"] for table in found.values()} == {"identical"}
    assert {"serving.of_view", "serving.told_v1", "serving.told_v2", "serving.by_day"} <= found.keys()
    assert "curated.places" not in found  # its history is in no input
    workshop.run("--event-time-start", "2024-01-01", "--event-time-end", "2025-01-01")
    workshop.edit("models/serving/of_places.sql", "count(*)", "count(*) + 1")
    workshop.commit()
    selected = workshop.run("--select", "of_places", "by_day", "--exclude", "told")
    assert (selected["options"]["select"], selected["options"]["exclude"]) == (
        ["of_places", "by_day"],
        ["told"],
    )
    unchanged = workshop.run()["run_id"]
    workshop.answer("rollback", "--reason", "a mistake", "--yes")
    assert replay(workshop, selected["run_id"]).keys() == {"serving.of_places", "serving.by_day"}
    assert {table["verdict"] for table in replay(workshop, unchanged).values()} == {"identical"}
    workshop.write("requirements.lock", "other==1\n")
    assert "lock_sha256" in workshop.answer("replay", selected["run_id"])


@pytest.mark.long
def test_packages_profiles_elsewhere_tests_left_out_and_a_model_named_as_a_folder(workshop: Workshop) -> None:
    package = workshop.folder / "helpers"
    workshop.write("packages.yml", f"packages: [{{local: {package}}}]\n")
    (package / "macros").mkdir(parents=True)
    (package / "dbt_project.yml").write_text(
        "name: helpers\nversion: '1.0.0'\nconfig-version: 2\n", encoding="utf-8"
    )
    (package / "macros/one.sql").write_text("{% macro one() %}1{% endmacro %}", encoding="utf-8")
    elsewhere = workshop.folder / "profiles"
    elsewhere.mkdir()
    (workshop.path / "profiles.yml").rename(elsewhere / "profiles.yml")
    workshop.settings["DBT_PROFILES_DIR"] = str(elsewhere)
    workshop.write(".gitignore", "dbt_packages/\ntarget/\nlogs/\n")
    workshop.write("tests/dbt/never.sql", "select * from {{ ref('weights') }}")
    workshop.dbt("deps")
    workshop.write(
        "models/serving/curated.sql", "select count(*) * {{ helpers.one() }} as n from {{ ref('weights') }}"
    )
    workshop.commit()
    whole = workshop.run("--exclude", "never")["run_id"]
    workshop.write(
        "models/serving/curated.sql", "select count(*) + {{ helpers.one() }} as n from {{ ref('weights') }}"
    )
    workshop.commit()
    part = workshop.run("--select", "path:models/serving/curated.sql")["run_id"]
    workshop.land("day-3.csv", DAY_3)
    workshop.run("--exclude", "never")
    assert "serving.curated" in replay(workshop, whole)
    assert replay(workshop, part).keys() == {"serving.curated"}
    (workshop.path / "package-lock.yml").unlink()  # what is installed may be another version
    assert replay(workshop, part).keys() == {"serving.curated"}


@pytest.mark.long
def test_runs_that_cannot_be_replayed(workshop: Workshop) -> None:
    assert "There is no run yet" in workshop.refusal("replay", "latest", code=3)
    workshop.run()
    assert "not a git repository" in workshop.refusal("replay", "latest", code=1)
    workshop.commit()
    workshop.write("models/serving/one.sql", "select 1 as n\n")
    workshop.run()
    assert "uncommitted changes" in workshop.refusal("replay", "latest", code=1)
