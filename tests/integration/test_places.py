"""Where things are, and what they are called, makes no difference."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.example import example_folders, of_example
from tests.harness.projects import Meters, published, static

if TYPE_CHECKING:
    import duckdb
    from tests.harness.commands import Commands

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param("with space", id="space", marks=pytest.mark.long),
        pytest.param("żółw 日本 🐢", id="unicode", marks=pytest.mark.long),
        pytest.param("it's 100% [x] {y} $HOME", id="punctuation", marks=pytest.mark.long),
    ],
)
def test_folders_may_have_any_name(project: Meters, tmp_path: Path, folder: str) -> None:
    moved = replace(project, folder=tmp_path / folder)
    for name in ("project", "landing", "temporary"):
        shutil.copytree(project.folder / name, moved.folder / name)
    moved.dbt("build")
    moved.readings("day-3.csv", "m3,2024-05-03,1,", "m1,2024-05-01,4,")
    moved.dbt("build")
    assert [float(kwh) for _, _, kwh in moved.rows("serving.sites")] == [10.25, 1.25]
    assert not project.home.exists()


@pytest.mark.parametrize("folder", ["number #1", "really?"])
def test_a_home_that_no_reader_could_open_is_refused(project: Meters, tmp_path: Path, folder: str) -> None:
    project.settings["SLIPWAY_HOME"] = str(tmp_path / folder)
    output = project.refused("build")
    assert f"{folder} has # or ? in its name" in output.replace("/dev/warehouse", "")
    assert "Traceback" not in output
    assert not list(tmp_path.glob("**/*.parquet"))


@pytest.mark.long
def test_commands_work_from_any_folder(project: Meters, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    where = ("--project-dir", str(project.path), "--profiles-dir", str(project.path))
    project.dbt("build", *where, cwd=elsewhere)
    assert len(project.published()) == 5
    assert "nothing changed" in project.dbt("build")
    project.dbt("test", *where, cwd=elsewhere)
    relative = ("--project-dir", "../project", "--profiles-dir", "../project")
    assert "nothing changed" in project.dbt("build", *relative, cwd=elsewhere)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.long
def test_relative_settings_start_where_the_command_does(project: Meters, tmp_path: Path) -> None:
    shutil.copytree(project.landing, tmp_path / "inbox")
    project.settings |= {"SLIPWAY_HOME": "my home", "SLIPWAY_LANDING": "./inbox"}
    project.dbt(
        "build", "--project-dir", str(project.path), "--profiles-dir", str(project.path), cwd=tmp_path
    )
    assert len(published(tmp_path / "my home" / "dev" / "catalog.db")) == 5


def test_two_targets_do_not_see_each_other(built: Meters) -> None:
    built.readings("day-3.csv", "m3,2024-05-03,1,")
    built.dbt("build", "--target", "ci")
    assert len(built.rows("raw.readings")) == 5
    names = {path.parent.parent.name for path in built.home.glob("ci/warehouse/*/*/metadata")}
    assert {"raw", "curated", "serving", "reference"} <= names


def test_every_published_table_is_read_alike_by_plain_iceberg_scan(
    built: Meters, engine: duckdb.DuckDBPyConnection
) -> None:
    built.readings("day-3.csv", "m3,2024-05-03,1,", "m1,2024-05-01,4,")
    built.dbt("build")
    assert len(built.published()) == 5
    for name, location in built.published().items():
        scan = f"iceberg_scan('{location.removeprefix('file://')}')"
        by_duckdb = engine.execute(f"from {scan}").fetchall()
        arrow = static(location).scan().to_arrow()
        engine.register("by_pyiceberg", arrow)
        assert sorted(map(str, engine.execute("from by_pyiceberg").fetchall())) == sorted(
            map(str, by_duckdb)
        ), name
        assert by_duckdb, name


OTHER_CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: weather
version: 1.0.0
servers: [{server: landing, type: local, path: stations/*.txt, format: csv,
           customProperties: [{property: delimiter, value: ";"}]}]
schema:
  - name: stations
    properties: [{name: Station}, {name: Measured At}, {name: "°C"}]
"""


@pytest.mark.long
def test_the_machinery_builds_another_project_when_the_example_is_deleted(
    commands: Commands, tmp_path: Path
) -> None:
    """A clone without its example is where a team starts with its own."""
    clone = tmp_path / "clone"

    def left_out(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(ROOT)
        return {
            name
            for name in names
            if of_example(f"{inside}/{name}") or name == "__pycache__" or name.endswith(".egg-info")
        }

    kept = ("dbt_project.yml", "profiles.yml", "macros", "scripts")
    for name in kept:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=left_out)
        else:
            clone.mkdir(exist_ok=True)
            shutil.copy(source, clone / name)
    assert not any((clone / name).exists() for name in example_folders())
    files = {
        "contracts/weather.odcs.yaml": OTHER_CONTRACT,
        "landing/stations/a.txt": "Station;Measured At;°C\nOslo;2024-01-01 06:00;-3.5\nOslo;2024-01-01 12:00;1\n",
        "landing/stations/b.txt": "Station;°C\nOslo;1\n",
        "models/raw/_sources.yml": "sources: [{name: landing, schema: landing, tables: [{name: stations}]}]\n",
        "models/raw/stations.sql": "{{ config(materialized='incremental', full_refresh=false) }}\n"
        "select * from {{ source('landing', 'stations') }}\n",
        "models/serving/daily_means.sql": 'select "Station" as station, cast("Measured At" as date) as measured_on,\n'
        '    cast(avg(cast("°C" as decimal(9, 2))) as decimal(9, 2)) as celsius\n'
        "from {{ ref('stations') }} group by all\n",
    }
    for name, text in files.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text, encoding="utf-8")

    other = Meters(commands, tmp_path, {"SLIPWAY_LANDING": str(clone / "landing")})
    other.temporary.mkdir()
    # the clone's own package, in a process that has imported nothing before
    program = "import sys; from dbt.cli.main import cli; sys.argv[0] = 'dbt'; cli()"
    environment = {**other.env(), "PYTHONPATH": str(clone / "scripts")}
    done = subprocess.run(
        [sys.executable, "-c", program, "build"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "landed stations: 1 file, 2 rows; 1 set aside" in done.stdout
    rows = other.rows("serving.daily_means")
    assert [(station, str(day), str(celsius)) for station, day, celsius in rows] == [
        ("Oslo", "2024-01-01", "-1.25")
    ]
    assert other.verdicts()["b.txt"] == ("rejected", None)
