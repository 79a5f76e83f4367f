"""Landing area and warehouse in an object store: the same commands, the same results, and no secret left anywhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog import load_catalog
from tests.snippets import duckdb_rows, pyiceberg_rows

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

ALL = {
    "reference.depots",
    "raw.parcels",
    "curated.weights",
    "quarantine.weights",
    "serving.depot_weights",
}
SECRETS = ("a-Secret/that+appears=nowhere", "a-Secret%2Fthat%2Bappears", "a-session-token//that")


class Told:
    """Runs against one bucket; the tests below only read what they left."""

    def __init__(self, lake: Lake, *, shows_folders: bool = True) -> None:
        self.lake, workshop = lake, lake.workshop
        if shows_folders:
            lake.put("landing/parcels/", b"")  # as a console does it
        lake.put("landing/parcels/again.csv", lake.get("landing/parcels/day-2.csv"))
        lake.put("landing/parcels/broken.csv", b"parcel,depot\np9,N\n")
        allowed = "    format: csv\n    customProperties: [{property: onRejectedFiles, value: warn}]\n"
        workshop.edit("contracts/parcels.odcs.yaml", "    format: csv\n", allowed)
        self.first = workshop.run()
        self.after_first = lake.sizes()
        self.same = workshop.run()
        self.after_same = lake.sizes()
        lake.put("landing/parcels/later/day-3.csv", b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10.125\n")
        self.text = workshop.slipway("run")
        self.after_last = lake.sizes()
        self.failed = workshop.slipway("run", "--select", "depots", "--vars", "{slice: {colour: red}}")


@pytest.fixture(scope="module")
def told(new_lake: Callable[[Path, str], Lake], tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("s3")
    return Told(new_lake(folder, f"parcels-{folder.name}"))


def nodes(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["table"]: node for node in manifest["nodes"]}


def test_tables_are_published_in_the_bucket(told: Told) -> None:
    assert told.first["outcome"] == "published"
    published = told.lake.published()
    assert published.keys() == ALL
    assert all(location.startswith(f"s3://{told.lake.bucket}/warehouse/") for location in published.values())
    rows = told.lake.table("serving.depot_weights").scan().to_arrow().to_pylist()
    # N: 1.5 + 0.25 + 4, S: 2 + 10.125
    assert {(row["depot"], row["parcels"], float(row["kg"])) for row in rows} == {
        ("N", 3, 5.75),
        ("S", 2, 12.125),
    }


def test_what_landed_is_ingested_once(told: Told) -> None:
    verdicts = {file["path"]: (file["verdict"], file["rows"]) for file in told.first["landed_files"]}
    assert verdicts == {
        "parcels/again.csv": ("accepted", 2),
        "parcels/broken.csv": ("rejected", None),
        "parcels/day-1.csv": ("accepted", 3),
        "parcels/day-2.csv": ("duplicate", None),
    }
    assert told.text.code == 0, told.text
    assert "landed parcels: 1 files, 1 rows; 0 set aside" in told.text.err
    raw = told.lake.table("raw.parcels").scan().to_arrow()
    assert sorted(raw.column("parcel").to_pylist()) == ["p1", "p2", "p3", "p4", "p5", "p6"]
    assert set(raw.column("_source_file").to_pylist()) == {"again.csv", "day-1.csv", "day-3.csv"}


def test_the_run_manifest_is_right_about_the_objects(told: Told) -> None:
    stored = told.lake.manifests()
    printed = {key: value for key, value in told.first.items() if key != "folder"}
    assert stored[0] == printed
    assert told.first["folder"].startswith(f"s3://{told.lake.bucket}/warehouse/_slipway/runs/")
    for name, node in nodes(stored[2]).items():
        tasks = list(told.lake.table(name).scan().plan_files())
        keys = [task.file.file_path.removeprefix(f"s3://{told.lake.bucket}/") for task in tasks]
        assert (node["files"], node["bytes_total"]) == (len(keys), sum(told.after_last[key] for key in keys))
        assert node["metadata_location"] == told.lake.published()[name]
    folder = "warehouse/_slipway/runs/"
    for manifest in stored:
        found = {
            key.split("/", 5)[5] for key in told.after_last if manifest["run_id"] in key and folder in key
        }
        assert {"run_manifest.json", "log.jsonl.gz", "dbt/manifest.json", "dbt/run_results.json.gz"} <= found


def test_bytes_read_are_counted(told: Told) -> None:
    landed = sum(told.after_first[f"landing/parcels/{name}.csv"] for name in ("day-1", "again"))
    assert nodes(told.first)["raw.parcels"]["bytes_read"] >= landed


def test_an_unchanged_run_adds_its_record_and_nothing_else(told: Told) -> None:
    assert told.same["outcome"] == "unchanged"
    added = told.after_same.keys() - told.after_first.keys()
    others = {key for key in added if told.same["run_id"] not in key}
    # dbt's manifest is kept once for each content: that of a first run has no incremental queries
    assert all("/dbt_manifests/" in key for key in others)
    assert len(others) <= 1
    assert {key: told.after_same[key] for key in told.after_first} == told.after_first


def test_connect_gives_what_pyiceberg_needs(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    properties = json.loads(told.lake.workshop.answer("connect", "--output", "json"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert told.lake.workshop.settings[name] not in json.dumps(properties)
        monkeypatch.setenv(name, told.lake.workshop.settings[name])  # keys stay with the standard variables
    catalog = load_catalog(properties.pop("name"), **properties)
    assert catalog.load_table("curated.weights").scan().to_arrow().num_rows == 5
    catalog.close()


def test_what_connect_prints_runs_as_it_stands(told: Told, tmp_path: Path) -> None:
    text = told.lake.workshop.answer("connect", "curated.weights")
    settings = told.lake.workshop.settings
    assert not any(settings[name] in text for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    assert pyiceberg_rows(text, settings, tmp_path) == 5
    assert duckdb_rows(text, settings, tmp_path) == 5


def test_sql_reads_the_published_tables(told: Told) -> None:
    query = "select depot, kg from serving.depot_weights order by depot"
    answer = told.lake.workshop.answer("sql", query, "--output", "csv")
    assert [row["kg"] for row in csv.DictReader(io.StringIO(answer))] == ["5.750", "12.125"]
    first = told.lake.workshop.answer("sql", query, "--output", "csv", "--release", "1")
    assert [row["kg"] for row in csv.DictReader(io.StringIO(first))] == ["5.750", "2.000"]


@pytest.mark.long
def test_a_slice_is_built_on_this_machine_from_the_bucket(told: Told) -> None:
    before = told.lake.sizes()
    run = told.lake.workshop.run("--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    assert told.lake.sizes() == before
    assert Path(run["scratch"]).is_relative_to(told.lake.workshop.home)
    assert nodes(run)["curated.weights"]["rows_after"] == 2


def test_slim_ci_reads_the_bucket_and_leaves_it_alone(told: Told, tmp_path: Path) -> None:
    before, workshop = told.lake.sizes(), told.lake.workshop
    workshop.write(
        "models/serving/cities.sql",
        "{{ config(compare_expected=[{'reason': 'new'}]) }} select city from {{ ref('depots') }}",
    )
    done = workshop.slipway("ci", "--output-dir", str(tmp_path))
    (workshop.project / "models/serving/cities.sql").unlink()
    assert done.code == 0, done
    assert "serving.cities" in done.out
    assert told.lake.sizes() == before


@pytest.mark.long
def test_a_canary_compares_two_versions_on_the_bucket(told: Told) -> None:
    before, workshop = told.lake.sizes(), told.lake.workshop
    workshop.commit()
    done = workshop.slipway("canary", "--base", "HEAD", "--output", "json")
    assert done.code == 0, done
    assert {table["verdict"] for table in json.loads(done.out)["tables"]} == {"identical"}
    assert told.lake.sizes() == before


@pytest.mark.long
def test_a_run_on_the_bucket_is_replayed_beside_it(told: Told) -> None:
    workshop = told.lake.workshop
    workshop.commit()
    run = workshop.run("--force")["run_id"]
    before = told.lake.sizes()
    report = json.loads(workshop.answer("replay", run, "--output", "json"))
    verdicts = {table["table"]: table["verdict"] for table in report["tables"]}
    assert {"curated.weights", "serving.depot_weights"} <= verdicts.keys()
    assert set(verdicts.values()) == {"identical"}
    assert told.lake.sizes() == before


def test_no_secret_is_written_or_printed(told: Told) -> None:
    workshop = told.lake.workshop
    printed = [told.text.out, told.text.err, told.failed.err, json.dumps([told.first, told.same])]
    texts = {"printed": "\n".join(printed).encode()}
    texts |= {key: told.lake.get(key) for key in told.lake.sizes() if not key.startswith("landing/")}
    files = [path for path in workshop.folder.rglob("*") if path.is_file()]
    texts |= {str(path): path.read_bytes() for path in files}
    assert any(name.endswith("/dbt.log") for name in texts)
    leaked = [name for name, text in texts.items() if any(secret.encode() in text for secret in SECRETS)]
    assert leaked == []


def test_the_key_id_is_no_part_of_a_record(told: Told) -> None:
    key = told.lake.workshop.settings["AWS_ACCESS_KEY_ID"].encode()
    records = [name for name in told.lake.sizes("warehouse/") if not name.endswith(".parquet")]
    assert [name for name in records if key in told.lake.get(name)] == []


@pytest.mark.long
def test_a_local_environment_takes_files_from_the_bucket(told: Told) -> None:
    before, workshop = told.lake.sizes(), told.lake.workshop
    run = workshop.run("--target", "dev", SLIPWAY_WAREHOUSE="")
    assert run["outcome"] == "published"
    assert workshop.table("raw.parcels").scan().to_arrow().num_rows == 6
    assert told.lake.sizes() == before


@pytest.mark.long
def test_keys_may_be_the_catalogs_own(
    new_lake: Callable[[Path, str], Lake], tmp_path: Path, endpoint: str
) -> None:
    """Keys among pyiceberg's properties, none in the standard variables."""
    lake = new_lake(tmp_path, "own-keys")
    settings = lake.workshop.settings
    for name, value in (
        ("ENDPOINT", endpoint),
        ("REGION", settings.pop("AWS_REGION")),
        ("ACCESS_KEY_ID", settings.pop("AWS_ACCESS_KEY_ID")),
        ("SECRET_ACCESS_KEY", settings.pop("AWS_SECRET_ACCESS_KEY")),
        ("SESSION_TOKEN", settings.pop("AWS_SESSION_TOKEN")),
    ):
        settings[f"PYICEBERG_CATALOG__STAGING__S3__{name}"] = value
    settings.pop("AWS_ENDPOINT_URL")
    assert lake.workshop.run()["outcome"] == "published"
    settings["AWS_ENDPOINT_URL"] = endpoint
    assert lake.table("raw.parcels").scan().to_arrow().num_rows == 5
    masked = lake.workshop.answer("connect", "--output", "json")
    texts = {str(path): path.read_bytes() for path in lake.workshop.folder.rglob("*") if path.is_file()}
    texts |= {key: lake.get(key) for key in lake.sizes("warehouse/")} | {"connect": masked.encode()}
    leaked = [name for name, text in texts.items() if any(secret.encode() in text for secret in SECRETS)]
    assert leaked == []
