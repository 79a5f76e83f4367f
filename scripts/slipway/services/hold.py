"""Holds: see and lift them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from slipway.adapters.code import who
from slipway.adapters.holds import Holds, LiftedHold
from slipway.adapters.records import Records
from slipway.domain.release import Hold, Lift
from slipway.services.environments import environment_of


def current_hold(project_dir: Path | None, target: str | None) -> Hold | None:
    """The hold of an environment, None when runs publish."""
    return Holds(Records(environment_of(project_dir, target))).current()


def lift_hold(project_dir: Path | None, target: str | None) -> LiftedHold:
    """End the hold of an environment, and return it.

    Raises:
        ForeignError: it is of another version or environment.
        SlipwayError: there is none.
    """
    holds = Holds(Records(environment_of(project_dir, target)))
    return holds.lift(Lift(lifted_at=datetime.now(UTC), who=who()))
