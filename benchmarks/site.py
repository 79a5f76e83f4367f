"""The site of a large project: how big it is, and how long it takes to build it for the first time and again.

python -m benchmarks.site --models 3000 --columns 75 --runs 1000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from slipway.environments.environment import Environment, Mode
from slipway.query.connections import Connection
from slipway.records.node_results import Change, Node, Status, TestResult, Tests
from slipway.records.release_records import PreviousRelease, Release, ReleasedTable
from slipway.records.run_manifest import Code, Outcome, RunManifest, Versions
from slipway.releases.cut import TableVersion
from slipway.site.build_site import Site, SiteBuilt
from slipway.site.releases_shown import history
from slipway.site.runs_shown import RunShown
from slipway.site.site_facts import Gathered, TestStatus
from slipway.site.site_folder import SiteFolder
from slipway.site.tables_shown import Project

_LAYERS = ("raw", "curated", "serving")
_WORDS = [
    "order",
    "customer",
    "invoice",
    "price",
    "country",
    "region",
    "quantity",
    "channel",
    "product",
    "session",
    "campaign",
    "refund",
    "stock",
]
_BEGAN = datetime(2024, 1, 1, 6, tzinfo=UTC)
_BUILT = 30
_CODE = Code(commit="c0ffee" + "0" * 34, dirty=False, branch="main")


def described(models: int, columns: int, tests: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """dbt's manifest and catalog of a made-up project.

    Args:
        models: how many there are; each reads up to three of the layer before.
        columns: of each model.
        tests: of each model.
    """
    nodes: dict[str, Any] = {}
    catalog: dict[str, Any] = {}
    for at in range(models):
        layer, name = _LAYERS[at * 3 // models], f"{_word(at)}_{_word(at * 7 + 3)}_{at:04d}"
        unique_id = f"model.shop.{name}"
        first = models * (at * 3 // models - 1) // 3
        parents = sorted({first + (at * step) % max(models // 3, 1) for step in (1, 3, 5)[: 1 + at % 3]})
        names = [f"{_word(at + one * 5)}_{_word(one)}_{one}" for one in range(columns)]
        reads = (
            [list(nodes)[parent] for parent in parents] if layer != "raw" else ["source.shop.landing.files"]
        )
        nodes[unique_id] = _node(unique_id, name, layer, names, reads)
        catalog[unique_id] = _catalog(at, name, layer, names)
    for at, unique_id in enumerate(list(nodes)):
        for one in range(tests):
            column = list(nodes[unique_id]["columns"])[one % columns]
            test = f"test.shop.not_null_{nodes[unique_id]['name']}_{column}.{at:05d}{one}"
            nodes[test] = _test(test, unique_id, column)
    source = {
        "unique_id": "source.shop.landing.files",
        "schema": "landing",
        "name": "files",
        "identifier": "files",
        "resource_type": "source",
    }
    exposure = {
        "unique_id": "exposure.shop.board",
        "name": "board",
        "label": "Board",
        "type": "dashboard",
        "depends_on": {"nodes": [name for name in nodes if name.startswith("model.")][-3:]},
        "owner": {"name": "Analysts"},
        "description": "What the board looks at.",
    }
    manifest = {
        "metadata": {"project_name": "shop"},
        "nodes": nodes,
        "sources": {source["unique_id"]: source},
        "exposures": {"exposure.shop.board": exposure},
        "macros": {},
        "unit_tests": {},
        "parent_map": {},
        "child_map": {},
    }
    return manifest, {"metadata": {}, "nodes": catalog, "sources": {}}


def gathered(folder: Path, models: int, columns: int, runs: int, tests: int = 6) -> Gathered:
    """A made-up project with its records, of which each run built ``_BUILT`` tables and became a release."""
    manifest, catalog = described(models, columns, tests)
    project = Project(manifest, catalog, [], {})
    tables = project.tables()
    names = [table.name for table in tables]
    ids = {table.name: table.node for table in tables}
    manifests = {run.run_id: run for run in _runs(names, ids, runs)}
    shown = [RunShown.of(run) for run in reversed(manifests.values())]
    releases = list(_releases(list(manifests.values())))
    newest = shown[0].run_id if shown else ""
    statuses = {
        test.unique_id: TestStatus("pass", 0, newest, carried=True)
        for table in tables
        for test in table.tests
    }
    return Gathered(
        environment=Environment(
            "prod", Mode.SCHEDULED, f"file://{folder}", {}, str(folder / "landing"), folder
        ),
        project=project,
        tables=tables,
        runs=shown,
        history=history(
            releases, {run.run_id: run for run in shown}, {one.number: "ada" for one in releases}, {}
        ),
        statuses=statuses,
        connection=Connection(
            "prod",
            {"type": "rest", "uri": "https://catalog.example"},
            False,
            None,
            None,
            {
                name: TableVersion(f"s3://lake/prod/{name.replace('.', '/')}/metadata/00001.metadata.json")
                for name in names
            },
        ),
        manifest_of=manifests.get,
        results_of=lambda run_id: _results(manifests[run_id]),
    )


def _word(at: int) -> str:
    return _WORDS[at % len(_WORDS)]


def _node(unique_id: str, name: str, layer: str, columns: list[str], reads: list[str]) -> dict[str, Any]:
    query = ",\n    ".join(columns)
    code = f"with source as (\n    select * from {{{{ ref('{name}') }}}}\n)\nselect\n    {query}\nfrom source"
    return {
        "unique_id": unique_id,
        "name": name,
        "alias": name,
        "schema": layer,
        "database": "prod",
        "resource_type": "model",
        "package_name": "shop",
        "path": f"{layer}/{name}.sql",
        "original_file_path": f"models/{layer}/{name}.sql",
        "fqn": ["shop", layer, name],
        "language": "sql",
        "access": "protected",
        "tags": ["daily"],
        "group": None,
        "raw_code": code,
        "compiled_code": code,
        "description": f"The {name.replace('_', ' ')} of the shop, one row per key and day. Loaded every morning.",
        "config": {"materialized": "table", "unique_key": columns[:1], "enabled": True, "tags": []},
        "depends_on": {"nodes": reads, "macros": []},
        "columns": {
            column: {
                "name": column,
                "description": f"The {column.replace('_', ' ')} as the source has it.",
                "data_type": "varchar",
                "constraints": [],
                "meta": {},
                "tags": [],
            }
            for column in columns
        },
    }


def _catalog(at: int, name: str, layer: str, columns: list[str]) -> dict[str, Any]:
    kinds = ("VARCHAR", "BIGINT", "DECIMAL(18,4)", "DATE", "TIMESTAMP WITH TIME ZONE")
    stats = {
        "row_count": 1000 * at + 17,
        "size": 50_000 * at + 1000,
        "files": 1 + at % 40,
        "snapshot": f"#{4_000_000_000_000 + at}",
        "written": "2024-05-02 06:00:00",
        "run": "",
    }
    return {
        "metadata": {"schema": layer, "name": name, "type": "ICEBERG TABLE"},
        "columns": {
            column: {
                "name": column,
                "index": number + 1,
                "type": kinds[number % len(kinds)],
                "comment": "",
            }
            for number, column in enumerate(columns)
        },
        "stats": {
            key: {"id": key, "label": key, "value": value, "include": True} for key, value in stats.items()
        },
    }


def _test(unique_id: str, model: str, column: str) -> dict[str, Any]:
    return {
        "unique_id": unique_id,
        "name": unique_id.split(".")[2],
        "resource_type": "test",
        "attached_node": model,
        "column_name": column,
        "test_metadata": {"name": "not_null", "kwargs": {"column_name": column}},
        "depends_on": {"nodes": [model], "macros": []},
        "config": {"materialized": "test", "severity": "error"},
    }


def _runs(names: list[str], ids: dict[str, str], count: int) -> Iterator[RunManifest]:
    built = min(_BUILT, len(names))
    for number in range(count):
        began = _BEGAN + timedelta(hours=12 * number)
        run_id = f"{began:%Y%m%dT%H%M%SZ}-{number:08x}"
        chosen = {(number * 17 + one * 31) % len(names) for one in range(built)}
        nodes = [
            Node(
                unique_id=ids[names[at]],
                table=names[at],
                status=Status.SUCCESS,
                change=Change.BUILT,
                rows_after=1000 * at + number,
                rows_added=number % 500,
                rows_removed=0,
                bytes_total=50_000 * at + number,
                bytes_read=20_000,
                bytes_written=10_000,
                seconds=0.2 + at % 7,
            )
            for at in sorted(chosen)
        ]
        results = [TestResult(unique_id=f"test.shop.t{one}", status=Status.PASS) for one in range(3)]
        yield RunManifest(
            run_id=run_id,
            invocation_id="i",
            target="prod",
            mode="scheduled",
            scratch=None,
            who="airflow",
            host="worker",
            started_at=began,
            finished_at=began + timedelta(seconds=120 + number % 60),
            command=["slipway", "run", "--target", "prod"],
            vars={},
            as_of=None,
            code=_CODE,
            versions=Versions(**dict.fromkeys(Versions.model_fields, "")),
            inputs=[],
            landed_files=[],
            nodes=nodes,
            tests=Tests(expected=3, executed=3, carried=0, not_run=0, failed=0, warned=0, results=results),
            freshness=[],
            conservation=[],
            release=number + 1,
            outcome=Outcome.PUBLISHED,
            reason="every node and every test passed",
        )


def _releases(runs: list[RunManifest]) -> Iterator[Release]:
    tables: dict[str, ReleasedTable] = {}
    for number, run in enumerate(runs, start=1):
        for node in run.nodes:
            tables[node.table or ""] = ReleasedTable(
                snapshot_id=str(number),
                schema_id=0,
                metadata_location=f"s3://lake/{node.table}/{number}.json",
                rows=node.rows_after,
                changed=True,
                run_id=run.run_id,
            )
        yield Release.model_construct(
            number=number,
            run_id=run.run_id,
            target="prod",
            published_at=run.finished_at,
            code=_CODE,
            guarantee="all tables of a release become visible at once",
            tables=dict(tables),
            previous=PreviousRelease(number=number - 1, sha256="0" * 64),
        )


def _results(run: RunManifest) -> dict[str, Any]:
    results, at = [], run.started_at
    for node in run.nodes:
        timing = [{"name": "execute", "started_at": at.isoformat(), "completed_at": at.isoformat()}]
        results.append({"unique_id": node.unique_id, "thread_id": "Thread-1", "timing": timing})
        at += timedelta(seconds=node.seconds)
    return {"results": results}


def build(found: Gathered, folder: Path) -> SiteBuilt:
    """Write the site of what was gathered, without dbt's page."""
    folder.mkdir(parents=True, exist_ok=True)
    written = SiteFolder(folder, "benchmark")
    Site(written, found, "shop").write()
    written.finish()
    return SiteBuilt(len(found.tables), len(found.history.releases), len(found.runs), written.written)


def main() -> None:
    """Make up a project, build its site twice, and print what that took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=3000)
    parser.add_argument("--columns", type=int, default=75, help="of each model")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where the site stays; without it, it is removed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        found = gathered(folder, given.models, given.columns, given.runs)
        for what in ("first", "again"):
            began = time.perf_counter()
            built = build(found, folder)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            text = f"{what}: {time.perf_counter() - began:.1f} s, {built.written:,} files written, {size / 1e6:.1f} MB"
            sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
