"""Environments on which many trials are made one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.chaos.oracle import local_store
from tests.integration.chaos.trials import Trials

if TYPE_CHECKING:
    from tests.harness.projects import Workshop


@pytest.fixture(scope="module")
def new_trials(
    new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Trials]:
    """Makes trials on an environment with one release, its catalog on SQLite and its warehouse in a folder."""
    numbers = itertools.count(1)

    def make(seed: int) -> Trials:
        workshop = new_workshop(tmp_path_factory.mktemp(f"trials-{next(numbers)}-"))
        assert workshop.slipway("run").code == 0
        landing = workshop.folder / "landing" / "parcels"
        contents = [path.read_bytes() for path in sorted(landing.glob("*.csv"))]
        store = local_store(workshop.warehouse(), workshop.published)
        return Trials(
            workshop, store, lambda name, content: (landing / name).write_bytes(content), contents, seed
        )

    return make
