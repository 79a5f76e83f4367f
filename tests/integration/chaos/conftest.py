"""Environments on which many trials are made one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.chaos.trials import Trials, local_trials

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
        return local_trials(workshop, workshop.published, workshop.warehouse(), seed)

    return make
