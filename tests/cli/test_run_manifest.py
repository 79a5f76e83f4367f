"""The run manifest: every field of it, recounted by other means."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import re
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from tests.harness.projects import static

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable
    from tests.harness.projects import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"


class Recorded:
    """Runs of one environment whose run manifests the tests below read; nothing is changed any more."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        workshop.land("day-2-again.csv", ("p4,N,2024-05-02,0.25", "p5,N,2024-05-02,4"))
        workshop.land("broken.csv", ("p9,N,2024-05-09",), header="parcel,depot")
        self.commit = workshop.commit()
        self.began = datetime.now().astimezone()
        self.first = workshop.run("--threads", "2", "--vars", "{as_of: 2024-05-02}")
        self.ended = datetime.now().astimezone()
        self.after_first = workshop.published()
        workshop.edit(WEIGHT_MODEL, "    sum(kg) as kg", "    sum(kg) as kg,\n    max(kg) as heaviest")
        self.second = workshop.run("--select", "depot_weights", SLIPWAY_IMAGE_DIGEST="sha256:0123")
        self.after_second = workshop.published()
        workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
        self.third = workshop.run()
        self.state = workshop.published()
        self.fourth = workshop.run()


@pytest.fixture(scope="module")
def recorded(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(new_workshop(tmp_path_factory.mktemp("recorded")))


def nodes(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["table"]: node for node in manifest["nodes"]}


def changes(manifest: dict[str, Any]) -> dict[str, str]:
    return {node["table"]: node["change"] for node in manifest["nodes"]}


def test_stdout_is_the_run_manifest_that_is_written(recorded: Recorded) -> None:
    written = recorded.workshop.manifests()
    for printed, stored in zip(
        (recorded.first, recorded.second, recorded.third, recorded.fourth), written, strict=True
    ):
        assert printed.pop("folder", None) in (None, folder(recorded.workshop, stored["run_id"]).as_uri())
        assert printed == stored


def folder(workshop: Workshop, run_id: str) -> Path:
    (found,) = workshop.warehouse().glob(f"_slipway/runs/*/{run_id}")
    return found


def test_a_run_says_who_ran_what_when_with_what(recorded: Recorded) -> None:
    run = recorded.first
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", run["run_id"])
    assert (run["target"], run["mode"], run["scratch"], run["release"]) == ("dev", "exploratory", None, 1)
    assert run["outcome"] == "published"
    assert run["who"]
    assert run["host"] == platform.node()
    assert recorded.began <= datetime.fromisoformat(run["started_at"])
    assert (
        datetime.fromisoformat(run["started_at"])
        < datetime.fromisoformat(run["finished_at"])
        <= recorded.ended
    )
    options = ["--threads", "2", "--vars", "{as_of: 2024-05-02}", "--output", "json"]
    assert run["command"] == ["slipway", "run", *options]
    assert run["vars"] == {"as_of": "2024-05-02"}
    assert run["as_of"] == "2024-05-02"
    versions = run["versions"]
    assert versions["python"] == platform.python_version()
    installed = {"dbt": "dbt-core", "dbt_duckdb": "dbt-duckdb", "duckdb": "duckdb", "pyiceberg": "pyiceberg"}
    assert {name: versions[name] for name in installed} == {n: version(p) for n, p in installed.items()}
    assert versions["image_digest"] is None
    assert recorded.second["versions"]["image_digest"] == "sha256:0123"


def figures(run: dict[str, Any]) -> dict[str, Any]:
    return {name: run["code"][name] for name in ("commit", "dirty", "branch")}


def test_a_run_names_its_commit_and_whether_the_tree_was_dirty(recorded: Recorded) -> None:
    assert figures(recorded.first) == {"commit": recorded.commit, "dirty": False, "branch": "main"}
    assert figures(recorded.second) == {"commit": recorded.commit, "dirty": True, "branch": "main"}
    assert (recorded.first["code"]["uncommitted"], len(recorded.second["code"]["uncommitted"])) == ([], 1)


def test_a_detached_head_is_no_branch(workshop: Workshop) -> None:
    commit = workshop.commit()
    workshop.git("checkout", "--quiet", "--detach")
    run = workshop.run("--select", "depots")
    assert figures(run) == {"commit": commit, "dirty": False, "branch": None}


def test_the_lock_file_is_named_by_its_digest(workshop: Workshop) -> None:
    workshop.write("requirements.lock", "duckdb==1.5.5\n")
    run = workshop.run("--select", "depots")
    assert run["versions"]["lock_sha256"] == hashlib.sha256(b"duckdb==1.5.5\n").hexdigest()
    assert figures(run) == {"commit": None, "dirty": True, "branch": None}
    assert "not a git repository" in run["code"]["problem"]


def test_landed_files_are_recorded_with_their_verdict(recorded: Recorded) -> None:
    found = {file["path"]: file for file in recorded.first["landed_files"]}
    assert {path: (file["verdict"], file["rows"]) for path, file in found.items()} == {
        "parcels/broken.csv": ("rejected", None),
        "parcels/day-1.csv": ("accepted", 3),
        "parcels/day-2-again.csv": ("accepted", 2),
        "parcels/day-2.csv": ("duplicate", None),
    }
    for path, file in found.items():
        content = (recorded.workshop.folder / "landing" / path).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["size_bytes"] == len(content)
        assert (file["feed"], file["run_id"]) == ("parcels", recorded.first["run_id"])
    assert [file["path"] for file in recorded.third["landed_files"]] == ["parcels/day-3.csv"]
    assert recorded.second["landed_files"] == recorded.fourth["landed_files"] == []


def test_rows_files_and_bytes_are_what_pyiceberg_counts(recorded: Recorded) -> None:
    for manifest, locations in (
        (recorded.first, recorded.after_first),
        (recorded.second, recorded.after_second),
        (recorded.third, recorded.state),
    ):
        for name, node in nodes(manifest).items():
            table = static(locations[name])
            tasks = list(table.scan().plan_files())
            rows = table.scan().to_arrow().num_rows
            assert (node["rows_after"], node["files"]) == (rows, len(tasks)), name
            sizes = [Path(task.file.file_path.removeprefix("file://")).stat().st_size for task in tasks]
            assert node["bytes_total"] == sum(sizes), name
            assert node["candidate_snapshot"] == snapshot(table), name
            assert node["metadata_location"] == locations[name]
            assert node["schema_id"] == table.metadata.current_schema_id
            assert node["status"] == "success"


def snapshot(table: StaticTable) -> str:
    current = table.current_snapshot()
    assert current is not None
    return str(current.snapshot_id)


def test_what_a_run_added_and_removed(recorded: Recorded) -> None:
    first, second, third = nodes(recorded.first), nodes(recorded.second), nodes(recorded.third)
    figures = ("rows_before", "rows_added", "rows_removed", "rows_after")
    # five rows landed, one of them is no number, four weights in two depots
    assert {name: [node[key] for key in figures] for name, node in first.items()} == {
        "reference.depots": [0, 2, 0, 2],
        "raw.parcels": [0, 5, 0, 5],
        "curated.weights": [0, 4, 0, 4],
        "quarantine.weights": [0, 1, 0, 1],
        "serving.depot_weights": [0, 2, 0, 2],
    }
    assert [second["serving.depot_weights"][key] for key in figures] == [2, 2, 2, 2]
    # raw appends, the tables after it are replaced as a whole
    assert [third["raw.parcels"][key] for key in figures] == [5, 1, 0, 6]
    assert [third["curated.weights"][key] for key in figures] == [4, 5, 4, 5]
    assert [third["raw.parcels"][key] for key in ("files", "files_added", "files_removed")] == [2, 1, 0]
    assert [third["curated.weights"][key] for key in ("files", "files_added", "files_removed")] == [1, 1, 1]
    for manifest in (first, third):
        for node in manifest.values():
            if node["change"] == "built":
                assert node["bytes_written"] > 0
                assert node["seconds"] > 0
    assert third["raw.parcels"]["bytes_written"] < third["raw.parcels"]["bytes_total"]


def test_a_table_names_the_snapshot_it_was_built_on(recorded: Recorded) -> None:
    before = {name: snapshot(static(path)) for name, path in recorded.after_second.items()}
    for name, node in nodes(recorded.third).items():
        assert node["base_snapshot"] == before[name]
    assert {node["base_snapshot"] for node in nodes(recorded.first).values()} == {None}


def test_inputs_are_the_snapshots_that_were_current_when_the_run_began(recorded: Recorded) -> None:
    assert recorded.first["inputs"] == []  # it built all it read
    inputs = {item["table"]: item for item in recorded.second["inputs"]}
    assert inputs.keys() == {"dev.curated.weights", "dev.reference.depots"}
    for name, item in inputs.items():
        location = recorded.after_first[name.removeprefix("dev.")]
        table = static(location)
        assert item["metadata_location"] == location
        assert item["snapshot_id"] == snapshot(table)
        assert item["schema_id"] == table.metadata.current_schema_id
        assert item["rows"] == table.scan().to_arrow().num_rows
    node = nodes(recorded.second)["serving.depot_weights"]
    read = {name.removeprefix("dev."): item["snapshot_id"] for name, item in inputs.items()}
    assert node["inputs"] == read


def test_bytes_read_are_counted_where_something_is_read(recorded: Recorded) -> None:
    parcels = recorded.workshop.folder / "landing" / "parcels"
    landed = sum((parcels / name).stat().st_size for name in ("day-1.csv", "day-2-again.csv"))
    assert nodes(recorded.first)["raw.parcels"]["bytes_read"] >= landed
    assert nodes(recorded.third)["raw.parcels"]["bytes_read"] >= (parcels / "day-3.csv").stat().st_size
    assert nodes(recorded.second)["serving.depot_weights"]["bytes_read"] > 0
    for name in ("curated.weights", "quarantine.weights"):  # both read the one table
        assert nodes(recorded.first)[name]["bytes_read"] > 0
    assert nodes(recorded.third)["reference.depots"]["bytes_read"] == 0  # unchanged


def _is_wide(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind) and kind.precision > 18)


def test_digests_are_those_of_the_rows(recorded: Recorded) -> None:
    # order-free sums of a hash of each row and of that hash's hash, recomputed from what pyiceberg reads
    for manifest, locations in ((recorded.first, recorded.after_first), (recorded.third, recorded.state)):
        for name, node in nodes(manifest).items():
            rows = static(locations[name]).scan().to_arrow()
            columns = ", ".join(
                # DuckDB's hash of 128 bits does not tell 0 from -1
                f'"{c}"::varchar' if _is_wide(rows.schema.field(c).type) else f'"{c}"'
                for c in sorted(rows.column_names)
                if c not in ("_landed_at", "_run_id")
            )
            with duckdb.connect() as connection:
                connection.execute("set TimeZone = 'UTC'")
                connection.register("rows", rows)
                found = connection.execute(
                    f"select count(*), sum(hash({columns})::hugeint), sum(hash(hash({columns}))::hugeint) from rows"
                ).fetchone()
            assert found is not None
            name_of, count, first, second = node["digest"].split(":")
            assert name_of.startswith("duckdb-1.5-")
            assert (int(count), int(first, 16), int(second, 16)) == found, name


def test_node_keys_follow_code_and_inputs_and_fingerprints_the_schema(recorded: Recorded) -> None:
    first, second, third, fourth = (
        nodes(run) for run in (recorded.first, recorded.second, recorded.third, recorded.fourth)
    )
    name = "serving.depot_weights"
    assert len({first[name]["node_key"], second[name]["node_key"], third[name]["node_key"]}) == 3
    assert {n: node["node_key"] for n, node in third.items()} == {
        n: node["node_key"] for n, node in fourth.items()
    }
    columns = [run[name]["schema_fingerprint"] for run in (first, second, third)]
    assert columns[0] != columns[1] == columns[2]
    assert first["reference.depots"]["node_key"] == third["reference.depots"]["node_key"]
    assert first["curated.weights"]["node_key"] != third["curated.weights"]["node_key"]  # raw has other rows


def test_tests_add_up(recorded: Recorded) -> None:
    # unique parcel, not_null kg, unique depot and weights_are_positive
    for run, executed in (
        (recorded.first, 4),
        (recorded.second, 1),
        (recorded.third, 4),
        (recorded.fourth, 0),
    ):
        tests = run["tests"]
        assert tests["expected"] == tests["executed"] + tests["carried"] + tests["not_run"]
        assert (tests["executed"], tests["failed"], tests["warned"], tests["not_run"]) == (executed, 0, 0, 0)
        assert len(tests["results"]) == tests["expected"]
        assert {result["status"] for result in tests["results"]} == {"pass"}
    assert recorded.fourth["tests"]["carried"] == 4
    assert recorded.second["tests"]["results"][0]["tables"] == ["serving.depot_weights"]


ALL_REFUSED = {
    "rule": "*",
    "operator": "mustBeLessThan",
    "value": 100.0,
    "unit": "percent",
    "severity": "error",
    "contract": "",
    "rows": 1,
    "landed": 5,
}


def test_rows_are_conserved(recorded: Recorded) -> None:
    (item,) = recorded.first["conservation"]
    assert item == {
        "raw": "raw.parcels",
        "curated": "curated.weights",
        "quarantine": "quarantine.weights",
        "landed": 5,
        "curated_rows": 4,
        "quarantined_rows": 1,
        "deduplicated": 0,
        "by_rule": {"kg_is_a_number": 1},
        "counted": "numbers",
        "key": ["parcel", "depot", "weighed_on", "kg"],
        "unaccounted": 0,
        "doubled": 0,
        "superseded": 0,
        "expired": 0,
        "newly_expired": 0,
        "retention_seconds": None,
        "expired_before": None,
        "overdue": 0,
        "returns_from": None,
        "limits": [ALL_REFUSED],
    }
    for run in (recorded.third, recorded.fourth):
        (item,) = run["conservation"]
        assert (item["landed"], item["curated_rows"], item["quarantined_rows"]) == (6, 5, 1)
        assert item["by_rule"] == {"kg_is_a_number": 1}


def test_freshness_is_recorded_every_time(recorded: Recorded) -> None:
    for run, landed_by in (
        (recorded.first, recorded.first),
        (recorded.second, recorded.first),
        (recorded.fourth, recorded.third),
    ):
        (feed,) = run["freshness"]
        assert feed["source"] == "landing.parcels"
        landed = {file["landed_at"] for file in landed_by["landed_files"]}
        assert {feed["last_landed_at"]} == landed
        finished = datetime.fromisoformat(run["finished_at"])
        age = (finished - datetime.fromisoformat(feed["last_landed_at"])).total_seconds()
        assert feed["age_seconds"] == pytest.approx(age, abs=5)


def test_an_unchanged_run_writes_its_manifest_and_nothing_else(recorded: Recorded) -> None:
    assert recorded.fourth["outcome"] == "unchanged"
    assert recorded.fourth["release"] is None
    assert set(changes(recorded.fourth).values()) == {"unchanged"}
    assert recorded.workshop.published() == recorded.state
    assert [release["number"] for release in recorded.workshop.releases()] == [1, 2, 3]
    for node in nodes(recorded.fourth).values():
        assert node["base_snapshot"] == node["candidate_snapshot"]
        moved = ("rows_added", "rows_removed", "files_added", "files_removed", "bytes_read", "bytes_written")
        assert {node[key] for key in moved} == {0}
    tables = {name: static(path) for name, path in recorded.state.items()}
    # depots were never touched again, raw grew twice
    assert len(tables["reference.depots"].snapshots()) == 1
    assert len(tables["raw.parcels"].snapshots()) == 2


def test_the_folder_of_a_run_holds_manifest_log_and_dbts_artifacts(recorded: Recorded) -> None:
    for run in recorded.workshop.manifests():
        found = folder(recorded.workshop, run["run_id"])
        own = (found / "dbt/manifest.json").read_bytes()
        for content in (own, gzip.decompress((found / "dbt/run_results.json.gz").read_bytes())):
            artifact = json.loads(content)
            assert artifact["metadata"]["invocation_id"] == run["invocation_id"]
        lines = [
            json.loads(line) for line in gzip.decompress((found / "log.jsonl.gz").read_bytes()).splitlines()
        ]
        assert {line["run_id"] for line in lines} == {run["run_id"]}
        assert {"time", "level", "event", "message"} <= set.intersection(*(set(line) for line in lines))
        named = {line["node"] for line in lines if "node" in line}
        assert {node["unique_id"] for node in run["nodes"]} <= named
    assert not list((recorded.workshop.home / "logs").glob("*/*"))  # it moved to the run's folder


def test_the_checkout_stays_as_it_was(recorded: Recorded) -> None:
    assert recorded.workshop.git("status", "--porcelain") == f"M {WEIGHT_MODEL}"
