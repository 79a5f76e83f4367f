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
from tests.harness.projects import TABLES
from tests.snippets import duckdb_rows, pyiceberg_rows

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

SECRETS = ("a-Secret/that+appears=nowhere", "a-Secret%2Fthat%2Bappears", "a-session-token//that")


class Recorded:
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
def recorded(new_lake: Callable[[Path, str], Lake], tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("s3")
    return Recorded(new_lake(folder, f"parcels-{folder.name}"))


def nodes(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["table"]: node for node in manifest["nodes"]}


def test_tables_are_published_in_the_bucket(recorded: Recorded) -> None:
    assert recorded.first["outcome"] == "published"
    published = recorded.lake.published()
    assert published.keys() == TABLES
    assert all(
        location.startswith(f"s3://{recorded.lake.bucket}/warehouse/") for location in published.values()
    )
    rows = recorded.lake.table("serving.depot_weights").scan().to_arrow().to_pylist()
    # N: 1.5 + 0.25 + 4, S: 2 + 10.125
    assert {(row["depot"], row["parcels"], float(row["kg"])) for row in rows} == {
        ("N", 3, 5.75),
        ("S", 2, 12.125),
    }


def test_what_landed_is_ingested_once(recorded: Recorded) -> None:
    verdicts = {file["path"]: (file["verdict"], file["rows"]) for file in recorded.first["landed_files"]}
    assert verdicts == {
        "parcels/again.csv": ("accepted", 2),
        "parcels/broken.csv": ("rejected", None),
        "parcels/day-1.csv": ("accepted", 3),
        "parcels/day-2.csv": ("duplicate", None),
    }
    assert recorded.text.code == 0, recorded.text
    assert "landed parcels: 1 file, 1 row; 0 set aside" in recorded.text.err
    raw = recorded.lake.table("raw.parcels").scan().to_arrow()
    assert sorted(raw.column("parcel").to_pylist()) == ["p1", "p2", "p3", "p4", "p5", "p6"]
    assert set(raw.column("_source_file").to_pylist()) == {"again.csv", "day-1.csv", "day-3.csv"}


def test_the_run_manifest_is_right_about_the_objects(recorded: Recorded) -> None:
    stored = recorded.lake.manifests()
    printed = {key: value for key, value in recorded.first.items() if key != "folder"}
    assert stored[0] == printed
    assert recorded.first["folder"].startswith(f"s3://{recorded.lake.bucket}/warehouse/_slipway/runs/")
    for name, node in nodes(stored[2]).items():
        tasks = list(recorded.lake.table(name).scan().plan_files())
        keys = [task.file.file_path.removeprefix(f"s3://{recorded.lake.bucket}/") for task in tasks]
        assert (node["files"], node["bytes_total"]) == (
            len(keys),
            sum(recorded.after_last[key] for key in keys),
        )
        assert node["metadata_location"] == recorded.lake.published()[name]
    folder = "warehouse/_slipway/runs/"
    for manifest in stored:
        found = {
            key.split("/", 5)[5] for key in recorded.after_last if manifest["run_id"] in key and folder in key
        }
        assert {"run_manifest.json", "log.jsonl.gz", "dbt/manifest.json", "dbt/run_results.json.gz"} <= found


def test_bytes_read_are_counted(recorded: Recorded) -> None:
    landed = sum(recorded.after_first[f"landing/parcels/{name}.csv"] for name in ("day-1", "again"))
    assert nodes(recorded.first)["raw.parcels"]["bytes_read"] >= landed


def test_an_unchanged_run_adds_its_record_and_nothing_else(recorded: Recorded) -> None:
    assert recorded.same["outcome"] == "unchanged"
    added = recorded.after_same.keys() - recorded.after_first.keys()
    others = {key for key in added if recorded.same["run_id"] not in key}
    # dbt's manifest is kept once for each content: that of a first run has no incremental queries
    assert all("/dbt_manifests/" in key for key in others)
    assert len(others) <= 1
    assert {key: recorded.after_same[key] for key in recorded.after_first} == recorded.after_first


def test_releases_in_the_bucket_are_compared(recorded: Recorded) -> None:
    """The last file brought one parcel, of depot S; what was not written again is not read."""
    before = recorded.lake.sizes()
    done = recorded.lake.workshop.slipway("diff", "1", "2", "--output", "json")
    assert done.code == 1, done
    found = {table["name"]: table for table in json.loads(done.out)["tables"]}
    rows = {
        name: tuple(table["rows"][kind] for kind in ("added", "removed", "changed"))
        for name, table in found.items()
        if table["rows"]["added"] or table["rows"]["changed"]
    }
    assert rows == {
        "raw.parcels": (1, 0, 0),
        "curated.weights": (1, 0, 0),
        "serving.depot_weights": (0, 0, 1),
    }
    assert recorded.lake.sizes() == before
    log = json.loads(recorded.lake.workshop.answer("log", "curated.weights", "--output", "json"))
    assert [(one["release"], one["rows"]) for one in log] == [(2, 5), (1, 4)]


def test_connect_gives_what_pyiceberg_needs(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    properties = json.loads(recorded.lake.workshop.answer("connect", "--output", "json"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert recorded.lake.workshop.settings[name] not in json.dumps(properties)
        monkeypatch.setenv(
            name, recorded.lake.workshop.settings[name]
        )  # keys stay with the standard variables
    catalog = load_catalog(properties.pop("name"), **properties)
    assert catalog.load_table("curated.weights").scan().to_arrow().num_rows == 5
    catalog.close()


@pytest.mark.long
def test_what_connect_prints_runs_as_it_stands(recorded: Recorded, tmp_path: Path) -> None:
    text = recorded.lake.workshop.answer("connect", "curated.weights")
    settings = recorded.lake.workshop.settings
    assert not any(settings[name] in text for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    assert pyiceberg_rows(text, settings, tmp_path) == 5
    assert duckdb_rows(text, settings, tmp_path) == 5


def test_sql_reads_the_published_tables(recorded: Recorded) -> None:
    query = "select depot, kg from serving.depot_weights order by depot"
    answer = recorded.lake.workshop.answer("sql", query, "--output", "csv")
    assert [row["kg"] for row in csv.DictReader(io.StringIO(answer))] == ["5.750", "12.125"]
    first = recorded.lake.workshop.answer("sql", query, "--output", "csv", "--release", "1")
    assert [row["kg"] for row in csv.DictReader(io.StringIO(first))] == ["5.750", "2.000"]


@pytest.mark.long
def test_a_slice_is_built_on_this_machine_from_the_bucket(recorded: Recorded) -> None:
    before = recorded.lake.sizes()
    run = recorded.lake.workshop.run("--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    assert recorded.lake.sizes() == before
    assert Path(run["scratch"]).is_relative_to(recorded.lake.workshop.home)
    assert nodes(run)["curated.weights"]["rows_after"] == 2


@pytest.mark.long
def test_slim_ci_reads_the_bucket_and_does_not_change_it(recorded: Recorded, tmp_path: Path) -> None:
    before, workshop = recorded.lake.sizes(), recorded.lake.workshop
    workshop.write(
        "models/serving/cities.sql",
        "{{ config(compare_expected=[{'reason': 'new'}]) }} select city from {{ ref('depots') }}",
    )
    done = workshop.slipway("ci", "--output-dir", str(tmp_path))
    (workshop.path / "models/serving/cities.sql").unlink()
    assert done.code == 0, done
    assert "serving.cities" in done.out
    assert recorded.lake.sizes() == before


@pytest.mark.long
def test_a_canary_compares_two_versions_on_the_bucket(recorded: Recorded) -> None:
    before, workshop = recorded.lake.sizes(), recorded.lake.workshop
    workshop.commit()
    done = workshop.slipway("canary", "--base", "HEAD", "--output", "json")
    assert done.code == 0, done
    assert {table["verdict"] for table in json.loads(done.out)["tables"]} == {"identical"}
    assert recorded.lake.sizes() == before


@pytest.mark.long
def test_a_run_on_the_bucket_is_replayed_outside_of_it(recorded: Recorded) -> None:
    workshop = recorded.lake.workshop
    workshop.commit()
    run = workshop.run("--force")["run_id"]
    before = recorded.lake.sizes()
    report = json.loads(workshop.answer("replay", run, "--output", "json"))
    verdicts = {table["table"]: table["verdict"] for table in report["tables"]}
    assert {"curated.weights", "serving.depot_weights"} <= verdicts.keys()
    assert set(verdicts.values()) == {"identical"}
    assert recorded.lake.sizes() == before


def test_no_secret_is_written_or_printed(recorded: Recorded) -> None:
    workshop = recorded.lake.workshop
    printed = [
        recorded.text.out,
        recorded.text.err,
        recorded.failed.err,
        json.dumps([recorded.first, recorded.same]),
    ]
    texts = {"printed": "\n".join(printed).encode()}
    texts |= {key: recorded.lake.get(key) for key in recorded.lake.sizes() if not key.startswith("landing/")}
    files = [path for path in workshop.folder.rglob("*") if path.is_file()]
    texts |= {str(path): path.read_bytes() for path in files}
    assert any(name.endswith("/dbt.log") for name in texts)
    leaked = [name for name, text in texts.items() if any(secret.encode() in text for secret in SECRETS)]
    assert leaked == []


def test_the_key_id_is_no_part_of_a_record(recorded: Recorded) -> None:
    key = recorded.lake.workshop.settings["AWS_ACCESS_KEY_ID"].encode()
    records = [name for name in recorded.lake.sizes("warehouse/") if not name.endswith(".parquet")]
    assert [name for name in records if key in recorded.lake.get(name)] == []


@pytest.mark.long
def test_a_local_environment_takes_files_from_the_bucket(recorded: Recorded) -> None:
    before, workshop = recorded.lake.sizes(), recorded.lake.workshop
    run = workshop.run("--target", "dev", SLIPWAY_WAREHOUSE="")
    assert run["outcome"] == "published"
    assert workshop.table("raw.parcels").scan().to_arrow().num_rows == 6
    assert recorded.lake.sizes() == before


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
