"""What a build of a version is taken for, whatever its process printed, and that none is left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.harness.records import environment, manifest, node

from slipway.canary import builds
from slipway.canary.builds import Build, build
from slipway.canary.compare_versions import _not_rebuilt
from slipway.errors import SlipwayError
from slipway.records.node_results import TestResult, Tests
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.runs.run_request import NOTHING_SELECTED


@pytest.fixture
def version(tmp_path: Path) -> Path:
    (tmp_path / "dbt_project.yml").touch()
    return tmp_path


def built(folder: Path, monkeypatch: pytest.MonkeyPatch, **versions: tuple[str, str, float]) -> Any:  # noqa: ANN401
    """What ``build`` makes of processes that print two texts and end after so many seconds."""

    def start(what: Build, side: str, *_: object) -> subprocess.Popen[bytes]:
        out, err, seconds = versions[side]
        (what.folder / side).mkdir()
        (what.folder / side / "run.json").write_text(out, encoding="utf-8")
        (what.folder / side / "run.log").write_text(err, encoding="utf-8")
        processes.append(subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"]))
        return processes[-1]

    processes: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(builds, "_start", start)
    try:
        return build(Build(folder, environment(folder), folder, {}), dict.fromkeys(versions, folder))
    finally:
        assert all(process.poll() is not None for process in processes)


def printed(run: RunManifest) -> str:
    return run.model_dump_json()


def test_both_versions_are_built_and_one_without_a_selected_node_is_left_out(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, nothing = manifest(node("serving.a")), f"slipway: {NOTHING_SELECTED}"
    both = built(version, monkeypatch, base=("", nothing, 0), head=(printed(head), "", 0))
    assert both == {"head": head}


def test_a_selection_that_names_nothing_in_any_version(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SlipwayError, match="Nothing to do"):
        built(version, monkeypatch, head=("", f"slipway: {NOTHING_SELECTED}", 0))


FAILED_TEST = Tests(
    expected=1,
    executed=1,
    carried=0,
    not_run=0,
    failed=1,
    warned=0,
    results=[TestResult(unique_id="test.shop.t", status="fail", message="Got 2 results")],
)


@pytest.mark.parametrize(
    ("out", "err", "message"),
    [
        ("", "a warning\nslipway: Catalog of dev cannot be opened", "head does not build: Catalog of dev"),
        ("", "", "head does not build: no message"),
        (
            printed(
                manifest(
                    node("serving.a", status="error", message="the scales are broken"),
                    outcome=Outcome.FAILED,
                    reason="1 of 1 nodes failed",
                )
            ),
            "",
            "head does not build: 1 of 1 nodes failed: the scales are broken",
        ),
        (
            printed(
                manifest(
                    node("serving.a", status="error", message="the scales are broken"),
                    outcome=Outcome.FAILED,
                    reason="2 of 2 nodes failed",
                    tests=FAILED_TEST,
                )
            ),
            "",
            "head does not build: 2 of 2 nodes failed: the scales are broken",
        ),
        (
            printed(manifest(outcome=Outcome.FAILED, reason="interrupted")),
            "",
            "head does not build: interrupted",
        ),
        ('{"run_id": "r"}', "", r"head cannot be compared: its run manifest has another form \(\w+: "),
    ],
    ids=["refused", "silent", "a model fails", "a test fails, too", "interrupted", "of another slipway"],
)
def test_a_version_that_does_not_build_says_why(
    version: Path, monkeypatch: pytest.MonkeyPatch, out: str, err: str, message: str
) -> None:
    with pytest.raises(SlipwayError, match=f"^{message}"):
        built(version, monkeypatch, head=(out, err, 0))


def test_the_first_that_fails_ends_the_other(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with pytest.raises(SlipwayError, match="base does not build"):
        built(version, monkeypatch, base=("", "slipway: no", 0), head=("", "", 600))
    assert time.monotonic() - began < 60


def test_a_version_without_a_project_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SlipwayError, match=r"head does not build: it has no dbt_project\.yml"):
        built(tmp_path, monkeypatch, head=("", "", 600))
    assert not (tmp_path / "head").exists()


@pytest.mark.parametrize(
    ("definition", "expected"),
    [("a", []), ("b", ["Not rebuilt, although its code differs: raw.x, an input"]), (None, [])],
)
def test_an_input_differs_by_its_code_and_not_by_what_it_was_made_from(
    definition: str | None, expected: list[str]
) -> None:
    """Snapshot ids of what it was made from are those of the two scratch environments, and never the same."""
    base, head = (
        manifest(node("raw.x", "pinned", node_key=key, definition_key=code))
        for key, code in (("1", "a"), ("2", definition))
    )
    assert _not_rebuilt(base, head) == expected
