"""What ``slipway feed add`` would write, and what keeps it from that."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slipway.adoption import adopt
from slipway.adoption.new_feed import NewFeed, apply, copy_samples, make_folder, plan
from slipway.contracts.contract_files import read_contracts
from slipway.errors import ConfigError, UnavailableError, UsageError

TRIPS = "trip,zone,kg\n" + "".join(f"t{n},{n:03},{n}.5\n" for n in range(25))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as ``slipway init`` makes it."""
    folder = tmp_path / "shop"
    adopt.apply(adopt.plan(folder))
    return folder


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "trips-1.csv"
    path.write_text(TRIPS)
    return path


def written(planned: NewFeed) -> dict[str, str]:
    return {step.name: (step.content or b"").decode() for step in planned.steps}


def test_it_writes_what_a_feed_takes(project: Path, sample: Path) -> None:
    planned = plan(project, "trips", [sample])
    assert list(written(planned)) == [
        "contracts/trips.odcs.yaml",
        "models/raw/trips.sql",
        "models/raw/_raw__trips.yml",
        "models/curated/trips/curated_trips.sql",
        "models/curated/trips/quarantine_trips.sql",
        "models/curated/trips/_curated__trips.yml",
    ]
    apply(planned)
    assert {contract.id for contract in read_contracts(project)} == {"rides", "trips"}
    described = yaml.safe_load(written(planned)["models/curated/trips/_curated__trips.yml"])
    curated, quarantine = described["models"]
    assert [(column["name"], column["data_type"]) for column in curated["columns"][:3]] == [
        ("trip", "varchar"),
        ("zone", "varchar"),
        ("kg", "decimal(18,2)"),
    ]
    assert all(column["description"] for model in (curated, quarantine) for column in model["columns"])
    with pytest.raises(UsageError, match="The feed trips is there already"):
        plan(project, "trips", [sample])


def test_models_say_what_their_folders_do_not(project: Path, sample: Path) -> None:
    """In a project with layers in dbt_project.yml a model repeats none; in another one it says its own, below the project's folder."""
    texts = written(plan(project, "trips", [sample]))
    assert "schema=" not in texts["models/raw/trips.sql"] + texts["models/curated/trips/curated_trips.sql"]
    settings = {"name": "mill", "profile": "mill", "model-paths": ["transform", "more"]}
    (project / "dbt_project.yml").write_text(yaml.safe_dump(settings))
    (project / "profiles.yml").write_text(yaml.safe_dump({"mill": {"outputs": {"dev": {"type": "duckdb"}}}}))
    texts = written(plan(project, "trips", [sample]))
    for name, layer in (
        ("raw/trips", "raw"),
        ("curated/trips/curated_trips", "curated"),
        ("curated/trips/quarantine_trips", "quarantine"),
    ):
        text = texts[f"transform/{name}.sql"]
        assert f"schema='{layer}'" in text
        assert "enabled=target.type == 'slipway'" in text
        assert ("materialized='table'" in text) is (layer != "raw")


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("My Trips", "my_trips"),
        ("2024", "feed_2024"),
        ("a-b", "a_b"),
        ("fahrten_ä", "fahrten_a"),
        ("", "feed"),
    ],
)
def test_a_name_that_is_no_table_is_refused_with_one_that_is(
    project: Path, sample: Path, name: str, called: str
) -> None:
    with pytest.raises(UsageError, match=f"Write --name {called}") as refused:
        plan(project, name, [sample])
    assert "A feed cannot be called" in refused.value.what
    assert plan(project, called, [sample]).feed.name == called


def test_a_model_of_the_same_name_is_in_the_way(project: Path, sample: Path) -> None:
    (project / "models" / "other").mkdir()
    (project / "models" / "other" / "quarantine_trips.sql").write_text("select 1 as x")
    with pytest.raises(
        UsageError, match=r"A model cannot be called quarantine_trips: models/other/quarantine_trips\.sql"
    ):
        plan(project, "trips", [sample])


def test_a_file_that_is_there_stays(project: Path, sample: Path) -> None:
    mine = project / "models" / "raw" / "_raw__trips.yml"
    mine.write_text("models: []\n")
    with pytest.raises(UsageError, match=r"_raw__trips\.yml is there already"):
        plan(project, "trips", [sample])
    assert mine.read_text() == "models: []\n"


def test_a_broken_contract_is_corrected_first(project: Path, sample: Path) -> None:
    (project / "contracts" / "mine.odcs.yaml").write_text("id: mine\n")
    with pytest.raises(ConfigError, match="2 more problems of contracts"):
        plan(project, "trips", [sample])


def test_samples_are_copied_when_asked(project: Path, sample: Path, tmp_path: Path) -> None:
    planned = plan(project, "trips", [sample])
    landing = tmp_path / "landing"
    assert copy_samples(planned, str(landing)) == [landing / "trips" / sample.name]
    assert [path.read_text() for path in (landing / "trips").iterdir()] == [TRIPS]
    assert copy_samples(planned, f"file://{landing}")  # again changes nothing
    (landing / "trips" / sample.name).write_text("other")
    with pytest.raises(UsageError, match="would be another file"):
        copy_samples(planned, str(landing))
    with pytest.raises(UsageError, match="no folder of this machine"):
        copy_samples(planned, "s3://bucket/landing")


def test_the_folder_for_its_files_is_made_where_that_can_be(
    project: Path, sample: Path, tmp_path: Path
) -> None:
    planned, landing = plan(project, "trips", [sample]), tmp_path / "landing"
    assert not make_folder(planned, "s3://bucket/landing")
    assert make_folder(planned, f"file://{landing}")
    assert (landing / "trips").is_dir()
    assert not make_folder(planned, str(landing))
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be written"):
        make_folder(planned, str(tmp_path / "file"))
