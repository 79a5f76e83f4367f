"""The page on Dagster: its definitions are started in an environment of Dagster's own, and make releases of a real project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.docs.conftest import Page
    from tests.harness.projects import Workshop

PAGE = "docs/how-to/orchestrate.md"
DAGSTER = "dagster==1.13.27"
READ = """
import json, sys
import dagster as dg
from definitions import defs

instance, found = dg.DagsterInstance.get(), {}
for key in defs.resolve_asset_graph().get_all_asset_keys():
    events = instance.fetch_materializations(key, limit=10).records
    found[".".join(key.path)] = [
        {name: value.value for name, value in event.asset_materialization.metadata.items()} for event in events
    ]
checks = {}
for check in defs.resolve_asset_graph().asset_check_keys:
    record = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    checks[check.name] = record[0].status.value if record else None
print(json.dumps({"assets": found, "checks": checks}))
"""


@pytest.mark.long
def test_dagster_makes_releases(pages: dict[str, Page], workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "dagster"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
    pip = [str(folder / ".venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, DAGSTER], check=True)

    def placed(text: str) -> str:
        moved = text.replace("/srv/dagster", str(folder)).replace("/srv/shop", str(workshop.path))
        return moved.replace("staging", "dev")

    (folder / "definitions.py").write_text(placed(pages[PAGE].block("python", "dg.multi_asset")), "utf-8")
    (workshop.path / ".venv").symlink_to(sys.prefix)
    kept = {"PATH": os.environ["PATH"], "DAGSTER_HOME": str(folder), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    # dbt's artifacts are in the project's folder, where the page says that they are
    own = {name: value for name, value in workshop.env().items() if name != "DBT_TARGET_PATH"}
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    workshop.commit()

    def bash(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euc", script], env={**own, **kept}, capture_output=True, text=True, check=False
        )

    def known() -> dict[str, Any]:
        done = subprocess.run(
            [folder / ".venv/bin/python", "-c", READ],
            cwd=folder,
            env={**own, **kept},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    start = placed(pages[PAGE].block("sh", "asset materialize"))
    done = bash(start)
    assert done.returncode == 0, done.stdout + done.stderr
    (released,) = workshop.releases()
    found = known()
    made = {name: events for name, events in found["assets"].items() if not name.startswith("landing.")}
    assert set(made) == set(workshop.published())
    for events in made.values():
        (event,) = events
        assert (event["release"], event["run"]) == (1, released["run_id"])
    assert made["raw.parcels"][0]["rows"] == 5
    assert set(found["checks"].values()) == {"SUCCEEDED"}

    assert bash(start).returncode == 0  # nothing has changed
    assert known()["assets"] == found["assets"]

    workshop.land("day-3.csv", ["p6,S,2024-05-03,-1"])  # a test of the project fails
    failed = bash(start)
    assert failed.returncode != 0
    assert "slipway ended with code 1" in failed.stdout + failed.stderr
    assert "weights_are_positive" in failed.stdout + failed.stderr
    assert known()["assets"] == found["assets"]
    assert len(workshop.releases()) == 1
