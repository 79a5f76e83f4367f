"""The bundled project, and the real files that its sample is made like."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.commands import ROOT
from tests.harness.projects import Project

if TYPE_CHECKING:
    from tests.harness.commands import Commands


class Retail(Project):
    """The bundled project, read where it is, with a landing area and a home of its own."""

    @property
    def path(self) -> Path:
        return ROOT

    def land(self, name: str, content: bytes) -> None:
        self.put(f"online_retail/{name}", content)

    def another(self, name: str) -> Retail:
        """The same with nothing landed and nothing built."""
        folder = self.folder / name
        shutil.copytree(self.target, folder / "target")
        (folder / "temporary").mkdir()
        return Retail(self.commands, folder)


@pytest.fixture(scope="session")
def parsed_retail(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Retail:
    found = Retail(commands, tmp_path_factory.mktemp("retail"))
    found.temporary.mkdir()
    found.dbt("parse")
    return found


@pytest.fixture
def retail(parsed_retail: Retail, request: pytest.FixtureRequest) -> Retail:
    """The project with an empty landing area."""
    return parsed_retail.another(request.node.name)


@pytest.fixture(scope="session")
def real_files() -> list[Path]:
    """The daily files of the public data set, in a folder that is no part of the repository."""
    folder = Path(os.environ.get("SLIPWAY_REAL_DATA") or ROOT.parent / "shared" / "data" / "online_retail")
    files = sorted(folder.glob("*.csv"))
    if not files:
        pytest.skip(f"no file in {folder}: name the folder of the real files in SLIPWAY_REAL_DATA")
    return files
