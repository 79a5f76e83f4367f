"""``slipway init --example``: the example in a folder of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.harness.newcomer import Newcomer

from slipway.adoption.generated import example_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.commands import Commands


@pytest.mark.long
def test_the_example_runs_where_it_is_brought(commands: Commands, tmp_path: Path) -> None:
    newcomer = Newcomer(commands, tmp_path)
    run, show = newcomer.next_commands(newcomer.types("slipway init shop --example").out)
    folder = newcomer.folder / "shop"
    written = json.loads((folder / ".slipway-init.json").read_text())["files"]
    assert example_files().keys() <= written.keys()
    assert "Published release 1, 19 tables in dev." in newcomer.types(run.partition(" && ")[2], folder).out
    assert "serving." in newcomer.types(show, folder).out
    assert "Nothing changed in dev: no release." in newcomer.types("slipway run", folder).out
    assert "nothing to do" in newcomer.types("slipway init --check", folder).out
