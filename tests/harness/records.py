"""Records as runs and releases write them down, of which a test names what matters to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.environments.environment import Environment, Mode
from slipway.records.node_results import Node, Tests
from slipway.records.release_records import Release, ReleasedTable
from slipway.records.run_manifest import Code, Outcome, RunManifest, Versions

NOW = datetime(2024, 5, 2, 12, tzinfo=UTC)
NO_COMMIT = Code(commit=None, dirty=True)
COMMIT = Code(commit="c0ffee" + "0" * 34, dirty=False)
NO_TESTS = Tests(expected=0, executed=0, carried=0, not_run=0, failed=0, warned=0)


def environment(folder: Path, mode: Mode = Mode.EXPLORATORY, name: str = "dev", **more: Any) -> Environment:  # noqa: ANN401
    """An environment whose warehouse is a folder; it has no catalog unless one is named."""
    return Environment(
        **{
            "name": name,
            "mode": mode,
            "warehouse": f"file://{folder}/warehouse",
            "catalog_properties": {},
            "landing": str(folder / "landing"),
            "home": folder,
            **more,
        }
    )


def node(table: str, change: str = "built", status: str = "success", **more: Any) -> Node:  # noqa: ANN401
    """What a run wrote down of a model, ``layer.name``."""
    given = {"unique_id": f"model.shop.{table.rpartition('.')[2]}", "table": table} | more
    return Node(**given, change=change, status=status)


def manifest(*nodes: Node, **more: Any) -> RunManifest:  # noqa: ANN401
    """The manifest of a run that was published in dev."""
    given: dict[str, Any] = {
        "run_id": "r1",
        "invocation_id": "i",
        "target": "dev",
        "mode": "exploratory",
        "scratch": None,
        "who": "ada",
        "host": "harbour",
        "started_at": NOW,
        "finished_at": NOW,
        "command": [],
        "vars": {},
        "as_of": None,
        "code": COMMIT,
        "versions": Versions(**dict.fromkeys(Versions.model_fields, "")),
        "inputs": [],
        "landed_files": [],
        "nodes": nodes,
        "tests": NO_TESTS,
        "freshness": [],
        "conservation": [],
        "release": 1,
        "outcome": Outcome.PUBLISHED,
        "reason": "every node and every test passed",
    }
    return RunManifest(**(given | more))


def released(snapshot_id: str, location: str, **more: Any) -> ReleasedTable:  # noqa: ANN401
    """A table that a release changed."""
    given = {"schema_id": 0, "rows": None, "changed": True, "run_id": "r1"} | more
    return ReleasedTable(snapshot_id=snapshot_id, metadata_location=location, **given)


def release(number: int, tables: Mapping[str, ReleasedTable] | None = None, **more: Any) -> Release:  # noqa: ANN401
    """The record of a release of a run in dev."""
    given = {"run_id": f"run-{number}", "target": "dev", "published_at": NOW, "code": NO_COMMIT} | more
    return Release(number=number, guarantee="", tables=dict(tables or {}), **given)
