"""Which files count as read by a run besides tables."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tests.harness.commands import ROOT

from slipway.dbt import code_read
from slipway.dbt.nodes import DbtManifest


def test_slipways_modules_are_no_files_of_a_project_that_is_its_checkout() -> None:
    parsed = SimpleNamespace(metadata=SimpleNamespace(project_name="shop"), files={})
    own = code_read.own_files(cast("DbtManifest", parsed), ROOT)
    assert Path(__file__) in own  # a module of this process below the project
    assert Path(str(code_read.__file__)).is_relative_to(ROOT)
    assert [path for path in own if path.is_relative_to(ROOT / "scripts" / "slipway")] == []
