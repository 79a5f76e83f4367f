"""The bundled project, and the real files that its sample is made like."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.conftest import ROOT, Project

if TYPE_CHECKING:
    from tests.harness.commands import Commands


@pytest.fixture(scope="session")
def retail_target(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of the bundled project, parsed once."""
    folder = tmp_path_factory.mktemp("retail")
    Project(commands, ROOT, folder / "home", folder / "landing", folder / "target").dbt("parse")
    return folder / "target"


@pytest.fixture
def retail(commands: Commands, retail_target: Path, tmp_path: Path) -> Project:
    """The bundled project, read where it is, with an empty landing area and a home of its own."""
    shutil.copytree(retail_target, tmp_path / "target")
    return Project(commands, ROOT, tmp_path / "home", tmp_path / "landing", tmp_path / "target")


@pytest.fixture(scope="session")
def real_files() -> list[Path]:
    """The daily files of the public data set, in a folder that is no part of the repository."""
    folder = Path(os.environ.get("SLIPWAY_REAL_DATA") or ROOT.parent / "shared" / "data" / "online_retail")
    files = sorted(folder.glob("*.csv"))
    if not files:
        pytest.skip(f"no file in {folder}: name the folder of the real files in SLIPWAY_REAL_DATA")
    return files
