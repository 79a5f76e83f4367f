"""A commit that was laid out for another version of Slipway is refused before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway.errors import SlipwayError
from slipway.records.run_manifest import Code, RunManifest, Versions
from slipway.replay.rebuild import _check_layout

PROFILE = """
shop:
  target: dev
  outputs:
    dev: {{type: {adapter}, database: dev, local: true}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    return tmp_path


def manifest() -> RunManifest:
    """What the check looks at of a run manifest."""
    code: dict[str, Any] = {"commit": "627b33baf9be" + "0" * 28}
    versions: dict[str, Any] = {"slipway": "0.0.9"}
    known: dict[str, Any] = {
        "run_id": "20240301T061129Z-dd449891",
        "code": Code.model_construct(**code),
        "versions": Versions.model_construct(**versions),
    }
    return RunManifest.model_construct(**known)


def test_another_layout_is_refused_in_one_sentence(project: Path) -> None:
    (project / "profiles.yml").write_text(PROFILE.format(adapter="duckdb"))
    refusal = (
        r"Run 20240301T061129Z-dd449891 cannot be replayed: its commit 627b33baf9be is laid out for another version of Slipway than the "
        r"installed \S+ \(Target dev has type: duckdb\)\. Choose a later run, or install Slipway 0\.0\.9, with which the run was made\."
    )
    with pytest.raises(SlipwayError, match=refusal):
        _check_layout(project, "dev", manifest())


@pytest.mark.parametrize("own", [True, False])
def test_what_can_be_built_is_not_refused(project: Path, *, own: bool) -> None:
    """A commit with the installed layout, and one that holds the Slipway that it was made with."""
    (project / "profiles.yml").write_text(PROFILE.format(adapter="duckdb" if own else "slipway"))
    if own:
        (project / "scripts" / "slipway").mkdir(parents=True)
    _check_layout(project, "dev", manifest())
